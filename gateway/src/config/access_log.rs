//! `[access_logs.NAME]`, and which of them listeners, routes and `[gateway]` name.
//!
//! Owns formats, destinations and what is redacted. Must not open anything: that is done when the
//! gateway binds.

mod destination;
mod field;
mod format;

use std::collections::HashMap;
use std::path::PathBuf;

use http::HeaderName;
use toml::de::DeValue;

use super::diagnostic::Diagnostic;
use super::names::Names;
use super::owners::Place;
use super::reader::{Reading, Table, Text};
use super::{Span, suggest};

/// Index of a log in [`Config::access_logs`](super::Config::access_logs).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccessLogId(pub usize);

/// Which finished requests are logged, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLog {
    /// `"off"`
    Off,
    /// `"errors"`: in the log of the process, only answers that the gateway made because something
    /// failed.
    Errors,
    /// `"all"`: in the log of the process.
    All,
    /// The name of a table: as that says, and in the log of the process what failed.
    Named(AccessLogId),
}

/// `[access_logs.NAME]`: a log of finished requests.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedAccessLog {
    /// The table's name.
    pub name: String,
    /// `file` or `syslog`; standard output without either.
    pub destination: LogDestination,
    /// Where that is in the file, for one that cannot be opened.
    pub destination_span: Span,
    /// `format` and `fields`
    pub format: AccessLogFormat,
    /// `when = "failures"`
    pub failures_only: bool,
    /// `sample`: the share of the requests that has a line. Default 1.
    pub sample: f64,
    /// `redact`, in lower case.
    pub redact: Vec<String>,
}

/// Where the lines of an access log go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogDestination {
    /// Standard output.
    Stdout,
    /// `file`
    File(LogFile),
    /// `syslog`
    Syslog(Syslog),
}

/// `file` of an access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// `path`, resolved against the configuration's folder.
    pub path: PathBuf,
    /// `max_size`: bytes. Default: no limit.
    pub max_size: Option<u64>,
    /// `rotate`: seconds of an hour or a day. Default: never.
    pub period: Option<u64>,
    /// `keep`: files beside the one that is written. Default 7.
    pub keep: usize,
}

/// `syslog` of an access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syslog {
    /// `address`
    pub transport: SyslogTransport,
    /// `facility`, by its code. Default 16, `local0`.
    pub facility: u8,
    /// `app_name`. Default `"gateway"`.
    pub app_name: String,
}

/// How messages reach a syslog server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogTransport {
    /// `udp://HOST:PORT`
    Udp(String),
    /// `tcp://HOST:PORT`
    Tcp(String),
    /// `unix:PATH`
    Unix(PathBuf),
}

/// What a line looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// An object with these keys; what is not known of a request is left out.
    Json(Vec<(String, LogField)>),
    /// Text; what is not known is `-`.
    Template(Vec<LogPart>),
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPart {
    /// Text as it is.
    Text(String),
    /// The value of a field.
    Field {
        /// Which.
        field: LogField,
        /// Whether it is between double quotes, and so may hold spaces.
        is_quoted: bool,
    },
}

/// What a line can say of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is a name in the documentation of access logs")]
pub enum LogField {
    Time,
    TimeCommon,
    TimeUnix,
    RequestId,
    TraceId,
    Client,
    Listener,
    Route,
    Consumer,
    Method,
    Scheme,
    Host,
    Path,
    Query,
    Uri,
    Protocol,
    Request,
    Status,
    Uploaded,
    Downloaded,
    FirstByteMs,
    DurationMs,
    Duration,
    Upstream,
    UpstreamName,
    /// `variant`: of a route that splits.
    Variant,
    Attempts,
    Left,
    Fault,
    Cause,
    /// `request.header.NAME`: as the client sent it.
    RequestHeader(HeaderName),
    /// `response.header.NAME`: as the client gets it.
    ResponseHeader(HeaderName),
    /// `attribute.NAME`: as plugins set it.
    Attribute(String),
}

/// What `access_log` can say without a table.
const WORDS: [(&str, AccessLog); 3] =
    [("off", AccessLog::Off), ("errors", AccessLog::Errors), ("all", AccessLog::All)];

fn word(text: &str) -> Option<AccessLog> {
    WORDS.iter().find(|(word, _)| *word == text).map(|(_, log)| *log)
}

/// Reads `[access_logs.NAME]`.
pub(super) fn read(name: &Text, table: &Table<'_, '_>) -> Option<NamedAccessLog> {
    if word(&name.value).is_some() {
        let error = format!("`{}` cannot be the name of an access log", name.shown);
        let error = Diagnostic::error(name.span.clone(), error);
        table.reading.report(
            error.note(
                "`access_log = \"off\"`, `\"errors\"` and `\"all\"` are there without a table",
            ),
        );
    }
    let destination = destination::read(table);
    let format = format::read(table);
    let failures_only = table.choice("when") == "failures";
    let sample = table.ratio("sample").unwrap_or(1.0);
    let redact = table.list("redact").unwrap_or_default().iter();
    let redact = redact.filter_map(|item| table.reading.text(item, "an element of `redact`"));
    let redact = redact.map(|text| text.value.to_lowercase()).collect();
    let ((destination, destination_span), format) = destination.zip(format)?;
    let name = name.value.clone();
    let log = NamedAccessLog {
        name,
        destination,
        destination_span,
        format,
        failures_only,
        sample,
        redact,
    };
    Some(log)
}

/// The log that `access_log` of a table names, if it names one.
pub(super) fn named(table: &Table<'_, '_>, names: &Names) -> Option<AccessLog> {
    let value = table.value("access_log")?;
    if let DeValue::Boolean(false) = value.get_ref() {
        let error = table.reading.wrong_type(value, "`access_log`", "a string");
        table.reading.report(error.help("write `access_log = \"off\"`"));
        return None;
    }
    let text = table.reading.text(value, "`access_log`")?;
    if let Some(log) = word(&text.value) {
        return Some(log);
    }
    let words = WORDS.iter().map(|(word, _)| *word);
    if !names.has(&text.value)
        && let Some(meant) = suggest::closest(&text.shown, words)
    {
        let error = format!("there is no access log `{}`", text.shown);
        let error = Diagnostic::error(text.span.clone(), error).did_you_mean(Some(meant));
        table.reading.report(error);
        return None;
    }
    let found = names.find(table.reading, &text, "an `[access_logs.NAME]` table")?;
    Some(AccessLog::Named(AccessLogId(found)))
}

/// Two logs that write to one file are an error: each would rotate it under the other.
pub(super) fn refuse_shared_files(reading: &Reading<'_>, logs: &[Option<NamedAccessLog>]) {
    let mut known: HashMap<Place, &NamedAccessLog> = HashMap::new();
    for log in logs.iter().flatten() {
        let LogDestination::File(file) = &log.destination else { continue };
        if let Some(earlier) = known.insert(Place::of(&file.path), log) {
            let error = format!(
                "the access logs `{}` and `{}` write to the same file",
                reading.shown(&earlier.name),
                reading.shown(&log.name)
            );
            let error = Diagnostic::error(log.destination_span.clone(), error);
            let error = error.related(earlier.destination_span.clone(), "already written here");
            reading.report(error.help("use one of the two in both places"));
        }
    }
}
