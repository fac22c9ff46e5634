//! Putting an instance back into the state in which it was configured.
//!
//! Making an instance and configuring it costs many times what most hooks do. An instance of a
//! component that was made [resettable](super::load) can instead forget what a hook left: its memory
//! and its globals are put back as they were. Owns the copy of what there was, and the search for what
//! changed since. Must not decide whether an instance may be used again.
//!
//! Hooks of one plugin write to the same few pages, and those are copied back after each hook. The first
//! write to any other page is a page fault. So a thread without page faults since then had no such write, and
//! only otherwise is the system asked which pages were written to.
#![expect(unsafe_code, reason = "the memory of an instance is read and written from outside")]

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::sync::OnceLock;
use std::thread::ThreadId;

use wasmtime::Store;
use wasmtime::component::{Instance, TypedFunc, WasmList};

use super::host::HostState;
use super::load::{LOAD, MEMORY, SAVE};

#[cfg(test)]
mod tests;

/// The state of an instance, as it was once. Ends before its store does.
pub(super) struct Saved {
    load: TypedFunc<(), ()>,
    memory: Memory,
    /// The largest size of the memory then.
    peak: usize,
    /// The changes of handles until then.
    handles: u32,
}

impl Saved {
    /// Keeps the state of an instance. `None` if it could not be put back. Random numbers and the time
    /// may be in it only if it `is_trusted`: as the salt of a hash, and not as the seed of what each
    /// request is to have another of.
    pub(super) fn of(
        store: &mut Store<HostState>,
        instance: &Instance,
        is_trusted: bool,
    ) -> Option<Self> {
        let (peak, handles) = (store.data().memory.peak, store.data().handles.get());
        if store.data().is_unique.get() && !is_trusted {
            return None;
        }
        // Nobody else computes now, and the whole memory is more than a hook may hand over.
        store.set_epoch_deadline(u64::MAX / 2);
        store.set_hostcall_fuel(usize::MAX);
        let save = instance.get_typed_func::<(), ()>(&mut *store, SAVE).ok()?;
        let load = instance.get_typed_func::<(), ()>(&mut *store, LOAD).ok()?;
        let memory = instance.get_typed_func::<(), (WasmList<u8>,)>(&mut *store, MEMORY).ok()?;
        let (bytes,) = memory.call(&mut *store, ()).ok()?;
        let bytes = bytes.as_le_slice(&*store);
        let (base, length) = (bytes.as_ptr().expose_provenance(), bytes.len());
        save.call(&mut *store, ()).ok()?;
        let memory = Memory::save(base, length, Means::of_system())?;
        Some(Self { load, memory, peak, handles })
    }

    /// Puts the state back. `false` if that cannot be done, so that the instance is of no use any more.
    pub(super) fn load(&mut self, store: &mut Store<HostState>) -> bool {
        let data = store.data();
        // Memory never shrinks, and a handle may mean something else now.
        if data.memory.peak != self.peak || data.handles.get() != self.handles {
            return false;
        }
        store.set_epoch_deadline(u64::MAX / 2);
        self.load.call(&mut *store, ()).is_ok() && self.memory.load()
    }
}

const PAGE: usize = 4096;

#[repr(C, align(4096))]
struct Page([u8; PAGE]);

/// Pages of a linear memory.
struct Memory {
    /// Where it begins. It stays there for as long as its store lives.
    base: usize,
    length: usize,
    /// Pages that can be written to without a page fault: all of them are put back each time.
    hot: Copies,
    /// Pages that had been written to when the state was kept, and are protected since then. All that
    /// are in neither place are as the component's data begins.
    cold: BTreeMap<usize, Box<Page>>,
    guard: Option<Guard>,
    /// Whether each first write to a page is counted as a page fault.
    counts: bool,
    /// The page faults up to which no page was written to that is not hot. `None` if that is not known.
    clean_at: Option<Faults>,
    /// How often the state was put back since pages were protected.
    loads: u32,
}

/// After how often pages are protected again that became hot: what one request wrote to need not be
/// put back after all others.
const COOLS_AFTER: u32 = 4096;

impl Memory {
    fn save(base: usize, length: usize, means: Means) -> Option<Self> {
        if !base.is_multiple_of(PAGE) || !length.is_multiple_of(PAGE) || page_size() != PAGE {
            return None;
        }
        let counts = means.counts && has_small_pages(base, length);
        let guard = if means.guards { Guard::of(base, length) } else { None };
        let (hot, cold, clean_at) = Default::default();
        let mut memory = Self { base, length, hot, cold, guard, counts, clean_at, loads: 0 };
        if memory.guard.is_some() && !memory.protect() {
            memory.guard = None;
        }
        // Without their protection, all pages that were written to are hot.
        let mut written = Vec::new();
        if memory.guard.is_none() && !memory.scan(0, |pages| written.extend(pages)) {
            return None;
        }
        for page in written {
            memory.heat(page);
        }
        Some(memory)
    }

    /// Puts back what the pages held. `false` if that cannot be done.
    fn load(&mut self) -> bool {
        let faults = if self.counts { Faults::now() } else { None };
        if faults.is_some() && faults == self.clean_at {
            self.put_back();
        } else {
            let mut written = Vec::new();
            let hot = &self.hot.pages;
            let is_new = |page: &usize| hot.binary_search(page).is_err();
            if !self.scan(0, |pages| written.extend(pages.filter(is_new))) {
                return false;
            }
            self.put_back();
            // If there were some, what is done with them may make others writable.
            self.clean_at = faults.filter(|_| written.is_empty());
            if !written.into_iter().all(|page| self.forget(page)) {
                return false;
            }
        }
        self.loads += 1;
        if self.loads >= COOLS_AFTER && self.guard.is_some() {
            self.protect();
        }
        true
    }

    fn put_back(&self) {
        let mut held = &self.hot.held[..];
        for run in self.hot.pages.chunk_by(|page, next| page + 1 == *next) {
            let (these, others) = held.split_at(run.len());
            // SAFETY: the pages are of the memory, which is writable as a whole; nobody else has the
            // store, and no reference into the memory lives.
            unsafe {
                let to = std::ptr::with_exposed_provenance_mut::<Page>(self.address(run[0]));
                std::ptr::copy_nonoverlapping(these.as_ptr(), to, these.len());
            }
            held = others;
        }
    }

    /// Puts back what a page held that was not hot, and is from now on.
    fn forget(&mut self, page: usize) -> bool {
        if let Some(held) = self.cold.remove(&page) {
            // SAFETY: as in `put_back`.
            unsafe {
                let to = std::ptr::with_exposed_provenance_mut::<Page>(self.address(page));
                std::ptr::copy_nonoverlapping(&raw const *held, to, 1);
            }
            self.hot.insert(page, *held);
            return true;
        }
        // Nobody had written to it when the state was kept, so that it was as the data of the
        // component is, or zero: what the system gives in place of a page that is given back.
        // SAFETY: the page is private to this memory, and readable and writable before and after.
        let given_back = unsafe {
            let page = std::ptr::with_exposed_provenance_mut(self.address(page));
            libc::madvise(page, PAGE, libc::MADV_DONTNEED)
        };
        self.heat(page);
        given_back == 0
    }

    /// Keeps what a page holds now, and puts it back each time.
    fn heat(&mut self, page: usize) {
        let held = self.copy(page);
        self.hot.insert(page, held);
    }

    fn copy(&self, page: usize) -> Page {
        let mut copy = Page([0; PAGE]);
        // SAFETY: as in `put_back`; and what is writable is readable.
        unsafe {
            let from = std::ptr::with_exposed_provenance::<Page>(self.address(page));
            std::ptr::copy_nonoverlapping(from, &raw mut copy, 1);
        }
        copy
    }

    /// Protects all pages that were written to, and keeps what they hold, which is the state. `false` if
    /// that cannot be done: then some are protected, and nothing else has changed.
    fn protect(&mut self) -> bool {
        self.loads = 0;
        let mut written = Vec::new();
        if !self.scan(PROTECTS, |pages| written.extend(pages)) {
            return false;
        }
        self.clean_at = None;
        // Those that are not among the written are back to what they were at first, or protected already.
        self.cold.extend(self.hot.drain());
        for page in written {
            if !self.cold.contains_key(&page) {
                let held = Box::new(self.copy(page));
                self.cold.insert(page, held);
            }
        }
        true
    }

    fn address(&self, page: usize) -> usize {
        self.base + page * PAGE
    }

    /// Finds the pages that are the memory's own, neither the component's data nor the system's page of
    /// zeros, and that are not protected: all that were written to are among them. `false` if the system
    /// does not say.
    fn scan(&self, flags: u64, mut each: impl FnMut(Range<usize>)) -> bool {
        let Some(pagemap) = pagemap() else { return false };
        let mut regions = [Region::default(); 64];
        let (mut begin, end) = (self.base, self.base + self.length);
        while begin < end {
            let mut scan = Scan {
                size: size_of::<Scan>() as u64,
                flags,
                start: begin as u64,
                end: end as u64,
                walk_end: 0,
                vec: regions.as_mut_ptr().expose_provenance() as u64,
                vec_len: regions.len() as u64,
                max_pages: 0,
                category_inverted: FILE | ZERO,
                category_mask: WRITTEN | FILE | ZERO,
                category_anyof_mask: PRESENT | SWAPPED,
                return_mask: 0,
            };
            // SAFETY: both are valid for as long as the call takes, and of the sizes that they name.
            let found = unsafe { libc::ioctl(pagemap.as_raw_fd(), PAGEMAP_SCAN, &raw mut scan) };
            let Ok(found) = usize::try_from(found) else { return false };
            for region in &regions[..found.min(regions.len())] {
                let page = |address: u64| (address as usize - self.base) / PAGE;
                each(page(region.start)..page(region.end));
            }
            if (scan.walk_end as usize) <= begin {
                return false;
            }
            begin = scan.walk_end as usize;
        }
        true
    }
}

/// What pages held, in the order of their addresses, so that neighbours are copied at once.
#[derive(Default)]
struct Copies {
    pages: Vec<usize>,
    held: Vec<Page>,
}

impl Copies {
    fn insert(&mut self, page: usize, held: Page) {
        if let Err(place) = self.pages.binary_search(&page) {
            self.pages.insert(place, page);
            self.held.insert(place, held);
        }
    }

    fn drain(&mut self) -> impl Iterator<Item = (usize, Box<Page>)> {
        self.pages.drain(..).zip(self.held.drain(..).map(Box::new))
    }
}

/// Which of the system's means are used.
#[derive(Debug, Clone, Copy)]
struct Means {
    /// Page faults are counted.
    counts: bool,
    /// Pages are protected.
    guards: bool,
}

impl Means {
    /// All that there are.
    fn of_system() -> Self {
        Self { counts: Faults::are_counted(), guards: userfaultfd().is_some() }
    }
}

/// The page faults that a thread has had.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Faults {
    thread: ThreadId,
    minor: libc::c_long,
    major: libc::c_long,
}

impl Faults {
    fn now() -> Option<Self> {
        thread_local!(static THREAD: ThreadId = std::thread::current().id());
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: it is written to, and numbers of zero are valid before.
        let usage = unsafe {
            if libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) != 0 {
                return None;
            }
            usage.assume_init()
        };
        let thread = THREAD.with(|thread| *thread);
        Some(Self { thread, minor: usage.ru_minflt, major: usage.ru_majflt })
    }

    /// Whether this system counts them: tried with a page that was read before it is written to. Some
    /// that only look like Linux do not.
    fn are_counted() -> bool {
        static ARE_COUNTED: OnceLock<bool> = OnceLock::new();
        *ARE_COUNTED.get_or_init(|| {
            let (access, kind) =
                (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            // SAFETY: memory at an address that is not taken; its one page is there until it is unmapped.
            unsafe {
                let page = libc::mmap(std::ptr::null_mut(), PAGE, access, kind, -1, 0);
                if page == libc::MAP_FAILED {
                    return false;
                }
                let byte = page.cast::<u8>();
                let _zero = byte.read_volatile();
                let before = Self::now();
                byte.write_volatile(1);
                let after = Self::now();
                libc::munmap(page, PAGE);
                before.is_some() && before != after
            }
        })
    }
}

/// Has the system make no huge pages of the memory's: with one, neighbours of the page that was written
/// to are writable too, and that can be done at any time. `false` if it might still.
fn has_small_pages(base: usize, length: usize) -> bool {
    // SAFETY: the memory is mapped, and what it holds does not change.
    let done = unsafe {
        let base = std::ptr::with_exposed_provenance_mut(base);
        libc::madvise(base, length, libc::MADV_NOHUGEPAGE)
    };
    // What has no huge pages does not know the advice.
    done == 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL)
}

/// Lets pages of a memory be protected until they are written to: the write is a page fault, and then done.
struct Guard {
    range: UserRange,
}

impl Guard {
    fn of(base: usize, length: usize) -> Option<Self> {
        let range = UserRange { start: base as u64, len: length as u64 };
        let mut register = Register { range, mode: REGISTER_WP, ioctls: 0 };
        let file = userfaultfd()?.as_raw_fd();
        // SAFETY: it is valid for as long as the call takes; the memory is accessed as before.
        let done = unsafe { libc::ioctl(file, UFFDIO_REGISTER, &raw mut register) };
        (done == 0).then_some(Self { range })
    }
}

impl Drop for Guard {
    /// Wasmtime empties the pages that were written to before another instance has the memory: none
    /// may be protected then, which looks as if it was not.
    fn drop(&mut self) {
        let mut range = self.range;
        let Some(file) = userfaultfd() else { return };
        // SAFETY: it is valid for as long as the call takes.
        if unsafe { libc::ioctl(file.as_raw_fd(), UFFDIO_UNREGISTER, &raw mut range) } == 0 {
            return;
        }
        // SAFETY: the store lives, but nobody calls into its instance any more. Pages that are given back
        // are as the component's data begins.
        let given_back = unsafe {
            let base = std::ptr::with_exposed_provenance_mut(range.start as usize);
            libc::madvise(base, range.len as usize, libc::MADV_DONTNEED)
        };
        if given_back != 0 {
            // The next instance would read what this one held.
            std::process::abort();
        }
    }
}

/// Whether this system says which pages a guest wrote to.
pub(super) fn is_possible() -> bool {
    let (hot, cold, guard, clean_at) = Default::default();
    let (base, length, counts, loads) = (0, PAGE, false, 0);
    let probe = Memory { base, length, hot, cold, guard, counts, clean_at, loads };
    page_size() == PAGE && probe.scan(0, |_| {})
}

/// Asked of libc: valgrind, which counts instructions for `benches/instructions`, takes away what rustix
/// reads it from.
fn page_size() -> usize {
    // SAFETY: a call without conditions.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or_default()
}

/// This process's own pages.
fn pagemap() -> Option<&'static File> {
    static PAGEMAP: OnceLock<Option<File>> = OnceLock::new();
    PAGEMAP.get_or_init(|| File::open("/proc/self/pagemap").ok()).as_ref()
}

/// What protects pages. `None` where that is not granted, as in most containers.
fn userfaultfd() -> Option<&'static OwnedFd> {
    static USERFAULTFD: OnceLock<Option<OwnedFd>> = OnceLock::new();
    let open = || {
        let flags = libc::O_CLOEXEC | libc::O_NONBLOCK | USER_MODE_ONLY;
        // SAFETY: a call without conditions, which returns a descriptor that nobody else has.
        let file = unsafe {
            let file = libc::syscall(libc::SYS_userfaultfd, flags);
            OwnedFd::from_raw_fd(i32::try_from(file).ok().filter(|file| *file >= 0)?)
        };
        let mut api = Api { api: API, features: WP_ASYNC, ioctls: 0 };
        // SAFETY: it is valid for as long as the call takes.
        let done = unsafe { libc::ioctl(file.as_raw_fd(), UFFDIO_API, &raw mut api) };
        (done == 0).then_some(file)
    };
    USERFAULTFD.get_or_init(open).as_ref()
}

/// `_IOWR('f', 16, struct pm_scan_arg)` of linux/fs.h, since Linux 6.7.
const PAGEMAP_SCAN: libc::Ioctl = 0xc060_6610_u32 as libc::Ioctl;
/// Flags PM_SCAN_WP_MATCHING and PM_SCAN_CHECK_WPASYNC: protects what it finds.
const PROTECTS: u64 = 0b11;
/// Categories of pages: PAGE_IS_WRITTEN and those that follow it.
const WRITTEN: u64 = 1 << 1;
const FILE: u64 = 1 << 2;
const PRESENT: u64 = 1 << 3;
const SWAPPED: u64 = 1 << 4;
/// PAGE_IS_PFNZERO
const ZERO: u64 = 1 << 5;

/// `struct pm_scan_arg`
#[repr(C)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `struct page_region`
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

/// `_IOWR(0xAA, 0x3F, struct uffdio_api)` of linux/userfaultfd.h, and those that follow.
const UFFDIO_API: libc::Ioctl = 0xc018_aa3f_u32 as libc::Ioctl;
const UFFDIO_REGISTER: libc::Ioctl = 0xc020_aa00_u32 as libc::Ioctl;
const UFFDIO_UNREGISTER: libc::Ioctl = 0x8010_aa01_u32 as libc::Ioctl;
/// UFFD_API, and the feature UFFD_FEATURE_WP_ASYNC, since Linux 6.7.
const API: u64 = 0xaa;
const WP_ASYNC: u64 = 1 << 15;
/// UFFD_USER_MODE_ONLY, which needs no privilege. What the system itself writes to memory continues as well:
/// nobody is asked in either case.
const USER_MODE_ONLY: libc::c_int = 1;
/// UFFDIO_REGISTER_MODE_WP
const REGISTER_WP: u64 = 1 << 1;

/// `struct uffdio_api`
#[repr(C)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

/// `struct uffdio_range`
#[repr(C)]
#[derive(Clone, Copy)]
struct UserRange {
    start: u64,
    len: u64,
}

/// `struct uffdio_register`
#[repr(C)]
struct Register {
    range: UserRange,
    mode: u64,
    ioctls: u64,
}
