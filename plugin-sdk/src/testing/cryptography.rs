//! Digests, random numbers, signatures and password hashes of native tests: the real ones.

use aws_lc_rs::{digest, rand};

pub(crate) fn random(count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    rand::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

pub(crate) fn sha256(data: &[u8]) -> (u64, u64, u64, u64) {
    let digest = digest::digest(&digest::SHA256, data);
    let mut words = digest
        .as_ref()
        .chunks_exact(8)
        .map(|word| word.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)));
    let mut word = || words.next().unwrap_or_default();
    (word(), word(), word(), word())
}

pub(crate) use self::private_key::sign;
pub(crate) use password::verify_password;
pub(crate) use signature::Key;

mod password;
mod private_key;
mod public_key;
mod signature;
