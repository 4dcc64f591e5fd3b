//! Clients that send requests as planned, on their own thread, and wait until all of them are called back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::account::{Accepted, Asked, Outcome, account};
use crate::connection::Connection;
use crate::front_door::{FrontDoor, request_id};
use crate::schedule::{Pace, Timetable, keep_to};
use crate::sink::Sink;

/// The name of its thread, by which its CPU time is found.
pub const THREAD: &str = "generator";
/// A run needs about 100 bytes of memory for each of its requests.
const MAX_REQUESTS: u64 = 20_000_000;
const WAIT_AFTER_REFUSAL: Duration = Duration::from_millis(50);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Waits this long for a duplicate callback of the last request.
const SETTLES_WITHIN: Duration = Duration::from_millis(200);

/// The parameters of a run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How requests follow each other.
    pub pace: Pace,
    /// Number of connections.
    pub connections: usize,
    /// How long requests are sent.
    pub duration: Duration,
    /// Maximum number of requests.
    pub requests: Option<u64>,
    /// How long to wait for the last callbacks.
    pub patience: Duration,
}

/// The progress of a run.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Time since the beginning.
    pub elapsed: Duration,
    /// Number of requests answered `202`.
    pub accepted: u64,
    /// Number of callbacks.
    pub called_back: u64,
}

/// The API under test and the target of its callbacks.
#[derive(Debug)]
pub struct Session {
    /// The API.
    pub front_door: FrontDoor,
    /// The target of the callbacks.
    pub sink: Sink,
}

struct Run {
    front_door: FrontDoor,
    permits: Arc<Semaphore>,
    timetable: Option<Timetable>,
    /// Whether the next request is due at the answer instead of at the callback.
    unheeded: bool,
    requests: u64,
    ends: Instant,
    next: AtomicU64,
    accepted: AtomicU64,
}

impl Session {
    /// Runs a plan to its end. Blocks; calls `shown` with the progress now and then.
    ///
    /// # Errors
    /// Returns an error if a thread or a timer cannot be created.
    pub fn run(&self, plan: &Plan, mut shown: impl FnMut(Progress)) -> std::io::Result<Outcome> {
        self.sink.take();
        let foreign_before = self.sink.foreign();
        let began = Instant::now();
        let run = Arc::new(Run::new(self.front_door.clone(), plan, began));
        let in_flight = matches!(plan.pace, Pace::InFlight(_));
        self.sink.release_to(in_flight.then(|| Arc::clone(&run.permits)));
        let (asked_by, connections) = (Arc::clone(&run), plan.connections);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = || std::thread::Builder::new().name(THREAD.to_owned());
        let asking = thread().spawn(move || runtime.block_on(ask_all(asked_by, connections)))?;
        if let Some(timetable) = run.timetable {
            let run = Arc::clone(&run);
            thread().spawn(move || {
                keep_to(timetable, run.requests, &run.permits);
                // One more than there are requests, so that a client finds that they are over.
                run.permits.add_permits(1);
            })?;
        }
        let mut tell = || {
            let (accepted, called_back) = (run.accepted.load(Ordering::Relaxed), self.sink.count());
            shown(Progress { elapsed: began.elapsed(), accepted, called_back });
            std::thread::sleep(LOOK_EVERY);
            called_back >= accepted
        };
        while !asking.is_finished() {
            tell();
        }
        let asked = asking.join().map_err(|_| std::io::Error::other("the generator panicked"))??;
        let patient_until = Instant::now() + plan.patience;
        while !tell() && Instant::now() < patient_until {}
        std::thread::sleep(SETTLES_WITHIN);
        self.sink.release_to(None);
        Ok(account(asked, &self.sink.take(), self.sink.foreign() - foreign_before))
    }
}

impl Run {
    fn new(front_door: FrontDoor, plan: &Plan, began: Instant) -> Self {
        let (first, timetable, due) = match plan.pace {
            Pace::InFlight(first) | Pace::Unheeded(first) => (first, None, MAX_REQUESTS),
            Pace::Rate(rate) => {
                let due = (rate * plan.duration.as_secs_f64()).ceil();
                (0, Some(Timetable::new(began, rate)), due as u64)
            }
        };
        let requests = plan.requests.map_or(due, |most| most.min(due)).min(MAX_REQUESTS);
        Self {
            front_door,
            permits: Arc::new(Semaphore::new(first)),
            timetable,
            unheeded: matches!(plan.pace, Pace::Unheeded(_)),
            requests,
            ends: began + plan.duration,
            next: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
        }
    }

    /// Waits until a request is due; returns its number and the time at which it was due.
    /// Returns `None` when there are no more.
    async fn turn(&self) -> Option<(u64, Instant)> {
        self.permits.acquire().await.ok()?.forget();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let over = self.timetable.is_none() && now >= self.ends;
        if number >= self.requests || over {
            self.permits.close();
            return None;
        }
        Some((number, self.timetable.map_or(now, |timetable| timetable.due(number))))
    }

    async fn client(self: Arc<Self>) -> Asked {
        let mut connection = Connection::to(self.front_door.api.clone());
        let mut asked = Asked::default();
        while let Some((number, due)) = self.turn().await {
            let request = self.front_door.authorize(number);
            match connection.exchange(request.as_bytes()).await {
                Ok(answer) if answer.status == 202 => match request_id(answer.body) {
                    Some(request) => {
                        asked.accepted.push(Accepted { request, due, answered: Instant::now() });
                        self.accepted.fetch_add(1, Ordering::Relaxed);
                        self.permits.add_permits(usize::from(self.unheeded));
                        continue;
                    }
                    None => *asked.unanswered.entry("a 202 without request_id".to_owned()).or_default() += 1,
                },
                Ok(answer) => *asked.refused.entry(answer.status).or_default() += 1,
                Err(error) => *asked.unanswered.entry(error.to_string()).or_default() += 1,
            }
            // No callback follows a refusal, so the permit is returned here. In an open loop
            // the next request is due anyway.
            if self.timetable.is_none() {
                tokio::time::sleep(WAIT_AFTER_REFUSAL).await;
                self.permits.add_permits(1);
            }
        }
        asked
    }
}

async fn ask_all(run: Arc<Run>, connections: usize) -> std::io::Result<Asked> {
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        clients.spawn(Arc::clone(&run).client());
    }
    if run.timetable.is_none() {
        // Without callbacks no client would take another turn.
        tokio::select! {
            () = tokio::time::sleep_until(run.ends.into()) => {}
            () = until_closed(&run.permits) => {}
        }
        run.permits.close();
    }
    let mut asked = Asked::default();
    while let Some(client) = clients.join_next().await {
        asked.add(client.map_err(std::io::Error::other)?);
    }
    Ok(asked)
}

async fn until_closed(permits: &Semaphore) {
    while !permits.is_closed() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
