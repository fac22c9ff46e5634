//! The log of a gateway whose reader is too slow.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use super::{Served, file, gateway};

/// More lines than a pipe and the gateway hold together.
const REQUESTS: usize = 15_000;

#[test]
fn who_does_not_read_the_log_holds_nobody_up_and_is_told_what_is_missing() {
    let file = file(
        r#"
[gateway]
workers = 1
access_log = "all"

[[listeners]]
name = "public"
address = "127.0.0.1:0"

[[routes]]
name = "all"
paths = ["/{*rest}"]
respond = { body = "hello" }
"#,
    );
    let mut command = gateway(&["--log-format", "json", "run", file.path.to_str().unwrap()]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    // Nobody reads these: the process ends with the value.
    let _served = Served { child, lines: std::sync::mpsc::channel().1 };
    let mut entries =
        std::iter::from_fn(|| Some(serde_json::from_str::<Value>(&log.next()?.unwrap()).unwrap()));
    let listening = entries.find(|entry| entry["message"] == "listening").unwrap();

    let mut stream = TcpStream::connect(listening["address"].as_str().unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut sender = stream.try_clone().unwrap();
    let sent = std::thread::spawn(move || {
        let request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        (1..REQUESTS).for_each(|_| sender.write_all(request.as_bytes()).unwrap());
        sender.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    });
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    sent.join().unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), REQUESTS);

    let mut written = 0;
    let told = entries.find(|entry| {
        written += usize::from(entry["target"] == "gateway::access");
        entry["message"].as_str().unwrap().starts_with("lines of the log were dropped")
    });
    let dropped = told.unwrap()["dropped"].as_u64().unwrap() as usize;
    assert!(dropped > 0);
    assert_eq!(written + dropped, REQUESTS);
}
