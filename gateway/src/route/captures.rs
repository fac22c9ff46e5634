//! What the parameters of a path pattern mean in one request.
//!
//! Owns the byte ranges and their way back to names. Ranges need no allocation for up to four
//! parameters and outlive the search; names are looked up in the table when somebody asks.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use smallvec::SmallVec;

use super::table::Table;

/// Byte ranges (start, end) of a path, one for each parameter of a pattern, first to last.
pub(super) type Ranges = SmallVec<[(u32, u32); 4]>;

/// Where the parameters of the pattern that matched are in the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captures {
    /// Index into the table's patterns.
    pattern: u32,
    ranges: Ranges,
}

impl Captures {
    pub(super) fn new(pattern: u32, ranges: Ranges) -> Self {
        Self { pattern, ranges }
    }

    /// Whether the pattern has no parameters.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The value of the parameter with this index, as it is in the normalised path.
    pub(crate) fn value<'a>(&self, index: usize, path: &'a str) -> Option<&'a str> {
        let &(start, end) = self.ranges.get(index)?;
        path.get(start as usize..end as usize)
    }

    /// The captures with their names. `table` and `path` are those of the search.
    pub fn named<'a>(&'a self, table: &'a Table, path: &'a str) -> NamedCaptures<'a> {
        NamedCaptures { names: table.names(self.pattern), ranges: &self.ranges, path }
    }
}

/// [`Captures`] that can be asked by name.
#[derive(Debug, Clone, Copy)]
pub struct NamedCaptures<'a> {
    names: &'a [Box<str>],
    ranges: &'a [(u32, u32)],
    path: &'a str,
}

impl<'a> NamedCaptures<'a> {
    /// The value of a parameter as it is in the normalised path, escapes and all.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The value of a parameter, percent-decoded. Bytes that are no UTF-8 become U+FFFD.
    pub fn decoded(&self, name: &str) -> Option<Cow<'a, str>> {
        self.value(name).map(|value| percent_decode_str(value).decode_utf8_lossy())
    }

    /// Names and values, first to last, as [`value`](Self::value) has them.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let path = self.path;
        self.names.iter().zip(self.ranges).map(move |(name, &(start, end))| {
            let value = path.get(start as usize..end as usize).unwrap_or_default();
            (&**name, value)
        })
    }
}
