//! TLS: trust, names, ALPN.

use std::rc::Rc;
use std::sync::Arc;

use http::{Method, Version, header};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::support::{
    Server, answer, config, echo, full, get, named_target, request, run, send, serve_http2,
    upstream,
};
use crate::config::{self, UpstreamProtocol};
use crate::upstream::{ConnectError, UpstreamError};

pub(super) fn authority() -> (CertificateDer<'static>, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap().der().clone();
    (certificate, Issuer::new(params, key))
}

/// A server for `service.test` with these protocols, and the authority that vouches for it.
async fn tls_server(alpn: &[&str]) -> (Server, CertificateDer<'static>) {
    tls_server_that(alpn, |stream| async move {
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            return serve_http2(TokioIo::new(stream), 100).await;
        }
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service_fn(echo));
        let _ended = connection.await;
    })
    .await
}

async fn tls_server_that<F>(
    alpn: &[&str],
    serve: impl Fn(TlsStream<TcpStream>) -> F + 'static,
) -> (Server, CertificateDer<'static>)
where
    F: Future<Output = ()> + 'static,
{
    let serve = Rc::new(serve);
    let (ca, issuer) = authority();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["service.test".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap().der().clone();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let server = Server::start(move |stream, _| {
        let (acceptor, serve) = (acceptor.clone(), Rc::clone(&serve));
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream).await;
            }
        }
    })
    .await;
    (server, ca)
}

fn tls_config(server: &Server, ca: CertificateDer<'static>) -> config::Upstream {
    let mut target = named_target("127.0.0.1", server.address.port());
    target.tls = true;
    let mut config = config(vec![target]);
    config.tls.ca = Some(vec![ca]);
    config.tls.server_name = Some("service.test".to_owned());
    config
}

async fn refusal(config: &config::Upstream) -> ConnectError {
    let upstream: crate::upstream::Upstream = upstream(config);
    match send(&upstream, get("/")).await.err() {
        Some(UpstreamError::Connect { cause, .. }) => cause,
        other => panic!("{other:?}"),
    }
}

#[test]
fn by_default_the_target_chooses_the_protocol() {
    run(async {
        let cases: [(&[&str], Version); 4] = [
            (&["h2", "http/1.1"], Version::HTTP_2),
            (&["h2"], Version::HTTP_2),
            (&["http/1.1"], Version::HTTP_11),
            (&[], Version::HTTP_11),
        ];
        for (alpn, version) in cases {
            let (server, ca) = tls_server(alpn).await;
            let upstream = upstream(&tls_config(&server, ca));
            for number in 0..3 {
                let answer = answer(&upstream, get("/")).await;
                assert_eq!((answer.version, answer.reused), (version, number > 0), "{alpn:?}");
            }
            assert_eq!(server.accepted(), 1, "{alpn:?}");
        }
    });
}

#[test]
fn the_protocol_can_be_fixed() {
    run(async {
        let (server, ca) = tls_server(&["h2", "http/1.1"]).await;
        let mut config = tls_config(&server, ca);
        config.protocol = UpstreamProtocol::Http1;
        assert_eq!(answer(&upstream(&config), get("/")).await.version, Version::HTTP_11);
        config.protocol = UpstreamProtocol::Http2;
        let said = answer(&upstream(&config), get("/")).await;
        assert_eq!(said.version, Version::HTTP_2);
        assert!(said.text.starts_with("HTTP/2.0 GET https://api.example.com/ "), "{}", said.text);
    });
}

#[test]
fn says_so_when_the_target_does_not_take_http2() {
    run(async {
        for alpn in [&["http/1.1"] as &[&str], &[]] {
            let (server, ca) = tls_server(alpn).await;
            let mut config = tls_config(&server, ca);
            config.protocol = UpstreamProtocol::Http2;
            let refusal = refusal(&config).await;
            assert!(matches!(refusal, ConnectError::NoHttp2 | ConnectError::Tls(_)), "{refusal}");
            assert!(
                refusal.to_string().to_lowercase().contains("alpn")
                    || refusal.to_string().contains("NoApplicationProtocol"),
                "{refusal}"
            );
        }
    });
}

#[test]
fn an_upgrade_goes_over_http1_even_where_http2_is_spoken() {
    run(async {
        let (server, ca) = tls_server(&["h2", "http/1.1"]).await;
        let upstream = upstream(&tls_config(&server, ca));
        assert_eq!(answer(&upstream, get("/")).await.version, Version::HTTP_2);
        let mut request = get("/");
        request.headers_mut().insert(header::UPGRADE, "websocket".parse().unwrap());
        request.headers_mut().insert(header::CONNECTION, "upgrade".parse().unwrap());
        assert_eq!(answer(&upstream, request).await.version, Version::HTTP_11);
        assert_eq!(answer(&upstream, get("/")).await.version, Version::HTTP_2);
        assert_eq!(server.accepted(), 2);
    });
}

#[test]
fn trusts_only_the_given_authority_and_only_for_the_name() {
    run(async {
        let (server, ca) = tls_server(&["http/1.1"]).await;
        let mut config = tls_config(&server, ca);
        config.tls.server_name = Some("other.test".to_owned());
        assert!(matches!(refusal(&config).await, ConnectError::Tls(_)));
        config.tls.server_name = None;
        assert!(matches!(refusal(&config).await, ConnectError::Tls(_)), "127.0.0.1 is not in it");
        config.tls.server_name = Some("service.test".to_owned());
        config.tls.ca = Some(vec![authority().0]);
        let refusal = refusal(&config).await;
        assert!(refusal.to_string().contains("invalid peer certificate"), "{refusal}");
    });
}

/// A server whose certificate is its own, made with these changes.
async fn self_signed(change: impl Fn(&mut CertificateParams)) -> (Server, CertificateDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["service.test".to_owned()]).unwrap();
    change(&mut params);
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let server = Server::start(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(echo));
            let _ended = connection.await;
        }
    });
    (server.await, certificate)
}

/// As plain `openssl req -x509 -subj /CN=service.test` makes it.
fn as_openssl_does(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.subject_alt_names.clear();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "service.test");
}

#[test]
fn takes_the_certificate_that_stands_in_ca_itself_for_its_name_and_its_time() {
    run(async {
        let authority = |it: &mut CertificateParams| {
            it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        };
        for change in [&authority as &dyn Fn(&mut CertificateParams), &as_openssl_does] {
            let (server, certificate) = self_signed(change).await;
            let mut config = tls_config(&server, certificate);
            assert_eq!(answer(&upstream(&config), get("/")).await.version, Version::HTTP_11);
            config.tls.server_name = Some("other.test".to_owned());
            let refused = refusal(&config).await.to_string();
            assert!(
                refused.contains("`other.test`") && refused.contains("tls.server_name"),
                "{refused}"
            );
            // Another certificate with the same names is not this one.
            config.tls.server_name = Some("service.test".to_owned());
            config.tls.ca = Some(vec![self_signed(change).await.1]);
            let refused = refusal(&config).await.to_string();
            assert!(refused.contains("invalid peer certificate"), "{refused}");
        }
        let expired = |it: &mut CertificateParams| {
            as_openssl_does(it);
            it.not_after = rcgen::date_time_ymd(2020, 1, 1);
        };
        let for_clients = |it: &mut CertificateParams| {
            as_openssl_does(it);
            it.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        };
        for change in [&expired as &dyn Fn(&mut CertificateParams), &for_clients] {
            let (server, certificate) = self_signed(change).await;
            let refused = refusal(&tls_config(&server, certificate)).await.to_string();
            assert!(refused.contains("invalid peer certificate"), "{refused}");
        }
    });
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn a_target_that_ends_tls_behind_its_response_is_asked_on_a_new_connection() {
    run(async {
        let (server, ca) = tls_server_that(&[], |mut stream| async move {
            let _head = stream.read(&mut [0; 4096]).await;
            stream.write_all(OK).await.unwrap();
            // The connection below stays open.
            stream.get_mut().1.send_close_notify();
            stream.flush().await.unwrap();
            let _until_closed = stream.read(&mut [0; 64]).await;
        })
        .await;
        let upstream = upstream(&tls_config(&server, ca));
        for _ in 0..3 {
            let answer = answer(&upstream, request(Method::POST, "/", full("x"))).await;
            assert_eq!((&*answer.text, answer.reused), ("ok", false));
        }
    });
}

#[test]
fn a_target_is_told_that_nothing_more_comes() {
    run(async {
        let (told, mut is_told) = mpsc::unbounded_channel();
        let (server, ca) = tls_server_that(&[], move |mut stream| {
            let told = told.clone();
            async move {
                let _head = stream.read(&mut [0; 4096]).await;
                stream.write_all(OK).await.unwrap();
                // An end without the word of TLS would be an error.
                told.send(stream.read(&mut [0; 64]).await.map_err(|error| error.kind())).unwrap();
            }
        })
        .await;
        let upstream = upstream(&tls_config(&server, ca));
        answer(&upstream, get("/")).await;
        drop(upstream);
        assert_eq!(is_told.recv().await, Some(Ok(0)));
    });
}
