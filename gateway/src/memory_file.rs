//! Large bodies that are kept, in a file that is only in memory, from which the kernel sends them without a copy.
//!
//! Owns a sparse file (`memfd_create`) of which the whole is mapped, which pages of it hold which body, and that they go back to the
//! system when nobody holds the body any more. A body is [`Bytes`] like any other; who writes to a plain socket asks
//! [`place_of`] whether it is in the file, and lets the kernel take the pages (`sendfile`). Where the system gives no such file, there is
//! none, and bodies are where others are. Must not know whose bodies these are, nor how many there may be.
//!
//! **What is on its way does not change.** A peer that reads slowly has pages of a body in the queues of its connection, maybe for
//! long after the body is gone here. So pages are never written to again: they are cut out of the file (`FALLOC_FL_PUNCH_HOLE`), the
//! queue keeps its reference to them, and whoever gets the same place in the file gets new pages. That holds only as long as the
//! hole is made of whole pages: of a larger one the kernel would fill a part with zeros. So huge pages are
//! refused for the mapping (`MADV_NOHUGEPAGE`), through which all pages come into being.
#![expect(unsafe_code, reason = "a mapping is raw memory")]

mod extents;

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use rustix::fs::{FallocateFlags, MemfdFlags};
use rustix::process::Resource;

use self::extents::Extents;

/// From how many bytes on a body is kept here. For fewer, the second system call and the work for each page cost as much as the
/// copy: measured, they are even at 8 KiB, and at 16 KiB the copy costs a quarter more.
pub(crate) const FROM: usize = 16 << 10;

/// How many times the memory of the machine has room in the file, which costs nothing: where bodies of all lengths come
/// and go, what is free is in pieces.
const ROOM: usize = 4;

/// There where the kernel has them.
const HUGE_PAGES: &str = "/sys/kernel/mm/transparent_hugepage";

static FILE: OnceLock<Option<MemoryFile>> = OnceLock::new();

/// Keeps a body of this length, which comes in pieces; `None` if it is to be kept elsewhere.
pub(crate) fn keep<'a>(length: usize, pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<Bytes> {
    if length < FROM {
        return None;
    }
    let file = FILE.get_or_init(|| {
        let made = MemoryFile::of_the_machine();
        made.inspect_err(|error| tracing::info!("large bodies are kept without a file: {error}"))
            .ok()
    });
    file.as_ref()?.keep(length, pieces)
}

/// The file and the place in it where these bytes are, if they are worth being sent from there.
pub(crate) fn place_of(bytes: &[u8]) -> Option<(BorrowedFd<'static>, u64)> {
    if bytes.len() < FROM {
        return None;
    }
    let file = FILE.get()?.as_ref()?;
    let offset = file.offset_of(bytes).filter(|_| !file.is_refused.load(Relaxed))?;
    Some((file.file.as_fd(), offset as u64))
}

/// The system does not send from the file: nobody tries again.
#[cold]
pub(crate) fn refuse(why: &io::Error) {
    if let Some(Some(file)) = FILE.get()
        && !file.is_refused.swap(true, Relaxed)
    {
        tracing::info!("large bodies are copied when they are sent: {why}");
    }
}

/// Bytes of memory that a body takes, wherever it is.
pub(crate) fn taken_by(body: &[u8]) -> u64 {
    let file = FILE.get().and_then(Option::as_ref);
    match file.filter(|file| file.offset_of(body).is_some()) {
        Some(file) => file.pages(body.len()) as u64,
        None => body.len() as u64,
    }
}

/// See the module. It is never unmapped.
#[derive(Debug)]
struct MemoryFile {
    file: OwnedFd,
    start: NonNull<u8>,
    length: usize,
    /// Of the system, a power of two.
    page: usize,
    free: Mutex<Extents>,
    is_refused: AtomicBool,
}

// SAFETY: the pointer is to a mapping that is there for as long as the process. What is read or written through it are the bytes of one
// `Kept`, which nobody else has.
unsafe impl Send for MemoryFile {}
// SAFETY: as above.
unsafe impl Sync for MemoryFile {}

impl MemoryFile {
    fn of_the_machine() -> io::Result<Self> {
        // SAFETY: calls without pointers.
        let [pages, page] =
            unsafe { [libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)] };
        let (Ok(pages), Ok(page)) = (usize::try_from(pages), usize::try_from(page)) else {
            return Err(io::Error::other("the size of the memory is not known"));
        };
        Self::new(pages.saturating_mul(page).saturating_mul(ROOM), page)
    }

    fn new(length: usize, page: usize) -> io::Result<Self> {
        // A file that is longer would be the end of the process, by a signal.
        let limit = rustix::process::getrlimit(Resource::Fsize).current;
        if limit.is_some_and(|limit| limit < length as u64) {
            return Err(io::Error::other("files may not be that long (`ulimit -f`)"));
        }
        let file = rustix::fs::memfd_create("gateway-bodies", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&file, length as u64)?;
        let start = map(file.as_fd(), length)?;
        let free = Mutex::new(Extents::new(length));
        let made = Self { file, start, length, page, free, is_refused: AtomicBool::new(false) };
        // Whether the system can do what is needed: from Linux 5.14 on.
        made.populate(0, page)?;
        made.cut_out(0, page)?;
        Ok(made)
    }

    fn pages(&self, length: usize) -> usize {
        length.next_multiple_of(self.page)
    }

    fn free(&self) -> MutexGuard<'_, Extents> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep<'a>(
        &'static self,
        length: usize,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Option<Bytes> {
        let place = self.free().take(self.pages(length))?;
        let kept = Kept { file: self, place, length };
        self.populate(place, self.pages(length)).ok()?;
        let mut at = 0;
        for piece in pieces {
            if piece.len() > length - at {
                return None;
            }
            // SAFETY: the place is of this body alone, mapped for as long as the process, and has room for the piece. Nobody reads it
            // yet, and it has its pages: the write cannot fail.
            unsafe {
                let to = self.start.add(place + at).as_ptr();
                std::ptr::copy_nonoverlapping(piece.as_ptr(), to, piece.len());
            }
            at += piece.len();
        }
        (at == length).then(|| Bytes::from_owner(kept))
    }

    /// Has the system give the pages of a part that nobody else has. Without this call, a lack of memory would be a signal in the
    /// middle of a write.
    fn populate(&self, place: usize, length: usize) -> io::Result<()> {
        // SAFETY: the part is mapped for as long as the process.
        let populated = unsafe {
            let start = self.start.add(place).as_ptr();
            libc::madvise(start.cast(), length, libc::MADV_POPULATE_WRITE)
        };
        if populated == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Gives the pages of a part back.
    fn cut_out(&self, place: usize, length: usize) -> io::Result<()> {
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        Ok(rustix::fs::fallocate(&self.file, hole, place as u64, length as u64)?)
    }

    /// Where in the file these bytes are, if they are.
    fn offset_of(&self, bytes: &[u8]) -> Option<usize> {
        let offset = bytes.as_ptr().addr().checked_sub(self.start.addr().get())?;
        (offset < self.length).then_some(offset)
    }
}

fn map(file: BorrowedFd<'_>, length: usize) -> io::Result<NonNull<u8>> {
    use std::os::fd::AsRawFd as _;

    let (access, kind) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_NORESERVE);
    // SAFETY: the kernel chooses a place where nothing is.
    let start =
        unsafe { libc::mmap(std::ptr::null_mut(), length, access, kind, file.as_raw_fd(), 0) };
    let start = match NonNull::new(start) {
        Some(start) if start.as_ptr() != libc::MAP_FAILED => start,
        _ => return Err(io::Error::last_os_error()),
    };
    // SAFETY: the mapping is of this length, and nobody uses it yet.
    let advise = |advice| unsafe { libc::madvise(start.as_ptr(), length, advice) } == 0;
    // A kernel without huge pages does not know it.
    if !advise(libc::MADV_NOHUGEPAGE) && Path::new(HUGE_PAGES).exists() {
        return Err(io::Error::last_os_error());
    }
    // What clients asked for has no place in a dump of the process.
    let _dumped_otherwise = advise(libc::MADV_DONTDUMP);
    Ok(start.cast())
}

/// The pages of one body.
#[derive(Debug)]
struct Kept {
    file: &'static MemoryFile,
    place: usize,
    length: usize,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the place is mapped for as long as the process, of this body alone, and was written before anybody had this. Nobody writes
        // to it any more, and its pages stay until this is dropped.
        unsafe { std::slice::from_raw_parts(self.file.start.add(self.place).as_ptr(), self.length) }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let (file, pages) = (self.file, self.file.pages(self.length));
        match file.cut_out(self.place, pages) {
            Ok(()) => file.free().give(self.place, pages),
            // A place with old pages is never given to another body.
            Err(error) => tracing::warn!("{pages} bytes of memory cannot be given back: {error}"),
        }
    }
}

#[cfg(test)]
mod tests;
