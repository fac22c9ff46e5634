//! A text as a check sees it, and what the check wants of it.

use std::borrow::Cow;
use std::ops::Range;

/// Which of an exchange's texts it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What was said, by whomever: prompts, answers, results of tools.
    Said,
    /// What a model thought.
    Thinking,
    /// The arguments of a tool's call where they are JSON inside of a string. A check sees the text that the JSON
    /// stands for as well as it can: escapes are taken away, and put back around what is replaced.
    Arguments,
}

/// A text as far as it has come.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// What is not decided yet. Never empty.
    pub text: &'a str,
    /// The last character that was decided before, if there was one.
    pub before: Option<char>,
    /// Whether the text ends here: nothing can be waited for.
    pub is_end: bool,
    /// Which of the texts it is.
    pub kind: Kind,
}

/// What a check wants: none of it leaves the text as it is.
#[derive(Debug, Default)]
pub struct Changes {
    pub(crate) replaced: Vec<(Range<usize>, String)>,
    pub(crate) waits_from: Option<usize>,
    pub(crate) stop: Option<String>,
}

impl Changes {
    /// Puts another text in place of these bytes. Ranges must not overlap, and come in order.
    pub fn replace<'t>(&mut self, range: Range<usize>, with: impl Into<Cow<'t, str>>) {
        self.replaced.push((range, with.into().into_owned()));
    }

    /// Waits for more text before anything from this byte on is decided: the check sees it again, with what follows.
    /// Where the text [ends](Text::is_end) it does nothing.
    pub fn wait_from(&mut self, at: usize) {
        self.waits_from = Some(at);
    }

    /// Passes on nothing from here on: the request is refused, the answer is ended. The message is for people.
    pub fn stop(&mut self, message: impl Into<String>) {
        self.stop = Some(message.into());
    }
}

/// Looks at texts.
pub trait Check {
    /// Looks at one, and says what becomes of it.
    fn check(&mut self, text: &Text<'_>, changes: &mut Changes);
}

impl<F: FnMut(&Text<'_>, &mut Changes)> Check for F {
    fn check(&mut self, text: &Text<'_>, changes: &mut Changes) {
        self(text, changes);
    }
}
