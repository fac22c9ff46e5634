//! Logs that go to a syslog server.

use std::io::{BufReader, Read as _};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use gateway_tests::{PATIENCE, until};
use tempfile::tempdir;

use super::support::{ask, setup, setup_of};

/// The parts of a message (RFC 5424 section 6): its priority and what it says.
fn parts(message: &str) -> (u8, &str) {
    let (priority, rest) = message.strip_prefix('<').unwrap().split_once('>').unwrap();
    let fields: Vec<_> = rest.splitn(8, ' ').collect();
    assert_eq!(fields.len(), 8, "{message}");
    assert_eq!(fields[0], "1");
    assert!(fields[1].len() == 24 && fields[1].ends_with('Z'), "{message}");
    assert!(!fields[2].is_empty() && fields[2] != "-", "the name of the host: {message}");
    assert_eq!(fields[4], std::process::id().to_string());
    assert_eq!((fields[5], fields[6]), ("access", "-"));
    (priority.parse().unwrap(), fields[7])
}

/// Reads one message of a stream with octet counting.
fn framed(stream: &mut impl std::io::BufRead) -> Option<String> {
    let mut length = Vec::new();
    stream.read_until(b' ', &mut length).ok().filter(|read| *read > 0)?;
    let length: usize = std::str::from_utf8(&length).unwrap().trim().parse().unwrap();
    let mut message = vec![0; length];
    stream.read_exact(&mut message).ok()?;
    Some(String::from_utf8(message).unwrap())
}

#[tokio::test]
async fn datagrams_carry_one_line_each() {
    let folder = tempdir().unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(PATIENCE)).unwrap();
    let path = folder.path().join("socket");
    let unix = UnixDatagram::bind(&path).unwrap();
    unix.set_read_timeout(Some(PATIENCE)).unwrap();
    let addresses = [
        format!("udp://{}", udp.local_addr().unwrap()),
        format!("unix:{}", path.to_str().unwrap()),
    ];
    for (address, is_udp) in addresses.iter().zip([true, false]) {
        let table = format!(
            "syslog = {{ address = \"{address}\", facility = \"local3\", app_name = \"edge\" }}\n\
             format = \"{{path}}\""
        );
        let gateway = setup(&table, folder.path()).start();
        ask(&gateway, 0, 3).await;
        for number in 0..3 {
            let mut message = [0; 2048];
            let read = if is_udp { udp.recv(&mut message) } else { unix.recv(&mut message) };
            let message = std::str::from_utf8(&message[..read.unwrap()]).unwrap();
            // local3 is 19, and 6 is for information.
            assert_eq!(parts(message), (19 * 8 + 6, &*format!("/{number}")));
            assert_eq!(message.split(' ').nth(3), Some("edge"));
        }
    }
}

#[tokio::test]
async fn a_server_that_is_restarted_gets_every_line() {
    let folder = tempdir().unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let table = format!("syslog = \"tcp://{address}\"\nformat = \"{{path}}\"");
    let gateway = setup_of("restarted", &table, folder.path()).start();
    let mut seen = Vec::new();
    ask(&gateway, 0, 100).await;
    let (stream, _) = server.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = BufReader::new(stream);
    while seen.len() < 100 {
        seen.push(framed(&mut stream).unwrap());
    }
    // It goes, and its port with it: what comes meanwhile waits.
    drop((stream, server));
    ask(&gateway, 100, 200).await;
    let warned = |words: &str| {
        let is_about = |line: &gateway_tests::log::Line| {
            line.message.contains(words) && line.field("log") == "restarted"
        };
        gateway_tests::log::lines(is_about).len()
    };
    until(|| warned("its lines wait") > 0).await;
    let server = TcpListener::bind(address).unwrap();
    let (stream, _) = server.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = BufReader::new(stream);
    while seen.len() < 300 {
        seen.push(framed(&mut stream).unwrap());
    }
    let paths: Vec<_> = seen.iter().map(|message| parts(message).1.to_owned()).collect();
    assert_eq!(paths, (0..300).map(|number| format!("/{number}")).collect::<Vec<_>>());
    // What waits at the end is sent, and then the connection is closed.
    tokio::time::sleep(Duration::from_secs(1)).await;
    ask(&gateway, 300, 50).await;
    drop(gateway);
    let rest: Vec<_> = std::iter::from_fn(|| framed(&mut stream)).collect();
    assert_eq!(rest.len(), 50);
    assert_eq!((warned("its lines wait"), warned("is written again")), (1, 1));
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[tokio::test]
async fn a_server_that_is_not_there_holds_nobody_up() {
    let folder = tempdir().unwrap();
    // Nobody is there, somebody takes nothing, and a socket that does not exist.
    let full = TcpListener::bind("127.0.0.1:0").unwrap();
    let full_address = format!("tcp://{}", full.local_addr().unwrap());
    for address in ["tcp://127.0.0.1:1", "udp://127.0.0.1:1", "unix:/nowhere/log", &full_address] {
        let table = format!("syslog = \"{address}\"");
        let gateway = setup(&table, folder.path()).start();
        let began = std::time::Instant::now();
        ask(&gateway, 0, 200).await;
        assert!(began.elapsed() < Duration::from_secs(10), "{address}");
        // And the end does not take long, either.
        let began = std::time::Instant::now();
        drop(gateway);
        assert!(began.elapsed() < Duration::from_secs(8), "{address}: {:?}", began.elapsed());
    }
}
