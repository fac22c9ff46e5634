//! Lists that may be long.
//!
//! Owns their bounds: `offset` and `limit` in the query, and what the answer says of them.

use serde_json::{Value, json};

use super::call::Refusal;

/// Elements of an answer where nothing is asked.
const USUAL: usize = 100;
/// Elements of an answer, at most.
pub(super) const MOST: usize = 1_000;

/// A part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) offset: usize,
    pub(super) limit: usize,
}

impl Page {
    /// Reads the two parameters.
    ///
    /// # Errors
    /// 400 for what is no number, or out of range.
    pub(super) fn new(offset: Option<&str>, limit: Option<&str>) -> Result<Self, Refusal> {
        let offset = number("offset", offset, 0, usize::try_from(u32::MAX).unwrap_or(usize::MAX))?;
        let limit = number("limit", limit, 1, MOST)?;
        Ok(Self { offset: offset.unwrap_or(0), limit: limit.unwrap_or(USUAL) })
    }

    /// The elements of this page under a name, with the number of all.
    pub(super) fn of<T>(
        self,
        name: &str,
        all: impl ExactSizeIterator<Item = T>,
        show: impl FnMut(T) -> Value,
    ) -> Value {
        let total = all.len();
        let shown: Vec<Value> = all.skip(self.offset).take(self.limit).map(show).collect();
        json!({ "total": total, "offset": self.offset, "limit": self.limit, name: shown })
    }
}

/// A whole number in a range.
pub(super) fn number(
    name: &str,
    text: Option<&str>,
    least: usize,
    most: usize,
) -> Result<Option<usize>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let digits = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    let read = text.parse().ok().filter(|number| digits && (least..=most).contains(number));
    let wrong = || Refusal::bad(format!("`{name}` is a whole number from {least} to {most}"));
    read.map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_bounded() {
        let page = |offset, limit| Page::new(offset, limit).ok().map(|it| (it.offset, it.limit));
        assert_eq!(page(None, None), Some((0, 100)));
        assert_eq!(page(Some("5"), Some("1000")), Some((5, 1000)));
        for wrong in ["-1", "+1", "", "x", "1.0", "1001"] {
            assert_eq!(page(None, Some(wrong)), None, "{wrong}");
        }
        assert_eq!(page(None, Some("0")), None);
        let shown =
            Page { offset: 2, limit: 2 }.of("items", [1, 2, 3, 4, 5].iter(), |it| json!(it));
        assert_eq!(shown, json!({ "total": 5, "offset": 2, "limit": 2, "items": [3, 4] }));
        let behind = Page { offset: 9, limit: 2 }.of("items", [1].iter(), |it| json!(it));
        assert_eq!(behind["items"], json!([]));
    }
}
