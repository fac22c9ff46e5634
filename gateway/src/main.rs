//! The `gateway` command: arguments, exit codes and the choice of an allocator only.

mod allocator;
mod cli;
mod program_pages;
mod small_pages;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator;

fn main() -> ExitCode {
    stay_alive();
    gateway::give_back_memory_with(give_back);
    gateway::compile_with(cli::compiler);
    cli::run(cli::Arguments::parse())
}

/// Signals that mean nothing to a gateway, or nothing yet, would end it: from here on they do not. What
/// `run` answers it listens for as soon as it can; a reload or a rotation of logs while a process starts
/// or checks must not end it.
fn stay_alive() {
    let serves = |argument: std::ffi::OsString| argument == "run" || argument == "check";
    if !std::env::args_os().skip(1).any(serves) {
        return;
    }
    for signal in [libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2, libc::SIGALRM] {
        ignore(signal);
    }
}

#[expect(unsafe_code, reason = "the standard library has no signals")]
fn ignore(signal: libc::c_int) {
    // SAFETY: no code of ours runs on an ignored signal.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Gives back to the system what the calling thread has freed, as far as it has been free for a while.
#[expect(unsafe_code, reason = "the allocator is not written in Rust")]
fn give_back() {
    // SAFETY: it may be called at any time.
    unsafe { libmimalloc_sys::mi_collect(false) }
}
