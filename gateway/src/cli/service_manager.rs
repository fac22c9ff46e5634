//! What a service manager is told, as sd_notify(3) has it.
//!
//! Owns the words of it. Where nobody asks (`NOTIFY_SOCKET` is not set), nothing is done. A manager that
//! cannot be told is no reason not to serve: the log says so, at each change of state.

use sd_notify::NotifyState;

/// Requests are taken, with so many routes.
pub(super) fn ready(routes: usize) {
    let status = format!("{routes} routes in force");
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// The configuration is read again. [`ready`] or [`stayed`] follows.
pub(super) fn reloading() {
    let mut state = vec![NotifyState::Reloading];
    // Newer managers want to know when.
    state.extend(NotifyState::monotonic_usec_now());
    tell(&state);
}

/// A new configuration was refused.
pub(super) fn stayed(why: &str) {
    let status = format!("the last reload changed nothing: {why}");
    // More lines would be more messages.
    let status = status.replace(['\n', '\r'], " ");
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// Open exchanges finish.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("open exchanges finish")]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("the service manager at NOTIFY_SOCKET cannot be told: {error}");
    }
}
