//! The usage of a whole response, looked for from its end: it stands behind the text, which may be long.
//!
//! Owns that what is found is what a reader of the whole would take: the last member of that name of the outermost object.
//! Where that is not plain, nothing is found, and the whole has to be read.

use crate::json::{self, Raw, space};

/// The letter of a name that is looked for, which few texts have at their end, and the offset of it behind the quote.
const RARE: (u8, usize) = (b'g', 3);

/// The object that is the last member `name` of the object that `body` is, and where what stands before and behind it ends
/// and begins. `name` has `g` as its fourth letter.
pub(super) fn member<'a>(body: &'a [u8], name: &str) -> Option<(Raw<'a>, usize, usize)> {
    debug_assert_eq!(name.as_bytes()[RARE.1], RARE.0);
    if body.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    let mut to = body.len();
    while let Some(found) = memchr::memrchr(RARE.0, &body[..to]) {
        to = found;
        let quote = found.checked_sub(RARE.1 + 1)?;
        if let Some(start) = value_of(body, quote, name.as_bytes()) {
            let end = json::value(body, start, json::DEPTH).ok()?;
            // What is left must be members of the outermost object: then this one is, too.
            is_outermost(body, end).then_some(())?;
            let text = std::str::from_utf8(&body[start..end]).ok()?;
            return (body[start] == b'{').then(|| (Raw::of_value(text), quote, end));
        }
    }
    None
}

/// Where the value of a member begins whose name begins at `quote`, if that is its name.
fn value_of(body: &[u8], quote: usize, name: &[u8]) -> Option<usize> {
    let after = body[quote..].strip_prefix(b"\"")?.strip_prefix(name)?.strip_prefix(b"\"")?;
    // Inside of a string, a backslash would stand before the quote.
    let before = body[..quote].trim_ascii_end().last()?;
    matches!(before, b',' | b'{').then_some(())?;
    let colon = space(body, body.len() - after.len());
    (body.get(colon) == Some(&b':')).then(|| space(body, colon + 1))
}

/// Whether what follows is more members and the end of an object, and then nothing.
fn is_outermost(body: &[u8], mut at: usize) -> bool {
    loop {
        at = space(body, at);
        match body.get(at) {
            Some(b'}') => return space(body, at + 1) == body.len(),
            Some(b',') => at = space(body, at + 1),
            _ => return false,
        }
        let Ok(colon) = json::string(body, at).map(|end| space(body, end)) else { return false };
        if body.get(colon) != Some(&b':') {
            return false;
        }
        match json::value(body, space(body, colon + 1), json::DEPTH) {
            Ok(end) => at = end,
            Err(_) => return false,
        }
    }
}

/// Whether the bytes may have a member of this name, at any depth. `name` has an underscore.
pub(super) fn may_have(bytes: &[u8], name: &str) -> bool {
    let Some(underscore) = name.find('_') else { return true };
    memchr::memchr_iter(b'_', bytes).any(|at| {
        let from = at.checked_sub(underscore);
        from.is_some_and(|from| bytes[from..].starts_with(name.as_bytes()))
    })
}
