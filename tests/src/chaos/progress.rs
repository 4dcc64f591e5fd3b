//! The progress of a run, on stderr: one line that is updated on a terminal, otherwise a line now and then.

use std::io::{IsTerminal, stderr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::Plan;
use crate::load::Load;

/// How often to look.
pub(super) const EVERY: Duration = Duration::from_secs(1);
const WITHOUT_TERMINAL_EVERY: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Progress {
    wanted: bool,
    terminal: bool,
    length: Duration,
    began: Instant,
    last: Mutex<Option<Instant>>,
}

impl Progress {
    pub(super) fn start(plan: &Plan) -> Self {
        let progress = Self {
            wanted: plan.progress,
            terminal: stderr().is_terminal(),
            length: plan.length,
            began: Instant::now(),
            last: Mutex::new(None),
        };
        progress.say(&format!("seed {}, {} s", plan.seed, plan.length.as_secs()));
        progress
    }

    /// Prints the progress if it is due.
    pub(super) fn show(&self, load: &Load) {
        let every = if self.terminal { EVERY } else { WITHOUT_TERMINAL_EVERY };
        let Ok(mut last) = self.last.lock() else { return };
        if !self.wanted || last.is_some_and(|last| last.elapsed() < every) {
            return;
        }
        *last = Some(Instant::now());
        let (now, end) = (self.began.elapsed().as_secs(), self.length.as_secs());
        let line = format!("{now} of {end} s, {} requests accepted", load.accepted_so_far());
        if self.terminal { eprint!("\r\x1b[2Kchaos: {line}") } else { eprintln!("chaos: {line}") }
    }

    /// Prints an event.
    pub(super) fn say(&self, what: &str) {
        if self.wanted {
            let anew = if self.terminal { "\r\x1b[2K" } else { "" };
            eprintln!("{anew}chaos: {what}");
        }
    }
}
