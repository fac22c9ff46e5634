//! The metrics of native tests, by the rules of the gateway's.

/// Series of one configured plugin, at most.
const MAX_SERIES: usize = 5000;
const MAX_LABELS: usize = 8;
const MAX_NAME: usize = 64;
const MAX_LABEL_VALUE: usize = 128;
const MAX_BOUNDS: usize = 32;
/// What the series of one histogram are called in the exposition, and a counter.
const SUFFIXES: [&str; 4] = ["_total", "_bucket", "_sum", "_count"];

/// What a plugin recorded.
#[derive(Default)]
pub(crate) struct Metrics {
    series: Vec<Series>,
}

struct Series {
    name: String,
    labels: Vec<(String, String)>,
    value: Value,
}

#[derive(Clone, PartialEq)]
enum Value {
    Counter(u64),
    Gauge(f64),
    Histogram(Vec<f64>),
}

impl Metrics {
    pub(crate) fn counter(&mut self, name: &str, labels: &[(&str, &str)]) -> u32 {
        self.series(&total(name), labels, Value::Counter(0))
    }

    pub(crate) fn gauge(&mut self, name: &str, labels: &[(&str, &str)]) -> u32 {
        self.series(name, labels, Value::Gauge(0.0))
    }

    pub(crate) fn histogram(&mut self, name: &str, labels: &[(&str, &str)], bounds: &[f64]) -> u32 {
        let rise = bounds.windows(2).all(|pair| pair[0] < pair[1]);
        let are_valid = bounds.iter().all(|bound| bound.is_finite()) && rise;
        assert!(
            are_valid && bounds.len() <= MAX_BOUNDS,
            "the bounds of the histogram `{name}` do not rise, or are more than {MAX_BOUNDS}"
        );
        self.series(name, labels, Value::Histogram(Vec::new()))
    }

    pub(crate) fn add(&mut self, series: u32, amount: u64) {
        if let Some(Value::Counter(sum)) = self.value(series) {
            *sum = sum.wrapping_add(amount);
        }
    }

    pub(crate) fn set(&mut self, series: u32, value: f64) {
        if let Some(Value::Gauge(former)) = self.value(series) {
            *former = value;
        }
    }

    pub(crate) fn observe(&mut self, series: u32, value: f64) {
        if let Some(Value::Histogram(values)) = self.value(series)
            && !value.is_nan()
        {
            values.push(value);
        }
    }

    pub(crate) fn counted(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        match self.find(&total(name), &sorted(labels)) {
            Some(Series { value: Value::Counter(sum), .. }) => *sum,
            _ => 0,
        }
    }

    pub(crate) fn gauged(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        match self.find(name, &sorted(labels)) {
            Some(Series { value: Value::Gauge(value), .. }) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn observed(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        match self.find(name, &sorted(labels)) {
            Some(Series { value: Value::Histogram(values), .. }) => values.clone(),
            _ => Vec::new(),
        }
    }

    fn find(&self, name: &str, labels: &[(String, String)]) -> Option<&Series> {
        self.series.iter().find(|series| series.name == name && series.labels == labels)
    }

    fn value(&mut self, series: u32) -> Option<&mut Value> {
        // What is recorded for series past the limit goes nowhere, as in the gateway.
        self.series.get_mut(series as usize).map(|series| &mut series.value)
    }

    fn series(&mut self, name: &str, labels: &[(&str, &str)], new: Value) -> u32 {
        check(name, labels, &new);
        let labels = sorted(labels);
        for series in self.series.iter().filter(|series| series.name == name) {
            let same = std::mem::discriminant(&series.value) == std::mem::discriminant(&new);
            assert!(same, "`{name}` is the name of a metric of another kind already");
        }
        let found = self
            .series
            .iter()
            .position(|series| series.name == name && series.labels == labels)
            .unwrap_or_else(|| {
                if self.series.len() < MAX_SERIES {
                    self.series.push(Series { name: name.to_owned(), labels, value: new });
                    return self.series.len() - 1;
                }
                MAX_SERIES
            });
        u32::try_from(found).unwrap_or(u32::MAX)
    }
}

fn total(name: &str) -> String {
    if name.ends_with("_total") { name.to_owned() } else { format!("{name}_total") }
}

fn sorted(labels: &[(&str, &str)]) -> Vec<(String, String)> {
    let cut = |value: &str| value[..value.floor_char_boundary(MAX_LABEL_VALUE)].to_owned();
    let mut labels: Vec<_> =
        labels.iter().map(|(name, value)| ((*name).to_owned(), cut(value))).collect();
    labels.sort();
    labels
}

fn check(name: &str, labels: &[(&str, &str)], kind: &Value) {
    let bare = name.strip_suffix("_total").filter(|_| matches!(kind, Value::Counter(_)));
    assert!(is_name(bare.unwrap_or(name)), "`{name}` is not the name of a metric");
    let ends_reserved = SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
    assert!(
        bare.is_some() || !ends_reserved,
        "`{name}` ends as only a counter or a part of a histogram does"
    );
    assert!(labels.len() <= MAX_LABELS, "`{name}` has more than {MAX_LABELS} labels");
    for (index, (label, _)) in labels.iter().enumerate() {
        let is_free = is_name(label)
            && !label.starts_with("__")
            && !["le", "plugin"].contains(label)
            && labels[..index].iter().all(|(earlier, _)| earlier != label);
        assert!(is_free, "`{label}` cannot be a label of `{name}`");
    }
}

fn is_name(name: &str) -> bool {
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=MAX_NAME).contains(&name.len())
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(in_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_labels_makes_no_other_series() {
        let mut metrics = Metrics::default();
        let one = metrics.counter("hits", &[("a", "1"), ("b", "2")]);
        assert_eq!(metrics.counter("hits_total", &[("b", "2"), ("a", "1")]), one);
        metrics.add(one, 3);
        assert_eq!(metrics.counted("hits", &[("a", "1"), ("b", "2")]), 3);
        assert_eq!(metrics.counted("hits", &[]), 0);
    }

    #[test]
    fn what_is_recorded_past_the_limit_goes_nowhere() {
        let mut metrics = Metrics::default();
        for number in 0..=MAX_SERIES {
            let series = metrics.counter("hits", &[("number", &number.to_string())]);
            metrics.add(series, 1);
        }
        let counted = |number: usize| metrics.counted("hits", &[("number", &number.to_string())]);
        assert_eq!((counted(MAX_SERIES - 1), counted(MAX_SERIES)), (1, 0));
    }

    #[test]
    #[should_panic(expected = "of another kind")]
    fn one_name_is_of_one_kind() {
        let mut metrics = Metrics::default();
        metrics.gauge("size", &[]);
        metrics.histogram("size", &[], &[1.0]);
    }

    #[test]
    #[should_panic(expected = "`plugin` cannot be a label")]
    fn the_gateways_own_label_is_refused() {
        Metrics::default().counter("hits", &[("plugin", "me")]);
    }
}
