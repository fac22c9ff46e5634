//! What a plugin's message about its configuration is about.
//!
//! Owns that a message which begins with its verb is given its subject, the key that it stands at: a caret alone does not
//! show it to who reads the message in a log. Must not judge.

/// Words with which a message begins that has no subject.
const VERBS: [&str; 22] = [
    "is", "are", "has", "have", "holds", "must", "needs", "cannot", "names", "belongs", "stands",
    "leaves", "wants", "does", "takes", "gives", "lacks", "may", "can", "should", "begins", "ends",
];

/// The message, with the key at this JSON Pointer before it if it has no subject.
pub(super) fn named(pointer: &str, message: String) -> String {
    let first = message.split([' ', ':']).next().unwrap_or_default();
    if pointer.is_empty() || !VERBS.contains(&first) {
        return message;
    }
    let mut name = String::new();
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        let is_index = !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
        let is_bare = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == '-';
        let is_bare = !step.is_empty() && step.chars().all(is_bare);
        let dot = if name.is_empty() { "" } else { "." };
        name.push_str(&match (is_index, is_bare) {
            (true, _) => format!("[{step}]"),
            (false, true) => format!("{dot}{step}"),
            (false, false) => format!("{dot}{step:?}"),
        });
    }
    format!("`{name}` {message}")
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn a_message_that_begins_with_its_verb_gets_its_subject() {
        for (pointer, message, told) in [
            (
                "/api_key/keys/1/id",
                "is the id of another key",
                "`api_key.keys[1].id` is the id of another key",
            ),
            ("/claims/a~1b", "must not be empty", "`claims.\"a/b\"` must not be empty"),
            ("/window", "no secret is named", "no secret is named"),
            ("/window", "island: x", "island: x"),
            ("", "is empty", "is empty"),
        ] {
            assert_eq!(named(pointer, message.to_owned()), told);
        }
    }
}
