//! What the admin API of a gateway can ask of this program.
//!
//! Owns the channel to the thread that reloads. One reload runs at a time.

use std::sync::Arc;

use gateway::{Busy, Operator, Reloaded};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::log;

/// A reload that the admin API asks for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) dry_run: bool,
    answer: oneshot::Sender<Reloaded>,
    _alone: OwnedSemaphorePermit,
}

impl Asked {
    /// Reports what came of it.
    pub(super) fn answer(self, reloaded: Reloaded) {
        let _nobody_waits = self.answer.send(reloaded);
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Operations {
    asked: mpsc::UnboundedSender<Asked>,
    alone: Arc<Semaphore>,
}

impl Operations {
    /// With where the requests come out.
    pub(super) fn begin() -> (Arc<dyn Operator>, mpsc::UnboundedReceiver<Asked>) {
        let (asked, comes) = mpsc::unbounded_channel();
        (Arc::new(Self { asked, alone: Arc::new(Semaphore::new(1)) }), comes)
    }
}

impl Operator for Operations {
    fn reload(&self, dry_run: bool) -> Result<oneshot::Receiver<Reloaded>, Busy> {
        let alone = Arc::clone(&self.alone).try_acquire_owned().map_err(|_| Busy)?;
        let (answer, answered) = oneshot::channel();
        // Where nobody reloads any more, the answer never comes.
        let _gone = self.asked.send(Asked { dry_run, answer, _alone: alone });
        Ok(answered)
    }

    fn log_filter(&self) -> String {
        log::current()
    }

    fn set_log_filter(&self, filter: &str) -> Result<(), String> {
        log::change(filter)
    }
}
