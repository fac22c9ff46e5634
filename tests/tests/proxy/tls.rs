//! TLS towards clients.

use gateway::config::ListenerTls;
use gateway_tests::{Http1, Http2, Raw, Setup, client, route, tls};

fn secured(certificates: Vec<std::sync::Arc<rustls::sign::CertifiedKey>>) -> Setup {
    let tls = ListenerTls { certificates, ..ListenerTls::default() };
    Setup::new().route(route("/")).listen(|it| it.tls = Some(tls))
}

#[tokio::test]
async fn agrees_on_the_version_by_alpn() {
    let certificate = tls::certificate(&["a.example"]);
    let gateway = secured(vec![certificate.clone()]).start();
    let connect = async |alpn: &[&str]| {
        tls::connect(gateway.address, "a.example", &[&certificate], alpn).await
    };
    let two = connect(&["h2", "http/1.1"]).await;
    assert_eq!(two.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let answer = Http2::over(two).await.send(client::get2("/")).await;
    assert_eq!((answer.status(), answer.head.version), (200, http::Version::HTTP_2));
    for alpn in [&["http/1.1"][..], &[]] {
        let answer = Http1::over(connect(alpn).await).await.send(client::get("/")).await;
        assert_eq!(answer.status(), 200);
    }
}

#[tokio::test]
async fn shows_the_certificate_that_the_name_asks_for() {
    let first = tls::certificate(&["a.example"]);
    let second = tls::certificate(&["b.example", "*.c.example"]);
    let gateway = secured(vec![first.clone(), second.clone()]).start();
    for (name, expected) in
        [("a.example", &first), ("b.example", &second), ("x.c.example", &second)]
    {
        let stream = tls::connect(gateway.address, name, &[&first, &second], &[]).await;
        assert_eq!(tls::shown(&stream), expected.cert[0], "{name}");
    }
}

#[tokio::test]
async fn gives_up_a_handshake_that_does_not_end() {
    let certificate = tls::certificate(&["a.example"]);
    let gateway = secured(vec![certificate])
        .listen(|it| it.timeouts.header = std::time::Duration::from_millis(200))
        .start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send([0x16, 3, 1]).await;
    assert_eq!(raw.rest().await, "");
}
