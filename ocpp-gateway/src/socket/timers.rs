//! What happens by the clock: pings, the limits of commands and of a charger's silence, and what is recorded now and then.

use std::time::{Duration, Instant};

use charging::At;
use charging::chargers::boots::Observed;
use charging::chargers::commands::{CommandState, End};

use super::{Ending, SETTLED_AFTER, Socket, within};
use crate::large_frames::ARRIVES_WITHIN;
use crate::writer::Report;

/// How often what was noticed about a charger is recorded.
const OBSERVED_EVERY: Duration = Duration::from_secs(60);
/// How many commands are remembered whose answer may still come.
const MAX_LATE: usize = 64;

impl Socket {
    pub(super) fn next_timer(&self) -> Instant {
        let ping = self.pinged_at + self.node.config.ping;
        let silent = self.heard_at + self.silence();
        let observed = self.observed_at + OBSERVED_EVERY;
        let settled =
            if self.settled || self.waiting.is_empty() { ping } else { self.connected_at + SETTLED_AFTER };
        let next = ping.min(silent).min(observed).min(settled);
        let arrives = self.held.since().map_or(next, |since| since + ARRIVES_WITHIN);
        let next = next.min(arrives).min(self.leaves_at().unwrap_or(next));
        self.connection.deadline().map_or(next, |deadline| deadline.min(next))
    }

    /// When it leaves the node, which stops: as planned, or once what is under way has ended, but not later than it has to.
    fn leaves_at(&self) -> Option<Instant> {
        let commanded = self.taking.is_some() || self.out.is_some();
        let called = self.step.is_some() || !self.queue.is_empty() || !self.deciding.is_empty();
        self.leaving.map(|(at, by)| if commanded || called { by } else { at })
    }

    /// How long a charger may be silent. Some never answer pings, and live by their calls (lbbrhzn/ocpp#553, #211).
    fn silence(&self) -> Duration {
        let config = &self.node.config;
        match self.ponged {
            true => 2 * config.ping + Duration::from_secs(10),
            false => (2 * config.heartbeat + Duration::from_secs(30))
                .max(2 * config.ping + Duration::from_secs(10)),
        }
    }

    pub(super) async fn tick(&mut self) -> Result<(), Ending> {
        let now = Instant::now();
        if let Some(id) = self.connection.expired(now) {
            let out = self.out.take().filter(|(command, _)| command.to_string() == id.as_str());
            if let Some((command, _)) = out {
                if self.late.len() < MAX_LATE {
                    self.late.insert(command);
                }
                let why = "the charger has not answered in time";
                self.end_command(command, End::without_answer(CommandState::Timeout, why));
            }
        }
        if self.leaves_at().is_some_and(|at| now >= at) {
            return Err(Ending::Stopping);
        }
        if self.held.since().is_some_and(|since| now >= since + ARRIVES_WITHIN) {
            return Err(Ending::NoRoom);
        }
        if now >= self.heard_at + self.silence() {
            return Err(Ending::Silent);
        }
        self.settled |= now >= self.connected_at + SETTLED_AFTER;
        if now >= self.observed_at + OBSERVED_EVERY {
            self.observe();
        }
        if now >= self.pinged_at + self.node.config.ping {
            self.pinged_at = now;
            return within(self.session.ping(b"")).await;
        }
        Ok(())
    }

    /// Records what was noticed since the last time.
    pub(super) fn observe(&mut self) {
        self.observed_at = Instant::now();
        let silent = self.heard_at.elapsed();
        let observed =
            Observed { last_seen: Some(At::now().minus(silent)), ..std::mem::take(&mut self.observed) };
        self.node.writer.note(self.charger.station, Report::Observed(observed));
    }
}
