//! Imports of many lines over HTTP, on each store.

use redis::AsyncCommands;
use serde_json::{Value, json};
use tests::deployment::{DRIVER, Deployment, STATION, STRANGER};
use tests::eventually;
use tests::link::Link;
use tests::process::program;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::acl_administration::{OTHER, each, set, token};

#[tokio::test]
async fn good_lines_are_done_and_each_bad_one_is_named() {
    for acl in each().await {
        let csv = format!(
            "driver_token;station_id;until\r\n{DRIVER};{STATION};\n\n# a comment\n{STRANGER};{STATION};2000-01-01T00:00:00Z\n\
             short;{STATION};\n{};{STATION};\n{STRANGER};\"{OTHER}\";2100-01-01T00:00:00Z",
            "x".repeat(5000)
        );
        let report = acl.import("add", "text/csv; charset=utf-8", csv).await;
        let refused: Vec<String> = report["refusals"]
            .as_array()
            .unwrap()
            .iter()
            .map(|refusal| format!("{} {}", refusal["line"], refusal["field"].as_str().unwrap()))
            .collect();
        assert_eq!(refused, ["5 until", "6 driver_token", "7 line"], "{report}");
        assert_eq!(counts(&report), [8, 2, 0, 3, 8], "{}: {report}", acl.kind);
        assert_eq!((acl.list(STATION).await, acl.list(OTHER).await), (set(&[DRIVER]), set(&[STRANGER])));
        let many: String = (0..1200)
            .map(|n| json!({"station_id": STATION, "driver_token": token(n)}).to_string() + "\n")
            .chain((0..150).map(|_| "{}\n".to_owned()))
            .collect();
        let report = acl.import("add", "application/x-ndjson", many.clone()).await;
        assert_eq!(counts(&report), [1350, 1200, 0, 150, 1350], "{report}");
        assert_eq!(
            (report["refusals"].as_array().unwrap().len(), &report["refusals_not_named"]),
            (100, &json!(50))
        );
        let again = acl.import("add", "application/x-ndjson", many.clone()).await;
        assert_eq!(counts(&again), [1350, 0, 1200, 150, 1350], "{again}");
        let removed = acl.import("remove", "application/x-ndjson", many).await;
        assert_eq!(counts(&removed), [1350, 1200, 0, 150, 1350], "{removed}");
        assert_eq!(acl.list(STATION).await, set(&[DRIVER]), "{}", acl.kind);
        let trail = acl.audit(&format!("driver_token={}", token(700))).await;
        assert_eq!(trail.len(), 3, "every entry of a bulk change is found by its driver");
    }
}

/// The counts `lines`, `applied`, `unchanged`, `refused` and `applied_through_line` of a complete report.
fn counts(report: &Value) -> [u64; 5] {
    assert_eq!(report["complete"], true, "{report}");
    ["lines", "applied", "unchanged", "refused", "applied_through_line"]
        .map(|name| report[name].as_u64().unwrap())
}

#[tokio::test]
async fn an_interrupted_import_is_accounted_for_in_the_audit_trail() {
    for acl in each().await {
        let line = |n: usize| format!("{STATION},{}\n", token(n));
        let body: String = (0..700).map(line).collect();
        let mut connection = TcpStream::connect(acl.base.trim_start_matches("http://")).await.unwrap();
        let head = "POST /acl/import HTTP/1.1\r\nhost: x\r\ncontent-type: text/csv\r\ncontent-length: 999999\r\n\r\n";
        connection.write_all(head.as_bytes()).await.unwrap();
        connection.write_all(body.as_bytes()).await.unwrap();
        eventually("the first lines to be done", async || {
            acl.is_in(STATION, &token(400)).await.then_some(())
        })
        .await;
        drop(connection);
        let ended = eventually("the account", async || {
            acl.audit("").await.into_iter().find(|entry| entry["stage"] == "failed")
        })
        .await;
        assert_eq!(
            (&ended["action"], &ended["counts"]["applied"]),
            (&json!("import"), &json!(700)),
            "{ended}"
        );
        assert_eq!(acl.list(STATION).await.len(), 700, "{}", acl.kind);
    }
}

#[tokio::test]
async fn an_import_says_how_far_it_came_when_the_store_goes_away() {
    let deployment = Deployment::new().await;
    let link = Link::to(&deployment.servers.redis).await;
    let mut disturbed = deployment.through("REDIS_URL", &link);
    let (_acl, base) = disturbed.start_acl().await;
    let lines =
        |from: usize, to: usize| (from..to).map(|n| format!("{STATION},{}\n", token(n))).collect::<String>();
    let (first, rest) = (lines(0, 2000), lines(2000, 4000));
    let mut connection = TcpStream::connect(base.trim_start_matches("http://")).await.unwrap();
    let length = first.len() + rest.len();
    let head = format!(
        "POST /acl/import HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: text/csv\r\ncontent-length: {length}\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(first.as_bytes()).await.unwrap();
    let mut redis = deployment.servers.redis().await;
    let key = format!("{}station:{STATION}:allowlist", deployment.prefix);
    // More than one batch, so that acl-service knows the result of all batches but the last.
    eventually("the first lines to be done", async || {
        (redis.scard::<_, u64>(&key).await.unwrap() >= 1000).then_some(())
    })
    .await;
    link.cut();
    connection.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    let body: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let report = &body["report"];
    let through = report["applied_through_line"].as_u64().unwrap();
    assert_eq!((&report["complete"], report["applied"].as_u64()), (&json!(false), Some(through)), "{body}");
    assert!((500..4000).contains(&through), "{body}");
    for line in [0, through - 1] {
        let there: bool = redis.sismember(&key, token(line as usize)).await.unwrap();
        assert!(there, "{line} of {through}");
    }
}

#[tokio::test]
async fn an_invalid_header_is_named_and_the_import_changes_nothing() {
    let until = "2100-01-01T00:00:00Z";
    for acl in each().await {
        for (head, named) in [
            ("station_id,driver_token,untill", "line 1: the column `untill`"),
            ("# exported\n\nstation_id,driver_token,until,name", "line 3: the column `name`"),
            ("sep=,\nstation_id,driver_token,until,UNTIL", "line 2: the header names the column until twice"),
            ("station_id,until", "line 1: the header has no column driver_token"),
            ("sep=/\nstation_id/driver_token/until", "line 1: after `sep=`"),
            ("Station,Token,Until", "line 1: the column `Station`"),
        ] {
            let lines: String = (0..2000).map(|n| format!("{STATION},{},{until}\n", token(n))).collect();
            let (status, problem) = acl.try_import("text/csv", format!("{head}\n{lines}")).await;
            let detail = problem["detail"].as_str().unwrap();
            assert_eq!((status, problem["field"].as_str()), (400, Some("header")), "{}: {problem}", acl.kind);
            assert!(detail.starts_with(named) && detail.ends_with("nothing was done"), "{detail}");
            assert_eq!(
                (&problem["report"]["applied"], &problem["report"]["complete"]),
                (&json!(0), &json!(false))
            );
        }
        assert!(acl.list(STATION).await.is_empty(), "{}", acl.kind);
        let trail = acl.audit("").await;
        assert!(trail.iter().all(|entry| entry["stage"] == "failed"), "nothing was asked for: {trail:?}");
    }
}

#[tokio::test]
async fn columns_are_never_confused_whatever_precedes_the_header() {
    let until = "2100-01-01T00:00:00Z";
    for acl in each().await {
        for head in [
            "sep=;\nstation_id;driver_token;until",
            "\u{feff}sep=;\r\n\r\n# exported\r\nStation_ID;Driver_Token;UNTIL\r",
            "station_id;driver_token;until;",
            "#station_id;driver_token;until",
            "station_id;driver_token;from;until\n\u{feff}station_id;driver_token;until",
        ] {
            let report =
                acl.import("add", "text/csv", format!("{head}\n{STATION};{DRIVER};{until};\n")).await;
            assert_eq!(
                (&report["refused"], &report["complete"]),
                (&json!(0), &json!(true)),
                "{head}: {report}"
            );
            assert!(acl.is_in(STATION, DRIVER).await, "{}: {head}", acl.kind);
            let report = acl.import("remove", "text/csv", format!("{STATION};{DRIVER}\n")).await;
            assert_eq!(report["applied"], 1, "{report}");
        }
    }
}

#[tokio::test]
async fn the_command_applies_the_header_to_each_part_of_a_long_file() {
    let mut deployment = Deployment::new().await;
    let (_acl, base) = deployment.start_acl().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let import = async |text: String| {
        std::fs::write(file.path(), text).unwrap();
        let mut command = Command::new(program("voltgate"));
        command.args(["acl", "--acl", &base, "import"]).arg(file.path());
        let output = command.env_clear().current_dir(std::env::temp_dir()).output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let until = "2100-01-01T00:00:00Z";
    let lines: String = (0..11_000).map(|n| format!("{until};{};{STATION}\n", token(n))).collect();
    let text = format!("# exported\nsep=;\nUntil;Driver_Token;Station_ID;\n{lines}bad\n");
    // A server that stalls for seconds, as a machine at its limits makes it, ends an import with 503; it is repeated then.
    let mut tries = 0;
    let (code, out, err) = eventually("the import to be answered", async || {
        tries += 1;
        let imported = import(text.clone()).await;
        (!imported.2.contains("(503")).then_some(imported)
    })
    .await;
    assert_eq!(code, Some(1), "{out}{err}");
    let counts: Vec<u64> = out.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [read, applied, unchanged, refused] = counts[..] else { panic!("{out}{err}") };
    assert_eq!((read, applied + unchanged, refused), (11_004, 11_000, 1), "{out}{err}");
    assert!(unchanged == 0 || tries > 1, "{out}{err}");
    assert!(err.contains("line 11004: line: expected station_id;driver_token"), "{err}");
    // A page of a search may be empty and still have a next one.
    let (mut cursor, mut times) = (String::new(), Value::Null);
    while times.is_null() {
        let url = format!("{base}/station/{STATION}/acl?search={}&cursor={cursor}", token(10_999));
        let page: Value = deployment.http.get(url).send().await.unwrap().json().await.unwrap();
        times = page["times"][token(10_999)].clone();
        let Some(next) = page["cursor"].as_str() else { break };
        next.clone_into(&mut cursor);
    }
    assert_eq!(times, json!({ "until": until }));
    let (code, _, err) =
        import(format!("station_id,driver_token,untill\n{STATION},{},{until}\n", token(1))).await;
    assert!(code == Some(65) && err.contains("`untill`") && !err.contains("are done"), "{code:?}: {err}");
}
