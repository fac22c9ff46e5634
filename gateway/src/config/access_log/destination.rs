//! `file` and `syslog` of an access log.
//!
//! Owns the notation of paths and addresses, and their checks without opening anything.

use std::path::PathBuf;

use toml::de::DeValue;

use super::{LogDestination, LogFile, Syslog, SyslogTransport};
use crate::config::Span;
use crate::config::diagnostic::Diagnostic;
use crate::config::fault::Fault;
use crate::config::keys::{FACILITIES, LOG_FILE, LOG_SYSLOG};
use crate::config::reader::{Reading, Table, Text};

/// The port of syslog.
const PORT: u16 = 514;

/// Where a log goes, and where the file says so.
pub(super) fn read(table: &Table<'_, '_>) -> Option<(LogDestination, Span)> {
    match (table.value("file"), table.value("syslog")) {
        (None, None) => Some((LogDestination::Stdout, table.span.clone())),
        (Some(value), None) => {
            let file = match value.get_ref() {
                DeValue::Table(_) => file_of(&Table::open(table.reading, value, &LOG_FILE)?),
                _ => {
                    let path = path(table.reading, &table.word("file")?)?;
                    Some(LogFile { path, max_size: None, period: None, keep: 7 })
                }
            };
            Some((LogDestination::File(file?), value.span()))
        }
        (None, Some(value)) => {
            let defaults;
            let (address, settings) = match value.get_ref() {
                DeValue::Table(_) => {
                    defaults = Table::open(table.reading, value, &LOG_SYSLOG)?;
                    (defaults.word("address"), &defaults)
                }
                _ => {
                    let address = table.word("syslog");
                    defaults = Table::defaults(table.reading, value.span(), &LOG_SYSLOG);
                    (address, &defaults)
                }
            };
            let (facility, app_name) = (facility(settings), app_name(settings));
            let transport = table.reading.parsed(&address?, "an address of syslog", transport)?;
            let syslog = Syslog { transport, facility, app_name: app_name? };
            Some((LogDestination::Syslog(syslog), value.span()))
        }
        (Some(file), Some(syslog)) => {
            let error = Diagnostic::error(syslog.span(), "an access log goes to one place");
            let error = error.related(file.span(), "it goes to a file already");
            table
                .reading
                .report(error.help("write a second `[access_logs.NAME]` table for the other"));
            None
        }
    }
}

fn file_of(table: &Table<'_, '_>) -> Option<LogFile> {
    let text = table.word("path");
    let max_size = table.size("max_size");
    let period = match table.choice("rotate") {
        "hourly" => Some(3_600),
        "daily" => Some(86_400),
        _ => None,
    };
    let keep = table.integer("keep").unwrap_or(7) as usize;
    if let Some(place) = table.key_span("keep").filter(|_| max_size.is_none() && period.is_none()) {
        let warning = "`keep` has no effect without `max_size` or `rotate`";
        table.reading.report_absence(Diagnostic::warning(place, warning));
    }
    Some(LogFile { path: path(table.reading, &text?)?, max_size, period, keep })
}

/// The path of a file in a folder that is there.
fn path(reading: &Reading<'_>, text: &Text) -> Option<PathBuf> {
    let path = reading.source.folder().join(&text.value);
    if path.is_dir() {
        let error = Diagnostic::error(text.span.clone(), format!("`{}` is a folder", text.shown));
        let inside = format!("{}/access.log", text.shown.trim_end_matches('/'));
        reading.report(error.help(format!("name a file in it: `{inside}`")));
        return None;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        let error = format!("the folder of `{}` does not exist", text.shown);
        let error = Diagnostic::error(text.span.clone(), error);
        reading.report(error.help("make it, so that the gateway may write there"));
        return None;
    }
    Some(path)
}

fn transport(text: &str) -> Result<SyslogTransport, Fault> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.starts_with('/') {
            let fault = Fault::new(0..text.len(), "the path of a socket begins with `/`");
            return Err(fault.help("write it like `unix:/dev/log`"));
        }
        return Ok(SyslogTransport::Unix(path.into()));
    }
    let help = "write it like `udp://127.0.0.1:514`, `tcp://logs.example:601` or `unix:/dev/log`";
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(
            Fault::new(0..text.len(), format!("`{text}` is no address of syslog")).help(help)
        );
    };
    if !["udp", "tcp"].contains(&scheme) {
        let fault = Fault::new(0..scheme.len(), format!("syslog is not spoken over `{scheme}`"));
        return Err(fault.help(help));
    }
    let at = if rest.is_empty() { 0 } else { scheme.len() + 3 };
    let is_host = |host: &str| {
        let in_host = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let is_ipv6 = host
            .strip_prefix('[')
            .and_then(|it| it.strip_suffix(']'))
            .is_some_and(|it| it.parse::<std::net::Ipv6Addr>().is_ok());
        is_ipv6 || (!host.is_empty() && host.chars().all(in_host))
    };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().ok().filter(|it| *it > 0))
        }
        _ => (rest, Some(PORT)),
    };
    let Some(port) = port.filter(|_| is_host(host)) else {
        let fault = Fault::new(at..text.len(), format!("`{rest}` is not a host and a port"));
        return Err(fault.help(help));
    };
    let address = format!("{host}:{port}");
    Ok(if scheme == "udp" { SyslogTransport::Udp(address) } else { SyslogTransport::Tcp(address) })
}

/// The code of the facility: 9 to 15 belong to the system.
fn facility(table: &Table<'_, '_>) -> u8 {
    let name = table.choice("facility");
    let place = FACILITIES.iter().position(|known| *known == name).unwrap_or(9) as u8;
    // `user` is 1 and `cron` 9, without a gap; `local0` is 16.
    if place < 9 { place + 1 } else { place + 7 }
}

fn app_name(table: &Table<'_, '_>) -> Option<String> {
    let Some(text) = table.text("app_name") else {
        return Some(table.default("app_name").to_owned());
    };
    table.reading.parsed(&text, "an APP-NAME of syslog", |text| {
        let is_name =
            (1..=48).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_graphic());
        if is_name {
            return Ok(text.to_owned());
        }
        let fault = Fault::new(0..text.len(), "this cannot be an APP-NAME of syslog");
        Err(fault.help("write 1 to 48 visible ASCII characters"))
    })
}
