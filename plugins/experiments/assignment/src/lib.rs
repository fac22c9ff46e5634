//! Who takes part in an experiment, and with which variant.
//!
//! Pure: a unit is bytes, time is a number, and the same input has the same result on each gateway. `hash` makes numbers
//! of units, `variants` chooses by weights, `schedule` says how many take part when, `ratio` tests whether what was
//! assigned is what was planned, `excess` whether a variant does worse than the control, and `interval` how sure what was
//! measured is.

mod excess;
mod hash;
mod interval;
mod ratio;
mod schedule;
mod variants;

pub use excess::{Proportion, is_over};
pub use hash::Salt;
pub use interval::{Interval, Moments, mean, mean_difference, rate, rate_difference};
pub use ratio::{sample_ratio, tail};
pub use schedule::Schedule;
pub use variants::Variants;
