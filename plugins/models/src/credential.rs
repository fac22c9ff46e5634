//! What a deployment's requests are authenticated with.
//!
//! Owns which credentials each provider takes, and how they are read from the configuration. `address` puts them into
//! requests.

use std::fmt;

use gateway_model_protocols::sigv4;
use gateway_plugin_sdk::prelude::ConfigError;
use gateway_plugin_sdk::secrets;

use crate::config::{AwsSpec, DeploymentSpec, Provider};
use crate::service_account::ServiceAccount;

/// The credentials of a deployment.
pub(crate) enum Credential {
    /// None are sent.
    None,
    /// A key, as it is sent.
    Key(String),
    /// A key that signs each request.
    Aws(Aws),
    /// An account for which tokens are fetched.
    Account(ServiceAccount),
}

/// An access key of AWS, and what its signatures are for.
pub(crate) struct Aws {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    region: String,
    /// The `Host` that is signed, and sent.
    pub(crate) host: String,
}

// Keys are for nobody to read.
impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "None",
            Self::Key(_) => "Key",
            Self::Aws(_) => "Aws",
            Self::Account(_) => "Account",
        })
    }
}

impl Credential {
    /// Whether requests carry a `Host` of its own.
    pub(crate) fn has_host(&self) -> bool {
        matches!(self, Self::Aws(_))
    }

    /// The credentials that a deployment names. `at` makes the place of a key of it.
    pub(crate) fn new(
        spec: &DeploymentSpec,
        at: &dyn Fn(&str) -> String,
        errors: &mut Vec<ConfigError>,
    ) -> Self {
        let is_aws = spec.provider == Provider::Bedrock;
        let is_vertex = matches!(spec.provider, Provider::Vertex | Provider::VertexAnthropic);
        let of_aws = "is for the provider `bedrock` alone";
        let of_vertex = "is for the providers `vertex` and `vertex-anthropic` alone";
        for (key, is_set, is_known, message) in [
            ("aws", spec.aws.is_some(), is_aws, of_aws),
            ("host", spec.host.is_some(), is_aws, of_aws),
            ("project", spec.project.is_some(), is_vertex, of_vertex),
            ("service_account", spec.service_account.is_some(), is_vertex, of_vertex),
        ] {
            if is_set && !is_known {
                errors.push(ConfigError::at(at(key), message).help("take it out"));
            }
        }
        if is_aws || is_vertex {
            let (what, examples) = match is_aws {
                true => ("the region of `bedrock`", "`region = \"eu-central-1\"`"),
                false => {
                    ("the location of Vertex AI", "`region = \"europe-west4\"` or `\"global\"`")
                }
            };
            check_label(spec.region.as_deref(), what, examples, at("region"), errors);
        } else if spec.region.is_some() {
            let example = "`region = \"eu-central-1\"`";
            check_label(spec.region.as_deref(), "a region", example, at("region"), errors);
        }
        if is_vertex {
            let (what, example) = ("the id of the project", "`project = \"my-project\"`");
            check_label(spec.project.as_deref(), what, example, at("project"), errors);
        }
        if spec.provider == Provider::VertexAnthropic && spec.secret.is_some() {
            let error = ConfigError::at(at("secret"), "is not taken by `vertex-anthropic`");
            errors.push(error.help("name a `service_account` in its place"));
        }
        if let Some(host) = &spec.host
            && !is_host(host)
        {
            let error = ConfigError::at(at("host"), format!("is `{host}`, which is no host"));
            let help = "write `host` or `host:port`, as requests to the upstream carry it";
            errors.push(error.help(help));
        }
        let others =
            [("aws", spec.aws.is_some()), ("service_account", spec.service_account.is_some())];
        for (key, _) in others.iter().filter(|(_, is_set)| *is_set && spec.secret.is_some()) {
            let error = ConfigError::at(at(key), "stands beside `secret`");
            errors.push(error.help("name one of them"));
        }
        if let Some(name) = &spec.secret {
            return granted(name, &at("secret"), errors).map_or(Self::None, Self::Key);
        }
        if let Some(account) = &spec.service_account {
            let at = |key: &str| at(&format!("service_account/{key}"));
            return Self::Account(ServiceAccount::new(account, &at, errors));
        }
        match &spec.aws {
            Some(aws) => Aws::new(aws, spec, at, errors).map_or(Self::None, Self::Aws),
            None => Self::None,
        }
    }
}

impl Aws {
    fn new(
        aws: &AwsSpec,
        spec: &DeploymentSpec,
        at: &dyn Fn(&str) -> String,
        errors: &mut Vec<ConfigError>,
    ) -> Option<Self> {
        let mut read = |key: &str, name: &str| granted(name, &at(&format!("aws/{key}")), errors);
        let access_key_id = read("access_key_id", &aws.access_key_id);
        let secret_access_key = read("secret_access_key", &aws.secret_access_key);
        let session_token = aws.session_token.as_deref().map(|name| read("session_token", name));
        if let Some(id) = &access_key_id
            && let Err(why) = check_key_id(id, session_token.is_some())
        {
            let message = format!(
                "names the secret `{}`, which is no id of an access key: {why}",
                aws.access_key_id
            );
            errors.push(ConfigError::at(at("aws/access_key_id"), message));
        }
        let region = spec.region.clone().unwrap_or_default();
        let usual = || format!("bedrock-runtime.{region}.amazonaws.com");
        Some(Self {
            access_key_id: access_key_id?,
            secret_access_key: secret_access_key?,
            session_token: session_token.flatten(),
            host: spec.host.clone().unwrap_or_else(usual),
            region,
        })
    }

    /// The fields that sign a request to this path.
    ///
    /// # Errors
    /// Why it cannot be signed.
    pub(crate) fn sign(
        &self,
        path: &str,
        body: &[u8],
        now: u64,
    ) -> Result<Vec<(&'static str, String)>, String> {
        let credentials = sigv4::Credentials {
            access_key_id: &self.access_key_id,
            secret_access_key: &self.secret_access_key,
            session_token: self.session_token.as_deref(),
        };
        let (host, region) = (&*self.host, &*self.region);
        let service = "bedrock";
        sigv4::sign(
            credentials,
            sigv4::Request { method: "POST", host, path, body, region, service, now },
        )
    }
}

/// Whether this can be the id of an access key of AWS. What it is instead is not told.
fn check_key_id(id: &str, has_token: bool) -> Result<(), &'static str> {
    if id.is_empty() || id.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("it is empty, or has white space in it or at its end");
    }
    if id.contains(['/', '+', '=']) {
        return Err("it has characters that only secret keys have; are the two exchanged?");
    }
    if id.starts_with("ASIA") && !has_token {
        return Err(
            "it begins with `ASIA`, as those of temporary credentials do: name `session_token` too",
        );
    }
    Ok(())
}

/// The secret of this name.
fn granted(name: &str, at: &str, errors: &mut Vec<ConfigError>) -> Option<String> {
    let secret = secrets::get(name);
    if secret.is_none() {
        let message = format!(
            "names the secret `{name}`, which the plugin is not granted: it needs `secrets = [\"{name}\"]` beside `component`"
        );
        errors.push(ConfigError::at(at, message));
    }
    secret
}

/// What stands in the name of a host or in a path is there, and can stand there.
fn check_label(
    text: Option<&str>,
    what: &str,
    example: &str,
    at: String,
    errors: &mut Vec<ConfigError>,
) {
    let message = match text {
        Some(text) if is_label(text) => return,
        Some("") | None => format!("must be there: {what}, as in {example}"),
        Some(text) => {
            let other = text.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-');
            let other = other.map(|c| format!(", and no {c:?}")).unwrap_or_default();
            format!(
                "is `{text}`, and cannot be {what}: it has letters, digits and `-`{other}, as in {example}"
            )
        }
    };
    errors.push(ConfigError::at(at, message));
}

/// Whether this can be the `Host` of a request.
fn is_host(text: &str) -> bool {
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    !name.is_empty()
        && name.bytes().all(is_name)
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Whether a text can stand in the name of a host.
fn is_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
