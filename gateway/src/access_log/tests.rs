//! Lines of logs as the configuration asks for them.

mod fuzz;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};

use super::sink::{Batch, Message, Sink, Waiting};
use super::*;
use crate::config::{Known, Source, read};
use crate::telemetry::metrics::AccessLogCounts;

/// A log of this table, and what it hands over.
struct Written {
    logs: Logs,
    lines: std::sync::mpsc::Receiver<Message>,
    waiting: Arc<Waiting>,
}

impl Written {
    fn new(table: &str) -> Self {
        let text = format!(
            "[gateway]\naccess_log = \"x\"\n[access_logs.x]\n{table}\n\
             [[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\n\
             [[routes]]\nname = \"r\"\npaths = [\"/\"]\nrespond = {{ status = 200 }}\n"
        );
        let loaded = read(Source::new("test.toml", &text), &|_| None, &Known { built_in: &[] });
        let config = loaded.unwrap_or_else(|errors| panic!("{}", errors.render(false))).config;
        let (sender, lines) = std::sync::mpsc::channel();
        let waiting = Arc::new(Waiting::new(Arc::new(AccessLogCounts::new("x"))));
        let sink = Arc::new(Sink::new(sender, Arc::clone(&waiting)));
        let (mut request, mut response) = (Vec::new(), Vec::new());
        let log = Log::new(&config.access_logs[0], sink, &mut request, &mut response);
        let logs = Logs { logs: [log].into(), request: request.into(), response: response.into() };
        Self { logs, lines, waiting }
    }

    fn line(&self, uri: &str, headers: &HeaderMap, attribute: &str) -> Vec<u8> {
        let uri: Uri = uri.parse().unwrap();
        let mut kept = self.logs.keep(headers).unwrap_or_default();
        self.logs.keep_response(&mut kept, headers);
        let attributes = Consumer(attribute.to_owned());
        let record = Record {
            id: "0123",
            trace: None,
            client: [192, 0, 2, 1].into(),
            listener: "l",
            request: Some(RequestLine {
                method: &Method::GET,
                uri: &uri,
                version: Version::HTTP_11,
                is_https: false,
            }),
            route: Some("r"),
            upstream_name: None,
            variant: None,
            status: Some(StatusCode::OK),
            uploaded: 0,
            downloaded: 12,
            first_byte: Some(Duration::from_millis(1)),
            duration: Duration::from_millis(2_034),
            left: false,
            attributes: Some(&attributes),
        };
        self.logs.logs[0].write(&record, &Way::default(), None, &kept);
        match self.lines.try_recv() {
            Ok(Message::Line(line)) => {
                // As the writer does, or there would be no room for more.
                let mut batch = Batch::new(Arc::clone(&self.waiting));
                batch.push(line.clone());
                batch.written(1);
                line.into()
            }
            other => panic!("{other:?}"),
        }
    }

    fn text(&self, uri: &str, headers: &[(&'static str, &str)], attribute: &str) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_static(name),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        String::from_utf8(self.line(uri, &map, attribute)).unwrap()
    }
}

#[derive(Debug)]
struct Consumer(String);

impl Attributes for Consumer {
    fn look(&self, name: &str, look: &mut dyn FnMut(&str)) {
        if name == crate::usage::CONSUMER {
            look(&self.0);
        }
    }
}

#[test]
fn a_secret_in_a_query_is_not_shown_however_its_name_is_written() {
    let log = Written::new("format = \"{uri}\"\nredact = [\"Customer\"]");
    let shown = |uri: &str| log.text(uri, &[], "").trim_end().to_owned();
    assert_eq!(shown("/a?b=c&d"), "/a?b=c&d");
    assert_eq!(shown("/a?b=1&api_key=abc&c=2"), "/a?b=1&api_key=[redacted]&c=2");
    assert_eq!(shown("/a?%61pi%5Fk%65y=abc"), "/a?%61pi%5Fk%65y=[redacted]");
    assert_eq!(
        shown("/a?X-Amz-Signature=s;PASSWORD=p&sig=1"),
        "/a?X-Amz-Signature=[redacted];PASSWORD=[redacted]&sig=[redacted]"
    );
    assert_eq!(shown("/a?access_token=&customer=7"), "/a?access_token=&customer=[redacted]");
    assert_eq!(shown("/a?signal=1&design=2&k=3"), "/a?signal=1&design=2&k=3");
    assert_eq!(shown("/a??token=x"), "/a??token=[redacted]");
    let long = format!("/a?{}token{}=SECRET", "x".repeat(254), "y".repeat(300));
    assert!(!shown(&long).contains("SECRET"));
}

#[test]
fn fields_that_hold_credentials_are_not_shown() {
    let names = [
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "x-api-key",
        "x-auth-token",
        "x-own",
    ];
    let format: Vec<_> =
        names.iter().map(|it| format!("{{request.header.{it}}}{{response.header.{it}}}")).collect();
    let log = Written::new(&format!("format = '{}'\nredact = [\"X-Own\"]", format.join(" ")));
    let headers: Vec<_> = names.iter().map(|name| (*name, "SECRET")).collect();
    let line = log.text("/", &headers, "");
    assert_eq!(line.matches("[redacted]").count(), 14, "{line}");
    assert!(!line.contains("SECRET"));
    let log = Written::new(
        "format = '\"{request.header.referer}\" \"{response.header.location}\" {request.header.idempotency-key}'",
    );
    let url = "https://u:SECRET@h.example/cb?code=1&token=SECRET#access_token=SECRET";
    let line = log.text("/", &[("referer", url), ("location", url), ("idempotency-key", "7")], "");
    let shown =
        "\"https://[redacted]@h.example/cb?code=1&token=[redacted]#access_token=[redacted]\"";
    assert_eq!(line, format!("{shown} {shown} 7\n"));
}

#[test]
fn says_what_is_known_and_leaves_out_what_is_not() {
    let log = Written::new("");
    let line = log.text("/a/b?c=d", &[("user-agent", "curl/8"), ("host", "a.example")], "acme");
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    let keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert!(!keys.contains(&"fault") && !keys.contains(&"referer"), "{line}");
    assert_eq!(value["user_agent"], "curl/8");
    assert_eq!(value["host"], "a.example");
    assert_eq!((&value["path"], &value["query"]), (&"/a/b".into(), &"c=d".into()));
    assert_eq!((&value["consumer"], &value["duration_ms"]), (&"acme".into(), &2_034.into()));
    assert_eq!(value["left"], false);
    let log = Written::new("format = \"{host} {uri}\"");
    assert_eq!(log.text("http://user:SECRET@a.example:1/b", &[], ""), "a.example:1 /b\n");
    let log =
        Written::new("format = \"{duration} {fault} \\\"{request.header.x-a}\\\" {upstream}\"");
    assert_eq!(log.text("/", &[("x-a", "one"), ("x-a", "two")], ""), "2.034 - \"one, two\" -\n");
}
