//! A look at all cells, and what came since the last one.
//!
//! Owns what was seen before. A route without a request since then costs two loads for each worker; one
//! with requests a few hundred. Plugins and targets are looked at only while somebody listens.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use foldhash::fast::RandomState;

use super::difference;
use super::history::{Figures, Point};
use crate::telemetry::metrics::{Metrics, PluginGlance};
use crate::telemetry::traffic::{RouteGlance, TargetGlance};

/// What was seen before.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    count: u64,
    at: Option<Instant>,
    routes: HashMap<Arc<str>, Known, RandomState>,
    total: RouteGlance,
    /// Since the last point of the history.
    point_began: Option<Instant>,
    workers: Vec<Option<f64>>,
    busy: Busy,
    targets: Option<HashMap<String, TargetGlance>>,
    plugins: Option<HashMap<String, PluginGlance>>,
}

#[derive(Debug)]
struct Known {
    name: Arc<str>,
    ended: u64,
    last: RouteGlance,
    /// Since the last point of the history.
    pending: RouteGlance,
    /// The look at which it was there.
    seen: u64,
}

/// The share of the workers' time that they computed, weighed by time.
#[derive(Debug, Default)]
struct Busy {
    seconds: f64,
    of: f64,
}

/// What came between two looks, and what is now.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) sequence: u64,
    /// Seconds since 1970.
    pub(super) at: f64,
    pub(super) interval: f64,
    pub(super) total: RouteGlance,
    pub(super) in_flight: u64,
    /// Routes with requests, the busiest first.
    pub(super) routes: Vec<RouteLook>,
    /// Those with tries, by upstream and target.
    pub(super) targets: Vec<(String, String, TargetGlance)>,
    pub(super) plugins: Vec<PluginGlance>,
    /// Of each worker, the share of its time that it computed.
    pub(super) workers: Vec<Option<f64>>,
    pub(super) memory: Option<u64>,
    pub(super) connections: u64,
}

#[derive(Debug)]
pub(super) struct RouteLook {
    pub(super) name: Arc<str>,
    pub(super) since: RouteGlance,
    pub(super) in_flight: u64,
}

impl Sampler {
    /// Looks; at plugins and targets too if somebody listens.
    pub(super) fn look(&mut self, metrics: &Metrics, is_heard: bool) -> Look {
        self.count += 1;
        let now = Instant::now();
        let interval = self.at.replace(now).map_or(0.0, |at| (now - at).as_secs_f64());
        let (total, in_flight, mut routes) = self.routes(metrics);
        routes.sort_by(|one, other| {
            let by_requests = other.since.requests().cmp(&one.since.requests());
            by_requests.then_with(|| one.name.cmp(&other.name))
        });
        Look {
            sequence: self.count,
            at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |it| it.as_secs_f64()),
            interval,
            total,
            in_flight,
            routes,
            targets: self.targets(metrics, is_heard),
            plugins: self.plugins(metrics, is_heard),
            workers: self.workers(metrics, interval),
            memory: metrics.resident_bytes(),
            connections: metrics.connections(),
        }
    }

    fn routes(&mut self, metrics: &Metrics) -> (RouteGlance, u64, Vec<RouteLook>) {
        let (mut total, mut in_flight, mut active) = (RouteGlance::default(), 0, Vec::new());
        let (count, is_first) = (self.count, self.count == 1);
        metrics.traffic.each_route(|route| {
            let Some((began, ended)) = route.progress() else { return };
            let open = began.saturating_sub(ended);
            in_flight += open;
            let known = match self.routes.get_mut(route.name()) {
                Some(known) => known,
                None => {
                    // What ended before the first look is no news; later, all of it is.
                    let (last, ended) = match is_first {
                        true => (route.glance(), ended),
                        false => (RouteGlance::default(), 0),
                    };
                    let name: Arc<str> = route.name().into();
                    let new = Known {
                        name: Arc::clone(&name),
                        ended,
                        last,
                        pending: RouteGlance::default(),
                        seen: 0,
                    };
                    self.routes.entry(name).or_insert(new)
                }
            };
            known.seen = count;
            let mut since = RouteGlance::default();
            if known.ended != ended {
                let glance = route.glance();
                since = glance.since(&known.last);
                (known.ended, known.last) = (ended, glance);
                known.pending += &since;
                total += &since;
            } else if open == 0 {
                return;
            }
            active.push(RouteLook { name: Arc::clone(&known.name), since, in_flight: open });
        });
        // Those that a reload took away.
        self.routes.retain(|_, known| known.seen == count);
        self.total += &total;
        (total, in_flight, active)
    }

    fn targets(
        &mut self,
        metrics: &Metrics,
        is_heard: bool,
    ) -> Vec<(String, String, TargetGlance)> {
        if !is_heard {
            self.targets = None;
            return Vec::new();
        }
        let before = self.targets.take();
        let (mut now, mut since, mut key) = (HashMap::new(), Vec::new(), String::new());
        metrics.traffic.each_target(|upstream, target, glance| {
            key.clear();
            key.extend([upstream, "\0", target]);
            if let Some(before) = &before {
                let less = before.get(&key).cloned().unwrap_or_default();
                let less = TargetGlance {
                    answered: glance.answered.saturating_sub(less.answered),
                    failed: glance.failed.saturating_sub(less.failed),
                    opened: glance.opened.saturating_sub(less.opened),
                };
                if less != TargetGlance::default() {
                    since.push((upstream.to_owned(), target.to_owned(), less));
                }
            }
            now.insert(key.clone(), glance);
        });
        self.targets = Some(now);
        since.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
        since
    }

    fn plugins(&mut self, metrics: &Metrics, is_heard: bool) -> Vec<PluginGlance> {
        if !is_heard {
            self.plugins = None;
            return Vec::new();
        }
        let now = metrics.plugin_glances();
        let before = self.plugins.take();
        let since = |now: &PluginGlance| {
            let before = before.as_ref()?.get(&now.name);
            Some(difference::plugin(now, before.unwrap_or(&PluginGlance::default())))
        };
        let mut since: Vec<_> = now.iter().filter_map(since).collect();
        let calls = |it: &PluginGlance| it.hooks.iter().map(|hook| hook.calls()).sum::<u64>();
        since.sort_by(|one, other| calls(other).cmp(&calls(one)).then(one.name.cmp(&other.name)));
        self.plugins = Some(now.into_iter().map(|it| (it.name.clone(), it)).collect());
        since
    }

    fn workers(&mut self, metrics: &Metrics, interval: f64) -> Vec<Option<f64>> {
        let now = metrics.worker_seconds();
        let before = std::mem::replace(&mut self.workers, now);
        let mut shares = Vec::with_capacity(self.workers.len());
        for (index, now) in self.workers.iter().enumerate() {
            let before = before.get(index).copied().flatten();
            let share = now.zip(before).filter(|_| interval > 0.0).map(|(now, before)| {
                self.busy.seconds += (now - before).max(0.0);
                self.busy.of += interval;
                ((now - before) / interval).clamp(0.0, 1.0)
            });
            shares.push(share);
        }
        shares
    }

    /// A point of the history, if it is time for one.
    pub(super) fn point(&mut self, look: &Look, every: Duration) -> Option<Point> {
        let now = Instant::now();
        let began = *self.point_began.get_or_insert(now);
        // Looks are not exactly a second apart.
        let took = now - began;
        if took + Duration::from_millis(200) < every {
            return None;
        }
        self.point_began = Some(now);
        let total = std::mem::take(&mut self.total);
        let mut routes = Vec::new();
        for (name, known) in &mut self.routes {
            if known.pending.requests() > 0 {
                routes.push((Arc::clone(name), Figures::of(&known.pending)));
                known.pending = RouteGlance::default();
            }
        }
        let busy = std::mem::take(&mut self.busy);
        Some(Point {
            sequence: 0,
            at: look.at,
            seconds: took.as_secs_f64(),
            total: Figures::of(&total),
            in_flight: look.in_flight,
            busy: (busy.of > 0.0).then(|| (busy.seconds / busy.of).clamp(0.0, 1.0)),
            memory: look.memory,
            connections: look.connections,
            routes,
            omitted: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::traffic::Sample;

    fn request(metrics: &Metrics, route: &str) {
        let route = metrics.traffic.of_route(route, 1);
        route.begin(0);
        route.end(
            0,
            &Sample {
                status: Some(200),
                fault: None,
                reason: None,
                candidate: None,
                duration: Duration::from_millis(3),
                upstream: None,
                overhead: None,
                uploaded: 0,
                downloaded: 0,
            },
        );
    }

    #[test]
    fn a_look_has_what_came_since_the_last() {
        let (metrics, mut sampler) = (Metrics::default(), Sampler::default());
        request(&metrics, "a");
        let look = sampler.look(&metrics, true);
        assert_eq!((look.total.requests(), look.routes.len()), (0, 0), "before the first look");
        request(&metrics, "a");
        request(&metrics, "b");
        request(&metrics, "b");
        metrics.traffic.of_route("c", 1).begin(0);
        let look = sampler.look(&metrics, true);
        let seen: Vec<_> =
            look.routes.iter().map(|it| (&*it.name, it.since.requests(), it.in_flight)).collect();
        assert_eq!(seen, [("b", 2, 0), ("a", 1, 0), ("c", 0, 1)]);
        assert_eq!((look.total.requests(), look.in_flight), (3, 1));
        // The point has all looks since the last point.
        request(&metrics, "a");
        let look = sampler.look(&metrics, false);
        let point = sampler.point(&look, Duration::ZERO).expect("it is time");
        assert_eq!((point.total.requests(), point.routes.len()), (4, 2));
        let look = sampler.look(&metrics, false);
        let point = sampler.point(&look, Duration::ZERO).expect("it is time");
        assert_eq!((point.total.requests(), point.routes.len()), (0, 0));
        assert!(sampler.point(&look, Duration::from_secs(60)).is_none());
        // What a reload took away is forgotten.
        metrics.traffic.keep(&["a"].into(), &[].into(), &[].into());
        sampler.look(&metrics, false);
        assert_eq!(sampler.routes.keys().map(|it| &**it).collect::<Vec<_>>(), ["a"]);
    }
}
