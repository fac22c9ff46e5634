//! Files that a change of is to be noticed.
//!
//! Owns how: by looking at them twice a second. That sees every way in which editors and
//! deployments replace a file, over every file system, and costs nothing that could be measured.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often they are checked while the gateway serves.
const PERIOD: Duration = Duration::from_millis(500);

/// What of a file changes with its content, also where another file was put in its place by a rename
/// or by the change of a link in its path, and has the times and the size of the first.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Look {
    file: (u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
    size: u64,
}

/// Files and how they looked.
pub(super) struct Watch {
    files: Vec<(PathBuf, Option<Look>)>,
    /// Those that are gone: since when, and whether that was said.
    gone: Vec<(PathBuf, bool)>,
    period: Duration,
}

impl Watch {
    pub(super) fn new(files: Vec<PathBuf>) -> Self {
        let files = files.into_iter().map(|path| {
            let look = look(&path);
            (path, look)
        });
        Self { files: files.collect(), gone: Vec::new(), period: PERIOD }
    }

    /// Watches these too.
    pub(super) fn also(&mut self, files: Vec<PathBuf>) {
        for path in files {
            if self.files.iter().all(|(known, _)| *known != path) {
                let look = look(&path);
                self.files.push((path, look));
            }
        }
    }

    /// Looks at them as often as this.
    pub(super) fn every(self, period: Duration) -> Self {
        Self { period, ..self }
    }

    /// Watches these instead. One that was watched before is remembered as it was.
    pub(super) fn follow(&mut self, files: Vec<PathBuf>) {
        let before = std::mem::take(&mut self.files);
        self.files = files
            .into_iter()
            .map(|path| {
                let known = before.iter().find(|(known, _)| *known == path);
                let look = known.map_or_else(|| look(&path), |(_, look)| *look);
                (path, look)
            })
            .collect();
    }

    /// Waits until a file has changed and then rests for a period, so that one that is still
    /// being written is not read halfway. Returns those that have changed.
    pub(super) async fn changed(&mut self) -> Vec<PathBuf> {
        loop {
            tokio::time::sleep(self.period).await;
            if self.differs() {
                return self.settle().await;
            }
            self.tell_of_gone();
        }
    }

    /// Says once of each file that it is gone, if it is so twice in a row: one that is replaced may be gone
    /// for a moment.
    fn tell_of_gone(&mut self) {
        let is_gone =
            |(path, known): &(PathBuf, Option<Look>)| known.is_some() && look(path).is_none();
        let gone: Vec<_> =
            self.files.iter().filter(|it| is_gone(it)).map(|it| it.0.clone()).collect();
        let before = std::mem::take(&mut self.gone);
        for path in gone {
            let told = before.iter().find(|(known, _)| *known == path).map(|(_, told)| *told);
            if told == Some(false) {
                tracing::warn!(file = %path.display(),
                    "the file is gone: what was read from it stays in force, and the next start would fail");
            }
            self.gone.push((path, told.is_some()));
        }
    }

    fn differs(&self) -> bool {
        // A file that is gone for the moment is about to be replaced.
        self.files.iter().any(|(path, known)| {
            let now = look(path);
            now.is_some() && now != *known
        })
    }

    /// Waits until nothing changes any more. Returns all that has changed.
    async fn settle(&mut self) -> Vec<PathBuf> {
        loop {
            let before: Vec<_> = self.files.iter().map(|(path, _)| look(path)).collect();
            tokio::time::sleep(self.period / 5).await;
            let after: Vec<_> = self.files.iter().map(|(path, _)| look(path)).collect();
            if before == after {
                let mut changed = Vec::new();
                for ((path, known), now) in self.files.iter_mut().zip(after) {
                    if now.is_some() && now != *known {
                        changed.push(path.clone());
                    }
                    *known = now;
                }
                return changed;
            }
        }
    }
}

/// How a file looks, with all links followed. What is no file, such as a pipe, never changes: it cannot
/// be read twice.
fn look(path: &Path) -> Option<Look> {
    let found = std::fs::metadata(path).ok().filter(|it| it.is_file() || it.is_dir())?;
    Some(Look {
        file: (found.dev(), found.ino()),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
        size: found.len(),
    })
}
