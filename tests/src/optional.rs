//! Programs and rights that a machine may not have, and what tests without them do: they say so and pass, but in CI they
//! fail.
//!
//! Must not look for anything itself: each test knows what it needs.

use std::io::Write as _;

/// Says what is not tested, where the output of tests that pass is seen too.
///
/// # Panics
/// In CI (where `CI` is set), unless `GATEWAY_TESTS_WITHOUT` names the part among others, with commas between.
pub fn missing(part: &str) {
    let [ci, without] =
        ["CI", "GATEWAY_TESTS_WITHOUT"].map(|name| std::env::var(name).unwrap_or_default());
    assert!(
        may_miss(part, &ci, &without),
        "this machine has no {part}, and CI must test with it: install it as `.ci/run` does, or name it in \
         GATEWAY_TESTS_WITHOUT"
    );
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // Past the capture of tests, which holds back what `eprintln!` says.
    let _unseen = writeln!(std::io::stderr(), "NOT TESTED by {test}: this machine has no {part}");
}

fn may_miss(part: &str, ci: &str, without: &str) -> bool {
    matches!(ci, "" | "false") || without.split(',').any(|known| known.trim() == part)
}

#[cfg(test)]
mod tests {
    use super::may_miss;

    #[test]
    fn ci_misses_only_what_it_names() {
        for (ci, without, may) in [
            ("", "", true),
            ("false", "", true),
            ("true", "", false),
            ("1", "Valkey 8", false),
            ("true", "Valkey 8, Valkey", true),
        ] {
            assert_eq!(may_miss("Valkey", ci, without), may, "{ci:?} {without:?}");
        }
    }
}
