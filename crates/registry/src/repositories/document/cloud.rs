//! The forms of `auth` that are objects of their own: a program, and the logins of the large clouds.
//!
//! Must not know how a login is got. Invariants: over the API none of them runs a program, reads a file, names where a
//! login is asked for, or uses an identity of this machine; a problem quotes no secret.

use std::collections::BTreeMap;
use std::time::Duration;

use client::{
    AwsIdentity, AwsKeys, AzureIdentity, AzureLogin, CredentialSource, EcrLogin, ExecHelper, GoogleIdentity,
    GoogleLogin, Secret,
};
use serde_json::Value;
use url::Url;

use super::auth::secret;
use super::reader::Reader;

/// How long what a program prints is used when neither it nor the document says.
const LIFETIME: Duration = Duration::from_mins(10);

const EXEC: [&str; 3] = ["command", "lifetime", "env"];
const ECR: [&str; 6] = ["access_key_id", "secret_access_key", "session_token", "machine", "region", "endpoint"];
const GOOGLE: [&str; 5] = ["key", "key_file", "access_token", "metadata", "endpoint"];
const AZURE: [&str; 6] = ["tenant", "client_id", "client_secret", "managed_identity", "access_token", "endpoint"];

/// Reads the object at `name`.
fn object<'a, T>(
    fields: &mut Reader<'a>,
    name: &'static str,
    known: &[&str],
    read: impl FnOnce(&mut Reader<'a>) -> Option<T>,
) -> Option<T> {
    match fields.value(name) {
        Value::Object(object) => fields.item(name, object, known, read),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            fields.problem(name, format!("must be an object with {}", known.join(", ")));
            None
        }
    }
}

pub(super) fn exec(fields: &mut Reader<'_>) -> Option<CredentialSource> {
    object(fields, "exec", &EXEC, |exec| {
        let lifetime = exec.duration("lifetime", LIFETIME);
        let environment = environment(exec);
        if exec.is_absent("command") {
            exec.problem("command", "required: the program and its arguments, as a list");
            return None;
        }
        if exec.refuses_programs("command") {
            return None;
        }
        let command = exec.list("command", |word| Ok(word.to_owned()));
        (!command.is_empty()).then_some(CredentialSource::Exec(ExecHelper { command, environment, lifetime }))
    })
}

fn environment(exec: &mut Reader<'_>) -> BTreeMap<String, String> {
    match exec.value("env") {
        Value::Null => BTreeMap::new(),
        Value::Object(variables) if variables.values().all(Value::is_string) => {
            variables.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
        }
        _ => {
            exec.problem("env", "must be an object of strings, like {VAULT_ADDR: https://vault.example}");
            BTreeMap::new()
        }
    }
}

pub(super) fn ecr(fields: &mut Reader<'_>) -> Option<CredentialSource> {
    object(fields, "ecr", &ECR, |ecr| {
        let (region, endpoint) = (ecr.parsed("region", label), endpoint(ecr));
        let session_token = secret(ecr, "session_token");
        let identity = match (ecr.text("access_key_id"), secret(ecr, "secret_access_key")) {
            (Some(access_key_id), Some(secret_access_key)) => {
                if !ecr.is_absent("machine") {
                    ecr.problem("machine", "give a key or machine, not both");
                }
                AwsIdentity::Keys(AwsKeys { access_key_id, secret_access_key, session_token })
            }
            (None, None) if ecr.flag("machine") == Some(true) => {
                ambient(ecr, "machine")?;
                AwsIdentity::Machine { endpoint: None }
            }
            (None, None) if ecr.is_of_api() => {
                ecr.problem(
                    "access_key_id",
                    "is required over the API: this machine's own key is for the configuration file",
                );
                return None;
            }
            (None, None) => AwsIdentity::Environment,
            (Some(_), None) => {
                ecr.problem("secret_access_key", "required with access_key_id");
                return None;
            }
            (None, Some(_)) => {
                ecr.problem("access_key_id", "required with secret_access_key");
                return None;
            }
        };
        Some(CredentialSource::Ecr(Box::new(EcrLogin { identity, region, endpoint })))
    })
}

pub(super) fn google(fields: &mut Reader<'_>) -> Option<CredentialSource> {
    object(fields, "google", &GOOGLE, |google| {
        let endpoint = endpoint(google);
        let identity = match one_of(google, &["key", "key_file", "access_token", "metadata"], "key_file")? {
            "key" => GoogleIdentity::Key(secret(google, "key")?),
            "key_file" => GoogleIdentity::KeyFile(google.file("key_file")?),
            "access_token" => GoogleIdentity::AccessToken(secret(google, "access_token")?),
            name => {
                ambient(google, name)?;
                GoogleIdentity::Metadata
            }
        };
        Some(CredentialSource::Google(Box::new(GoogleLogin { identity, endpoint })))
    })
}

pub(super) fn azure(fields: &mut Reader<'_>) -> Option<CredentialSource> {
    object(fields, "azure", &AZURE, |azure| {
        let endpoint = endpoint(azure);
        let client_id = azure.parsed("client_id", label);
        let identity = if !azure.is_absent("access_token") {
            AzureIdentity::AccessToken(secret(azure, "access_token")?)
        } else if !azure.is_absent("managed_identity") {
            ambient(azure, "managed_identity")?;
            AzureIdentity::Managed { client_id }
        } else {
            let (tenant, client_secret) = (azure.parsed("tenant", label), secret(azure, "client_secret"));
            application(azure, tenant, client_id, client_secret)?
        };
        Some(CredentialSource::Azure(Box::new(AzureLogin { identity, endpoint })))
    })
}

fn application(
    azure: &mut Reader<'_>,
    tenant: Option<String>,
    client_id: Option<String>,
    client_secret: Option<Secret>,
) -> Option<AzureIdentity> {
    for name in ["tenant", "client_id", "client_secret"] {
        if azure.is_absent(name) {
            azure.problem(name, "required; or write managed_identity: true, or an access_token");
        }
    }
    Some(AzureIdentity::Client { tenant: tenant?, client_id: client_id?, client_secret: client_secret? })
}

/// The one of these fields that is written.
fn one_of(fields: &mut Reader<'_>, names: &[&'static str], first: &'static str) -> Option<&'static str> {
    let written: Vec<&'static str> = names.iter().copied().filter(|name| !fields.is_absent(name)).collect();
    match written.as_slice() {
        [name] => Some(name),
        [] => {
            fields.problem(first, format!("required; or one of {}", names.join(", ")));
            None
        }
        [one, other, ..] => {
            fields.problem(other, format!("stands beside {one}; give one of them"));
            None
        }
    }
}

/// An identity that this machine has by standing where it stands: not for whoever may call the API to use.
fn ambient(fields: &mut Reader<'_>, name: &'static str) -> Option<()> {
    match (name, fields.value(name)) {
        (_, Value::Bool(true)) if fields.is_of_api() => {
            fields.problem(name, "is possible only in the configuration file: it is this machine's own identity");
            None
        }
        (_, Value::Bool(true)) => Some(()),
        _ => {
            fields.problem(name, "must be true, or absent");
            None
        }
    }
}

/// Where a login is asked for in place of the cloud's own endpoint.
fn endpoint(fields: &mut Reader<'_>) -> Option<Url> {
    let url = fields.parsed("endpoint", |text| match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.host_str().is_some() => Ok(url),
        Ok(_) | Err(_) => Err("must be an http or https URL".into()),
    })?;
    if fields.is_of_api() {
        fields.problem("endpoint", "is possible only in the configuration file: logins would be sent there");
        return None;
    }
    Some(url)
}

/// A word that goes into URLs.
fn label(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if text.is_empty() || text.starts_with('.') || !text.bytes().all(fits) {
        return Err("must be of letters, digits, '-', '_' and '.'".into());
    }
    Ok(text.to_owned())
}
