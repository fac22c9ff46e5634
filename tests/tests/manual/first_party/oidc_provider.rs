//! `oidc` against a provider that is certified: `oidc-provider` under Node.js, by `.ci/run`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use gateway_tests::{Answer, Upstream, within};

use crate::first_party::oidc::{Browser, parameter, start, text};

struct Provider {
    address: SocketAddr,
    input: ChildStdin,
    process: Child,
}

impl Provider {
    async fn start() -> Self {
        let folder = std::env::var("OIDC_PROVIDER").expect("OIDC_PROVIDER is set");
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("oidc-provider/provider.mjs");
        let mut command = Command::new("node");
        command.arg(script).arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let port = tokio::task::spawn_blocking(|| {
            let lines = BufReader::new(output).lines();
            lines.map_while(Result::ok).find_map(|line| line.parse::<u16>().ok())
        });
        let port = within(port).await.unwrap().expect("it prints its port");
        Self { address: SocketAddr::from(([127, 0, 0, 1], port)), input, process }
    }

    /// From the address of a login to that of the way back: the user is there, and agrees.
    async fn authorize(&self, browser: &mut Browser, address: &str) -> String {
        let mut address = address.to_owned();
        for _ in 0..10 {
            let base = format!("http://{}", self.address);
            let Some(target) = address.strip_prefix(&base) else { return address };
            let answer = browser.send("GET", target, &[], "").await;
            assert!(matches!(answer.status(), 302 | 303), "{} {}", answer.status(), answer.text());
            let next = answer.header("location").unwrap();
            address = if next.starts_with('/') { format!("{base}{next}") } else { next.to_owned() };
        }
        panic!("no end: {address}");
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ended = self.process.kill().and_then(|()| self.process.wait());
    }
}

/// The target of an address of the gateway.
fn here(address: &str) -> &str {
    address.strip_prefix("https://shop.example").unwrap_or_else(|| panic!("{address}"))
}

fn location(answer: &Answer) -> &str {
    assert_eq!(answer.status(), 303, "{}", answer.text());
    answer.header("location").unwrap()
}

#[tokio::test]
#[ignore = "needs the provider: see `tokens` in .ci/run"]
async fn a_certified_provider_logs_browsers_in_and_out() {
    let (mut provider, orders) = (Provider::start().await, Upstream::echo().await);
    let further = "userinfo = \"login\"\nclaims_to_attributes = [\"nickname\"]\n\
                   scopes = [\"openid\", \"email\", \"profile\", \"offline_access\"]\n\
                   authorization_parameters = { prompt = \"consent\" }";
    let gateway = start(&text(further, "\"login\""), &provider.address, &orders.address);
    writeln!(provider.input, "{}", gateway.address).unwrap();
    let mut at_provider = Browser::at(provider.address, &provider.address.to_string()).await;
    let mut browser = Browser::new(gateway.address).await;

    // Two tabs.
    let first = location(&browser.visit("/first?a=1").await).to_owned();
    let second = location(&browser.visit("/second").await).to_owned();
    for (away, target) in [(&second, "/second"), (&first, "/first?a=1")] {
        let back = provider.authorize(&mut at_provider, away).await;
        assert_eq!(location(&browser.visit(here(&back)).await), target);
    }
    // What was used once is of no use.
    let back = provider.authorize(&mut at_provider, &first).await;
    assert_eq!(browser.visit(here(&back)).await.status(), 400);

    // Tokens are renewed at each request, since they are short: the refresh token is another each time.
    let mut tokens = Vec::new();
    for _ in 0..3 {
        let answer = browser.fetch("/orders").await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        let seen = orders.requests().pop().unwrap();
        assert_eq!(
            (&seen.headers["x-user"], &seen.headers["x-mail"]),
            (&"ada".parse().unwrap(), &"ada@example.com".parse().unwrap())
        );
        assert!(!seen.headers.contains_key("cookie"));
        tokens.push(seen.headers["x-token"].clone());
    }
    assert!(tokens[0] != tokens[1] && tokens[1] != tokens[2], "{tokens:?}");

    // The browser logs out, at the provider too, and is sent where it is to be.
    let copy = browser.cookies.clone();
    let end = location(&browser.visit("/oidc/logout").await).to_owned();
    assert!(browser.cookies.is_empty());
    confirm(&provider, &mut at_provider, &end, Some("https://shop.example/bye")).await;
    browser.cookies = copy;
    assert_eq!(browser.fetch("/orders").await.status(), 401);

    // The provider logs out a browser that asks nobody here.
    browser.cookies.clear();
    let away = location(&browser.visit("/orders").await).to_owned();
    let back = provider.authorize(&mut at_provider, &away).await;
    assert_eq!(location(&browser.visit(here(&back)).await), "/orders");
    assert_eq!(browser.fetch("/orders").await.status(), 200);
    let end = format!("http://{}/session/end", provider.address);
    confirm(&provider, &mut at_provider, &end, None).await;
    let mut ended = browser.fetch("/orders").await.status();
    for _ in 0..200 {
        if ended == 401 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        ended = browser.fetch("/orders").await.status();
    }
    assert_eq!(ended, 401);

    // The user says no there.
    browser.cookies.clear();
    let away = location(&browser.visit("/orders").await).to_owned();
    let away = format!("{away}&login_hint=denied");
    let back = provider.authorize(&mut at_provider, &away).await;
    assert_eq!(parameter(&back, "error"), Some("access_denied"));
    let answer = browser.visit(here(&back)).await;
    assert_eq!(answer.status(), 403, "{}", answer.text());
    assert!(!answer.text().contains("evil"));
    // A state of nobody, and a code of nobody.
    assert_eq!(browser.visit("/oidc/callback?code=x&state=0123456789").await.status(), 400);
    let away = location(&browser.visit("/orders").await).to_owned();
    let state = parameter(&away, "state").unwrap();
    let issuer = format!("http%3A%2F%2F{}", provider.address);
    let target = format!("/oidc/callback?code=nobodys&state={state}&iss={issuer}");
    assert_eq!(browser.visit(&target).await.status(), 502);
}

/// Confirms a logout at the provider, and says where that leads.
async fn confirm(
    provider: &Provider,
    browser: &mut Browser,
    address: &str,
    expected: Option<&str>,
) {
    let base = format!("http://{}", provider.address);
    let target = address.strip_prefix(&base).unwrap_or_else(|| panic!("{address}"));
    let form = browser.send("GET", target, &[], "").await;
    assert_eq!(form.status(), 200, "{}", form.text());
    let (_, rest) = form.text().split_once("name=\"xsrf\" value=\"").expect("a form");
    let (secret, _) = rest.split_once('"').unwrap();
    let body = format!("xsrf={secret}&logout=yes");
    let fields = [("content-type", "application/x-www-form-urlencoded")];
    let answer = browser.send("POST", "/session/end/confirm", &fields, &body).await;
    assert!(matches!(answer.status(), 302 | 303), "{}", answer.text());
    if let Some(expected) = expected {
        let location = answer.header("location").unwrap();
        assert_eq!(location.split('?').next(), Some(expected));
    }
}
