//! Large frames share a budget of the node, so that chargers that send them at once cannot take all memory. A socket is not
//! read further than a small frame until there is room for the largest one, so a frame that has begun to be read never waits
//! for another one. TCP holds the charger back meanwhile.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use actix_web::dev;
use actix_web::error::PayloadError;
use actix_web::web::{Bytes, Payload};
use actix_web::{FromRequest, HttpRequest};
use futures_util::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What each socket may hold without asking.
const SMALL: usize = 64 * 1024;
const BUDGET_KIB: usize = 64 * 1024;
/// How long a charger waits for room. Then it is closed with 1013, and comes again.
const WAIT: Duration = Duration::from_secs(10);
/// How long a large frame may take to arrive: a day's data over a slow modem.
pub(crate) const ARRIVES_WITHIN: Duration = Duration::from_secs(300);
/// The error of a socket for whose frame there was no room.
pub(crate) const NO_ROOM: &str = "no room for a large frame";
/// The error of a socket whose frame is too large. actix-http 3.20 looks at the size of a frame only when all of it is in
/// memory, however large it is.
pub(crate) const TOO_LARGE: &str = "the frame is too large";
/// What a control frame has beside its payload.
const CONTROL_HEAD: usize = 6;

/// A share of the budget, which returns when it is dropped.
pub(crate) type Share = OwnedSemaphorePermit;
type BoxedPayloadStream = Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>>;
type Asking = Pin<Box<dyn Future<Output = Option<Share>>>>;

/// The budget of the node.
pub(crate) struct LargeFrames {
    budget: Arc<Semaphore>,
    each: u32,
    max_frame: usize,
}

/// What the frame that a socket reads at present holds of the budget.
#[derive(Clone, Default)]
pub(crate) struct Held(Rc<Inner>);

#[derive(Default)]
struct Inner {
    bytes: Cell<usize>,
    share: Cell<Option<Share>>,
    since: Cell<Option<Instant>>,
}

/// The bytes of a socket.
struct Limited {
    bytes: dev::Payload,
    held: Held,
    budget: Arc<Semaphore>,
    each: u32,
    max_frame: usize,
    asking: Option<Asking>,
}

impl LargeFrames {
    /// A budget for frames of at most this size.
    pub(crate) fn new(max_frame: usize) -> Self {
        let each = max_frame.saturating_sub(SMALL).div_ceil(1024).clamp(1, BUDGET_KIB);
        Self {
            budget: Arc::new(Semaphore::new(BUDGET_KIB)),
            each: u32::try_from(each).unwrap_or(u32::MAX),
            max_frame,
        }
    }

    /// The same bytes, held back while there is no room for a large frame.
    pub(crate) async fn limit(
        &self,
        request: &HttpRequest,
        payload: Payload,
    ) -> Result<(Payload, Held), actix_web::Error> {
        let held = Held::default();
        let (budget, each, max_frame) = (Arc::clone(&self.budget), self.each, self.max_frame);
        let limited = Limited {
            bytes: payload.into_inner(),
            held: held.clone(),
            budget,
            each,
            max_frame,
            asking: None,
        };
        let limited: BoxedPayloadStream = Box::pin(limited);
        let mut limited = dev::Payload::from(limited);
        Ok((Payload::from_request(request, &mut limited).await?, held))
    }
}

impl Held {
    /// A frame is complete. Returns its share, which is to be kept for as long as what it says is.
    pub(crate) fn complete(&self) -> Option<Share> {
        self.0.bytes.set(0);
        self.0.since.set(None);
        self.0.share.take()
    }

    /// A control frame, which may stand between the parts of another one, is none of its bytes.
    pub(crate) fn control(&self, payload: &[u8]) {
        self.0.bytes.set(self.0.bytes.get().saturating_sub(payload.len() + CONTROL_HEAD));
    }

    /// Since when a large frame arrives that is not complete.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.0.since.get()
    }
}

impl Stream for Limited {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let inner = &this.held.0;
        // The part of a frame that may have come with the one before it is not counted, and heads are.
        if inner.bytes.get() >= this.max_frame.saturating_add(SMALL) {
            return Poll::Ready(Some(Err(PayloadError::Io(std::io::Error::other(TOO_LARGE)))));
        }
        if inner.bytes.get() >= SMALL && inner.since.get().is_none() {
            let asking = this.asking.get_or_insert_with(|| {
                let asked = Arc::clone(&this.budget).acquire_many_owned(this.each);
                Box::pin(async { tokio::time::timeout(WAIT, asked).await.ok()?.ok() })
            });
            let share = ready!(asking.as_mut().poll(context));
            this.asking = None;
            let Some(share) = share else {
                return Poll::Ready(Some(Err(PayloadError::Io(std::io::Error::other(NO_ROOM)))));
            };
            inner.share.set(Some(share));
            inner.since.set(Some(Instant::now()));
        }
        let read = ready!(Pin::new(&mut this.bytes).poll_next(context));
        if let Some(Ok(bytes)) = &read {
            inner.bytes.set(inner.bytes.get().saturating_add(bytes.len()));
        }
        Poll::Ready(read)
    }
}
