//! Every program of ours reads its command line before it does anything else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tests::process::Process;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A member's folder; for `crates/*` all folders there.
fn folders(member: &str) -> Vec<PathBuf> {
    match member.strip_suffix("/*") {
        Some(parent) => {
            std::fs::read_dir(root().join(parent)).unwrap().map(|entry| entry.unwrap().path()).collect()
        }
        None => vec![root().join(member)],
    }
}

/// All programs, found in the sources, so that a new program is included.
fn programs() -> Vec<String> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = manifest.split_once("members = [").unwrap().1.split_once(']').unwrap().0;
    let members =
        members.lines().map(|line| line.trim().trim_matches(['"', ','])).filter(|name| !name.is_empty());
    let mut programs = Vec::new();
    for crate_root in members.flat_map(folders) {
        if crate_root.join("src/main.rs").exists() {
            programs.push(crate_root.file_name().unwrap().to_str().unwrap().to_owned());
        }
        for place in ["src/bin", "examples"] {
            let Ok(entries) = std::fs::read_dir(crate_root.join(place)) else { continue };
            for path in entries.map(|entry| entry.unwrap().path()) {
                if path.extension().is_some_and(|kind| kind == "rs") || path.join("main.rs").exists() {
                    programs.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
                }
            }
        }
    }
    programs
}

/// Settings that make every program fail: a program that read them would report it.
fn unreadable() -> BTreeMap<String, String> {
    [("VOLTGATE_CONFIG", "/nowhere/voltgate.toml"), ("BROKER_URL", "nonsense"), ("REDIS_URL", "nonsense")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

#[tokio::test]
async fn help_and_version_are_printed_before_anything_is_opened() {
    let programs = programs();
    for service in ["public-api", "worker", "acl-service", "voltgate", "with-servers", "conformance_worker"] {
        assert!(programs.iter().any(|name| name == service), "{programs:?}");
    }
    for program in programs {
        for (argument, expected) in [
            ("--version", command_line::VERSION),
            ("-V", command_line::VERSION),
            ("--help", "Usage: "),
            ("-h", "Usage: "),
        ] {
            let (code, out, err) = Process::run(&program, &[argument], &unreadable()).await;
            assert_eq!((code, err.as_str()), (Some(0), ""), "{program} {argument}");
            assert!(out.contains(expected), "{program} {argument}: {out}");
        }
    }
}

#[tokio::test]
async fn an_argument_that_no_program_knows_ends_it_with_64_and_is_named() {
    for program in programs() {
        let (code, out, err) = Process::run(&program, &["--no-such-argument"], &unreadable()).await;
        assert_eq!((code, out.as_str()), (Some(64), ""), "{program}: {err}");
        assert!(err.contains("--no-such-argument"), "{program}: {err}");
    }
    for service in ["public-api", "worker", "acl-service"] {
        for (argument, named) in
            [("stray", "stray"), ("-x", "-x"), ("--queues=celery", "--queues"), ("", "''")]
        {
            let (code, _, err) = Process::run(service, &[argument], &unreadable()).await;
            assert!(code == Some(64) && err.contains(named), "{service} {argument}: {code:?} {err}");
        }
    }
}

#[tokio::test]
async fn the_help_of_a_service_names_the_settings_that_matter_most() {
    for (service, setting) in [
        ("public-api", "BROKER_URL"),
        ("worker", "CALLBACK_ALLOWED_NETWORKS"),
        ("acl-service", "AUTHORIZATION_SERVICE_PORT"),
    ] {
        let (_, out, _) = Process::run(service, &["--help"], &BTreeMap::new()).await;
        for part in [setting, "REDIS_URL", "voltgate.toml", "`voltgate settings`", "environment"] {
            assert!(out.contains(part), "{service}: {part} is missing in\n{out}");
        }
    }
}

#[tokio::test]
async fn completions_and_manual_pages_know_every_command_whatever_the_settings() {
    let (_, help, _) = Process::run("voltgate", &["--help"], &BTreeMap::new()).await;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: Vec<&str> = commands
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() >= 12, "{help}");
    for arguments in
        [&["completions", "bash"][..], &["completions", "zsh"], &["completions", "fish"], &["man"]]
    {
        let (code, out, err) = Process::run("voltgate", arguments, &unreadable()).await;
        assert_eq!((code, err.as_str()), (Some(0), ""), "{arguments:?}");
        for command in &commands {
            assert!(out.contains(command), "{arguments:?} lacks {command}");
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("man").display().to_string();
    let (code, _, err) = Process::run("voltgate", &["man", "--directory", &pages], &unreadable()).await;
    assert_eq!(code, Some(0), "{err}");
    for page in ["voltgate.1", "voltgate-acl.1", "voltgate-acl-import.1", "voltgate-authorize.1"] {
        assert!(std::path::Path::new(&pages).join(page).exists(), "{page}");
    }
}

#[tokio::test]
async fn the_settings_in_force_are_shown_with_where_they_come_from_and_without_secrets() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "task_queue = \"from-file\"\nwebhook_secret = \"whsec_s3cret\"\n").unwrap();
    let path = file.path().display().to_string();
    let environment = BTreeMap::from([
        ("VOLTGATE_CONFIG".to_owned(), path.clone()),
        ("BROKER_URL".to_owned(), "amqp://me:s3cret@broker".to_owned()),
    ]);
    let show = ["settings", "--effective", "--json"];
    let (code, out, err) = Process::run("voltgate", &show, &environment).await;
    assert_eq!(code, Some(0), "{err}");
    let shown: Vec<serde_json::Value> = serde_json::from_str(&out).unwrap();
    let of = |name: &str| shown.iter().find(|each| each["setting"] == name).unwrap().clone();
    assert_eq!((&of("TASK_QUEUE")["value"], &of("TASK_QUEUE")["from"]), (&"from-file".into(), &path.into()));
    assert_eq!(of("BROKER_URL")["from"], "environment");
    assert_eq!((&of("REDIS_PORT")["value"], &of("REDIS_PORT")["from"]), (&"6379".into(), &"default".into()));
    let (_, table, _) = Process::run("voltgate", &show[..2], &environment).await;
    for text in [out, table] {
        assert!(text.contains("amqp://me:****@broker") && !text.contains("s3cret"), "{text}");
    }
}

#[test]
fn the_version_carries_the_commit_that_was_built() {
    let git = std::process::Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .current_dir(root())
        .output();
    let head = git.ok().filter(|output| output.status.success() && root().join(".git").exists());
    let head = head.map(|output| String::from_utf8(output.stdout).unwrap().trim().to_owned());
    let given = option_env!("VOLTGATE_COMMIT").map(str::to_owned).filter(|commit| !commit.is_empty());
    assert_eq!(command_line::COMMIT, given.or(head).unwrap_or_else(|| "unknown".to_owned()));
    assert!(command_line::VERSION.contains(command_line::COMMIT));
}
