//! The current exchange, read-only: both heads, as the plugins before left them.
//!
//! The views have methods for most of this; these functions serve hooks without such a view, as
//! the chunk hooks are. Each is a call to the gateway.

use crate::host;
pub use crate::response_head::RequestView;
use crate::wire::Field;

/// The request.
pub fn request() -> RequestView {
    RequestView(())
}

/// The status code of the response; `None` before there is one.
pub fn response_status() -> Option<u16> {
    host::response_status()
}

/// The value of a field of the response, if it is there and UTF-8; several lines are joined by
/// `, `.
pub fn response_header(name: impl AsRef<str>) -> Option<String> {
    let mut lines = host::response_field(name.as_ref());
    let value = if lines.len() > 1 { lines.join(b", ".as_slice()) } else { lines.pop()? };
    String::from_utf8(value).ok()
}

/// All fields of the response, in order; none before there is one.
pub fn response_headers() -> Vec<Field> {
    host::response_fields()
}
