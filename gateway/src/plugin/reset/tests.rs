//! Memory that is put back equals, byte for byte, what it was when its state was kept, no matter who wrote to
//! it and with whichever of the system's means; and nothing of that is left to the next instance.

use std::io::Write as _;
use std::os::unix::fs::FileExt as _;

use wasmtime::{Engine, Instance as CoreInstance, Module, Store as CoreStore};

use super::*;
use crate::plugin::engine::{Backtraces, config};

/// The same numbers in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize
    }

    fn below(&mut self, end: usize) -> usize {
        self.next() % end
    }
}

/// Pages that come from a file, as the data of a component does, and those that begin as zero.
const OF_FILE: usize = 64;
const OF_NOTHING: usize = 96;
const PAGES: usize = OF_FILE + OF_NOTHING;

/// A memory as wasmtime makes it.
struct Mapped {
    base: *mut u8,
    /// What it is filled with by the system, instead of by this process.
    source: File,
}

impl Mapped {
    fn new() -> Self {
        let bytes: Vec<u8> = (0..OF_FILE * PAGE).map(|at| (at / 7) as u8).collect();
        let mut source = tempfile::tempfile().expect("a file");
        source.write_all(&bytes).expect("it is written");
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let (private, nothing) = (libc::MAP_PRIVATE, libc::MAP_ANONYMOUS);
        // SAFETY: the second replaces a part of the first.
        let base = unsafe {
            let base =
                libc::mmap(std::ptr::null_mut(), PAGES * PAGE, access, private | nothing, -1, 0);
            assert_ne!(base, libc::MAP_FAILED);
            let (length, flags) = (OF_FILE * PAGE, private | libc::MAP_FIXED);
            assert_eq!(libc::mmap(base, length, access, flags, source.as_raw_fd(), 0), base);
            base.cast::<u8>()
        };
        base.expose_provenance();
        Self { base, source }
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: it is mapped for as long as this lives, and borrowed as a whole.
        unsafe { std::slice::from_raw_parts_mut(self.base, PAGES * PAGE) }
    }

    fn page(&mut self, page: usize) -> &mut [u8] {
        &mut self.bytes()[page * PAGE..][..PAGE]
    }

    /// Writes as a hook does: a few bytes here and there, whole pages, by itself or through the system.
    fn write(&mut self, random: &mut Random, page: usize) {
        let value = random.next() as u8;
        match random.below(8) {
            0 => self.page(page).fill(value),
            1 => {
                let source = self.source.try_clone().expect("a descriptor");
                let at = random.below(OF_FILE * PAGE - PAGE) as u64;
                source.read_exact_at(self.page(page), at).expect("it is as long");
            }
            2 => self.page(page)[0] = value,
            3 => self.page(page)[PAGE - 1] ^= 0xff,
            _ => {
                let at = random.below(PAGE - 8);
                self.page(page)[at..at + 8].fill(value);
            }
        }
    }
}

// SAFETY: the memory belongs to this value alone.
unsafe impl Send for Mapped {}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: it was mapped when this was made, and nothing refers to it any more.
        unsafe { libc::munmap(self.base.cast(), PAGES * PAGE) };
    }
}

/// All combinations of what this system has.
fn all_means() -> Vec<Means> {
    let there = Means::of_system();
    let mut all = Vec::new();
    for counts in [false, true] {
        for guards in [false, true] {
            if counts <= there.counts && guards <= there.guards {
                all.push(Means { counts, guards });
            }
        }
    }
    all
}

fn hook(mapped: &mut Mapped, random: &mut Random, usual: &[usize]) {
    for page in usual {
        mapped.write(random, *page);
    }
    if random.below(24) == 0 {
        let page = random.below(PAGES);
        mapped.write(random, page);
    }
}

#[test]
fn whatever_hooks_write_the_memory_is_as_it_was() {
    if !is_possible() {
        return;
    }
    for means in all_means() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut mapped = Mapped::new();
        for _ in 0..40 {
            let page = random.below(PAGES);
            mapped.write(&mut random, page);
        }
        let (base, length) = (mapped.base.addr(), PAGES * PAGE);
        let mut memory = Memory::save(base, length, means).expect("it can be kept");
        let state = mapped.bytes().to_vec();
        let usual = [3, 4, 5, OF_FILE - 1, OF_FILE, OF_FILE + 40];
        let (mut unasked, mut hottest, mut cooled) = (0, 0, PAGES);
        for turn in 0..2 * COOLS_AFTER {
            if turn % COOLS_AFTER == COOLS_AFTER - 200 {
                (0..PAGES).for_each(|page| mapped.write(&mut random, page));
            }
            if turn % 500 == 7 {
                // On another thread, whose page faults are counted apart.
                let (one, two, rng) = (&mut memory, &mut mapped, &mut random);
                std::thread::scope(|scope| {
                    let other = scope.spawn(|| {
                        hook(two, rng, &usual);
                        assert!(one.load());
                    });
                    other.join().expect("it ends");
                });
            } else {
                hook(&mut mapped, &mut random, &usual);
                unasked += u32::from(means.counts && Faults::now() == memory.clean_at);
                assert!(memory.load(), "{means:?}");
            }
            if mapped.bytes() != state {
                let is_other = |page: &usize| mapped.page(*page) != &state[page * PAGE..][..PAGE];
                let others: Vec<_> = (0..PAGES).filter(is_other).collect();
                panic!("{means:?} turn {turn}: pages {others:?} are not as they were");
            }
            hottest = hottest.max(memory.hot.pages.len());
            if turn == COOLS_AFTER + 100 {
                cooled = memory.hot.pages.len();
            }
        }
        println!("{means:?}: {unasked} times unasked, {hottest} pages put back, and {cooled}");
        assert_eq!(memory.guard.is_some(), means.guards);
        // None of this says anything unless the shorter way was taken, and pages became hot and cold.
        assert_eq!(unasked > COOLS_AFTER / 4, means.counts, "{means:?}: {unasked}");
        assert_eq!(hottest, PAGES);
        assert_eq!(cooled < 40, means.guards, "{means:?}: {cooled}");
        assert!(cooled >= usual.len());
    }
}

/// One memory, which each instance has in turn.
fn engine() -> (Engine, Module) {
    let engine = Engine::new(&config(None, 1, Backtraces::Names)).expect("an engine");
    let mut module = wasm_encoder::Module::new();
    let mut memories = wasm_encoder::MemorySection::new();
    memories.memory(wasm_encoder::MemoryType {
        minimum: 3,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut exports = wasm_encoder::ExportSection::new();
    exports.export("memory", wasm_encoder::ExportKind::Memory, 0);
    let mut data = wasm_encoder::DataSection::new();
    let bytes: Vec<u8> = (0..70_000_u32).map(|at| (at / 5) as u8).collect();
    data.active(0, &wasm_encoder::ConstExpr::i32_const(0), bytes);
    module.section(&memories).section(&exports).section(&data);
    let module = Module::new(&engine, module.finish()).expect("it is valid");
    (engine, module)
}

#[test]
fn nothing_of_an_instance_is_left_to_the_next_one() {
    if !is_possible() {
        return;
    }
    let (engine, module) = engine();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut first: Option<(usize, Vec<u8>)> = None;
    for means in all_means() {
        for turn in 0..40 {
            let mut store = CoreStore::new(&engine, ());
            store.set_epoch_deadline(1 << 40);
            let instance = CoreInstance::new(&mut store, &module, &[]).expect("an instance");
            let its = instance.get_memory(&mut store, "memory").expect("it is exported");
            let base = its.data_ptr(&store);
            base.expose_provenance();
            let (known, expected) =
                first.get_or_insert_with(|| (base.addr(), its.data(&store).to_vec()));
            assert_eq!(base.addr(), *known, "the memory is not the same");
            assert!(its.data(&store) == &expected[..], "{means:?}: something is left in {turn}");
            let length = expected.len();
            let mut write = |store: &mut CoreStore<()>, count| {
                for _ in 0..count {
                    let at = random.below(length - 8);
                    its.write(&mut *store, at, b"a secret").expect("it is within");
                }
            };
            write(&mut store, 20);
            let state = its.data(&store).to_vec();
            let mut memory = Memory::save(base.addr(), length, means).expect("it can be kept");
            for _ in 0..turn % 4 {
                write(&mut store, 3);
                assert!(memory.load());
                assert!(its.data(&store) == &state[..]);
            }
            if turn % 5 == 4 {
                its.grow(&mut store, 1).expect("it may grow");
                write(&mut store, 3);
            }
            // What was saved ends first, as in `Instance`.
            drop(memory);
            drop(store);
        }
    }
}
