//! All numbers as a page in the Prometheus text format, version 0.0.4.
//!
//! Owns names, words and escapes. Written anew for whoever asks; nothing waits for it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::name::parts;
use super::series::Distribution;
use super::{
    CALLS, Counter, DECISIONS, FAILURES, Kind, Metrics, PluginMetrics, Series, TurnMetrics,
    component, hooks, process, routes, targets,
};
use super::{caches, drains, slots, stores};
use crate::telemetry::traffic::Exemplar;

/// `content-type` of the page.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `content-type` of the page as OpenMetrics.
pub(crate) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The page as OpenMetrics 1.0, which names the family of a counter without its suffix and marks the end.
fn open_metrics(page: &str) -> String {
    let mut open = String::with_capacity(page.len() + 8);
    for line in page.lines() {
        // A family without help begins with its type.
        let family = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
        match family.and_then(|family| family.split_once(' ')) {
            Some((name, rest)) if line.starts_with("# HELP ") => {
                let family = name.strip_suffix("_total").unwrap_or(name);
                let _infallible = writeln!(open, "# HELP {family} {rest}");
            }
            Some((name, "counter")) => {
                let family = name.strip_suffix("_total").unwrap_or(name);
                let _infallible = writeln!(open, "# TYPE {family} counter");
            }
            Some((name, kind)) => {
                let _infallible = writeln!(open, "# TYPE {name} {kind}");
            }
            None => {
                open.push_str(line);
                open.push('\n');
            }
        }
    }
    open.push_str("# EOF\n");
    open
}

impl Metrics {
    /// The page.
    pub(crate) fn text(&self) -> String {
        self.page(false)
    }

    /// The page as OpenMetrics, with exemplars.
    pub(crate) fn open_metrics(&self) -> String {
        open_metrics(&self.page(true))
    }

    fn page(&self, with_exemplars: bool) -> String {
        let mut page = String::with_capacity(4 << 10);
        self.write_process(&mut page);
        process::write(&mut page);
        process::write_workers(&mut page, &lock(&self.workers).clone());
        routes::write(&mut page, &self.traffic, with_exemplars);
        targets::write(&mut page, &self.traffic);
        targets::write_health(&mut page, &self.health);
        targets::write_loads(&mut page, &self.health);
        targets::write_names(&mut page, &self.names);
        self.write_certificates(&mut page);
        let mut plugins: Vec<_> = self.plugins.iter().map(|known| Arc::clone(&known)).collect();
        plugins.sort_by(|one, other| one.name.cmp(&other.name));
        write_plugins(&mut page, &plugins);
        let mut components: Vec<_> = self.components.iter().map(|it| Arc::clone(&it)).collect();
        components.sort_by(|one, other| one.name.cmp(&other.name));
        component::write(&mut page, &components);
        write_recorded(&mut page, &plugins);
        page
    }

    fn write_process(&self, page: &mut String) {
        head(page, "gateway_info", Kind::Gauge, "The version of the gateway.");
        line(page, "gateway_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        let name = "gateway_start_time_seconds";
        head(page, name, Kind::Gauge, "When the gateway began, in seconds since 1970.");
        line(page, name, &[], self.began);
        let name = "gateway_config_reloads_total";
        head(page, name, Kind::Counter, "Configurations after the first, by what became of them.");
        line(page, name, &[("result", "in_force")], self.reloads.load(Relaxed));
        line(page, name, &[("result", "refused")], self.refused.load(Relaxed));
        let name = "gateway_config_last_reload_successful";
        head(page, name, Kind::Gauge, "0 if the last configuration was refused, otherwise 1.");
        line(page, name, &[], u8::from(!self.last_is_refused.load(Relaxed)));
        let name = "gateway_config_last_reload_success_timestamp_seconds";
        let help = "When the configuration in force was put in force, in seconds since 1970.";
        head(page, name, Kind::Gauge, help);
        line(page, name, &[], self.in_force_since.load(Relaxed));
        if let Some(bodies) = self.bodies.get() {
            let name = "gateway_held_body_bytes";
            head(page, name, Kind::Gauge, "Bytes of bodies that are held for plugins.");
            line(page, name, &[], bodies.held());
        }
        self.write_listeners(page);
        if let Some(usage) = self.usage.get() {
            usage.write(page);
        }
        if let Some(spans) = self.spans.get() {
            spans.write(page);
        }
        self.access_logs.write(page);
        self.documents.write(page);
        self.events.write(page);
        self.key_sets.write(page);
        let mut stores: Vec<_> = self.stores.iter().map(|known| Arc::clone(&known)).collect();
        stores.sort_by(|one, other| one.name().cmp(other.name()));
        stores::write(page, &stores);
        let mut caches: Vec<_> = self.caches.iter().map(|known| Arc::clone(&known)).collect();
        caches.sort_by(|one, other| one.name().cmp(other.name()));
        caches::write(page, &caches);
    }

    fn write_certificates(&self, page: &mut String) {
        let ends = lock(&self.certificates).clone();
        if ends.is_empty() {
            return;
        }
        let of_listeners = "gateway_certificate_expiry_timestamp_seconds";
        let of_upstreams = "gateway_upstream_certificate_expiry_timestamp_seconds";
        for (name, label, is_upstreams, help) in [
            (
                of_listeners,
                "listener",
                false,
                "When a certificate of a listener ends, in seconds since 1970.",
            ),
            (
                of_upstreams,
                "upstream",
                true,
                "When a certificate that an upstream is shown ends, in seconds since 1970.",
            ),
        ] {
            let mut ends = ends.iter().filter(|end| end.is_upstreams == is_upstreams).peekable();
            if ends.peek().is_some() {
                head(page, name, Kind::Gauge, help);
            }
            for end in ends {
                line(page, name, &[(label, &*end.owner), ("name", &end.name)], end.at);
            }
        }
    }

    fn write_listeners(&self, page: &mut String) {
        let listeners = &lock(&self.listeners).clone();
        if listeners.is_empty() {
            return;
        }
        let name = "gateway_connections";
        head(page, name, Kind::Gauge, "Open connections of clients.");
        for slots in listeners {
            for (protocol, count) in slots.open_by_protocol() {
                let labels = [("listener", &*slots.listener), ("protocol", protocol)];
                line(page, name, &labels, count);
            }
        }
        let name = "gateway_connections_accepted_total";
        head(page, name, Kind::Counter, "Connections of clients that were accepted and served.");
        for slots in listeners {
            line(page, name, &[("listener", &slots.listener)], slots.accepted());
        }
        let name = "gateway_connections_refused_total";
        let help = "Connections that were closed at once, by the limit that was reached.";
        head(page, name, Kind::Counter, help);
        for slots in listeners {
            for (limit, count) in slots.refused() {
                let labels = [("listener", &*slots.listener), ("limit", limit)];
                line(page, name, &labels, count);
            }
        }
        let name = "gateway_tls_handshakes_failed_total";
        let help = "TLS handshakes of clients that failed, by the reason.";
        if listeners.iter().any(|slots| slots.failed_handshakes().next().is_some()) {
            head(page, name, Kind::Counter, help);
        }
        for slots in listeners {
            for (reason, count) in slots.failed_handshakes() {
                let labels = [("listener", &*slots.listener), ("reason", reason)];
                line(page, name, &labels, count);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the gateway knows about each plugin.
fn write_plugins(page: &mut String, plugins: &[Arc<PluginMetrics>]) {
    if plugins.is_empty() {
        return;
    }
    let name = "gateway_plugin_failures_total";
    head(page, name, Kind::Counter, "Hooks that gave no outcome, by how they failed.");
    for plugin in plugins {
        for (kind, count) in FAILURES.iter().zip(&plugin.failures) {
            let labels = [("plugin", &*plugin.name), ("kind", *kind)];
            line(page, name, &labels, count.load(Relaxed));
        }
    }
    hooks::write(page, plugins);
    let name = "gateway_plugin_upstream_requests_total";
    head(
        page,
        name,
        Kind::Counter,
        "Requests that plugins sent by themselves, by what came of it.",
    );
    for plugin in plugins {
        for (result, count) in CALLS.iter().zip(&plugin.calls) {
            let labels = [("plugin", &*plugin.name), ("result", *result)];
            line(page, name, &labels, count.load(Relaxed));
        }
    }
    let each = |page: &mut String, name, kind, help, value: &dyn Fn(&PluginMetrics) -> i128| {
        head(page, name, kind, help);
        for plugin in plugins {
            line(page, name, &[("plugin", &plugin.name)], value(plugin));
        }
    };
    each(page, "gateway_plugin_instances", Kind::Gauge, "Live instances.", &|plugin| {
        plugin.instances.load(Relaxed).into()
    });
    let name = "gateway_plugin_calls_waiting";
    let help = "Calls of hooks that wait for their turn on a worker.";
    each(page, name, Kind::Gauge, help, &|plugin| plugin.turns.waiting().into());
    let mut seconds = |name, help, value: &dyn Fn(&TurnMetrics) -> f64| {
        head(page, name, Kind::Counter, help);
        for plugin in plugins {
            line(page, name, &[("plugin", &plugin.name)], number(value(&plugin.turns)));
        }
    };
    let name = "gateway_plugin_computing_seconds_total";
    let help = "Time for which hooks had a worker, by a clock of a millisecond.";
    seconds(name, help, &TurnMetrics::computing_seconds);
    let name = "gateway_plugin_waiting_seconds_total";
    let help = "Time for which calls of hooks waited for their turn, added up over all calls.";
    seconds(name, help, &TurnMetrics::waiting_seconds);
    let (name, help) = ("gateway_plugin_instances_created_total", "Instances that were made.");
    each(page, name, Kind::Counter, help, &|plugin| plugin.instances_made.load(Relaxed).into());
    let name = "gateway_plugin_changes_reused_total";
    let help = "Changes of requests that were made again without a call.";
    each(page, name, Kind::Counter, help, &|plugin| plugin.reused.sum().into());
    let name = "gateway_plugin_buckets_displaced_total";
    let help = "Buckets of rate limits that gave way before they were full.";
    each(page, name, Kind::Counter, help, &|plugin| plugin.displaced().into());
    let name = "gateway_plugin_limiter_decisions_total";
    let help =
        "Requests that the limits of a plugin let through or refused, whatever it made of that.";
    head(page, name, Kind::Counter, help);
    for plugin in plugins {
        let counts = plugin.limited.each_ref().map(Counter::sum);
        // A plugin that limits nothing has no lines.
        if counts.iter().any(|count| *count > 0) {
            for (decision, count) in DECISIONS.iter().zip(counts) {
                line(page, name, &[("plugin", &plugin.name), ("decision", decision)], count);
            }
        }
    }
    slots::write(page, plugins);
    drains::write(page, plugins);
    let (name, help) = ("gateway_plugin_held_body_bytes", "Bytes of bodies that are held for it.");
    each(page, name, Kind::Gauge, help, &|plugin| {
        i128::try_from(plugin.held()).unwrap_or(i128::MAX)
    });
    let name = "gateway_plugin_log_lines_dropped_total";
    let help = "Lines of plugins, and about their failures, that were over their bound.";
    each(page, name, Kind::Counter, help, &|plugin| plugin.log_dropped.load(Relaxed).into());
    let name = "gateway_plugin_metrics_dropped_total";
    let help = "Records of plugins that there was no room for.";
    each(page, name, Kind::Counter, help, &|plugin| plugin.dropped.load(Relaxed).into());
}

/// What the plugins recorded, name by name.
fn write_recorded(page: &mut String, plugins: &[Arc<PluginMetrics>]) {
    let mut families: BTreeMap<String, Vec<(usize, String, Arc<Series>)>> = BTreeMap::new();
    for (index, plugin) in plugins.iter().enumerate() {
        for series in &plugin.series {
            let name = parts(series.key()).0.to_owned();
            let family = families.entry(name).or_default();
            family.push((index, series.key().to_string(), Arc::clone(series.value())));
        }
    }
    for (name, mut family) in families {
        family.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        let name = format!("plugin_{name}");
        let mut kind = None;
        for (index, key, series) in &family {
            // A plugin that is about to go may hold a name in another kind for a moment.
            let own = series.kind();
            if *kind.get_or_insert_with(|| {
                let _infallible = writeln!(page, "# TYPE {name} {}", own.word());
                own
            }) != own
            {
                continue;
            }
            let mut labels = vec![("plugin", &*plugins[*index].name)];
            labels.extend(parts(key).1);
            write_series(page, &name, &labels, series);
        }
    }
}

fn write_series(page: &mut String, name: &str, labels: &[(&str, &str)], series: &Series) {
    let histogram = match series {
        Series::Counter(counter) => return line(page, name, labels, counter.sum()),
        Series::Gauge(bits) => {
            return line(page, name, labels, number(f64::from_bits(bits.load(Relaxed))));
        }
        Series::Histogram(histogram) => histogram.sum(),
    };
    write_histogram(page, name, labels, &histogram);
}

pub(super) fn write_histogram(
    page: &mut String,
    name: &str,
    labels: &[(&str, &str)],
    histogram: &Distribution<'_>,
) {
    let bounds = histogram.bounds.iter().copied().chain([f64::INFINITY]);
    let bucket = format!("{name}_bucket");
    for (bound, count) in bounds.zip(&histogram.cumulated) {
        let bound = number(bound);
        let mut labels = labels.to_vec();
        labels.push(("le", &bound));
        line(page, &bucket, &labels, count);
    }
    line(page, &format!("{name}_sum"), labels, number(histogram.sum));
    let count = histogram.cumulated.last().copied().unwrap_or_default();
    line(page, &format!("{name}_count"), labels, count);
}

pub(super) fn head(page: &mut String, name: &str, kind: Kind, help: &str) {
    let _infallible = write!(page, "# HELP {name} {help}\n# TYPE {name} {}\n", kind.word());
}

pub(super) fn line(
    page: &mut String,
    name: &str,
    labels: &[(&str, &str)],
    value: impl std::fmt::Display,
) {
    line_with(page, name, labels, value, None);
}

/// A line, with an exemplar behind it if there is one.
pub(super) fn line_with(
    page: &mut String,
    name: &str,
    labels: &[(&str, &str)],
    value: impl std::fmt::Display,
    exemplar: Option<&Exemplar>,
) {
    page.push_str(name);
    for (index, (label, value)) in labels.iter().enumerate() {
        page.push(if index == 0 { '{' } else { ',' });
        page.push_str(label);
        page.push_str("=\"");
        escape(page, value);
        page.push('"');
    }
    if !labels.is_empty() {
        page.push('}');
    }
    let _infallible = match exemplar {
        Some(exemplar) => writeln!(page, " {value}{exemplar}"),
        None => writeln!(page, " {value}"),
    };
}

fn escape(page: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => page.push_str("\\\\"),
            '"' => page.push_str("\\\""),
            '\n' => page.push_str("\\n"),
            c => page.push(c),
        }
    }
}

/// As the format writes numbers.
pub(super) fn number(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::super::{Histogram, Key};
    use super::*;

    #[test]
    fn open_metrics_names_counters_without_their_suffix_and_ends() {
        let page = "# HELP a_total Help of a.\n# TYPE a_total counter\na_total{x=\"# TYPE b_total counter\"} 1\n\
                    # TYPE b_total counter\nb_total 2\n# HELP c Gauge.\n# TYPE c gauge\nc 3\n";
        let open = "# HELP a Help of a.\n# TYPE a counter\na_total{x=\"# TYPE b_total counter\"} 1\n\
                    # TYPE b counter\nb_total 2\n# HELP c Gauge.\n# TYPE c gauge\nc 3\n# EOF\n";
        assert_eq!(open_metrics(page), open);
    }

    #[test]
    fn writes_each_kind_as_the_format_says() {
        let metrics = Metrics::default();
        let plugin = metrics.of(&"say \"hi\"".into());
        plugin.bound(1 << 20);
        let label = || vec![("path".to_owned(), "C:\\a\nb".to_owned())];
        let series = |kind, name, labels, new: Series| {
            let key = Key::new(kind, name, labels);
            metrics.series(&plugin, &key, || new).expect("there is room").1
        };
        let counter = series(Kind::Counter, "hits", label(), Series::Counter(Counter::default()));
        let gauge = series(Kind::Gauge, "load", vec![], Series::Gauge(AtomicU64::new(0)));
        let histogram = Histogram::new(&[0.1, 1.0]);
        let histogram = series(Kind::Histogram, "wait", vec![], Series::Histogram(histogram));
        let (Series::Counter(counter), Series::Gauge(gauge), Series::Histogram(histogram)) =
            (&*counter, &*gauge, &*histogram)
        else {
            panic!("each is what it was made as");
        };
        counter.add(3);
        gauge.store((-0.5_f64).to_bits(), Relaxed);
        for value in [0.05, 0.5, 2.0] {
            histogram.observe(value);
        }
        let page = metrics.text();
        let recorded = &page[page.find("# TYPE plugin_").expect("there is a first")..];
        let expected = "# TYPE plugin_hits_total counter\n\
            plugin_hits_total{plugin=\"say \\\"hi\\\"\",path=\"C:\\\\a\\nb\"} 3\n\
            # TYPE plugin_load gauge\n\
            plugin_load{plugin=\"say \\\"hi\\\"\"} -0.5\n\
            # TYPE plugin_wait histogram\n\
            plugin_wait_bucket{plugin=\"say \\\"hi\\\"\",le=\"0.1\"} 1\n\
            plugin_wait_bucket{plugin=\"say \\\"hi\\\"\",le=\"1\"} 2\n\
            plugin_wait_bucket{plugin=\"say \\\"hi\\\"\",le=\"+Inf\"} 3\n\
            plugin_wait_sum{plugin=\"say \\\"hi\\\"\"} 2.55\n\
            plugin_wait_count{plugin=\"say \\\"hi\\\"\"} 3\n";
        assert_eq!(recorded, expected);
        assert!(page.contains("gateway_config_last_reload_successful 1\n"));
        assert!(page.ends_with('\n'));
    }
}
