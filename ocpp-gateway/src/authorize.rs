//! Whether a driver may charge, within the time in which the driver waits. The entry of the tag decides first, then a recent
//! answer, then the decision that every way in makes, and without one the whitelist of the token.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ::metrics::counter;
use authorization::{AccessRequest, AclClient, Decider, retry_until_stored};
use charging::At;
use charging::tokens::{IdTag, Token, TokenStatus, Whitelist};
use common::clock;
use common::decision::{Decision, Source};
use common::ids::{PresentedToken, StationId};
use moka::sync::Cache;
use ocpp::Timestamp;
use ocpp::v16::answers::{AuthorizationStatus, IdTagInfo};
use service_runtime::trace_context::TraceContext;
use store::{Answer, RecordKey, Store};
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::metrics::ANSWERS;
use crate::tags::Tags;

/// For how long the last `allowed` answers for a token with the whitelist `allowed`.
const RECENT: Duration = Duration::from_secs(15 * 60);
/// For how long a positive answer also answers the start that follows it.
const SAME_PLUG_IN: Duration = Duration::from_secs(60);
/// How many decisions may be under way, those whose record waits for the store included.
const UNDER_WAY: usize = 10_000;
/// After this many questions in a row without an answer, drivers are not made to wait.
const FAILURES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(5);
/// How often the answers at one station are events.
const SHOWN_EVERY: Duration = Duration::from_secs(1);
const MAX_SHOWN: u64 = 100_000;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Authorize,
    /// The start of a transaction: a positive answer of the same plug-in suffices.
    Start,
}

/// Authorizes id tags.
pub(crate) struct Authorizer {
    tags: Tags,
    decider: Arc<Decider>,
    store: Store,
    limit: Duration,
    token_prefix: Option<String>,
    under_way: Arc<Semaphore>,
    records: TaskTracker,
    breaker: Breaker,
    stopping: CancellationToken,
    /// Where an answer was an event a moment ago.
    shown: Cache<Uuid, ()>,
}

/// Whether the decider is dead.
#[derive(Debug)]
struct Breaker {
    begun: Instant,
    failures: AtomicU32,
    /// Milliseconds since `begun`.
    ask_from: AtomicU64,
}

impl Authorizer {
    pub(crate) fn new(
        tags: Tags,
        store: Store,
        acl: AclClient,
        limit: Duration,
        token_prefix: Option<String>,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            tags,
            decider: Arc::new(Decider::new(acl, store.clone())),
            store,
            limit,
            token_prefix,
            under_way: Arc::new(Semaphore::new(UNDER_WAY)),
            records: TaskTracker::new(),
            breaker: Breaker::new(),
            stopping,
            shown: Cache::builder().max_capacity(MAX_SHOWN).time_to_live(SHOWN_EVERY).build(),
        }
    }

    /// Looks tags up again: one was created.
    pub(crate) fn look_again(&self) {
        self.tags.look_again();
    }

    /// Forgets what is known of tags: something has changed.
    pub(crate) fn forget(&self) {
        self.tags.forget();
    }

    /// Whether the next answer at this station is an event: a charger that asks often must not fill the stream of them.
    pub(crate) fn is_shown(&self, station: Uuid) -> bool {
        self.shown.entry(station).or_insert(()).is_fresh()
    }

    /// Waits until what was decided is on record, or the process has to end.
    pub(crate) async fn finish(&self) {
        self.records.close();
        self.records.wait().await;
    }

    /// What a charger is answered about a tag.
    pub(crate) async fn info(&self, station: Uuid, tag: &ocpp::v16::IdTag, purpose: Purpose) -> IdTagInfo {
        let deadline = Instant::now() + self.limit;
        // A tag that our rules do not allow is none of ours.
        let Ok(tag) = tag.expose().parse::<IdTag>() else {
            return answer(None, AuthorizationStatus::Invalid, "no_entry");
        };
        let token = match self.tags.find(&tag).await {
            Ok(token) => token,
            Err(error) => {
                tracing::warn!(%error, "an id tag cannot be looked up");
                return answer(None, AuthorizationStatus::Invalid, "database_away");
            }
        };
        let driver_token = match &token {
            Some(token) => token.driver_token.expose().to_owned(),
            None => match &self.token_prefix {
                Some(prefix) => format!("{prefix}{}", tag.key()),
                None => return answer(None, AuthorizationStatus::Invalid, "no_entry"),
            },
        };
        let token = token.as_deref();
        match token.map(|token| token.status(At::now())) {
            Some(TokenStatus::Blocked) => return answer(token, AuthorizationStatus::Blocked, "entry"),
            Some(TokenStatus::Expired) => return answer(token, AuthorizationStatus::Expired, "entry"),
            Some(TokenStatus::Active) | None => {}
        }
        let whitelist = token.map_or(Whitelist::Never, |token| token.terms.whitelist);
        if whitelist == Whitelist::Always {
            return answer(token, AuthorizationStatus::Accepted, "whitelist");
        }
        let last = self.tags.last_answer(station, &tag);
        let recent = match (whitelist, purpose) {
            (Whitelist::Allowed, _) => Some(RECENT),
            (_, Purpose::Start) => Some(SAME_PLUG_IN),
            _ => None,
        };
        let is_recent = |last: crate::tags::LastAnswer| recent.is_some_and(|span| last.at.elapsed() < span);
        if last.is_some_and(|last| last.allowed && is_recent(last)) {
            return answer(token, AuthorizationStatus::Accepted, "recent_answer");
        }
        let (decision, tell) = self.decide(station, driver_token, deadline).await;
        match decision {
            Decision::Allowed => {
                self.tags.remember(station, &tag, true);
                answer(token, AuthorizationStatus::Accepted, "decision")
            }
            Decision::NotAllowed | Decision::Invalid => {
                self.tags.remember(station, &tag, false);
                answer(token, AuthorizationStatus::Invalid, "decision")
            }
            Decision::Unknown => {
                let refused = last.is_some_and(|last| !last.allowed);
                let (status, because) = match whitelist != Whitelist::Never && !refused {
                    true => (AuthorizationStatus::Accepted, "whitelist"),
                    false => (AuthorizationStatus::Invalid, "unknown"),
                };
                if let Some(tell) = tell {
                    // An error means that the record was given up: the process stops.
                    let _ =
                        tell.send(Answer { answer: status.as_str().to_owned(), reason: because.to_owned() });
                }
                answer(token, status, because)
            }
        }
    }

    /// The decision, `unknown` if there is none in time. Its record is written in any case, by a task that may outlast the
    /// driver's patience, and which adds what was answered without a decision.
    async fn decide(
        &self,
        station: Uuid,
        driver_token: String,
        deadline: Instant,
    ) -> (Decision, Option<oneshot::Sender<Answer>>) {
        let Ok(permit) = Arc::clone(&self.under_way).try_acquire_owned() else {
            return (Decision::Unknown, None);
        };
        let asks = self.breaker.asks();
        let left = deadline.saturating_duration_since(Instant::now());
        let deadline_ns = clock::now() + clock::nanos(if asks { left } else { Duration::ZERO });
        let token = PresentedToken::new(driver_token);
        let request = AccessRequest::new(StationId::from_uuid(station), token, deadline_ns, Source::Ocpp);
        let (decider, stopping) = (Arc::clone(&self.decider), self.stopping.clone());
        let store = self.store.clone();
        let (tell, answered) = oneshot::channel::<Answer>();
        let (decide, decided) = oneshot::channel();
        self.records.spawn(async move {
            let _permit = permit;
            let made = decider.decide(&request, &TraceContext::default(), &stopping).await;
            let Ok(made) = made else { return };
            // The charger may not wait any more.
            let _ = decide.send(made.decision);
            let Ok(answer) = answered.await else { return };
            let (station_id, driver_token) = (request.station_id, request.driver_token);
            let key = RecordKey { start_ns: made.start_ns, station_id, driver_token };
            let records = &store.records();
            let _ = retry_until_stored(&stopping, || records.answered(&key, &answer)).await;
        });
        if !asks {
            return (Decision::Unknown, Some(tell));
        }
        let decided = tokio::time::timeout(left, decided).await;
        let decision = decided.ok().and_then(Result::ok).unwrap_or(Decision::Unknown);
        self.breaker.note(decision != Decision::Unknown);
        (decision, Some(tell))
    }
}

impl Breaker {
    fn new() -> Self {
        Self { begun: Instant::now(), failures: AtomicU32::new(0), ask_from: AtomicU64::new(0) }
    }

    /// Whether the decider is asked now. During a pause it is not.
    fn asks(&self) -> bool {
        self.now() >= self.ask_from.load(Ordering::Relaxed)
    }

    fn note(&self, answered: bool) {
        if answered {
            self.failures.store(0, Ordering::Relaxed);
        } else if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES {
            // The next question is a probe: if it fails too, there is another pause.
            let pause = u64::try_from(PAUSE.as_millis()).unwrap_or(u64::MAX);
            self.ask_from.store(self.now() + pause, Ordering::Relaxed);
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn answer(token: Option<&Token>, status: AuthorizationStatus, because: &'static str) -> IdTagInfo {
    counter!(ANSWERS, "answer" => status.as_str(), "because" => because).increment(1);
    let terms = token.map(|token| &token.terms);
    let expiry_date = match terms.map(|terms| (terms.whitelist, terms.expires_at)) {
        // So that no charger keeps the answer.
        Some((Whitelist::Never, _)) | None => Some(Timestamp::from_millis(At::now().millis())),
        Some((_, expires_at)) => expires_at.map(|at| Timestamp::from_millis(at.millis())),
    };
    IdTagInfo {
        expiry_date: expiry_date.filter(|_| status == AuthorizationStatus::Accepted),
        parent_id_tag: terms.and_then(|terms| terms.group.as_ref()).map(|group| group.expose().to_owned()),
        status,
    }
}
