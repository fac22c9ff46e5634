//! The ids of requests.
//!
//! Owns their form: 32 hexadecimal digits, unique over all workers and processes.

use std::cell::{Cell, RefCell};

use bytes::{Bytes, BytesMut};
use http::HeaderValue;

const DIGITS: usize = 32;

/// Ids that are cut from one allocation.
const BATCH: usize = 64;

/// Makes ids for one worker: a random prefix and a counter that is scattered over 64 bits.
#[derive(Debug)]
pub(crate) struct RequestIds {
    prefix: u64,
    counter: Cell<u64>,
    batch: RefCell<BytesMut>,
}

impl RequestIds {
    pub(crate) fn new() -> Self {
        // Where there is no randomness, the address of a fresh allocation distinguishes workers.
        let fallback = || Box::into_raw(Box::new(0_u8)) as u64;
        let prefix = getrandom::u64().unwrap_or_else(|_| fallback());
        let counter = Cell::new(getrandom::u64().unwrap_or_default());
        Self { prefix, counter, batch: RefCell::default() }
    }

    /// The next one.
    pub(crate) fn next(&self) -> HeaderValue {
        let count = self.counter.get().wrapping_add(1);
        self.counter.set(count);
        let mut digits = [0; DIGITS];
        write_hex(self.prefix, &mut digits[..16]);
        write_hex(scatter(count), &mut digits[16..]);
        HeaderValue::from_maybe_shared(self.cut(&digits)).expect("hexadecimal digits are visible")
    }

    fn cut(&self, digits: &[u8; DIGITS]) -> Bytes {
        let mut batch = self.batch.borrow_mut();
        if batch.capacity() < DIGITS {
            *batch = BytesMut::with_capacity(DIGITS * BATCH);
        }
        batch.extend_from_slice(digits);
        batch.split().freeze()
    }
}

/// A one-to-one mixing of 64 bits: neighbours look unrelated, and none meet.
fn scatter(count: u64) -> u64 {
    let mut bits = count;
    bits = (bits ^ (bits >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits ^ (bits >> 32)
}

fn write_hex(mut value: u64, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn gives_no_id_twice() {
        let ids = RequestIds::new();
        let all: HashSet<_> = (0..10_000).map(|_| ids.next()).collect();
        assert_eq!(all.len(), 10_000);
        assert!(all.iter().all(|id| id.len() == DIGITS));
    }
}
