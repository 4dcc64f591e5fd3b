//! The processes of a system that faults befall, and whose turn it is.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::Mutex as Turn;
use tokio::time::sleep;

use crate::deployment::Deployment;
use crate::link::Link;
use crate::process::Process;

/// Target of a link until what it leads to listens.
pub(crate) const NOWHERE: &str = "http://127.0.0.1:1";
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A service of a suite.
pub(crate) trait Service: Copy + fmt::Debug + PartialEq + Send + Sync + 'static {
    /// The program, and what it logs when it is ready.
    fn program(self) -> (&'static str, &'static str);
}

/// The processes of a system.
#[derive(Debug)]
pub(crate) struct Staff<S, P> {
    members: Vec<Member<S>>,
    /// Allows one fault at a time for each part.
    turns: Vec<(P, Turn<()>)>,
    /// What must not happen.
    complaints: Mutex<Vec<String>>,
}

/// One instance of a service: a process and those that replace it.
#[derive(Debug)]
pub(crate) struct Member<S> {
    service: S,
    number: usize,
    deployment: Deployment,
    /// How others reach it: links, and the index of its target in each.
    fronts: Vec<(Arc<Link>, usize)>,
    logs: PathBuf,
    /// `None` while a fault controls it.
    process: Mutex<Option<Process>>,
}

impl<S: Service, P: Copy + PartialEq> Staff<S, P> {
    /// Starts the members in their order. `part_of` names the part that a member is; `parts` are the others.
    pub(crate) async fn start(
        members: Vec<Member<S>>,
        part_of: impl Fn(S, usize) -> P,
        parts: impl Iterator<Item = P>,
    ) -> Self {
        let processes = members.iter().map(|member| part_of(member.service, member.number));
        let turns = parts.chain(processes).map(|part| (part, Turn::default())).collect();
        for member in &members {
            member.start().await;
        }
        Self { members, turns, complaints: Mutex::default() }
    }

    pub(crate) fn member(&self, service: S, number: usize) -> &Member<S> {
        let mut members = self.members.iter();
        let found = members.find(|member| member.service == service && member.number == number);
        found.expect("the schedule knows how many there are")
    }

    pub(crate) fn turn(&self, part: P) -> &Turn<()> {
        &self.turns.iter().find(|(name, _)| *name == part).expect("every part has its turn").1
    }

    pub(crate) fn complain(&self, what: String) {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    pub(crate) fn take_complaints(&self) -> Vec<String> {
        std::mem::take(&mut *self.complaints.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Complains of every process that exits on its own, and starts it again, so that the run continues.
    pub(crate) async fn watch(&self) {
        loop {
            for member in &self.members {
                if let Some(how) = member.ended_on_its_own() {
                    self.complain(how);
                    member.start().await;
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Complains if the process does not stop in order on SIGTERM.
    pub(crate) async fn stop(&self, member: &Member<S>) {
        let Some(mut process) = member.take() else { return };
        process.signal(Signal::SIGTERM);
        let code = process.ended().await;
        if code != Some(0) {
            let log = process.log_tail();
            self.complain(format!("a process ended with {code:?} after SIGTERM:\n{log}"));
        }
    }

    pub(crate) async fn restart(&self, member: &Member<S>) {
        self.stop(member).await;
        member.start().await;
    }
}

impl<S: Service> Member<S> {
    pub(crate) fn new(
        service: S,
        number: usize,
        deployment: &Deployment,
        fronts: Vec<(Arc<Link>, usize)>,
        logs: &Path,
    ) -> Self {
        let (deployment, logs) = (deployment.clone(), logs.to_owned());
        Self { service, number, deployment, fronts, logs, process: Mutex::default() }
    }

    /// Starts it; returns when it is ready.
    pub(crate) async fn start(&self) {
        self.start_with(&BTreeMap::new()).await;
    }

    /// Starts it with these settings in addition to its own.
    pub(crate) async fn start_with(&self, settings: &BTreeMap<String, String>) {
        let (program, ready) = self.service.program();
        let mut environment = self.deployment.environment.clone();
        environment.extend(settings.clone());
        let prefix = format!("{program}-{}.", self.number);
        let log = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".log")
            .disable_cleanup(true)
            .tempfile_in(&self.logs);
        let log = log.expect("a file for the log");
        let mut process = Process::start_with_log(program, &[], &environment, log);
        let address = process.logged(ready).await;
        for (link, place) in &self.fronts {
            link.lead(*place, &format!("http://{address}"));
        }
        *self.process() = Some(process);
    }

    /// Kills it, and starts it again after this time.
    pub(crate) async fn kill_for(&self, span: Duration) {
        if let Some(process) = self.take() {
            process.kill().await;
        }
        sleep(span).await;
        self.start().await;
    }

    /// Stops it in the middle of its work, for this time.
    pub(crate) async fn freeze_for(&self, span: Duration) {
        let Some(process) = self.take() else { return };
        process.signal(Signal::SIGSTOP);
        sleep(span).await;
        process.signal(Signal::SIGCONT);
        *self.process() = Some(process);
    }

    /// How far its clock is ahead, in seconds.
    pub(crate) fn clock_ahead(&self) -> Option<i64> {
        self.process().as_ref().and_then(Process::clock_ahead)
    }

    /// Takes the process, so that it is no longer watched.
    fn take(&self) -> Option<Process> {
        self.process().take()
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended_on_its_own(&self) -> Option<String> {
        let mut held = self.process();
        let status = held.as_mut()?.exit_status()?;
        let process = held.take()?;
        let (service, number) = (self.service, self.number);
        Some(format!("{service:?} {number} ended on its own with {status}:\n{}", process.log_tail()))
    }
}
