//! Chunks of a response that pass without a call of `on_response_chunk`: events of a stream that are alike but for the texts
//! in them, of which a plugin has seen one.
//!
//! A call takes far more than to see that an event is one more of the same. A plugin that reads a stream only for what stands at
//! its end, or that counts its text, sees the first event, and says what the others look like:
//!
//! ```
//! use gateway_plugin_sdk::chunks;
//! use gateway_plugin_sdk::prelude::*;
//! use gateway_plugin_sdk::testing::{self, Harness};
//!
//! struct Counts;
//!
//! impl Plugin for Counts {
//!     type Config = NoConfig;
//!     type Context = u64;
//!
//!     fn configure(_: NoConfig) -> Result<Self, ConfigError> {
//!         Ok(Self)
//!     }
//!
//!     fn interest(&self) -> Interest {
//!         Interest::on_response().response_body(BodyMode::Chunks)
//!     }
//!
//!     fn on_response_chunk(&self, chunk: &mut Chunk, seen: &mut u64) -> ChunkOutcome {
//!         let (before, after): (&[u8], &[u8]) = (b"data: {\"text\":\"", b"\"}\n\n");
//!         let text = chunk.data().strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
//!         *seen += text.map_or(0, |text| text.len() as u64);
//!         // All of the text, with what has passed: the 1 KiB between two calls at most is not seen yet.
//!         let _all = *seen + chunks::passed();
//!         let _asked = chunks::pass_alike(&[before, after], 0, 1024);
//!         ChunkOutcome::Next
//!     }
//! }
//!
//! let harness = Harness::<Counts>::new(NoConfig {}).unwrap();
//! let mut exchange = harness.request(testing::request());
//! exchange.response(testing::response().chunks([b"data: {\"text\":\"ab\"}\n\n"]));
//! ```
//!
//! In native tests each chunk comes with a call: a gateway may do so too.

use crate::host;

/// Why no chunks pass without a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunksError {
    /// Not in this hook.
    #[error("this hook cannot ask for that")]
    NotHere,
    /// Pieces that are too few, too many, too long or empty, or a string or a number of bytes that there is not.
    #[error(
        "there are 2 to 8 pieces of at most 4 KiB, each but the first with a quote in front, and at most 1 MiB passes"
    )]
    Invalid,
}

/// In `on_response_chunk`: has chunks pass without a call, as far as the gateway will, that are made of nothing but these pieces, once or
/// several times in their order, with the inside of a JSON string between each two. It counts once the hook has returned, and
/// while the response is not [held back](crate::held_response). The last chunk comes with a call in any case.
///
/// Each piece but the first begins with the quote that ends the string before it. `counted` is the string whose bytes are
/// counted, from 0 on: a chunk with which more than `bytes` of it would have passed comes with a call too. It holds until the
/// next call of the hook, which asks again: a plugin that keeps a part of an event does not, until the event is whole.
///
/// # Errors
/// In another hook, or for pieces that are none.
pub fn pass_alike(pieces: &[&[u8]], counted: u32, bytes: u32) -> Result<(), ChunksError> {
    host::pass_alike(pieces, counted, bytes)
}

/// How many bytes of the counted string have passed this plugin without a call in this exchange, in all; in `on_response_chunk` and
/// `on_complete`.
pub fn passed() -> u64 {
    host::passed()
}
