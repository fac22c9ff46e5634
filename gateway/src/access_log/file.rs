//! A file of lines, and the files before it.
//!
//! Owns the rotation, the names of older files, and how many are kept. A file has whole lines only:
//! a line that a full disk took in part is removed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::sink::Batch;
use super::time;
use super::writer::{Broken, Destination, Then};
use crate::config::LogFile;

/// Bytes that are written at a time.
const CHUNK: usize = 64 << 10;
/// Who may read it: the user and the group.
const MODE: u32 = 0o640;
/// How long to go on with a file that could not be moved.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct Rotated {
    config: LogFile,
    name: String,
    open: Open,
    chunk: Vec<u8>,
    /// When moving it failed.
    stuck: Option<Instant>,
}

/// The file that is written.
struct Open {
    file: File,
    size: u64,
    /// Which hour or day it is of, counted from 1970.
    period: u64,
    /// Whether it may be cut and moved: no device and no pipe.
    is_regular: bool,
    /// Whether it ends within a line.
    is_torn: bool,
}

impl Rotated {
    /// Opens the file, or makes it. `name` is that of the log.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn open(config: &LogFile, name: &str) -> io::Result<Self> {
        let open = open(config)?;
        let (config, name) = (config.clone(), name.to_owned());
        Ok(Self { config, name, open, chunk: Vec::new(), stuck: None })
    }

    /// Begins another file if so many bytes more are too much for this one, or its time is over.
    fn rotate(&mut self, more: usize) {
        let Open { size, period, is_regular, .. } = self.open;
        let is_full = self.config.max_size.is_some_and(|max| size + more as u64 > max);
        let is_old = self.config.period.is_some_and(|it| time::now().as_secs() / it != period);
        let is_stuck = self.stuck.is_some_and(|since| since.elapsed() < PATIENCE);
        if !is_regular || size == 0 || is_stuck || !(is_full || is_old) {
            if size == 0 {
                self.open.period = self.config.period.map_or(0, |it| time::now().as_secs() / it);
            }
            return;
        }
        match self.begin_another() {
            Ok(()) => self.stuck = None,
            Err(error) => {
                self.stuck = Some(Instant::now());
                let file = self.config.path.display();
                tracing::warn!(log = self.name, %file, %error, "no new file can be opened: the current file keeps growing");
            }
        }
    }

    fn begin_another(&mut self) -> io::Result<()> {
        let mut now = time::now();
        let mut target = self.before(&time::compact(now));
        while target.exists() {
            now += Duration::from_millis(1);
            target = self.before(&time::compact(now));
        }
        match fs::rename(&self.config.path, &target) {
            // Somebody else moved it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            moved => moved?,
        }
        // Without a new one, what comes goes on into the one that was moved: no line is lost.
        self.open = open(&self.config)?;
        self.remove_oldest();
        Ok(())
    }

    fn before(&self, when: &str) -> PathBuf {
        let mut name = self.config.path.clone().into_os_string();
        name.push(".");
        name.push(when);
        name.into()
    }

    /// Removes files before this one, but for the newest.
    fn remove_oldest(&self) {
        let folder = self.config.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(std::path::Path::new("."));
        let Some(own) = self.config.path.file_name().and_then(|name| name.to_str()) else { return };
        let Ok(entries) = fs::read_dir(folder) else { return };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let is_before = |name: &String| {
            let when = name.strip_prefix(own).and_then(|rest| rest.strip_prefix('.'));
            when.is_some_and(is_time)
        };
        let mut names: Vec<_> = names.filter(is_before).collect();
        names.sort();
        let count = names.len().saturating_sub(self.config.keep);
        for name in names.into_iter().take(count) {
            if let Err(error) = fs::remove_file(folder.join(&name)) {
                tracing::warn!(log = self.name, file = name, %error, "an old file cannot be removed");
            }
        }
    }

    /// Writes the chunk, and returns how many of its bytes are written.
    fn write_chunk(&mut self) -> (usize, io::Result<()>) {
        let mut written = 0;
        while written < self.chunk.len() {
            match self.open.file.write(&self.chunk[written..]) {
                Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (written, Err(error)),
            }
        }
        (written, Ok(()))
    }

    /// Of what was written, takes away what is no whole line. Returns what stays.
    fn cut(&mut self, written: usize) -> usize {
        let whole =
            self.chunk[..written].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if whole == written {
            return whole;
        }
        let cut =
            self.open.is_regular && self.open.file.set_len(self.open.size + whole as u64).is_ok();
        self.open.is_torn = !cut;
        if cut { whole } else { written }
    }
}

impl Destination for Rotated {
    fn write(&mut self, lines: &mut Batch) -> Result<(), Broken> {
        let first = lines.first().map_or(0, <[u8]>::len);
        self.rotate(first);
        self.chunk.clear();
        if self.open.is_torn {
            self.chunk.push(b'\n');
        }
        let torn = self.chunk.len();
        let max = self.config.max_size.unwrap_or(u64::MAX);
        let mut count = 0;
        for line in lines.iter() {
            let size = self.chunk.len() + line.len();
            let is_too_much = size > CHUNK || self.open.size + size as u64 > max;
            if count > 0 && is_too_much {
                break;
            }
            self.chunk.extend_from_slice(line);
            count += 1;
        }
        let (written, result) = self.write_chunk();
        if let Err(error) = result {
            let stays = self.cut(written);
            self.open.size += stays as u64;
            let whole = self.chunk[..stays].get(torn..).unwrap_or_default();
            lines.written(whole.iter().filter(|byte| **byte == b'\n').count());
            return Err(Broken { error, then: Then::Drop });
        }
        self.open.is_torn = false;
        self.open.size += written as u64;
        lines.written(count);
        Ok(())
    }

    fn reopen(&mut self) {
        match open(&self.config) {
            Ok(open) => self.open = open,
            Err(error) => {
                let file = self.config.path.display();
                tracing::warn!(log = self.name, %file, %error, "the file cannot be opened again");
            }
        }
    }
}

fn open(config: &LogFile) -> io::Result<Open> {
    // Read, too: for its last byte, and so that a pipe that nobody reads can be opened.
    let mut options = OpenOptions::new();
    let mut file = options.append(true).read(true).create(true).mode(MODE).open(&config.path)?;
    let facts = file.metadata()?;
    let is_regular = facts.is_file();
    let size = if is_regular { facts.len() } else { 0 };
    let changed = facts.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let of = if size == 0 { time::now() } else { changed.unwrap_or_default() };
    let mut last = [b'\n'];
    if size > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    let period = config.period.map_or(0, |period| of.as_secs() / period);
    Ok(Open { file, size, period, is_regular, is_torn: last != *b"\n" })
}

/// Whether a name ends as those of files before: `20261128T204716.123Z`.
fn is_time(text: &str) -> bool {
    const FORM: &[u8] = b"00000000T000000.000Z";
    text.len() == FORM.len()
        && text.bytes().zip(FORM).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            form => byte == *form,
        })
}
