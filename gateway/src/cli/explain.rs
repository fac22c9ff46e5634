//! `gateway explain`: which route a request takes, and why.
//!
//! Owns the question on the command line, to a file or to a gateway that runs. The account is that of
//! `gateway::explain` in both cases.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gateway::explain::{self, Account};
use http::{HeaderName, HeaderValue, Method, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::live::Remote;
use super::prepare::prepare;
use super::{LogFormat, Refused, print, report};

#[derive(Debug, Args)]
pub(super) struct Question {
    /// The configuration. Not with `--admin`.
    #[arg(default_value = "gateway.toml", conflicts_with = "admin")]
    file: PathBuf,
    /// The request's URL, such as `https://api.example.com/orders/7`.
    #[arg(long, value_parser = explain::url)]
    url: Uri,
    /// The request's method.
    #[arg(long, short = 'X', default_value = "GET")]
    method: Method,
    /// A field of the request, as `name: value`; may be given several times.
    #[arg(long, short = 'H', value_parser = field)]
    header: Vec<(HeaderName, HeaderValue)>,
    /// Only this listener. Default: those on the URL's port, or all if there is none.
    #[arg(long)]
    listener: Option<String>,
    /// Maximum number of routes to name; the most relevant come first.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=1000))]
    routes: u16,
    /// The output format.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The same as `--format json`.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// For people or for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Lines of text.
    Text,
    /// The JSON of the admin API.
    Json,
}

fn field(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("a field is written `name: value`")?;
    let name = name.trim().parse().map_err(|_| format!("`{name}` is not a field name"))?;
    let value = value.trim().parse().map_err(|_| format!("`{value}` is not a field value"))?;
    Ok((name, value))
}

/// Answers for each listener that the request could come in by.
pub(super) fn explain(question: &Question, format: LogFormat) -> Result<(), Refused> {
    let account = match &question.remote.admin {
        Some(admin) => live(question, admin)?,
        None => of_file(question, format)?,
    };
    match question.json || question.format == Format::Json {
        true => {
            let shown = serde_json::to_value(&account).unwrap_or_default();
            print(&format!("{shown:#}\n"));
        }
        false => print(&account.to_string()),
    }
    Ok(())
}

fn refused(why: &dyn std::fmt::Display) -> Refused {
    tracing::error!("{why}");
    Refused
}

fn of_file(question: &Question, format: LogFormat) -> Result<Account, Refused> {
    let prepared = prepare(&question.file).map_err(|refusal| {
        report(&refusal.text(), format);
        Refused
    })?;
    let asked = explain::Question {
        method: question.method.clone(),
        url: question.url.clone(),
        headers: question.header.iter().cloned().collect(),
        listener: question.listener.clone(),
        routes: question.routes.into(),
    };
    explain::explain(&prepared.config, &asked).map_err(|why| refused(&why))
}

fn live(question: &Question, admin: &Uri) -> Result<Account, Refused> {
    let mut target = format!(
        "/explain?method={}&url={}&routes={}",
        encoded(question.method.as_str()),
        encoded(&question.url.to_string()),
        question.routes
    );
    for (name, value) in &question.header {
        let value = String::from_utf8_lossy(value.as_bytes());
        target.push_str(&format!("&header={}", encoded(&format!("{name}: {value}"))));
    }
    if let Some(listener) = &question.listener {
        target.push_str(&format!("&listener={}", encoded(listener)));
    }
    let answer = question.remote.ask(admin, Method::GET, &target);
    let answer = answer.map_err(|(why, _)| refused(&why))?;
    serde_json::from_value(answer).map_err(|error| refused(&format!("no account came: {error}")))
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
