//! The endpoints of the admin API.
//!
//! Owns the table: one row an endpoint, with what it is asked by, what it answers, and whether it changes
//! anything. The OpenAPI document is held against it by a test.

use std::pin::Pin;
use std::time::Duration;

use http::Method;
use percent_encoding::percent_decode_str;

use super::call::{Answer, Call, Refusal};
use super::{
    Admin, caches, certificates, chain, configuration, dashboard, documents, events, experiments,
    explain, health, keys, limits, listeners, log_level, metrics, models, openapi, plugins,
    recorded, reload, requests, routes, stores, traffic, upstreams, usage,
};

/// How long an answer may take, with reading the request's body.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same of a reload, which compiles plugins.
const LONG: Duration = Duration::from_secs(180);

/// An endpoint.
#[derive(Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "tests hold the document against all of it"))]
pub(super) struct Endpoint {
    pub(super) method: Method,
    /// `/routes/{name}`: each parameter is one segment.
    pub(super) path: &'static str,
    /// What it is for, as in the OpenAPI document.
    pub(super) summary: &'static str,
    /// The schema of its answer in the OpenAPI document; none for what is no JSON.
    pub(super) schema: Option<&'static str>,
    /// Whether it changes something, and is written to the audit log.
    pub(super) changes: bool,
    pub(super) access: Access,
    pub(super) timeout: Duration,
    pub(super) handler: Handler,
}

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody who can reach the listener: what probes ask.
    Open,
    /// Who has the token, where there is one.
    Guarded,
}

/// An answer that is waited for.
pub(super) type Waiting<'a> = Pin<Box<dyn Future<Output = Answer> + 'a>>;

/// How an answer is made.
#[derive(Debug)]
pub(super) enum Handler {
    /// At once.
    Now(fn(&Admin, &Call) -> Answer),
    /// On a thread apart, since it may compute for long. Few are at a time.
    Apart(fn(&Admin, &Call) -> Answer),
    /// By waiting for somebody else.
    Waits(for<'a> fn(&'a Admin, &'a Call) -> Waiting<'a>),
}

use Handler::{Apart, Now, Waits};

/// All of them.
#[rustfmt::skip]
pub(super) static ENDPOINTS: &[Endpoint] = &[
    get("/", "To the dashboard", None, Now(dashboard::redirect)).open(),
    get("/dashboard", "To the dashboard", None, Now(dashboard::redirect)).open(),
    get("/dashboard/", "The dashboard, for people", None, Now(dashboard::page)).open(),
    get("/dashboard/{file}", "A file of the dashboard", None, Now(dashboard::file)).open(),
    get("/healthz", "Whether the gateway takes connections, as text", None, Now(health::healthz)).open(),
    get("/livez", "Whether the process lives", Some("Live"), Now(health::livez)).open(),
    get("/readyz", "Whether requests are served, and why not", Some("Readiness"), Now(health::readyz)).open(),
    get("/version", "Which gateway this is", Some("Version"), Now(health::version)),
    get("/metrics", "Metrics for Prometheus", None, Now(metrics::metrics)),
    get("/traffic", "The last quarter of an hour", Some("Traffic"), Now(traffic::history)),
    get("/traffic/stream", "What passes at the moment, as events", None, Now(traffic::stream)),
    get("/usage", "Who used how much", Some("Usage"), Waits(usage::usage)),
    get("/requests", "What happened to single requests", Some("Requests"), Now(requests::list)),
    get("/requests/{id}", "What happened to one request", Some("Record"), Now(requests::one)),
    get("/config", "The configuration in force", Some("Configuration"), Apart(configuration::in_force)),
    get("/config/diff", "What the file on disk would change", Some("Difference"), Apart(configuration::diff)),
    get("/routes", "The routes, in the order of the file", Some("Routes"), Apart(routes::list)),
    get("/routes/{name}", "One route and its traffic", Some("Route"), Apart(routes::one)),
    get("/routes/{name}/chain", "The plugins of a route and what each costs", Some("Chain"), Apart(chain::one)),
    get("/listeners", "The listeners and their connections", Some("Listeners"), Now(listeners::list)),
    get("/upstreams", "The upstreams and their targets", Some("Upstreams"), Apart(upstreams::list)),
    get("/upstreams/{name}", "One upstream and its targets", Some("Upstream"), Apart(upstreams::one)),
    post("/upstreams/{name}/drain", "Send a target no more requests", Some("Upstream"), Now(upstreams::drain)),
    post("/upstreams/{name}/enable", "Let a target have requests again", Some("Upstream"), Now(upstreams::enable)),
    get("/plugins", "The plugins and what they cost", Some("Plugins"), Apart(plugins::list)),
    get("/plugins/{name}", "One plugin and what it costs", Some("Plugin"), Apart(plugins::one)),
    get("/plugins/{name}/metrics", "What a plugin recorded, and its slots", Some("Recorded"), Now(recorded::of_plugin)),
    get("/experiments", "The experiments of plugins and what is known of their variants", Some("Experiments"), Apart(experiments::list)),
    get("/experiments/{name}", "One experiment", Some("Experiment"), Apart(experiments::one)),
    get("/models", "The models of plugins and how their deployments stand", Some("Models"), Now(models::list)),
    get("/documents", "The documents and how they stand", Some("DocumentStates"), Apart(documents::list)),
    get("/stores", "The stores and how they stand", Some("StoreStates"), Apart(stores::list)),
    get("/events", "The sinks of events and how they stand", Some("EventSinks"), Apart(events::list)),
    get("/caches", "The caches and how they stand", Some("Caches"), Apart(caches::list)),
    post("/caches/{name}/purge", "Remove stored responses", Some("CachePurge"), Apart(caches::purge)),
    get("/limits", "The limits of a consumer", Some("Limits"), Waits(limits::look)),
    post("/limits/reset", "Have a consumer's limits begin again", Some("LimitsReset"), Waits(limits::reset)),
    get("/keys", "The sets of API keys and how they stand", Some("KeySets"), Now(keys::sets)),
    get("/keys/{set}", "The API keys of a set, in the order of their identifiers", Some("ApiKeys"), Waits(keys::list)),
    post("/keys/{set}", "Add an API key", Some("NewKey"), Waits(keys::add)),
    get("/keys/{set}/{id}", "One API key", Some("ApiKey"), Waits(keys::one)),
    patch("/keys/{set}/{id}", "Change what is known of an API key", Some("ApiKey"), Waits(keys::change)),
    delete("/keys/{set}/{id}", "Revoke an API key", Some("ApiKey"), Waits(keys::revoke)),
    post("/keys/{set}/{id}/rotate", "Give an API key another secret", Some("NewKey"), Waits(keys::rotate)),
    get("/certificates", "The certificates and when they end", Some("Certificates"), Now(certificates::list)),
    get("/explain", "Which route takes a request, and why", Some("Account"), Apart(explain::explain)),
    post("/reload", "Put the file on disk in force", Some("Reload"), Waits(reload::reload)).long(),
    get("/log-level", "The filter of the log", Some("LogLevel"), Now(log_level::get)),
    put("/log-level", "Change the filter of the log", Some("LogLevel"), Apart(log_level::put)),
    get("/openapi.json", "This document", Some("Document"), Now(openapi::document)),
];

const fn endpoint(
    method: Method,
    path: &'static str,
    summary: &'static str,
    schema: Option<&'static str>,
    handler: Handler,
) -> Endpoint {
    let (changes, access, timeout) = (false, Access::Guarded, PATIENCE);
    Endpoint { method, path, summary, schema, changes, access, timeout, handler }
}

const fn get(
    path: &'static str,
    summary: &'static str,
    schema: Option<&'static str>,
    handler: Handler,
) -> Endpoint {
    endpoint(Method::GET, path, summary, schema, handler)
}

const fn post(
    path: &'static str,
    summary: &'static str,
    schema: Option<&'static str>,
    handler: Handler,
) -> Endpoint {
    endpoint(Method::POST, path, summary, schema, handler).changing()
}

const fn put(
    path: &'static str,
    summary: &'static str,
    schema: Option<&'static str>,
    handler: Handler,
) -> Endpoint {
    endpoint(Method::PUT, path, summary, schema, handler).changing()
}

const fn patch(
    path: &'static str,
    summary: &'static str,
    schema: Option<&'static str>,
    handler: Handler,
) -> Endpoint {
    endpoint(Method::PATCH, path, summary, schema, handler).changing()
}

const fn delete(
    path: &'static str,
    summary: &'static str,
    schema: Option<&'static str>,
    handler: Handler,
) -> Endpoint {
    endpoint(Method::DELETE, path, summary, schema, handler).changing()
}

impl Endpoint {
    const fn open(mut self) -> Self {
        self.access = Access::Open;
        self
    }

    const fn long(mut self) -> Self {
        self.timeout = LONG;
        self
    }

    const fn changing(mut self) -> Self {
        self.changes = true;
        self
    }

    fn takes(&self, method: &Method) -> bool {
        // hyper sends no body with the answer to HEAD.
        self.method == *method || (self.method == Method::GET && *method == Method::HEAD)
    }

    /// What the parameters of the path stand for, if it is this endpoint's.
    fn matches(&self, path: &str) -> Option<Vec<String>> {
        let mut parameters = Vec::new();
        let (mut wanted, mut given) = (self.path.split('/'), path.split('/'));
        loop {
            match (wanted.next(), given.next()) {
                (None, None) => return Some(parameters),
                (Some(name), Some(value)) if name.starts_with('{') && !value.is_empty() => {
                    parameters.push(percent_decode_str(value).decode_utf8_lossy().into_owned());
                }
                (Some(one), Some(other)) if one == other => {}
                _ => return None,
            }
        }
    }
}

/// The endpoint that a request is for, and what the parameters of its path stand for.
///
/// # Errors
/// 404, and 405 with the methods that there are.
pub(super) fn find(
    method: &Method,
    path: &str,
) -> Result<(&'static Endpoint, Vec<String>), Refusal> {
    let mut allow = Vec::new();
    for endpoint in ENDPOINTS {
        let Some(parameters) = endpoint.matches(path) else { continue };
        if endpoint.takes(method) {
            return Ok((endpoint, parameters));
        }
        allow.push(endpoint.method.as_str());
        if endpoint.method == Method::GET {
            allow.push("HEAD");
        }
    }
    if allow.is_empty() {
        return Err(Refusal::not_found("there is no such endpoint: `/openapi.json` describes all"));
    }
    Err(Refusal::no_such_method(allow.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_by_path_and_method() {
        let asked = |method: Method, path: &str| match find(&method, path) {
            Ok((endpoint, parameters)) => format!("{} {parameters:?}", endpoint.path),
            Err(refusal) => format!("{} {:?}", refusal.status.as_u16(), refusal.allow),
        };
        assert_eq!(asked(Method::GET, "/routes"), "/routes []");
        assert_eq!(asked(Method::HEAD, "/routes/a%2Fb"), "/routes/{name} [\"a/b\"]");
        assert_eq!(asked(Method::POST, "/routes"), "405 Some(\"GET, HEAD\")");
        assert_eq!(asked(Method::POST, "/log-level"), "405 Some(\"GET, HEAD, PUT\")");
        assert_eq!(asked(Method::GET, "/reload"), "405 Some(\"POST\")");
        assert_eq!(asked(Method::GET, "/dashboard/"), "/dashboard/ []");
        assert_eq!(asked(Method::GET, "/dashboard/a.js"), "/dashboard/{file} [\"a.js\"]");
        for path in ["", "/routes/", "/routes/a/b", "//routes", "/Routes"] {
            assert_eq!(asked(Method::GET, path), "404 None", "{path}");
        }
    }
}
