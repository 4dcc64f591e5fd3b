//! One charger at a terminal: a person plugs, taps and unplugs, and sees what goes over the wire.

mod shown;

use std::io;
use std::str::FromStr;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::shown::line;
use crate::charger::{Charger, Ended, Settings};
use crate::event::Event;
use crate::station::Station;
use crate::station::sessions::{NotPossible, Reading};

/// Events that are not yet printed.
const EVENTS: usize = 1024;

/// What the help says.
const HELP: &str = "\
plug [CONNECTOR]             plug a car in
tap TAG [CONNECTOR]          hold a card to the reader: starts, and stops what the same card started
unplug [CONNECTOR]           unplug the car; what runs is stopped
meter [CONNECTOR]            read the meter
status [CONNECTOR]           what the connector does, and what waits to be sent
fault [CODE] [CONNECTOR]     break it; CODE is an error code of OCPP, such as GroundFailure
clear [CONNECTOR]            repair it
cut                          cut the network; the charger connects again
quit                         switch the charger off
A charge: plug, tap TAG, meter, unplug. CONNECTOR is 1 if you name none.";

/// What a person asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Command {
    Plug(u32),
    Tap(String, u32),
    Unplug(u32),
    Fault(String, u32),
    Clear(u32),
    Meter(u32),
    Status(u32),
    Cut,
    Quit,
    Help,
    Nothing,
}

/// A line that is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum NotUnderstood {
    #[error("there is no command `{0}`; `help` lists them all")]
    Unknown(String),
    #[error("which tag? For instance: tap CARD-1")]
    NoTag,
    #[error("a tag has at most 20 characters")]
    LongTag,
    #[error("`{0}` is no number of a connector")]
    NoConnector(String),
    #[error("`{0}` is too much: see `help`")]
    TooMuch(String),
}

impl FromStr for Command {
    type Err = NotUnderstood;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let mut words = line.split_whitespace();
        let Some(word) = words.next() else { return Ok(Self::Nothing) };
        let named = match word.to_ascii_lowercase().as_str() {
            "tap" => {
                let tag = words.next().ok_or(NotUnderstood::NoTag)?;
                if tag.chars().count() > 20 {
                    return Err(NotUnderstood::LongTag);
                }
                Self::Tap(tag.to_owned(), connector(&mut words)?)
            }
            "fault" => {
                let code = words.next().unwrap_or("OtherError");
                Self::Fault(code.to_owned(), connector(&mut words)?)
            }
            "plug" => Self::Plug(connector(&mut words)?),
            "unplug" => Self::Unplug(connector(&mut words)?),
            "clear" => Self::Clear(connector(&mut words)?),
            "meter" => Self::Meter(connector(&mut words)?),
            "status" => Self::Status(connector(&mut words)?),
            "cut" => Self::Cut,
            "quit" | "exit" => Self::Quit,
            "help" | "?" => Self::Help,
            _ => return Err(NotUnderstood::Unknown(word.to_owned())),
        };
        words.next().map_or(Ok(named), |word| Err(NotUnderstood::TooMuch(word.to_owned())))
    }
}

fn connector<'a>(words: &mut impl Iterator<Item = &'a str>) -> Result<u32, NotUnderstood> {
    words.next().map_or(Ok(1), |word| word.parse().map_err(|_| NotUnderstood::NoConnector(word.to_owned())))
}

/// Runs the charger until `quit` or the end of the input. Returns the number of rules that the central system broke.
///
/// # Errors
/// Returns an error if the input or the output fails.
pub async fn run(
    settings: Settings,
    input: impl AsyncBufRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
    stop: &CancellationToken,
) -> io::Result<u64> {
    let (observer, mut events) = mpsc::channel(EVENTS);
    let greeting = format!(
        "{} connects to {}. Type `help` for the commands; try `plug`, then `tap CARD-1`.",
        settings.dial.charger,
        shown::url(&settings.dial.url)
    );
    print(&mut output, &greeting).await?;
    let charger = Charger::start(settings, Some(observer), stop);
    let (mut violations, mut lines) = (0, input.lines());
    loop {
        tokio::select! {
            event = events.recv() => {
                let Some(event) = event else { break };
                violations += u64::from(matches!(event, Event::Violation { .. }));
                if let Some(line) = line(&event) {
                    print(&mut output, &line).await?;
                }
            }
            typed = lines.next_line() => {
                let Some(typed) = typed? else { break };
                let asked = typed.parse::<Command>();
                match asked {
                    Ok(Command::Quit) => break,
                    Ok(command) => match carry_out(&charger, command).await {
                        Ok(Some(said)) => print(&mut output, &said).await?,
                        Ok(None) => {}
                        Err(Ended) => break,
                    },
                    Err(error) => print(&mut output, &error.to_string()).await?,
                }
            }
        }
    }
    charger.stop().await;
    while let Ok(event) = events.try_recv() {
        violations += u64::from(matches!(event, Event::Violation { .. }));
        if let Some(line) = line(&event) {
            print(&mut output, &line).await?;
        }
    }
    Ok(violations)
}

async fn print(output: &mut (impl AsyncWrite + Unpin), text: &str) -> io::Result<()> {
    output.write_all(format!("{text}\n").as_bytes()).await?;
    output.flush().await
}

/// Carries out a command; what is said then tells what to do next.
async fn carry_out(charger: &Charger, command: Command) -> Result<Option<String>, Ended> {
    let done = match command {
        Command::Nothing | Command::Quit => return Ok(None),
        Command::Help => return Ok(Some(HELP.to_owned())),
        Command::Cut => {
            charger.cut().await?;
            return Ok(Some("cut; it connects again in a moment, and you can go on meanwhile".to_owned()));
        }
        Command::Plug(number) => {
            let plugged = charger.with(move |station, now| station.plug(number, now)).await?;
            plugged.map(|()| "plugged in; next: tap TAG")
        }
        Command::Tap(tag, number) => {
            let tapped = charger.with(move |station, now| tap(station, number, &tag, now)).await?;
            tapped.map(|(plugged, stopped)| match (stopped, plugged) {
                (true, _) => "tapped to stop; next: unplug",
                (false, true) => "tapped; once it is accepted it charges: meter, then unplug",
                (false, false) => "tapped; next: plug",
            })
        }
        Command::Unplug(number) => {
            let unplugged = charger.with(move |station, now| station.unplug(number, now)).await?;
            unplugged.map(|()| "unplugged")
        }
        Command::Fault(code, number) => {
            let broken = charger.with(move |station, now| station.fault(number, &code, now)).await?;
            broken.map(|()| "broken; next: clear")
        }
        Command::Clear(number) => {
            let repaired = charger.with(move |station, now| station.fault(number, "NoError", now)).await?;
            repaired.map(|()| "repaired")
        }
        Command::Meter(number) => return read(charger, number, meter).await,
        Command::Status(number) => {
            let situation = charger.situation();
            return read(charger, number, |reading| shown::status(reading, situation)).await;
        }
    };
    Ok(Some(done.map_or_else(|error| error.to_string(), str::to_owned)))
}

/// Whether a car is plugged in, and whether a transaction was running before.
fn tap(
    station: &mut Station,
    number: u32,
    tag: &str,
    now: tokio::time::Instant,
) -> Result<(bool, bool), NotPossible> {
    let reading = station.reading(number, now)?;
    station.tap(number, tag, now)?;
    Ok((reading.plugged, reading.charging))
}

async fn read(
    charger: &Charger,
    number: u32,
    say: impl Fn(Reading) -> String,
) -> Result<Option<String>, Ended> {
    let reading = charger.with(move |station, now| station.reading(number, now)).await?;
    Ok(Some(reading.map_or_else(|error| error.to_string(), say)))
}

fn meter(reading: Reading) -> String {
    format!("{} Wh, {} W", reading.energy_wh, reading.power_w)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_understood_or_explained() {
        for (line, command) in [
            ("plug\n", Command::Plug(1)),
            ("  TAP card-1 2", Command::Tap("card-1".to_owned(), 2)),
            ("fault", Command::Fault("OtherError".to_owned(), 1)),
            ("", Command::Nothing),
        ] {
            assert_eq!(line.parse(), Ok(command), "{line}");
        }
        for line in ["start", "tap", "tap 123456789012345678901", "plug one", "cut now"] {
            assert!(line.parse::<Command>().is_err(), "{line}");
        }
    }

    #[test]
    fn the_help_names_every_command() {
        for word in ["plug", "tap", "unplug", "fault", "clear", "meter", "status", "cut", "quit"] {
            assert!(HELP.lines().any(|line| line.split(' ').next() == Some(word)), "{word}");
        }
    }
}
