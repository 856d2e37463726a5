//! An HTTP proxy (CONNECT and absolute URLs) and a SOCKS5 proxy, each on a loopback port, that remember what they saw.
//!
//! Must not know: TLS, the code under test. Names are looked up in a table of their own before the system is asked, so
//! that a test can tell who resolved a name. Invariant: what is logged is what the client said, before it is acted on.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What a client asked of a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// `CONNECT` or `SOCKS5` for a tunnel, else the method of the request.
    pub verb: String,
    /// `host:port` as the client wrote it: a name that the proxy is to resolve, or an address.
    pub target: String,
    /// The login: `user:password` of SOCKS5, the `Proxy-Authorization` header of HTTP.
    pub login: Option<String>,
    /// All that was sent in the clear, as far as it was read.
    pub head: String,
}

/// A running proxy. It ends with the process.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    log: Mutex<Vec<Passage>>,
    names: HashMap<String, SocketAddr>,
    login: Option<String>,
}

impl Proxy {
    /// An HTTP proxy that resolves `names` by itself; with `login`, only for that `Proxy-Authorization`.
    pub fn http(names: &[(&str, SocketAddr)], login: Option<&str>) -> Self {
        Self::start(names, login, http)
    }

    /// A SOCKS5 proxy that resolves `names` by itself; with `login`, only for that `user:password`.
    pub fn socks5(names: &[(&str, SocketAddr)], login: Option<&str>) -> Self {
        Self::start(names, login, socks5)
    }

    fn start(
        names: &[(&str, SocketAddr)],
        login: Option<&str>,
        serve: fn(TcpStream, &Shared) -> io::Result<()>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
        let address = listener.local_addr().expect("a listener has an address");
        let names = names.iter().map(|(name, address)| ((*name).to_owned(), *address)).collect();
        let shared = Arc::new(Shared { log: Mutex::default(), names, login: login.map(str::to_owned) });
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let shared = Arc::clone(&of_thread);
                // An error is a client or server that went away.
                thread::spawn(move || drop(serve(socket, &shared)));
            }
        });
        Self { address, shared }
    }

    /// `127.0.0.1:<port>`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// What was asked so far.
    pub fn seen(&self) -> Vec<Passage> {
        self.shared.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    fn note(&self, passage: Passage) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(passage);
    }

    fn dial(&self, target: &str) -> io::Result<TcpStream> {
        let (name, _) = target.rsplit_once(':').unwrap_or((target, ""));
        match self.names.get(name) {
            Some(address) => TcpStream::connect(address),
            None => {
                TcpStream::connect(target.to_socket_addrs()?.next().ok_or_else(|| io::Error::other("no such name"))?)
            }
        }
    }
}

fn http(mut client: TcpStream, shared: &Shared) -> io::Result<()> {
    let head = read_head(&mut client)?;
    let mut words = head.split(' ');
    let (verb, url) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let login = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("proxy-authorization").then(|| value.trim().to_owned())
    });
    let plain = url.strip_prefix("http://").map(|rest| rest.split_once('/').unwrap_or((rest, "")));
    let target = plain.map_or(url.as_str(), |(host, _)| host);
    let target = if target.contains(':') { target.to_owned() } else { format!("{target}:80") };
    shared.note(Passage { verb: verb.clone(), target: target.clone(), login: login.clone(), head: head.clone() });
    if shared.login.is_some() && shared.login != login {
        return client.write_all(b"HTTP/1.1 407 Login\r\ncontent-length: 0\r\n\r\n");
    }
    let mut server = shared.dial(&target)?;
    match plain {
        None => client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?,
        Some((_, path)) => {
            let lines = head.lines().skip(1).filter(|line| !line.to_ascii_lowercase().starts_with("proxy-"));
            let rest: String = lines.flat_map(|line| [line, "\r\n"]).collect();
            server.write_all(format!("{verb} /{path} HTTP/1.1\r\n{}\r\n\r\n", rest.trim_end()).as_bytes())?;
        }
    }
    pipe(client, server)
}

/// RFC 1928 and RFC 1929, CONNECT only.
fn socks5(mut client: TcpStream, shared: &Shared) -> io::Result<()> {
    let [_, methods] = read_array(&mut client)?;
    let mut offered = vec![0; usize::from(methods)];
    client.read_exact(&mut offered)?;
    let wants_login = shared.login.is_some();
    client.write_all(&[5, if wants_login { 2 } else { 0 }])?;
    let login = if wants_login {
        let [_] = read_array(&mut client)?;
        let login = format!("{}:{}", read_text(&mut client)?, read_text(&mut client)?);
        client.write_all(&[1, u8::from(shared.login.as_ref() != Some(&login))])?;
        Some(login)
    } else {
        None
    };
    let [_, _, _, kind] = read_array(&mut client)?;
    let host = match kind {
        1 => std::net::Ipv4Addr::from(read_array::<4>(&mut client)?).to_string(),
        4 => format!("[{}]", std::net::Ipv6Addr::from(read_array::<16>(&mut client)?)),
        _ => read_text(&mut client)?,
    };
    let target = format!("{host}:{}", u16::from_be_bytes(read_array(&mut client)?));
    shared.note(Passage { verb: "SOCKS5".into(), target: target.clone(), login, head: String::new() });
    let server = shared.dial(&target)?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    pipe(client, server)
}

fn read_array<const N: usize>(from: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_text(from: &mut TcpStream) -> io::Result<String> {
    let [length] = read_array(from)?;
    let mut text = vec![0; usize::from(length)];
    from.read_exact(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Byte by byte: what follows the head belongs to the tunnel.
fn read_head(from: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(read_array::<1>(from)?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn pipe(client: TcpStream, server: TcpStream) -> io::Result<()> {
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let upward = thread::spawn(move || {
        let copied = io::copy(&mut from_client, &mut to_server);
        drop(to_server.shutdown(Shutdown::Write));
        copied
    });
    let (mut from_server, mut to_client) = (server, client);
    let downward = io::copy(&mut from_server, &mut to_client);
    drop(to_client.shutdown(Shutdown::Write));
    drop(upward.join());
    downward.map(drop)
}
