//! The writer: commas are put where they belong, strings are escaped, text is copied.

/// Writes JSON into a text.
///
/// A comma is needed unless the last byte opens something or ends a name, which the text itself
/// tells; so the writer has no state.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    /// What was written.
    pub out: String,
}

impl Writer {
    /// An empty text.
    pub fn new() -> Self {
        Self::default()
    }

    fn comma(&mut self) {
        let opened =
            matches!(self.out.as_bytes().last(), None | Some(b'{' | b'[' | b':' | b' ' | b'\n'));
        if !opened {
            self.out.push(',');
        }
    }

    /// An object with what `inside` writes.
    pub fn object(&mut self, inside: impl FnOnce(&mut Self)) -> &mut Self {
        self.open('{');
        inside(self);
        self.close('}')
    }

    /// An array with what `inside` writes.
    pub fn array(&mut self, inside: impl FnOnce(&mut Self)) -> &mut Self {
        self.open('[');
        inside(self);
        self.close(']')
    }

    /// Begins an object or an array.
    pub fn open(&mut self, bracket: char) -> &mut Self {
        self.comma();
        self.out.push(bracket);
        self
    }

    /// Ends an object or an array.
    pub fn close(&mut self, bracket: char) -> &mut Self {
        self.out.push(bracket);
        self
    }

    /// The name of the member whose value follows.
    pub fn key(&mut self, name: &str) -> &mut Self {
        self.str(name);
        self.out.push(':');
        self
    }

    /// A string.
    pub fn str(&mut self, text: &str) -> &mut Self {
        self.comma();
        self.out.push('"');
        escape(&mut self.out, text);
        self.out.push('"');
        self
    }

    /// A string whose escapes are there already.
    pub fn inside(&mut self, escaped: &str) -> &mut Self {
        self.comma();
        self.out.push('"');
        self.out.push_str(escaped);
        self.out.push('"');
        self
    }

    /// A value that is JSON text already.
    pub fn raw(&mut self, text: &str) -> &mut Self {
        self.comma();
        self.out.push_str(text);
        self
    }

    /// A whole number.
    pub fn u64(&mut self, number: u64) -> &mut Self {
        self.comma();
        let mut digits = [0; 20];
        let (mut at, mut rest) = (digits.len(), number);
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.out.extend(digits[at..].iter().map(|digit| char::from(*digit)));
        self
    }

    /// A truth value.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.raw(if value { "true" } else { "false" })
    }

    /// `null`.
    pub fn null(&mut self) -> &mut Self {
        self.raw("null")
    }
}

/// Appends the text with the escapes that a JSON string needs.
fn escape(out: &mut String, text: &str) {
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let short = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[from..at]);
        match short {
            "" => {
                let digit = |n: u8| char::from(b"0123456789abcdef"[usize::from(n)]);
                out.push_str("\\u00");
                out.extend([digit(byte >> 4), digit(byte & 15)]);
            }
            short => out.push_str(short),
        }
        from = at + 1;
    }
    out.push_str(&text[from..]);
}
