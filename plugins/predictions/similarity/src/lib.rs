//! Which questions are alike.
//!
//! `vector` has the vectors of an embedding model in a small form, and how near two of them are; `page` has the records of
//! questions in pieces of bounded length. What vectors do not see is for `agreement`: numbers, negations, names, units and
//! dates of two texts, by what their words (`words`) say (`meaning`), with lists (`lists`) of English and some of other languages.
//!
//! Nothing here knows a gateway, a store or a model.

pub mod agreement;
mod lists;
mod meaning;
pub mod page;
pub mod vector;
mod words;

pub use agreement::{Disagreement, agree};
pub use page::{Alias, Page, Record};
pub use vector::Vector;
