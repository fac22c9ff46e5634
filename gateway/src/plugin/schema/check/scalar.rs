//! Numbers, texts, and how many of something there are.
//!
//! Owns their bounds and patterns, and what these cost.

use std::cmp::Ordering;

use regex::RegexBuilder;
use serde_json::{Number, Value};

use super::{Done, Exhausted, Keywords, Walk};
use crate::plugin::schema::messages::{self, Fault, quote};
use crate::plugin::schema::sample;

/// What the compilation of a pattern costs in steps, and the bytes that it may take.
const PATTERN_STEPS: usize = 2_000;
const PATTERN_BYTES: usize = 128 << 10;

/// Examples of a schema that are looked at, and the characters of one that is shown.
const MOST_EXAMPLES: usize = 4;
const LONGEST_EXAMPLE: usize = 80;

/// A text longer than this is not held against a pattern.
const MATCHED_TEXT: usize = 32 << 10;

impl<'s> Walk<'s, '_> {
    pub(super) fn number(&mut self, keywords: &'s Keywords, number: &Number) -> Done {
        let bound = |name: &str| match keywords.get(name) {
            Some(Value::Number(bound)) => Some((bound, order(number, bound))),
            _ => None,
        };
        let (min, max) = (bound("minimum"), bound("maximum"));
        let (above, below) = (bound("exclusiveMinimum"), bound("exclusiveMaximum"));
        let is_low = min.is_some_and(|(_, order)| order == Ordering::Less)
            || above.is_some_and(|(_, order)| order != Ordering::Greater);
        let is_high = max.is_some_and(|(_, order)| order == Ordering::Greater)
            || below.is_some_and(|(_, order)| order != Ordering::Less);
        if is_low || is_high {
            let range = match (min, max) {
                (Some((min, _)), Some((max, _))) => format!("from {min} to {max}"),
                _ => {
                    let names = [
                        ("at least", min),
                        ("more than", above),
                        ("at most", max),
                        ("less than", below),
                    ];
                    let named =
                        names.iter().filter_map(|(name, bound)| Some((name, bound.as_ref()?.0)));
                    named
                        .map(|(name, bound)| format!("{name} {bound}"))
                        .collect::<Vec<_>>()
                        .join(" and ")
                }
            };
            let message = format!("{} is out of range: {number}", self.name());
            self.tell(Fault::new(self.pointer(), message).label(range))?;
        }
        if let Some(step) = keywords.get("multipleOf").and_then(Value::as_i64)
            && let Some(whole) = number.as_i64()
            && whole.checked_rem(step).is_some_and(|rest| rest != 0)
        {
            self.tell_here(|name| format!("{name} is no multiple of {step}: {number}"))?;
        }
        Ok(())
    }

    pub(super) fn text(&mut self, keywords: &'s Keywords, text: &str) -> Done {
        self.spend(text.len() / 64)?;
        if keywords.contains_key("minLength") || keywords.contains_key("maxLength") {
            let count = text.chars().count() as u64;
            self.count(keywords, "Length", count, ["short", "long"], "character")?;
        }
        let Some(pattern) = keywords.get("pattern").and_then(Value::as_str) else { return Ok(()) };
        if self.matches(pattern, text)? {
            return Ok(());
        }
        let is_duration = self.is_duration(pattern)?;
        let is_named = is_duration && self.matches(pattern, "hour")?;
        let (about, name, quoted) = (messages::about(keywords), self.name(), quote(pattern));
        let (message, about) = match (is_duration, is_named, about) {
            (true, false, about) => (format!("{name} is no duration"), about),
            (true, true, about) => {
                (format!("{name} is neither a duration nor a name that is known here"), about)
            }
            // In words where there are some: the pattern is for who can read it.
            (false, _, Some(about)) => (
                format!("{name} is not written as it has to be"),
                Some(format!("{about}. As a pattern: `{quoted}`")),
            ),
            (false, _, None) => (format!("{name} does not match `{quoted}`"), None),
        };
        let without: String = text.chars().filter(|it| !it.is_whitespace()).collect();
        let has_spaces = without.len() < text.len() && self.matches(pattern, &without)?;
        let is_number = (1..=15).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            && !self.is_filled();
        let said = match is_duration && !self.is_filled() {
            true => self.said_in_words(pattern, text)?,
            false => None,
        };
        let help = match (said, has_spaces, is_duration && is_number) {
            (Some(written), ..) => Some(format!("write `{written}`")),
            (None, true, _) => Some("leave out the spaces".to_owned()),
            (None, false, true) => Some(format!("give it a unit: `{text}s` or `{text}ms`")),
            (None, false, false) => None,
        };
        let fault = Fault::new(self.pointer(), message).note(about).help(help);
        let example = self.example(keywords, pattern)?;
        self.tell(match example {
            Some(example) => fault.label(format!("such as `{}`", quote(&example))),
            None => fault,
        })
    }

    /// A duration that is written in words, as it has to be written.
    fn said_in_words(&mut self, pattern: &'s str, text: &str) -> Result<Option<String>, Exhausted> {
        for written in spoken(text) {
            if self.matches(pattern, &written)? {
                return Ok(Some(written));
            }
        }
        Ok(None)
    }

    /// Whether a pattern is that of durations: numbers with units of time.
    pub(super) fn is_duration(&mut self, pattern: &'s str) -> Result<bool, Exhausted> {
        for text in ["1s", "1ms", "1h"] {
            if !self.matches(pattern, text)? {
                return Ok(false);
            }
        }
        Ok(!self.matches(pattern, "1")? && !self.matches(pattern, "1x")?)
    }

    /// A text that fits: one of the schema's own, or one that is made.
    fn example(
        &mut self,
        keywords: &'s Keywords,
        pattern: &'s str,
    ) -> Result<Option<String>, Exhausted> {
        let listed = keywords.get("examples").and_then(Value::as_array).into_iter().flatten();
        let own = listed.chain(keywords.get("default")).filter_map(Value::as_str);
        let made = sample::text(keywords);
        for text in own.map(str::to_owned).take(MOST_EXAMPLES).chain(made) {
            let length = text.chars().count();
            if (1..=LONGEST_EXAMPLE).contains(&length) && self.matches(pattern, &text)? {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    /// Whether a text matches a pattern; one that cannot be run matches everything.
    pub(super) fn matches(&mut self, pattern: &'s str, text: &str) -> Result<bool, Exhausted> {
        if !self.patterns.contains_key(pattern) {
            self.spend(PATTERN_STEPS)?;
            let regex = RegexBuilder::new(pattern)
                .size_limit(PATTERN_BYTES)
                .dfa_size_limit(PATTERN_BYTES)
                .nest_limit(50)
                .build();
            self.patterns.insert(pattern, regex.ok());
        }
        self.spend(text.len())?;
        let regex = self.patterns.get(pattern).and_then(Option::as_ref);
        Ok(text.len() > MATCHED_TEXT || regex.is_none_or(|regex| regex.is_match(text)))
    }

    /// Checks a number of things against `min` and `max` of them.
    pub(super) fn count(
        &mut self,
        keywords: &Keywords,
        of: &str,
        count: u64,
        [short, long]: [&str; 2],
        unit: &str,
    ) -> Done {
        let bound = |side: &str| keywords.get(&format!("{side}{of}")).and_then(Value::as_u64);
        let units = |number: u64| match (number, unit.strip_suffix('y')) {
            (1, _) => format!("1 {unit}"),
            (_, Some(stem)) => format!("{number} {stem}ies"),
            _ => format!("{number} {unit}s"),
        };
        let (what, label) = match (bound("min"), bound("max")) {
            (Some(min), _) if count < min => {
                (if count == 0 { "empty" } else { short }, format!("at least {}", units(min)))
            }
            (_, Some(max)) if count > max => (long, format!("at most {}", units(max))),
            _ => return Ok(()),
        };
        let name = self.name();
        let message = match what {
            "empty" => format!("{name} is empty"),
            // How long a secret is, is nobody's business.
            _ if self.is_filled() => format!("{name} is too {what}"),
            _ => format!("{name} is too {what}: {}", units(count)),
        };
        self.tell(Fault::new(self.pointer(), message).label(label))
    }
}

/// What may be meant by words such as `10 seconds`, `1 month` or `daily`, best first.
fn spoken(text: &str) -> Vec<String> {
    const UNITS: [(&str, &[&str]); 8] = [
        ("ms", &["ms", "msec", "msecs", "millis", "millisecond", "milliseconds"]),
        ("s", &["s", "sec", "secs", "second", "seconds"]),
        ("m", &["m", "min", "mins", "minute", "minutes", "minutely"]),
        ("h", &["h", "hr", "hrs", "hour", "hours", "hourly"]),
        ("d", &["d", "day", "days", "daily"]),
        ("week", &["w", "week", "weeks", "weekly"]),
        ("month", &["mo", "month", "months", "monthly"]),
        ("year", &["y", "yr", "year", "years", "yearly", "annually"]),
    ];
    let text = text.trim().to_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, word) = (&text[..digits], text[digits..].trim());
    let found = UNITS.iter().find(|(_, words)| words.contains(&word));
    let Some((unit, _)) = found else { return Vec::new() };
    let number = if number.is_empty() { "1" } else { number };
    let mut all = vec![format!("{number}{unit}")];
    if let (Ok(number @ ..10_000), "week") = (number.parse::<u32>(), *unit) {
        all.push(format!("{}d", number * 7));
    }
    if number == "1" {
        let name = match *unit {
            "d" => "day",
            "h" => "hour",
            unit => unit,
        };
        // Where it is a name, it is what the words say.
        let place = if matches!(*unit, "week" | "month" | "year") { 0 } else { all.len() };
        all.insert(place, name.to_owned());
    }
    all
}

/// Whether two values are the same in JSON, where 1 is 1.0.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => order(one, other) == Ordering::Equal,
        _ => one == other,
    }
}

fn order(one: &Number, other: &Number) -> Ordering {
    let whole = |number: &Number| {
        number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
    };
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => one.cmp(&other),
        _ => {
            let float = |number: &Number| number.as_f64().unwrap_or(f64::NAN);
            float(one).partial_cmp(&float(other)).unwrap_or(Ordering::Equal)
        }
    }
}
