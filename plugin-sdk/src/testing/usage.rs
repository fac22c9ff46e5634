//! The usage of native tests, by the rules of the gateway's.

use std::collections::BTreeMap;

const MAX_NAME: usize = 64;
/// Names of one exchange, and of a gateway.
const MAX_OF_EXCHANGE: usize = 16;
const MAX_OF_GATEWAY: usize = 64;
const MAX_AMOUNT: i64 = (1 << 53) - 1;
/// Columns of the gateway's own.
const OWN: [&str; 13] = [
    "minute",
    "hour",
    "day",
    "time",
    "route",
    "consumer",
    "status",
    "upstream",
    "requests",
    "request_bytes",
    "response_bytes",
    "duration_ms",
    "duration_us",
];

/// What a plugin added.
#[derive(Default)]
pub(crate) struct Usage {
    sums: BTreeMap<String, i64>,
}

impl Usage {
    /// Adds for an exchange that has these names so far.
    pub(crate) fn add(&mut self, name: &str, amount: i64, names: &mut Vec<(String, i64)>) {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let is_name = (1..=MAX_NAME).contains(&name.len())
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(inner);
        assert!(is_name, "`{name}` is not the name of a number of usage");
        assert!(!OWN.contains(&name), "`{name}` is a column of the gateway's own");
        let is_known = names.iter().any(|(known, _)| known == name);
        let has_room = self.sums.contains_key(name) || self.sums.len() < MAX_OF_GATEWAY;
        if !has_room || (!is_known && names.len() >= MAX_OF_EXCHANGE) {
            // Dropped, as in the gateway.
            return;
        }
        if !is_known {
            names.push((name.to_owned(), 0));
        }
        for (_, own) in names.iter_mut().filter(|(known, _)| known == name) {
            *own = own.saturating_add(amount).clamp(-MAX_AMOUNT, MAX_AMOUNT);
        }
        let sum = self.sums.entry(name.to_owned()).or_default();
        *sum = sum.saturating_add(amount).clamp(-MAX_AMOUNT, MAX_AMOUNT);
    }

    pub(crate) fn sum(&self, name: &str) -> i64 {
        self.sums.get(name).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_up_and_drops_what_is_past_the_bound() {
        let (mut usage, mut names) = (Usage::default(), Vec::new());
        for number in 0..17 {
            usage.add(&format!("n{number}"), 1, &mut names);
        }
        usage.add("n3", -5, &mut names);
        assert_eq!((usage.sum("n3"), usage.sum("n15"), usage.sum("n16")), (-4, 1, 0));
        usage.add("n16", i64::MAX, &mut Vec::new());
        assert_eq!(usage.sum("n16"), MAX_AMOUNT);
    }

    #[test]
    #[should_panic(expected = "a column of the gateway's own")]
    fn the_gateways_own_columns_are_refused() {
        Usage::default().add("requests", 1, &mut Vec::new());
    }

    #[test]
    #[should_panic(expected = "is not the name")]
    fn names_are_lower_case() {
        Usage::default().add("Tokens", 1, &mut Vec::new());
    }
}
