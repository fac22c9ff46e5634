//! The shape of an account, in memory and as JSON.
//!
//! Owns the names of its members, which clients of the admin API rely on.

use serde::{Deserialize, Serialize};

/// What becomes of a request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// One for each listener that it could come in by.
    pub listeners: Vec<OnListener>,
}

/// What becomes of a request on one listener.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OnListener {
    /// Its name.
    pub listener: String,
    /// The path that is matched and forwarded, where it is not the one of the URL.
    pub path: Option<String>,
    /// Why the request is refused before any route is considered.
    pub refused: Option<String>,
    /// The status of the answer where no route serves the request: 400, 404 or 405.
    pub status: Option<u16>,
    /// The methods with which a route would serve it, where no route does.
    pub allow: Vec<String>,
    /// The route that serves it.
    pub winner: Option<String>,
    /// First the routes whose host and path match, in the order in which they are tried; then the others in
    /// the order of the file.
    pub routes: Vec<Considered>,
    /// How many routes there are on the listener; `routes` may hold the first of them alone.
    pub routes_total: usize,
    /// The plugins of the winner, first to last.
    pub plugins: Vec<PutPlugin>,
    /// What the winner does with a request that came through them.
    pub action: Option<Act>,
    /// When the request is sent once more, if the winner says so.
    #[serde(default)]
    pub retries: Option<Resends>,
    /// Where copies of the winner's requests go, if any do.
    #[serde(default)]
    pub mirror: Option<Copies>,
}

/// What one route says to a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Considered {
    /// Its name.
    pub route: String,
    /// Where its table begins.
    pub place: FilePosition,
    /// Whether every predicate holds.
    pub matches: bool,
    /// Whether it serves the request.
    pub wins: bool,
    /// The path pattern that matches.
    pub pattern: Option<String>,
    /// The predicate that fails first: `host`, `path`, `header NAME`, `query NAME` or `method`.
    pub predicate: Option<String>,
    /// What the route wants there.
    pub want: Option<String>,
    /// What the request has there, if anything.
    pub got: Option<String>,
}

/// A place in the configuration; line and column count from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePosition {
    /// The file as the gateway was given it.
    pub file: String,
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl std::fmt::Display for FilePosition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A plugin of a route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutPlugin {
    /// The name under which it is configured.
    pub plugin: String,
    /// Its component, as it is written.
    pub component: String,
    /// Where the route names it.
    pub put_at: FilePosition,
    /// Where its own table begins.
    pub defined_at: FilePosition,
    /// Upstreams that it may forward the request to instead of the route's.
    pub forward_to: Vec<String>,
}

/// When a request is sent once more.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Resends {
    /// How often it is sent at most.
    pub attempts: u32,
    /// `connect`, `reset` and `timeout`, as far as they count.
    pub on: Vec<String>,
    /// The statuses that count.
    pub statuses: Vec<u16>,
    /// How long one attempt may take.
    pub attempt_timeout_seconds: Option<f64>,
    /// After what time it is sent to a second target as well.
    pub hedge_after_seconds: Option<f64>,
}

/// Copies of requests.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Copies {
    /// The upstream that gets them.
    pub upstream: String,
    /// The share of the requests, from 0 to 1.
    pub ratio: f64,
}

/// What a route does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// `upstream`, `split`, `component`, `respond` or `redirect`.
    pub kind: String,
    /// The name of the upstream or the component.
    pub name: Option<String>,
    /// The status of an answer that is in the file.
    pub status: Option<u16>,
}
