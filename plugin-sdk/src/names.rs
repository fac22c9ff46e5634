//! Whether two names are the same.
//!
//! Owns comparing them fast in WebAssembly, where the comparison of the standard library looks at
//! each byte in a loop that also looks at the deadline.

/// Whether two names are the same to the letter.
pub(crate) fn same(left: &str, right: &str) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let ((left, left_rest), (right, right_rest)) =
        (left.as_bytes().as_chunks::<8>(), right.as_bytes().as_chunks::<8>());
    let words = left.iter().zip(right);
    let bytes = left_rest.iter().zip(right_rest);
    words.into_iter().all(|(left, right)| u64::from_le_bytes(*left) == u64::from_le_bytes(*right))
        && bytes.into_iter().all(|(left, right)| left == right)
}

/// Whether two names of fields are the same. Nearly all are in lower case.
pub(crate) fn same_field(left: &str, right: &str) -> bool {
    same(left, right) || left.eq_ignore_ascii_case(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_names_apart_at_each_of_their_letters() {
        let long = "consumer.claim.plan-of-many-letters";
        for length in 0..=long.len() {
            let name = &long[..length];
            assert!(same(name, name) && same_field(name, &name.to_uppercase()));
            for at in 0..length {
                let mut other = name.to_owned();
                other.replace_range(at..=at, "#");
                assert!(!same(name, &other) && !same_field(name, &other), "{name} {other}");
            }
            assert!(!same(name, &format!("{name}a")) && !same_field(&format!("{name}a"), name));
        }
    }
}
