//! Putting an instance back into the state in which it was configured.
//!
//! Making an instance and configuring it costs many times what most hooks do. An instance of a
//! component that was made [resettable](super::load) can instead forget what a hook left: its memory
//! and its globals are put back as they were. Owns the copy of what there was, and the search for what
//! changed since. Must not decide whether an instance may be used again.
#![expect(unsafe_code, reason = "the memory of an instance is read and written from outside")]

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::sync::OnceLock;

use wasmtime::Store;
use wasmtime::component::{Instance, TypedFunc, WasmList};

use super::host::HostState;
use super::load::{LOAD, MEMORY, SAVE};

/// The state of an instance, as it was once.
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
        let (base, length) = (bytes.as_ptr().addr(), bytes.len());
        save.call(&mut *store, ()).ok()?;
        let memory = Memory::save(base, length)?;
        Some(Self { load, memory, peak, handles })
    }

    /// Puts the state back. `false` if that cannot be done, so that the instance is of no use any more.
    pub(super) fn load(&mut self, store: &mut Store<HostState>) -> bool {
        let data = store.data();
        // Memory never shrinks, and a handle may stand for something else now.
        if data.memory.peak != self.peak || data.handles.get() != self.handles {
            return false;
        }
        store.set_epoch_deadline(u64::MAX / 2);
        self.load.call(&mut *store, ()).is_ok() && self.memory.load()
    }
}

const PAGE: usize = 4096;

/// Pages of a linear memory.
struct Memory {
    /// Where it begins. It stays there for as long as its store lives.
    base: usize,
    length: usize,
    /// What pages held that had been written to then, or have been since. The others are as the
    /// component's data begins.
    kept: Vec<(usize, Box<[u8; PAGE]>)>,
    /// By page, whether it is one of them.
    is_kept: Vec<bool>,
}

impl Memory {
    fn save(base: usize, length: usize) -> Option<Self> {
        if !base.is_multiple_of(PAGE) || !length.is_multiple_of(PAGE) || page_size() != PAGE {
            return None;
        }
        let is_kept = vec![false; length / PAGE];
        let mut memory = Self { base, length, kept: Vec::new(), is_kept };
        for page in memory.others()? {
            memory.keep(page);
        }
        Some(memory)
    }

    /// Copies a page as it is now.
    fn keep(&mut self, page: usize) {
        let mut copy = Box::new([0; PAGE]);
        // SAFETY: the address is that of a page of the memory, which is readable as a whole; nobody
        // else has the store, and no reference into the memory lives.
        unsafe {
            let from = std::ptr::with_exposed_provenance::<u8>(self.address(page));
            std::ptr::copy_nonoverlapping(from, copy.as_mut_ptr(), PAGE);
        }
        self.kept.push((page, copy));
        self.is_kept[page] = true;
    }

    fn address(&self, page: usize) -> usize {
        self.base + page * PAGE
    }

    /// Puts back what the pages held. `false` if that cannot be done.
    fn load(&mut self) -> bool {
        let Some(others) = self.others() else { return false };
        for (page, copy) in &self.kept {
            // SAFETY: as in `keep`; and the memory is writable as a whole.
            unsafe {
                let to = std::ptr::with_exposed_provenance_mut::<u8>(self.address(*page));
                std::ptr::copy_nonoverlapping(copy.as_ptr(), to, PAGE);
            }
        }
        for page in others {
            // Nobody had written to it when the state was kept, so that it was as the data of the
            // component is, or zero: what the system gives in place of a page that is given back.
            // SAFETY: the page is private to this memory, and readable and writable before and after.
            let given_back = unsafe {
                let page = std::ptr::with_exposed_provenance_mut(self.address(page));
                libc::madvise(page, PAGE, libc::MADV_DONTNEED)
            };
            if given_back != 0 {
                return false;
            }
            self.keep(page);
        }
        true
    }

    /// The pages that are not kept and may have been written to. `None` if the system does not tell.
    fn others(&self) -> Option<Vec<usize>> {
        let mut others = Vec::new();
        let is_known = self.touched(|first, last| {
            others.extend((first..last).filter(|page| !self.is_kept[*page]));
        });
        is_known.then_some(others)
    }

    /// Finds the pages that are the memory's own, and not the component's data: all that were written
    /// to are among them. `false` if the system does not tell.
    fn touched(&self, mut each: impl FnMut(usize, usize)) -> bool {
        let Some(pagemap) = pagemap() else { return false };
        let mut regions = [Region::default(); 64];
        let (mut begin, end) = (self.base, self.base + self.length);
        while begin < end {
            let mut scan = Scan {
                size: size_of::<Scan>() as u64,
                flags: 0,
                start: begin as u64,
                end: end as u64,
                walk_end: 0,
                vec: regions.as_mut_ptr().expose_provenance() as u64,
                vec_len: regions.len() as u64,
                max_pages: 0,
                category_inverted: FILE,
                category_mask: WRITTEN | FILE,
                category_anyof_mask: PRESENT | SWAPPED,
                return_mask: 0,
            };
            // SAFETY: both are valid for as long as the call takes, and of the sizes that they name.
            let found = unsafe { libc::ioctl(pagemap.as_raw_fd(), PAGEMAP_SCAN, &raw mut scan) };
            let Ok(found) = usize::try_from(found) else { return false };
            for region in &regions[..found.min(regions.len())] {
                let page = |address: u64| (address as usize - self.base) / PAGE;
                each(page(region.start), page(region.end));
            }
            if (scan.walk_end as usize) <= begin {
                return false;
            }
            begin = scan.walk_end as usize;
        }
        true
    }
}

/// Whether this system tells which pages a guest wrote to.
pub(super) fn is_possible() -> bool {
    let probe = Memory { base: 0, length: PAGE, kept: Vec::new(), is_kept: vec![false] };
    page_size() == PAGE && probe.touched(|_, _| {})
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

/// `_IOWR('f', 16, struct pm_scan_arg)` of linux/fs.h, since Linux 6.7.
const PAGEMAP_SCAN: libc::Ioctl = 0xc060_6610_u32 as libc::Ioctl;
/// Categories of pages: PAGE_IS_WRITTEN and those that follow it.
const WRITTEN: u64 = 1 << 1;
const FILE: u64 = 1 << 2;
const PRESENT: u64 = 1 << 3;
const SWAPPED: u64 = 1 << 4;

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
