//! The `gateway` command: arguments, exit codes and the choice of an allocator only.

mod allocator;
mod cli;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator;

fn main() -> ExitCode {
    gateway::give_back_memory_with(give_back);
    cli::run(cli::Arguments::parse())
}

/// Gives back to the system what the calling thread has freed, as far as it has been free for a while.
#[expect(unsafe_code, reason = "the allocator is not written in Rust")]
fn give_back() {
    // SAFETY: it may be called at any time.
    unsafe { libmimalloc_sys::mi_collect(false) }
}
