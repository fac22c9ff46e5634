//! The context of an exchange, as bytes: postcard inside, opaque to the gateway.

use std::cell::RefCell;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most bytes that an instance keeps for writing contexts.
const MOST_SCRATCH: usize = 4096;

thread_local! {
    /// Where contexts are written: as large as those that there were, so that each is written once.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Whether a context of this type carries anything. `()` does not, and costs nothing.
pub(crate) const fn is_used<C>() -> bool {
    size_of::<C>() > 0
}

/// Reads a context; empty bytes are the default.
///
/// # Panics
/// If the bytes are not what [`encode`] made, which fails the hook.
pub(crate) fn decode<C: DeserializeOwned + Default>(bytes: &[u8]) -> C {
    if !is_used::<C>() || bytes.is_empty() {
        return C::default();
    }
    match postcard::from_bytes(bytes) {
        Ok(context) => context,
        Err(_) => panic!("the context cannot be read back: its type does not survive postcard"),
    }
}

/// Writes a context; `None` if that gives the bytes that were there before.
///
/// # Panics
/// If the type cannot be written by postcard, which fails the hook.
pub(crate) fn encode<C: Serialize>(context: &C, before: &[u8]) -> Option<Vec<u8>> {
    if !is_used::<C>() {
        return None;
    }
    // Most contexts do not change: they are written where nothing has to be allocated for them.
    SCRATCH.with_borrow_mut(|scratch| {
        loop {
            let error = match postcard::to_slice(context, scratch) {
                Ok(bytes) => return (bytes != before).then(|| bytes.to_vec()),
                Err(error) => error,
            };
            if error != postcard::Error::SerializeBufferFull || scratch.len() >= MOST_SCRATCH {
                break;
            }
            scratch.resize((scratch.len() * 4).max(64), 0);
        }
        match postcard::to_allocvec(context) {
            Ok(bytes) => (bytes != before).then_some(bytes),
            Err(_) => panic!("the context cannot be written by postcard"),
        }
    })
}
