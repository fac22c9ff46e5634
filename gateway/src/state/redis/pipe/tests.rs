//! A connection for checks against what a server may say, and when.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;

const TIMEOUT: Duration = Duration::from_millis(50);

fn open() -> (Pipe, DuplexStream) {
    let (ours, theirs) = duplex(1 << 16);
    let (pipe, driver) = Pipe::new(ours, TIMEOUT);
    tokio::spawn(driver);
    (pipe, theirs)
}

fn ask(pipe: &Pipe, word: &str) -> tokio::task::JoinHandle<Answer> {
    let (pipe, word) = (pipe.clone(), word.to_owned());
    tokio::spawn(async move {
        pipe.ask(Instant::now(), |out| command(out, &[b"GET", word.as_bytes()])).await
    })
}

async fn heard(server: &mut DuplexStream) -> String {
    let mut buffer = vec![0; 4 << 10];
    let count = server.read(&mut buffer).await.expect("it is open");
    String::from_utf8_lossy(&buffer[..count]).into_owned()
}

fn numbers(list: &[i64]) -> Answer {
    Ok(list.iter().copied().collect())
}

#[tokio::test]
async fn what_is_asked_in_one_turn_leaves_in_one_write_and_is_answered_in_order() {
    let (pipe, mut server) = open();
    let asked = ["a", "bb", "c"].map(|word| ask(&pipe, word));
    let one = |word: &str| format!("*2\r\n$3\r\nGET\r\n${}\r\n{word}\r\n", word.len());
    assert_eq!(heard(&mut server).await, ["a", "bb", "c"].map(one).concat());
    // However it is cut.
    for part in [":1\r", "\n*2\r\n:2\r\n:", "-3\r\n-ERR no", "\r\n"] {
        server.write_all(part.as_bytes()).await.expect("it is open");
        tokio::task::yield_now().await;
    }
    let mut answers = Vec::new();
    for asked in asked {
        answers.push(asked.await.expect("it ends"));
    }
    let refused = Err(Failed::Refused("ERR no".to_owned()));
    assert_eq!(answers, [numbers(&[1]), numbers(&[2, -3]), refused]);
}

#[tokio::test]
async fn who_is_late_hears_so_and_the_answer_that_comes_then_is_nobody_elses() {
    let (pipe, mut server) = open();
    let late = ask(&pipe, "late");
    assert_eq!(late.await.expect("it ends"), Err(Failed::Late));
    let next = ask(&pipe, "next");
    tokio::task::yield_now().await;
    server.write_all(b":1\r\n:2\r\n").await.expect("it is open");
    assert_eq!(next.await.expect("it ends"), numbers(&[2]));
    // The timer goes on after that.
    assert_eq!(ask(&pipe, "again").await.expect("it ends"), Err(Failed::Late));
}

#[tokio::test]
async fn all_that_wait_hear_that_it_breaks_and_so_does_who_asks_then() {
    let is_broken = |answer: &Answer| matches!(answer, Err(Failed::Broken(_)));
    for says in ["", ":1\r\n:2\r\n:3\r\n", "HTTP/1.1 400 Bad Request\r\n"] {
        let (pipe, mut server) = open();
        let asked = [ask(&pipe, "a"), ask(&pipe, "b")];
        heard(&mut server).await;
        server.write_all(says.as_bytes()).await.expect("it is open");
        drop(server);
        for asked in asked {
            let answer = asked.await.expect("it ends");
            assert!(is_broken(&answer) || says.starts_with(':'), "{says:?}: {answer:?}");
        }
        let then = ask(&pipe, "then").await.expect("it ends");
        assert!(is_broken(&then), "{says:?}: {then:?}");
    }
}

#[tokio::test]
async fn the_connection_ends_with_the_last_who_could_ask() {
    let (pipe, mut server) = open();
    let other = pipe.clone();
    drop(pipe);
    let asked = ask(&other, "a");
    heard(&mut server).await;
    server.write_all(b":1\r\n").await.expect("it is open");
    assert_eq!(asked.await.expect("it ends"), numbers(&[1]));
    drop(other);
    assert_eq!(server.read(&mut [0; 8]).await.expect("it is open"), 0);
}
