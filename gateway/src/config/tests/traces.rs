//! `[traces]`: what it takes and what it refuses.

use std::time::Duration;

use super::*;
use crate::config::{Collector, CollectorProtocol, Incoming, Traces};

fn with(keys: &str) -> String {
    file("", TARGETS, &format!("[traces]\n{keys}"), FORWARD)
}

fn traces(keys: &str) -> Traces {
    check(&with(keys)).unwrap().config.traces.unwrap()
}

fn endpoint(keys: &str) -> String {
    traces(keys).collector.unwrap().endpoint
}

#[test]
fn takes_everything_that_is_set_and_has_defaults() {
    assert_eq!(check(&file("", TARGETS, "", FORWARD)).unwrap().config.traces, None);
    assert_eq!(traces(""), Traces::default());
    let Collector { endpoint, protocol, is_compressed, headers, ca, timeout } =
        traces("endpoint = \"http://c:4318\"").collector.unwrap();
    assert_eq!((&*endpoint, protocol), ("http://c:4318/v1/traces", CollectorProtocol::Http));
    assert_eq!((is_compressed, timeout), (true, Duration::from_secs(10)));
    assert!(headers.is_empty() && ca.is_none());
    let read = traces(
        "endpoint = \"https://c\"\nprotocol = \"grpc\"\ncompression = \"none\"\ntimeout = \"1s\"\n\
         headers = { Authorization = \"Bearer ${env:SECRET}\" }\nservice_name = \"edge\"\n\
         attributes = { \"a.b\" = \"c\" }\nsample = 0.25\nerrors = \"sampled\"\nslow = \"2s\"\n\
         incoming = \"restart\"",
    );
    assert!(!format!("{read:?}").contains("hunter2"), "{read:?}");
    let collector = read.collector.unwrap();
    assert_eq!((collector.protocol, collector.is_compressed), (CollectorProtocol::Grpc, false));
    assert_eq!((&*collector.endpoint, collector.timeout), ("https://c", Duration::from_secs(1)));
    assert_eq!(collector.headers[0].0, "authorization");
    assert_eq!(collector.headers[0].1, "Bearer hunter2");
    assert_eq!((&*read.service, read.sample), ("edge", 0.25));
    assert_eq!(read.attributes, [("a.b".to_owned(), "c".to_owned())]);
    assert_eq!((read.errors, read.slow), (false, Some(Duration::from_secs(2))));
    assert_eq!(read.incoming, Incoming::Restart);
    // A whole number is a number.
    assert_eq!(traces("sample = 0").sample, 0.0);
}

#[test]
fn completes_the_url_of_a_collector_over_http() {
    assert_eq!(endpoint("endpoint = \"http://c:4318/\""), "http://c:4318/v1/traces");
    assert_eq!(endpoint("endpoint = \"https://c/otlp/spans\""), "https://c/otlp/spans");
    assert_eq!(endpoint("endpoint = \"http://[::1]:4318\""), "http://[::1]:4318/v1/traces");
}

#[test]
fn refuses_what_is_no_collector() {
    let write = "write it like `http://127.0.0.1:4318`";
    for (url, error) in [
        ("c:4318", "the URL begins with neither `http://` nor `https://`"),
        ("ftp://c", "the URL begins with neither `http://` nor `https://`"),
        ("http://", "this is not a URL"),
        ("http:// c", "this is not a URL"),
    ] {
        refuses(&with(&format!("endpoint = \"{url}\"")), error, url, write);
    }
    refuses(
        &with("endpoint = \"http://c/v1/traces\"\nprotocol = \"grpc\""),
        "gRPC takes a URL without a path",
        "http://c/v1/traces",
        "write it like `http://127.0.0.1:4317`",
    );
    refuses(
        &with("endpoint = \"http://u:p@c\""),
        "a URL is no place for a password",
        "http://u:p@c",
        "write `headers = { authorization = \"Basic ...\" }`",
    );
    refuses(
        &with("slow = \"1s\""),
        "`slow` is for a collector",
        "\"1s\"",
        "add `endpoint = \"http://127.0.0.1:4318\"`",
    );
    refuses(
        &with("sample = \"10%\""),
        "`sample` must be a number from 0 to 1, but this is a string",
        "\"10%\"",
        "write `sample = 1.0`",
    );
    refuses(&with("sample = 1.5"), "`sample` is out of range: 1.5", "1.5", "");
    let unknown = "unknown key `sampel` in `[traces]`";
    refuses(&with("sampel = 1.0"), unknown, "sampel", "did you mean `sample`?");
}
