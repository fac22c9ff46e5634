//! A request: whether and how it is answered from what is stored.

use std::time::Duration;

use gateway_cache_policy::conditional::{FOR_THE_ORIGIN, is_not_modified};
use gateway_cache_policy::status::{Forward, Report};
use gateway_cache_policy::{Decision, Millis, Stored, select};
use gateway_plugin_sdk::cache::{self, Background, Collapsed, Entry, Freshness, Serve};
use gateway_plugin_sdk::prelude::*;

use crate::Cache;
use crate::asked::{Asked, Kept, Progress, now};
use crate::settings::is_listed;

/// The fields of a request that are about a part of the response, or that make it conditional.
const OF_ONE_CLIENT: [&str; 4] = ["if-none-match", "if-modified-since", "range", "if-range"];

/// One stored response.
#[derive(Clone, Copy)]
pub(crate) struct One<'a> {
    pub(crate) entry: &'a Entry,
    pub(crate) stored: &'a Stored,
    /// What other caches have said of it.
    pub(crate) said: &'a [u8],
}

/// What is stored for a key.
struct Found {
    entries: Vec<Entry>,
    stored: Vec<Stored>,
    said: Vec<Vec<u8>>,
}

impl Cache {
    /// Answers from what is stored, or sends the request on.
    pub(crate) fn look(
        &self,
        request: &mut Request,
        mut asked: Asked,
        progress: &mut Progress,
    ) -> Outcome {
        // The variant is chosen behind the plugins: what one answers is not for those who have another.
        if asked.splits || self.goes_past(request) {
            return forward(request, asked, Forward::Bypass, progress);
        }
        let now = asked.at;
        let found = self.find(&asked, request);
        match select(&asked.arrived(request, &found.stored), &found.stored, now) {
            Decision::Nothing => {
                let detail = "What was asked for is not stored, or not fresh enough, and the request has `only-if-cached`.";
                let mut refused = Response::problem(504, "Not Stored", detail);
                if let Some(name) = &self.settings.name {
                    let report = Report { detail: Some("only-if-cached"), ..Report::default() };
                    refused = refused.header("cache-status", report.write(name));
                }
                Outcome::respond(refused)
            }
            Decision::Fresh(at) => {
                self.serve(&asked, found.at(at), Freshness::Fresh);
                // Until one of them is a second older, all of this comes out the same.
                let next = found.stored.iter().map(|stored| stored.until_older(now)).min();
                request.reuse_for(Duration::from_millis(next.unwrap_or_default()));
                Outcome::Next
            }
            Decision::Stale(at) => {
                self.serve(&asked, found.at(at), Freshness::Stale);
                Outcome::Next
            }
            Decision::Revalidating(at) => {
                self.serve(&asked, found.at(at), Freshness::Stale);
                self.revalidate(request, asked, found.at(at));
                Outcome::Next
            }
            Decision::Validate(at, why) => {
                asked.why = why;
                let One { entry, stored, .. } = found.at(at);
                if cache::keep(entry.id).is_err() {
                    return forward(request, asked, why, progress);
                }
                if asked.method == "GET" && why == Forward::Stale && self.joins(request, &mut asked)
                {
                    return Outcome::Next;
                }
                asked.validates = stored.validators.is_any();
                if asked.validates {
                    for name in OF_ONE_CLIENT {
                        request.remove_header(name);
                    }
                    for (name, value) in conditions(stored) {
                        request.set_header(name, value);
                    }
                }
                forward(request, asked, why, progress)
            }
            Decision::Forward(why) => {
                let is_of_one = OF_ONE_CLIENT.into_iter().chain(FOR_THE_ORIGIN);
                let is_of_one = is_of_one.clone().any(|name| request.header_bytes(name).is_some());
                // What is asked for in somebody's name is most often for that one alone.
                let is_shared =
                    !asked.has_credentials || asked.owns_key || !found.stored.is_empty();
                let may_join = asked.method == "GET"
                    && matches!(why, Forward::UriMiss | Forward::VaryMiss)
                    && is_shared
                    && !is_of_one
                    && !asked.directives.no_store;
                if may_join && self.joins(request, &mut asked) {
                    return Outcome::Next;
                }
                forward(request, asked, why, progress)
            }
        }
    }

    /// Whether somebody who may asks to go past the cache.
    fn goes_past(&self, request: &Request) -> bool {
        let settings = &self.settings;
        let asks = |name| request.header_bytes(name).is_some();
        let (id, group) = (request.attribute("consumer.id"), request.attribute("consumer.group"));
        settings.bypass_header.as_ref().is_some_and(asks)
            && is_listed(settings.may_bypass.as_ref(), id, group)
    }

    /// What is stored: for the query as it is, or for all whose other parameters do not count (`No-Vary-Search`).
    fn find(&self, asked: &Asked, request: &Request) -> Found {
        let mut found = Found { entries: Vec::new(), stored: Vec::new(), said: Vec::new() };
        found.add(cache::lookup(&asked.key), asked.at, |_| true);
        let query = request.query().unwrap_or_default();
        if found.entries.is_empty() && !query.is_empty() {
            let is_for = |kept: &Kept| {
                kept.search.as_ref().is_some_and(|(search, key)| search.key(&asked.query) == *key)
            };
            found.add(cache::lookup(&asked.path_key()), asked.at, is_for);
        }
        found
    }

    /// Answers with a stored response.
    fn serve(&self, asked: &Asked, one: One<'_>, freshness: Freshness) {
        let ttl = Some(one.stored.ttl(asked.at));
        let report = Report { hit: true, ttl, collapsed: asked.collapsed, ..Report::default() };
        let mut serve = Serve::new(one.entry.id).freshness(freshness);
        if is_fulfilled(asked, one.entry, one.stored) {
            serve = serve.status(304);
        }
        serve = self.reported(serve, one, &report, asked.at);
        let _gone = cache::serve(&serve);
    }

    /// With the age of a stored response, and what is said of it.
    pub(crate) fn reported(
        &self,
        serve: Serve,
        one: One<'_>,
        report: &Report,
        now: Millis,
    ) -> Serve {
        let serve = serve.set_header("age", one.stored.age(now).to_string());
        let Some(name) = &self.settings.name else { return serve };
        let own = report.write(name);
        if one.said.is_empty() {
            return serve.set_header("cache-status", own);
        }
        serve.set_header("cache-status", [one.said, b", ", own.as_bytes()].concat())
    }

    /// Has a stale response revalidated, beside that it is served.
    fn revalidate(&self, request: &Request, mut asked: Asked, one: One<'_>) {
        let One { entry, stored, .. } = one;
        if asked.method != "GET" {
            return;
        }
        let mut background = Background::new().entry(entry.id);
        for name in OF_ONE_CLIENT.into_iter().chain(["cache-control", "pragma"]) {
            background = background.remove_header(name);
        }
        for (name, value) in conditions(stored) {
            background = background.set_header(name, value);
        }
        asked.keep_url(request);
        asked.conditions.clear();
        asked.directives = gateway_cache_policy::RequestDirectives::default();
        asked.validates = stored.validators.is_any();
        asked.why = Forward::Stale;
        let key = asked.key.clone();
        let background = background.context(&Progress(Some(Box::new(asked))));
        // If one is under way already, that is enough.
        let _one_is_enough = cache::revalidate(&key, &background);
    }

    /// Whether another request has asked for the same, so that this one waits for its response, or is answered with it.
    fn joins(&self, request: &mut Request, asked: &mut Asked) -> bool {
        let settings = &self.settings;
        if settings.collapse_wait.is_zero() || self.useless.has(&asked.key, asked.at) {
            return false;
        }
        match cache::collapse(&asked.key, settings.collapse_wait, settings.collapse_waiters) {
            Ok(Collapsed::Waits) => true,
            Ok(Collapsed::Joins(entry)) => {
                let now = now();
                let Some(kept) = Kept::of(&entry, now) else { return false };
                let stored = [kept.stored];
                asked.collapsed = true;
                if select(&asked.arrived(request, &stored), &stored, now) != Decision::Fresh(0) {
                    return false;
                }
                let one = One { entry: &entry, stored: &stored[0], said: &kept.said };
                self.serve(asked, one, Freshness::Fresh);
                true
            }
            Ok(Collapsed::Leads | Collapsed::Alone) | Err(_) => false,
        }
    }
}

impl Found {
    fn add(&mut self, entries: Vec<Entry>, now: Millis, is_for: impl Fn(&Kept) -> bool) {
        for entry in entries {
            if let Some(kept) = Kept::of(&entry, now).filter(&is_for) {
                self.entries.push(entry);
                self.stored.push(kept.stored);
                self.said.push(kept.said);
            }
        }
    }

    fn at(&self, at: usize) -> One<'_> {
        One { entry: &self.entries[at], stored: &self.stored[at], said: &self.said[at] }
    }
}

/// Whether the client has what is stored, by the conditions of its request.
pub(crate) fn is_fulfilled(asked: &Asked, entry: &Entry, stored: &Stored) -> bool {
    // Conditions are about a response that would be a success (RFC 9110 section 13.2.1).
    !asked.conditions.is_empty()
        && (200..300).contains(&entry.status)
        && is_not_modified(&asked.conditions(), &stored.validators, stored.generated, asked.at)
}

/// The fields that ask whether a stored response is still right.
fn conditions(stored: &Stored) -> impl Iterator<Item = (&'static str, String)> {
    let validators = stored.validators.clone();
    let tag = validators.etag.map(|tag| ("if-none-match", tag));
    tag.into_iter().chain(validators.last_modified.map(|date| ("if-modified-since", date)))
}

/// Sends the request on.
fn forward(
    request: &mut Request,
    mut asked: Asked,
    why: Forward,
    progress: &mut Progress,
) -> Outcome {
    asked.why = why;
    asked.at = now();
    asked.keep_url(request);
    progress.0 = Some(Box::new(asked));
    Outcome::Next
}
