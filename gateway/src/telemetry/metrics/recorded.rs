//! What one plugin recorded, for whoever asks for that plugin alone.
//!
//! Owns the form: a series with its labels and its numbers. The page for Prometheus has the same in its own form.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::name::parts;
use super::{Kind, Metrics, Series};

/// A series of a plugin, at the moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Recorded {
    /// The name of the metric, without what the page for Prometheus puts before it.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: RecordedValue,
}

/// Its numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RecordedValue {
    /// Of a counter.
    Count(u64),
    /// Of a gauge.
    Number(f64),
    /// Of a histogram: the bounds, how many values did not exceed each, and last how many there were, and their sum.
    Values { bounds: Vec<f64>, cumulated: Vec<u64>, sum: f64 },
}

impl Metrics {
    /// What the plugin of this name recorded, of all metrics whose names begin so, by name and labels.
    pub(crate) fn recorded(&self, plugin: &str, prefix: &str) -> Vec<Recorded> {
        let Some(plugin) = self.plugins.get(plugin).map(|found| found.clone()) else {
            return Vec::new();
        };
        let is_asked = |name: &str| parts(name).0.starts_with(prefix);
        let series = plugin.series.iter().filter(|series| is_asked(series.key()));
        let mut series: Vec<_> =
            series.map(|series| (Arc::clone(series.key()), Arc::clone(&series))).collect();
        series.sort_by(|one, other| one.0.cmp(&other.0));
        series.iter().map(|(name, series)| recorded(name, series)).collect()
    }
}

fn recorded(name: &str, series: &Series) -> Recorded {
    let (name, labels) = parts(name);
    Recorded {
        name: name.to_owned(),
        kind: series.kind(),
        labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        value: match series {
            Series::Counter(counter) => RecordedValue::Count(counter.sum()),
            Series::Gauge(bits) => RecordedValue::Number(f64::from_bits(bits.load(Relaxed))),
            Series::Histogram(histogram) => {
                let sum = histogram.sum();
                let (bounds, cumulated) = (sum.bounds.to_vec(), sum.cumulated);
                RecordedValue::Values { bounds, cumulated, sum: sum.sum }
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Counter, Histogram, Key};
    use super::*;

    #[test]
    fn what_a_plugin_recorded_is_seen_with_its_labels() {
        let metrics = Metrics::default();
        let plugin = metrics.of(&"p".into());
        plugin.bound(1 << 20);
        let labels = vec![("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())];
        let key = Key::new(Kind::Counter, "hits", labels);
        let (_, hits) =
            metrics.series(&plugin, &key, || Series::Counter(Counter::default())).unwrap();
        let Series::Counter(counter) = &*hits else { panic!("a counter") };
        counter.add(3);
        let key = Key::new(Kind::Histogram, "seconds", Vec::new());
        let new = || Series::Histogram(Histogram::new(&[1.0, 2.0]));
        let (_, seconds) = metrics.series(&plugin, &key, new).unwrap();
        let Series::Histogram(histogram) = &*seconds else { panic!("a histogram") };
        histogram.observe(1.5);
        let labels = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())];
        let hits = Recorded {
            name: "hits_total".to_owned(),
            kind: Kind::Counter,
            labels: labels.to_vec(),
            value: RecordedValue::Count(3),
        };
        assert_eq!(metrics.recorded("p", "hi"), std::slice::from_ref(&hits));
        let all = metrics.recorded("p", "");
        assert_eq!((all.len(), &all[0]), (2, &hits));
        let value =
            RecordedValue::Values { bounds: vec![1.0, 2.0], cumulated: vec![0, 1, 1], sum: 1.5 };
        assert_eq!(all[1].value, value);
        assert_eq!(metrics.recorded("q", ""), []);
    }
}
