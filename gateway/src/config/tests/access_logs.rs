//! `[access_logs.NAME]`: what it takes and what it refuses.

use super::*;
use crate::config::{
    AccessLog, AccessLogFormat, AccessLogId, LogDestination, LogField, LogFile, LogPart,
    NamedAccessLog, Syslog, SyslogTransport,
};

fn with(keys: &str) -> String {
    file("access_log = \"x\"", TARGETS, &format!("[access_logs.x]\n{keys}"), FORWARD)
}

fn log(keys: &str) -> NamedAccessLog {
    let loaded = check(&with(keys)).unwrap_or_else(|errors| panic!("{}", errors.render(false)));
    loaded.config.access_logs.into_iter().next().unwrap()
}

/// The errors, each with its line and column, its words and its advice.
fn refused(text: &str) -> Vec<(String, String)> {
    let errors = check(text).expect_err(text);
    let source = errors.source().clone();
    let shown = |error: &crate::config::Diagnostic| {
        let span = error.span.clone().unwrap();
        (
            source.text()[span].to_owned(),
            [vec![error.message.clone()], error.help.clone()].concat().join("; "),
        )
    };
    errors.iter().map(shown).collect()
}

fn one(keys: &str) -> (String, String) {
    let mut all = refused(&with(keys));
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn takes_everything_that_is_set_for_it() {
    let config = check(files::EVERYTHING).unwrap().config;
    let [own, far] = &*config.access_logs else { panic!("two logs") };
    assert_eq!(
        (own.failures_only, own.sample, &*own.redact),
        (true, 0.2, &["x-own".to_owned()][..])
    );
    let expected =
        LogFile { path: "own.log".into(), max_size: Some(1 << 20), period: Some(3_600), keep: 3 };
    assert_eq!(own.destination, LogDestination::File(expected));
    let AccessLogFormat::Template(parts) = &own.format else { panic!("a template") };
    assert_eq!(parts[0], LogPart::Field { field: LogField::Client, is_quoted: false });
    let transport = SyslogTransport::Tcp("logs.example:514".into());
    let expected = Syslog { transport, facility: 23, app_name: "edge".into() };
    assert_eq!(far.destination, LogDestination::Syslog(expected));
    assert_eq!(far.format, AccessLogFormat::Json(vec![("s".into(), LogField::Status)]));
    let named = |index| Some(AccessLog::Named(AccessLogId(index)));
    assert_eq!((config.listeners[0].access_log, config.routes[0].access_log), (named(0), named(1)));
    assert_eq!(config.listeners[1].access_log, None);
}

#[test]
fn has_defaults() {
    let read = log("");
    assert_eq!(read.destination, LogDestination::Stdout);
    assert_eq!((read.failures_only, read.sample, read.redact.len()), (false, 1.0, 0));
    assert!(matches!(&read.format, AccessLogFormat::Json(fields) if fields.len() == 25));
    let expected = LogFile { path: "a.log".into(), max_size: None, period: None, keep: 7 };
    assert_eq!(log("file = \"a.log\"").destination, LogDestination::File(expected));
    let transport = |text: &str| match log(&format!("syslog = \"{text}\"")).destination {
        LogDestination::Syslog(Syslog { transport, facility: 16, .. }) => transport,
        other => panic!("{other:?}"),
    };
    assert_eq!(transport("udp://[::1]"), SyslogTransport::Udp("[::1]:514".into()));
    assert_eq!(transport("udp://[::1]:6514"), SyslogTransport::Udp("[::1]:6514".into()));
    assert_eq!(transport("unix:///dev/log"), SyslogTransport::Unix("/dev/log".into()));
    assert_eq!(transport("unix:/dev/log"), SyslogTransport::Unix("/dev/log".into()));
}

#[test]
fn says_where_and_how_a_format_is_wrong() {
    let help = |keys: &str| one(keys);
    assert_eq!(
        help("format = \"{client} {statsu}\""),
        ("statsu".into(), "there is no field `statsu`; did you mean `status`?".into())
    );
    let (place, words) = help("format = \"jsno\"");
    assert_eq!(place, "jsno");
    assert!(words.ends_with("did you mean `json`?"), "{words}");
    assert_eq!(help("format = \"{status}\\n\"").0, "\"{status}\\n\"");
    let (place, words) = help("fields = { a = \"client\", b = \"request.header.a b\" }");
    assert_eq!(place, "a b");
    assert!(words.starts_with("`a b` is no name of a header field"), "{words}");
    let (place, _) = help("format = \"combined\"\nfields = { a = \"client\" }");
    assert_eq!(place, "fields");
    assert!(help("fields = {}").1.starts_with("`fields` is empty"));
    assert!(help("fields = { a = \"attribute.request.id\" }").1.contains("write `request_id`"));
}

#[test]
fn says_where_and_how_a_destination_is_wrong() {
    let words = |keys: &str| one(keys).1;
    assert!(
        words("file = \"a\"\nsyslog = \"udp://a\"").starts_with("an access log goes to one place")
    );
    assert!(
        words("file = \"none/a.log\"").starts_with("the folder of `none/a.log` does not exist")
    );
    assert!(words("file = \"/tmp\"").contains("`/tmp/access.log`"));
    assert!(words("file = { path = \"a\", max_size = \"1KiB\" }").contains("out of range"));
    assert!(words("file = { path = \"a\", rotate = \"weekly\" }").contains("no value of `rotate`"));
    assert!(words("file = { pth = \"a\" }").contains("did you mean `path`?"));
    for address in ["host:514", "http://a", "udp://a:b", "udp://", "unix:log", "tcp://a b:1"] {
        let (place, words) = one(&format!("syslog = \"{address}\""));
        assert!(!place.is_empty() && words.contains("write it like"), "{address}: {words}");
    }
    assert!(
        words("syslog = { address = \"udp://a\", facility = \"local9\" }").contains("facility")
    );
    assert!(words("syslog = { address = \"udp://a\", app_name = \"a b\" }").contains("APP-NAME"));
    assert!(words("sample = 2").contains("out of range"));
    assert!(words("when = \"failure\"").contains("did you mean `failures`?"));
}

#[test]
fn says_what_a_log_may_be_called_and_who_names_none() {
    let named =
        |name: &str| file(&format!("access_log = {name}"), TARGETS, "[access_logs.web]", FORWARD);
    assert!(refused(&named("\"wbe\""))[0].1.contains("did you mean `web`?"));
    assert!(refused(&named("\"erors\""))[0].1.contains("did you mean `errors`?"));
    assert!(refused(&named("\"nothing\""))[0].1.contains("`[access_logs.nothing]`"));
    assert!(refused(&named("false"))[0].1.contains("write `access_log = \"off\"`"));
    let text = file("", TARGETS, "[access_logs.off]", FORWARD);
    assert!(refused(&text)[0].1.contains("`off` cannot be the name"));
    let shared = "[access_logs.a]\nfile = \"a\"\n[access_logs.b]\nfile = \"a\"";
    let text =
        file("access_log = \"a\"", TARGETS, shared, &format!("{FORWARD}\naccess_log = \"b\""));
    assert!(refused(&text)[0].1.contains("write to the same file"));
    let unused = check(&file("", TARGETS, "[access_logs.a]", FORWARD)).unwrap().warnings;
    assert!(unused.render(false).contains("uses the access log `a`"), "{}", unused.render(false));
    let idle = check(&with("file = { path = \"a\", keep = 3 }")).unwrap().warnings;
    assert!(idle.render(false).contains("`keep` has no effect"), "{}", idle.render(false));
}
