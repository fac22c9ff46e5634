//! What it means that a call into a guest ended with an error of the engine.
//!
//! Owns the words for it: what the guest said, when that is why it ended, and otherwise what the
//! engine or a host function says, with the way to the trap. Must not decide what becomes of the
//! request.

use std::collections::HashMap;
use std::fmt;

use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};

use super::backtrace;
use super::guest_output::FailureReport;

/// The guest ended itself, as `sys.exit` or `std::process::exit` do.
#[derive(Debug, thiserror::Error)]
#[error("the plugin called exit: a hook returns, it does not end its process")]
pub(crate) struct Exited;

/// What a guest did when its time was over, if that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meanwhile {
    /// It called the same functions over and over, each within the other.
    Recursion,
    /// It was about to report an exception.
    Telling,
}

impl fmt::Display for Meanwhile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recursion => {
                "its functions call each other again and again: the recursion may be endless"
            }
            Self::Telling => {
                "it was about to report an exception that no one caught, which a longer \
                 `limits.deadline` would let it"
            }
        })
    }
}

/// Memory that a guest wanted and did not get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryRefused {
    pub(crate) limit: usize,
    pub(crate) wanted: usize,
}

impl fmt::Display for MemoryRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, wanted } = *self;
        write!(
            f,
            "it wanted more than its {limit} bytes of memory ({}, `limits.memory`), at least \
             {wanted} bytes ({})",
            mebibytes(limit),
            mebibytes(wanted)
        )?;
        if wanted >= MAX_MEMORY {
            return f.write_str(", and no plugin can have more than 4 GiB");
        }
        write!(f, "; if it needs them, write `{}`", limits_for(wanted))
    }
}

/// What a 32-bit guest can address.
const MAX_MEMORY: usize = 4 << 30;

/// What to write so that an instance with a memory of this size stays below three quarters of its
/// limit, beyond which it serves no second hook.
pub(super) fn limits_for(memory: usize) -> String {
    let mebibytes = (memory / 3 * 4).div_ceil(1 << 20).next_power_of_two().min(MAX_MEMORY >> 20);
    format!("limits = {{ memory = \"{mebibytes}MiB\" }}")
}

pub(crate) fn mebibytes(bytes: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mebibytes = bytes as f64 / 1_048_576.0;
    format!("{mebibytes:.1} MiB")
}

/// Whether the time of the guest was over. One that was on its way out has called exit, however long
/// its language takes to tidy up.
pub(crate) fn is_deadline(error: &wasmtime::Error) -> bool {
    matches!(error.downcast_ref::<Trap>(), Some(Trap::Interrupt)) && !is_leaving(error)
}

/// Whether the process has as many instances as the engine takes.
pub(crate) fn is_full(error: &wasmtime::Error) -> bool {
    error.is::<PoolConcurrencyLimitError>()
}

/// What the guest did when its time was over.
pub(crate) fn meanwhile(
    error: &wasmtime::Error,
    failure_report: Option<&FailureReport>,
) -> Option<Meanwhile> {
    if is_recursion(error) {
        return Some(Meanwhile::Recursion);
    }
    let tells = failure_report.is_some_and(|failure_report| failure_report.is_interpreted)
        || calls(error, &["_PyErr_PrintEx", "_PyErr_Display"]);
    tells.then_some(Meanwhile::Telling)
}

/// What a trap was about, with a backtrace.
///
/// `failure_report` and `said` are what the guest wrote, on standard error and to the log: why it ended, if
/// it ended itself.
pub(crate) fn trap_text(
    failure_report: Option<FailureReport>,
    said: Option<String>,
    error: &wasmtime::Error,
) -> String {
    let is_interpreted =
        failure_report.as_ref().is_some_and(|failure_report| failure_report.is_interpreted);
    let said = failure_report.map(|failure_report| failure_report.to_string()).or(said);
    let trap = error.downcast_ref::<Trap>();
    let mut text = match trap {
        Some(Trap::UnreachableCodeReached) => {
            said.or_else(|| left_out(error)).unwrap_or_else(|| root(error))
        }
        _ if error.is::<Exited>() || is_leaving(error) => match said {
            Some(said) => format!("{Exited}: {said}"),
            None => Exited.to_string(),
        },
        Some(Trap::StackOverflow) => {
            "its call stack is exhausted, as by an endless recursion".to_owned()
        }
        Some(Trap::MemoryOutOfBounds) if is_recursion(error) => {
            format!("{}: its stack may be exhausted by an endless recursion", root(error))
        }
        _ => root(error),
    };
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>().filter(|_| !is_interpreted) {
        backtrace::append(&mut text, backtrace);
    }
    text
}

/// The innermost cause, which is what a trap is about.
pub(super) fn root(error: &wasmtime::Error) -> String {
    error.root_cause().to_string()
}

/// The guest called a function of WASI in whose place its build tool has put a trap.
fn left_out(error: &wasmtime::Error) -> Option<String> {
    let backtrace = error.downcast_ref::<WasmBacktrace>()?;
    let name = backtrace.frames().first()?.func_name()?;
    let kinds = ["[constructor]", "[method]", "[static]"];
    kinds.iter().any(|kind| name.starts_with(kind)).then(|| {
        format!("the plugin called `{name}`, of what was left out of it when it was built")
    })
}

/// Whether the guest tidies up on its way to exit, which can take longer than its deadline.
fn is_leaving(error: &wasmtime::Error) -> bool {
    calls(error, &["Py_Exit", "exit", "_Exit", "__wasi_proc_exit"])
}

/// Whether one of these functions is in the backtrace.
fn calls(error: &wasmtime::Error, functions: &[&str]) -> bool {
    let names = |backtrace: &WasmBacktrace| {
        let mut names = backtrace.frames().iter().filter_map(|frame| frame.func_name());
        names.any(|name| functions.contains(&name))
    };
    error.downcast_ref::<WasmBacktrace>().is_some_and(names)
}

/// Whether the backtrace has the full recorded length and repeats the same functions.
fn is_recursion(error: &wasmtime::Error) -> bool {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return false };
    let frames = backtrace.frames();
    if frames.len() < super::engine::MIN_FRAMES {
        return false;
    }
    let mut times = HashMap::new();
    for frame in frames {
        let bytes = frame.module().image_range().start as usize;
        *times.entry((bytes, frame.func_index())).or_insert(0_usize) += 1;
    }
    times.values().any(|times| *times >= frames.len() / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_was_refused_is_told_with_what_to_write() {
        let refused = MemoryRefused { limit: 16 << 20, wanted: 268 << 16 };
        assert_eq!(
            refused.to_string(),
            "it wanted more than its 16777216 bytes of memory (16.0 MiB, `limits.memory`), at \
             least 17563648 bytes (16.8 MiB); if it needs them, write `limits = { memory = \
             \"32MiB\" }`"
        );
        let refused = MemoryRefused { limit: 4 << 30, wanted: (4 << 30) + 1 };
        assert!(refused.to_string().ends_with("no plugin can have more than 4 GiB"));
    }

    #[test]
    fn the_limit_that_is_advised_leaves_a_quarter_free() {
        for (mebibytes, limit) in [(9, "16MiB"), (12, "16MiB"), (13, "32MiB"), (3000, "4096MiB")] {
            assert!(limits_for(mebibytes << 20).contains(limit), "{mebibytes}");
        }
    }
}
