//! The files and folders that the gateway has, each for one thing.
//!
//! Owns how it is seen that two paths lead to the same place, however they are written, and the refusal of one that two
//! different things would have. Two of one kind are refused where that kind is read. Must not open anything.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Span;
use super::diagnostic::Diagnostic;
use super::reader::Reading;

/// Links that are followed, as systems do.
const LINKS: usize = 40;

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// To what is there, by device and inode.
    There(u64, u64),
    /// To what is not there yet.
    New(PathBuf),
}

impl Place {
    pub(super) fn of(path: &Path) -> Self {
        let mut path = path.to_owned();
        for _ in 0..LINKS {
            match fs::metadata(&path) {
                Ok(found) if found.is_file() || found.is_dir() => {
                    return Self::There(found.dev(), found.ino());
                }
                // What a device or a pipe is written with gets lost nowhere.
                Ok(_) => return Self::New(path),
                Err(_) => {}
            }
            // A link to what is not there yet: it will be made at the other end.
            let Ok(link) = fs::read_link(&path) else { break };
            path = path.parent().unwrap_or(Path::new("")).join(link);
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).canonicalize();
        match (folder, path.file_name()) {
            (Ok(folder), Some(name)) => Self::New(folder.join(name)),
            _ => Self::New(path),
        }
    }
}

/// What has a file or a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Store,
    Usage,
    AccessLog,
    Audit,
    Cache,
    Compiled,
    /// It only reads, so that two may have one.
    Document,
}

/// One that something has.
#[derive(Debug, Clone)]
pub(super) struct Owned {
    pub(super) kind: Kind,
    /// What has it: "the store `kept`".
    pub(super) owner: String,
    pub(super) path: PathBuf,
    /// Where the path stands.
    pub(super) span: Span,
}

/// Refuses what two different things have.
pub(super) fn refuse_shared(reading: &Reading<'_>, mut owned: Vec<Owned>) {
    owned.sort_by_key(|it| it.span.start);
    let mut seen: Vec<(Place, &Owned)> = Vec::new();
    for it in &owned {
        let place = Place::of(&it.path);
        let other = seen.iter().find(|(known, first)| *known == place && first.kind != it.kind);
        if let Some((_, first)) = other {
            let error = format!("{} and {} have the same file or folder", first.owner, it.owner);
            let error = Diagnostic::error(it.span.clone(), error);
            let error = error.related(first.span.clone(), format!("{} has it", first.owner));
            reading.report(error.help("give each its own"));
        }
        seen.push((place, it));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_same_place_is_the_same_however_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("x")).unwrap();
        symlink("new.db", path("link.db")).unwrap();
        symlink(folder.path(), path("folder")).unwrap();
        let spellings = ["new.db", "./new.db", "x/../new.db", "link.db", "folder/new.db"];
        for is_there in [false, true] {
            if is_there {
                fs::write(path("new.db"), "").unwrap();
                fs::hard_link(path("new.db"), path("hard.db")).unwrap();
                assert_eq!(Place::of(&path("hard.db")), Place::of(&path("new.db")));
            }
            for spelling in spellings {
                assert_eq!(Place::of(&path(spelling)), Place::of(&path("new.db")), "{spelling}");
            }
            assert_ne!(Place::of(&path("other.db")), Place::of(&path("new.db")));
            assert_ne!(Place::of(&path("x/new.db")), Place::of(&path("new.db")));
        }
        // Links that lead to each other lead nowhere, and are looked at no longer than the system does.
        symlink("b", path("a")).unwrap();
        symlink("a", path("b")).unwrap();
        assert!(matches!(Place::of(&path("a")), Place::New(_)));
    }
}
