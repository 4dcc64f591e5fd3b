//! A process of a system under test: how it is started, and how long it takes to be ready.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use load_generator::{Connection, Origin};
use test_servers::packages;
use test_servers::process::Process;

const READY_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// A process that is ready. It is killed with all processes that it started when it is dropped, and also if this
/// process is killed.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) name: String,
    pub(crate) ready: Duration,
    process: Process,
}

/// The program to start.
pub(crate) struct Program<'a> {
    pub(crate) name: &'a str,
    pub(crate) path: &'a Path,
    pub(crate) arguments: &'a [&'a str],
    pub(crate) environment: &'a [(&'static str, String)],
    /// The directory for its log.
    pub(crate) directory: &'a Path,
}

/// How to tell that a process is ready.
pub(crate) enum Ready<'a> {
    /// This URL answers 200.
    Url(String),
    /// It has created this file.
    File(&'a Path),
}

impl Started {
    /// Starts a program and waits until it is ready.
    pub(crate) async fn start(program: &Program<'_>, ready: &Ready<'_>) -> Result<Self> {
        let Program { name, path, arguments, environment, directory } = program;
        let mut command = Process::command(path, &packages::search_path(), directory);
        command.args(*arguments).envs(environment.iter().map(|(name, value)| (name, value)));
        let began = Instant::now();
        let mut process = Process::start(command, &directory.join(format!("{name}.log")))?;
        let mut look = ready.look()?;
        while !look.is_ready().await {
            if began.elapsed() > READY_WITHIN {
                // Fails with the end of its log.
                process
                    .wait_ready(Duration::ZERO, || false)
                    .with_context(|| format!("{name} does not start"))?;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(Self { name: (*name).to_owned(), ready: began.elapsed(), process })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

enum Look<'a> {
    Call(Box<Connection>, String),
    File(&'a Path),
}

impl<'a> Ready<'a> {
    fn look(&self) -> Result<Look<'a>> {
        Ok(match self {
            Self::File(path) => Look::File(path),
            Self::Url(url) => {
                let (origin, path) = split(url)?;
                let call = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", origin.authority);
                Look::Call(Box::new(Connection::to(origin)), call)
            }
        })
    }
}

impl Look<'_> {
    async fn is_ready(&mut self) -> bool {
        match self {
            Self::File(path) => path.exists(),
            Self::Call(connection, call) => {
                connection.exchange(call.as_bytes()).await.is_ok_and(|answer| answer.status == 200)
            }
        }
    }
}

fn split(url: &str) -> Result<(Origin, &str)> {
    let origin = Origin::parse(url)?;
    let after = url.split_once("://").map_or(url, |(_, after)| after);
    Ok((origin, after.find('/').map_or("/", |slash| &after[slash..])))
}
