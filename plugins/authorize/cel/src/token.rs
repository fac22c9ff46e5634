//! The words of an expression: names, numbers, texts and signs.

use super::Fault;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    Name(String),
    Int(u64),
    Uint(u64),
    Double(f64),
    Text(String),
    Sign(&'static str),
    End,
}

impl Token {
    /// The token as it is told of.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Name(name) => format!("`{name}`"),
            Self::Int(_) | Self::Uint(_) | Self::Double(_) => "a number".to_owned(),
            Self::Text(_) => "a text".to_owned(),
            Self::Sign(sign) => format!("`{sign}`"),
            Self::End => "the end".to_owned(),
        }
    }
}

/// The longest first.
const SIGNS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "(", ")", "[", "]", "{", "}", ".", ",", ":", "?", "+", "-",
    "*", "/", "%", "!", "<", ">",
];

/// The tokens of a text, each with the byte where it begins; the last is the end.
pub(crate) fn tokens(source: &str) -> Result<Vec<(usize, Token)>, Fault> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(character) = source[at..].chars().next() {
        let rest = &source[at..];
        let (length, token) = if character.is_whitespace() {
            at += character.len_utf8();
            continue;
        } else if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        } else if let Some((prefix, quote)) = quoted(rest) {
            let (length, text) = text(rest, prefix, quote)
                .map_err(|(offset, message)| Fault::new(at + offset, message))?;
            (length, Token::Text(text))
        } else if character.is_ascii_digit() || is_fraction(rest) {
            number(rest).map_err(|message| Fault::new(at, message))?
        } else if character.is_ascii_alphabetic() || character == '_' {
            let end = |it: char| !it.is_ascii_alphanumeric() && it != '_';
            let length = rest.find(end).unwrap_or(rest.len());
            (length, Token::Name(rest[..length].to_owned()))
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            (sign.len(), Token::Sign(sign))
        } else {
            return Err(Fault::new(at, unknown(character)));
        };
        tokens.push((at, token));
        at += length;
    }
    tokens.push((source.len(), Token::End));
    Ok(tokens)
}

fn unknown(character: char) -> String {
    match character {
        '=' => "`=` is no operator; write `==` to compare".to_owned(),
        '&' => "`&` is no operator; write `&&`".to_owned(),
        '|' => "`|` is no operator; write `||`".to_owned(),
        other => format!("`{other}` has no meaning here"),
    }
}

fn is_fraction(rest: &str) -> bool {
    rest.strip_prefix('.').is_some_and(|rest| rest.starts_with(|it: char| it.is_ascii_digit()))
}

/// Where a text begins: how long its prefix is, and its quote.
fn quoted(rest: &str) -> Option<(&str, &str)> {
    let length = rest.bytes().take(3).position(|byte| matches!(byte, b'"' | b'\''))?;
    let (prefix, rest) = rest.split_at(length);
    if !matches!(prefix, "" | "r" | "R" | "b" | "B" | "br" | "bR" | "Br" | "BR") {
        return None;
    }
    let quotes = ["\"\"\"", "'''", "\"", "'"];
    quotes.into_iter().find(|quote| rest.starts_with(quote)).map(|quote| (prefix, quote))
}

fn text(rest: &str, prefix: &str, quote: &str) -> Result<(usize, String), (usize, String)> {
    if prefix.starts_with(['b', 'B']) {
        return Err((0, "bytes are not supported; write a text".to_owned()));
    }
    let is_raw = !prefix.is_empty();
    let start = prefix.len() + quote.len();
    let mut plain = String::new();
    let mut at = start;
    loop {
        let rest = &rest[at..];
        if rest.starts_with(quote) {
            return Ok((at + quote.len(), plain));
        }
        let Some(character) = rest.chars().next() else {
            return Err((0, format!("the text does not end; it wants {quote}")));
        };
        if quote.len() == 1 && matches!(character, '\n' | '\r') {
            return Err((0, format!("the text does not end on its line; it wants {quote}")));
        }
        if character == '\\' && !is_raw {
            let (length, meant) = escape(rest).map_err(|message| (at, message))?;
            plain.push(meant);
            at += length;
        } else {
            plain.push(character);
            at += character.len_utf8();
        }
    }
}

/// What an escape means, and how long it is.
fn escape(rest: &str) -> Result<(usize, char), String> {
    let kind = rest.chars().nth(1).ok_or("the text does not end")?;
    let by_code = |digits: usize, skip: usize, radix: u32| {
        let code = rest.get(skip..skip + digits).and_then(|it| u32::from_str_radix(it, radix).ok());
        let meant = code.and_then(char::from_u32);
        let message = format!("the escape has {digits} digits and names a character");
        meant.map(|meant| (skip + digits, meant)).ok_or(message)
    };
    let meant = match kind {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' | '?' | '"' | '\'' | '`' => kind,
        'x' | 'X' => return by_code(2, 2, 16),
        'u' => return by_code(4, 2, 16),
        'U' => return by_code(8, 2, 16),
        '0'..='3' => return by_code(3, 1, 8),
        other => {
            return Err(format!(
                "`\\{other}` is no escape; write `\\\\{other}`, or a raw text: r\"...\""
            ));
        }
    };
    Ok((2, meant))
}

fn number(rest: &str) -> Result<(usize, Token), String> {
    let digits =
        |text: &str, radix: u32| text.find(|it: char| !it.is_digit(radix)).unwrap_or(text.len());
    let too_large = || "the number is too large".to_owned();
    let whole = |text: &str, radix: u32, length: usize| -> Result<(usize, Token), String> {
        let value = u64::from_str_radix(text, radix).map_err(|_| too_large())?;
        let is_unsigned = rest[length..].starts_with(['u', 'U']);
        Ok(if is_unsigned { (length + 1, Token::Uint(value)) } else { (length, Token::Int(value)) })
    };
    if let Some(hex) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
        let length = digits(hex, 16);
        return whole(&hex[..length], 16, length + 2);
    }
    let mut length = digits(rest, 10);
    let mut is_double = false;
    if is_fraction(&rest[length..]) {
        is_double = true;
        length += 1 + digits(&rest[length + 1..], 10);
    }
    if rest[length..].starts_with(['e', 'E']) {
        let sign = usize::from(rest[length + 1..].starts_with(['+', '-']));
        let exponent = digits(&rest[length + 1 + sign..], 10);
        if exponent > 0 {
            is_double = true;
            length += 1 + sign + exponent;
        }
    }
    if !is_double {
        return whole(&rest[..length], 10, length);
    }
    let value: f64 = rest[..length].parse().map_err(|_| too_large())?;
    Ok((length, Token::Double(value)))
}
