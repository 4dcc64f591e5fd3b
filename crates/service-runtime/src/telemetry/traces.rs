//! Traces, sent to a collector by OTLP over HTTP from a thread of their own. Nothing waits for the collector: spans
//! queue up to a limit and are dropped beyond it. The log reports once that the collector cannot be reached.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter,
};
use reqwest::header::AUTHORIZATION;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::{Layer, Registry};
use url::Url;

use crate::server_url;
use crate::settings::{OTLP_ENDPOINT, OTLP_SAMPLE_RATIO, SettingError, Settings};

/// The time limit of one message to the collector.
const SEND_LIMIT: Duration = Duration::from_secs(2);
const SEND_EVERY: Duration = Duration::from_secs(1);
/// Maximum number of spans that wait to be sent.
const MAX_WAITING: usize = 8192;
/// How much longer shutdown may take to send the last spans.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

/// Where to send traces, and the fraction of requests to trace.
#[derive(Debug)]
pub(super) struct TraceConfig {
    endpoint: Url,
    ratio: f64,
}

/// The traces of a process; `None` inside if none are sent.
#[derive(Debug, Clone, Default)]
pub struct Traces(Option<Sending>);

#[derive(Debug, Clone)]
struct Sending {
    provider: SdkTracerProvider,
    service: &'static str,
    /// The crates whose spans are sent.
    traced: &'static [&'static str],
}

impl TraceConfig {
    pub(super) fn from_settings(settings: &Settings) -> Result<Option<Self>, SettingError> {
        let ratio = settings.parse_with(&OTLP_SAMPLE_RATIO, |text| {
            text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio))
        })?;
        if !settings.is_given(&OTLP_ENDPOINT) {
            return Ok(None);
        }
        let endpoint = settings.parse_with(&OTLP_ENDPOINT, |text| {
            let mut url = server_url::http(text)?;
            // The collector's base URL, as in OTEL_EXPORTER_OTLP_ENDPOINT, or the whole path.
            if !url.path().ends_with("/v1/traces") {
                url.path_segments_mut().ok()?.pop_if_empty().extend(["v1", "traces"]);
            }
            Some(url)
        })?;
        Ok(Some(Self { endpoint, ratio }))
    }

    pub(super) fn start(self, service: &'static str, traced: &'static [&'static str]) -> Traces {
        let exporter = match exporter(&self.endpoint) {
            Ok(exporter) => exporter,
            Err(why) => {
                // The log is not set up yet.
                eprintln!("warning: no traces are sent: {why}");
                return Traces(None);
            }
        };
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(MAX_WAITING)
            .with_scheduled_delay(SEND_EVERY)
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(self.ratio))))
            .with_resource(Resource::builder_empty().with_service_name(service).build())
            .build();
        Traces(Some(Sending { provider, service, traced }))
    }
}

fn exporter(endpoint: &Url) -> Result<Exporter, String> {
    // A blocking client must not be created on a tokio thread.
    let client = std::thread::spawn(|| {
        let client = reqwest::blocking::Client::builder().no_proxy().timeout(SEND_LIMIT);
        client.redirect(reqwest::redirect::Policy::none()).build()
    });
    let client = client.join().map_err(|_| "its client panicked")?.map_err(|error| error.to_string())?;
    let (endpoint, headers) = without_login(&client, endpoint)?;
    let otlp = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint.as_str())
        .with_headers(headers)
        .with_timeout(SEND_LIMIT)
        .build()
        .map_err(|error| error.to_string())?;
    let host = endpoint.host_str().unwrap_or_default().to_owned();
    Ok(Exporter { otlp, host, failing: AtomicBool::new(false) })
}

/// The exporter would log a login in the URL, and not send it. The request built from the URL does the opposite.
fn without_login(
    client: &reqwest::blocking::Client,
    endpoint: &Url,
) -> Result<(Url, HashMap<String, String>), String> {
    let request = client.post(endpoint.clone()).build().map_err(|error| error.without_url().to_string())?;
    let login = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let header = login.map(|login| (AUTHORIZATION.to_string(), login.to_owned()));
    Ok((request.url().clone(), header.into_iter().collect()))
}

impl Traces {
    pub(super) fn layer(&self) -> Option<Box<dyn Layer<Registry> + Send + Sync>> {
        let Sending { provider, service, traced } = self.0.as_ref()?;
        let traced = *traced;
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(*service))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false);
        // Spans only: log lines are not meant for a collector.
        let ours = filter_fn(|metadata| {
            metadata.is_span() && traced.iter().any(|name| metadata.target().starts_with(name))
        });
        Some(layer.with_filter(ours).boxed())
    }

    /// Sends the remaining spans, within two seconds. Call it last in a process.
    pub async fn flush(self) {
        if let Some(Sending { provider, .. }) = self.0 {
            let provider = Arc::new(provider);
            let flushing = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH_LIMIT));
            let _ = tokio::time::timeout(FLUSH_LIMIT, flushing).await;
        }
    }
}

/// Sends spans, and logs when sending starts to fail and when it recovers.
#[derive(Debug)]
struct Exporter {
    otlp: opentelemetry_otlp::SpanExporter,
    host: String,
    failing: AtomicBool,
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let sent = self.otlp.export(batch).await;
        let failed = sent.is_err();
        if failed != self.failing.swap(failed, Ordering::Relaxed) {
            let collector = self.host.as_str();
            match &sent {
                Ok(()) => tracing::info!(collector, "traces reach the collector again"),
                Err(error) => tracing::warn!(
                    collector, %error,
                    "traces are lost: the collector (OTLP_ENDPOINT) cannot be reached; logged once"
                ),
            }
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.otlp.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.otlp.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_of_the_collector_is_sent_in_a_header_and_is_in_no_url() {
        let endpoint = Url::parse("http://me:s3%40cret@collector:4318/v1/traces").unwrap();
        let (url, headers) = without_login(&reqwest::blocking::Client::new(), &endpoint).unwrap();
        assert_eq!(url.as_str(), "http://collector:4318/v1/traces");
        assert_eq!(headers["authorization"], "Basic bWU6czNAY3JldA==");
    }
}
