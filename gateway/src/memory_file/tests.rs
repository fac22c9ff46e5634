//! Bodies in the file, and what peers have of them that read late.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use super::*;

const PAGE: usize = 4 << 10;

/// One that no other test uses.
fn file(pages: usize) -> &'static MemoryFile {
    // SAFETY: a call without pointers.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    assert_eq!(page as usize, PAGE, "the lengths in these tests are those of small pages");
    Box::leak(Box::new(MemoryFile::new(pages * PAGE, PAGE).expect("the system has such files")))
}

/// Bytes of memory that a file has.
fn resident(file: &MemoryFile) -> i64 {
    rustix::fs::fstat(&file.file).expect("it is open").st_blocks * 512
}

#[test]
fn a_body_is_what_its_pieces_were_and_its_pages_go_when_the_last_lets_go() {
    let file = file(64);
    let text: Vec<u8> = (0..40_000).map(|at| at as u8).collect();
    let body = file.keep(text.len(), text.chunks(7_000)).expect("there is room");
    assert_eq!(body, text);
    assert_eq!(file.offset_of(&body[9_000..]), Some(9_000));
    assert_eq!(file.offset_of(&text), None);
    let part = body.slice(20_000..30_000);
    assert_eq!(resident(file), 10 * PAGE as i64);
    drop(body);
    assert_eq!(part, text[20_000..30_000]);
    assert_eq!(resident(file), 10 * PAGE as i64);
    drop(part);
    assert_eq!(resident(file), 0);
    assert_eq!(file.free().take(64 * PAGE), Some(0), "all of it is free again");
}

#[test]
fn pieces_that_are_not_of_the_length_are_no_body_and_leave_nothing() {
    let file = file(16);
    let text = [1_u8; 20_000];
    assert!(file.keep(20_000, [&text[..], &text[..1]]).is_none());
    assert!(file.keep(20_000, [&text[1..]]).is_none());
    assert!(file.keep(17 * PAGE, text.chunks(1)).is_none(), "it is longer than the file");
    assert_eq!(resident(file), 0);
    assert_eq!(file.free().take(16 * PAGE), Some(0));
}

/// The reason for holes instead of a list of free pages: what a slow peer has not read yet is as it was sent, whoever has its place
/// in the file by now.
#[test]
fn what_a_peer_has_not_read_yet_stays_as_it_was_when_its_place_has_another_body() {
    const LENGTH: usize = 24 * PAGE;
    let file = file(24);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut far = listener.accept().unwrap().0;
    let old = file.keep(LENGTH, [&[b'o'; LENGTH][..]]).unwrap();
    let mut offset = file.offset_of(&old).unwrap() as u64;
    while offset < LENGTH as u64 {
        let left = LENGTH - offset as usize;
        rustix::fs::sendfile(&near, &file.file, Some(&mut offset), left).unwrap();
    }
    drop(old);
    let new = file.keep(LENGTH, [&[b'n'; LENGTH][..]]).expect("there is no other place");
    near.write_all(b"end").unwrap();
    drop(near);
    let mut read = Vec::new();
    far.read_to_end(&mut read).unwrap();
    assert!(read[..LENGTH].iter().all(|byte| *byte == b'o'), "none was changed on its way");
    assert_eq!(&read[LENGTH..], b"end");
    assert!(new.iter().all(|byte| *byte == b'n'));
}

#[test]
fn bodies_that_come_and_go_on_several_threads_are_never_mixed() {
    let file = file(96);
    let work = |thread: u8| {
        for round in 0..300_usize {
            let length = FROM + (round * 7_919 + usize::from(thread) * 104_729) % (12 * PAGE);
            let text = vec![thread; length];
            let Some(body) = file.keep(length, [&text[..]]) else { continue };
            std::thread::yield_now();
            assert!(body == text);
        }
    };
    std::thread::scope(|scope| (1..5).for_each(|thread| drop(scope.spawn(move || work(thread)))));
    assert_eq!(resident(file), 0);
    assert_eq!(file.free().take(96 * PAGE), Some(0));
}

/// Of a huge page the kernel would fill with zeros what is cut out, under the eyes of who has it in a queue.
#[test]
fn there_are_no_huge_pages_whatever_the_system_prefers() {
    if !Path::new(HUGE_PAGES).exists() {
        return;
    }
    let file = file(16);
    let body = file.keep(20_000, [&[1; 20_000][..]]).unwrap();
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let begins = format!("{:x}-", body.as_ptr().addr());
    let map = maps.split_once(&begins).expect("the file begins with it").1;
    let flags = map.lines().find(|line| line.starts_with("VmFlags:")).unwrap();
    assert!(flags.contains(" nh") && flags.contains(" dd"), "{flags}");
}
