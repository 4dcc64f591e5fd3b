//! The report: targets, figures, and where the CPU time of our processes goes, as Markdown and JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::Size;
use super::figures::{Book, Figure, Server, median};
use super::targets::{Judged, judge};
use crate::machine::Machine;

/// The settings that differ from the defaults, and what the measurement includes.
const SETTINGS: &str = "Defaults but for ports, addresses and OCPP_ALLOW_OPEN=true (chargers have no password): raw messages are kept, \
    chargers are pinged each 30 s, PostgreSQL with fsync=on and synchronous_commit=on, Redis with appendfsync always, no TLS. \
    The peers keep nothing. CPU is the central system's, user and system time; the database and the other processes are apart.";

/// The results of a run.
#[derive(Debug, Serialize)]
pub struct OcppReport {
    machine: Machine,
    node: String,
    size: String,
    settings: &'static str,
    load_average: Vec<f64>,
    /// The targets.
    pub targets: Vec<Judged>,
    /// The figures.
    pub figures: Vec<Figure>,
    /// CPU µs each of the processes of ours, by load.
    pub costs: BTreeMap<&'static str, BTreeMap<String, f64>>,
    /// What went wrong: with one of these the figures are worth nothing.
    pub faults: Vec<String>,
}

impl OcppReport {
    pub(super) fn of(book: &Book, machine: &Machine, size: &Size, load: &[f64]) -> Self {
        let medians = |parts: &BTreeMap<String, Vec<f64>>| {
            parts.iter().map(|(part, values)| (part.clone(), median(values))).collect()
        };
        let Size { sockets, rate, sources, seconds, hold, soak, rounds, python: _ } = size;
        Self {
            machine: machine.clone(),
            node: node_version(),
            size: format!(
                "{sockets} sockets at {rate}/s from {sources} addresses, held for {hold} s; {seconds} s a load, \
                 {} sockets with a call a second each in an open loop; a storm of {}; {soak} s of soak; {rounds} rounds",
                size.fleet(),
                size.storm()
            ),
            settings: SETTINGS,
            load_average: load.to_vec(),
            targets: judge(book),
            figures: book.figures(),
            costs: book.costs.iter().map(|(load, parts)| (*load, medians(parts))).collect(),
            faults: book.faults.clone(),
        }
    }

    /// The report as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let load: Vec<String> = self.load_average.iter().map(|load| format!("{load:.1}")).collect();
        let mut text = format!(
            "# ocpp-gateway beside others\n\n{}, Node {}. Load average {} (before, and after each round). Medians.\n\n{}.\n\n{}\n\n",
            self.machine,
            self.node,
            load.join(", "),
            self.size,
            self.settings
        );
        for fault in &self.faults {
            // A String takes every write.
            let _ = writeln!(text, "**WORTH NOTHING: {fault}**\n");
        }
        text += "| target | measured | as a ratio | limits | |\n| --- | ---: | ---: | --- | --- |\n";
        for Judged { what, value, limits, ratios, verdict } in &self.targets {
            let ratios: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
            let value = value.map_or_else(String::new, shown);
            let (ratios, limits, verdict) = (ratios.join(", "), limits.join("; "), verdict.word());
            let _ = writeln!(text, "| {what} | {value} | {ratios} | {limits} | {verdict} |");
        }
        let all = [Server::Voltgate, Server::Ceiling, Server::OcppRpc, Server::OcppPy];
        let is_measured =
            |server: &Server| self.figures.iter().any(|figure| figure.medians.contains_key(server));
        let servers: Vec<Server> = all.into_iter().filter(is_measured).collect();
        text += "\n| load | figure |";
        for server in &servers {
            let _ = write!(text, " {} |", server.name());
        }
        let _ = writeln!(text, "\n| --- | --- |{}", " ---: |".repeat(servers.len()));
        for Figure { load, what, medians, .. } in &self.figures {
            let _ = write!(text, "| {load} | {what} |");
            for server in &servers {
                let _ = write!(text, " {} |", medians.get(server).copied().map_or_else(String::new, shown));
            }
            text.push('\n');
        }
        text += "\n| CPU µs each, by process | |\n| --- | --- |\n";
        for (load, parts) in &self.costs {
            let each: Vec<String> = parts.iter().map(|(part, us)| format!("{part} {us:.0}")).collect();
            let _ = writeln!(text, "| {load} | {} |", each.join(", "));
        }
        text
    }
}

fn shown(value: f64) -> String {
    if value.abs() >= 1000.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

fn node_version() -> String {
    let output = std::process::Command::new("node").arg("--version").output();
    let version = output.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    version.map_or_else(|| "missing".to_owned(), |version| version.trim().to_owned())
}
