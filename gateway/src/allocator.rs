//! The allocator of the process: mimalloc, called in the cheapest way.
//!
//! The crate `mimalloc` asks for each block with its alignment, which takes a slow path for half of
//! the blocks of a request: measured, 220 instructions a block and not 40. Nearly every block has an
//! alignment that mimalloc gives anyway.
#![expect(unsafe_code, reason = "an allocator hands out raw memory")]

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys as mi;

/// What each block of this size or more is aligned to (`MI_MAX_ALIGN_SIZE`).
const NATURAL: usize = 16;

/// See the module.
pub(crate) struct Allocator;

/// Whether a block is correctly aligned without an explicit alignment. A smaller one is aligned to
/// its size, rounded down to a power of two.
#[inline]
fn is_natural(layout: Layout) -> bool {
    layout.align() <= NATURAL && layout.align() <= layout.size()
}

// SAFETY: each block is mimalloc's, of the size and the alignment that were asked for, and goes back
// to mimalloc, which knows by the address what it is.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size will do, and alignments are powers of two.
        unsafe {
            if is_natural(layout) {
                mi::mi_malloc(layout.size()).cast()
            } else {
                mi::mi_malloc_aligned(layout.size(), layout.align()).cast()
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        unsafe {
            if is_natural(layout) {
                mi::mi_zalloc(layout.size()).cast()
            } else {
                mi::mi_zalloc_aligned(layout.size(), layout.align()).cast()
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the block came from one of the others.
        unsafe { mi::mi_free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as in `alloc`; the caller promises that the size does not overflow when it is
        // rounded up, and the block came from one of the others.
        unsafe {
            let wanted = Layout::from_size_align_unchecked(size, layout.align());
            if is_natural(wanted) {
                mi::mi_realloc(block.cast(), size).cast()
            } else {
                mi::mi_realloc_aligned(block.cast(), size, layout.align()).cast()
            }
        }
    }
}
