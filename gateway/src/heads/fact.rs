//! The attributes that the gateway knows itself, by name.
//!
//! Owns which names there are, and what each says of an exchange. A name that a plugin declares is looked up once, when the
//! plugin is loaded, and not with each request. Must not know what plugins set.

use std::borrow::Cow;

use super::{ExchangeFacts, ExchangeView, authority, is_reserved};

/// An attribute that a plugin declared.
#[derive(Debug, Clone)]
pub(crate) struct AttributeName {
    name: String,
    place: Place,
}

/// Where its value is.
#[derive(Debug, Clone)]
enum Place {
    /// Plugins set it.
    Plugins,
    Gateway(Fact),
    /// Reserved, and there is none of the name.
    Nowhere,
}

impl AttributeName {
    pub(crate) fn new(name: String) -> Self {
        let place = match Fact::of(&name) {
            _ if !is_reserved(&name) => Place::Plugins,
            Some(fact) => Place::Gateway(fact),
            None => Place::Nowhere,
        };
        Self { name, place }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.name
    }
}

impl ExchangeView {
    /// The value of an attribute, the gateway's or a plugin's.
    pub(crate) fn attribute(&self, name: &str) -> Option<Cow<'_, str>> {
        match is_reserved(name) {
            true => self.facts.value(Fact::of(name)?, name),
            false => self.set_by_plugins(name),
        }
    }

    /// The same for one that was declared.
    pub(crate) fn declared(
        &self,
        AttributeName { name, place }: &AttributeName,
    ) -> Option<Cow<'_, str>> {
        match place {
            Place::Gateway(fact) => self.facts.value(*fact, name),
            Place::Plugins => self.set_by_plugins(name),
            Place::Nowhere => None,
        }
    }

    fn set_by_plugins(&self, name: &str) -> Option<Cow<'_, str>> {
        let own = self.attributes.iter().find(|known| known.name == name);
        own.map(|known| Cow::Borrowed(known.value.as_str()))
    }
}

/// One of the gateway's attributes.
#[derive(Debug, Clone, Copy)]
enum Fact {
    ClientAddress,
    ClientPort,
    /// With the part behind the prefix.
    Certificate,
    RequestId,
    Scheme,
    Host,
    Authority,
    WaitedMs,
    Cache,
    HasBody,
    HasUpgrade,
    Listener,
    Route,
    Pattern,
    Splits,
    Variant,
    Upstream,
    /// With the parameter's name behind the prefix.
    Capture,
}

const CERTIFICATE: &str = "client.certificate.";
const CAPTURE: &str = "capture.";

impl Fact {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "client.address" => Self::ClientAddress,
            "client.port" => Self::ClientPort,
            "request.id" => Self::RequestId,
            "request.scheme" => Self::Scheme,
            "request.host" => Self::Host,
            "request.authority" => Self::Authority,
            "request.waited-ms" => Self::WaitedMs,
            "request.cache" => Self::Cache,
            "request.has-body" => Self::HasBody,
            "request.has-upgrade" => Self::HasUpgrade,
            "listener.name" => Self::Listener,
            "route.name" => Self::Route,
            "route.pattern" => Self::Pattern,
            "route.splits" => Self::Splits,
            "route.variant" => Self::Variant,
            "upstream.name" => Self::Upstream,
            _ if name.starts_with(CERTIFICATE) => Self::Certificate,
            _ if name.starts_with(CAPTURE) => Self::Capture,
            _ => return None,
        })
    }
}

impl ExchangeFacts {
    fn value(&self, fact: Fact, name: &str) -> Option<Cow<'_, str>> {
        let text: &str = match fact {
            Fact::ClientAddress => return Some(Cow::Owned(self.client.to_string())),
            Fact::ClientPort => return Some(Cow::Owned(self.client_port.to_string())),
            Fact::Certificate => {
                return self.certificate.as_ref()?.attribute(name.strip_prefix(CERTIFICATE)?);
            }
            Fact::RequestId => self.request_id(),
            Fact::Scheme => self.scheme,
            Fact::Host => &self.host,
            Fact::Authority => {
                let text = self.authority.as_ref()?.to_str().ok()?;
                return Some(Cow::Owned(authority::normal(text, self.scheme)));
            }
            Fact::WaitedMs if self.waited.is_zero() => "0",
            Fact::WaitedMs => {
                return Some(Cow::Owned(format!("{:.3}", self.waited.as_secs_f64() * 1e3)));
            }
            Fact::Cache => self.cache?,
            Fact::HasBody => ["false", "true"][usize::from(self.has_body)],
            Fact::HasUpgrade => ["false", "true"][usize::from(self.has_upgrade)],
            Fact::Listener => &self.listener,
            Fact::Route => &self.route.name,
            Fact::Pattern => &self.route.patterns.get(self.pattern)?.0,
            Fact::Splits => ["false", "true"][usize::from(!self.route.variants.is_empty())],
            Fact::Variant => self.route.variants.get(self.variant?)?,
            Fact::Upstream => self.upstream.as_deref()?,
            Fact::Capture => return self.capture(name.strip_prefix(CAPTURE)?),
        };
        Some(Cow::Borrowed(text))
    }

    /// What a parameter of the path means, percent-decoded: keys and fields want the text,
    /// not its notation.
    fn capture(&self, name: &str) -> Option<Cow<'_, str>> {
        let (_, names) = self.route.patterns.get(self.pattern)?;
        let index = names.iter().position(|known| **known == *name)?;
        let value = self.captures.value(index, self.matched.path())?;
        Some(percent_encoding::percent_decode_str(value).decode_utf8_lossy())
    }
}
