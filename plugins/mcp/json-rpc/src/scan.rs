//! What an answer says, read as its bytes come: nothing of it is kept, however long it is.
//!
//! Owns three questions: whether it is a result or an error, whether a tool failed, and whether it may be a list. Must not
//! check the grammar.

use serde::{Deserialize, Serialize};

/// The longest member name that matters, in bytes.
const MOST_KEY: usize = 20;

/// Names of members of results that are lists.
const LISTS: [&[u8]; 4] = [b"tools", b"prompts", b"resources", b"resourcetemplates"];

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum In {
    #[default]
    Other,
    Result,
    Error,
    IsError,
    Code,
}

/// The reader of one message.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Scanner {
    has_begun: bool,
    /// A batch: its messages are one level deeper.
    is_batch: bool,
    depth: u32,
    /// Which of the first levels are objects, as bits.
    objects: u8,
    is_text: bool,
    is_escaped: bool,
    /// A member name is being read.
    keeps: bool,
    wants_key: bool,
    key: Vec<u8>,
    /// In which member of the message, and in which of the result or error.
    outer: In,
    inner: In,
    code: Vec<u8>,
    has_result: bool,
    has_error: bool,
    is_tool_error: bool,
    has_list: bool,
}

/// What a message said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    /// Nothing that answers a request.
    #[default]
    Nothing,
    /// A result.
    Result,
    /// A result of which the tool says that it is an error.
    ToolError,
    /// An error of JSON-RPC with this code.
    Error(i64),
}

impl Scanner {
    /// What the message said, as far as it was read.
    pub fn said(&self) -> Said {
        if self.has_error {
            let code = std::str::from_utf8(&self.code).ok().and_then(|code| code.parse().ok());
            return Said::Error(code.unwrap_or_default());
        }
        match (self.has_result, self.is_tool_error) {
            (true, true) => Said::ToolError,
            (true, false) => Said::Result,
            (false, _) => Said::Nothing,
        }
    }

    /// Whether a result in it has a list, or a name that may be one.
    pub fn has_list(&self) -> bool {
        self.has_list
    }

    /// Takes the next bytes.
    pub fn read(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((byte, behind)) = rest.split_first() {
            rest = behind;
            if self.is_text {
                if self.is_escaped {
                    self.is_escaped = false;
                } else if *byte == b'"' {
                    self.is_text = false;
                } else if self.keeps {
                    // An escape leaves its backslash, so that the name is none of those that are known.
                    self.is_escaped = *byte == b'\\';
                    if self.key.len() < MOST_KEY {
                        self.key.push(*byte);
                    }
                } else if *byte == b'\\' {
                    self.is_escaped = true;
                } else {
                    let end = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                    rest = &rest[end..];
                }
                continue;
            }
            self.structure(*byte);
        }
    }

    fn structure(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.is_text = true;
                self.keeps = self.wants_key && self.level() <= 2;
                self.key.clear();
            }
            b'{' | b'[' => {
                self.is_batch |= !self.has_begun && byte == b'[';
                self.has_begun = true;
                self.depth += 1;
                self.set_object(byte == b'{');
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.wants_key = false;
            }
            b',' => {
                self.wants_key = self.is_object();
                match self.level() {
                    0 | 1 => (self.outer, self.inner) = (In::Other, In::Other),
                    2 => self.inner = In::Other,
                    _ => {}
                }
            }
            b':' => {
                self.wants_key = false;
                self.name();
            }
            b' ' | b'\n' | b'\r' | b'\t' => {}
            scalar => match (self.level(), self.inner) {
                (2, In::IsError) => self.is_tool_error |= scalar == b't',
                (2, In::Code) if self.code.len() < MOST_KEY => self.code.push(scalar),
                _ => {}
            },
        }
    }

    /// How deep it is in a message: 1 among its members.
    fn level(&self) -> u32 {
        self.depth.saturating_sub(u32::from(self.is_batch))
    }

    fn set_object(&mut self, is_object: bool) {
        self.wants_key = is_object;
        if let Some(bit) = 1_u8.checked_shl(self.depth) {
            self.objects = if is_object { self.objects | bit } else { self.objects & !bit };
        }
    }

    fn is_object(&self) -> bool {
        1_u8.checked_shl(self.depth).is_some_and(|bit| self.objects & bit != 0)
    }

    /// What the name says that was read.
    fn name(&mut self) {
        match (self.level(), self.outer) {
            (1, _) => {
                self.outer = match &*self.key {
                    b"result" => In::Result,
                    b"error" => In::Error,
                    _ => In::Other,
                };
                self.has_result |= self.outer == In::Result;
                self.has_error |= self.outer == In::Error;
                self.code.clear();
            }
            (2, outer) => {
                let key = self.key.to_ascii_lowercase();
                // Who spells a name with escapes, or otherwise than it is, means something by it.
                self.has_list |= LISTS.contains(&&*key) || !key.is_ascii() || key.contains(&b'\\');
                self.inner = match (outer, &*self.key) {
                    (In::Result, b"isError") => In::IsError,
                    (In::Error, b"code") => In::Code,
                    _ => In::Other,
                };
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Said, bool) {
        let mut scanner = Scanner::default();
        scanner.read(text.as_bytes());
        for cut in 0..text.len() {
            let mut other = Scanner::default();
            other.read(&text.as_bytes()[..cut]);
            other.read(&text.as_bytes()[cut..]);
            assert_eq!(
                (other.said(), other.has_list()),
                (scanner.said(), scanner.has_list()),
                "{text} at {cut}"
            );
        }
        (scanner.said(), scanner.has_list())
    }

    #[test]
    fn tells_results_from_errors_wherever_the_bytes_are_cut() {
        for (text, said) in [
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"isError":true}],"isError" : false}}"#,
                Said::Result,
            ),
            (
                r#"{"result":{"content":[{"text":"\"}{\\"}],"isError": true},"id":1}"#,
                Said::ToolError,
            ),
            (
                r#"{"id":1,"error":{"code": -32602 ,"message":"code","data":{"code":7}}}"#,
                Said::Error(-32_602),
            ),
            (
                r#"{"method":"notifications/x","params":{"result":{"isError":true},"error":{"code":1}}}"#,
                Said::Nothing,
            ),
            (r#"{"result":{},"id":"a\"error\":{"}"#, Said::Result),
            ("", Said::Nothing),
        ] {
            assert_eq!(read(text).0, said, "{text}");
        }
    }

    #[test]
    fn sees_lists_in_messages_and_batches() {
        for (text, has_list) in [
            (r#"{"result":{"nextCursor":"a","tools":[]}}"#, true),
            (r#"[{"id":1,"result":{"resourceTemplates":[]}}]"#, true),
            (r#"{"result":{"t\u006fols":[]}}"#, true),
            (r#"{"result":{"structuredContent":{"tools":[]},"content":["tools"]}}"#, false),
            (r#"{"result":{"isError":true}}"#, false),
        ] {
            assert_eq!(read(text).1, has_list, "{text}");
        }
    }
}
