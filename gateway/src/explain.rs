//! Explains the route that a request takes through a configuration.
//!
//! Owns the account: on each listener that it could come in by, every route that is considered, the
//! predicate that fails, the plugins and where the file puts them, and what the route does. The same for a
//! file and for a gateway that runs. Must not change anything, nor know HTTP.

mod account;
mod text;

use http::{HeaderMap, Method};

pub use account::{Account, Act, Considered, Copies, FilePosition, OnListener, PutPlugin, Resends};

use crate::config::{self, Action, Config, ListenerId, Positions, Route};
use crate::route::{self, Query, Step, Verdict};

/// A request that nobody has sent.
#[derive(Debug, Clone)]
pub struct Question {
    /// The method.
    pub method: Method,
    /// The URL; a path alone is a request without a host.
    pub url: http::Uri,
    /// The fields.
    pub headers: HeaderMap,
    /// Only this listener. Default: those on the URL's port, or all if there is none.
    pub listener: Option<String>,
    /// Routes that an account names, at most: those that matter come first.
    pub routes: usize,
}

/// The URL of a request as the head of one would have it.
///
/// # Errors
/// What is wrong with it, in words for people.
pub fn url(text: &str) -> Result<http::Uri, String> {
    // What the parser would cut off is said to be refused, as the gateway does.
    if text.contains('#') {
        return Err("a request's URL has no `#`: the gateway answers 400".to_owned());
    }
    // As in the head of a request, the target begins behind the authority.
    let authority = text.find("://").map_or(0, |at| at + 3);
    let target = text[authority..].find(['/', '?']).map_or(text.len(), |at| authority + at);
    let escaped = route::raw::escape(text.as_bytes(), target, false);
    let text = String::from_utf8_lossy(&escaped);
    text.parse::<http::Uri>().map_err(|error| format!("{error}"))
}

/// Answers for each listener that the request could come in by.
///
/// # Errors
/// When there is no such listener, in words for people.
pub fn explain(config: &Config, question: &Question) -> Result<Account, String> {
    let file = config.source.path().display().to_string();
    let places = Places { file, positions: config.source.positions(), config };
    let listeners = listeners(config, question)?.into_iter();
    let listeners = listeners.map(|id| on_listener(&places, question, id)).collect();
    Ok(Account { listeners })
}

fn listeners(config: &Config, question: &Question) -> Result<Vec<ListenerId>, String> {
    let all = || (0..config.listeners.len()).map(ListenerId);
    if let Some(name) = &question.listener {
        let found = all().find(|id| config.listeners[id.0].name == *name);
        return found.map(|id| vec![id]).ok_or_else(|| format!("there is no listener `{name}`"));
    }
    let port = question.url.port_u16();
    let on_port = |id: &ListenerId| Some(config.listeners[id.0].address.port()) == port;
    let matching: Vec<_> = all().filter(on_port).collect();
    Ok(if matching.is_empty() { all().collect() } else { matching })
}

/// The plugins of a route, first to last, and where the file puts them.
pub(crate) fn chain(config: &Config, route: &Route) -> Vec<PutPlugin> {
    let file = config.source.path().display().to_string();
    plugins(&Places { file, positions: config.source.positions(), config }, route)
}

/// Turns spans into places.
struct Places<'c> {
    file: String,
    positions: Positions<'c>,
    config: &'c Config,
}

impl Places<'_> {
    fn of(&self, offset: usize) -> FilePosition {
        let position = self.positions.of(offset);
        FilePosition { file: self.file.clone(), line: position.line, column: position.column }
    }
}

/// Listeners differ in what they take for a path.
fn on_listener(places: &Places<'_>, question: &Question, id: ListenerId) -> OnListener {
    let config = places.config;
    let listener = &config.listeners[id.0];
    let mut account = OnListener { listener: listener.name.clone(), ..OnListener::default() };
    let path = question.url.path();
    let normalised = match route::normalise(path, listener.paths) {
        Ok(normalised) => normalised,
        Err(error) => {
            let why = format!("the path `{path}` is refused before any route: {error}");
            (account.status, account.refused) = (Some(400), Some(why));
            return account;
        }
    };
    account.path = (normalised != path).then(|| normalised.to_string());
    let query = Query {
        host: question.url.host().unwrap_or_default(),
        path: &normalised,
        method: &question.method,
        headers: &question.headers,
        query: question.url.query(),
    };
    let explanation = route::explain(config, id, &query);
    account.allow = explanation.allow.iter().map(Method::to_string).collect();
    account.routes_total = explanation.steps.len();
    let winner = explanation.winner;
    let first = explanation.steps.iter().take(question.routes).enumerate();
    account.routes =
        first.map(|(number, step)| considered(places, step, winner == Some(number))).collect();
    let Some(winner) = winner.map(|winner| &config.routes[explanation.steps[winner].route]) else {
        account.status = Some(if account.allow.is_empty() { 404 } else { 405 });
        return account;
    };
    account.winner = Some(winner.name.clone());
    account.plugins = plugins(places, winner);
    account.action = Some(act(config, &winner.action));
    account.retries = winner.retries.as_ref().map(resends);
    account.mirror = winner.mirror.as_ref().map(|mirror| Copies {
        upstream: config.upstreams[mirror.upstream.0].name.clone(),
        ratio: mirror.ratio,
    });
    account
}

fn considered(places: &Places<'_>, step: &Step, wins: bool) -> Considered {
    let place = places.of(places.config.routes[step.route].span.start);
    let bare = Considered {
        route: step.name.clone(),
        place,
        matches: step.matches(),
        wins,
        ..Considered::default()
    };
    match &step.verdict {
        Verdict::Matches { pattern } => Considered { pattern: Some(pattern.clone()), ..bare },
        Verdict::Fails { predicate, want, got } => Considered {
            predicate: Some(predicate.clone()),
            want: Some(want.clone()),
            got: got.clone(),
            ..bare
        },
    }
}

/// The plugins of a route, first to last.
fn plugins(places: &Places<'_>, route: &Route) -> Vec<PutPlugin> {
    let put = |(index, id): (usize, &crate::config::PluginId)| {
        let plugin = &places.config.plugins[id.0];
        // A configuration that was not read from a text has no places.
        let span = route.plugin_spans.get(index).unwrap_or(&route.span);
        PutPlugin {
            plugin: plugin.name.clone(),
            component: plugin.component_text.clone(),
            put_at: places.of(span.start),
            defined_at: places.of(plugin.span.start),
            forward_to: plugin.forward_to.iter().map(|(name, _)| name.clone()).collect(),
        }
    };
    route.plugins.iter().enumerate().map(put).collect()
}

fn resends(retries: &config::Retries) -> Resends {
    let config::RetryOn { connect, reset, timeout } = retries.on;
    let on = [(connect, "connect"), (reset, "reset"), (timeout, "timeout")];
    let on = on.into_iter().filter(|(is_on, _)| *is_on).map(|(_, name)| name.to_owned());
    Resends {
        attempts: retries.attempts,
        on: on.collect(),
        statuses: retries.statuses.clone(),
        attempt_timeout_seconds: retries.attempt_timeout.map(|it| it.as_secs_f64()),
        hedge_after_seconds: retries.hedge_after.map(|it| it.as_secs_f64()),
    }
}

fn act(config: &Config, action: &Action) -> Act {
    let named = |kind: &str, name: &str| Act {
        kind: kind.to_owned(),
        name: Some(name.to_owned()),
        status: None,
    };
    let answered =
        |kind: &str, status: u16| Act { kind: kind.to_owned(), name: None, status: Some(status) };
    match action {
        Action::Forward(id) => named("upstream", &config.upstreams[id.0].name),
        Action::Split(split) => {
            let variant = |it: &config::Variant| {
                format!(
                    "{} ({}, weight {})",
                    it.name, config.upstreams[it.upstream.0].name, it.weight
                )
            };
            let variants: Vec<_> = split.variants.iter().map(variant).collect();
            named("split", &variants.join(", "))
        }
        Action::Component(id) => named("component", &config.components[id.0].name),
        Action::Respond(fixed) => answered("respond", fixed.status.as_u16()),
        Action::Redirect(redirect) => answered("redirect", redirect.status.as_u16()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_else_becomes_of_a_request() {
        let text = r#"
            [[listeners]]
            name = "l"
            address = "127.0.0.1:0"
            [upstreams.one]
            targets = ["http://127.0.0.1:1"]
            [upstreams.two]
            targets = ["http://127.0.0.1:2"]
            [[routes]]
            name = "r"
            paths = ["/"]
            split = { variants = [{ name = "now", upstream = "one", weight = 9 }, { name = "next", upstream = "two", weight = 1 }] }
            retries = { attempts = 2, on = ["connect"], statuses = [503], attempt_timeout = "2s" }
            mirror = { upstream = "two", ratio = 0.1 }
        "#;
        let source = config::Source::new("test.toml", text);
        let loaded = config::read(source, &|_| None, &config::Known { built_in: &[] }).unwrap();
        let question = Question {
            method: Method::GET,
            url: "/".parse().unwrap(),
            headers: HeaderMap::new(),
            listener: None,
            routes: 10,
        };
        let account = explain(&loaded.config, &question).unwrap();
        let told = account.to_string();
        let expected = "then: split now (one, weight 9), next (two, weight 1)\n  \
                        sent up to 2 times, on connect, 503; 2 s for each\n  copies of 10% go to two\n";
        assert!(told.ends_with(expected), "{told}");
        let read: Account =
            serde_json::from_str(&serde_json::to_string(&account).unwrap()).unwrap();
        assert_eq!(read, account);
    }

    #[test]
    fn reads_a_url_as_the_gateway_reads_a_target() {
        let read = |text: &str| url(text).map(|url| url.to_string());
        let escaped = "http://a.example/%3C?q=%22b%22".to_owned();
        assert_eq!(read("http://a.example/<?q=\"b\""), Ok(escaped));
        assert_eq!(read("/caf\u{e9}?`"), Ok("/caf%C3%A9?`".to_owned()));
        assert!(url("/a#b").is_err() && url("/a b").is_err() && url("http://<a>/").is_err());
    }
}
