//! The clock is the runtime's paused one, which moves only when nothing else can run: so these
//! tests know the exact time and take none.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use ::hyper::rt::Timer as _;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use super::{HyperTimer, TICK, Timers, clock};

fn run<T>(test: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, test)
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// How late after its time the deadline ends.
async fn lateness(timers: &Timers, duration: Duration) -> Duration {
    let began = Instant::now();
    timers.after(duration).await;
    began.elapsed().checked_sub(duration).expect("never before its time")
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

#[test]
fn ends_at_or_after_its_time_and_at_most_two_ticks_late() {
    run(async {
        let timers = Timers::new();
        for millis in [1, 5, 9, 10, 11, 19, 20, 25, 100, 999, 61_003] {
            for offset in [0, 1, 3, 7, 13] {
                sleep(ms(offset)).await;
                let late = lateness(&timers, ms(millis)).await;
                assert!(late <= 2 * TICK + ms(1), "{millis} ms at {offset} was {late:?} late");
            }
        }
    });
}

#[test]
fn a_zero_duration_has_ended_already() {
    run(async {
        let timers = Timers::new();
        assert!(poll_once(&mut timers.after(Duration::ZERO)).await.is_ready());
        assert_eq!(timers.waiting(), 0);
    });
}

#[test]
fn counts_from_its_making_even_if_it_is_polled_later() {
    run(async {
        let timers = Timers::new();
        let began = Instant::now();
        let deadline = timers.after(ms(500));
        sleep(ms(300)).await;
        deadline.await;
        assert!(began.elapsed() >= ms(500));
        assert!(began.elapsed() <= ms(500) + 2 * TICK + ms(1), "{:?}", began.elapsed());
    });
}

#[test]
fn a_worker_that_was_too_busy_to_tick_ends_no_deadline_early() {
    run(async {
        let timers = Timers::new();
        sleep(ms(3)).await;
        timers.refresh();
        tokio::time::advance(ms(800)).await;
        let began = Instant::now();
        let mut deadline = timers.after(ms(100));
        assert!(poll_once(&mut deadline).await.is_pending());
        deadline.await;
        assert!(began.elapsed() >= ms(100));
    });
}

#[test]
fn is_registered_only_while_it_waits() {
    run(async {
        let timers = Timers::new();
        let mut first = timers.after(ms(50));
        let mut second = timers.after(ms(50));
        assert_eq!(timers.waiting(), 0);
        assert!(poll_once(&mut first).await.is_pending());
        assert!(poll_once(&mut second).await.is_pending());
        assert_eq!(timers.waiting(), 2);
        drop(first);
        assert_eq!(timers.waiting(), 1);
        (&mut second).await;
        assert_eq!(timers.waiting(), 0);
        assert!(poll_once(&mut second).await.is_ready(), "stays ended");
    });
}

#[test]
fn a_reset_moves_the_end_back_and_forth() {
    run(async {
        let timers = Timers::new();
        let began = Instant::now();
        let mut deadline = timers.after(ms(100));
        for _ in 0..20 {
            assert!(poll_once(&mut deadline).await.is_pending());
            sleep(ms(50)).await;
            deadline.reset(ms(100));
        }
        deadline.reset(ms(30));
        (&mut deadline).await;
        assert!(began.elapsed() >= ms(1030));
        assert!(began.elapsed() <= ms(1030) + 2 * TICK + ms(1), "{:?}", began.elapsed());
        deadline.reset(ms(30));
        assert!(poll_once(&mut deadline).await.is_pending(), "lives again after its end");
        deadline.await;
        assert!(began.elapsed() >= ms(1060));
    });
}

#[test]
fn a_slot_that_is_used_again_has_nothing_of_its_last_user() {
    run(async {
        let timers = Timers::new();
        for _ in 0..3 {
            let mut gone = timers.after(ms(20));
            assert!(poll_once(&mut gone).await.is_pending());
            drop(gone);
        }
        let began = Instant::now();
        timers.after(ms(400)).await;
        assert!(began.elapsed() >= ms(400));
    });
}

#[test]
fn ten_thousand_deadlines_each_end_in_their_own_time() {
    run(async {
        let timers = Timers::new();
        let mut tasks = Vec::new();
        for index in 0..10_000_u64 {
            let timers = timers.clone();
            let duration = ms(20 + index * 7 % 3_000);
            let task = tokio::task::spawn_local(async move { lateness(&timers, duration).await });
            tasks.push(task);
        }
        for task in tasks {
            assert!(task.await.unwrap() <= 2 * TICK + ms(1));
        }
        assert_eq!(timers.waiting(), 0);
    });
}

#[test]
fn the_clock_is_not_stale_after_the_worker_was_idle() {
    run(async {
        let timers = Timers::new();
        let _started = timers.now();
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(timers.now(), clock());
        sleep(ms(4)).await;
        assert!(clock() - timers.now() <= TICK + ms(1));
        assert_eq!(timers.refresh(), clock());
    });
}

#[test]
fn the_clock_sleeps_to_the_next_deadline_when_nobody_uses_it() {
    run(async {
        let timers = Timers::new();
        let mut deadline = timers.after(Duration::from_secs(100));
        assert!(poll_once(&mut deadline).await.is_pending());
        sleep(Duration::from_secs(50)).await;
        let ticks = timers.0.ticks.get();
        assert!(ticks < 10, "{ticks} ticks in 50 idle seconds");
        deadline.await;
    });
}

#[test]
fn the_ticking_ends_with_the_last_user() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let timers = Timers::new();
        timers.after(ms(30)).await;
    });
    // A local set ends when all its tasks have.
    let ended = runtime.block_on(async { tokio::time::timeout(ms(1000), local).await });
    assert!(ended.is_ok());
}

#[test]
fn hyper_waits_on_the_same_clock() {
    run(async {
        let timers = Timers::new();
        let timer = HyperTimer::install(&timers);
        let began = Instant::now();
        timer.sleep(ms(40)).await;
        assert!(began.elapsed() >= ms(40));
        let mut sleep_until = timer.sleep_until(clock() + ms(40));
        assert!(matches!(poll_once(&mut sleep_until).await, Poll::Pending));
        assert_eq!(timers.waiting(), 1);
        timer.reset(&mut sleep_until, clock() + ms(200));
        let began = Instant::now();
        sleep_until.await;
        assert!(began.elapsed() >= ms(200));
        assert!(began.elapsed() <= ms(200) + 2 * TICK + ms(1));
        assert_eq!(timers.waiting(), 0);
    });
}
