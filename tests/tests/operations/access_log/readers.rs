//! Programs that read these logs elsewhere: Python's `apachelogs` reads the combined format, and `rsyslog`
//! takes messages. `.ci/run` installs both.

use std::process::{Command, Stdio};
use std::time::Duration;

use gateway_tests::client::request;
use gateway_tests::{Http1, Raw};
use tempfile::tempdir;

use super::support::{ask, setup, until_lines};

/// What the parser of Apache's format reads in each line.
const PARSE: &str = r#"
import json, sys
from apachelogs import COMBINED, LogParser
parser = LogParser(COMBINED)
for line in open(sys.argv[1]):
    entry = parser.parse(line)
    print(json.dumps([entry.remote_host, entry.remote_user, entry.request_time.timestamp() > 0,
        entry.request_line, entry.final_status, entry.bytes_sent, entry.headers_in["Referer"],
        entry.headers_in["User-Agent"]]))
"#;

#[tokio::test]
#[ignore = "needs the Python package `apachelogs`, by the interpreter that `APACHELOGS_PYTHON` names"]
async fn a_parser_of_apaches_format_reads_every_line() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("log");
    let gateway = setup("file = \"FOLDER/log\"\nformat = \"combined\"", folder.path()).start();
    let agent = "say \"hi\" \\ back";
    let fields = [("user-agent", agent), ("referer", "http://a.example/b")];
    Http1::connect(gateway.address).await.send(request("GET", "/a?b=c", &fields, "")).await;
    ask(&gateway, 7, 1).await;
    Raw::ask(gateway.address, "GET / HTTP/1.1\r\nhost: a\r\nbad field\r\n\r\n").await;
    Raw::ask(
        gateway.address,
        b"GET /\x22x HTTP/1.1\r\nhost: a\r\nuser-agent: \xff\" 200 1 \"-\r\n\r\n",
    )
    .await;
    until_lines(&file, 4).await;
    let python = std::env::var("APACHELOGS_PYTHON").unwrap_or_else(|_| "python3".into());
    let output = Command::new(python).args(["-c", PARSE]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let read: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read.len(), 4, "{text}");
    let expected = serde_json::json!([
        "127.0.0.1",
        null,
        true,
        "GET /a?b=c HTTP/1.1",
        200,
        5,
        "http://a.example/b",
        agent
    ]);
    assert_eq!(read[0], expected);
    assert_eq!(read[1][3], "GET /7 HTTP/1.1");
    assert_eq!((&read[2][3], &read[2][4]), (&serde_json::Value::Null, &400.into()));
    assert_eq!(read[3][7], "\u{ff}\" 200 1 \"-");
}

#[tokio::test]
#[ignore = "needs Debian's `rsyslog`"]
async fn a_syslog_server_takes_messages_over_each_transport() {
    let folder = tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "module(load=\"imudp\")\nmodule(load=\"imtcp\")\nmodule(load=\"imuxsock\" SysSock.Use=\"off\")\n\
         input(type=\"imudp\" address=\"127.0.0.1\" port=\"{udp}\")\n\
         input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{tcp}\")\n\
         input(type=\"imuxsock\" Socket=\"{path}/socket\" useSpecialParser=\"off\" ParseHostname=\"on\")\n\
         template(name=\"own\" type=\"string\" string=\"%syslogfacility-text% %syslogseverity-text% \
         %app-name% %msgid% %timestamp:::date-year% %msg%\\n\")\n\
         *.* action(type=\"omfile\" file=\"{path}/received\" template=\"own\")\n"
    );
    let config_file = folder.path().join("rsyslog.conf");
    std::fs::write(&config_file, config).unwrap();
    let pid_file = folder.path().join("pid");
    let mut server = Command::new("/usr/sbin/rsyslogd")
        .args(["-n", "-f", config_file.to_str().unwrap(), "-i", pid_file.to_str().unwrap()])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let socket = folder.path().join("socket");
    gateway_tests::until(|| socket.exists()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let received = folder.path().join("received");
    let addresses = [
        format!("udp://127.0.0.1:{udp}"),
        format!("tcp://127.0.0.1:{tcp}"),
        format!("unix:{path}/socket"),
    ];
    for (round, address) in addresses.iter().enumerate() {
        let table =
            format!("syslog = \"{address}\"\nfields = {{ path = \"path\", status = \"status\" }}");
        let gateway = setup(&table, folder.path()).start();
        ask(&gateway, round * 10, 10).await;
        drop(gateway);
        let of_gateway = |line: &&String| line.contains(" gateway access ");
        let lines = gateway_tests::within(async {
            loop {
                let all = until_lines(&received, 1).await;
                let own: Vec<_> = all.iter().filter(of_gateway).cloned().collect();
                if own.len() >= (round + 1) * 10 {
                    return own;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        for (number, line) in lines.iter().enumerate().skip(round * 10) {
            let (head, json) = line.split_once('{').unwrap();
            let words: Vec<_> = head.split_whitespace().collect();
            assert_eq!(words[..4], ["local0", "info", "gateway", "access"], "{line}");
            let value: serde_json::Value = serde_json::from_str(&format!("{{{json}")).unwrap();
            assert_eq!(value["path"], format!("/{number}"));
        }
    }
    server.kill().unwrap();
    server.wait().unwrap();
}
