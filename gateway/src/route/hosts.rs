//! From the host of a request to the path tries that may serve it.
//!
//! Owns the order among hosts: exact, then wildcard suffixes from the longest to the shortest,
//! then any. Case and a final dot make no difference (RFC 4343; RFC 3986 section 3.2.2).

use std::collections::HashMap;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::trie::NodeId;
use crate::config::HostPattern;

/// A longer name is no host (RFC 1035 section 2.3.4) and is served by routes for any.
const LONGEST_HOST: usize = 255;

/// The roots of path tries by host.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    exact: HashMap<Box<str>, NodeId, RandomState>,
    suffix: HashMap<Box<str>, NodeId, RandomState>,
    /// Bounds what a long host of many labels can cost.
    longest_suffix: usize,
    any: Option<NodeId>,
}

impl Hosts {
    /// The place of the root for a pattern; `None` is any host.
    pub(super) fn root_or_insert(
        &mut self,
        pattern: Option<&HostPattern>,
        insert: impl FnOnce() -> NodeId,
    ) -> NodeId {
        match pattern {
            None => *self.any.get_or_insert_with(insert),
            Some(HostPattern::Exact(host)) => {
                *self.exact.entry(host.to_ascii_lowercase().into()).or_insert_with(insert)
            }
            Some(HostPattern::Suffix(suffix)) => {
                self.longest_suffix = self.longest_suffix.max(suffix.len());
                *self.suffix.entry(suffix.to_ascii_lowercase().into()).or_insert_with(insert)
            }
        }
    }

    /// The root for a pattern that was inserted.
    pub(super) fn root(&self, pattern: Option<&HostPattern>) -> Option<NodeId> {
        match pattern {
            None => self.any,
            Some(HostPattern::Exact(host)) => self.exact.get(&*host.to_ascii_lowercase()).copied(),
            Some(HostPattern::Suffix(host)) => {
                self.suffix.get(&*host.to_ascii_lowercase()).copied()
            }
        }
    }

    /// Calls `visit` with the root of each pattern that matches the host, most specific first,
    /// until it returns something.
    pub(super) fn visit<T>(
        &self,
        host: &str,
        mut visit: impl FnMut(NodeId) -> Option<T>,
    ) -> Option<T> {
        if self.exact.is_empty() && self.suffix.is_empty() || host.len() > LONGEST_HOST {
            return self.any.and_then(visit);
        }
        let mut buffer = SmallVec::<[u8; LONGEST_HOST + 1]>::new();
        let host = canonical(host, &mut buffer);
        self.exact
            .get(host)
            .copied()
            .and_then(&mut visit)
            .or_else(|| self.suffixes(host).find_map(&mut visit))
            .or_else(|| self.any.and_then(&mut visit))
    }

    fn suffixes(&self, host: &str) -> impl Iterator<Item = NodeId> {
        let longest = self.longest_suffix;
        memchr::memchr_iter(b'.', host.as_bytes())
            .filter(move |dot| *dot > 0 && host.len() - dot - 1 <= longest)
            .filter_map(|dot| self.suffix.get(&host[dot + 1..]).copied())
    }
}

/// The host in lower case and without a final dot; `buffer` is used only where case differs.
pub(super) fn canonical<'a>(
    host: &'a str,
    buffer: &'a mut SmallVec<[u8; LONGEST_HOST + 1]>,
) -> &'a str {
    let host = host.strip_suffix('.').unwrap_or(host);
    if !host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return host;
    }
    buffer.extend_from_slice(host.as_bytes());
    buffer.make_ascii_lowercase();
    std::str::from_utf8(buffer).expect("ASCII lower case keeps UTF-8 valid")
}
