//! Large writes, of which the kernel takes what is in the file of large bodies without a copy.
//!
//! Owns that what comes before such bytes leaves in one segment with them, and that a system that does not send from that file is
//! written to as usual. Must not wait: who writes does.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags};
use tokio::io::Interest;

use super::Inner;
use crate::memory_file;

impl Inner {
    /// Writes some of it at once.
    pub(super) fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut places = slices.iter().enumerate();
        let found = places.find_map(|(at, it)| Some((at, memory_file::place_of(it)?)));
        let Some((at, (file, offset))) = found else {
            return self.stream.try_write_vectored(slices);
        };
        self.send_from(file, offset, slices, at, memory_file::refuse)
    }

    /// Writes some of it, of which the slice with this number is at a place in a file.
    pub(super) fn send_from(
        &self,
        file: BorrowedFd<'_>,
        mut offset: u64,
        slices: &[IoSlice<'_>],
        at: usize,
        refuse: impl FnOnce(&io::Error),
    ) -> io::Result<usize> {
        // Without glibc, as for other writes. SIGPIPE, which cannot be switched off for this call, is ignored by the standard library.
        self.stream.try_io(Interest::WRITABLE, || {
            let before = self.send_more(&slices[..at])?;
            if before.is_not_all {
                return Ok(before.sent);
            }
            let length = slices[at].len();
            match rustix::fs::sendfile(&self.stream, file, Some(&mut offset), length) {
                Ok(sent) if sent > 0 => Ok(before.sent + sent),
                // The next write is told.
                Err(Errno::AGAIN) if before.sent > 0 => Ok(before.sent),
                Ok(_) => self.copy(before.sent, &slices[at]),
                Err(error) if is_refusal(error) => {
                    refuse(&error.into());
                    self.copy(before.sent, &slices[at])
                }
                // Of what the kernel needs for it.
                Err(Errno::NOMEM) => self.copy(before.sent, &slices[at]),
                Err(error) => Err(error.into()),
            }
        })
    }

    /// Sends what more follows at once: it does not leave alone.
    fn send_more(&self, slices: &[IoSlice<'_>]) -> io::Result<Before> {
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if length == 0 {
            return Ok(Before { sent: 0, is_not_all: false });
        }
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
        let sent = match slices {
            [head] => rustix::net::send(&self.stream, head, flags)?,
            _ => {
                let nothing = &mut SendAncillaryBuffer::default();
                rustix::net::sendmsg(&self.stream, slices, nothing, flags)?
            }
        };
        Ok(Before { sent, is_not_all: sent < length })
    }

    /// As if it were not in the file, behind so many bytes that are sent.
    #[cold]
    fn copy(&self, before: usize, slice: &[u8]) -> io::Result<usize> {
        match rustix::net::send(&self.stream, slice, SendFlags::NOSIGNAL) {
            Ok(sent) => Ok(before + sent),
            Err(Errno::AGAIN) if before > 0 => Ok(before),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether the system does not do it at all, by this error.
fn is_refusal(error: Errno) -> bool {
    matches!(error, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM)
}

/// What was sent before bytes of the file.
struct Before {
    sent: usize,
    is_not_all: bool,
}
