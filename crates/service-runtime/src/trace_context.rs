//! A request's place in its client's trace (W3C Trace Context, level 1), from the client's headers, carried through
//! tasks and calls. It is propagated even if Voltgate sends no traces, so that the client's trace stays connected.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

/// The header, in HTTP and in AMQP.
pub const TRACEPARENT: &str = "traceparent";
/// The header of the vendors' additions.
pub const TRACESTATE: &str = "tracestate";
/// A service that calls another on behalf of a request names the request in this header, so that the other can log it.
pub const REQUEST_ID: &str = "voltgate-request-id";

/// Longer values need not be propagated.
const MAX_STATE: usize = 512;

/// A place in a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace: u128,
    parent: u64,
    flags: u8,
    state: Option<String>,
    /// Whether a caller supplied it. A context that Voltgate made up is not used as a parent.
    given: bool,
    /// Whether the span that it names is sent to a collector.
    recorded: bool,
}

impl TraceContext {
    /// The context of a call or a task with these headers; a new one if they are absent or invalid.
    pub fn received<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Self {
        let Some(mut given) = header(TRACEPARENT).and_then(Self::parse) else { return Self::new() };
        let plain = |text: &&str| {
            (1..=MAX_STATE).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        };
        given.state = header(TRACESTATE).filter(plain).map(str::to_owned);
        given
    }

    /// A new trace. Not sampled: no span of it has been recorded.
    pub fn new() -> Self {
        let random = Uuid::new_v4();
        // The span id needs to be unique only within its trace, which has no other spans.
        let (trace, parent) = (random.as_u128(), random.as_u64_pair().1);
        Self { trace, parent, flags: 0, state: None, given: false, recorded: false }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace) = (hex::<2>(parts.next()?)?, hex::<32>(parts.next()?)?);
        let (parent, flags) = (hex::<16>(parts.next()?)?, hex::<2>(parts.next()?)?);
        // Version 0 has four parts; a later one may have more.
        let whole = version != 0xff && (version > 0 || parts.next().is_none());
        let (parent, flags) = (u64::try_from(parent).ok()?, u8::try_from(flags).ok()? & 1);
        let context = Self { trace, parent, flags, state: None, given: true, recorded: false };
        (whole && trace != 0 && parent != 0).then_some(context)
    }

    /// Makes the span a part of this trace and returns the context for the work that follows. That is the span's own
    /// context if spans are sent, and otherwise the caller's, unchanged. Fills the span's field `trace_id`, if it has
    /// one.
    #[must_use]
    pub fn joined_by(&self, span: &Span) -> Self {
        if self.given {
            let parent = Context::new().with_remote_span_context(self.span_context());
            // It fails if no spans are sent.
            let _ = span.set_parent(parent);
        }
        let onward = self.within(span);
        span.record("trace_id", onward.trace_id());
        onward
    }

    /// The context for the work that follows from a span that is already a part of this trace.
    #[must_use]
    pub fn within(&self, span: &Span) -> Self {
        let context = span.context();
        let span = context.span();
        let place = span.span_context();
        if !place.is_valid() {
            return self.clone();
        }
        let state = place.trace_state().header();
        Self {
            trace: u128::from_be_bytes(place.trace_id().to_bytes()),
            parent: u64::from_be_bytes(place.span_id().to_bytes()),
            flags: place.trace_flags().to_u8() & 1,
            state: (!state.is_empty()).then_some(state),
            given: true,
            recorded: place.is_sampled(),
        }
    }

    /// Adds fields to the span that only a trace shows, and no log line. If the span is not recorded, they are not even
    /// computed.
    pub fn annotate<const N: usize>(
        &self,
        span: &Span,
        attributes: impl FnOnce() -> [(&'static str, String); N],
    ) {
        if self.recorded {
            for (key, value) in attributes() {
                span.set_attribute(key, value);
            }
        }
    }

    /// The trace id, as 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        digits(self.trace, &mut Uuid::encode_buffer()).to_owned()
    }

    /// The headers of the calls and tasks that follow.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let state = self.state.clone().map(|state| (TRACESTATE, state));
        std::iter::once((TRACEPARENT, self.traceparent())).chain(state)
    }

    fn traceparent(&self) -> String {
        let (mut trace, mut parent) = (Uuid::encode_buffer(), Uuid::encode_buffer());
        let (trace, parent) = (digits(self.trace, &mut trace), digits(self.parent.into(), &mut parent));
        // The lower half of `parent`; of the flags only the last bit is defined.
        ["00-", trace, "-", &parent[16..], if self.flags & 1 == 1 { "-01" } else { "-00" }].concat()
    }

    fn span_context(&self) -> SpanContext {
        let state = self.state.as_deref().and_then(|state| state.parse::<TraceState>().ok());
        SpanContext::new(
            TraceId::from_bytes(self.trace.to_be_bytes()),
            SpanId::from_bytes(self.parent.to_be_bytes()),
            TraceFlags::new(self.flags),
            true,
            state.unwrap_or_default(),
        )
    }
}

impl Default for TraceContext {
    fn default() -> Self {
        Self::new()
    }
}

/// All 32 digits. Not by `format!`, which pads slowly (measured: 2,600 instructions for a `traceparent`, and 670 this
/// way).
fn digits(number: u128, buffer: &mut [u8]) -> &str {
    Uuid::from_u128(number).simple().encode_lower(buffer)
}

/// Exactly this many digits in lower case, as the standard requires.
fn hex<const DIGITS: usize>(text: &str) -> Option<u128> {
    let digits = text.len() == DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    digits.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn received(traceparent: &'static str, tracestate: &'static str) -> TraceContext {
        TraceContext::received(|name| match name {
            TRACEPARENT => Some(traceparent),
            TRACESTATE => Some(tracestate).filter(|state| !state.is_empty()),
            _ => None,
        })
    }

    #[test]
    fn what_a_caller_says_is_passed_on_as_it_came() {
        let context = received(GIVEN, "vendor=1,other=x");
        assert_eq!(context.traceparent(), GIVEN);
        assert_eq!(context.headers().nth(1), Some((TRACESTATE, "vendor=1,other=x".to_owned())));
        assert_eq!(context.joined_by(&Span::none()), context);
    }

    #[test]
    fn a_later_version_is_read_as_far_as_we_know_it() {
        let later = received("42-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-else", "");
        assert_eq!(later.traceparent(), GIVEN);
    }

    #[test]
    fn nonsense_begins_a_trace_of_its_own() {
        for nonsense in [
            "",
            "00",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            let context = received(nonsense, "vendor=1");
            assert!(!context.given && context.headers().count() == 1, "{nonsense}");
            assert_eq!(received(Box::leak(context.traceparent().into_boxed_str()), "").trace, context.trace);
        }
        assert_ne!(received("", "").trace, received("", "").trace);
        assert_eq!(received(GIVEN, Box::leak("x=1,".repeat(200).into_boxed_str())).state, None);
    }
}
