//! The progress of a run, on stderr: one line that is updated on a terminal, otherwise a line now and then.

use std::io::{IsTerminal, stderr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How often to look.
pub(crate) const EVERY: Duration = Duration::from_secs(1);
const WITHOUT_TERMINAL_EVERY: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Progress {
    wanted: bool,
    terminal: bool,
    length: Duration,
    began: Instant,
    last: Mutex<Option<Instant>>,
}

impl Progress {
    pub(crate) fn start(seed: u64, length: Duration, wanted: bool) -> Self {
        let progress = Self {
            wanted,
            terminal: stderr().is_terminal(),
            length,
            began: Instant::now(),
            last: Mutex::new(None),
        };
        progress.say(&format!("seed {seed}, {} s", length.as_secs()));
        progress
    }

    /// Prints the time and this figure if it is due.
    pub(crate) fn show(&self, figure: impl FnOnce() -> String) {
        let every = if self.terminal { EVERY } else { WITHOUT_TERMINAL_EVERY };
        let Ok(mut last) = self.last.lock() else { return };
        if !self.wanted || last.is_some_and(|last| last.elapsed() < every) {
            return;
        }
        *last = Some(Instant::now());
        let (now, end) = (self.began.elapsed().as_secs(), self.length.as_secs());
        let line = format!("{now} of {end} s, {}", figure());
        if self.terminal { eprint!("\r\x1b[2Kchaos: {line}") } else { eprintln!("chaos: {line}") }
    }

    /// Prints an event.
    pub(crate) fn say(&self, what: &str) {
        if self.wanted {
            let anew = if self.terminal { "\r\x1b[2K" } else { "" };
            eprintln!("{anew}chaos: {what}");
        }
    }
}
