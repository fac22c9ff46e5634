//! A collector that keeps what it is sent, over gRPC and over HTTP.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use gateway_tests::upstream::full;
use gateway_tests::{Upstream, tls, until};
use http::Response;
use http_body_util::BodyExt as _;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tonic::codec::CompressionEncoding;

/// What was taken so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taken(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

impl Taken {
    /// All spans, as soon as there are as many.
    pub(crate) async fn spans(&self, count: usize) -> Vec<Span> {
        until(|| self.all().len() >= count).await;
        let spans = self.all();
        assert_eq!(spans.len(), count, "{spans:#?}");
        spans
    }

    /// All spans so far.
    pub(crate) fn all(&self) -> Vec<Span> {
        let taken = self.0.lock().unwrap();
        let resources = taken.iter().flat_map(|it| &it.resource_spans);
        resources.flat_map(|it| &it.scope_spans).flat_map(|it| it.spans.clone()).collect()
    }

    /// The attributes of what produced them.
    pub(crate) fn resource(&self) -> BTreeMap<String, String> {
        let taken = self.0.lock().unwrap();
        let resource = taken[0].resource_spans[0].resource.as_ref().unwrap();
        attributes(&resource.attributes)
    }
}

/// Attributes as text.
pub(crate) fn attributes(all: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| match attribute.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text.clone()),
        any_value::Value::IntValue(number) => Some(number.to_string()),
        any_value::Value::DoubleValue(number) => Some(number.to_string()),
        other => panic!("{other:?}"),
    };
    all.iter().map(|it| (it.key.clone(), text(it).unwrap())).collect()
}

#[tonic::async_trait]
impl TraceService for Taken {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        assert_eq!(request.metadata().get("x-token").unwrap(), "hunter2");
        self.0.lock().unwrap().push(request.into_inner());
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

/// One that speaks gRPC, and takes gzip.
pub(crate) async fn grpc() -> (Taken, SocketAddr) {
    let taken = Taken::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service =
        TraceServiceServer::new(taken.clone()).accept_compressed(CompressionEncoding::Gzip);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = hyper_util::service::TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let io = hyper_util::rt::TokioIo::new(stream);
                let executor = hyper_util::rt::TokioExecutor::new();
                let builder = hyper::server::conn::http2::Builder::new(executor);
                let _ended = builder.serve_connection(io, service).await;
            });
        }
    });
    (taken, address)
}

/// One that speaks HTTP, without compression.
pub(crate) async fn http() -> (Taken, Upstream) {
    let taken = Taken::default();
    let kept = taken.clone();
    let upstream = Upstream::http1(move |request| {
        let kept = kept.clone();
        async move {
            assert_eq!(request.uri().path(), "/v1/traces");
            assert_eq!(request.headers()["content-type"], "application/x-protobuf");
            assert_eq!(request.headers()["x-token"], "hunter2");
            assert!(!request.headers().contains_key("content-encoding"));
            let body = request.into_body().collect().await.unwrap().to_bytes();
            kept.0.lock().unwrap().push(ExportTraceServiceRequest::decode(body).unwrap());
            Response::new(full(""))
        }
    })
    .await;
    (taken, upstream)
}

/// TLS in front of a collector, and the PEM of its certificate for `localhost`.
pub(crate) async fn secured(collector: SocketAddr) -> (SocketAddr, String) {
    let (certificate, key) = tls::pem(&["localhost"]);
    let certified = tls::from_pem(certificate.as_bytes(), key.as_bytes());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust it ends the handshake.
                let Ok(mut near) = acceptor.accept(stream).await else { return };
                let mut far = TcpStream::connect(collector).await.unwrap();
                let _ended = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    (address, certificate)
}
