//! The client against real servers on loopback, most of them hostile.

// As the other crates call it.
extern crate transship_client as client;

#[cfg(test)]
mod authority;
#[cfg(test)]
mod aws_roles;
#[cfg(test)]
mod blobs;
#[cfg(test)]
mod cloud_logins;
#[cfg(test)]
mod docker_config;
#[cfg(test)]
mod ecr;
#[cfg(test)]
mod entries;
#[cfg(test)]
mod exchanges;
#[cfg(test)]
mod h2;
#[cfg(test)]
mod identity_tokens;
#[cfg(test)]
mod login;
#[cfg(test)]
mod manifests;
#[cfg(test)]
mod name_server;
#[cfg(test)]
mod names;
#[cfg(test)]
mod parts;
#[cfg(test)]
mod probes;
#[cfg(test)]
mod programs;
#[cfg(test)]
mod proxies;
#[cfg(test)]
mod pushes;
#[cfg(test)]
mod quota;
#[cfg(test)]
mod reach;
#[cfg(test)]
mod realms;
#[cfg(test)]
mod redirects;
#[cfg(test)]
mod referrers;
#[cfg(test)]
mod retries;
#[cfg(test)]
mod support;
mod tags;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod weather;
