//! Feature flags in [flagd's format](https://flagd.dev/reference/flag-definitions/): definitions are read and checked,
//! and evaluated for a context.
//!
//! Pure: no clock, no files, no plugin interface. `definition` reads, `place` says where in the text a fault is, `flag`
//! evaluates one flag, `logic` is the language of its targeting, and `hash` and `version` are what that needs besides.
//!
//! ```
//! use gateway_flags::{Flags, Reason};
//!
//! let flags = Flags::parse(r##"{ "flags": { "color": {
//!     "state": "ENABLED", "variants": { "red": "#f00", "blue": "#00f" }, "defaultVariant": "red",
//!     "targeting": { "if": [{ "==": [{ "var": "plan" }, "pro"] }, "blue"] }
//! } } }"##).unwrap();
//! let context = serde_json::json!({ "targetingKey": "ada", "plan": "pro" });
//! let evaluation = flags.evaluate("color", context.as_object().unwrap(), 1_700_000_000);
//! assert_eq!((evaluation.variant.as_deref(), evaluation.reason), (Some("blue"), Reason::TargetingMatch));
//! assert_eq!(evaluation.value.unwrap(), "#00f");
//! ```

mod definition;
mod flag;
mod hash;
pub mod logic;
mod near;
mod place;
mod version;

pub use definition::{Fault, Flags, Loading};
pub use flag::{ErrorCode, Evaluation, Flag, Kind, Reason};
pub use hash::murmur3;
