//! JSON bodies: reading, changing and writing them.
//!
//! Owns nothing itself; `document` holds a body, `pointer` says where in it, `value` is what goes
//! in, `edit` is what happens.

pub(crate) mod document;
pub(crate) mod edit;
pub(crate) mod pointer;
pub(crate) mod value;
