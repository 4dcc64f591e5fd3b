//! The notes on one charger: which transaction messages it has sent, and which of them were answered, and how.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use charging::db::At;
use serde_json::Value;
use simulator::event::Event;

/// What a simulator notes of an answer that came after its time limit. It is late, not wrong.
const LATE: &str = "an answer to no CALL that is out";

/// A start, by what makes it the same start.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Start {
    /// The connector.
    pub connector: i64,
    /// The tag.
    pub id_tag: String,
    /// When, by the charger's clock.
    pub at: At,
    /// The register in Wh.
    pub meter: i64,
}

/// What became of a start.
#[derive(Debug, Clone, Default)]
pub struct Fate {
    /// The numbers that were answered. More than one is a defect.
    pub numbers: BTreeSet<i64>,
    /// Whether the charger lost its memory before its stop was answered.
    pub forgotten: bool,
}

/// A stop.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stop {
    /// The number that it carried.
    pub number: i64,
    /// When, by the charger's clock.
    pub at: At,
    /// The register in Wh.
    pub meter: i64,
}

/// A reading of the register.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reading {
    /// The number that it carried.
    pub number: Option<i64>,
    /// When, by the charger's clock.
    pub at: At,
    /// The register in Wh.
    pub meter: i64,
}

/// The CALL that is out.
#[derive(Debug, Clone)]
enum Out {
    Start(Start),
    Stop(Stop),
    Readings(Vec<Reading>),
}

/// The notes on one charger.
#[derive(Debug, Default)]
pub struct Ledger {
    /// The starts that were sent.
    pub starts: BTreeMap<Start, Fate>,
    /// The stops that were sent, and whether they were answered.
    pub stops: BTreeMap<Stop, bool>,
    /// The readings that were sent, and whether they were answered.
    pub readings: BTreeMap<Reading, bool>,
    /// When it connected.
    pub connected: Vec<Instant>,
    /// Which rules the central system broke.
    pub violations: Vec<String>,
    /// Whether its clock was, or is, wrong.
    pub wrong_clock: bool,
    /// How many calls were answered.
    pub answers: usize,
    /// When transaction messages were answered.
    pub answered: Vec<Instant>,
    out: Option<Out>,
}

impl Ledger {
    /// Notes an event.
    pub fn note(&mut self, event: Event, at: Instant) {
        match event {
            Event::Connected => self.connected.push(at),
            Event::Disconnected { .. } | Event::NoAnswer { .. } => self.out = None,
            Event::Sent { action, kind, payload } if kind == "call" => self.sent(&action, &payload),
            Event::Received { action, kind, payload, took_us: Some(_) } => match kind.as_str() {
                "result" => self.was_answered(&action, &payload, at),
                code => self.violations.push(format!("{action} was answered {code}: {payload}")),
            },
            Event::GivenUp { action } => self.violations.push(format!("{action} was given up")),
            Event::Violation { action, what } if what != LATE => {
                self.violations.push(format!("{action}: {what}"));
            }
            _ => {}
        }
    }

    fn sent(&mut self, action: &str, payload: &Value) {
        self.out = match action {
            "StartTransaction" => {
                let start = Start {
                    connector: number(&payload["connectorId"]),
                    id_tag: payload["idTag"].as_str().unwrap_or_default().to_owned(),
                    at: moment(payload),
                    meter: number(&payload["meterStart"]),
                };
                self.starts.entry(start.clone()).or_default();
                Some(Out::Start(start))
            }
            "StopTransaction" => {
                let (number, meter) = (number(&payload["transactionId"]), number(&payload["meterStop"]));
                let stop = Stop { number, at: moment(payload), meter };
                self.stops.entry(stop.clone()).or_default();
                Some(Out::Stop(stop))
            }
            "MeterValues" => {
                let readings = readings(payload);
                for reading in &readings {
                    self.readings.entry(reading.clone()).or_default();
                }
                Some(Out::Readings(readings))
            }
            // One that floods sends heartbeats beside it.
            _ => return,
        };
    }

    fn was_answered(&mut self, action: &str, payload: &Value, at: Instant) {
        self.answers += 1;
        if !matches!(action, "StartTransaction" | "StopTransaction" | "MeterValues") {
            return;
        }
        let Some(out) = self.out.take() else { return };
        self.answered.push(at);
        match out {
            Out::Start(start) if action == "StartTransaction" => {
                let fate = self.starts.entry(start).or_default();
                fate.numbers.insert(number(&payload["transactionId"]));
            }
            Out::Stop(stop) if action == "StopTransaction" => {
                self.stops.insert(stop, true);
            }
            Out::Readings(readings) if action == "MeterValues" => {
                self.readings.extend(readings.into_iter().map(|reading| (reading, true)));
            }
            _ => {}
        }
    }

    /// The charger has lost its memory: what it has not stopped yet will have no stop.
    pub fn forget(&mut self) {
        let stopped: BTreeSet<i64> =
            self.stops.iter().filter(|(_, answered)| **answered).map(|(stop, _)| stop.number).collect();
        for fate in self.starts.values_mut() {
            fate.forgotten |= fate.numbers.iter().all(|number| !stopped.contains(number));
        }
    }

    /// How many starts were answered.
    pub fn started(&self) -> usize {
        self.starts.values().filter(|fate| !fate.numbers.is_empty()).count()
    }
}

fn number(value: &Value) -> i64 {
    optional_number(value).expect("the simulator sends numbers")
}

/// Some chargers write numbers as texts.
fn optional_number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// Some chargers write no offset.
fn moment(payload: &Value) -> At {
    let text = payload["timestamp"].as_str().unwrap_or_default().trim_end_matches('Z');
    serde_json::from_value(format!("{text}Z").into()).expect("the simulator sends moments")
}

fn readings(payload: &Value) -> Vec<Reading> {
    let transaction = optional_number(&payload["transactionId"]);
    // Some chargers write an object for a list of one.
    let values = match &payload["meterValue"] {
        Value::Array(values) => &values[..],
        value => std::slice::from_ref(value),
    };
    let values = values.iter();
    let of_register = values.filter_map(|value| {
        let samples = value["sampledValue"].as_array()?;
        let sample = samples.iter().find(|sample| is_register(sample))?;
        let meter = sample["value"].as_str()?.parse().ok()?;
        Some(Reading { number: transaction, at: moment(value), meter })
    });
    of_register.collect()
}

fn is_register(sample: &Value) -> bool {
    sample["measurand"].as_str().is_none_or(|measurand| measurand == "Energy.Active.Import.Register")
}
