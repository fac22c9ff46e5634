//! Access to internals for the micro-benchmarks under `benches/`. Not part of the public interface: it
//! changes with what it measures.
//!
//! Owns nothing: each measure calls what a request calls. Must not be used by anything else.

use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method};
use http_body::Body as _;

use crate::body::Body;
use crate::chain::{self, Chain, Run};
use crate::config::{self, ListenerId, PluginId, Source};
use crate::heads::{ExchangeFacts, ExchangeView, RequestHead, RouteNames};
use crate::plugin::{Loader, Pool};
use crate::route::{Found, Query, Table};
use crate::share::{Flow, Share};
use crate::state::State;
use crate::state::limits::{Charge, Limits};

/// A chain of plugins, and a request to run through it.
pub struct Hooks {
    chain: Rc<Chain>,
    heads: ExchangeView,
    pools: Vec<Rc<Pool>>,
    flow: Rc<Flow>,
    _loader: Loader,
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks").field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl Hooks {
    /// A chain of `count` configured plugins of this component.
    ///
    /// # Panics
    /// If they cannot be loaded.
    #[must_use]
    pub fn of(component: &Path, config: &str, count: usize) -> Self {
        let text = format!(
            "[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\n\
             [[routes]]\nname = \"r\"\npaths = [\"/{{*rest}}\"]\nplugins = [\"p\"]\n\
             respond = {{ status = 200 }}\n\
             [plugins.p]\ncomponent = \"{}\"\nconfig = {config}\n",
            component.display()
        );
        let known = config::Known { built_in: &[] };
        let loaded = config::read(Source::new("measure.toml", &text), &|_| None, &known)
            .unwrap_or_else(|errors| panic!("{}", errors.render(false)));
        let loader = Loader::new(None, State::default(), &[]).expect("an engine");
        let plugin = loader.load(&loaded.config.plugins[0], None, &mut Vec::new());
        let plugin = Arc::new(plugin.unwrap_or_else(|errors| panic!("{errors:?}")));
        let pools: Vec<_> =
            (0..count).map(|_| Rc::new(Pool::new(Arc::clone(&plugin), None))).collect();
        for pool in &pools {
            crate::plugin::wait(pool.make_here()).expect("an instance");
        }
        let ids: Vec<_> = (0..count).map(PluginId).collect();
        let heads = heads(&Table::build(&loaded.config, ListenerId(0)));
        let (share, route) = (Rc::new(Share::default()), "r");
        let flow = pools[0].flow(&share, route);
        let chain = Rc::new(Chain::new(&ids, &pools, &share, route));
        Self { chain, heads, pools, flow, _loader: loader }
    }

    /// Runs the request and its body, if this is not empty, through the chain. Returns the bytes of
    /// the body that came out.
    ///
    /// # Panics
    /// If a plugin fails or waits.
    pub fn request(&self, body: &Bytes, pieces: usize) -> usize {
        let run = Run::start(&self.chain, Arc::new(self.heads.clone()), None, None);
        let mut body = match pieces {
            _ if body.is_empty() => Body::empty(),
            1 => Body::full(body.clone()),
            left => Body::filtered(Box::pin(Pieces { piece: body.clone(), left })),
        };
        ready(chain::on_request(&run, &mut body)).expect("the plugins let it pass");
        let mut bytes = 0;
        while let Some(frame) =
            ready(std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)))
        {
            bytes += frame.expect("a body").data_ref().map_or(0, Bytes::len);
        }
        bytes
    }

    /// Takes an instance out of the pool and puts it back.
    ///
    /// # Panics
    /// If there is none.
    pub fn checkout(&self) {
        self.pools[0].ready(&self.flow).expect("an instance is there").put_back();
    }
}

fn ready<T>(work: impl Future<Output = T>) -> T {
    let work = std::pin::pin!(work);
    match work.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("a plugin waits, which is no part of what is measured"),
    }
}

/// A request as browsers send it.
fn heads(table: &Table) -> ExchangeView {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "api.example.com"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-GB,en;q=0.7,de;q=0.3"),
        ("accept-encoding", "gzip, deflate, br"),
        ("x-api-key", "quickstart-key"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let target = PathAndQuery::from_static("/orders/17?page=2");
    let query = Query {
        host: "api.example.com",
        path: target.path(),
        method: &Method::GET,
        headers: &headers,
        query: target.query(),
    };
    let Found::Route { pattern, captures, .. } = table.find(&query) else {
        panic!("the route takes every path");
    };
    ExchangeView {
        request: RequestHead { method: Method::GET, target: target.clone(), headers },
        response: None,
        attributes: Vec::new(),
        received: None,
        cached: None,
        facts: ExchangeFacts {
            client: [127, 0, 0, 1].into(),
            client_port: 40_000,
            certificate: None,
            request_id: HeaderValue::from_static("0190b1c2-0000-7000-8000-000000000000"),
            scheme: "https",
            host: "api.example.com".into(),
            authority: Some(HeaderValue::from_static("api.example.com")),
            has_body: false,
            has_upgrade: false,
            waited: Duration::ZERO,
            listener: "l".into(),
            route: Arc::new(RouteNames {
                name: "r".into(),
                patterns: Box::default(),
                variants: Box::default(),
            }),
            pattern,
            captures,
            matched: target,
            upstream: None,
            variant: None,
            calls: None,
            attempts: None,
            cache: None,
            amounts: None,
            counted: None,
            held_by: None,
            passed: 0,
        },
    }
}

/// A body of many pieces.
struct Pieces {
    piece: Bytes,
    left: usize,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = crate::body::BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        let Some(left) = self.left.checked_sub(1) else { return Poll::Ready(None) };
        self.left = left;
        Poll::Ready(Some(Ok(http_body::Frame::data(self.piece.clone()))))
    }
}

/// The token buckets.
#[derive(Debug)]
pub struct Limiter(Limits);

impl Default for Limiter {
    /// As large as a plugin's are by default.
    fn default() -> Self {
        Self(Limits::new(State::default().metrics.of(&"measured".into()), 64 << 20))
    }
}

impl Limiter {
    /// Charges a bucket that has enough.
    pub fn charge(&self, key: &str) -> bool {
        let charge = Charge {
            key,
            limit: 1_000_000_000,
            period: 1_000_000_000,
            burst: 1_000_000_000,
            cost: 1,
        };
        self.0.take(&[charge])[0].allowed
    }
}
