//! One line for each finished exchange that is to be logged.
//!
//! Owns what a line can say, the lines in the log of the process (`process`), and the logs of
//! `[access_logs.NAME]`: their formats, what is redacted and escaped, and the way of their lines to
//! files, standard output and syslog, by a thread for each log. A worker hands a line over or drops
//! it, and never waits. Must not know exchanges: they bring a [`Record`].

mod escape;
mod file;
mod headless;
mod line;
mod process;
mod redact;
mod registry;
mod sink;
mod stdout;
mod syslog;
#[cfg(test)]
mod tests;
mod time;
mod value;
mod writer;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use opentelemetry::TraceId;
use smallvec::SmallVec;

pub(crate) use self::headless::write_headless;
pub(crate) use self::line::Log;
pub(crate) use self::process::write;
pub(crate) use self::registry::{OpenError, Registry};
use crate::config::{AccessLog, AccessLogId};
use crate::heads::detach_value;
use crate::upstream::Shown;

/// What is known of an exchange at its end.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) id: &'a str,
    /// The trace that it is in, where there are traces.
    pub(crate) trace: Option<TraceId>,
    pub(crate) client: IpAddr,
    pub(crate) listener: &'a str,
    /// `None` if its head could not be read.
    pub(crate) request: Option<RequestLine<'a>>,
    pub(crate) route: Option<&'a str>,
    /// The upstream or the component that answered.
    pub(crate) upstream_name: Option<&'a str>,
    /// The variant of the route that it went to.
    pub(crate) variant: Option<&'a str>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) uploaded: u64,
    pub(crate) downloaded: u64,
    /// From the request head to the response head.
    pub(crate) first_byte: Option<Duration>,
    pub(crate) duration: Duration,
    /// Whether the client left before the end.
    pub(crate) left: bool,
    /// What plugins set.
    pub(crate) attributes: Option<&'a dyn Attributes>,
}

/// What is known of a request by its head, as the client sent it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestLine<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) version: Version,
    pub(crate) is_https: bool,
}

/// The attributes of an exchange.
pub(crate) trait Attributes: fmt::Debug {
    /// Looks at the one of this name, if there is one.
    fn look(&self, name: &str, look: &mut dyn FnMut(&str));
}

/// Which way an exchange went.
#[derive(Default)]
pub(crate) struct Way<'a> {
    /// The last target that was tried, or the component that answered.
    pub(crate) target: Option<&'a str>,
    /// Each try at a target.
    pub(crate) attempts: Option<&'a Shown<'a>>,
}

/// The named logs of a configuration, and the fields of heads that they show.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    /// By [`AccessLogId`].
    logs: Box<[Log]>,
    request: Box<[HeaderName]>,
    response: Box<[HeaderName]>,
}

/// Fields of the heads of one exchange that some log shows, each with the place of its name in
/// [`Logs`].
#[derive(Debug, Default)]
pub(crate) struct Kept {
    request: Fields,
    response: Fields,
}

/// A few have room without their own allocation.
type Fields = SmallVec<[(u16, HeaderValue); 4]>;

impl Kept {
    /// Copies what it has of the request.
    pub(crate) fn detach(&mut self) {
        self.request.iter_mut().for_each(|(_, value)| detach_value(value));
    }
}

impl Logs {
    /// The log that this names, if it names one.
    pub(crate) fn named(&self, log: AccessLog) -> Option<&Log> {
        match log {
            AccessLog::Named(AccessLogId(index)) => self.logs.get(index),
            AccessLog::Off | AccessLog::Errors | AccessLog::All => None,
        }
    }

    /// What the logs show of a request; `None` if that is nothing.
    pub(crate) fn keep(&self, headers: &HeaderMap) -> Option<Box<Kept>> {
        if self.request.is_empty() && self.response.is_empty() {
            return None;
        }
        Some(Box::new(Kept { request: taken(&self.request, headers), response: Fields::new() }))
    }

    /// Adds what they show of its response.
    pub(crate) fn keep_response(&self, kept: &mut Kept, headers: &HeaderMap) {
        kept.response = taken(&self.response, headers);
    }
}

fn taken(names: &[HeaderName], headers: &HeaderMap) -> Fields {
    let mut taken = Fields::new();
    for (place, name) in names.iter().enumerate() {
        let values = headers.get_all(name).iter();
        taken.extend(values.map(|value| (u16::try_from(place).unwrap_or(u16::MAX), value.clone())));
    }
    taken
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
