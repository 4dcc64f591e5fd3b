//! One server process that cannot outlive the test that started it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, getpgid};

const POLL: Duration = Duration::from_millis(20);
const KILLED_WITHIN: Duration = Duration::from_secs(10);
const STOPPED_WITHIN: Duration = Duration::from_secs(30);
const LOG_LINES_SHOWN: usize = 60;

/// The shell becomes the server, so that the server's process is our own child with a known id. A subshell stays and
/// waits for the end of a pipe that only we hold open. The kernel closes the pipe however we end, SIGKILL included,
/// which no destructor or signal handler can guarantee. (PR_SET_PDEATHSIG would fire already at the end of the *thread*
/// that started the server.) The subshell then kills its whole process group by the number 0, which cannot have been
/// reused. It ignores SIGHUP because the kernel sends it to an orphaned group with a paused server. Children in sessions
/// of their own end by themselves when the server has ended, unless they are paused; so they are resumed.
///
/// With the variable [`QUITS_WITHIN`] the server first gets SIGQUIT and that many seconds.
const WATCHED: &str = r#"
exec 3<&0 </dev/null
(trap '' HUP INT TERM QUIT; read -r _ <&3
[ -z "$QUITS_WITHIN" ] || kill -QUIT $$
kill -CONT $$ $(cat /proc/$$/task/$$/children) 2>/dev/null
sleep "${QUITS_WITHIN:-0}"
kill -KILL 0) &
exec "$@" 3<&-
"#;

/// A variable of a command whose server leaves something behind when it is killed, but not when it gets SIGQUIT.
pub(crate) const QUITS_WITHIN: &str = "QUITS_WITHIN";

/// A running server in its own process group. Dropping it kills the server and all processes that it started.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Prepares a command for [`Process::start`]; the caller adds arguments and environment. Nothing is inherited, so
    /// that settings of the system's or a developer's server do not leak in.
    #[must_use]
    pub fn command(program: impl AsRef<OsStr>, path: &OsStr, home: &Path) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", WATCHED, "watched"]).arg(program);
        command.env_clear().env("PATH", path).env("HOME", home).env("LC_ALL", "C.UTF-8");
        command.current_dir(home).process_group(0);
        command
    }

    /// Starts it, and appends its output to `log`.
    ///
    /// # Errors
    /// Returns an error if there is no such program, or if the log cannot be written.
    pub fn start(mut command: Command, log: &Path) -> Result<Self> {
        let opened = File::options().create(true).append(true).open(log);
        let output = opened.with_context(|| format!("cannot write the log {}", log.display()))?;
        command.stdin(Stdio::piped()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `ready` returns true. An error contains the end of the log.
    ///
    /// # Errors
    /// Returns an error if the process ended, or was not ready within the limit.
    pub fn wait_ready(&mut self, limit: Duration, ready: impl Fn() -> bool) -> Result<()> {
        let started = Instant::now();
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status} while starting\n{}", tail(&self.log));
            }
            if started.elapsed() > limit {
                bail!("it is not ready after {limit:?}\n{}", tail(&self.log));
            }
            sleep(POLL);
        }
        Ok(())
    }

    /// Sends SIGKILL to it and to all processes that it started, in other groups and sessions as well.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.kill_all()
    }

    /// Asks it to end, which may take a while; the processes that it leaves behind are killed.
    pub(crate) fn stop(self) -> Result<()> {
        self.stop_by(Signal::SIGTERM)
    }

    /// Same as [`Process::stop`] with another signal.
    pub(crate) fn stop_by(mut self, signal: Signal) -> Result<()> {
        kill(self.pid(), signal).context("cannot signal the server")?;
        // A paused process would receive the first signal only after it is resumed.
        self.resume_all()?;
        let started = descendants(self.child.id());
        let ended = wait_until(STOPPED_WITHIN, || !matches!(self.child.try_wait(), Ok(None)));
        self.kill_all()?;
        wait_gone(&started)?;
        if !ended {
            bail!("it did not stop within {STOPPED_WITHIN:?} and was killed\n{}", tail(&self.log));
        }
        Ok(())
    }

    /// Returns when the process is stopped.
    pub(crate) fn pause(&self) -> Result<()> {
        kill(self.pid(), Signal::SIGSTOP).context("cannot pause the server")?;
        let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        waitid(Id::Pid(self.pid()), flags).context("cannot wait for the server to pause")?;
        Ok(())
    }

    pub(crate) fn resume(&self) -> Result<()> {
        kill(self.pid(), Signal::SIGCONT).context("cannot resume the server")
    }

    /// Same as [`Process::pause`], its children in other process groups included. It is paused first, so that it starts no
    /// more of them.
    pub(crate) fn pause_all(&self) -> Result<()> {
        self.pause()?;
        for child in self.children() {
            // A process that has already ended is not an error.
            let _ = kill(child, Signal::SIGSTOP);
        }
        Ok(())
    }

    pub(crate) fn resume_all(&self) -> Result<()> {
        for child in self.children() {
            let _ = kill(child, Signal::SIGCONT);
        }
        self.resume()
    }

    /// Those in other process groups; its own group contains the watching subshell, which is never paused.
    fn children(&self) -> impl Iterator<Item = Pid> {
        let group = self.pid();
        let started = descendants(self.child.id()).into_iter().map(as_pid);
        started.filter(move |child| getpgid(Some(*child)).is_ok_and(|its| its != group))
    }

    fn pid(&self) -> Pid {
        as_pid(self.child.id())
    }

    fn kill_all(&mut self) -> Result<()> {
        // While this pipe is open, the watching subshell keeps the group's number from being reused, also when the
        // server itself has ended.
        let Some(_pipe) = self.child.stdin.take() else { return Ok(()) };
        let started = descendants(self.child.id());
        // A group that is already gone is not an error.
        let _ = killpg(self.pid(), Signal::SIGKILL);
        for &pid in &started {
            let _ = kill(as_pid(pid), Signal::SIGKILL);
        }
        self.child.wait().context("cannot wait for the killed server")?;
        wait_gone(&started)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // There is no caller to report an error to.
        let _ = self.kill_all();
    }
}

/// All running processes that `ancestor` started, directly or through others whose parents still run.
#[must_use]
pub fn descendants(ancestor: u32) -> Vec<u32> {
    let mut children = HashMap::<u32, Vec<u32>>::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        if let Some(parent) = parent_of_running(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = children.remove(&ancestor).unwrap_or_default();
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        found.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    found
}

fn as_pid(id: u32) -> Pid {
    Pid::from_raw(id.cast_signed())
}

fn wait_gone(processes: &[u32]) -> Result<()> {
    if !wait_until(KILLED_WITHIN, || !processes.iter().any(|&pid| parent_of_running(pid).is_some())) {
        bail!("of the ended server's processes {processes:?} some are still there after {KILLED_WITHIN:?}");
    }
    Ok(())
}

/// Returns `None` also for a zombie, which may last long: it stays until its parent waits for it.
fn parent_of_running(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name precedes them in parentheses and may contain anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") { None } else { fields.next()?.parse().ok() }
}

pub(crate) fn wait_until(limit: Duration, mut reached: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while !reached() {
        if started.elapsed() > limit {
            return false;
        }
        sleep(POLL);
    }
    true
}

fn tail(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().collect::<Vec<_>>();
    let last = lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n");
    format!("the end of its log {}:\n{last}", log.display())
}
