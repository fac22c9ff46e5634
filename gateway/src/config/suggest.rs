//! "Did you mean": the name that someone most likely meant.

/// The candidate closest to a word, if one is close enough to be what was meant: a slip of the finger
/// away, or abbreviated. Words that merely share letters, such as two algorithms that exist both, are
/// not.
pub(crate) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_lowercase();
    let score = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        if word == candidate {
            // Nothing is closer than the same word in another case.
            return Some(2.0);
        }
        if word.chars().count() >= 3 && candidate.starts_with(&word) {
            return Some(0.9);
        }
        let likeness = strsim::normalized_damerau_levenshtein(&word, &candidate);
        (likeness >= 0.6 && is_slip(&word, &candidate)).then_some(likeness)
    };
    candidates
        .into_iter()
        .filter_map(|candidate| Some((score(candidate)?, candidate)))
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}

/// The value of a list that was meant: one that is near, one that the text has as a word, one that differs by a digit of a
/// long number, or the only one whose description has the word.
pub(crate) fn closest_value<'a>(
    text: &str,
    values: impl Iterator<Item = &'a str> + Clone,
    described: &[(&'a str, &str)],
) -> Option<&'a str> {
    let lower = text.to_lowercase();
    let words = |text: &str| -> Vec<String> {
        let parts = text.split(|c: char| !c.is_alphanumeric());
        parts.filter(|part| part.len() > 2).map(str::to_lowercase).collect()
    };
    let of_text = words(&lower);
    let named = || only(values.clone().filter(|value| of_text.contains(&value.to_lowercase())));
    let digit =
        || only(values.clone().filter(|value| is_one_digit_off(&lower, &value.to_lowercase())));
    let told = || {
        let has = |about: &str| words(about).contains(&lower);
        only(described.iter().filter(|(_, about)| has(about)).map(|(value, _)| *value))
    };
    closest(text, values.clone()).or_else(named).or_else(digit).or_else(told)
}

fn only<'a>(mut all: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let first = all.next();
    first.filter(|_| all.next().is_none())
}

/// Whether one digit of a number of three digits or more is another: `RS255` for `RS256`. Shorter numbers are typed on
/// purpose.
fn is_one_digit_off(text: &str, value: &str) -> bool {
    let pairs = text.bytes().zip(value.bytes()).enumerate();
    let others: Vec<_> = pairs.filter(|(_, (one, other))| one != other).collect();
    let [(at, (one, other))] = others[..] else { return false };
    let before = text.bytes().take(at).rev().take_while(u8::is_ascii_digit).count();
    let from = text.bytes().skip(at).take_while(u8::is_ascii_digit).count();
    let are_digits = one.is_ascii_digit() && other.is_ascii_digit();
    text.len() == value.len() && are_digits && before + from >= 3
}

/// Whether one can be typed for the other: the first letter is nearly always right, digits are typed
/// on purpose, and a short word has no room for two slips.
fn is_slip(word: &str, candidate: &str) -> bool {
    let (typed, meant): (Vec<_>, Vec<_>) = (word.chars().collect(), candidate.chars().collect());
    let longest = typed.len().max(meant.len());
    let slips = strsim::damerau_levenshtein(word, candidate);
    let most = match longest {
        0..=5 => 1,
        6..=8 => 2,
        _ => 3,
    };
    let digits = |letters: &[char]| {
        let mut digits: Vec<_> = letters.iter().copied().filter(char::is_ascii_digit).collect();
        digits.sort_unstable();
        digits
    };
    let begins_alike = typed.first() == meant.first()
        || typed.get(1) == meant.first()
        || typed.first() == meant.get(1) && typed.len() < meant.len();
    let is_other_word = longest <= 3 && typed.len() == meant.len() && {
        let (mut one, mut other) = (typed.clone(), meant.clone());
        one.sort_unstable();
        other.sort_unstable();
        one != other
    };
    // `ES256K` is no slip for `ES256`.
    let is_longer_code =
        word.starts_with(candidate) && candidate.ends_with(|c: char| c.is_ascii_digit());
    let is_same_number = digits(&typed) == digits(&meant);
    slips <= most && begins_alike && !is_other_word && is_same_number && !is_longer_code
}

#[cfg(test)]
mod tests {
    use super::{closest, closest_value};

    #[test]
    fn finds_the_value_that_is_meant_by_another_word() {
        let value = |text, values: &[&'static str], described: &[(&'static str, &str)]| {
            closest_value(text, values.iter().copied(), described)
        };
        let algorithms = ["ES256", "RS256", "RS384"];
        assert_eq!(value("RS255", &algorithms, &[]), Some("RS256"));
        assert_eq!(value("RS512", &algorithms, &[]), None);
        assert_eq!(value("api-3", &["api-1"], &[]), None);
        let windows = ["bucket", "fixed", "sliding"];
        assert_eq!(value("sliding_window", &windows, &[]), Some("sliding"));
        assert_eq!(value("fixed or sliding", &windows, &[]), None);
        let described = [("bucket", "A token bucket (or leaky bucket)"), ("fixed", "All at once")];
        assert_eq!(value("leaky", &windows, &described), Some("bucket"));
        assert_eq!(value("random", &windows, &described), None);
    }

    #[test]
    fn finds_slips_of_the_finger_and_abbreviations() {
        let names = ["address", "certificate", "hosts", "key"];
        assert_eq!(closest("adress", names), Some("address"));
        assert_eq!(closest("cert", names), Some("certificate"));
        assert_eq!(closest("Host", names), Some("hosts"));
        assert_eq!(closest("kye", names), Some("key"));
        assert_eq!(closest("ddress", names), Some("address"));
        assert_eq!(closest("RS265", ["RS256", "ES256"]), Some("RS256"));
        assert_eq!(closest("es256", ["ES256", "ES256K"]), Some("ES256"));
        assert_eq!(closest("es256k", ["ES256", "ES256K"]), Some("ES256K"));
    }

    #[test]
    fn does_not_take_one_thing_that_exists_for_another() {
        let algorithms = ["EdDSA", "ES256", "ES384", "PS256", "RS256", "RS384"];
        for word in ["HS256", "ES256K", "RS512", "ES521", "none", "HMAC"] {
            assert_eq!(closest(word, algorithms), None, "{word}");
        }
        assert_eq!(closest("api-3", ["api-1", "api-2"]), None);
        assert_eq!(closest("gate", ["rate", "date"]), None);
        assert_eq!(closest("to", ["by", "no"]), None);
        assert_eq!(closest("cat", ["car"]), None);
        assert_eq!(closest("open", ["closed", "often"]), None);
    }

    #[test]
    fn says_nothing_where_nothing_is_close() {
        assert_eq!(closest("colour", ["address", "key"]), None);
        assert_eq!(closest("x", []), None);
    }
}
