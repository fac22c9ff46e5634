//! The allocator of components: small blocks from lists of free ones, large ones from std's.
//!
//! A hook makes a dozen small allocations, a name here and a value there, and what the gateway
//! hands in comes through the same door. Std's allocator for WebAssembly searches and joins blocks
//! each time. Here a block that is freed goes to the list of its size, and the next one of that
//! size is taken from there. Blocks never change their size, so that memory stays where the largest
//! hook had it, as it does in WebAssembly anyway.
//!
//! Components have one thread, so there is no lock.
#![expect(unsafe_code, reason = "an allocator hands out raw memory")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::null_mut;

/// Sizes are rounded up to a multiple of this, which is the alignment too.
const STEP: usize = 16;
/// Larger blocks are std's.
const LARGEST: usize = 512;
/// What is taken from std at once for small blocks.
const SLAB: usize = 8 << 10;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator(UnsafeCell::new(State {
    free: [null_mut(); LARGEST / STEP + 1],
    next: null_mut(),
    left: 0,
}));

struct Allocator(UnsafeCell<State>);

struct State {
    /// The free blocks of each size, each with the address of the next one in it.
    free: [*mut u8; LARGEST / STEP + 1],
    /// Memory that was never handed out.
    next: *mut u8,
    left: usize,
}

// SAFETY: a component has one thread.
unsafe impl Sync for Allocator {}

/// The list of a block, if it is small.
#[inline]
fn class(layout: Layout) -> Option<usize> {
    let is_small = layout.size() <= LARGEST && layout.align() <= STEP;
    is_small.then(|| layout.size().div_ceil(STEP))
}

/// A block from std. Never inlined: it would have each small allocation save the registers that this
/// one needs.
///
/// # Safety
/// As [`GlobalAlloc::alloc`].
#[inline(never)]
unsafe fn alloc_large(layout: Layout) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe { System.alloc(layout) }
}

/// # Safety
/// As [`GlobalAlloc::dealloc`].
#[inline(never)]
unsafe fn dealloc_large(block: *mut u8, layout: Layout) {
    // SAFETY: the caller's promise.
    unsafe { System.dealloc(block, layout) }
}

// SAFETY: a block belongs to the list of its layout from its first use on, is in the list only
// while it is free, and is as large and as aligned as any layout of that list asks for.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class(layout) else {
            // SAFETY: the caller's promise about the layout is handed on.
            return unsafe { alloc_large(layout) };
        };
        // SAFETY: there is one thread, and nothing below calls back into this allocator.
        let state = unsafe { &mut *self.0.get() };
        let block = state.free[class];
        if block.is_null() {
            return state.cut(class * STEP);
        }
        // SAFETY: a free block has the address of the next one in it; blocks are aligned to STEP.
        state.free[class] = unsafe { block.cast::<*mut u8>().read() };
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(class) = class(layout) else {
            // SAFETY: a block of this layout came from std.
            return unsafe { dealloc_large(block, layout) };
        };
        // SAFETY: as in `alloc`; the block is the caller's, large enough, and no longer used.
        unsafe {
            let state = &mut *self.0.get();
            block.cast::<*mut u8>().write(state.free[class]);
            state.free[class] = block;
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size does not overflow when it is rounded up.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (class(layout), class(wanted)) {
            (Some(had), Some(wants)) if had == wants => block,
            // SAFETY: a block of this layout came from std, and stays there.
            (None, None) => unsafe { System.realloc(block, layout, size) },
            // SAFETY: both blocks are as large as what is copied, and the old one is the caller's.
            _ => unsafe {
                let new = self.alloc(wanted);
                if !new.is_null() {
                    block.copy_to_nonoverlapping(new, layout.size().min(size));
                    self.dealloc(block, layout);
                }
                new
            },
        }
    }
}

impl State {
    /// A block that was never used.
    #[cold]
    fn cut(&mut self, size: usize) -> *mut u8 {
        // A block must hold an address when it is free; the allocator is never asked for nothing.
        let size = size.max(STEP);
        if self.left < size {
            // SAFETY: the size is not zero, and the alignment is a power of two.
            let slab = unsafe { System.alloc(Layout::from_size_align_unchecked(SLAB, STEP)) };
            if slab.is_null() {
                return slab;
            }
            (self.next, self.left) = (slab, SLAB);
        }
        let block = self.next;
        self.left -= size;
        // SAFETY: the block ends inside the slab, or where it ends.
        self.next = unsafe { block.add(size) };
        block
    }
}
