//! How the program `with-servers` runs a command and how it exits, and that it leaves nothing behind.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

const EVENTUALLY: Duration = Duration::from_secs(10);
const PAUSE_SERVERS_AND_KILL_PARENT: &str = r#"exec "$VOLTGATE_TEST_PYTHON" -c '
import glob, os, redis, signal
for process in glob.glob("/proc/[0-9]*"):
    try:
        is_postgres = open(process + "/comm").read() == "postgres\n"
        if is_postgres and os.readlink(process + "/cwd").startswith(os.environ["TMPDIR"]):
            os.kill(int(process[6:]), signal.SIGSTOP)
    except OSError:
        pass # It has ended meanwhile.
server = redis.from_url(os.environ["VOLTGATE_TEST_REDIS_URL"]).info()["process_id"]
os.kill(server, signal.SIGSTOP)
os.kill(os.getppid(), signal.SIGKILL)
'"#;

#[test]
fn the_command_finds_its_servers_and_its_exit_code_is_returned() {
    let dir = TempDir::new().unwrap();
    let script =
        r#"env; "$VOLTGATE_TEST_PYTHON" -c 'import celery; print("celery", celery.__version__)'; exit 3"#;
    let output = with_servers(dir.path()).args(["--", "sh", "-c", script]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", messages(&output));
    let printed = String::from_utf8_lossy(&output.stdout);
    for expected in [
        "VOLTGATE_TEST_BROKER_URL=amqp://guest:guest@127.0.0.1:",
        "VOLTGATE_TEST_BROKER_API=http://guest:guest@127.0.0.1:",
        "VOLTGATE_TEST_REDIS_URL=redis://127.0.0.1:",
        "VOLTGATE_TEST_POSTGRES_URL=postgres://postgres@127.0.0.1:",
        "VOLTGATE_TEST_PYTHON=/",
        "celery 5.7.0",
    ] {
        assert!(printed.contains(expected), "no {expected} in {printed}");
    }
    assert!(!is_in_use(dir.path()));
    let kept = entries(dir.path());
    assert!(messages(&output).contains(kept[0].to_str().unwrap()), "{}", messages(&output));
    assert!(kept[0].join("rabbitmq/log/rabbitmq.log").exists() && !kept[0].join("rabbitmq/data").exists());
}

#[test]
fn servers_end_when_with_servers_is_killed_even_paused_ones() {
    let dir = TempDir::new().unwrap();
    let status = with_servers(dir.path()).args(["sh", "-c", PAUSE_SERVERS_AND_KILL_PARENT]).status().unwrap();
    assert_eq!(status.code(), None);
    let started = Instant::now();
    while is_in_use(dir.path()) {
        assert!(started.elapsed() < EVENTUALLY, "some are still there");
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_signal_ends_the_command_and_what_it_started_and_the_servers() {
    let dir = TempDir::new().unwrap();
    let script = r"sh -c 'sleep 600; :' & kill -TERM $PPID; wait";
    let output = with_servers(dir.path()).args(["sh", "-c", script]).output().unwrap();
    assert_eq!(output.status.code(), Some(128 + 15), "{}", messages(&output));
    assert!(!is_in_use(dir.path()));
    assert_eq!(entries(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_missing_package_is_named_with_the_command_to_install_it() {
    let dir = TempDir::new().unwrap();
    let output = with_servers(dir.path()).arg("true").env("PATH", dir.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(69));
    let command = "sudo apt-get install -y --no-install-recommends rabbitmq-server redis-server valgrind python3 python3-venv";
    assert!(messages(&output).contains(command), "{}", messages(&output));
}

/// In its own process group, so that a signal sent to it cannot reach the test.
fn with_servers(temporary: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_with-servers"));
    command.env("TMPDIR", temporary).process_group(0);
    command
}

fn messages(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path()).collect()
}

/// Whether any process is running that was started with this temporary directory, or works in it.
fn is_in_use(dir: &Path) -> bool {
    let dir = dir.to_str().unwrap();
    entries(Path::new("/proc")).iter().any(|process| {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        let works_in = fs::read_link(process.join("cwd")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(dir) || works_in.starts_with(dir)
    })
}
