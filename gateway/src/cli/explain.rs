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
    #[arg(long, value_parser = url)]
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

/// What the parser would cut off is said to be refused, as the gateway does.
fn url(text: &str) -> Result<Uri, String> {
    if text.contains('#') {
        return Err("a request's URL has no `#`: the gateway answers 400".to_owned());
    }
    // As in the head of a request, the target begins behind the authority.
    let authority = text.find("://").map_or(0, |at| at + 3);
    let target = text[authority..].find(['/', '?']).map_or(text.len(), |at| authority + at);
    let escaped = route::raw::escape(text.as_bytes(), target, false);
    let text = String::from_utf8_lossy(&escaped);
    text.parse::<Uri>().map_err(|error| format!("{error}"))
}

fn field(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("a field is written `name: value`")?;
    let name = name.trim().parse().map_err(|_| format!("`{name}` is not a field name"))?;
    let value = value.trim().parse().map_err(|_| format!("`{value}` is not a field value"))?;
    Ok((name, value))
}

/// Answers for each listener that the request could come in by.
pub(super) fn explain(question: &Question, format: LogFormat) -> Result<(), Refused> {
    let prepared = prepare(&question.file).map_err(|refusal| {
        report(&refusal.text(), format);
        Refused
    })?;
    let config = &prepared.config;
    let headers: HeaderMap = question.header.iter().cloned().collect();
    for id in listeners(question, config)? {
        print(&format!("listener {}:\n", config.listeners[id.0].name));
        print(&on_listener(question, config, id, &headers));
    }
    Ok(())
}

/// Listeners differ in what they take for a path.
fn on_listener(
    question: &Question,
    config: &Config,
    id: ListenerId,
    headers: &HeaderMap,
) -> String {
    let path = question.url.path();
    let normalised = match route::normalise(path, config.listeners[id.0].paths) {
        Ok(normalised) => normalised,
        Err(error) => {
            return format!("400: the path `{path}` is refused before any route: {error}\n");
        }
    };
    let query = Query {
        host: question.url.host().unwrap_or_default(),
        path: &normalised,
        method: &question.method,
        headers,
        query: question.url.query(),
    };
    let answer = answer(config, id, &query);
    if normalised == path {
        return answer;
    }
    format!("the path is matched and forwarded as {normalised}\n{answer}")
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
    let mut text = explanation.to_string();
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
    for plugin in route.plugins.iter().map(|plugin| &config.plugins[plugin.0]) {
        let names: Vec<_> = plugin.forward_to.iter().map(|(name, _)| name.as_str()).collect();
        if !names.is_empty() {
            let (plugin, names) = (&plugin.name, names.join(", "));
            text.push_str(&format!("  or an upstream that {plugin} chooses: {names}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_url_as_the_gateway_reads_a_target() {
        let read = |text: &str| url(text).map(|url| url.to_string());
        let escaped = "http://a.example/%3C?q=%22b%22".to_owned();
        assert_eq!(read("http://a.example/<?q=\"b\""), Ok(escaped));
        assert_eq!(read("/caf\u{e9}?`"), Ok("/caf%C3%A9?`".to_owned()));
        assert!(url("/a#b").is_err() && url("/a b").is_err() && url("http://<a>/").is_err());
    }
}
