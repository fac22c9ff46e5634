//! What plugins did between two moments.
//!
//! Owns the subtraction. A plugin that was forgotten meanwhile and came back counts from zero.

use crate::telemetry::metrics::{HookGlance, PluginGlance};

/// The numbers of `now` less those of `before`; what is a state stays as it is.
pub(super) fn plugin(now: &PluginGlance, before: &PluginGlance) -> PluginGlance {
    let less = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
    let time = |now: f64, before: f64| if now < before { now } else { now - before };
    let hook = |now: &HookGlance| {
        let before = before.hooks.iter().find(|before| before.hook == now.hook);
        before.map_or_else(|| now.clone(), |before| hook(now, before))
    };
    PluginGlance {
        computing_seconds: time(now.computing_seconds, before.computing_seconds),
        waiting_seconds: time(now.waiting_seconds, before.waiting_seconds),
        failures: less(now.failures, before.failures),
        answers: less(now.answers, before.answers),
        reused: less(now.reused, before.reused),
        hooks: now.hooks.iter().map(hook).collect(),
        name: now.name.clone(),
        instances: now.instances,
        waiting: now.waiting,
    }
}

fn hook(now: &HookGlance, before: &HookGlance) -> HookGlance {
    if now.calls() < before.calls() {
        return now.clone();
    }
    let counts = now.counts.iter().zip(&before.counts);
    HookGlance {
        hook: now.hook,
        counts: counts.map(|(now, before)| now.saturating_sub(*before)).collect(),
        seconds: (now.seconds - before.seconds).max(0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_are_subtracted_and_states_are_not() {
        let of = |instances, answers, counts: &[u64]| PluginGlance {
            name: "p".to_owned(),
            instances,
            answers,
            hooks: vec![HookGlance { hook: "on-request", counts: counts.to_vec(), seconds: 1.0 }],
            ..PluginGlance::default()
        };
        let less = plugin(&of(3, 7, &[5, 2]), &of(4, 6, &[1, 2]));
        assert_eq!((less.instances, less.answers, less.hooks[0].calls()), (3, 1, 4));
        let anew = plugin(&of(1, 2, &[1, 0]), &of(4, 6, &[1, 2]));
        assert_eq!((anew.answers, anew.hooks[0].calls()), (2, 1));
    }
}
