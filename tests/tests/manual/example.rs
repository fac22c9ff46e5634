//! What the tests of examples share.

pub(crate) mod file;
pub(crate) mod toolchains;
