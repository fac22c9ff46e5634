//! The last quarter of an hour, a point every five seconds.
//!
//! Owns its bounds: so many points, and in each so many routes, the busiest. With 10,000 routes it takes as
//! much memory as with 250: three megabytes.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::figures::{percentile, rounded};
use crate::telemetry::traffic::{DURATION_BOUNDS, OVERHEAD_BOUNDS, RouteGlance, STATUS_CLASSES};

/// Points: a quarter of an hour.
const POINTS: usize = 180;
/// Routes of a point; of more, the busiest.
const ROUTES: usize = 250;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct History {
    points: VecDeque<Point>,
    last: u64,
}

/// Five seconds.
#[derive(Debug)]
pub(super) struct Point {
    pub(super) sequence: u64,
    /// Their end, in seconds since 1970.
    pub(super) at: f64,
    /// How many they really were.
    pub(super) seconds: f64,
    pub(super) total: Figures,
    pub(super) in_flight: u64,
    /// Of the time of all workers.
    pub(super) busy: Option<f64>,
    pub(super) memory: Option<u64>,
    pub(super) connections: u64,
    pub(super) routes: Vec<(Arc<str>, Figures)>,
    /// Routes with requests that there was no place for.
    pub(super) omitted: usize,
}

/// What is kept of a route.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    classes: [u32; STATUS_CLASSES.len()],
    failed: u32,
    /// Three percentiles, in seconds.
    duration: [Option<f32>; 3],
    overhead: [Option<f32>; 3],
}

const SHARES: [(&str, f64); 3] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)];

impl Figures {
    pub(super) fn of(glance: &RouteGlance) -> Self {
        let small = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        #[expect(clippy::cast_possible_truncation, reason = "four digits are shown")]
        let of = |bounds: &[f64], counts: &[u64]| {
            SHARES.map(|(_, share)| percentile(bounds, counts, share).map(|it| it as f32))
        };
        Self {
            classes: glance.classes.map(small),
            failed: small(glance.failed()),
            duration: of(&DURATION_BOUNDS, &glance.duration),
            overhead: of(&OVERHEAD_BOUNDS, &glance.overhead),
        }
    }

    pub(super) fn requests(&self) -> u64 {
        self.classes.iter().map(|count| u64::from(*count)).sum()
    }
}

impl Point {
    /// Those of all requests, or of one route, which is at zero if it has none.
    fn of(&self, route: Option<&str>) -> Figures {
        let Some(route) = route else { return self.total.clone() };
        let found = self.routes.binary_search_by(|(name, _)| (**name).cmp(route));
        found.map_or_else(|_| Figures::default(), |index| self.routes[index].1.clone())
    }
}

impl History {
    /// Adds a point and forgets the oldest, if there are too many.
    pub(super) fn push(&mut self, mut point: Point) {
        self.last += 1;
        point.sequence = self.last;
        if point.routes.len() > ROUTES {
            point.routes.sort_by_key(|(_, figures)| std::cmp::Reverse(figures.requests()));
            point.omitted = point.routes.len() - ROUTES;
            point.routes.truncate(ROUTES);
        }
        point.routes.sort_by(|one, other| one.0.cmp(&other.0));
        point.routes.shrink_to_fit();
        if self.points.len() == POINTS {
            self.points.pop_front();
        }
        self.points.push_back(point);
    }

    /// The number of the last point.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// As columns, since charts are drawn of them.
    pub(super) fn json(&self, route: Option<&str>, after: u64) -> Value {
        let points: Vec<&Point> = self.points.iter().filter(|it| it.sequence > after).collect();
        let figures: Vec<Figures> = points.iter().map(|point| point.of(route)).collect();
        let rate = |count: &dyn Fn(&Figures) -> u64| -> Value {
            let rates = points.iter().zip(&figures).map(|(point, figures)| {
                #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
                let count = count(figures) as f64;
                rounded(count / point.seconds.max(0.001))
            });
            rates.collect()
        };
        let times = |of: &dyn Fn(&Figures) -> [Option<f32>; 3]| -> Value {
            let column = |index: usize| -> Value {
                let times = figures.iter().map(|figures| of(figures)[index]);
                times.map(|time| time.map(|time| rounded(f64::from(time)))).collect()
            };
            let columns = SHARES.iter().enumerate();
            columns.map(|(index, (name, _))| ((*name).to_owned(), column(index))).collect()
        };
        let statuses: Map<String, Value> = STATUS_CLASSES
            .iter()
            .enumerate()
            .map(|(index, class)| ((*class).to_owned(), rate(&|it| it.classes[index].into())))
            .collect();
        let mut columns = json!({
            "sequence": points.iter().map(|it| it.sequence).collect::<Value>(),
            "at": points.iter().map(|it| (it.at * 10.0).round() / 10.0).collect::<Value>(),
            "requests_per_second": rate(&Figures::requests),
            "statuses_per_second": statuses,
            "failed_per_second": rate(&|it| it.failed.into()),
            "duration_seconds": times(&|it| it.duration),
            "overhead_seconds": times(&|it| it.overhead),
            "routes_omitted": points.iter().map(|it| it.omitted).collect::<Value>(),
        });
        if route.is_none() {
            columns["in_flight"] = points.iter().map(|it| it.in_flight).collect();
            columns["busy_share"] = points.iter().map(|it| it.busy.map(rounded)).collect();
            columns["memory_bytes"] = points.iter().map(|it| it.memory).collect();
            columns["connections"] = points.iter().map(|it| it.connections).collect();
        }
        json!({ "route": route, "interval_seconds": 5, "last": self.last, "points": columns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(routes: impl Iterator<Item = (String, u64)>) -> Point {
        let glance = |requests| {
            let mut glance = RouteGlance::default();
            (glance.classes[2], glance.duration[3]) = (requests, requests);
            Figures::of(&glance)
        };
        Point {
            sequence: 0,
            at: 1.0,
            seconds: 5.0,
            total: glance(10),
            in_flight: 1,
            busy: None,
            memory: Some(7),
            connections: 2,
            routes: routes.map(|(name, requests)| (name.into(), glance(requests))).collect(),
            omitted: 0,
        }
    }

    #[test]
    fn it_is_bounded_and_keeps_the_busiest() {
        let mut history = History::default();
        for _ in 0..200 {
            let routes = (0..300).map(|number| (format!("route-{number}"), number));
            history.push(point(routes));
        }
        assert_eq!((history.points.len(), history.last()), (POINTS, 200));
        assert!(history.points.iter().all(|it| it.routes.len() == ROUTES && it.omitted == 50));
        let busiest = history.json(Some("route-299"), 198);
        assert_eq!(busiest["points"]["requests_per_second"], json!([59.8, 59.8]));
        assert_eq!(busiest["points"]["statuses_per_second"]["2xx"], json!([59.8, 59.8]));
        let idle = history.json(Some("route-3"), 199);
        assert_eq!(idle["points"]["requests_per_second"], json!([0.0]));
        assert_eq!(idle["points"]["duration_seconds"]["p50"], json!([null]));
        let all = history.json(None, 199);
        assert_eq!(all["points"]["requests_per_second"], json!([2.0]));
        assert_eq!(all["points"]["sequence"], json!([200]));
        assert_eq!(all["points"]["duration_seconds"]["p50"], json!([0.003_75]));
        assert_eq!(history.json(None, 200)["points"]["at"], json!([]));
    }
}
