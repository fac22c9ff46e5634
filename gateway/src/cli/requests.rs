//! `gateway requests`: what happened to single requests.
//!
//! Owns the question to `[admin]` of a running gateway, and how often it is asked again to follow. The
//! form of the answers is below. Must not know how records are kept.

mod show;

use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::{Method, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::live::Remote;
use super::prepare::prepare;
use super::{LogFormat, Refused, print, report};

/// How often new records are asked for.
const PAUSE: Duration = Duration::from_millis(500);

/// Records that are asked for at a time while following: all that may have come.
const ALL: usize = 1_000;

#[derive(Debug, Args)]
pub(super) struct Question {
    /// The id of a request, from `x-request-id`, a problem document or the log: show all about it.
    #[arg(conflicts_with_all = ["follow", "route", "status", "slower", "consumer", "limit"])]
    id: Option<String>,
    /// Continue with new requests.
    #[arg(long, short)]
    follow: bool,
    /// Only requests of this route.
    #[arg(long)]
    route: Option<String>,
    /// Only requests with this status: 404, 5xx, or none.
    #[arg(long)]
    status: Option<String>,
    /// Only requests that took at least this long, such as 200ms.
    #[arg(long)]
    slower: Option<String>,
    /// Only requests of this consumer.
    #[arg(long)]
    consumer: Option<String>,
    /// Maximum number of requests, the newest first: up to 1000.
    #[arg(long, default_value = "50")]
    limit: usize,
    /// Print JSON: one record a line.
    #[arg(long)]
    json: bool,
    /// Without `--admin`, the address is that of the configuration.
    #[command(flatten)]
    remote: Remote,
    /// The configuration; its `[admin]` has the address of the gateway.
    #[arg(long, value_name = "FILE", default_value = "gateway.toml")]
    config: PathBuf,
}

impl Question {
    /// The query of a list.
    fn query(&self, limit: usize, after: u64) -> String {
        let given = [
            ("route", &self.route),
            ("status", &self.status),
            ("slower", &self.slower),
            ("consumer", &self.consumer),
        ];
        let mut query = format!("/requests?limit={limit}&after={after}");
        for (name, value) in given {
            if let Some(value) = value {
                query
                    .push_str(&format!("&{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
            }
        }
        query
    }
}

/// Answers a question.
pub(super) fn requests(question: &Question, format: LogFormat) -> Result<(), Refused> {
    let admin = match &question.remote.admin {
        Some(admin) => admin.clone(),
        None => configured(question, format)?,
    };
    if let Some(id) = &question.id {
        let id = utf8_percent_encode(id, NON_ALPHANUMERIC);
        let record = ask(question, &admin, &format!("/requests/{id}"))?;
        print(&match question.json {
            true => format!("{record:#}\n"),
            false => show::record(&record),
        });
        return Ok(());
    }
    list(question, &admin)
}

fn ask(question: &Question, admin: &Uri, target: &str) -> Result<Value, Refused> {
    question.remote.ask(admin, Method::GET, target).map_err(|(why, _)| said(&why))
}

fn list(question: &Question, admin: &Uri) -> Result<(), Refused> {
    let (mut after, mut limit, mut is_first) = (0, question.limit, true);
    loop {
        let answer = ask(question, admin, &question.query(limit, after))?;
        let mut records = answer["requests"].as_array().cloned().unwrap_or_default();
        // The newest is the last one on a screen.
        records.reverse();
        let written =
            std::io::stdout().lock().write_all(shown(question, &records, is_first).as_bytes());
        // Who reads it may have left.
        if !question.follow || written.and_then(|()| std::io::stdout().flush()).is_err() {
            return Ok(());
        }
        (after, limit, is_first) = (answer["last"].as_u64().unwrap_or(after), ALL, false);
        std::thread::sleep(PAUSE);
    }
}

fn shown(question: &Question, records: &[Value], is_first: bool) -> String {
    if question.json {
        return records.iter().map(|record| format!("{record}\n")).collect();
    }
    if records.is_empty() && is_first && !question.follow {
        return "no such request is kept\n".to_owned();
    }
    show::list(records, is_first)
}

/// The admin API of this machine's gateway, as the configuration has it.
fn configured(question: &Question, format: LogFormat) -> Result<Uri, Refused> {
    let prepared = prepare(&question.config).map_err(|refusal| {
        report(&refusal.text(), format);
        Refused
    })?;
    let file = question.config.display();
    let Some(admin) = &prepared.config.admin else {
        let advice =
            "add it with `address = \"127.0.0.1:9901\"`, or name a gateway by `--admin URL`";
        return Err(said(&format!("{file} has no `[admin]`: {advice}")));
    };
    if admin.address.port() == 0 {
        let advice = "name the gateway by `--admin URL`";
        return Err(said(&format!("the port of `[admin]` in {file} is 0: {advice}")));
    }
    let scheme = if admin.tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", reachable(admin.address));
    url.parse().map_err(|error: http::uri::InvalidUri| said(&error))
}

/// An address that can be connected to: one that means all is this machine's.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn said(error: &dyn std::fmt::Display) -> Refused {
    tracing::error!("{error}");
    Refused
}
