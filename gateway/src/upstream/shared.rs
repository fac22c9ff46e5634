//! Work that several requests wait for.
//!
//! Owns that it is done once at a time, in its own task: it continues for the others, and for those
//! to come, when the request that began it is abandoned. Keeps no result once the work is done.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use tokio::sync::Notify;

/// The work that is under way, if it is.
pub(super) struct Shared<T>(Rc<RefCell<Option<Rc<Work<T>>>>>);

struct Work<T> {
    result: OnceCell<T>,
    done: Notify,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Rc::default())
    }
}

impl<T: Clone + 'static> Shared<T> {
    /// The result of the work that is under way, or of this one.
    ///
    /// # Panics
    /// Outside of a running [`tokio::task::LocalSet`].
    pub(super) async fn get<F>(&self, work: impl FnOnce() -> F) -> T
    where
        F: Future<Output = T> + 'static,
    {
        let known = self.0.borrow().clone();
        let joined = known.unwrap_or_else(|| self.begin(work()));
        loop {
            if let Some(result) = joined.result.get() {
                return result.clone();
            }
            joined.done.notified().await;
        }
    }

    fn begin(&self, work: impl Future<Output = T> + 'static) -> Rc<Work<T>> {
        let begun = Rc::new(Work { result: OnceCell::new(), done: Notify::new() });
        self.0.replace(Some(Rc::clone(&begun)));
        let (slot, mine) = (Rc::clone(&self.0), Rc::clone(&begun));
        tokio::task::spawn_local(async move {
            let result = work.await;
            slot.replace(None);
            let _first = mine.result.set(result);
            mine.done.notify_waiters();
        });
        begun
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use tokio::sync::Semaphore;
    use tokio::task::LocalSet;

    use super::*;

    #[tokio::test]
    async fn those_who_leave_begin_no_more_work_and_those_who_stay_have_its_result() {
        let local = LocalSet::new();
        local
            .run_until(async {
                let (shared, go_on) = (Shared::default(), Rc::new(Semaphore::new(0)));
                let begun = Rc::new(Cell::new(0));
                let work = || {
                    begun.set(begun.get() + 1);
                    let (go_on, number) = (Rc::clone(&go_on), begun.get());
                    async move {
                        go_on.acquire().await.expect("it is open").forget();
                        number
                    }
                };
                for _ in 0..20 {
                    let left =
                        tokio::time::timeout(Duration::from_millis(1), shared.get(work)).await;
                    assert!(left.is_err());
                }
                assert_eq!(begun.get(), 1, "nobody else began");
                go_on.add_permits(1);
                let (one, other) = tokio::join!(shared.get(work), shared.get(work));
                assert_eq!((one, other, begun.get()), (1, 1, 1));
                go_on.add_permits(1);
                assert_eq!(shared.get(work).await, 2, "a result is not kept");
            })
            .await;
    }
}
