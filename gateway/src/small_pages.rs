//! How the allocator takes memory from the system: in small pages, and while the process starts it keeps none of what was freed.
//! Loading a component takes many times the memory that is left of it.
//!
//! Owns two of mimalloc's options. Must not allocate before they are set.
#![expect(unsafe_code, reason = "the allocator is not written in Rust")]

use libmimalloc_sys as mi;

/// Places among mimalloc's options (`mi_option_e` of version 3) that the crate has no names for.
const PURGE_DELAY: mi::mi_option_t = 15;
const ALLOW_THP: mi::mi_option_t = 43;

/// Its default, in milliseconds.
const USUAL_DELAY: libc::c_long = 1000;

/// Called before anything allocates: mimalloc reads the first of its options once. With huge pages it takes memory from the
/// system, and gives it back, by 2 MiB: a gateway with three plugins had 92 MiB at its peak and kept them; now 46.
#[cfg(target_os = "linux")]
#[used]
#[unsafe(link_section = ".init_array.00100")]
static FIRST: extern "C" fn() = begin;

#[cfg(target_os = "linux")]
extern "C" fn begin() {
    // SAFETY: options are plain numbers that may be set at any time.
    unsafe {
        mi::mi_option_set(ALLOW_THP, 0);
        mi::mi_option_set(PURGE_DELAY, 0);
    }
}

/// From here on memory that was freed is kept for a while, since requests need it again.
pub(crate) fn serves() {
    // SAFETY: as above.
    unsafe { mi::mi_option_set(PURGE_DELAY, USUAL_DELAY) }
}
