//! Calls that compute without a guest.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::{Clock, Flow, Kind, Next, Owner, Share, Slices, Turn, thread_time};
use crate::telemetry::metrics::Metrics;
use tokio::task::{JoinHandle, LocalSet, spawn_local, yield_now};

const MS: Duration = Duration::from_millis(1);

type Ends = Rc<RefCell<Vec<&'static str>>>;

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    LocalSet::new().block_on(&runtime.expect("a runtime"), work)
}

fn open() -> Rc<Share> {
    let share = Rc::new(Share::default());
    spawn_local(Rc::clone(&share).run());
    share
}

fn flow(share: &Rc<Share>, name: &str, limit: usize) -> Rc<Flow> {
    flow_of(share, Kind::Plugin, name, limit)
}

fn flow_of(share: &Rc<Share>, kind: Kind, name: &str, limit: usize) -> Rc<Flow> {
    let (name, clock) = (&name.into(), &Clock::default());
    let metrics = &Arc::clone(Metrics::default().of(name).turns());
    Flow::new(share, &Owner { kind, name, clock, metrics, queue: limit }, "route")
}

fn spin(time: Duration) {
    let end = thread_time() + time;
    while thread_time() < end {}
}

/// A call of as many slices of a millisecond, in the way of the engine.
fn call(flow: &Rc<Flow>, name: &'static str, slices: u32, ends: &Ends) -> JoinHandle<()> {
    let (flow, ends) = (Rc::clone(flow), Rc::clone(ends));
    spawn_local(async move {
        let mut turn = Turn::first(&flow, true).await;
        let (known, mut left) = (Slices::default(), slices);
        let work = poll_fn(|context| {
            spin(MS);
            left -= 1;
            if left == 0 {
                return Poll::Ready(());
            }
            assert_eq!(known.look(Duration::from_secs(1), thread_time()), Next::IsPutAside);
            context.waker().wake_by_ref();
            Poll::Pending
        });
        turn.take_all(work, &known).await;
        assert!(turn.computed() >= slices * MS);
        ends.borrow_mut().push(name);
    })
}

async fn joined(calls: Vec<JoinHandle<()>>) {
    for call in calls {
        call.await.expect("it is there");
    }
}

#[test]
fn a_call_that_comes_late_is_not_behind_all_calls_of_another_flow() {
    run(async {
        let (share, ends) = (open(), Ends::default());
        let (busy, other) = (flow(&share, "busy", 100), flow(&share, "other", 100));
        let mut calls: Vec<_> = (0..10).map(|_| call(&busy, "busy", 2, &ends)).collect();
        yield_now().await;
        calls.push(call(&other, "other", 2, &ends));
        joined(calls).await;
        let place = ends.borrow().iter().position(|name| *name == "other").expect("it is there");
        assert!(place <= 3, "{ends:?}");
        assert!(share.waiting.borrow().is_empty());
    });
}

#[test]
fn calls_of_one_flow_end_in_the_order_in_which_they_came() {
    run(async {
        let (share, ends) = (open(), Ends::default());
        let busy = flow(&share, "busy", 100);
        let names = ["1", "2", "3", "4", "5"];
        joined(names.map(|name| call(&busy, name, 3, &ends)).into()).await;
        assert_eq!(*ends.borrow(), names);
    });
}

#[test]
fn a_request_to_a_component_does_not_wait_for_one_that_computes_for_long() {
    run(async {
        let (share, ends) = (open(), Ends::default());
        let service = flow_of(&share, Kind::Component, "service", 100);
        let long = call(&service, "long", 60, &ends);
        yield_now().await;
        let others = ["1", "2", "3"].map(|name| call(&service, name, 3, &ends));
        joined(others.into_iter().chain([long]).collect()).await;
        assert_eq!(*ends.borrow(), ["1", "2", "3", "long"]);
    });
}

#[test]
fn flows_that_all_want_more_than_there_is_are_given_the_same() {
    run(async {
        let (share, ends) = (open(), Ends::default());
        let flows = ["a", "b", "c"].map(|name| (name, flow(&share, name, 100)));
        // One has long calls, and one has many.
        let mut calls = Vec::new();
        for (name, flow) in &flows {
            let (count, slices) = if *name == "a" { (2, 10) } else { (10, 2) };
            calls.extend((0..count).map(|_| call(flow, name, slices, &ends)));
        }
        joined(calls).await;
        let ends = ends.borrow();
        let half = &ends[..ends.len() / 2];
        let of = |wanted| half.iter().filter(|name| **name == wanted).count();
        assert!(of("a") == 1 && of("b").abs_diff(of("c")) <= 1, "{ends:?}");
    });
}

#[test]
fn others_run_between_two_slices() {
    run(async {
        let (share, ends) = (open(), Ends::default());
        let busy = flow(&share, "busy", 100);
        let calls: Vec<_> = (0..3).map(|_| call(&busy, "busy", 5, &ends)).collect();
        let mut rounds = 0;
        while ends.borrow().len() < 3 {
            yield_now().await;
            rounds += 1;
        }
        // In the first one each may have had a slice, and each round has a slice and at most another.
        assert!(rounds >= 6, "{rounds}");
        joined(calls).await;
    });
}

#[test]
fn a_call_that_waits_for_a_processor_has_not_computed() {
    run(async {
        let clock = Clock::start(|_| true);
        let name = &"quick".into();
        let metrics = &Arc::clone(Metrics::default().of(name).turns());
        let owner = Owner { kind: Kind::Plugin, name, clock: &clock, metrics, queue: 1 };
        let flow = Flow::new(&open(), &owner, "route");
        clock.is_needed();
        let call = |work: fn()| {
            let began = flow.begins();
            work();
            flow.called(began)
        };
        // As if the thread had to wait.
        assert!(call(|| std::thread::sleep(20 * MS)) < MS);
        // The ticks of a busy machine come late.
        assert!(call(|| spin(20 * MS)) > MS);
    });
}

#[test]
fn a_flow_is_full_until_those_that_wait_are_done_or_gone() {
    run(async {
        let (share, ends) = (open(), Ends::default());
        let (busy, other) = (flow(&share, "busy", 4), flow(&share, "other", 4));
        let mut calls: Vec<_> = (0..6).map(|_| call(&busy, "busy", 3, &ends)).collect();
        assert!(!busy.is_full());
        yield_now().await;
        assert!(busy.is_full() && !other.is_full());
        for call in calls.drain(2..) {
            call.abort();
        }
        yield_now().await;
        assert!(!busy.is_full());
        joined(calls).await;
        assert_eq!(*ends.borrow(), ["busy", "busy"]);
        assert!(share.waiting.borrow().is_empty() && busy.queue.borrow().is_empty());
    });
}

#[test]
fn nobody_waits_where_no_turns_are_given() {
    run(async {
        let (share, ends) = (Rc::new(Share::default()), Ends::default());
        let task = spawn_local(Rc::clone(&share).run());
        let busy = flow(&share, "busy", 4);
        let calls: Vec<_> = (0..4).map(|_| call(&busy, "busy", 3, &ends)).collect();
        yield_now().await;
        task.abort();
        joined(calls).await;
        assert_eq!(ends.borrow().len(), 4);
        assert!(!busy.must_wait() && !busy.is_full());
    });
}
