//! What is said of what was found: metrics, attributes for access logs, lines of the log. Never what it was.

use gateway_plugin_sdk::{attributes, log, metrics};

use crate::config::{Mode, OnFailure, Rules};
use crate::guard::Counts;

/// From where to where a text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Input,
    Output,
}

impl Direction {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

/// Tells of matches, and adds them to those that were told of before.
pub(crate) fn matches(direction: Direction, rules: &Rules, new: &Counts, all: &mut Vec<(u8, u32)>) {
    if new.is_empty() {
        return;
    }
    let mut told = Vec::new();
    for (detector, count) in new {
        let (name, action) = (&rules.names[*detector], rules.modes[*detector].name());
        let labels =
            [("detector", name.as_str()), ("action", action), ("direction", direction.name())];
        metrics::counter_with("guardrails_matches", &labels).add(u64::from(*count));
        told.push(format!("{count} {name} ({action})"));
        let index = u8::try_from(*detector).unwrap_or(u8::MAX);
        match all.iter_mut().find(|(known, _)| *known == index) {
            Some((_, before)) => *before += count,
            None => all.push((index, *count)),
        }
    }
    let is_worth_a_line =
        new.iter().any(|(it, _)| matches!(rules.modes[*it], Mode::Block | Mode::Report));
    if is_worth_a_line {
        log::info!("{}: {}", direction.name(), told.join(", "));
    } else {
        log::debug!("{}: {}", direction.name(), told.join(", "));
    }
    let found =
        |(index, count): &(u8, u32)| format!("{}:{count}", rules.names[usize::from(*index)]);
    set(
        &format!("guardrails.{}", direction.name()),
        &all.iter().map(found).collect::<Vec<_>>().join(","),
    );
    let strongest = all.iter().map(|(index, _)| rules.modes[usize::from(*index)]).max();
    if let Some(mode) = strongest {
        action(mode);
    }
}

/// Says what was done, unless more was done before.
pub(crate) fn action(mode: Mode) {
    let modes = [Mode::Report, Mode::Mask, Mode::Redact, Mode::Block];
    let before = attributes::value("guardrails.action");
    let before = modes.into_iter().find(|it| before.as_deref() == Some(it.name()));
    if before.is_none_or(|before| before < mode) {
        set("guardrails.action", mode.name());
    }
}

/// Something could not be checked.
pub(crate) fn unreadable(direction: Direction, why: &str, outcome: OnFailure) {
    let labels = [("direction", direction.name())];
    metrics::counter_with("guardrails_unreadable", &labels).increment();
    set("guardrails.unreadable", why);
    let passes = if outcome == OnFailure::Open { "passes unchecked" } else { "does not pass" };
    log::warn!("{}: {why}; it {passes}, as `on_unreadable` says", direction.name());
}

fn set(name: &str, value: &str) {
    if let Err(error) = attributes::set(name, value) {
        log::warn!("the attribute `{name}` is not set: {error}");
    }
}
