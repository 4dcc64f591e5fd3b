//! `voltgate acl import`, as a person uses it: checking, correcting, interrupting.

use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tests::deployment::{DRIVER, Deployment, STATION, STRANGER};
use tests::process::{Process, program};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::acl_administration::token;

fn import(acl: &str, arguments: &[&str], directory: &Path) -> Command {
    let mut command = Command::new(program("voltgate"));
    command.args(["acl", "--acl", acl, "import"]).args(arguments).env_clear().current_dir(directory);
    command
}

async fn imported(acl: &str, arguments: &[&str], directory: &Path) -> (Option<i32>, String, String) {
    let output = import(acl, arguments, directory).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn refused_lines_are_written_below_their_reasons_and_can_be_imported_once_corrected() {
    let mut deployment = Deployment::new().await;
    let (_acl, acl) = deployment.start_acl().await;
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let bad: String = (0..150).map(|n| format!("short{n};{STATION}\r\n")).collect();
    let text = format!("Driver_Token;Station_ID\r\n{DRIVER};{STATION}\r\n{bad}");
    std::fs::write(file("drivers.csv"), &text).unwrap();

    let dry = ["drivers.csv", "--dry-run", "--json"];
    let (code, out, _) = imported(&acl, &dry, directory.path()).await;
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["valid"], &report["refused"]), (Some(1), &json!(1), &json!(150)), "{report}");
    assert_eq!(report["refusals"].as_array().unwrap().len(), 150, "each is listed");
    assert_eq!(report["refusals"][149]["line"], 152);
    let audit =
        deployment.http.get(format!("{acl}/audit")).send().await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(audit["entries"], json!([]), "nothing was changed");

    let (code, out, err) =
        imported(&acl, &["drivers.csv", "--refused", "refused.csv"], directory.path()).await;
    assert_eq!(code, Some(1), "{out}{err}");
    assert_eq!(
        err.lines().filter(|line| line.starts_with("line ")).count(),
        100,
        "the terminal is not flooded"
    );
    let refused = std::fs::read_to_string(file("refused.csv")).unwrap();
    let lines: Vec<&str> = refused.lines().collect();
    assert_eq!(lines.len(), 1 + 2 * 150, "{refused}");
    assert!(
        lines[1].starts_with("# line 3: driver_token: ") && lines[2] == format!("short0;{STATION}"),
        "{refused}"
    );

    let corrected: String = refused.replace("short", "corrected-driver-token-");
    std::fs::write(file("corrected.csv"), corrected).unwrap();
    let (code, out, err) = imported(&acl, &["corrected.csv"], directory.path()).await;
    assert!(code == Some(0) && out.contains("150 applied"), "{out}{err}");
    let (code, _, err) = imported(&acl, &["drivers.csv", "--refused", "drivers.csv"], directory.path()).await;
    assert!(code == Some(64) && err.contains("it is the file to import"), "{err}");
    assert_eq!(std::fs::read_to_string(file("drivers.csv")).unwrap(), text);
}

#[tokio::test]
async fn a_refused_line_stays_below_the_header_by_which_it_was_read() {
    let mut deployment = Deployment::new().await;
    let (_acl, acl) = deployment.start_acl().await;
    let directory = tempfile::tempdir().unwrap();
    let end = "2100-01-01T00:00:00Z";
    // Two files in one, with other columns.
    let text = format!(
        "station_id,driver_token,from\n{STATION},short,{end}\nstation_id,driver_token,until\n{STATION},{DRIVER},{end}\n\
         {STATION},short,{end}\n"
    );
    std::fs::write(directory.path().join("drivers.csv"), text).unwrap();
    let (code, out, err) =
        imported(&acl, &["drivers.csv", "--refused", "refused.csv"], directory.path()).await;
    assert_eq!(code, Some(1), "{out}{err}");
    let refused = std::fs::read_to_string(directory.path().join("refused.csv")).unwrap();
    let lines: Vec<&str> = refused.lines().filter(|line| !line.starts_with('#')).collect();
    let short = format!("{STATION},short,{end}");
    assert_eq!(
        lines,
        ["station_id,driver_token,from", &short, "station_id,driver_token,until", &short],
        "{refused}"
    );
}

#[tokio::test]
async fn an_import_of_several_parts_is_one_change_in_the_audit_trail() {
    let mut deployment = Deployment::new().await;
    let (_acl, acl) = deployment.start_acl().await;
    let directory = tempfile::tempdir().unwrap();
    let lines: String = (0..5200).map(|n| format!("{STATION},{}\n", token(n))).collect();
    std::fs::write(directory.path().join("drivers.csv"), lines).unwrap();
    let (code, out, err) = imported(&acl, &["drivers.csv"], directory.path()).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let url = format!("{acl}/audit?limit=1000");
    let audit: Value = deployment.http.get(url).send().await.unwrap().json().await.unwrap();
    let entries = audit["entries"].as_array().unwrap();
    let change_id = entries[0]["change_id"].as_str().unwrap();
    assert!(entries.len() > 10 && entries.iter().all(|entry| entry["change_id"] == change_id), "{audit}");
    assert!(err.contains(change_id), "{err}");
    let bad =
        deployment.http.post(format!("{acl}/acl/import?change_id=mine")).header("content-type", "text/csv");
    assert_eq!(bad.send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn an_interrupted_import_says_how_far_it_came() {
    let mut deployment = Deployment::new().await;
    let (_acl, acl) = deployment.start_acl().await;
    let directory = tempfile::tempdir().unwrap();
    let mut command = import(&acl, &["-"], directory.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().unwrap();
    let mut input = running.stdin.take().unwrap();
    let lines: String = (0..5000).map(|n| format!("{STATION},{}\n", token(n))).collect();
    input.write_all(lines.as_bytes()).await.unwrap();
    input.flush().await.unwrap();
    let url = format!("{acl}/station/{STATION}/driver/{}/acl", token(4999));
    tests::eventually("the first part to be applied", async || {
        let answer: Value = deployment.http.get(&url).send().await.ok()?.json().await.ok()?;
        (answer["allowed"] == true).then_some(())
    })
    .await;
    // The input is still open: the command waits for more lines.
    let pid = Pid::from_raw(i32::try_from(running.id().unwrap()).unwrap());
    kill(pid, Signal::SIGINT).unwrap();
    let output = tokio::time::timeout(std::time::Duration::from_secs(10), running.wait_with_output()).await;
    let output = output.expect("it ends although its input is open").unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{err}");
    // The answer to the first part may or may not have arrived.
    let says = ["lines 1 to 5000 are done", "of lines 1 to 5000 some may be done"];
    assert!(says.iter().any(|said| err.contains(said)), "{err}");
    drop(input);
}

#[tokio::test]
async fn an_entry_with_times_is_confirmed_with_its_times_and_the_audit_trail_is_aligned() {
    let mut deployment = Deployment::new().await;
    let (_acl, acl) = deployment.start_acl().await;
    let voltgate = async |arguments: &[&str]| {
        let arguments = [&["acl", "--acl", &acl], arguments].concat();
        let (code, out, err) = Process::run("voltgate", &arguments, &std::collections::BTreeMap::new()).await;
        assert_eq!(code, Some(0), "{arguments:?}: {err}");
        out
    };
    let allow =
        ["allow", STATION, DRIVER, "--from", "2100-01-01T00:00:00Z", "--until", "2100-02-01T00:00:00Z"];
    let said = voltgate(&allow).await;
    assert!(said.starts_with("allowed from 2100-01-01T00:00:00Z until 2100-02-01T00:00:00Z; "), "{said}");
    voltgate(&["group", "create", "north"]).await;
    voltgate(&["deny", STATION, STRANGER]).await;
    let trail = voltgate(&["audit"]).await;
    let stages: Vec<_> =
        trail.lines().map(|line| line.find("  requested").or(line.find("  applied"))).collect();
    assert!(stages.len() >= 3 && stages[0].is_some(), "{trail}");
    assert!(stages.iter().all(|stage| *stage == stages[0]), "the columns are aligned: {trail}");
}

#[tokio::test]
async fn lines_that_begin_with_a_brace_are_ndjson_whatever_the_name_of_the_file() {
    let mut deployment = Deployment::new().await;
    let (_acl, acl) = deployment.start_acl().await;
    let directory = tempfile::tempdir().unwrap();
    let line = json!({ "station_id": STATION, "driver_token": DRIVER });
    std::fs::write(directory.path().join("drivers.json"), format!("\n{line}\n")).unwrap();
    let (code, out, err) = imported(&acl, &["drivers.json"], directory.path()).await;
    assert!(code == Some(0) && out.contains("1 applied"), "{out}{err}");
    let (code, _, err) = imported(&acl, &["drivers.json", "--format", "csv"], directory.path()).await;
    assert!(code == Some(65) && err.contains("line 2"), "{err}");
}
