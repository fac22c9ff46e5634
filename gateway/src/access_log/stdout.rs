//! Standard output.
//!
//! Owns a lock, so that lines of several logs do not mix.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::sink::Batch;
use super::writer::{Broken, Destination, Then};

/// Bytes that are written at a time.
const CHUNK: usize = 64 << 10;
/// How long to wait for who reads a pipe that does not block.
const WAIT: Duration = Duration::from_millis(10);

/// Held by who writes whole lines.
static TURN: Mutex<()> = Mutex::new(());

/// See the module.
pub(super) struct Stdout {
    file: File,
    chunk: Vec<u8>,
}

impl Stdout {
    /// # Errors
    /// When the process has none.
    pub(super) fn open() -> io::Result<Self> {
        let file = io::stdout().as_fd().try_clone_to_owned()?;
        Ok(Self { file: File::from(file), chunk: Vec::new() })
    }
}

impl Destination for Stdout {
    fn write(&mut self, lines: &mut Batch) -> Result<(), Broken> {
        self.chunk.clear();
        let mut count = 0;
        for line in lines.iter() {
            if count > 0 && self.chunk.len() + line.len() > CHUNK {
                break;
            }
            self.chunk.extend_from_slice(line);
            count += 1;
        }
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rest = &*self.chunk;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(drop_all(io::ErrorKind::WriteZero.into())),
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(WAIT),
                Err(error) => return Err(drop_all(error)),
            }
        }
        lines.written(count);
        Ok(())
    }
}

fn drop_all(error: io::Error) -> Broken {
    Broken { error, then: Then::Drop }
}
