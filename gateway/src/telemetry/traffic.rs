//! What passes on each route and at each target: requests by status, times, sizes, and how tries end.
//!
//! Owns the cells and their names for the life of the process: a reload sets nothing back, and a route
//! that is gone keeps its numbers until its name is forgotten. Each worker adds to cells of its own, which
//! are made with the first request of a route, so that workers never write to one cache line, and routes
//! without traffic cost a pointer. Must not know what a request is.

mod exemplars;
mod glance;
mod groups;
mod mirrors;
mod targets;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use dashmap::DashMap;
use foldhash::fast::RandomState;

pub(crate) use self::exemplars::Candidate;
pub(super) use self::exemplars::Exemplar;
use self::exemplars::Exemplars;
pub(super) use self::exemplars::ShownExemplars;
pub(super) use self::groups::OTHER;
use self::groups::{GroupCells, Groups, Pairs};
pub(crate) use self::mirrors::{MirrorTraffic, Mirrored};
pub(crate) use self::targets::{RESULTS, TargetTraffic, Tried};
use super::per_worker::PerWorker;
use crate::error::Reason;
pub(crate) use glance::{
    DURATION_BOUNDS, OVERHEAD_BOUNDS, RouteGlance, STATUS_CLASSES, TargetGlance,
};

/// Statuses that have a series of their own. Others are counted by their class.
const STATUSES: [u16; 31] = [
    101, 200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 402, 403, 404, 405, 408,
    409, 411, 412, 413, 415, 422, 429, 500, 501, 502, 503, 504,
];

/// The classes, and requests that got no response at all.
pub(super) const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Upper bounds of the buckets of times, in seconds.
pub(super) const SECONDS: [f64; 16] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0,
];

/// The same of what the gateway itself takes.
pub(super) const OVERHEAD: [f64; 12] =
    [0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 1.0];

/// The same of bodies, in bytes.
pub(super) const BYTES: [f64; 7] =
    [256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 1_048_576.0, 16_777_216.0];

/// The same bounds in whole nanoseconds and bytes: requests are counted without floating-point numbers.
const SECONDS_NS: [u64; SECONDS.len()] = whole(SECONDS, 1e9);
const OVERHEAD_NS: [u64; OVERHEAD.len()] = whole(OVERHEAD, 1e9);
const BYTES_WHOLE: [u64; BYTES.len()] = whole(BYTES, 1.0);

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bounds are positive, and whole in this unit but for their rounding"
)]
const fn whole<const N: usize>(bounds: [f64; N], unit: f64) -> [u64; N] {
    let mut in_unit = [0; N];
    let mut index = 0;
    while index < N {
        in_unit[index] = (bounds[index] * unit + 0.5) as u64;
        index += 1;
    }
    in_unit
}

/// By whose fault exchanges fail.
pub(crate) const FAULTS: [&str; 4] = ["client", "upstream", "plugin", "gateway"];

/// The routes and the targets of upstreams, of all configurations so far.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    routes: DashMap<Box<str>, Arc<RouteTraffic>, RandomState>,
    /// By route and variant.
    variants: DashMap<(Box<str>, Box<str>), Arc<RouteTraffic>, RandomState>,
    /// By route.
    mirrors: DashMap<Box<str>, Arc<MirrorTraffic>, RandomState>,
    targets: DashMap<(Box<str>, Box<str>), Arc<TargetTraffic>, RandomState>,
    unread: Arc<Unread>,
    pairs: Pairs,
}

/// Heads of requests that could not be read, by reason. They are rare, and have no route.
#[derive(Debug)]
pub(crate) struct Unread([AtomicU64; Reason::COUNT]);

impl Default for Unread {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; Reason::COUNT])
    }
}

impl Unread {
    /// One was refused; a place among the reasons.
    pub(crate) fn refused(&self, reason: usize) {
        self.0[reason].fetch_add(1, Relaxed);
    }

    /// Those that there were.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts =
            Reason::all().zip(&self.0).map(|((word, _), count)| (word, count.load(Relaxed)));
        counts.filter(|(_, count)| *count > 0)
    }
}

impl Traffic {
    /// Those of the route of this name; the empty name stands for requests without a route.
    pub(crate) fn of_route(&self, route: &str, workers: usize) -> Arc<RouteTraffic> {
        let new = || self.new_route(route, "", workers);
        self.routes.entry(route.into()).or_insert_with(new).clone()
    }

    /// Those of a variant of a route, which are among those of the route too.
    pub(crate) fn of_variant(
        &self,
        route: &str,
        variant: &str,
        workers: usize,
    ) -> Arc<RouteTraffic> {
        let new = || self.new_route(route, variant, workers);
        self.variants.entry((route.into(), variant.into())).or_insert_with(new).clone()
    }

    fn new_route(&self, name: &str, variant: &str, workers: usize) -> Arc<RouteTraffic> {
        let (groups, pairs) = (OnceLock::new(), self.pairs.clone());
        let (name, variant) = (name.into(), variant.into());
        Arc::new(RouteTraffic { name, variant, cells: PerWorker::new(workers), groups, pairs })
    }

    /// Those of copies of the requests of a route, for an upstream.
    pub(crate) fn of_mirror(&self, route: &str, upstream: &str) -> Arc<MirrorTraffic> {
        let new = || Arc::new(MirrorTraffic::new(route, upstream));
        let mut known = self.mirrors.entry(route.into()).or_insert_with(new);
        if *known.upstream != *upstream {
            *known = new();
        }
        known.clone()
    }

    /// All copies, by route.
    pub(super) fn mirrors(&self) -> Vec<Arc<MirrorTraffic>> {
        let mut all: Vec<_> = self.mirrors.iter().map(|known| Arc::clone(&known)).collect();
        all.sort_by(|one, other| one.route.cmp(&other.route));
        all
    }

    /// Those of a target of the upstream of this name.
    pub(crate) fn of_target(
        &self,
        upstream: &str,
        target: &str,
        workers: usize,
    ) -> Arc<TargetTraffic> {
        let names = (upstream.into(), target.into());
        let new = || {
            let (upstream, target) = (upstream.into(), target.into());
            let (cells, pools) = (PerWorker::new(workers), Mutex::default());
            Arc::new(TargetTraffic { upstream, target, cells, pools })
        };
        self.targets.entry(names).or_insert_with(new).clone()
    }

    /// Those of heads that could not be read.
    pub(crate) fn unread(&self) -> Arc<Unread> {
        Arc::clone(&self.unread)
    }

    /// Forgets the routes and targets that are not configured any more.
    pub(crate) fn keep(
        &self,
        routes: &HashSet<&str>,
        variants: &HashSet<(&str, &str)>,
        targets: &HashSet<(&str, &str)>,
    ) {
        self.routes.retain(|name, _| name.is_empty() || routes.contains(&**name));
        self.mirrors.retain(|route, _| routes.contains(&**route));
        self.variants.retain(|(route, name), _| variants.contains(&(&**route, &**name)));
        self.targets.retain(|(upstream, target), _| targets.contains(&(&**upstream, &**target)));
    }

    /// What passed on the route of this name, if anything did.
    pub(crate) fn summary(&self, route: &str) -> Option<RouteSummary> {
        Some(self.routes.get(route)?.totals()?.summary())
    }

    /// What passed on each variant of a route, of those that had a request, by name.
    pub(crate) fn variant_summaries(&self, route: &str) -> Vec<(String, RouteSummary)> {
        let of_route = self.variants().into_iter().filter(|(known, _)| *known.name == *route);
        of_route.map(|(known, totals)| (known.variant.to_string(), totals.summary())).collect()
    }

    /// What became of the copies of a route's requests.
    pub(crate) fn mirror_summary(&self, route: &str) -> Option<MirrorSummary> {
        let mirror = self.mirrors.get(route)?;
        let [request_seconds, copy_seconds] = mirror.seconds();
        let (upstream, results) = (mirror.upstream.to_string(), mirror.results().collect());
        Some(MirrorSummary { upstream, results, request_seconds, copy_seconds })
    }

    /// What became of tries at a target.
    pub(crate) fn attempts(&self, upstream: &str, target: &str) -> Option<TargetSummary> {
        let found = self.targets.get(&(upstream.into(), target.into()))?;
        let (results, opened) = found.totals();
        let results = RESULTS.into_iter().zip(results).collect();
        Some(TargetSummary { results, opened, retries: found.retries() })
    }

    /// All targets, by name.
    pub(super) fn targets(&self) -> Vec<Arc<TargetTraffic>> {
        let mut targets: Vec<_> = self.targets.iter().map(|known| Arc::clone(&known)).collect();
        let name = |it: &TargetTraffic| (it.upstream.clone(), it.target.clone());
        targets.sort_by_key(|target| name(target));
        targets
    }

    /// All routes that have served a request, by name.
    pub(super) fn routes(&self) -> Vec<(Arc<RouteTraffic>, Totals)> {
        with_totals(self.routes.iter().map(|known| Arc::clone(&known)))
    }

    /// All variants that have served a request, by the names of the route and of the variant.
    pub(super) fn variants(&self) -> Vec<(Arc<RouteTraffic>, Totals)> {
        with_totals(self.variants.iter().map(|known| Arc::clone(&known)))
    }
}

fn with_totals(known: impl Iterator<Item = Arc<RouteTraffic>>) -> Vec<(Arc<RouteTraffic>, Totals)> {
    let mut routes: Vec<_> =
        known.filter_map(|route| route.totals().map(|totals| (route, totals))).collect();
    let names = |route: &RouteTraffic| (route.name.clone(), route.variant.clone());
    routes.sort_by_key(|(route, _)| names(route));
    routes
}

impl Totals {
    fn summary(self) -> RouteSummary {
        RouteSummary {
            requests: self.statuses.iter().map(|(_, count)| count).sum(),
            in_flight: self.in_flight,
            failed: FAULTS.into_iter().zip(self.faults).collect(),
            statuses: self.statuses,
            duration_count: self.duration.counts.iter().sum(),
            duration_ns: self.duration.sum,
        }
    }
}

/// What became of tries at a target, added up over all workers.
#[derive(Debug, Default)]
pub(crate) struct TargetSummary {
    /// How they ended.
    pub(crate) results: Vec<(&'static str, u64)>,
    /// For how many a connection was opened.
    pub(crate) opened: u64,
    /// Those that followed another one for the same request.
    pub(crate) retries: u64,
}

/// What became of copies of requests.
#[derive(Debug)]
pub(crate) struct MirrorSummary {
    pub(crate) upstream: String,
    pub(crate) results: Vec<(&'static str, u64)>,
    /// To the heads of both responses, where both have one.
    pub(crate) request_seconds: f64,
    pub(crate) copy_seconds: f64,
}

/// What passed on one route, added up over all workers.
#[derive(Debug)]
pub(crate) struct RouteSummary {
    pub(crate) requests: u64,
    pub(crate) in_flight: u64,
    pub(crate) statuses: Vec<(String, u64)>,
    /// By whose fault requests failed.
    pub(crate) failed: Vec<(&'static str, u64)>,
    pub(crate) duration_count: u64,
    /// Nanoseconds of all requests together.
    pub(crate) duration_ns: u64,
}

/// What passed on one route.
#[derive(Debug)]
pub(crate) struct RouteTraffic {
    pub(super) name: Box<str>,
    /// Empty for the whole route.
    pub(super) variant: Box<str>,
    cells: PerWorker<Cells>,
    /// Once a consumer has one.
    groups: OnceLock<Box<Groups>>,
    pairs: Pairs,
}

/// What is known of an exchange at its end.
#[derive(Debug)]
pub(crate) struct Sample<'a> {
    pub(crate) status: Option<u16>,
    /// Index in [`FAULTS`].
    pub(crate) fault: Option<usize>,
    /// Why it failed.
    pub(crate) reason: Option<Reason>,
    /// Whether it may stand for others.
    pub(crate) candidate: Option<Candidate<'a>>,
    pub(crate) duration: Duration,
    /// From sending the request to the head of the response, where there was an upstream.
    pub(crate) upstream: Option<Duration>,
    /// To the head of the response, without the time at the upstream.
    pub(crate) overhead: Option<Duration>,
    pub(crate) uploaded: u64,
    pub(crate) downloaded: u64,
}

/// The cells of one worker.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Cells {
    began: AtomicU64,
    ended: AtomicU64,
    statuses: [AtomicU64; STATUSES.len()],
    classes: [AtomicU64; CLASSES.len()],
    faults: [AtomicU64; FAULTS.len()],
    reasons: Reasons,
    duration: Buckets<{ SECONDS.len() + 1 }>,
    upstream: Buckets<{ SECONDS.len() + 1 }>,
    overhead: Buckets<{ OVERHEAD.len() + 1 }>,
    uploaded: Buckets<{ BYTES.len() + 1 }>,
    downloaded: Buckets<{ BYTES.len() + 1 }>,
    /// Once there is one.
    exemplars: OnceLock<Box<Exemplars>>,
    groups: OnceLock<Box<GroupCells>>,
}

/// By the place in [`Reason`].
#[derive(Debug)]
struct Reasons([AtomicU64; Reason::COUNT]);

impl Default for Reasons {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; Reason::COUNT])
    }
}

/// Counts by bound, and the sum: nanoseconds or bytes.
#[derive(Debug)]
struct Buckets<const N: usize> {
    counts: [AtomicU64; N],
    sum: AtomicU64,
}

impl<const N: usize> Default for Buckets<N> {
    fn default() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; N], sum: AtomicU64::new(0) }
    }
}

impl<const N: usize> Buckets<N> {
    /// Counts a value; the bounds are in its unit. Returns the place of the bucket.
    fn observe(&self, bounds: &[u64], value: u64) -> usize {
        let bucket = bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len());
        let bucket = bucket.min(N - 1);
        add(&self.counts[bucket], 1);
        add(&self.sum, value);
        bucket
    }

    fn time(&self, bounds: &[u64], time: Duration) -> usize {
        self.observe(bounds, u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    }

    fn add_to(&self, sum: &mut Distribution) {
        for (total, count) in sum.counts.iter_mut().zip(&self.counts) {
            *total += count.load(Relaxed);
        }
        sum.sum += self.sum.load(Relaxed);
    }
}

/// Nobody else writes to the cell: a load and a store are enough, without a locked instruction.
fn add(cell: &AtomicU64, amount: u64) {
    cell.store(cell.load(Relaxed).wrapping_add(amount), Relaxed);
}

/// Counts by bound, the last for what is larger, and the sum.
#[derive(Debug, Default)]
pub(super) struct Distribution {
    pub(super) counts: Vec<u64>,
    pub(super) sum: u64,
}

/// All cells of a route, summed up.
#[derive(Debug)]
pub(super) struct Totals {
    pub(super) in_flight: u64,
    /// By status or class; only those that there were.
    pub(super) statuses: Vec<(String, u64)>,
    /// By the place in [`FAULTS`].
    pub(super) faults: [u64; FAULTS.len()],
    /// By the place in [`Reason`].
    pub(super) reasons: [u64; Reason::COUNT],
    /// Groups of consumers, with the requests of each by class.
    pub(super) groups: Vec<(String, [u64; CLASSES.len()])>,
    pub(super) duration: Distribution,
    pub(super) upstream: Distribution,
    pub(super) overhead: Distribution,
    pub(super) uploaded: Distribution,
    pub(super) downloaded: Distribution,
}

impl RouteTraffic {
    /// A request is served by the route, on the worker of this index.
    pub(crate) fn begin(&self, worker: usize) {
        add(&self.cells.of(worker).began, 1);
    }

    /// A request that [began](Self::begin) on this worker has ended.
    pub(crate) fn end(&self, worker: usize, sample: &Sample<'_>) {
        let own = self.cells.of(worker);
        add(&own.ended, 1);
        let known = sample.status.map(|status| (status, STATUSES.binary_search(&status)));
        match known {
            Some((_, Ok(index))) => add(&own.statuses[index], 1),
            Some((status, Err(_))) => add(&own.classes[usize::from(status / 100).min(5)], 1),
            None => add(&own.classes[0], 1),
        }
        if let Some(fault) = sample.fault {
            add(&own.faults[fault], 1);
        }
        if let Some(reason) = sample.reason {
            add(&own.reasons.0[reason as usize], 1);
        }
        let bucket = own.duration.time(&SECONDS_NS, sample.duration);
        if let Some(candidate) = sample.candidate {
            let exemplars = own.exemplars.get_or_init(Box::default);
            exemplars.observe(bucket, sample.duration.as_secs_f64(), candidate);
            if let Some(reason) = sample.reason {
                exemplars.failed(reason as usize, candidate);
            }
        }
        if let Some(upstream) = sample.upstream {
            own.upstream.time(&SECONDS_NS, upstream);
        }
        if let Some(overhead) = sample.overhead {
            own.overhead.time(&OVERHEAD_NS, overhead);
        }
        own.uploaded.observe(&BYTES_WHOLE, sample.uploaded);
        own.downloaded.observe(&BYTES_WHOLE, sample.downloaded);
    }

    /// A request that ends was made by a consumer of this group.
    pub(crate) fn end_of_group(&self, worker: usize, group: &str, status: Option<u16>) {
        let own = self.cells.of(worker);
        let groups = self.groups.get_or_init(|| Box::new(Groups::new(&self.pairs)));
        let class = status.map_or(0, |status| usize::from(status / 100).min(5));
        own.groups.get_or_init(Box::default).count(groups.place(group), class);
    }

    /// Its groups with their requests by class; those beyond the bound together.
    fn group_totals(&self, made: &[&Cells]) -> Vec<(String, [u64; CLASSES.len()])> {
        let Some(groups) = self.groups.get() else { return Vec::new() };
        let sum = |place| {
            let mut sums = [0; CLASSES.len()];
            for cells in made.iter().filter_map(|cells| cells.groups.get()) {
                sums.iter_mut().zip(cells.of(place)).for_each(|(sum, count)| *sum += count);
            }
            sums
        };
        let named = groups.names().map(|(name, place)| (name.to_owned(), sum(place)));
        let other = (OTHER.to_owned(), sum(groups::MOST_OF_ROUTE));
        let mut all: Vec<_> = named.chain([other]).collect();
        all.sort();
        all
    }

    /// The requests that stand for the others of their bucket, the youngest of all workers.
    pub(super) fn exemplars(&self) -> ShownExemplars {
        let mut shown = ShownExemplars::default();
        let exemplars = self.cells.iter().filter_map(|cells| cells.exemplars.get());
        exemplars.for_each(|own| own.add_to(&mut shown));
        shown
    }

    fn totals(&self) -> Option<Totals> {
        let made: Vec<&Cells> = self.cells.iter().collect();
        if made.is_empty() {
            return None;
        }
        let sum = |of: &dyn Fn(&Cells) -> &AtomicU64| {
            made.iter().map(|cells| of(cells).load(Relaxed)).sum::<u64>()
        };
        let exact = STATUSES
            .iter()
            .enumerate()
            .map(|(index, status)| (status.to_string(), sum(&|cells| &cells.statuses[index])));
        let classes = CLASSES
            .iter()
            .enumerate()
            .map(|(index, class)| ((*class).to_owned(), sum(&|cells| &cells.classes[index])));
        let mut totals = Totals {
            // What ended is read first, so that the difference is never below zero.
            in_flight: {
                let ended = sum(&|cells| &cells.ended);
                sum(&|cells| &cells.began).saturating_sub(ended)
            },
            statuses: exact.chain(classes).filter(|(_, count)| *count > 0).collect(),
            faults: std::array::from_fn(|index| sum(&|cells| &cells.faults[index])),
            reasons: std::array::from_fn(|index| sum(&|cells| &cells.reasons.0[index])),
            groups: self.group_totals(&made),
            duration: Distribution { counts: vec![0; SECONDS.len() + 1], sum: 0 },
            upstream: Distribution { counts: vec![0; SECONDS.len() + 1], sum: 0 },
            overhead: Distribution { counts: vec![0; OVERHEAD.len() + 1], sum: 0 },
            uploaded: Distribution { counts: vec![0; BYTES.len() + 1], sum: 0 },
            downloaded: Distribution { counts: vec![0; BYTES.len() + 1], sum: 0 },
        };
        for cells in made {
            cells.duration.add_to(&mut totals.duration);
            cells.upstream.add_to(&mut totals.upstream);
            cells.overhead.add_to(&mut totals.overhead);
            cells.uploaded.add_to(&mut totals.uploaded);
            cells.downloaded.add_to(&mut totals.downloaded);
        }
        Some(totals)
    }
}

/// The numbers of one configuration, by index.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) routes: Box<[Arc<RouteTraffic>]>,
    /// By route and variant.
    pub(crate) variants: Box<[Box<[Arc<RouteTraffic>]>]>,
    pub(crate) unrouted: Arc<RouteTraffic>,
    pub(crate) unread: Arc<Unread>,
    /// By upstream and target.
    pub(crate) targets: Box<[Box<[Arc<TargetTraffic>]>]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(status: Option<u16>, duration: Duration) -> Sample<'static> {
        Sample {
            status,
            fault: None,
            reason: None,
            candidate: None,
            duration,
            upstream: None,
            overhead: None,
            uploaded: 0,
            downloaded: 300,
        }
    }

    #[test]
    fn statuses_are_sorted_for_the_search() {
        assert!(STATUSES.is_sorted());
    }

    #[test]
    fn workers_add_up_and_what_is_rare_counts_by_its_class() {
        let traffic = Traffic::default();
        let route = traffic.of_route("r", 2);
        assert!(traffic.routes().is_empty(), "no lines without requests");
        for worker in [0, 1, 1] {
            route.begin(worker);
            route.begin(worker);
            route.end(worker, &sample(Some(200), Duration::from_millis(3)));
        }
        route.end(0, &sample(Some(418), Duration::from_secs(90)));
        route.end(1, &sample(None, Duration::ZERO));
        let routes = traffic.routes();
        let totals = &routes[0].1;
        let of = |status: &str| totals.statuses.iter().find(|it| it.0 == status).map(|it| it.1);
        assert_eq!(
            (of("200"), of("4xx"), of("none"), of("2xx")),
            (Some(3), Some(1), Some(1), None)
        );
        assert_eq!(totals.in_flight, 1);
        assert_eq!(totals.duration.counts.iter().sum::<u64>(), 5);
        assert_eq!(totals.duration.counts.last(), Some(&1), "over the last bound");
        assert_eq!(totals.downloaded.sum, 1_500);
        // One that a reload added counts as the others do.
        route.begin(7);
        assert_eq!(traffic.routes()[0].1.in_flight, 2);
        traffic.keep(&HashSet::new(), &HashSet::new(), &HashSet::new());
        assert!(traffic.routes().is_empty());
    }
}
