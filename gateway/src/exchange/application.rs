//! What is served: the seam between connections and the request path.

use std::convert::Infallible;
use std::rc::Rc;

use http::{Request, Response};

use super::{AtEnd, WorkerState};
use crate::body::{Body, FromClient};
use crate::chain::Endings;
use crate::conn::Downstream;
use crate::usage::Cells;

/// Answers requests. A type without a size, copied into each connection.
pub(crate) trait Application: Copy + Send + Unpin + 'static {
    /// Those that learn of the end of each exchange of a worker. `on-complete` of plugins goes to
    /// `endings`, and what was used to `usage`.
    fn observers(self, endings: &Endings, usage: &Rc<Cells>) -> Box<[Box<dyn AtEnd>]>;

    /// Answers one request, always.
    fn handle(
        self,
        worker: Rc<WorkerState>,
        connection: Rc<dyn Downstream>,
        request: Request<FromClient>,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>>;
}
