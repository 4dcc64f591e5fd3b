//! `voltgate dead`: lists, replays and purges dead letters, which are not retried automatically.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use authorization::config::broker_url;
use authorization::settings::TASK_QUEUE;
use authorization::tasks::deliver_callback;
use common::clock;
use serde_json::{Value, json};
use service_runtime::exit::Failure;
use service_runtime::settings::{STARTUP_TIMEOUT_SEC, Settings};
use task_queue::dead_letter::{self, review::Fate, review::review};
use task_queue::{Broker, Message, connect_beside};

use crate::terminal;
use crate::times::{Span, moment};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = reasons())]
pub(crate) struct DeadArgs {
    #[command(subcommand)]
    pub(crate) command: DeadCommand,
    /// The data directory of `voltgate up` [default: as in BROKER_URL, or voltgate-data if it exists]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print JSON for machines
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadCommand {
    /// List dead letters
    #[command(after_help = format!("{}\n\nExample: voltgate dead list --reason callback_exhausted", reasons()))]
    List(DeadFilter),
    /// Show one dead letter with all its headers
    #[command(after_help = "Exit code: 0 found, 1 not found\n\n\
        Example: voltgate dead show 01a22206-f05e-7523-a5dc-728dec6e0207")]
    Show {
        /// The id of the request or task
        id: String,
    },
    /// Return dead letters to the queue they came from, under the same id
    #[command(after_help = "Example: voltgate dead replay --host partner.example")]
    Replay(DeadFilter),
    /// Remove dead letters permanently
    #[command(after_help = "Example: voltgate dead purge --older-than 30d")]
    Purge(DeadFilter),
}

#[derive(Debug, Args)]
pub(crate) struct DeadFilter {
    /// Only the dead letter of this request or task
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Only dead letters with this reason, such as `callback_exhausted`
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Only dead letters about this host
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// Only those that were dead-lettered at least this long ago: 30d, 12h, 30m, or a number of seconds
    #[arg(long, value_name = "TIME")]
    pub(crate) older_than: Option<Span>,
    /// All dead letters; replay and purge require this or a filter
    #[arg(long)]
    pub(crate) all: bool,
    /// The maximum number of dead letters to examine in each queue
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) limit: u16,
}

fn reasons() -> String {
    format!("Reasons: {}", worker::dead_letter_reasons().collect::<Vec<_>>().join(", "))
}

impl DeadFilter {
    /// Matches every dead letter.
    pub(crate) fn everything() -> Self {
        Self { id: None, reason: None, host: None, older_than: None, all: true, limit: 10_000 }
    }

    /// Whether no filter is set.
    pub(crate) fn is_empty(&self) -> bool {
        self.id.is_none() && self.reason.is_none() && self.host.is_none() && self.older_than.is_none()
    }
}

pub(crate) async fn run(settings: &Settings, args: DeadArgs) -> Result<ExitCode, Failure> {
    let broker = connect(settings).await?;
    let letters = DeadLetters {
        broker: Arc::clone(&broker),
        at: broker_url(settings)?.to_string(),
        queue: settings.text(&TASK_QUEUE).to_owned(),
    };
    let done = letters.run(args).await;
    broker.close().await;
    done
}

async fn connect(settings: &Settings) -> Result<Arc<dyn Broker>, Failure> {
    let url = broker_url(settings)?;
    let limit = settings.seconds(&STARTUP_TIMEOUT_SEC, 3600)?;
    connect_beside(url.expose(), "voltgate dead", limit).await.map_err(|error| Failure::Unreachable {
        what: "the broker (BROKER_URL)",
        at: url.to_string(),
        why: error.to_string(),
    })
}

struct DeadLetters {
    broker: Arc<dyn Broker>,
    /// The broker's URL, safe to show.
    at: String,
    queue: String,
}

impl DeadLetters {
    async fn run(&self, args: DeadArgs) -> Result<ExitCode, Failure> {
        match args.command {
            DeadCommand::List(filter) => self.list(&filter, args.json).await,
            DeadCommand::Show { id } => self.show(&id).await,
            DeadCommand::Replay(filter) => self.change(&filter, Fate::Replay, args.json).await,
            DeadCommand::Purge(filter) => self.change(&filter, Fate::Purge, args.json).await,
        }
    }

    /// Passes every matching dead letter to `each`, which decides its fate.
    async fn each(&self, filter: &DeadFilter, mut each: impl FnMut(&Message) -> Fate) -> Result<(), Failure> {
        let now_ms = clock::now() / 1_000_000;
        for queue in self.queues().await {
            let judge =
                |letter: &Message| if filter.fits(letter, now_ms) { each(letter) } else { Fate::Keep };
            let reviewed = review(&self.broker, &queue, filter.limit, now_ms, judge).await;
            reviewed.map_err(|error| {
                Failure::broken(format!("{} of {}: {error}", dead_letter::queue_of(&queue), self.at))
            })?;
        }
        Ok(())
    }

    /// The queues with dead letters. A broker that no worker with a database has used has none of the platform.
    async fn queues(&self) -> Vec<String> {
        let mut queues = vec![self.queue.clone(), deliver_callback::queue(&self.queue)];
        if self.broker.depth(&dead_letter::queue_of(platform_queue::QUEUE)).await.is_ok() {
            queues.push(platform_queue::QUEUE.to_owned());
        }
        queues
    }

    async fn list(&self, filter: &DeadFilter, as_json: bool) -> Result<ExitCode, Failure> {
        let mut count = 0;
        self.each(filter, |letter| {
            if as_json {
                terminal::line(&shown(letter).to_string());
            } else {
                print_row(letter, count == 0);
            }
            count += 1;
            Fate::Keep
        })
        .await?;
        if count == 0 && !as_json {
            println!("no dead letters");
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn show(&self, id: &str) -> Result<ExitCode, Failure> {
        let mut found = false;
        let filter = DeadFilter { id: Some(id.to_owned()), ..DeadFilter::everything() };
        self.each(&filter, |letter| {
            found = true;
            let mut all = shown(letter);
            all["headers"] = Value::Object(letter.headers.clone());
            println!("{all:#}");
            Fate::Keep
        })
        .await?;
        if !found {
            eprintln!("there is no dead letter {id} at {}", self.at);
        }
        Ok(ExitCode::from(u8::from(!found)))
    }

    async fn change(&self, filter: &DeadFilter, fate: Fate, as_json: bool) -> Result<ExitCode, Failure> {
        if !filter.all && filter.is_empty() {
            let what = "choose the dead letters: --id, --reason, --host, --older-than, or --all";
            return Err(Failure::Usage(what.to_owned()));
        }
        let mut count = 0;
        self.each(filter, |_| {
            count += 1;
            fate
        })
        .await?;
        let done = if fate == Fate::Replay { "replayed" } else { "purged" };
        if as_json {
            println!("{}", json!({ done: count }));
        } else {
            println!("{count} {done}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl DeadFilter {
    fn fits(&self, letter: &Message, now_ms: u64) -> bool {
        let is = |wanted: &Option<String>, header: &str| {
            wanted.as_deref().is_none_or(|wanted| letter.text_header(header) == Some(wanted))
        };
        let age =
            Duration::from_millis(now_ms.saturating_sub(letter.number_header(dead_letter::AT).unwrap_or(0)));
        is(&self.id, "id")
            && is(&self.reason, dead_letter::REASON)
            && is(&self.host, dead_letter::HOST)
            && self.older_than.is_none_or(|Span(least)| age >= least)
    }
}

/// The displayed part of a dead letter. It never includes the body, which contains a driver token.
fn shown(letter: &Message) -> Value {
    let header = |name: &str| letter.headers.get(name).cloned().unwrap_or_default();
    json!({
        "id": header("id"),
        "task": header("task"),
        "queue": header(dead_letter::QUEUE),
        "reason": header(dead_letter::REASON),
        "detail": header(dead_letter::DETAIL),
        "host": header(dead_letter::HOST),
        "attempts": header(dead_letter::ATTEMPTS),
        "first_ms": header(dead_letter::FIRST_AT),
        "last_ms": header(dead_letter::AT),
    })
}

/// The time and the detail get a line of their own if less than this is left for them.
const MIN_DETAIL: usize = 60;

fn print_row(letter: &Message, with_head: bool) {
    let row = |id: &str, reason: &str, attempts: &str, host: &str| {
        format!("{id:<36}  {reason:<22} {attempts:>8}  {host:<24}")
    };
    let narrow = terminal::width().filter(|width| *width < row("", "", "", "").len() + MIN_DETAIL);
    if with_head {
        let (bold, head) = (terminal::bold(), row("id", "reason", "attempts", "host"));
        match narrow {
            None => terminal::line(&format!("{bold}{head} {:<20}  what happened{bold:#}", "dead-lettered")),
            Some(width) => {
                terminal::line(&format!("{bold}{}{bold:#}", terminal::cut(head.trim_end(), width)))
            }
        };
    }
    let text = |name: &str| letter.text_header(name).unwrap_or("-").to_owned();
    let number = |name: &str| letter.number_header(name);
    let attempts = number(dead_letter::ATTEMPTS).map_or("-".to_owned(), |count| count.to_string());
    let (id, reason, host) = (text("id"), text(dead_letter::REASON), text(dead_letter::HOST));
    let at = moment(number(dead_letter::AT)).unwrap_or_else(|| "-".to_owned());
    let (row, detail) = (row(&id, &reason, &attempts, &host), text(dead_letter::DETAIL));
    match narrow {
        None => terminal::line(&format!("{row} {at:<20}  {detail}")),
        // `voltgate dead show` has the whole detail.
        Some(width) => {
            let (faint, below) = (terminal::faint(), format!("  {at}  {detail}"));
            terminal::line(&terminal::cut(row.trim_end(), width));
            terminal::line(&format!("{faint}{}{faint:#}", terminal::cut(&below, width)))
        }
    };
}
