//! What is kept of a request between its hooks.

use gateway_json_rpc::{Events, Said, Scanner};
use serde::{Deserialize, Serialize};

/// A request that goes to the server, if it is of the protocol.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Progress(pub(crate) Option<Box<Call>>);

/// Such a request.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Call {
    /// The labels of its metrics; empty if it is not counted.
    pub(crate) method: String,
    pub(crate) name: String,
    /// The id of the request, as it is written.
    pub(crate) id: Option<String>,
    /// The rules that are for who asks.
    pub(crate) of: Vec<u16>,
    /// Whether it asks for lists that are filtered.
    pub(crate) lists: bool,
    /// Whether what answers it may have such a list, asked for or not.
    pub(crate) filters: bool,
    /// Whether the duration says something: of a stream that stays open it does not.
    pub(crate) is_timed: bool,
    /// The key of the session: servers say its id in each response, and clients take it from each.
    pub(crate) affinity: Option<String>,
    pub(crate) reading: Reading,
    pub(crate) said: Said,
}

/// How the response is read.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) enum Reading {
    /// Not at all.
    #[default]
    Nothing,
    /// A JSON body that passes.
    Json(Scanner),
    /// A JSON body with a list.
    List,
    /// A problem document, of the gateway where no server answered.
    Problem,
    Events(Box<Events>),
}
