//! Files that a change of is to be noticed.
//!
//! Owns how: by looking at them twice a second. That sees every way in which editors and
//! deployments replace a file, over every file system, and costs nothing that could be measured.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const PERIOD: Duration = Duration::from_millis(500);

/// What of a file changes with its content.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Look {
    modified: Option<SystemTime>,
    size: u64,
}

/// Files and how they looked.
pub(super) struct Watch {
    files: Vec<(PathBuf, Option<Look>)>,
}

impl Watch {
    pub(super) fn new(files: Vec<PathBuf>) -> Self {
        let files = files.into_iter().map(|path| {
            let look = look(&path);
            (path, look)
        });
        Self { files: files.collect() }
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
    /// being written is not read halfway.
    pub(super) async fn changed(&mut self) -> PathBuf {
        loop {
            tokio::time::sleep(PERIOD).await;
            if let Some(index) = self.differing() {
                self.settle().await;
                return self.files[index].0.clone();
            }
        }
    }

    fn differing(&self) -> Option<usize> {
        // A file that is gone for the moment is about to be replaced.
        self.files.iter().position(|(path, known)| {
            let now = look(path);
            now.is_some() && now != *known
        })
    }

    async fn settle(&mut self) {
        loop {
            let before: Vec<_> = self.files.iter().map(|(path, _)| look(path)).collect();
            tokio::time::sleep(PERIOD / 5).await;
            let after: Vec<_> = self.files.iter().map(|(path, _)| look(path)).collect();
            if before == after {
                for ((_, known), now) in self.files.iter_mut().zip(after) {
                    *known = now;
                }
                return;
            }
        }
    }
}

fn look(path: &Path) -> Option<Look> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(Look { modified: metadata.modified().ok(), size: metadata.len() })
}
