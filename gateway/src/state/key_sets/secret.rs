//! What the gateway makes up: secrets, identifiers and tags.
//!
//! Owns the form of a secret: `PREFIX_`, 32 random bytes in base 62, and a checksum by which a scanner tells a
//! key from what only looks like one. Must not keep any.

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Random bytes of a secret.
const BYTES: usize = 32;
/// Digits that 32 bytes take in base 62.
const BODY: usize = 43;
/// Digits that a CRC-32 takes.
const CHECKSUM: usize = 6;
/// Letters of an identifier: none that is read as another.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The system gives no random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoRandom;

/// A new secret.
///
/// # Errors
/// When the system gives no random numbers.
pub(crate) fn secret(prefix: &str) -> Result<String, NoRandom> {
    Ok(form(prefix, random::<BYTES>()?))
}

fn form(prefix: &str, mut number: [u8; BYTES]) -> String {
    let mut body = [0; BODY];
    for digit in body.iter_mut().rev() {
        // Long division by 62.
        let mut rest = 0_u32;
        for byte in &mut number {
            let value = rest << 8 | u32::from(*byte);
            *byte = (value / 62) as u8;
            rest = value % 62;
        }
        *digit = DIGITS[rest as usize];
    }
    let mut text = format!("{prefix}_{}", String::from_utf8_lossy(&body));
    let mut sum = crc32(text.as_bytes());
    let mut checksum = [0; CHECKSUM];
    for digit in checksum.iter_mut().rev() {
        *digit = DIGITS[(sum % 62) as usize];
        sum /= 62;
    }
    text.push_str(&String::from_utf8_lossy(&checksum));
    text
}

/// A new identifier of a key: twelve letters.
///
/// # Errors
/// When the system gives no random numbers.
pub(crate) fn id() -> Result<String, NoRandom> {
    Ok(random::<12>()?.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect())
}

/// A new tag of a record.
///
/// # Errors
/// When the system gives no random numbers.
pub(crate) fn tag() -> Result<Box<str>, NoRandom> {
    Ok(random::<8>()?.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into())
}

fn random<const N: usize>() -> Result<[u8; N], NoRandom> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| NoRandom)?;
    Ok(bytes)
}

/// CRC-32 (ISO 3309), as in gzip: a checksum, and no protection against anybody.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |mut sum: u32, byte: &u8| {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = sum >> 1 ^ (0xEDB8_8320 & (sum & 1).wrapping_neg());
        }
        sum
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_secret_says_whose_it_is_and_carries_its_checksum() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926, "the check value of the algorithm");
        let secret = secret("acme_live").unwrap();
        let body = secret.strip_prefix("acme_live_").unwrap();
        assert_eq!(body.len(), BODY + CHECKSUM);
        assert!(body.bytes().all(|it| it.is_ascii_alphanumeric()));
        let (said, checksum) = secret.split_at(secret.len() - CHECKSUM);
        let digit = |byte: u8| DIGITS.iter().position(|it| *it == byte).unwrap() as u64;
        let sum = checksum.bytes().fold(0, |sum, byte| sum * 62 + digit(byte));
        assert_eq!(sum, u64::from(crc32(said.as_bytes())));
    }

    #[test]
    fn all_bytes_are_in_it() {
        assert_eq!(&form("a", [0; BYTES])[..BODY + 2], format!("a_{}", "0".repeat(BODY)));
        let mut one = [0; BYTES];
        one[BYTES - 1] = 61;
        assert!(form("a", one)[..BODY + 2].ends_with("0z"));
        one[0] = 1;
        // 2^248 + 61
        assert!(!form("a", one)[2..BODY].starts_with("00"));
        assert_ne!(form("a", [0xFF; BYTES])[2..BODY + 2], form("a", [0xFE; BYTES])[2..BODY + 2]);
        let many: HashSet<_> = (0..1000).map(|_| (secret("gw").unwrap(), id().unwrap())).collect();
        assert_eq!(many.len(), 1000);
    }
}
