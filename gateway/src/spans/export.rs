//! The thread that exports spans.
//!
//! Owns batches, what becomes of one that the collector refuses, and the log lines: one when the
//! collector is lost and one when it is back. Must not keep what was refused: the
//! queue is the only bound that there is.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{
    Compression, ExporterBuildError, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
    WithTonicConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use rustls::pki_types::CertificateDer;
use tokio::sync::{Notify, mpsc};

use super::Finished;
use super::http::Client;
use crate::config::{Collector, CollectorProtocol, Traces};
use crate::telemetry::metrics::SpanCounts;

/// How long spans wait for others at most.
const INTERVAL: Duration = Duration::from_secs(1);
/// Spans of a batch, about; it has all spans of an exchange.
const BATCH: usize = 512;

/// What produces the spans.
pub(super) fn resource(settings: &Traces) -> Resource {
    let attributes = settings.attributes.iter();
    let attributes = attributes.map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    Resource::builder_empty()
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attributes(attributes)
        .with_service_name(settings.service.clone())
        .build()
}

/// Exports what comes until nothing can come any more, or until all is over and nothing is left.
pub(super) fn run(
    collector: &Collector,
    resource: Resource,
    mut queue: mpsc::Receiver<Box<Finished>>,
    wake: &Notify,
    is_over: &AtomicBool,
    counts: &SpanCounts,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "no spans are exported: there is no runtime");
            return;
        }
    };
    runtime.block_on(async {
        let mut exporter = match exporter(collector) {
            Ok(exporter) => exporter,
            Err(error) => {
                tracing::error!(%error, "no spans are exported");
                return;
            }
        };
        exporter.set_resource(&resource);
        let scope = InstrumentationScope::builder("gateway")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        let mut state = State { endpoint: &collector.endpoint, is_away: false };
        let mut is_last = false;
        while !is_last {
            let _early = tokio::time::timeout(INTERVAL, wake.notified()).await;
            // What ended before this was asked is in the queue.
            is_last = is_over.load(Relaxed) || queue.is_closed();
            loop {
                let mut spans = Vec::new();
                while spans.len() < BATCH
                    && let Ok(finished) = queue.try_recv()
                {
                    finished.into_spans(&scope, &mut spans);
                }
                if spans.is_empty() {
                    break;
                }
                send(&exporter, spans, &mut state, counts).await;
            }
        }
    });
}

/// Whether the collector is known to be away.
struct State<'c> {
    endpoint: &'c str,
    is_away: bool,
}

async fn send(
    exporter: &SpanExporter,
    spans: Vec<SpanData>,
    state: &mut State<'_>,
    counts: &SpanCounts,
) {
    let count = spans.len();
    let endpoint = state.endpoint;
    match exporter.export(spans).await {
        Ok(()) => {
            counts.exported(count);
            if state.is_away {
                tracing::info!(endpoint, "the collector takes spans again");
            }
            state.is_away = false;
        }
        Err(error) => {
            counts.refused(count);
            if !state.is_away {
                tracing::warn!(
                    endpoint,
                    %error,
                    "the collector takes no spans: they are dropped and counted in \
                     `gateway_spans_dropped_total` until it does"
                );
            }
            state.is_away = true;
        }
    }
}

fn exporter(collector: &Collector) -> Result<SpanExporter, ExporterBuildError> {
    let fields = collector.headers.iter();
    match collector.protocol {
        CollectorProtocol::Grpc => {
            let mut metadata = MetadataMap::with_capacity(collector.headers.len());
            metadata.as_mut().extend(fields.cloned());
            let mut builder = SpanExporter::builder()
                .with_tonic()
                .with_endpoint(&collector.endpoint)
                .with_timeout(collector.timeout)
                .with_metadata(metadata);
            if collector.endpoint.starts_with("https://") {
                let mut tls = ClientTlsConfig::new();
                tls = match &collector.ca {
                    Some(ca) => ca.iter().fold(tls, |tls, ca| tls.ca_certificate(pem(ca))),
                    None => tls.with_native_roots(),
                };
                builder = builder.with_tls_config(tls);
            }
            if collector.is_compressed {
                builder = builder.with_compression(Compression::Gzip);
            }
            builder.build()
        }
        CollectorProtocol::Http => {
            let fields = fields.filter_map(|(name, value)| {
                Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
            });
            let client = Client::new(collector.ca.as_deref(), collector.timeout);
            let client =
                client.map_err(|error| ExporterBuildError::InternalFailure(error.to_string()))?;
            let mut builder = SpanExporter::builder()
                .with_http()
                .with_http_client(client)
                .with_endpoint(&collector.endpoint)
                .with_timeout(collector.timeout)
                .with_headers(fields.collect());
            if collector.is_compressed {
                builder = builder.with_compression(Compression::Gzip);
            }
            builder.build()
        }
    }
}

/// A certificate as tonic takes it.
fn pem(certificate: &CertificateDer<'_>) -> Certificate {
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    let digits = BASE64_STANDARD.encode(certificate);
    for line in digits.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    Certificate::from_pem(text)
}
