//! Answers of a server, as they stand in what has arrived (RESP 2).
//!
//! Owns reading one answer: whole, not whole yet, or nothing that a server says. Must not copy what nobody needs.

use super::pipe::Numbers;

/// One answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// A number, or a list of them.
    Numbers(Numbers),
    /// An error, in the words of the server.
    Refused(String),
    /// Anything else.
    Other,
}

/// Numbers of a list, at most.
const MAX_NUMBERS: usize = 1 << 10;

type Text = &'static str;

/// The first answer and what follows it; `None` if it is not whole.
///
/// # Errors
/// When no server says that.
pub(super) fn read(bytes: &[u8]) -> Result<Option<(Reply, &[u8])>, Text> {
    let Some((kind, line, rest)) = line(bytes)? else { return Ok(None) };
    Ok(match kind {
        b':' => Some((Reply::Numbers(std::iter::once(number(line)?).collect()), rest)),
        b'-' => Some((Reply::Refused(String::from_utf8_lossy(line).into_owned()), rest)),
        b'+' => Some((Reply::Other, rest)),
        b'$' => after(line, rest)?.map(|rest| (Reply::Other, rest)),
        b'*' => list(length(line)?, rest)?,
        _ => return Err("it does not answer as a server does"),
    })
}

fn list(count: Option<usize>, mut rest: &[u8]) -> Result<Option<(Reply, &[u8])>, Text> {
    let count = count.unwrap_or(0);
    if count > MAX_NUMBERS {
        return Err("it answers with too long a list");
    }
    let mut numbers = Numbers::with_capacity(count);
    for _ in 0..count {
        let Some((kind, text, after)) = line(rest)? else { return Ok(None) };
        if kind != b':' {
            return Err("it answers a script with something else than numbers");
        }
        numbers.push(number(text)?);
        rest = after;
    }
    Ok(Some((Reply::Numbers(numbers), rest)))
}

/// What follows a text of this length.
fn after<'a>(line: &[u8], rest: &'a [u8]) -> Result<Option<&'a [u8]>, Text> {
    Ok(match length(line)? {
        None => Some(rest),
        Some(length) => rest.get(length + 2..),
    })
}

/// Its kind, the rest of it, and what follows.
type Line<'a> = (u8, &'a [u8], &'a [u8]);

/// The first line, if all of it is there.
fn line(bytes: &[u8]) -> Result<Option<Line<'_>>, Text> {
    /// Longer than any error.
    const LONGEST: usize = 4 << 10;
    let Some(end) = memchr::memchr(b'\r', bytes) else {
        return if bytes.len() <= LONGEST {
            Ok(None)
        } else {
            Err("it says a line without an end")
        };
    };
    match (bytes.split_first(), bytes.get(end + 1)) {
        (_, None) => Ok(None),
        (Some((kind, rest)), Some(b'\n')) if end > 0 => {
            Ok(Some((*kind, &rest[..end - 1], &bytes[end + 2..])))
        }
        _ => Err("it says a line that is none"),
    }
}

fn number(text: &[u8]) -> Result<i64, Text> {
    let (is_negative, digits) = match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        _ => (false, text),
    };
    let mut value = 0_i64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        let more = value.checked_mul(10).and_then(|value| value.checked_sub(i64::from(digit)));
        value = more.filter(|_| digit < 10).ok_or("it says a number that is none")?;
    }
    match (digits.is_empty(), is_negative) {
        (true, _) => Err("it says a number that is none"),
        (false, true) => Ok(value),
        (false, false) => value.checked_neg().ok_or("it says a number that is none"),
    }
}

/// A length; `None` is that of nothing.
fn length(text: &[u8]) -> Result<Option<usize>, Text> {
    match number(text)? {
        -1 => Ok(None),
        length => usize::try_from(length).map(Some).map_err(|_| "it says a length that is none"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(list: &[i64]) -> Reply {
        Reply::Numbers(list.iter().copied().collect())
    }

    #[test]
    fn reads_what_servers_say() {
        let all = b"*3\r\n:0\r\n:-7\r\n:9007199254740991\r\n:5\r\n+OK\r\n$2\r\n\r\n\r\n$-1\r\n*0\r\n-ERR no\r\n";
        let expected = [
            numbers(&[0, -7, 9_007_199_254_740_991]),
            numbers(&[5]),
            Reply::Other,
            Reply::Other,
            Reply::Other,
            numbers(&[]),
            Reply::Refused("ERR no".to_owned()),
        ];
        let mut rest = all.as_slice();
        for expected in expected {
            let (reply, after) = read(rest).expect("it is valid").expect("it is whole");
            assert_eq!(reply, expected);
            rest = after;
        }
        assert_eq!(read(rest), Ok(None));
        let ends = [i64::MAX, i64::MIN];
        for end in ends {
            let text = format!(":{end}\r\n");
            assert_eq!(read(text.as_bytes()), Ok(Some((numbers(&[end]), b"".as_slice()))));
        }
    }

    #[test]
    fn an_answer_that_is_not_whole_is_none_yet() {
        for whole in ["*2\r\n:10\r\n:20\r\n", "-ERR no\r\n", "$3\r\nabc\r\n", ":12\r\n"] {
            for end in 0..whole.len() {
                assert_eq!(read(&whole.as_bytes()[..end]), Ok(None), "{:?}", &whole[..end]);
            }
            assert!(read(whole.as_bytes()).is_ok_and(|reply| reply.is_some()));
        }
    }

    #[test]
    fn what_no_server_says_is_refused() {
        for text in [
            "HTTP/1.1 400\r\n",
            ":\r\n",
            ":1x\r\n",
            ":-\r\n",
            ":9223372036854775808\r\n",
            "*-2\r\n",
            "*1\r\n+OK\r\n",
            "*2000\r\n",
            ":1\r:2\r\n",
            "\r\n",
            "$99999999999999999999\r\n",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(read(&[b'-'; 5_000]).is_err());
    }
}
