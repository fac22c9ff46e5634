//! The path patterns of a table, as tries over segments.
//!
//! Owns the nodes and the lists of candidates at them. One arena holds the tries of all hosts.
//! Literals are kept and compared decoded, since what is served must not depend on which
//! characters a client chose to escape.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use foldhash::fast::RandomState;
use percent_encoding::percent_decode;

use super::methods::MethodSet;
use crate::config::Segment;

/// Index of a node in its [`Trie`].
pub(super) type NodeId = u32;

/// A route at the end of a path pattern.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// Index in the configuration's routes.
    pub(super) route: u32,
    /// Index in the table's patterns.
    pub(super) pattern: u32,
    /// Index in the table's predicates, if there are any.
    pub(super) predicates: Option<u32>,
    pub(super) methods: MethodSet,
}

/// Candidates of one node, best first, as a range of [`Trie::candidates`].
pub(super) type Leaf = Range<u32>;

/// A trie that is only read.
#[derive(Debug, Default)]
pub(super) struct Trie {
    nodes: Vec<Node>,
    candidates: Vec<Candidate>,
}

/// What may follow the segments up to here.
#[derive(Debug)]
pub(super) struct Node {
    literals: Literals,
    /// What goes on with `{name}:verb`, by verb.
    verbs: Box<[(Box<str>, NodeId)]>,
    pub(super) param: Option<NodeId>,
    /// Patterns that go on with `{*rest}`.
    pub(super) rest: Leaf,
    /// Patterns that end here.
    pub(super) end: Leaf,
}

#[derive(Debug)]
enum Literals {
    /// Few enough to compare one by one.
    Few(Box<[(Box<[u8]>, NodeId)]>),
    Many(HashMap<Box<[u8]>, NodeId, RandomState>),
}

/// Above this many literals hashing beats comparing.
const FEW: usize = 6;

impl Trie {
    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    pub(super) fn candidates(&self, leaf: &Leaf) -> &[Candidate] {
        &self.candidates[leaf.start as usize..leaf.end as usize]
    }
}

impl Node {
    /// The node behind a decoded literal.
    pub(super) fn literal(&self, segment: &[u8]) -> Option<NodeId> {
        match &self.literals {
            Literals::Few(few) => {
                few.iter().find(|(literal, _)| **literal == *segment).map(|(_, node)| *node)
            }
            Literals::Many(many) => many.get(segment).copied(),
        }
    }
}

impl Node {
    /// The node behind a segment that ends with a verb, and the length of what is before the colon.
    pub(super) fn verb(&self, segment: &[u8]) -> Option<(NodeId, usize)> {
        self.verbs.iter().find_map(|(verb, node)| {
            let front = segment.strip_suffix(verb.as_bytes())?;
            let name = front.strip_suffix(b":").or_else(|| front.strip_suffix(b"%3A"))?;
            (!name.is_empty()).then_some((*node, name.len()))
        })
    }

    /// The node of patterns with this verb.
    pub(super) fn exact_verb(&self, verb: &str) -> Option<NodeId> {
        self.verbs.iter().find(|(known, _)| **known == *verb).map(|(_, node)| *node)
    }
}

/// A segment as literals are compared.
pub(super) fn decoded(segment: &[u8]) -> Cow<'_, [u8]> {
    percent_decode(segment).into()
}

/// A trie that is being filled. `K` orders the candidates of a node.
#[derive(Debug)]
pub(super) struct Builder<K> {
    nodes: Vec<Draft<K>>,
}

#[derive(Debug)]
struct Draft<K> {
    literals: HashMap<Box<[u8]>, NodeId, RandomState>,
    verbs: Vec<(Box<str>, NodeId)>,
    param: Option<NodeId>,
    rest: Vec<(K, Candidate)>,
    end: Vec<(K, Candidate)>,
}

impl<K: Ord> Builder<K> {
    pub(super) fn new() -> Self {
        Self { nodes: Vec::new() }
    }

    /// A new node that nothing leads to yet.
    pub(super) fn push(&mut self) -> NodeId {
        let draft = Draft {
            literals: HashMap::default(),
            verbs: Vec::new(),
            param: None,
            rest: Vec::new(),
            end: Vec::new(),
        };
        self.nodes.push(draft);
        NodeId::try_from(self.nodes.len() - 1).expect("a configuration has fewer segments")
    }

    /// Puts a candidate behind the segments of its pattern.
    pub(super) fn insert(
        &mut self,
        root: NodeId,
        segments: &[Segment],
        key: K,
        candidate: Candidate,
    ) {
        let mut at = root;
        for segment in segments {
            at = match segment {
                Segment::Literal(text) => self.literal_or_push(at, text),
                Segment::Verb(_, verb) => self.verb_or_push(at, verb),
                Segment::Param(_) => self.param_or_push(at),
                Segment::Rest(_) => {
                    self.nodes[at as usize].rest.push((key, candidate));
                    return;
                }
            };
        }
        self.nodes[at as usize].end.push((key, candidate));
    }

    fn literal_or_push(&mut self, at: NodeId, text: &str) -> NodeId {
        let text = decoded(text.as_bytes());
        if let Some(node) = self.nodes[at as usize].literals.get(&*text) {
            return *node;
        }
        let node = self.push();
        self.nodes[at as usize].literals.insert(text.into(), node);
        node
    }

    fn verb_or_push(&mut self, at: NodeId, verb: &str) -> NodeId {
        let mut known = self.nodes[at as usize].verbs.iter();
        if let Some((_, node)) = known.find(|(known, _)| **known == *verb) {
            return *node;
        }
        let node = self.push();
        self.nodes[at as usize].verbs.push((verb.into(), node));
        node
    }

    fn param_or_push(&mut self, at: NodeId) -> NodeId {
        if let Some(node) = self.nodes[at as usize].param {
            return node;
        }
        let node = self.push();
        self.nodes[at as usize].param = Some(node);
        node
    }

    /// Sorts the candidates and packs them.
    pub(super) fn finish(self) -> Trie {
        let mut trie = Trie::default();
        for draft in self.nodes {
            let node = Node {
                literals: Literals::new(draft.literals),
                verbs: draft.verbs.into(),
                param: draft.param,
                rest: pack(draft.rest, &mut trie.candidates),
                end: pack(draft.end, &mut trie.candidates),
            };
            trie.nodes.push(node);
        }
        trie
    }
}

impl Literals {
    fn new(map: HashMap<Box<[u8]>, NodeId, RandomState>) -> Self {
        if map.len() > FEW {
            return Self::Many(map);
        }
        let mut few: Vec<_> = map.into_iter().collect();
        few.sort_unstable();
        Self::Few(few.into())
    }
}

fn pack<K: Ord>(mut from: Vec<(K, Candidate)>, to: &mut Vec<Candidate>) -> Leaf {
    let length =
        |list: &Vec<_>| u32::try_from(list.len()).expect("a configuration has fewer routes");
    from.sort_by(|(one, _), (other, _)| one.cmp(other));
    let start = length(to);
    to.extend(from.into_iter().map(|(_, candidate)| candidate));
    start..length(to)
}
