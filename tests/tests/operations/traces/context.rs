//! W3C Trace Context, as an upstream sees it (<https://www.w3.org/TR/trace-context/>).

use gateway_tests::{Http2, Raw, Running, Setup, Upstream, client};

const TRACE: &str = "12345678901234567890123456789012";
const PARENT: &str = "1234567890123456";
const VALID: &str = "00-12345678901234567890123456789012-1234567890123456-01";

/// What the upstream is told.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    trace: String,
    parent: String,
    flags: u8,
    state: Option<String>,
}

/// A gateway with these keys in `[traces]`, and the service behind it.
struct Case {
    upstream: Upstream,
    gateway: Running,
}

impl Case {
    async fn new(keys: &str) -> Self {
        let upstream = Upstream::echo().await;
        let text = format!(
            "[traces]\n{keys}\n[upstreams.a]\ntargets = [\"http://${{env:A}}\"]\n\
             [[routes]]\nname = \"all\"\npaths = [\"/{{*rest}}\"]\nupstream = \"a\"\n"
        );
        let gateway = Setup::toml(&text, &[("A", &upstream.address)]).start();
        Self { upstream, gateway }
    }

    /// What becomes of these fields.
    async fn told(&self, fields: &[&str]) -> Told {
        let mut head = String::from("POST /x HTTP/1.1\r\nhost: a.example\r\ncontent-length: 2\r\n");
        for field in fields {
            head.push_str(field);
            head.push_str("\r\n");
        }
        let answer = Raw::ask(self.gateway.address, format!("{head}\r\nhi")).await;
        assert_eq!((answer.status, &*answer.body), (200, "hi"));
        self.seen()
    }

    fn seen(&self) -> Told {
        let request = self.upstream.requests().pop().unwrap();
        let only = |name: &str| {
            let mut all = request.headers.get_all(name).iter();
            let value = all.next().map(|value| value.to_str().unwrap().to_owned());
            assert!(all.next().is_none(), "{name} more than once");
            value
        };
        let parent = only("traceparent").unwrap();
        let parts: Vec<_> = parent.split('-').collect();
        let [version, trace, parent, flags] = parts[..] else { panic!("{parts:?}") };
        assert_eq!((version, trace.len(), parent.len(), flags.len()), ("00", 32, 16, 2));
        assert!(trace.bytes().chain(parent.bytes()).all(|it| b"0123456789abcdef".contains(&it)));
        assert!(trace != "0".repeat(32) && parent != "0".repeat(16) && parent != PARENT);
        Told {
            trace: trace.to_owned(),
            parent: parent.to_owned(),
            flags: u8::from_str_radix(flags, 16).unwrap(),
            state: only("tracestate"),
        }
    }
}

fn field(value: &str) -> String {
    format!("traceparent: {value}")
}

#[tokio::test]
async fn begins_a_trace_where_there_is_none() {
    let case = Case::new("").await;
    let (first, second) = (case.told(&[]).await, case.told(&[]).await);
    assert_ne!(first.trace, second.trace);
    assert_ne!(first.parent, second.parent);
    // Sampled, and its ids are random.
    assert_eq!((first.flags, first.state), (3, None));
    // Misspelt names are names of something else.
    for name in ["trace-parent", "trace.parent"] {
        assert_ne!(case.told(&[&format!("{name}: {VALID}")]).await.trace, TRACE);
    }
    // A state without a trace says nothing.
    assert_eq!(case.told(&["tracestate: a=1"]).await.state, None);
}

#[tokio::test]
async fn goes_on_with_the_trace_of_a_caller() {
    let case = Case::new("").await;
    let later = VALID.replacen("00", "cc", 1);
    for value in [VALID, &later, &format!("{later}-what-is-to-come"), &format!("\t {VALID} \t")] {
        let told = case.told(&[&field(value)]).await;
        assert_eq!((&*told.trace, told.flags), (TRACE, 1), "{value}");
    }
    for name in ["TraceParent", "TRACEPARENT", "TrAcEpArEnT"] {
        assert_eq!(case.told(&[&format!("{name}: {VALID}")]).await.trace, TRACE);
    }
    let flags = |flags| field(&VALID.replace("-01", flags));
    assert_eq!(case.told(&[&flags("-00")]).await.flags, 0);
    // Of the flags, those pass that have a meaning.
    assert_eq!(case.told(&[&flags("-fe")]).await.flags, 2);
    // Each request has its own span.
    let (first, second) = (case.told(&[&field(VALID)]).await, case.told(&[&field(VALID)]).await);
    assert_eq!(first.trace, second.trace);
    assert_ne!(first.parent, second.parent);
}

#[tokio::test]
async fn begins_anew_where_the_caller_s_is_invalid() {
    let case = Case::new("").await;
    let later = VALID.replacen("00", "cc", 1);
    let mut invalid: Vec<String> = ["ff", ".0", "0.", "0", "000", "0000"]
        .iter()
        .map(|version| VALID.replacen("00", version, 1))
        .collect();
    invalid.extend([format!("{VALID}."), format!("{VALID}-more"), format!("{later}.more")]);
    for trace in
        ["0".repeat(32), TRACE.replacen('1', ".", 1), format!("{TRACE}3"), TRACE[..31].into()]
    {
        invalid.push(VALID.replace(TRACE, &trace));
    }
    for parent in
        ["0".repeat(16), PARENT.replacen('1', ".", 1), format!("{PARENT}7"), PARENT[..15].into()]
    {
        invalid.push(VALID.replace(&format!("-{PARENT}-"), &format!("-{parent}-")));
    }
    invalid.extend(["-.0", "-0.", "-001", "-1"].map(|flags| VALID.replace("-01", flags)));
    invalid.push(VALID.replace("1234567890123456-", "123456789012345A-"));
    for value in &invalid {
        let told = case.told(&[&field(value), "tracestate: a=1"]).await;
        assert_ne!(told.trace, TRACE, "{value}");
        assert_eq!(told.state, None, "{value}");
    }
    let other = VALID.replace(TRACE, &TRACE.replace('1', "7"));
    let told = case.told(&[&field(VALID), &field(&other)]).await;
    assert!(told.trace != TRACE && !other.contains(&told.trace), "{told:?}");
}

#[tokio::test]
async fn passes_on_a_valid_state_as_one_field() {
    let case = Case::new("").await;
    let told = async |fields: &[&str]| {
        let parent = field(VALID);
        let mut all = vec![&*parent];
        let fields: Vec<_> = fields.iter().map(|value| format!("TraceState: {value}")).collect();
        all.extend(fields.iter().map(String::as_str));
        let told = case.told(&all).await;
        assert_eq!(told.trace, TRACE);
        told.state
    };
    let kept = |text: &str| Some(text.to_owned());
    assert_eq!(told(&["a=1,b=2", "c=3", "", "d=4"]).await, kept("a=1,b=2,c=3,d=4"));
    assert_eq!(told(&["a=1 \t , \t b=2,\t"]).await, kept("a=1,b=2"));
    assert_eq!(told(&["a=1,a=2"]).await, kept("a=1,a=2"));
    assert_eq!(told(&["0@b_-*/=x ~"]).await, kept("0@b_-*/=x ~"));
    for invalid in ["A=1", "a =1", "a.b=1", "@a=1,b=2", "a=b=c", "a=,b=2", ""] {
        assert_eq!(told(&[invalid]).await, None, "{invalid}");
    }
    let members = |count: usize| (0..count).map(|it| format!("m{it}={it}")).collect::<Vec<_>>();
    assert_eq!(told(&[&members(32).join(",")]).await, kept(&members(32).join(",")));
    assert_eq!(told(&[&members(32).join(","), "one=more"]).await, None);
    let long = |length| format!("{}=1", "z".repeat(length));
    assert_eq!(told(&["a=1", &long(256)]).await, kept(&format!("a=1,{}", long(256))));
    assert_eq!(told(&["a=1", &long(257)]).await, None);
}

#[tokio::test]
async fn does_the_same_over_http2_and_leaves_baggage_alone() {
    let case = Case::new("").await;
    let mut client = Http2::connect(case.gateway.address).await;
    let fields = [("traceparent", VALID), ("tracestate", "a=1"), ("baggage", "user=7,k=v;p")];
    let request = client::request2("POST", "/x", &fields, "hi");
    assert_eq!(client.send(request).await.status(), 200);
    let told = case.seen();
    assert_eq!((&*told.trace, told.flags, told.state.as_deref()), (TRACE, 1, Some("a=1")));
    let request = case.upstream.requests().pop().unwrap();
    assert_eq!(request.headers["baggage"], "user=7,k=v;p");
}

#[tokio::test]
async fn samples_by_ratio_and_restarts_where_it_is_told_to() {
    let none = Case::new("sample = 0.0").await;
    assert_eq!(none.told(&[]).await.flags, 2);
    // The caller's word counts for its own trace.
    assert_eq!(none.told(&[&field(VALID)]).await.flags, 1);
    let half = Case::new("sample = 0.5").await;
    let mut sampled = 0;
    for _ in 0..200 {
        sampled += half.told(&[]).await.flags & 1;
    }
    assert!((50..150).contains(&sampled), "{sampled}");
    let restarts = Case::new("incoming = \"restart\"").await;
    let told = restarts.told(&[&field(VALID), "tracestate: a=1"]).await;
    assert!(told.trace != TRACE && told.state.is_none(), "{told:?}");
}

#[tokio::test]
async fn touches_nothing_without_traces() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let head =
        "GET /x HTTP/1.1\r\nhost: a.example\r\ntraceparent: nonsense\r\ntracestate: X\r\n\r\n";
    assert_eq!(Raw::ask(gateway.address, head).await.status, 200);
    let request = upstream.request();
    assert_eq!(request.headers["traceparent"], "nonsense");
    assert_eq!(request.headers["tracestate"], "X");
}
