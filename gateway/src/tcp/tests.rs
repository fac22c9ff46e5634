//! Sockets against real ones of the other side, with and without a flusher.

use std::os::fd::AsFd as _;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local};

use super::*;
use crate::memory_file;

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test)
}

async fn pair() -> (Socket, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    (Socket::new(near.unwrap()), far.unwrap().0)
}

async fn start_flusher() {
    spawn_local(run_flusher());
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[test]
fn small_writes_leave_at_the_end_of_the_batch_in_one_piece() {
    run(async {
        start_flusher().await;
        let (mut near, mut far) = pair().await;
        near.write_all(b"one ").await.unwrap();
        near.write_all(b"two").await.unwrap();
        near.flush().await.unwrap();
        assert_eq!(near.0.out().bytes, b"one two");
        let mut buffer = [0; 64];
        assert_eq!(far.read(&mut buffer).await.unwrap(), 7);
        assert_eq!(near.0.out().bytes.capacity(), 0, "an idle connection holds no buffer");
    });
}

#[test]
fn without_a_flusher_all_is_sent_at_once() {
    run(async {
        let (mut near, mut far) = pair().await;
        near.write_all(b"now").await.unwrap();
        assert!(near.0.out().bytes.is_empty());
        let mut buffer = [0; 3];
        far.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"now");
    });
}

#[test]
fn a_large_write_follows_what_waits() {
    run(async {
        start_flusher().await;
        let (mut near, mut far) = pair().await;
        let large = vec![b'x'; 1 << 20];
        let reader = spawn_local(async move {
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.unwrap();
            all
        });
        near.write_all(b"first").await.unwrap();
        near.write_all(&large).await.unwrap();
        near.write_all(b"last").await.unwrap();
        near.shutdown().await.unwrap();
        let all = reader.await.unwrap();
        assert_eq!(all.len(), 5 + large.len() + 4);
        assert!(all.starts_with(b"firstx") && all.ends_with(b"xlast"));
    });
}

#[test]
fn what_waits_is_sent_when_the_owner_or_the_flusher_ends() {
    run(async {
        start_flusher().await;
        let (mut near, mut far) = pair().await;
        near.write_all(b"bye").await.unwrap();
        drop(near);
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"bye");
    });
    let (runtime, local) = (tokio::runtime::Builder::new_current_thread(), LocalSet::new());
    let runtime = { runtime }.enable_all().build().unwrap();
    let (near, mut far) = local.block_on(&runtime, async {
        start_flusher().await;
        let (mut near, far) = pair().await;
        near.write_all(b"bye").await.unwrap();
        (near, far)
    });
    drop(local);
    runtime.block_on(async {
        let mut buffer = [0; 3];
        far.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"bye");
    });
    drop(near);
}

#[test]
fn a_peer_that_takes_nothing_gets_all_when_it_reads_again() {
    run(async {
        start_flusher().await;
        let (mut near, mut far) = pair().await;
        let chunk = [b'x'; 4_000];
        let mut written = 0;
        // Until nothing is taken any more, neither by the kernel nor by the socket.
        while let Ok(result) =
            tokio::time::timeout(Duration::from_millis(50), near.write(&chunk)).await
        {
            written += result.unwrap();
        }
        assert!(near.0.out().is_blocked);
        let mut left = written;
        let mut buffer = vec![0; 64 << 10];
        while left > 0 {
            left -= far.read(&mut buffer).await.unwrap();
        }
        near.write_all(b"more").await.unwrap();
        assert_eq!(far.read(&mut buffer).await.unwrap(), 4);
    });
}

#[test]
fn closing_does_not_wait_for_a_peer_that_takes_nothing_and_loses_nothing() {
    run(async {
        start_flusher().await;
        let (mut near, mut far) = pair().await;
        let chunk = [b'x'; 4_000];
        let mut written = 0;
        while let Ok(result) =
            tokio::time::timeout(Duration::from_millis(50), near.write(&chunk)).await
        {
            written += result.unwrap();
        }
        near.shutdown().await.unwrap();
        drop(near);
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.unwrap();
        assert_eq!(all.len(), written);
    });
}

#[test]
fn a_blocked_socket_without_owner_is_closed() {
    run(async {
        start_flusher().await;
        let (mut near, mut far) = pair().await;
        let chunk = [b'x'; 4_000];
        while tokio::time::timeout(Duration::from_millis(50), near.write(&chunk)).await.is_ok() {}
        let inner = Arc::downgrade(&near.0);
        drop(near);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(inner.upgrade().is_none(), "nothing keeps the connection open");
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.ok();
    });
}

#[test]
fn a_failed_send_fails_the_next_write() {
    run(async {
        start_flusher().await;
        let (mut near, far) = pair().await;
        far.set_zero_linger().unwrap();
        drop(far);
        tokio::time::sleep(Duration::from_millis(20)).await;
        near.write_all(b"lost").await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(near.write_all(b"more").await.is_err());
    });
}

#[test]
fn what_arrived_before_the_peer_closed_is_known() {
    run(async {
        let (mut near, mut far) = pair().await;
        near.write_all(b"first").await.unwrap();
        far.read_exact(&mut [0; 5]).await.unwrap();
        assert!(near.is_unconfirmed(near.written()) && !near.is_unconfirmed(0));
        drop(far);
        near.readable().await.unwrap();
        let begins = near.written();
        near.write_all(b"second").await.unwrap();
        assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(near.is_unconfirmed(begins));

        let (mut near, mut far) = pair().await;
        let begins = near.written();
        near.write_all(b"second").await.unwrap();
        far.read_exact(&mut [0; 6]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(far);
        assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(!near.is_unconfirmed(begins));
        let ago = near.info().unwrap().since_confirmed;
        assert!(ago < Duration::from_millis(40), "the end confirms: {ago:?}");
    });
}

/// One in the file of large bodies, whose bytes tell where they are.
fn kept(length: usize) -> bytes::Bytes {
    let text: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
    let body = memory_file::keep(length, [&text[..]]).expect("the system has such files");
    assert!(memory_file::place_of(&body).is_some() && memory_file::place_of(&text).is_none());
    body
}

#[test]
fn what_is_in_the_file_arrives_between_what_was_written_before_and_behind_it() {
    run(async {
        start_flusher().await;
        let (mut near, mut far) = pair().await;
        let large = vec![b'y'; 100_000];
        // More than the kernel takes at once, and not whole pages.
        let body = kept(3_000_001).slice(100..);
        let expected = [b"small", b"head\n", &large[..], &body, b"\ntail", &body[9..]].concat();
        let reader = spawn_local(async move {
            let mut all = Vec::new();
            tokio::time::sleep(Duration::from_millis(20)).await;
            far.read_to_end(&mut all).await.unwrap();
            all
        });
        near.write_all(b"small").await.unwrap();
        let mut rest = [&b"head\n"[..], &large, &body, b"\ntail", &body[9..]].map(IoSlice::new);
        let mut rest = &mut rest[..];
        while !rest.is_empty() {
            let written = near.write_vectored(rest).await.unwrap();
            IoSlice::advance_slices(&mut rest, written);
        }
        assert_eq!(near.written(), expected.len() as u64);
        near.shutdown().await.unwrap();
        assert!(reader.await.unwrap() == expected);
    });
}

#[test]
fn where_the_system_does_not_send_from_a_file_it_is_copied() {
    run(async {
        let (near, mut far) = pair().await;
        near.0.stream.writable().await.unwrap();
        let (body, mut refused) = ([b'x'; 20_000], None);
        let slices = [&b"head"[..], &body].map(IoSlice::new);
        // A folder is no file to send from.
        let folder = std::fs::File::open("/").unwrap();
        let refuse = |error: &io::Error| refused = error.raw_os_error();
        let written = near.0.send_from(folder.as_fd(), 0, &slices, 1, refuse).unwrap();
        assert_eq!((written, refused.is_some()), (20_004, true));
        let mut all = vec![0; written];
        far.read_exact(&mut all).await.unwrap();
        assert_eq!(all, [b"head", &body[..]].concat());
    });
}

#[test]
fn a_peer_that_takes_nothing_of_the_file_gets_all_of_it_when_it_reads_again() {
    run(async {
        let (mut near, mut far) = pair().await;
        let body = kept(200_000);
        let mut written = 0;
        while let Ok(result) =
            tokio::time::timeout(Duration::from_millis(50), near.write_all(&body)).await
        {
            result.unwrap();
            written += body.len();
        }
        let all = near.written() as usize;
        assert!(all > written && all < written + body.len(), "{all}, {written}");
        drop(near);
        let (expected, mut read) = (body.repeat(written / body.len() + 1), Vec::new());
        far.read_to_end(&mut read).await.unwrap();
        assert!(read == expected[..all]);
    });
}
