//! `gateway explain`: which route a request takes, and why.

use std::path::PathBuf;

use clap::Args;
use gateway::config::{Action, Config, ListenerId};
use gateway::route::{self, Query, Table};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use super::prepare::prepare;
use super::{LogFormat, Refused, print, report};

#[derive(Debug, Args)]
pub(super) struct Question {
    /// The configuration.
    #[arg(default_value = "gateway.toml")]
    file: PathBuf,
    /// The request's URL, such as `https://api.example.com/orders/7`.
    #[arg(long)]
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
}

fn field(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("a field is written `name: value`")?;
    let name = name.trim().parse().map_err(|_| format!("`{name}` is not a field name"))?;
    let value = value.trim().parse().map_err(|_| format!("`{value}` is not a field value"))?;
    Ok((name, value))
}

/// Answers for each listener that the request could come in by.
pub(super) fn explain(question: &Question, format: LogFormat) -> Result<(), Refused> {
    let prepared = prepare(&question.file).map_err(|diagnostics| {
        report(&diagnostics, format);
        Refused
    })?;
    let config = &prepared.config;
    let path = question.url.path();
    let normalised = match route::normalise(path) {
        Ok(normalised) => normalised,
        Err(error) => {
            print(&format!("400: the path `{path}` is refused before any route: {error}\n"));
            return Ok(());
        }
    };
    if normalised != path {
        print(&format!("the path is matched and forwarded as {normalised}\n"));
    }
    let headers: HeaderMap = question.header.iter().cloned().collect();
    let query = Query {
        host: question.url.host().unwrap_or_default(),
        path: &normalised,
        method: &question.method,
        headers: &headers,
        query: question.url.query(),
    };
    let listeners = listeners(question, config)?;
    for id in listeners {
        print(&answer(config, id, &query));
    }
    Ok(())
}

fn listeners(question: &Question, config: &Config) -> Result<Vec<ListenerId>, Refused> {
    let all = || (0..config.listeners.len()).map(ListenerId);
    if let Some(name) = &question.listener {
        let found = all().find(|id| config.listeners[id.0].name == *name);
        return found.map(|id| vec![id]).ok_or_else(|| {
            tracing::error!("there is no listener `{name}`");
            Refused
        });
    }
    let port = question.url.port_u16();
    let on_port = |id: &ListenerId| Some(config.listeners[id.0].address.port()) == port;
    let matching: Vec<_> = all().filter(on_port).collect();
    Ok(if matching.is_empty() { all().collect() } else { matching })
}

fn answer(config: &Config, id: ListenerId, query: &Query<'_>) -> String {
    let explanation = Table::build(config, id).explain(config, query);
    let mut text = format!("listener {}:\n{explanation}", config.listeners[id.0].name);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let Some(winner) = explanation.winner else { return text };
    let route = &config.routes[explanation.steps[winner].route];
    let plugins: Vec<_> =
        route.plugins.iter().map(|plugin| config.plugins[plugin.0].name.as_str()).collect();
    let through = if plugins.is_empty() { "none".to_owned() } else { plugins.join(" > ") };
    let to = match &route.action {
        Action::Forward(upstream) => format!("upstream {}", config.upstreams[upstream.0].name),
        Action::Component(component) => {
            format!("component {}", config.components[component.0].name)
        }
        Action::Respond(fixed) => format!("answered with {}", fixed.status.as_u16()),
        Action::Redirect(redirect) => format!("redirected with {}", redirect.status.as_u16()),
    };
    text.push_str(&format!("plugins: {through}\nthen: {to}\n"));
    text
}
