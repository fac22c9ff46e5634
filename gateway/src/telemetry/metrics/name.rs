//! Names of metrics and labels, by the rules of the Prometheus text format.
//!
//! Owns which names a plugin may use, and the one form of a name with its labels under which a
//! series is found.

/// Bytes of a name.
const MAX_NAME: usize = 64;
/// Labels of a metric.
const MAX_LABELS: usize = 8;
/// Bytes of a label's value; the rest is cut off.
const MAX_LABEL_VALUE: usize = 128;
/// How the parts of a histogram end, and a counter.
const SUFFIXES: [&str; 4] = ["_total", "_bucket", "_sum", "_count"];

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    /// As the text format calls it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric with values for its labels, in the one form: the name, and then name and value of each
/// label in order, with a NUL before each. No value holds one.
#[derive(Debug)]
pub(crate) struct Key {
    kind: Kind,
    text: String,
    name: usize,
}

/// How a name breaks the rules.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invalid(pub(crate) String);

impl Key {
    /// A counter's name gets its `_total` here.
    pub(crate) fn new(kind: Kind, name: &str, mut labels: Vec<(String, String)>) -> Self {
        let mut text = String::with_capacity(64);
        text.push_str(name);
        if kind == Kind::Counter && !name.ends_with("_total") {
            text.push_str("_total");
        }
        let name = text.len();
        labels.sort_unstable();
        for (name, value) in &labels {
            text.push('\0');
            text.push_str(name);
            text.push('\0');
            let cut = &value[..value.floor_char_boundary(MAX_LABEL_VALUE)];
            text.extend(cut.chars().map(|c| if c == '\0' { ' ' } else { c }));
        }
        Self { kind, text, name }
    }

    /// What it is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The metric's name.
    pub(crate) fn name(&self) -> &str {
        &self.text[..self.name]
    }

    /// The one form.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether a plugin may use it.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        let name = self.name();
        let bare = match self.kind {
            Kind::Counter => name.strip_suffix("_total").unwrap_or(name),
            Kind::Gauge | Kind::Histogram => name,
        };
        if !is_name(bare) {
            return Err(Invalid(format!("{:?} is no name of a metric", shown(bare))));
        }
        if self.kind != Kind::Counter && SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
            let kind = self.kind.word();
            return Err(Invalid(format!("`{name}` is no name of a {kind}, by its end")));
        }
        let (_, labels) = parts(&self.text);
        let mut former = None;
        let mut count = 0;
        for (label, _) in labels {
            let is_free = is_name(label) && !label.starts_with("__");
            if !is_free || label == "le" || label == "plugin" || former == Some(label) {
                return Err(Invalid(format!(
                    "{:?} cannot be a label of the metric `{name}`",
                    shown(label)
                )));
            }
            former = Some(label);
            count += 1;
        }
        if count > MAX_LABELS {
            return Err(Invalid(format!("the metric `{name}` has more than {MAX_LABELS} labels")));
        }
        Ok(())
    }
}

/// Name and labels of the one form.
pub(super) fn parts(text: &str) -> (&str, impl Iterator<Item = (&str, &str)>) {
    let mut parts = text.split('\0');
    let name = parts.next().unwrap_or_default();
    (name, std::iter::from_fn(move || Some((parts.next()?, parts.next()?))))
}

fn is_name(name: &str) -> bool {
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=MAX_NAME).contains(&name.len())
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(in_name)
}

fn shown(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_NAME)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: Kind, name: &str, labels: &[(&str, &str)]) -> Key {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Key::new(kind, name, labels.collect())
    }

    #[test]
    fn the_order_of_labels_and_the_end_of_a_counter_make_no_difference() {
        let one = key(Kind::Counter, "hits", &[("a", "1"), ("b", "2")]);
        let other = key(Kind::Counter, "hits_total", &[("b", "2"), ("a", "1")]);
        assert_eq!(one.text(), other.text());
        assert_eq!(one.name(), "hits_total");
        let (name, labels) = parts(one.text());
        assert_eq!(
            (name, labels.collect::<Vec<_>>()),
            ("hits_total", vec![("a", "1"), ("b", "2")])
        );
    }

    #[test]
    fn values_are_cut_and_cannot_pass_for_another_label() {
        let long = "é".repeat(100);
        let key = key(Kind::Gauge, "size", &[("a", &long), ("b", "x\0c\0y")]);
        let labels: Vec<_> = parts(key.text()).1.collect();
        assert_eq!(labels, [("a", &*"é".repeat(64)), ("b", "x c y")]);
        assert_eq!(key.check(), Ok(()));
    }

    #[test]
    fn refuses_names_that_the_text_format_has_no_room_for() {
        for name in ["", "a-b", "1a", "a:b", "ä", &"a".repeat(65)] {
            assert!(key(Kind::Counter, name, &[]).check().is_err(), "{name}");
        }
        for name in ["a_total", "a_bucket", "a_sum", "a_count"] {
            assert!(key(Kind::Histogram, name, &[]).check().is_err(), "{name}");
        }
        for label in ["", "le", "plugin", "__a", "a b"] {
            assert!(key(Kind::Gauge, "a", &[(label, "x")]).check().is_err(), "{label}");
        }
        assert!(key(Kind::Gauge, "a", &[("b", "1"), ("b", "2")]).check().is_err());
        let many: Vec<_> = ["a", "b", "c", "d", "e", "f", "g", "h", "i"].map(|l| (l, "1")).into();
        assert!(key(Kind::Gauge, "a", &many).check().is_err());
        assert!(key(Kind::Gauge, "a", &many[1..]).check().is_ok());
    }
}
