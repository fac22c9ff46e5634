//! Keeps responses, for the tests of that: each 200 to `GET` under its path and query, fresh for `fresh_ms`. The request
//! says more in fields: `x-variant` (which entry under the key), `x-tenant` (whose it is), `x-stale` (`serve`: stale, and
//! renewed in the background; otherwise the upstream is asked first), `x-key` (another key), `x-wait` (milliseconds that
//! it waits for another), `x-purge` (a tag). The response says: `x-tags`, `x-private` (not stored), `x-watch` (its body is seen
//! in chunks; one with `discard` in it is not stored). Each answer says in `x-cache` where it came from.

use std::time::Duration;

use gateway_plugin_sdk::cache::{
    self, Background, Collapsed, Entry, Freshening, Freshness, Serve, Store,
};
use gateway_plugin_sdk::prelude::*;

/// The plugin, configured.
pub struct Caches(Config);

/// What it is configured with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// For how long an entry is fresh.
    fresh_ms: u64,
}

/// What the response hooks need.
#[derive(Default, Serialize, Deserialize)]
pub struct Asked {
    key: Vec<u8>,
    variant: String,
    tenant: String,
}

/// For how long an entry is kept.
const KEPT: Duration = Duration::from_secs(3600);

impl Plugin for Caches {
    type Config = Config;
    type Context = Asked;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Ok(Self(config))
    }

    fn interest(&self) -> Interest {
        let fields = ["x-variant", "x-tenant", "x-stale", "x-key", "x-wait", "x-purge"];
        let interest = Interest::on_request().method().path().query().and_on_response();
        fields.iter().fold(interest, |interest, name| interest.header(name))
    }

    fn on_request(&self, request: &mut Request, asked: &mut Asked) -> Outcome {
        if let Some(tag) = request.header("x-purge") {
            let purged = cache::purge_tag(tag);
            return Outcome::respond(Response::new(200).body(purged.to_string()));
        }
        if !matches!(request.method(), "GET" | "HEAD") {
            return Outcome::Next;
        }
        let path = format!("{}?{}", request.path(), request.query().unwrap_or_default());
        asked.key = request.header("x-key").map_or(path, str::to_owned).into_bytes();
        asked.variant = request.header("x-variant").unwrap_or_default().to_owned();
        asked.tenant = request.header("x-tenant").unwrap_or_default().to_owned();
        let is_it = |entry: &Entry| entry.metadata == asked.variant.as_bytes();
        if let Some(entry) = cache::lookup(&asked.key).into_iter().find(is_it) {
            if entry.resident < Duration::from_millis(self.0.fresh_ms) {
                return serve(Serve::new(entry.id).set_header("x-cache", "hit"));
            }
            let tag = cache::field(entry.id, "etag").pop().unwrap_or_default();
            if request.header("x-stale") == Some("serve") {
                let background = Background::new()
                    .context(asked)
                    .entry(entry.id)
                    .set_header("if-none-match", tag);
                let is_sent = cache::revalidate(&asked.key, &background);
                let serve_it = Serve::new(entry.id).freshness(Freshness::Stale);
                let how = format!("stale, {is_sent:?}");
                return serve(serve_it.set_header("x-cache", how));
            }
            if cache::keep(entry.id).is_ok() {
                request.set_header("if-none-match", tag);
            }
        }
        let wait = request.header("x-wait").and_then(|it| it.parse().ok()).unwrap_or(20_000);
        if let Ok(Collapsed::Joins(entry)) =
            cache::collapse(&asked.key, Duration::from_millis(wait), 10_000)
            && entry.metadata == asked.variant.as_bytes()
        {
            return serve(Serve::new(entry.id).set_header("x-cache", "joined"));
        }
        request.remove_header("range");
        Outcome::Next
    }

    fn on_response(&self, response: &mut ResponseHead, asked: &mut Asked) -> Outcome {
        if let Some(kept) = cache::kept() {
            if response.status() == 304 {
                let renewed = Freshening::new(KEPT).set_header("x-renewed", "yes");
                let entry = cache::freshen(kept.id, &renewed).unwrap_or(kept);
                let serve_it = Serve::new(entry.id).freshness(Freshness::Revalidated);
                return serve(serve_it.set_header("x-cache", "revalidated"));
            }
            if response.status() >= 500 {
                let serve_it = Serve::new(kept.id).freshness(Freshness::Stale);
                return serve(serve_it.set_header("x-cache", "stale if error"));
            }
        }
        let watches = response.header("x-watch").is_some();
        if response.status() == 200
            && !asked.key.is_empty()
            && response.header("x-private").is_none()
        {
            let store = Store::new(&asked.key, KEPT)
                .variant(asked.variant.as_str())
                .metadata(asked.variant.as_str())
                .partition(asked.tenant.as_str())
                .remove_header("x-not-kept");
            let tags = response.header("x-tags").unwrap_or_default().to_owned();
            let store = tags.split_whitespace().fold(store, |store, tag| store.tag(tag));
            let stored = cache::store(&store);
            response.set_header("x-cache", format!("miss, {stored:?}"));
        }
        if watches {
            response.want_body(BodyMode::Chunks);
        }
        Outcome::Next
    }

    fn on_response_chunk(&self, chunk: &mut Chunk, _: &mut Asked) -> ChunkOutcome {
        if chunk.data().windows(7).any(|it| it == b"discard") {
            let _was_stored = cache::discard();
        }
        ChunkOutcome::Next
    }
}

fn serve(serve: Serve) -> Outcome {
    match cache::serve(&serve) {
        Ok(()) => Outcome::Next,
        Err(error) => Outcome::respond(Response::problem(500, "Not served", error.to_string())),
    }
}

register_plugin!(Caches);
