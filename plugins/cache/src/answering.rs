//! A response of the upstream: it confirms what is stored, is stored, or passes.

use std::time::Duration;

use gateway_cache_policy::freshen::{Freshened, freshen};
use gateway_cache_policy::freshness::is_explicit;
use gateway_cache_policy::select::{invalidates, is_error, may_stand_in};
use gateway_cache_policy::status::{Forward, Report};
use gateway_cache_policy::store::{Rules, Storing};
use gateway_cache_policy::variation::Variation;
use gateway_cache_policy::{Fields, Millis, NotStored, store};
use gateway_plugin_sdk::cache::{self, Entry, Freshening, Freshness, Serve, Store};
use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::*;

use crate::asked::{Asked, Kept, now};
use crate::looking::{One, is_fulfilled};
use crate::{Cache, tags};

/// How many responses for one path are found by `No-Vary-Search`.
const MOST_SEARCHES: usize = 64;

impl Cache {
    /// Sees the response to a request that was sent on.
    pub(crate) fn answer(&self, response: &mut ResponseHead, asked: Asked) {
        let status = response.status();
        let fields =
            Fields::new(response.headers().into_iter().map(|line| (line.name, line.value)));
        let now = now();
        if !matches!(asked.method.as_str(), "GET" | "HEAD") {
            if invalidates(&asked.method, status) {
                for tag in tags::invalidated(&asked, &fields, &self.settings.query) {
                    cache::purge_tag(&tag);
                }
            }
            let report = if says_itself(&asked, status, &fields, &self.settings.rules, now) {
                let mut got = asked.clone();
                "GET".clone_into(&mut got.method);
                self.store(response, &got, status, &fields, now)
            } else {
                Report::default()
            };
            return self.report(response, &asked, report);
        }
        let kept = cache::kept().and_then(|entry| Some((Kept::of(&entry, now)?, entry)));
        if let Some((kept, entry)) = kept {
            if status == 304 && asked.validates {
                return self.confirmed(response, &asked, (kept, entry), &fields, now);
            }
            let request = asked.sent(response.request(), &[]);
            if is_error(status) && may_stand_in(&request, &kept.stored, now) {
                let report = Report {
                    hit: true,
                    forward: Some(asked.why),
                    forward_status: Some(status),
                    ttl: Some(kept.stored.ttl(now)),
                    ..Report::default()
                };
                let serve = self.serving(&asked, &kept, &entry, &report, now);
                if !cache::is_background()
                    && cache::serve(&serve.freshness(Freshness::Stale)).is_ok()
                {
                    return;
                }
            }
            if asked.method == "HEAD" && status == 200 {
                self.compare(&asked, (&kept, &entry), &fields, response, now);
            }
        }
        let report = self.store(response, &asked, status, &fields, now);
        self.report(response, &asked, report);
    }

    /// The upstream says that what is stored is still right.
    fn confirmed(
        &self,
        response: &mut ResponseHead,
        asked: &Asked,
        (mut kept, entry): (Kept, Entry),
        fields: &Fields,
        now: Millis,
    ) {
        let lines = cache::fields(entry.id).unwrap_or_default();
        let old = Fields::new(lines.into_iter().map(|line| (line.name, line.value)));
        let names: Vec<_> = kept.stored.vary.iter().map(|(name, _)| name.clone()).collect();
        let request = asked.sent(response.request(), &names);
        let rules = &self.settings.rules;
        let before = (&kept.stored, entry.status, &old);
        let Some(fresh) = freshen(&request, before, fields, rules, asked.at, now) else {
            // It has said `304` to what was asked, so the client gets that, as it was. Nothing is updated by it, and the
            // next request asks for all of it.
            log::warn!("a confirmation has other validators than what is stored: {}", asked.url);
            let report = Report {
                forward: Some(asked.why),
                forward_status: Some(304),
                detail: Some("other-validators"),
                ..Report::default()
            };
            let serve = self.serving(asked, &kept, &entry, &report, now);
            if !cache::is_background() {
                let _gone = cache::serve(&serve.freshness(Freshness::Stale));
            }
            asked.forget(&kept);
            return;
        };
        let report = Report {
            forward: Some(asked.why),
            forward_status: Some(304),
            ttl: Some(fresh.stored.ttl(now)),
            stored: fresh.keep > 0,
            ..Report::default()
        };
        kept.stored = fresh.stored.clone();
        let entry = if fresh.keep > 0 { freshened(&entry, &kept, &fresh) } else { entry };
        if cache::is_background() {
            return;
        }
        let mut serve = self.serving(asked, &kept, &entry, &report, now);
        for (name, value) in joined(&fresh.set).chain(joined(&fresh.own)) {
            serve = serve.set_header(name, value);
        }
        let _gone = cache::serve(&serve.freshness(Freshness::Revalidated));
    }

    /// A response to `HEAD` says whether what is stored is still right (RFC 9111 section 4.3.5).
    fn compare(
        &self,
        asked: &Asked,
        (kept, entry): (&Kept, &Entry),
        fields: &Fields,
        response: &ResponseHead,
        now: Millis,
    ) {
        let length = fields.text("content-length").and_then(|text| text.parse::<u64>().ok());
        let lines = cache::fields(entry.id).unwrap_or_default();
        let old = Fields::new(lines.into_iter().map(|line| (line.name, line.value)));
        let names: Vec<_> = kept.stored.vary.iter().map(|(name, _)| name.clone()).collect();
        let request = asked.sent(response.request(), &names);
        let is_same = length.is_none() || entry.size.is_none() || length == entry.size;
        let fresh = is_same
            .then(|| {
                let before = (&kept.stored, entry.status, &old);
                freshen(&request, before, fields, &self.settings.rules, asked.at, now)
            })
            .flatten();
        match fresh {
            Some(fresh) if fresh.keep > 0 => {
                let kept = Kept { stored: fresh.stored.clone(), ..kept.clone() };
                freshened(entry, &kept, &fresh);
            }
            Some(_) => {}
            None => asked.forget(kept),
        }
    }

    fn serving(
        &self,
        asked: &Asked,
        kept: &Kept,
        entry: &Entry,
        report: &Report,
        now: Millis,
    ) -> Serve {
        let one = One { entry, stored: &kept.stored, said: &kept.said };
        let serve = self.reported(Serve::new(entry.id), one, report, now);
        if is_fulfilled(asked, entry, &kept.stored) { serve.status(304) } else { serve }
    }

    /// Stores the response if the rules allow it.
    fn store(
        &self,
        response: &ResponseHead,
        asked: &Asked,
        status: u16,
        fields: &Fields,
        now: Millis,
    ) -> Report {
        if asked.splits {
            return Report { detail: Some("variant"), ..Report::default() };
        }
        if asked.why == Forward::Bypass {
            return Report::default();
        }
        let varies = match gateway_cache_policy::vary::Vary::of(fields) {
            gateway_cache_policy::vary::Vary::Names(names) => names,
            gateway_cache_policy::vary::Vary::Never => Vec::new(),
        };
        let request = asked.sent(response.request(), &varies);
        let rules = &self.settings.rules;
        match store(&request, status, fields, rules, asked.at, now) {
            Ok(storing) => {
                let (names, counts) = (&self.settings.tag_fields, &self.settings.query);
                let Some(tags) = tags::of(asked, fields, names, counts) else {
                    self.useless.add(&asked.key, now);
                    return Report { detail: Some("too-many-tags"), ..Report::default() };
                };
                let ttl = Some(storing.stored.ttl(now));
                let is_stored = self.put(asked, fields, storing, tags);
                if is_stored {
                    self.useless.remove(&asked.key);
                }
                let detail = (!is_stored).then_some("refused-by-store");
                Report {
                    stored: is_stored,
                    ttl: ttl.filter(|_| is_stored),
                    detail,
                    ..Report::default()
                }
            }
            Err(why) => {
                if !matches!(why, NotStored::Method | NotStored::Request | NotStored::Status)
                    && !is_error(status)
                {
                    self.useless.add(&asked.key, now);
                }
                let detail = (why != NotStored::Method).then(|| why.name());
                Report { detail, ..Report::default() }
            }
        }
    }

    fn put(&self, asked: &Asked, fields: &Fields, storing: Storing, tags: Vec<String>) -> bool {
        let search = Variation::of(fields)
            .filter(|_| !asked.query.is_empty())
            .filter(|_| cache::lookup(&asked.path_key()).len() < MOST_SEARCHES)
            .map(|search| (search.key(&asked.query), search))
            .map(|(key, search)| (search, key));
        let path_key = search.as_ref().map(|_| asked.path_key());
        let key = path_key.as_ref().unwrap_or(&asked.key);
        let mut variant = storing.stored.variant();
        if let Some((_, query)) = &search {
            variant.extend_from_slice(b"\n?");
            variant.extend_from_slice(query.as_bytes());
        }
        let said = fields.value("cache-status").unwrap_or_default().into_owned();
        let kept = Kept { stored: storing.stored, said, search };
        let mut store = Store::new(key, Duration::from_secs(storing.keep))
            .variant(variant)
            .metadata(kept.to_bytes())
            .partition(asked.consumer.chars().take(64).collect::<String>());
        for tag in tags {
            store = store.tag(tag);
        }
        for name in storing.without {
            store = store.remove_header(name);
        }
        cache::store(&store).is_ok()
    }

    /// Says in the response how it came about.
    fn report(&self, response: &mut ResponseHead, asked: &Asked, report: Report) {
        let Some(name) = &self.settings.name else { return };
        let is_read = matches!(asked.method.as_str(), "GET" | "HEAD");
        let forward = Some(if is_read { asked.why } else { Forward::Method });
        let report = Report { forward, ..report };
        response.add_header("cache-status", report.write(name));
    }
}

/// Whether a response to `POST` is what a `GET` of the same URL would get, for as long as it says (RFC 9110 section 9.3.3).
fn says_itself(asked: &Asked, status: u16, fields: &Fields, rules: &Rules, now: Millis) -> bool {
    asked.method == "POST"
        && status == 200
        && tags::is_of(&asked.url, fields)
        && is_explicit(fields, &rules.targets, now)
}

/// Changes what is stored as a confirmation has it.
fn freshened(entry: &Entry, kept: &Kept, fresh: &Freshened) -> Entry {
    let mut freshening = Freshening::new(Duration::from_secs(fresh.keep)).metadata(kept.to_bytes());
    for name in &fresh.remove {
        freshening = freshening.remove_header(name);
    }
    for (name, value) in joined(&fresh.set) {
        freshening = freshening.set_header(name, value);
    }
    cache::freshen(entry.id, &freshening).unwrap_or_else(|_| entry.clone())
}

/// The fields, each name once.
fn joined(fields: &Fields) -> impl Iterator<Item = (String, Vec<u8>)> {
    let mut names: Vec<_> = fields.iter().map(|(name, _)| name.to_owned()).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().filter_map(|name| {
        let value = fields.value(&name)?.into_owned();
        Some((name, value))
    })
}
