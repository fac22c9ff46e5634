//! The intermediate form of an answer: items, in the order in which a provider says them.
//!
//! Texts are the insides of JSON strings, with escapes, so that they are copied.

use super::finish::Finish;
use crate::saved::saved;

/// One thing that a provider said.
#[derive(Clone, Debug)]
pub(super) enum Item<'a> {
    /// The id of the answer; empty if the provider has none.
    Start(&'a str),
    Text(&'a str),
    Thinking(&'a str),
    /// Ends the thinking that was said last.
    Signature(&'a str),
    Redacted(&'a str),
    /// Why the model will not answer, in its words.
    Refusal(&'a str),
    /// Begins a call of a tool. The id is not escaped.
    Call {
        id: &'a str,
        name: &'a str,
        signature: Option<&'a str>,
    },
    /// A piece of the arguments of the call that was begun last.
    Arguments(&'a str),
    Finish(Finish),
}

/// Takes items.
pub(super) trait Sink {
    fn item(&mut self, item: Item<'_>);
}

/// What a block of an answer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// There is none.
    #[default]
    None,
    Text,
    Thinking,
    Redacted,
    Refusal,
    Call,
}
saved!(
    enum Kind {
        None,
        Text,
        Thinking,
        Redacted,
        Refusal,
        Call,
    }
);

/// A part of an answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    pub(super) kind: Kind,
    /// The text, or the arguments of a call.
    pub(super) text: String,
    /// Of a call, with its signature in it.
    pub(super) id: String,
    pub(super) name: String,
    /// Of thinking.
    pub(super) signature: String,
    /// Gemini's, of a call.
    pub(super) call_signature: Option<String>,
}
saved!(struct Block { kind, text, id, name, signature, call_signature });

impl Block {
    /// The arguments of a call as the text of an object, or `None` if they are none.
    pub(super) fn arguments(&self) -> Option<String> {
        let literal = format!("\"{}\"", self.text);
        let text = super::ir::decoded(&literal).into_owned();
        if text.trim().is_empty() {
            return Some("{}".to_owned());
        }
        let json = crate::json::Raw::parse(text.as_bytes()).ok()?;
        json.is_object().then(|| json.text().to_owned())
    }
}

/// A whole answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) id: String,
    pub(super) blocks: Vec<Block>,
    pub(super) finish: Option<Finish>,
}
saved!(struct Answer { id, blocks, finish });

impl Answer {
    /// The blocks of a kind.
    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = &Block> {
        self.blocks.iter().filter(move |block| block.kind == kind)
    }

    /// The texts of a kind, put together.
    pub(super) fn text(&self, kind: Kind) -> String {
        self.of(kind).map(|block| block.text.as_str()).collect()
    }

    /// The block of that kind that is being written, begun if it is not.
    pub(super) fn block(&mut self, kind: Kind) -> &mut Block {
        let is_open = self.blocks.last().is_some_and(|last| {
            // Redacted thinking is one block each, and a new one has no text.
            let is_full = kind == Kind::Redacted && !last.text.is_empty();
            last.kind == kind && last.signature.is_empty() && !is_full
        });
        if !is_open {
            self.blocks.push(Block { kind, ..Block::default() });
        }
        let last = self.blocks.len() - 1;
        &mut self.blocks[last]
    }
}

impl Sink for Answer {
    fn item(&mut self, item: Item<'_>) {
        match item {
            Item::Start(id) => id.clone_into(&mut self.id),
            Item::Text(text) => self.block(Kind::Text).text.push_str(text),
            Item::Thinking(text) => self.block(Kind::Thinking).text.push_str(text),
            Item::Signature(text) => {
                // A provider may say a signature in pieces, or without any thinking.
                let last = self.blocks.last().is_some_and(|last| last.kind == Kind::Thinking);
                match self.blocks.last_mut().filter(|_| last) {
                    Some(block) => block.signature.push_str(text),
                    None => self.block(Kind::Thinking).signature.push_str(text),
                }
            }
            Item::Redacted(data) => self.block(Kind::Redacted).text.push_str(data),
            Item::Refusal(text) => self.block(Kind::Refusal).text.push_str(text),
            Item::Call { id, name, signature } => self.blocks.push(Block {
                kind: Kind::Call,
                id: crate::ids::with_signature(id, signature),
                name: name.to_owned(),
                call_signature: signature.map(str::to_owned),
                ..Block::default()
            }),
            Item::Arguments(text) => self.block(Kind::Call).text.push_str(text),
            Item::Finish(finish) => self.finish = Some(finish),
        }
    }
}
