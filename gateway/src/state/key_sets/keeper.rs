//! Looks after one set: reads what its store has, makes changes one after the other, and writes down when keys
//! were last used.
//!
//! Owns the order of things. A change is in the store before it is in force, and in force before it is answered.
//! What is in force stays so while the store is away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;

use super::place::{Place, Put, Unwritten};
use super::record::{Key, now};
use super::set::{ChangeError, KeySet, Make, Order, Refused};
use crate::state::named::Named;

/// How often it is asked what other gateways changed, and looked what has expired.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is written when keys were last used.
const FLUSH: Duration = Duration::from_mins(1);
/// How often a change is tried anew, where another gateway changes the same key meanwhile.
const TRIES: usize = 8;
/// Keys of a set, at most: more than a gigabyte of memory.
const MOST: usize = 1_000_000;

struct Keeper {
    set: Arc<KeySet>,
    place: Place,
    /// Up to when ends were seen, what ends next, and of which generation that is known.
    ends: Ends,
    flushed: Instant,
}

struct Ends {
    seen: u64,
    next: Option<u64>,
    generation: u64,
}

/// Looks after a set until it is to end.
pub(super) async fn keep(set: Arc<KeySet>, named: Arc<Named>) {
    let Some(mut orders) = set.orders() else { return };
    let place = Place::new(set.name(), &set.store, named);
    let ends = Ends { seen: now(), next: None, generation: 0 };
    let mut keeper = Keeper { set, place, ends, flushed: Instant::now() };
    keeper.sync().await.ok();
    let ended = keeper.serve(&mut orders).await;
    keeper.flush().await;
    if let Some(ended) = ended {
        let _nobody_waits = ended.send(());
    }
}

impl Keeper {
    async fn serve(
        &mut self,
        orders: &mut UnboundedReceiver<Order>,
    ) -> Option<std::sync::mpsc::Sender<()>> {
        let mut next = Instant::now() + LOOK;
        loop {
            match tokio::time::timeout_at(next.into(), orders.recv()).await {
                Ok(Some(Order::Change { id, make, answer })) => {
                    let changed = self.change(&id, &make).await;
                    let _nobody_waits = answer.send(changed);
                }
                Ok(Some(Order::Uses { ids, answer })) => {
                    let uses = self.place.uses(&ids).await.unwrap_or_default();
                    let _nobody_waits = answer.send(uses);
                }
                Ok(Some(Order::End(ended))) => return Some(ended),
                Ok(None) => return None,
                Err(_) => {
                    self.sync().await.ok();
                    self.expire();
                    if self.flushed.elapsed() >= FLUSH {
                        self.flush().await;
                    }
                    next = Instant::now() + LOOK;
                }
            }
        }
    }

    /// Has what the store has.
    async fn sync(&mut self) -> Result<(), String> {
        let synced = self.place.sync(&self.set.table).await;
        self.set.tried(synced.as_ref().err().map(String::as_str));
        synced
    }

    async fn change(&mut self, id: &str, make: &Make) -> Result<Arc<Key>, ChangeError> {
        self.sync().await.map_err(ChangeError::Unavailable)?;
        for _ in 0..TRIES {
            let table = &self.set.table;
            let before = table.key(id);
            let after = make(before.as_ref().map(|it| &it.record)).map_err(ChangeError::Refused)?;
            if before.is_none() && table.len() >= MOST {
                return Err(ChangeError::Refused(Refused::Full));
            }
            for digest in after.iter().flat_map(|after| after.digests()) {
                let owner = table.find(digest, |key| key.id.clone());
                if let Some(owner) = owner.filter(|owner| **owner != *id) {
                    return Err(ChangeError::Refused(Refused::DigestOf(owner)));
                }
            }
            let put =
                Put { id, before: before.as_ref().map(|it| &it.record), after: after.as_ref() };
            match self.place.put(&put, table).await {
                Ok(()) => {
                    self.set.counts.has(table.len());
                    // Another gateway may have revoked what was just added.
                    let now = self.set.key(id).or(before);
                    return now.ok_or(ChangeError::Refused(Refused::NotFound));
                }
                Err(Unwritten::Changed) => self.sync().await.map_err(ChangeError::Unavailable)?,
                Err(Unwritten::DigestOf(owner)) => {
                    return Err(ChangeError::Refused(Refused::DigestOf(owner)));
                }
                Err(Unwritten::Away(why)) => return Err(ChangeError::Unavailable(why)),
                Err(Unwritten::Unknown(why)) => return Err(ChangeError::Unknown(why)),
            }
        }
        Err(ChangeError::Unavailable("other gateways change this key all the time".to_owned()))
    }

    /// Once something has expired, nothing that followed from it is made again.
    fn expire(&mut self) {
        let (generation, now) = (self.set.generation(), now());
        let Ends { seen, next, generation: known } = self.ends;
        let mut is_over = next.is_some_and(|end| end <= now);
        let mut next = next;
        if is_over || known != generation {
            next = None;
            self.set.table.each(|key| {
                for end in key.record.ends() {
                    // Also one that came and ended since it was looked last.
                    is_over |= end > seen && end <= now;
                    next = next.into_iter().chain(Some(end).filter(|end| *end > now)).min();
                }
            });
        }
        if is_over {
            self.set.table.publish();
        }
        self.ends = Ends { seen: now, next, generation: self.set.generation() };
    }

    /// Writes when keys were last used.
    async fn flush(&mut self) {
        self.flushed = Instant::now();
        let mut unwritten = Vec::new();
        self.set.table.each(|key| {
            unwritten.extend(key.unwritten_use().map(|at| (Arc::clone(key), at)));
        });
        for some in unwritten.chunks(500) {
            let uses: Vec<_> = some.iter().map(|(key, at)| (&*key.id, *at)).collect();
            // What could not be written is tried again with the next.
            if self.place.put_uses(&uses).await.is_err() {
                return;
            }
            some.iter().for_each(|(key, at)| key.use_is_written(*at));
        }
    }
}
