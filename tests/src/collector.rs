//! A trace collector: receives OTLP over HTTP and keeps the spans.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use prost::Message;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// One span as it was received.
#[derive(Debug, Clone)]
pub struct Span {
    /// The service that it belongs to.
    pub service: String,
    /// Its name.
    pub name: String,
    /// In hexadecimal digits.
    pub trace: String,
    /// In hexadecimal digits.
    pub id: String,
    /// The id of the parent span; empty for the first.
    pub parent: String,
    /// OTLP's number: 2 server, 3 client, 5 consumer.
    pub kind: i32,
    /// Nanoseconds since 1970.
    pub start_ns: u64,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
}

/// A collector on a free port of this machine.
#[derive(Debug)]
pub struct Collector {
    /// The value for `OTLP_ENDPOINT`.
    pub url: String,
    spans: Arc<Mutex<Vec<Span>>>,
    accepting: AbortHandle,
}

impl Collector {
    /// Starts one.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let spans: Arc<Mutex<Vec<Span>>> = Arc::default();
        let kept = Arc::clone(&spans);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    while let Some(spans) = read(&mut stream).await {
                        kept.lock().expect("no test panics holding it").extend(spans);
                    }
                });
            }
        });
        Self { url, spans, accepting: accepting.abort_handle() }
    }

    /// The spans of a trace so far.
    pub fn trace(&self, trace: &str) -> Vec<Span> {
        let spans = self.spans.lock().expect("no test panics holding it");
        spans.iter().filter(|span| span.trace == trace).cloned().collect()
    }

    /// All spans so far.
    pub fn all(&self) -> Vec<Span> {
        self.spans.lock().expect("no test panics holding it").clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Reads one message; returns `None` at the end of the connection.
async fn read(stream: &mut BufReader<TcpStream>) -> Option<Vec<Span>> {
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            if line.trim_end().is_empty() { break } else { continue }
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let request = ExportTraceServiceRequest::decode(body.as_slice()).expect("what is sent is OTLP");
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
    stream.get_mut().write_all(answer.as_bytes()).await.ok()?;
    Some(spans(request))
}

fn spans(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut found = Vec::new();
    for resource_spans in request.resource_spans {
        let resource = attributes(resource_spans.resource.unwrap_or_default().attributes);
        let service = resource.get("service.name").cloned().unwrap_or_default();
        for span in resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            found.push(Span {
                service: service.clone(),
                name: span.name,
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                kind: span.kind,
                start_ns: span.start_time_unix_nano,
                attributes: attributes(span.attributes),
            });
        }
    }
    found
}

fn attributes(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |attribute: KeyValue| {
        let value = match attribute.value.and_then(|value| value.value) {
            Some(Value::StringValue(text)) => text,
            other => format!("{other:?}"),
        };
        (attribute.key, value)
    };
    attributes.into_iter().map(text).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
