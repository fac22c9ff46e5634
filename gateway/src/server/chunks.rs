//! The chunked framing of a request body (RFC 9112 section 7.1), followed without decoding it.
//!
//! Owns where such a body ends, and what is refused because two servers could read it differently:
//! bare line feeds, control characters, white space that ends a size, sizes of more than 16 digits,
//! and more than a bounded number of bytes that are neither data nor trailers. It is never more
//! lenient than hyper, which decodes the same bytes: both must find the same end.

/// Bytes of the chunk extensions of a body, with the white space around them, at most. hyper's own
/// bound.
const MAX_EXTENSIONS: usize = 16 << 10;

/// As many hexadecimal digits as 64 bits have.
const MAX_DIGITS: u8 = 16;

/// Where in the framing a body stands.
#[derive(Debug, Clone)]
pub(super) struct Chunks {
    state: ChunkState,
    /// Of the current chunk, or what is left of it.
    size: u64,
    digits: u8,
    extensions: usize,
    trailers: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChunkState {
    Size,
    /// White space behind a size, which only an extension may follow.
    Blank,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// The beginning of a line behind the last chunk.
    Line,
    Trailer,
    TrailerLf,
    EndLf,
}

/// Why a body is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadChunk {
    #[error("the chunks do not follow RFC 9112 section 7.1")]
    Grammar,
    #[error("a chunk size has more than {MAX_DIGITS} digits")]
    Size,
    #[error("there are more than {MAX_EXTENSIONS} bytes of chunk extensions")]
    Extensions,
    #[error("the trailer fields are larger than a head may be")]
    Trailers,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { state: ChunkState::Size, size: 0, digits: 0, extensions: 0, trailers: 0 }
    }

    /// Goes through more of the body. `Some` has how many of the bytes belong to it once its end
    /// is among them.
    ///
    /// # Errors
    /// [`BadChunk`]; nothing behind it can be relied on.
    pub(super) fn follow(
        &mut self,
        bytes: &[u8],
        max_trailers: usize,
    ) -> Result<Option<usize>, BadChunk> {
        let mut at = 0;
        while at < bytes.len() {
            if self.state == ChunkState::Data {
                let here = usize::try_from(self.size).unwrap_or(usize::MAX).min(bytes.len() - at);
                self.size -= here as u64;
                at += here;
                if self.size == 0 {
                    self.state = ChunkState::DataCr;
                }
                continue;
            }
            let byte = bytes[at];
            at += 1;
            if self.state == ChunkState::EndLf && byte == b'\n' {
                return Ok(Some(at));
            }
            self.state = self.after(byte, max_trailers)?;
        }
        Ok(None)
    }

    /// Whether there is anything behind the last chunk.
    pub(super) fn has_trailers(&self) -> bool {
        self.trailers > 0
    }

    fn after(&mut self, byte: u8, max_trailers: usize) -> Result<ChunkState, BadChunk> {
        let has_size = self.digits > 0;
        Ok(match (self.state, byte) {
            (ChunkState::Size, b'\r') if has_size => ChunkState::SizeLf,
            (ChunkState::Size, b';') if has_size => self.count_extension(ChunkState::Extension)?,
            (ChunkState::Size, b' ' | b'\t') if has_size => {
                self.count_extension(ChunkState::Blank)?
            }
            (ChunkState::Size, digit) => self.add(digit)?,
            (ChunkState::Blank, b' ' | b'\t') => self.count_extension(ChunkState::Blank)?,
            (ChunkState::Blank, b';') => self.count_extension(ChunkState::Extension)?,
            (ChunkState::Extension, b'\r') => ChunkState::SizeLf,
            (ChunkState::Extension, byte) if is_text(byte) => {
                self.count_extension(ChunkState::Extension)?
            }
            (ChunkState::SizeLf, b'\n') if self.size == 0 => ChunkState::Line,
            (ChunkState::SizeLf, b'\n') => ChunkState::Data,
            (ChunkState::DataCr, b'\r') => ChunkState::DataLf,
            (ChunkState::DataLf, b'\n') => {
                self.digits = 0;
                ChunkState::Size
            }
            (ChunkState::Line, b'\r') => ChunkState::EndLf,
            (ChunkState::Trailer, b'\r') => ChunkState::TrailerLf,
            (ChunkState::TrailerLf, b'\n') => ChunkState::Line,
            (ChunkState::Line | ChunkState::Trailer, byte) if is_text(byte) => {
                self.trailers += 1;
                if self.trailers > max_trailers {
                    return Err(BadChunk::Trailers);
                }
                ChunkState::Trailer
            }
            _ => return Err(BadChunk::Grammar),
        })
    }

    fn add(&mut self, digit: u8) -> Result<ChunkState, BadChunk> {
        let value = char::from(digit).to_digit(16).ok_or(BadChunk::Grammar)?;
        if self.digits == MAX_DIGITS {
            return Err(BadChunk::Size);
        }
        let before = if self.digits == 0 { 0 } else { self.size };
        self.digits += 1;
        self.size = before << 4 | u64::from(value);
        Ok(ChunkState::Size)
    }

    fn count_extension(&mut self, next: ChunkState) -> Result<ChunkState, BadChunk> {
        self.extensions += 1;
        if self.extensions >= MAX_EXTENSIONS { Err(BadChunk::Extensions) } else { Ok(next) }
    }
}

/// What may be in a field value or a chunk extension (RFC 9110 section 5.5).
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes belong to the body, independent of the pieces in which they arrive.
    fn end(body: &[u8]) -> Result<Option<usize>, BadChunk> {
        let whole = Chunks::new().follow(body, 100);
        for size in [1, 2, 3, 7] {
            let mut chunks = Chunks::new();
            let mut before = 0;
            let mut in_pieces = Ok(None);
            for piece in body.chunks(size) {
                match chunks.follow(piece, 100) {
                    Ok(None) => before += piece.len(),
                    Ok(Some(here)) => in_pieces = Ok(Some(before + here)),
                    Err(bad) => in_pieces = Err(bad),
                }
                if in_pieces != Ok(None) {
                    break;
                }
            }
            assert_eq!(in_pieces, whole, "{:?}", String::from_utf8_lossy(body));
        }
        whole
    }

    #[test]
    fn finds_the_end() {
        for body in [
            "0\r\n\r\n",
            "3\r\nabc\r\n0\r\n\r\n",
            "A\r\n0123456789\r\n00a\r\n0123456789\r\n000\r\n\r\n",
            "1;a\r\nx\r\n1 ; a=\"b;c\"\r\n\n\r\n0;end\r\n\r\n",
            "2\r\n\r\n\r\n0\r\nx-sum: 1\r\ny:\tz\r\n\r\n",
            "0\r\nx: \x7f\r\n\r\n".replace('\x7f', "\u{fc}").as_str(),
        ] {
            assert_eq!(end(body.as_bytes()), Ok(Some(body.len())));
            let followed = format!("{body}GET / HTTP/1.1\r\n");
            assert_eq!(end(followed.as_bytes()), Ok(Some(body.len())));
            assert_eq!(end(&body.as_bytes()[..body.len() - 1]), Ok(None));
        }
    }

    #[test]
    fn refuses_what_could_be_read_in_two_ways() {
        for body in [
            "\r\n",
            ";a\r\n",
            " 3\r\nabc\r\n",
            "3 \r\nabc\r\n",
            "3\nabc\r\n",
            "3\rabc\r\n",
            "3;a\nabc\r\n",
            "3;a\rb\r\nabc",
            "3;a\0\r\nabc",
            "+3\r\nabc",
            "0x3\r\nabc",
            "3_0\r\nabc",
            "3\r\nabcd\r\n",
            "3\r\nabc\n0\r\n\r\n",
            "3\r\nabc\r0",
            "0\r\n\n",
            "0\r\nx: y\n\r\n",
            "0\r\nx: y\rz\r\n\r\n",
            "0\r\nx: \0\r\n\r\n",
            "0\r\n\rx",
        ] {
            assert_eq!(end(body.as_bytes()), Err(BadChunk::Grammar), "{body:?}");
        }
    }

    #[test]
    fn has_bounds() {
        assert_eq!(end(b"00000000000000003\r\nabc"), Err(BadChunk::Size));
        assert_eq!(end(b"fffffffffffffffff"), Err(BadChunk::Size));
        assert_eq!(end(b"ffffffffffffffff\r\nabc"), Ok(None));
        let long = format!("1;{}\r\n", "x".repeat(MAX_EXTENSIONS));
        assert_eq!(end(long.as_bytes()), Err(BadChunk::Extensions));
        let blank = format!("1{};", " ".repeat(MAX_EXTENSIONS));
        assert_eq!(end(blank.as_bytes()), Err(BadChunk::Extensions));
        let many = "1;abcdefghi\r\nx\r\n".repeat(MAX_EXTENSIONS / 8);
        assert_eq!(end(many.as_bytes()), Err(BadChunk::Extensions));
        let trailers = format!("0\r\nx: {}\r\n\r\n", "y".repeat(100));
        assert_eq!(end(trailers.as_bytes()), Err(BadChunk::Trailers));
    }
}
