//! What the kernel knows of a connection (`TCP_INFO`).
//!
//! Owns the reading of it. Where the kernel tells less, nothing is known.

use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::time::Duration;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TcpInfo {
    /// Bytes that the peer's kernel has confirmed, and one for the opening of the connection.
    pub(crate) confirmed: u64,
    /// Since the peer's kernel last confirmed anything. The end of its stream confirms too, and where nothing was
    /// sent since, that is how long ago it came.
    pub(crate) since_confirmed: Duration,
    /// Since data was last sent.
    pub(crate) since_sent: Duration,
    /// Since data last came from the peer.
    pub(crate) since_received: Duration,
    /// How long a segment and its confirmation take.
    pub(crate) round_trip: Duration,
}

/// Bytes of the kernel's `struct tcp_info` up to the last of its members that is read, and where they are. New members
/// are only ever added behind it.
const LENGTH: usize = 128;
const LAST_DATA_SENT: usize = 44;
const LAST_DATA_RECEIVED: usize = 52;
const LAST_ACK_RECEIVED: usize = 56;
const ROUND_TRIP: usize = 68;
const BYTES_ACKED: usize = 120;

impl TcpInfo {
    /// Asks. A system call, for when something went wrong.
    pub(super) fn of(socket: BorrowedFd<'_>) -> Option<Self> {
        let mut bytes = [0_u8; LENGTH];
        let mut length = LENGTH as libc::socklen_t;
        #[expect(unsafe_code, reason = "a call of libc")]
        // SAFETY: the kernel writes no more than `length` bytes to where there is room for them.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                bytes.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        if result != 0 || length as usize != LENGTH {
            return None;
        }
        let number = |at: usize| bytes[at..].first_chunk().map_or(0, |it| u32::from_ne_bytes(*it));
        Some(Self {
            confirmed: bytes[BYTES_ACKED..].first_chunk().map_or(0, |it| u64::from_ne_bytes(*it)),
            since_confirmed: Duration::from_millis(number(LAST_ACK_RECEIVED).into()),
            since_sent: Duration::from_millis(number(LAST_DATA_SENT).into()),
            since_received: Duration::from_millis(number(LAST_DATA_RECEIVED).into()),
            round_trip: Duration::from_micros(number(ROUND_TRIP).into()),
        })
    }
}
