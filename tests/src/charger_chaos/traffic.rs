//! The chargers and their drivers: sessions one after another, and mishaps in between.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use simulator::misbehaviour::Misbehaviour;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Plan;
use super::fault::{Mishap, NETWORKS, ONE_IN};
use super::system::{CARDS, System};
use crate::chargers::{Noted, adopt};

/// A card that the platform does not know.
const STRANGER: &str = "CARD-STRANGER";
/// Milliseconds of charging, and between two sessions.
const CHARGING: std::ops::Range<u64> = 300..3_000;
const PAUSE: std::ops::Range<u64> = 100..1_000;
/// Between two readings, by the charger's time: half a second.
const SAMPLE_SECS: u32 = 1_800;
/// How long the second socket of a charger is held.
const SECOND_SOCKET: Duration = Duration::from_millis(500);
/// By how many minutes a clock jumps at most.
const JUMP_MINUTES: i64 = 300;
/// When everything works, all that a charger has kept is answered within this time.
const REST_WITHIN: Duration = Duration::from_secs(90);
const MISHAPS: usize = 16;
/// What chargers do wrong all the time, in turn.
const MISBEHAVIOURS: [&[Misbehaviour]; 8] = [
    &[],
    &[],
    &[Misbehaviour::DuplicateStart],
    &[Misbehaviour::Cut],
    &[Misbehaviour::NoOffset],
    &[Misbehaviour::NumbersAsText, Misbehaviour::MeterValueObject],
    &[Misbehaviour::Flood],
    &[Misbehaviour::WrongClock],
];

/// All chargers.
pub(super) struct Traffic {
    mishaps: Vec<mpsc::Sender<Mishap>>,
    running: Mutex<Vec<JoinHandle<Noted>>>,
    stop: CancellationToken,
    sessions: Arc<AtomicUsize>,
}

impl Traffic {
    pub(super) async fn start(system: &System, plan: &Plan) -> Self {
        let names: Vec<String> = (0..plan.chargers).map(|number| format!("CP-{number}")).collect();
        let stations = adopt(&system.db, &names).await;
        let (stop, sessions) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
        let (mut mishaps, mut running) = (Vec::new(), Vec::new());
        for (index, (name, station)) in names.iter().zip(stations).enumerate() {
            let url = system.networks[index % NETWORKS].through("ws://127.0.0.1:1");
            let seed = plan.seed.wrapping_add(index as u64);
            let mut settings = Noted::settings(&url, name, seed);
            settings.configuration.push(("MeterValueSampleInterval", SAMPLE_SECS.to_string()));
            // Two at a time are on different networks, and have different mishaps.
            settings.model.misbehaviours = MISBEHAVIOURS[index / 2 % MISBEHAVIOURS.len()].to_vec();
            let (sender, receiver) = mpsc::channel(MISHAPS);
            mishaps.push(sender);
            let driven = Driven {
                charger: Noted::start(station, settings),
                dice: SmallRng::seed_from_u64(seed),
                mishaps: receiver,
                stop: stop.clone(),
                sessions: Arc::clone(&sessions),
            };
            running.push(tokio::spawn(driven.run()));
        }
        Self { mishaps, running: Mutex::new(running), stop, sessions }
    }

    /// How many sessions were begun by drivers.
    pub(super) fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    /// Lets it happen to the chargers of a group.
    pub(super) async fn mishap(&self, mishap: Mishap, group: usize) {
        for charger in self.mishaps.iter().skip(group).step_by(ONE_IN) {
            // A charger that has ended has no more of them.
            let _ = charger.send(mishap).await;
        }
    }

    /// Some chargers of a network give their sockets up.
    pub(super) async fn give_up_some_on(&self, network: usize) {
        for charger in self.mishaps.iter().skip(network).step_by(NETWORKS * 2) {
            let _ = charger.send(Mishap::Cut).await;
        }
    }

    /// Ends all sessions; returns the chargers when they have no more to send. They are still connected.
    pub(super) async fn end(&self, system: &System) -> Vec<Noted> {
        self.stop.cancel();
        let running = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        let mut chargers = Vec::new();
        for driven in running {
            match driven.await {
                Ok(charger) => chargers.push(charger),
                Err(error) => system.staff.complain(format!("a charger: {error}")),
            }
        }
        for charger in &chargers {
            let is_done = |now: &simulator::charger::Situation| now.accepted && now.connected && now.idle;
            if timeout(REST_WITHIN, charger.charger().until(is_done)).await.is_err() {
                let situation = charger.charger().situation();
                system.staff.complain(format!("{} has not come to rest: {situation:?}", charger.name));
            }
        }
        chargers
    }
}

/// A charger and its drivers.
struct Driven {
    charger: Noted,
    dice: SmallRng,
    mishaps: mpsc::Receiver<Mishap>,
    stop: CancellationToken,
    sessions: Arc<AtomicUsize>,
}

impl Driven {
    async fn run(mut self) -> Noted {
        while !self.stop.is_cancelled() {
            self.wait(PAUSE).await;
            // Most drivers are known.
            let card = match self.dice.random_range(0..10) {
                0 => STRANGER,
                1 => CARDS[1].0,
                _ => CARDS[0].0,
            };
            self.charger.plug_and_tap(card).await;
            self.sessions.fetch_add(1, Ordering::Relaxed);
            self.wait(CHARGING).await;
            self.charger.unplug().await;
        }
        // A card may be answered only now.
        let _ = timeout(REST_WITHIN, self.charger.charger().until(|now| now.idle)).await;
        let _ = self.charger.charger().with(|station, now| station.plug(1, now)).await;
        self.charger.unplug().await;
        self.charger
    }

    /// Waits for some milliseconds, and for what happens meanwhile.
    async fn wait(&mut self, millis: std::ops::Range<u64>) {
        let done = sleep(Duration::from_millis(self.dice.random_range(millis)));
        let mut done = std::pin::pin!(done);
        let stop = self.stop.clone();
        loop {
            tokio::select! {
                () = &mut done => return,
                () = stop.cancelled() => return,
                Some(mishap) = self.mishaps.recv() => self.befall(mishap).await,
            }
        }
    }

    async fn befall(&mut self, mishap: Mishap) {
        match mishap {
            Mishap::Twice => {
                let dial = self.charger.dial().clone();
                tokio::spawn(async move {
                    let _second = dial.connect().await;
                    sleep(SECOND_SOCKET).await;
                });
            }
            Mishap::Clock => {
                let minutes = self.dice.random_range(-JUMP_MINUTES..=JUMP_MINUTES);
                self.charger.notes().wrong_clock = true;
                let jump = move |station: &mut simulator::station::Station, now| {
                    station.jump(now, time::Duration::minutes(minutes));
                };
                let _ = self.charger.charger().with(jump).await;
            }
            // A clock that begins in 2000 once more has had the same moments before.
            Mishap::Exchanged if self.charger.misbehaves(Misbehaviour::WrongClock) => {}
            Mishap::Exchanged => self.charger.replace().await,
            Mishap::Cut => drop(self.charger.charger().cut().await),
        }
    }
}
