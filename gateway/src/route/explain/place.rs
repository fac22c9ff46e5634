//! The rank of a route for one request, from its patterns alone.
//!
//! Owns a second reading of the first two rules, one pattern at a time, without the host index
//! and the trie that it is there to check.

use std::cmp::Reverse;

use smallvec::SmallVec;

use crate::config::{HostPattern, PathPattern, Segment};
use crate::route::hosts::canonical;
use crate::route::table::Rank;
use crate::route::trie::decoded;

/// Where a route stands among those whose host and path match: rules 1 to 5.
pub(super) type PathRanking = (HostRank, PathRank, Rank);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum HostRank {
    Exact,
    Suffix(Reverse<usize>),
    Any,
}

/// Kinds of segments from the left. Of two patterns that match one path none is the beginning of
/// the other, since only the last segment may be a rest.
pub(super) type PathRank = Vec<Kind>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Literal,
    Verb,
    Param,
    Rest,
}

/// The rank of a host pattern, if it matches.
pub(super) fn host_rank(pattern: Option<&HostPattern>, host: &str) -> Option<HostRank> {
    let mut buffer = SmallVec::new();
    let host = if host.len() > 255 { "" } else { canonical(host, &mut buffer) };
    match pattern {
        None => Some(HostRank::Any),
        Some(HostPattern::Exact(exact)) => {
            exact.eq_ignore_ascii_case(host).then_some(HostRank::Exact)
        }
        Some(HostPattern::Suffix(suffix)) => {
            let front = host.len().checked_sub(suffix.len() + 1).filter(|front| *front > 0)?;
            let tail = host.get(front..)?.strip_prefix('.')?;
            let rank = HostRank::Suffix(Reverse(suffix.len()));
            tail.eq_ignore_ascii_case(suffix).then_some(rank)
        }
    }
}

/// The rank of a path pattern.
pub(super) fn path_rank(path: &PathPattern) -> PathRank {
    let kind = |segment: &Segment| match segment {
        Segment::Literal(_) => Kind::Literal,
        Segment::Verb(..) => Kind::Verb,
        Segment::Param(_) => Kind::Param,
        Segment::Rest(_) => Kind::Rest,
    };
    path.segments.iter().map(kind).collect()
}

/// Whether a pattern matches a normalised path.
pub(super) fn matches(pattern: &PathPattern, path: &str) -> bool {
    let Some(path) = path.strip_prefix('/') else {
        return false;
    };
    let mut parts = path.split('/');
    for segment in &pattern.segments {
        match (segment, parts.next()) {
            (_, None) => return false,
            (Segment::Rest(_), Some(_)) => return true,
            (Segment::Param(_), Some(part)) if !part.is_empty() => {}
            (Segment::Verb(_, verb), Some(part)) => {
                let front = part.strip_suffix(verb.as_str());
                let name = front.and_then(|it| it.strip_suffix(':').or(it.strip_suffix("%3A")));
                if name.is_none_or(str::is_empty) {
                    return false;
                }
            }
            (Segment::Literal(literal), Some(part))
                if decoded(literal.as_bytes()) == decoded(part.as_bytes()) => {}
            (Segment::Param(_) | Segment::Literal(_), Some(_)) => return false,
        }
    }
    parts.next().is_none()
}
