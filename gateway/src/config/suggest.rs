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
    use super::closest;

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
