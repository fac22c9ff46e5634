//! Why a document could not be had.
//!
//! Owns the words, which stand in the log and in the admin API. They never repeat what a server sent
//! but for a status code and the URL that it named.

use std::io;
use std::time::Duration;

use http::StatusCode;

/// Why a document could not be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    File(#[from] io::Error),
    /// What names it is no file.
    #[error("it is not a file")]
    NotAFile,
    /// It was written to while it was read.
    #[error("the file changes while it is read")]
    Unsteady,
    /// The upstream cannot be set up.
    #[error("the upstream cannot be set up: {0}")]
    Setup(String),
    /// There is no response, or it broke off.
    #[error("{0}")]
    Upstream(String),
    /// The time ran out.
    #[error("no whole response within {0:?}")]
    Timeout(Duration),
    /// The response is none that has a document.
    #[error("the upstream answers {status}{}", elsewhere(status))]
    Status {
        /// Its status.
        status: StatusCode,
    },
    /// It is compressed, which nobody asked for.
    #[error("the response has `content-encoding`, although none is accepted")]
    Encoded,
    /// It is too long.
    #[error("it has more than {0} bytes (`size`)")]
    TooLong(usize),
    /// What should name the document is no JSON, or names none.
    #[error("what should name the document {0}")]
    Follow(String),
}

fn elsewhere(status: &StatusCode) -> &'static str {
    if status.is_redirection() { ", and redirects are not followed: name where it is" } else { "" }
}
