//! One plugin's quotas in a store that several gateways share: buckets and windows, charged together, and settled.
//!
//! Owns what is asked of the store for them, and what its answer means. Which window is charged is decided by the
//! clock of the store: of a window of the calendar it is told where the one of this gateway's clock begins and
//! ends, and where the next ends. No permits are taken ahead.

use super::limits::{Asked, SharedLimits};
use super::{Argument, QUOTAS, Unavailable};
use crate::config::OnStoreError;
use crate::state::limits::quotas::sliding::Pair;
use crate::state::limits::quotas::{
    LOCAL, MARKS, NOWHERE, Quota, Reservation, SLIDING, Settlement, Window,
};
use crate::state::limits::{Bucket, Rule, Span, Verdict, wall};

/// Numbers of the answer for each quota.
const ANSWER: usize = 4;

/// What the script is to do.
#[derive(Debug, Clone, Copy)]
enum Mode {
    Take,
    Settle,
    Reset,
}

impl SharedLimits {
    /// Charges all quotas if each has enough, none otherwise.
    ///
    /// # Errors
    /// When the store does not answer, and the plugin is to hear of it.
    pub(crate) async fn reserve(
        &self,
        quotas: &[Quota<'_>],
    ) -> Result<Vec<Reservation>, Unavailable> {
        match (self.ask_quotas(quotas, "", wall()).await, self.on_error) {
            (Ok(reservations), _) => {
                let all = reservations.iter().all(|it| it.verdict.allowed);
                self.local.buckets.decided(all);
                Ok(reservations)
            }
            (Err(Unavailable), OnStoreError::Closed) => Err(Unavailable),
            (Err(Unavailable), OnStoreError::Open) => Ok(quotas.iter().map(passed).collect()),
            (Err(Unavailable), OnStoreError::Local) => {
                Ok(self.local.reserve_share(quotas, self.instances))
            }
        }
    }

    /// Takes more, or gives back, where it was taken. What was taken from a store that is away stays taken.
    ///
    /// # Errors
    /// When the store does not answer, and the plugin is to hear of it.
    pub(crate) async fn settle(&self, settlements: &[Settlement<'_>]) -> Result<(), Unavailable> {
        let (mut local, mut shared) = (Vec::new(), Vec::new());
        for settlement in settlements.iter().filter(|it| it.taken & NOWHERE == 0) {
            match settlement.taken & LOCAL {
                0 => shared.push(*settlement),
                _ => local.push(*settlement),
            }
        }
        self.local.settle_share(&local, self.instances);
        match (self.ask_to_settle(&shared, "", wall()).await, self.on_error) {
            (Err(Unavailable), OnStoreError::Closed) => Err(Unavailable),
            _ => Ok(()),
        }
    }

    /// How buckets and windows are.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn look(&self, buckets: &[Bucket]) -> Result<Vec<Reservation>, Unavailable> {
        self.connect_here();
        let quotas: Vec<_> = buckets.iter().map(Bucket::look).collect();
        self.ask_quotas(&quotas, "", wall()).await
    }

    /// Makes buckets and windows whole. Permits that gateways hold ahead stay with them. Returns how many were not.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn reset(&self, buckets: &[Bucket]) -> Result<usize, Unavailable> {
        self.connect_here();
        let quotas: Vec<_> = buckets.iter().map(Bucket::look).collect();
        let numbers = self.run_quotas(Mode::Reset, &quotas, &[], "", wall()).await?;
        let answers = numbers.get(1..).unwrap_or_default().chunks_exact(ANSWER);
        // What is used of it, and of the window before.
        Ok(answers.filter(|answer| answer[0] > 0 || answer[3] > 0).count())
    }

    /// `time`: in microseconds, for tests.
    pub(super) async fn ask_quotas(
        &self,
        quotas: &[Quota<'_>],
        time: &str,
        wall: u64,
    ) -> Result<Vec<Reservation>, Unavailable> {
        let numbers = self.run_quotas(Mode::Take, quotas, &[], time, wall).await?;
        let Some(refused) = numbers.first() else { return Ok(Vec::new()) };
        let answers = numbers[1..].chunks_exact(ANSWER).zip(quotas).enumerate();
        let read = |(index, (answer, quota)): (usize, (&[u64], &Quota<'_>))| {
            read(answer, quota, (*refused, index as u64 + 1), wall)
        };
        Ok(answers.map(read).collect())
    }

    pub(super) async fn ask_to_settle(
        &self,
        settlements: &[Settlement<'_>],
        time: &str,
        wall: u64,
    ) -> Result<(), Unavailable> {
        let quotas: Vec<_> =
            settlements.iter().map(|it| Quota { cost: it.by.unsigned_abs(), ..it.quota }).collect();
        self.run_quotas(Mode::Settle, &quotas, settlements, time, wall).await.map(|_| ())
    }

    async fn run_quotas(
        &self,
        mode: Mode,
        quotas: &[Quota<'_>],
        settlements: &[Settlement<'_>],
        time: &str,
        wall: u64,
    ) -> Result<Vec<u64>, Unavailable> {
        if quotas.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<_> = quotas.iter().map(|quota| self.quota_key(quota)).collect();
        let mut arguments = Vec::with_capacity(2 + 7 * quotas.len());
        arguments.push(time.into());
        arguments.push(mode.name().into());
        for (index, quota) in quotas.iter().enumerate() {
            push(&mut arguments, mode, quota, settlements.get(index), wall);
        }
        let values = self.store.run(QUOTAS, &keys, &arguments).await?;
        if values.len() != 1 + ANSWER * quotas.len() {
            return Err(Unavailable);
        }
        Ok(values.iter().map(|number| u64::try_from(*number).unwrap_or(0)).collect())
    }

    /// The key of a quota in the server. A bucket's is that which checks of buckets alone have.
    fn quota_key(&self, quota: &Quota<'_>) -> String {
        match quota.window {
            Window::Bucket { .. } => self.key("", quota.key),
            Window::Fixed(_) | Window::Calendar(..) => self.key("w", quota.key),
            Window::Sliding(_) => self.key("s", quota.key),
        }
    }
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Take => "take",
            Self::Settle => "settle",
            Self::Reset => "reset",
        }
    }
}

/// The seven arguments of a quota.
fn push(
    arguments: &mut Vec<Argument<'_>>,
    mode: Mode,
    quota: &Quota<'_>,
    settlement: Option<&Settlement<'_>>,
    wall: u64,
) {
    let taken = settlement.map_or(0, |it| it.taken & !MARKS) / 1_000;
    let (kind, cost, numbers) = match (quota.window, quota.as_charge()) {
        (Window::Calendar(unit, zone), _) => {
            let Span { begin, end, next } = unit.span(zone, wall);
            (
                "c",
                cost_of_window(mode, quota),
                [quota.limit, begin / 1_000, end / 1_000, next / 1_000, taken],
            )
        }
        (Window::Fixed(length) | Window::Sliding(length), _) => {
            let kind = if matches!(quota.window, Window::Fixed(_)) { "f" } else { "s" };
            (kind, cost_of_window(mode, quota), [quota.limit, length / 1_000, 0, 0, taken])
        }
        (Window::Bucket { .. }, Some(charge)) => {
            let Asked { rule, step } = Asked::of(&charge);
            let most = rule.depth.saturating_mul(2);
            let (cost, most) = match mode {
                // More than a burst, too.
                Mode::Settle => (Rule::of(&charge).cost.min(most) / step * step, most),
                Mode::Take | Mode::Reset => (rule.cost, rule.depth),
            };
            ("b", cost, [most, step, 0, 0, 0])
        }
        (Window::Bucket { .. }, None) => return,
    };
    arguments.push(kind.into());
    arguments.push(match settlement {
        Some(settlement) if settlement.by < 0 => Argument::Text(format!("-{cost}").into()),
        _ => cost.into(),
    });
    arguments.extend(numbers.map(Argument::from));
}

/// What a window takes. More than it has is refused, whatever it is; what is settled may be owed.
fn cost_of_window(mode: Mode, quota: &Quota<'_>) -> u64 {
    match mode {
        Mode::Settle => quota.cost.min(quota.limit.saturating_mul(2)),
        Mode::Take | Mode::Reset => quota.cost.min(quota.limit.saturating_add(1)),
    }
}

/// What the store said of a quota, which is the `place`th.
fn read(answer: &[u64], quota: &Quota<'_>, (refused, place): (u64, u64), wall: u64) -> Reservation {
    let (used, end, left) = (answer[0], answer[1], answer[2]);
    let fits = |cost: u64, most: u64| used.saturating_add(cost) <= most;
    let is_allowed = |cost: u64, most: u64| refused == 0 || (refused != place && fits(cost, most));
    if let (Window::Bucket { period, .. }, Some(charge)) = (quota.window, quota.as_charge()) {
        let Rule { cost, depth, .. } = Asked::of(&charge).rule;
        let verdict = Asked::of(&charge).rule.verdict(is_allowed(cost, depth), used, 0);
        return Reservation { verdict, length: period, taken: 0 };
    }
    if let Window::Sliding(length) = quota.window {
        let pair = Pair { used, before: answer[3], left: left.saturating_mul(1_000), length };
        let fits = || pair.counted().saturating_add(quota.cost) <= quota.limit;
        let allowed = refused == 0 || (refused != place && fits());
        let verdict = pair.verdict(allowed, quota.cost, quota.limit);
        return Reservation { verdict, length, taken: end.saturating_mul(1_000) | SLIDING };
    }
    let allowed = is_allowed(quota.cost, quota.limit);
    let left = left.saturating_mul(1_000);
    let retry_after = match (allowed, quota.cost > quota.limit) {
        (true, _) => Some(0),
        (false, true) => None,
        (false, false) => Some(left),
    };
    let remaining = quota.limit.saturating_sub(used);
    let end = end.saturating_mul(1_000);
    let length = match quota.window.span(wall) {
        Some(span) if span.next == end => span.next - span.end,
        Some(span) => span.end - span.begin,
        None => 0,
    };
    let verdict = Verdict { allowed, remaining, reset: left, retry_after };
    Reservation { verdict, length, taken: end }
}

/// Uncounted.
fn passed(quota: &Quota<'_>) -> Reservation {
    let (burst, length) = match (quota.window, quota.window.span(wall())) {
        (Window::Bucket { period, burst }, _) => (burst, period),
        (_, span) => (quota.limit, span.map_or(0, |span| span.end - span.begin)),
    };
    let verdict = Verdict { allowed: true, remaining: burst, reset: 0, retry_after: Some(0) };
    Reservation { verdict, length, taken: NOWHERE }
}
