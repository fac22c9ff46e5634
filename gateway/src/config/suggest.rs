//! "Did you mean": the name that someone most likely meant.

/// The candidate closest to a word, if one is close enough to be what was meant.
pub(crate) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_lowercase();
    let score = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let abbreviates = word.len() >= 3 && candidate.starts_with(&word);
        let likeness = strsim::normalized_damerau_levenshtein(&word, &candidate);
        if abbreviates { likeness.max(0.9) } else { likeness }
    };
    candidates
        .into_iter()
        .map(|candidate| (score(candidate), candidate))
        .filter(|(score, _)| *score >= 0.6)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
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
    }

    #[test]
    fn says_nothing_where_nothing_is_close() {
        assert_eq!(closest("colour", ["address", "key"]), None);
        assert_eq!(closest("x", []), None);
    }
}
