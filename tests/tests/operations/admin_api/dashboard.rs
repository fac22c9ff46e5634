//! The files of the dashboard: who gets them, and what a browser is kept to.

use gateway_tests::client::{request, to};
use gateway_tests::{Answer, Http1, Running, Setup};

const DIGEST: &str = "sha256:130a82f68d3064ef477880b571abfcf0f1f4aac4f9cd161aea5e6b543d2ee2d8";

fn start(admin: &str) -> Running {
    let text = format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n{admin}\n\
         [[routes]]\nname = \"r\"\npaths = [\"/\"]\nrespond.body = \"x\"\n"
    );
    Setup::toml(&text, &[]).start()
}

async fn ask(gateway: &Running, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    let admin = gateway.admin.unwrap();
    let mut request = to(admin, request(method, path, &[], ""));
    for (name, value) in fields {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    Http1::connect(admin).await.send(request).await
}

#[tokio::test]
async fn the_page_and_its_files_are_served_without_the_token_and_hold_to_a_policy() {
    let gateway = start(&format!("token = \"{DIGEST}\""));
    for path in ["/", "/dashboard"] {
        let answer = ask(&gateway, "GET", path, &[]).await;
        assert_eq!((answer.status(), answer.header("location")), (302, Some("/dashboard/")));
    }
    for (path, kind) in [
        ("/dashboard/", "text/html; charset=utf-8"),
        ("/dashboard/main.js", "text/javascript; charset=utf-8"),
        ("/dashboard/style.css", "text/css; charset=utf-8"),
        ("/dashboard/icon.svg", "image/svg+xml"),
    ] {
        let answer = ask(&gateway, "GET", path, &[]).await;
        assert_eq!((answer.status(), answer.header("content-type")), (200, Some(kind)), "{path}");
        assert!(!answer.body.is_empty());
        let policy = answer.header("content-security-policy").unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"));
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("cache-control", "no-cache"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        assert_eq!(answer.id().len(), 32);
        // What a browser has is not sent again.
        let tag = answer.header("etag").unwrap();
        let known = ask(&gateway, "GET", path, &[("if-none-match", tag)]).await;
        assert_eq!((known.status(), known.header("etag")), (304, Some(tag)));
        assert!(known.body.is_empty());
        let other = ask(&gateway, "GET", path, &[("if-none-match", "\"another\"")]).await;
        assert_eq!(other.status(), 200);
        let head = ask(&gateway, "HEAD", path, &[]).await;
        assert_eq!((head.status(), head.body.len()), (200, 0));
    }
    // The data behind it has the token all the same.
    for path in ["/traffic", "/traffic/stream", "/routes", "/routes/r/chain"] {
        assert_eq!(ask(&gateway, "GET", path, &[]).await.problem()["status"], 401, "{path}");
    }
}

#[tokio::test]
async fn files_that_are_not_there_and_pages_of_others_get_nothing() {
    let gateway = start("");
    for path in ["/dashboard/nothing.js", "/dashboard/..%2Findex.html", "/dashboard/README.md"] {
        assert_eq!(ask(&gateway, "GET", path, &[]).await.problem()["status"], 404, "{path}");
    }
    assert_eq!(ask(&gateway, "GET", "/dashboard/?x=1", &[]).await.problem()["status"], 400);
    assert_eq!(ask(&gateway, "POST", "/dashboard/", &[]).await.problem()["status"], 405);
    for path in ["/", "/dashboard/", "/dashboard/main.js", "/traffic", "/traffic/stream"] {
        for (name, value, status) in [
            ("host", "evil.example", 421),
            ("origin", "https://evil.example", 403),
            ("sec-fetch-site", "cross-site", 403),
        ] {
            let answer = ask(&gateway, "GET", path, &[(name, value)]).await;
            assert_eq!(answer.problem()["status"], status, "{path} {name}");
        }
    }
}
