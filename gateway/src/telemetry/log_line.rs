//! How lines that a guest writes may look in the log.

use std::borrow::Cow;

/// Bytes of a line that are kept.
pub(crate) const MAX_LINE: usize = 8 << 10;

/// As much of a line as is kept.
pub(crate) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_LINE)]
}

/// The text with control characters escaped, so that nobody forges lines of the log or steers the
/// terminal that shows them.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let is_control = |c: char| c.is_control() && c != '\t';
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_control(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}
