//! Records: the hash `log:authorize:<START_TIME_NS>:<STATION_UUID>:<DRIVER_TOKEN>`, found by request through
//! `voltgate:request:<REQUEST_ID>`, which holds its key.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use common::clock::Nanos;
use common::decision::Source;
use common::ids::{PresentedToken, RequestId, StationId};
use redis::Pipeline;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{MAX_NUMBER, RedisStore, roomy, unavailable};
use crate::kv::{KEPT_FOR, PROBE};
use crate::records::{
    Accepted, Answer, Attempt, DecideOutcome, Decided, DeliveryState, Known, OpenedRecord, Record, RecordKey,
    Records,
};
use crate::{KeyValue, Place, StoreError};

/// The hash's fields. The first five are the Python system's; Voltgate added the others.
mod field {
    pub(super) const STATION_ID: &str = "station_id";
    pub(super) const DRIVER_TOKEN: &str = "driver_token";
    pub(super) const STATUS: &str = "status";
    pub(super) const CALLBACK_URL: &str = "callback_url";
    pub(super) const CALLBACK_STATUS: &str = "callback_status";
    pub(super) const REQUEST_ID: &str = "request_id";
    pub(super) const START_NS: &str = "start_time_ns";
    pub(super) const DEADLINE_NS: &str = "deadline_ns";
    pub(super) const DECIDED_NS: &str = "decided_ns";
    /// Not written for `api`.
    pub(super) const SOURCE: &str = "source";
    /// Not written where the answer is the decision.
    pub(super) const ANSWER: &str = "answer";
    pub(super) const ANSWER_REASON: &str = "answer_reason";
    pub(super) const DELIVERY: &str = "delivery";
    pub(super) const ATTEMPTS: &str = "attempts";
    /// `attempt:1` and so on, each a JSON object.
    pub(super) const ATTEMPT: &str = "attempt:";
}

/// An attempt as its field stores it; the field's name holds its number. Redis keeps a hash in one compact piece only
/// while no value is longer than 64 bytes; otherwise a record takes more than twice the memory.
#[derive(Serialize, Deserialize)]
struct StoredAttempt {
    at_ns: Nanos,
    took_ms: u64,
    outcome: String,
}

impl From<&Attempt> for StoredAttempt {
    fn from(attempt: &Attempt) -> Self {
        let Attempt { number: _, at_ns, took_ms, outcome } = attempt;
        Self { at_ns: *at_ns, took_ms: *took_ms, outcome: outcome.to_string() }
    }
}

/// A note lasts as long as an `Idempotency-Key`. A request that waits for longer is known only once a worker takes it.
const NOTED_FOR: Duration = Duration::from_secs(24 * 3600);

/// Where versions of public-api before 45dec5b (2026-11-27) store a note: under a key of its own, as JSON with names.
/// Notes are written and read there for one release, so that a waiting request is found whichever version accepted it
/// and whichever is asked. They last an hour, as a million waiting requests are a million keys.
const OLD_NOTED_FOR: Duration = Duration::from_secs(3600);

/// An accepted request as its note stores it, without field names: there may be millions of notes.
#[derive(Serialize, Deserialize)]
struct Note<'a>(StationId, Cow<'a, PresentedToken>, Option<Cow<'a, str>>, Nanos, Option<Nanos>);

impl<'a> From<&'a Accepted> for Note<'a> {
    fn from(accepted: &'a Accepted) -> Self {
        let Accepted { request_id: _, station_id, driver_token, callback_url, start_ns, deadline_ns } =
            accepted;
        let callback_url = callback_url.as_deref().map(Cow::Borrowed);
        Self(*station_id, Cow::Borrowed(driver_token), callback_url, *start_ns, *deadline_ns)
    }
}

impl Note<'_> {
    fn of(self, request_id: RequestId) -> Accepted {
        let Self(station_id, driver_token, callback_url, start_ns, deadline_ns) = self;
        let (driver_token, callback_url) = (driver_token.into_owned(), callback_url.map(Cow::into_owned));
        Accepted { request_id, station_id, driver_token, callback_url, start_ns, deadline_ns }
    }
}

#[async_trait]
impl Records for RedisStore {
    async fn open(&self, request: RequestId, proposed: &RecordKey) -> Result<OpenedRecord, StoreError> {
        let index = format!("request:{request}");
        let held = self.put_if_absent(&index, &proposed.to_redis(), self.options.retention).await?;
        let Some(held) = held else { return Ok(OpenedRecord { key: proposed.clone(), record: None }) };
        // A caller that uses one id for two questions gets one record for each.
        let key = RecordKey::from_redis(&held).filter(|held| held.same_question(proposed));
        let key = key.unwrap_or_else(|| proposed.clone());
        let record = self.read(&key).await?.filter(|record| record.decided.request_id == request);
        if let Some(record) = &record {
            let mut pipe = redis::pipe();
            self.index_surely(&mut pipe, &key, record.place(), record.decided.decision);
            self.feed(&mut pipe, record.place());
            self.pipeline::<()>(&pipe).await?;
        }
        Ok(OpenedRecord { key, record })
    }

    async fn decide(&self, key: &RecordKey, decided: &Decided) -> Result<DecideOutcome, StoreError> {
        let (held, entered) = self.decide_under(key, decided).await?;
        if entered {
            return Ok(held);
        }
        match self.record_key(decided.request_id).await? {
            // Another delivery of the request proposed another start time first.
            Some(first) if first != *key && first.same_question(key) => {
                Ok(self.decide_under(&first, decided).await?.0)
            }
            _ => Ok(held),
        }
    }

    async fn answered(&self, key: &RecordKey, answer: &Answer) -> Result<(), StoreError> {
        let key = self.key(key.to_redis());
        let mut pipe = redis::pipe();
        pipe.cmd("HSET").arg(&key).arg(field::ANSWER).arg(&answer.answer);
        pipe.arg(field::ANSWER_REASON).arg(&answer.reason).ignore();
        // If the record is gone, what was written must not stay for ever.
        pipe.cmd("EXPIRE").arg(&key).arg(self.options.retention.as_secs()).arg("NX").ignore();
        self.pipeline(&pipe).await
    }

    async fn attempted(
        &self,
        key: &RecordKey,
        attempt: &Attempt,
        state: DeliveryState,
    ) -> Result<DeliveryState, StoreError> {
        let hash = self.key(key.to_redis());
        let details = serde_json::to_string(&StoredAttempt::from(attempt)).map_err(unavailable)?;
        if state == DeliveryState::Undeliverable {
            let request: Option<String> =
                self.command(redis::cmd("HGET").arg(&hash).arg(field::REQUEST_ID)).await?;
            if let Some(request_id) = request.and_then(|request| request.parse().ok()) {
                let mut pipe = redis::pipe();
                self.index_undeliverable(&mut pipe, Place { start_ns: key.start_ns, request_id });
                self.pipeline::<()>(&pipe).await?;
            }
        }
        let outcome = attempt.outcome.to_string();
        let sent = hash.len() + details.len() + outcome.len();
        let mut script = roomy("EVALSHA", 8, sent + 100);
        script.arg(self.connections.scripts.attempted()).arg(1).arg(hash);
        script.arg(attempt.number).arg(details).arg(state.as_str()).arg(outcome);
        script.arg(self.options.retention.as_secs());
        let held: String = self.command(&script).await?;
        Ok(DeliveryState::parse(&held))
    }

    /// Many notes are one command, and notes only expire: most decisions have no note, so a decision spends no command
    /// on removing one. A million waiting requests are not a million keys.
    async fn accepted(&self, requests: &[Accepted]) -> Result<(), StoreError> {
        let mut buckets: BTreeMap<String, Vec<(Vec<u8>, String)>> = BTreeMap::new();
        let mut pipe = redis::pipe();
        for request in self.undecided(requests).await? {
            let note = serde_json::to_string(&Note::from(request)).map_err(unavailable)?;
            let (bucket, field) = self.noted_at(request.request_id);
            buckets.entry(bucket).or_default().push((field, note));
            let old = serde_json::to_string(request).map_err(unavailable)?;
            pipe.cmd("SET").arg(self.old_note_key(request.request_id)).arg(old);
            pipe.arg("EX").arg(OLD_NOTED_FOR.as_secs()).ignore();
        }
        if buckets.is_empty() {
            return Ok(());
        }
        // The note expires before its record does, so a decided request never appears to wait again.
        let noted_for = NOTED_FOR.min(self.options.retention / 2);
        for (bucket, notes) in &buckets {
            pipe.cmd("HSET").arg(bucket).arg(notes).ignore();
            pipe.cmd("EXPIRE").arg(bucket).arg(noted_for.as_secs()).ignore();
        }
        self.pipeline(&pipe).await
    }

    async fn look_up(&self, request: RequestId) -> Result<Option<Known>, StoreError> {
        let mut pipe = redis::pipe();
        let (bucket, field) = self.noted_at(request);
        pipe.cmd("HGET").arg(bucket).arg(field).cmd("GET").arg(self.old_note_key(request));
        pipe.cmd("GET").arg(self.request_key(request));
        let (note, old_note, key): (Option<String>, Option<String>, Option<String>) =
            self.pipeline(&pipe).await?;
        let key = key.as_deref().and_then(RecordKey::from_redis);
        if let Some(key) = &key
            && let Some(record) = self.read(key).await?
        {
            return Ok(Some(Known::Decided(record)));
        }
        let noted = note.and_then(|note| Some(serde_json::from_str::<Note<'_>>(&note).ok()?.of(request)));
        let noted = noted.or_else(|| serde_json::from_str(&old_note?).ok());
        Ok(noted.or_else(|| key.map(|key| Accepted::of(request, key))).map(Known::Accepted))
    }

    async fn find(&self, request: RequestId) -> Result<Option<Record>, StoreError> {
        match self.record_key(request).await? {
            Some(key) => self.read(&key).await,
            None => Ok(None),
        }
    }

    async fn is_open(&self, request: RequestId) -> Result<bool, StoreError> {
        let mut command = redis::cmd("EXISTS");
        command.arg(self.request_key(request));
        self.command(&command).await
    }
}

impl RedisStore {
    /// In one round trip. Also returns whether no record of the request was entered before.
    async fn decide_under(
        &self,
        key: &RecordKey,
        decided: &Decided,
    ) -> Result<(DecideOutcome, bool), StoreError> {
        let place = Place { start_ns: key.start_ns, request_id: decided.request_id };
        let (record, request) = (key.to_redis(), self.request_key(decided.request_id));
        let mut pipe = Pipeline::with_capacity(10);
        // If another decision holds, readers skip the index entry under this key.
        let marks = self.index(&mut pipe, key, place, decided.decision);
        let mut enter = roomy("SET", 5, request.len() + record.len() + MAX_NUMBER + 4);
        enter.arg(&request).arg(&record).arg("NX").arg("EX").arg(self.options.retention.as_secs());
        pipe.add_command(enter);
        pipe.add_command(self.decision(&record, key, decided));
        self.feed(&mut pipe, place);
        let (entered, (status, new)): (Option<()>, (String, bool)) = self.pipeline(&pipe).await?;
        marks.into_iter().flatten().for_each(|mark| self.expiries.told(mark));
        let foreign = |error| StoreError::Foreign(format!("the record of {}: {error}", decided.request_id));
        let held = DecideOutcome { key: key.clone(), decision: status.parse().map_err(foreign)?, new };
        Ok((held, entered.is_some()))
    }

    /// The key of the request's record, if known.
    async fn record_key(&self, request: RequestId) -> Result<Option<RecordKey>, StoreError> {
        let mut command = redis::cmd("GET");
        command.arg(self.request_key(request));
        let key: Option<String> = self.command(&command).await?;
        Ok(key.as_deref().and_then(RecordKey::from_redis))
    }

    fn decision(&self, record: &str, key: &RecordKey, decided: &Decided) -> redis::Cmd {
        // Empty for a request without a callback.
        let callback_url = decided.callback_url.as_deref().unwrap_or_default();
        let named = key.driver_token.expose().len() + callback_url.len();
        let mut script = roomy("EVALSHA", 24, record.len() + named + 400);
        script.arg(self.connections.scripts.decide()).arg(1).arg(self.key(record));
        script.arg(self.options.retention.as_secs());
        let fields: [(&str, &str); 10] = [
            (field::STATUS, decided.decision.as_str()),
            (field::STATION_ID, &key.station_id.to_string()),
            (field::DRIVER_TOKEN, key.driver_token.expose()),
            (field::CALLBACK_URL, callback_url),
            (field::CALLBACK_STATUS, DeliveryState::Pending.as_str()),
            (field::DELIVERY, DeliveryState::Pending.as_str()),
            (field::REQUEST_ID, &decided.request_id.to_string()),
            (field::START_NS, &key.start_ns.to_string()),
            (field::DEADLINE_NS, &decided.deadline_ns.to_string()),
            (field::DECIDED_NS, &decided.decided_ns.to_string()),
        ];
        for (name, value) in fields {
            script.arg(name).arg(value);
        }
        if decided.source != Source::default() {
            script.arg(field::SOURCE).arg(decided.source.as_str());
        }
        script
    }

    pub(super) fn request_key(&self, request: RequestId) -> String {
        self.key(format_args!("voltgate:request:{request}"))
    }

    fn old_note_key(&self, request: RequestId) -> String {
        self.key(format_args!("voltgate:accepted:{request}"))
    }

    pub(super) async fn probe_notes(&self) -> Result<(), StoreError> {
        let bucket = self.key("voltgate:accepted:0");
        let mut pipe = redis::pipe();
        pipe.cmd("HSET").arg(&bucket).arg(PROBE).arg("").ignore();
        pipe.cmd("DEL").arg(&bucket).ignore();
        self.pipeline(&pipe).await
    }

    /// Uses a key that no request gets: its start time is in 1970.
    pub(super) async fn probe_records(&self) -> Result<(), StoreError> {
        let (station_id, driver_token) = (StationId::from_uuid(Uuid::nil()), PresentedToken::new(PROBE));
        let key = RecordKey { start_ns: 0, station_id, driver_token }.to_redis();
        let mut script = redis::cmd("EVALSHA");
        script.arg(self.connections.scripts.decide()).arg(1).arg(self.key(&key));
        script.arg(KEPT_FOR.as_secs()).arg(field::STATUS).arg(PROBE);
        let request = self.request_key(RequestId::from_uuid(Uuid::nil()));
        let mut pipe = redis::pipe();
        pipe.cmd("SET").arg(&request).arg(&key).arg("EX").arg(KEPT_FOR.as_secs()).ignore();
        pipe.add_command(script).ignore();
        pipe.cmd("DEL").arg(&request).ignore().cmd("DEL").arg(self.key(&key)).ignore();
        self.pipeline(&pipe).await
    }

    /// Those that have no record yet under the key that their message proposes.
    async fn undecided<'a>(&self, requests: &'a [Accepted]) -> Result<Vec<&'a Accepted>, StoreError> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = Pipeline::with_capacity(requests.len());
        for request in requests {
            let key = self.key(request.key().to_redis());
            let mut exists = roomy("EXISTS", 1, key.len());
            exists.arg(key);
            pipe.add_command(exists);
        }
        let decided: Vec<bool> = self.pipeline(&pipe).await?;
        Ok(requests
            .iter()
            .zip(decided)
            .filter_map(|(request, decided)| (!decided).then_some(request))
            .collect())
    }

    /// The hash that holds the note of a request, one for the second in which its id was made, and the field there.
    fn noted_at(&self, request: RequestId) -> (String, Vec<u8>) {
        let second = request.made_at().unwrap_or_default().as_secs();
        (self.key(format_args!("voltgate:accepted:{second}")), request.uuid().as_bytes().to_vec())
    }

    /// The records with these keys, in their order; `None` if there is no key, or no record under it.
    pub(super) async fn read_many(
        &self,
        keys: &[Option<RecordKey>],
    ) -> Result<Vec<Option<Record>>, StoreError> {
        let mut pipe = redis::pipe();
        for key in keys.iter().flatten() {
            pipe.cmd("HGETALL").arg(self.key(key.to_redis()));
        }
        let hashes: Vec<HashMap<String, String>> =
            if pipe.is_empty() { Vec::new() } else { self.pipeline(&pipe).await? };
        let mut hashes = hashes.iter();
        Ok(keys.iter().map(|key| record(key.as_ref()?, hashes.next()?)).collect())
    }

    /// Drops the keys of records in another delivery state. It is used where those are many: reading a whole record is
    /// expensive.
    pub(super) async fn keep_delivery(
        &self,
        keys: &mut [Option<RecordKey>],
        wanted: DeliveryState,
    ) -> Result<(), StoreError> {
        let mut pipe = redis::pipe();
        for key in keys.iter().flatten() {
            pipe.cmd("HGET").arg(self.key(key.to_redis())).arg(field::DELIVERY);
        }
        if pipe.is_empty() {
            return Ok(());
        }
        let held: Vec<Option<String>> = self.pipeline(&pipe).await?;
        for (key, held) in keys.iter_mut().filter(|key| key.is_some()).zip(held) {
            if DeliveryState::parse(&held.unwrap_or_default()) != wanted {
                *key = None;
            }
        }
        Ok(())
    }

    async fn read(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let mut command = redis::cmd("HGETALL");
        command.arg(self.key(key.to_redis()));
        let hash: HashMap<String, String> = self.command(&command).await?;
        Ok(record(key, &hash))
    }
}

/// Returns `None` if the hash is not a valid decided record.
fn record(key: &RecordKey, hash: &HashMap<String, String>) -> Option<Record> {
    let text = |name: &str| hash.get(name).map(String::as_str);
    let number = |name: &str| text(name).and_then(|text| text.parse().ok());
    let decided = Decided {
        request_id: text(field::REQUEST_ID)?.parse().ok()?,
        decision: text(field::STATUS)?.parse().ok()?,
        callback_url: text(field::CALLBACK_URL).filter(|url| !url.is_empty()).map(str::to_owned),
        deadline_ns: number(field::DEADLINE_NS).unwrap_or(0),
        decided_ns: number(field::DECIDED_NS).unwrap_or(0),
        source: text(field::SOURCE).map(str::parse).transpose().ok()?.unwrap_or_default(),
    };
    let count: u32 = text(field::ATTEMPTS).and_then(|text| text.parse().ok()).unwrap_or(0);
    let attempts = (1..=count)
        .filter_map(|number| {
            let details = text(&format!("{}{number}", field::ATTEMPT))?;
            let StoredAttempt { at_ns, took_ms, outcome } = serde_json::from_str(details).ok()?;
            Some(Attempt { number, at_ns, took_ms, outcome: outcome.into() })
        })
        .collect();
    Some(Record {
        key: RecordKey { driver_token: PresentedToken::new(text(field::DRIVER_TOKEN)?), ..key.clone() },
        decided,
        delivery: DeliveryState::parse(text(field::DELIVERY).unwrap_or_default()),
        callback_status: text(field::CALLBACK_STATUS).unwrap_or_default().to_owned(),
        attempts,
        answer: text(field::ANSWER).map(|answer| Answer {
            answer: answer.to_owned(),
            reason: text(field::ANSWER_REASON).unwrap_or_default().to_owned(),
        }),
    })
}
