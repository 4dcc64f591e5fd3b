//! Compares what chargers sent and heard with what is on record: nothing that was answered is lost, nothing is there twice,
//! and the energy is what they metered.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use charging::db::At;
use charging::sessions::{self, Anomaly, Filter, Session, SessionState};
use charging::{Db, DbError, Tx};
use uuid::Uuid;

use super::Noted;
use super::ledger::{Fate, Ledger, Start};

const YEAR_2020: i64 = 1_577_836_800_000;
const PAGE: i64 = 1_000;

/// Something that must not be.
#[derive(Debug, Clone)]
pub struct Violation {
    /// The charger.
    pub charger: String,
    /// What is wrong.
    pub what: String,
}

/// The result of a comparison.
#[derive(Debug, Default)]
pub struct Findings {
    /// The chargers.
    pub chargers: usize,
    /// How many calls were answered.
    pub answers: usize,
    /// The starts that were answered.
    pub started: usize,
    /// The sessions on record.
    pub sessions: usize,
    /// Those that have ended with their stop.
    pub completed: usize,
    /// Those of chargers that lost their memory, which go on or have ended by inference.
    pub without_stop: usize,
    /// Readings on record.
    pub readings: usize,
    /// What the chargers metered in the sessions whose stop was answered, in Wh.
    pub metered_wh: i64,
    /// What is on record of these sessions, in Wh.
    pub recorded_wh: i64,
    /// What must not be.
    pub violations: Vec<Violation>,
}

/// What the store has.
struct Store {
    sessions: HashMap<Uuid, Vec<Session>>,
    /// Readings of the register by session.
    readings: HashMap<Uuid, Vec<(At, i64)>>,
}

/// Judges chargers that are at rest: everything was sent, and no car is plugged in.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn judge(db: &Db, chargers: &[Noted]) -> Result<Findings, DbError> {
    let store = read(db).await?;
    let mut findings = Findings {
        chargers: chargers.len(),
        sessions: store.sessions.values().map(Vec::len).sum(),
        readings: store.readings.values().map(Vec::len).sum(),
        ..Findings::default()
    };
    let mut numbers = BTreeSet::new();
    for charger in chargers {
        let notes = charger.notes();
        let of_charger = store.sessions.get(&charger.station).map_or(&[][..], Vec::as_slice);
        let mut judged =
            Judged { charger: &charger.name, notes: &notes, store: &store, findings: &mut findings };
        judged.starts(of_charger, &mut numbers);
        judged.sessions(of_charger);
    }
    let known: BTreeSet<Uuid> = chargers.iter().map(|charger| charger.station).collect();
    for (station, _) in store.sessions.iter().filter(|(station, _)| !known.contains(station)) {
        findings.complain("", format!("a session at station {station}, which is no charger's"));
    }
    if findings.metered_wh != findings.recorded_wh {
        let (metered, recorded) = (findings.metered_wh, findings.recorded_wh);
        findings.complain("", format!("{metered} Wh were metered, and {recorded} Wh are on record"));
    }
    Ok(findings)
}

async fn read(db: &Db) -> Result<Store, DbError> {
    let mut sessions: HashMap<Uuid, Vec<Session>> = HashMap::new();
    let mut before = i64::MAX;
    loop {
        let page = db.read(async |tx| sessions::list(tx, &Filter::default(), before, PAGE).await).await?;
        let Some(last) = page.last() else { break };
        before = last.number;
        page.into_iter().for_each(|session| sessions.entry(session.station_id).or_default().push(session));
    }
    let query = "SELECT session_id, at, value FROM meter_values WHERE session_id IS NOT NULL AND value IS NOT NULL \
                 AND measurand = 'Energy.Active.Import.Register'";
    let rows: Vec<(Uuid, At, i64)> = db
        .read(async |tx| {
            let Tx::Pg(tx) = tx else { panic!("it is PostgreSQL") };
            Ok::<_, DbError>(sqlx::query_as(query).fetch_all(&mut **tx).await?)
        })
        .await?;
    let mut readings: HashMap<Uuid, Vec<(At, i64)>> = HashMap::new();
    for (session, at, value) in rows {
        readings.entry(session).or_default().push((at, value));
    }
    Ok(Store { sessions, readings })
}

impl Findings {
    fn complain(&mut self, charger: &str, what: String) {
        self.violations.push(Violation { charger: charger.to_owned(), what });
    }

    /// The figures, with what they count.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        vec![
            ("chargers", self.chargers.to_string()),
            ("calls answered", self.answers.to_string()),
            ("starts answered", self.started.to_string()),
            ("transactions on record", self.sessions.to_string()),
            ("  ended by their stop", self.completed.to_string()),
            ("  of chargers that lost their memory", self.without_stop.to_string()),
            ("readings on record", self.readings.to_string()),
            ("kWh metered", kwh(self.metered_wh)),
            ("kWh on record", kwh(self.recorded_wh)),
        ]
    }
}

fn kwh(wh: i64) -> String {
    format!("{}.{:03}", wh / 1000, wh % 1000)
}

struct Judged<'a> {
    charger: &'a str,
    notes: &'a Ledger,
    store: &'a Store,
    findings: &'a mut Findings,
}

impl Judged<'_> {
    fn complain(&mut self, what: String) {
        self.findings.complain(self.charger, what);
    }

    /// Each start that was answered is on record once, under the one number that was answered.
    fn starts(&mut self, sessions: &[Session], numbers: &mut BTreeSet<i64>) {
        self.findings.answers += self.notes.answers;
        self.findings.started += self.notes.started();
        for violation in &self.notes.violations {
            self.complain(violation.clone());
        }
        for (start, fate) in &self.notes.starts {
            let recorded: Vec<i64> =
                sessions.iter().filter(|session| is(session, start)).map(|session| session.number).collect();
            if recorded.len() > 1 {
                self.complain(format!("{start:?} is on record as {recorded:?}"));
            }
            if fate.numbers.iter().any(|number| !recorded.contains(number)) {
                self.complain(format!(
                    "{start:?} was answered {:?}, on record is {recorded:?}",
                    fate.numbers
                ));
            }
            if fate.numbers.is_empty() && !fate.forgotten {
                self.complain(format!("{start:?} has no answer"));
            }
            for number in fate.numbers.iter().filter(|number| !numbers.insert(**number)) {
                self.findings.complain(self.charger, format!("{number} was answered to two starts"));
            }
        }
    }

    /// Each session was started by its charger, and has ended as the charger said.
    fn sessions(&mut self, sessions: &[Session]) {
        for session in sessions {
            let Some((start, fate)) = self.notes.starts.iter().find(|(start, _)| is(session, start)) else {
                self.complain(format!("no such start was sent: {}", shown(session)));
                continue;
            };
            self.end(session, start, fate);
            self.readings(session);
            let doubts = session.anomalies.iter().filter(|anomaly| match anomaly {
                Anomaly::NoStop => !fate.forgotten,
                Anomaly::ClockNotSet | Anomaly::FutureTime | Anomaly::StopBeforeStart => {
                    !self.notes.wrong_clock
                }
                _ => true,
            });
            let doubts: Vec<&Anomaly> = doubts.collect();
            if !doubts.is_empty() {
                self.complain(format!("{doubts:?} without a reason: {}", shown(session)));
            }
        }
    }

    fn end(&mut self, session: &Session, start: &Start, fate: &Fate) {
        let mut stops = self.notes.stops.iter().filter(|(stop, _)| stop.number == session.number);
        let is_completed = session.state == SessionState::Completed;
        match stops.next() {
            Some((stop, true)) => {
                let energy = stop.meter - start.meter;
                self.findings.completed += 1;
                self.findings.metered_wh += energy;
                self.findings.recorded_wh += session.energy_wh.unwrap_or_default();
                let as_sent = (session.meter_stop, session.ended_at, session.energy_wh)
                    == (Some(stop.meter), Some(stop.at), Some(energy));
                if !(is_completed && as_sent) {
                    self.complain(format!("{stop:?} was answered, on record is {}", shown(session)));
                }
            }
            stop if fate.forgotten => {
                self.findings.without_stop += 1;
                let sent = self.notes.readings.keys();
                let of_session = sent.filter(|reading| reading.number == Some(session.number));
                let mut metered = of_session.map(|reading| reading.meter - start.meter).chain([0]);
                let known = match session.energy_wh {
                    Some(energy) => metered.any(|known| known == energy),
                    None => session.state == SessionState::Active,
                };
                // A stop that was not answered may be on record all the same.
                if !(known || stop.is_some() && is_completed) {
                    self.complain(format!("the energy was never metered: {}", shown(session)));
                }
            }
            Some((stop, false)) => self.complain(format!("{stop:?} has no answer")),
            None => self.complain(format!("no stop was sent: {}", shown(session))),
        }
    }

    /// Each reading that was answered is on record once, and no other.
    fn readings(&mut self, session: &Session) {
        let mut recorded: BTreeMap<(At, i64), usize> = BTreeMap::new();
        for reading in self.store.readings.get(&session.id).into_iter().flatten() {
            *recorded.entry(*reading).or_default() += 1;
        }
        let sent = self.notes.readings.iter().filter(|(reading, _)| reading.number == Some(session.number));
        for (reading, answered) in sent {
            match recorded.remove(&(kept_at(session, reading.at), reading.meter)) {
                Some(1) => {}
                None if !answered => {}
                found => self.complain(format!(
                    "{reading:?} is on record {} times, and was {}answered",
                    found.unwrap_or_default(),
                    if *answered { "" } else { "not " }
                )),
            }
        }
        if !recorded.is_empty() {
            self.complain(format!("readings that were never sent: {recorded:?}, {}", shown(session)));
        }
    }
}

/// Readings of a clock that is not set count from when the start of their session arrived.
fn kept_at(session: &Session, at: At) -> At {
    let is_set = |at: At| at.millis() >= YEAR_2020;
    match (session.started_at, session.start_received_at) {
        (Some(began), Some(received)) if !is_set(began) && !is_set(at) => {
            At::from_millis(at.millis() + received.millis() - began.millis())
        }
        _ => at,
    }
}

fn is(session: &Session, start: &Start) -> bool {
    session.connector_number == Some(start.connector)
        && session.id_tag.as_ref() == Some(&start.id_tag)
        && session.started_at == Some(start.at)
        && session.meter_start == Some(start.meter)
}

fn shown(session: &Session) -> String {
    let Session { number, state, started_at, ended_at, meter_start, meter_stop, energy_wh, .. } = session;
    format!(
        "{number} {} from {started_at:?} to {ended_at:?}, {meter_start:?} to {meter_stop:?} Wh: {energy_wh:?} {:?}",
        state.as_str(),
        session.anomalies.0
    )
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.charger, self.what)
    }
}
