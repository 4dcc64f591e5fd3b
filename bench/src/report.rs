//! The results of a run: the figures with their targets, as text, Markdown and JSON.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::bare::{Bare, UNCONFIRMED};
use crate::machine::Machine;
use crate::throughput::{Load, Measured};

/// One round with all systems.
#[derive(Debug, Serialize)]
pub struct Round {
    /// The bare broker.
    pub bare: Bare,
    /// The bare steps of a request.
    pub skeleton: Load,
    /// Three processes on RabbitMQ and Redis.
    pub voltgate: Measured,
    /// The Python reference.
    pub python: Measured,
    /// `voltgate up` with an embedded queue and store.
    pub embedded: Measured,
}

/// All rounds of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The machine.
    pub machine: Machine,
    /// The figures, as medians over the rounds.
    pub figures: Vec<Figure>,
    /// The individual rounds.
    pub rounds: Vec<Round>,
}

/// A figure and its target.
#[derive(Debug, Serialize)]
pub struct Figure {
    /// The name of the figure.
    pub what: &'static str,
    /// The median over the rounds.
    pub value: f64,
    /// The target; `None` for a figure that is only reported.
    pub target: Option<Target>,
    /// Whether the target is met.
    pub met: bool,
}

/// The target of a figure.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The figure must be at least this.
    AtLeast(f64),
    /// The figure must be at most this.
    AtMost(f64),
}

type Source = fn(&Round) -> f64;

/// The figures with their targets.
const FIGURES: [(&str, Option<Target>, Source); 14] = [
    ("Voltgate / Python, requests a second", Some(Target::AtLeast(30.0)), |round| {
        round.voltgate.peak.per_second / round.python.peak.per_second
    }),
    ("Voltgate / bare broker", Some(Target::AtLeast(0.6)), |round| {
        round.voltgate.peak.per_second / round.bare.per_second
    }),
    ("skeleton / bare broker", None, |round| round.skeleton.per_second / round.bare.per_second),
    ("Voltgate / skeleton", None, |round| round.voltgate.peak.per_second / round.skeleton.per_second),
    ("embedded / Voltgate on RabbitMQ", Some(Target::AtLeast(1.0)), |round| {
        round.embedded.peak.per_second / round.voltgate.peak.per_second
    }),
    ("unloaded, the 202, p50 ms", Some(Target::AtMost(1.5)), |round| round.voltgate.unloaded.answer.p50_ms),
    ("unloaded, 202 to callback, p50 ms", Some(Target::AtMost(3.0)), |round| {
        round.voltgate.unloaded.callback.p50_ms
    }),
    ("unloaded, 202 to callback, p99 ms", Some(Target::AtMost(12.0)), |round| {
        round.voltgate.unloaded.callback.p99_ms
    }),
    ("half load, 202 to callback, p99 ms", Some(Target::AtMost(40.0)), |round| {
        round.voltgate.half.callback.p99_ms
    }),
    ("worker, most memory, MiB", Some(Target::AtMost(60.0)), |round| round.voltgate.memory_mib["worker"]),
    (
        "public-api, most memory, MiB",
        Some(Target::AtMost(40.0)),
        |round| round.voltgate.memory_mib["public-api"],
    ),
    (
        "acl-service, start to ready, ms",
        Some(Target::AtMost(300.0)),
        |round| round.voltgate.ready_ms["acl-service"],
    ),
    (
        "public-api, start to ready, ms",
        Some(Target::AtMost(300.0)),
        |round| round.voltgate.ready_ms["public-api"],
    ),
    ("worker, start to ready, ms", Some(Target::AtMost(300.0)), |round| round.voltgate.ready_ms["worker"]),
];

impl Target {
    fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::AtMost(most) => write!(f, "at most {most}"),
        }
    }
}

impl Report {
    /// Builds the report from at least one round.
    #[must_use]
    pub fn of(machine: Machine, rounds: Vec<Round>) -> Self {
        let figure = |(what, target, source): (&'static str, Option<Target>, Source)| {
            let value = median(rounds.iter().map(source).collect());
            Figure { what, value, target, met: target.is_none_or(|target| target.is_met_by(value)) }
        };
        Self { machine, figures: FIGURES.map(figure).into(), rounds }
    }

    /// The faults of all rounds, one line each.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let skeletons = self.rounds.iter().map(|round| &round.skeleton.faults);
        let skeletons =
            skeletons.filter(|faults| !faults.is_none()).map(|faults| format!("skeleton: {faults}"));
        let systems = self.rounds.iter().flat_map(|round| [&round.voltgate, &round.python, &round.embedded]);
        systems.flat_map(Measured::faults).chain(skeletons).collect()
    }

    /// Writes `latest.json`, `latest.md` and a plot of each system to this directory.
    ///
    /// # Errors
    /// Returns an error if the directory cannot be written to.
    pub fn write(&self, directory: &Path) -> Result<()> {
        std::fs::create_dir_all(directory)?;
        let write = |name: &str, text: &str| {
            let path = directory.join(name);
            std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        write("latest.json", &(serde_json::to_string_pretty(self)? + "\n"))?;
        write("latest.md", &self.markdown())?;
        for (name, measured) in self.rounds.last().map_or(Vec::new(), Round::systems) {
            write(&format!("{name}.svg"), &measured.plot)?;
        }
        Ok(())
    }

    /// The report as Markdown tables.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("# Results\n\n{}. Medians of {} run(s).\n\n", self.machine, self.rounds.len());
        text += "| figure | measured | target | |\n| --- | ---: | ---: | --- |\n";
        for Figure { what, value, target, met } in &self.figures {
            let (target, missed) =
                (target.map_or(String::new(), |target| target.to_string()), if *met { "" } else { "missed" });
            // Writing to a String does not fail.
            let _ = writeln!(text, "| {what} | {value:.2} | {target} | {missed} |");
        }
        for fault in self.faults() {
            let _ = writeln!(text, "\n**WORTH NOTHING: {fault}**");
        }
        if let Some(last) = self.rounds.last() {
            text += "\nThe last run:\n\n";
            text += &last.markdown();
        }
        text
    }
}

impl Round {
    fn systems(&self) -> Vec<(&'static str, &Measured)> {
        vec![("voltgate", &self.voltgate), ("python", &self.python), ("embedded", &self.embedded)]
    }

    fn markdown(&self) -> String {
        let mut text = "| | load | requests/s | 202 p50 / p99 ms | 202 to callback p50 / p99 / p99.9 ms |\n\
                        | --- | --- | ---: | ---: | ---: |\n"
            .to_owned();
        let (p50, p99) = self.bare.confirm_ms;
        let _ =
            writeln!(text, "| bare broker | {UNCONFIRMED} unconfirmed | {:.0} | | |", self.bare.per_second);
        let _ = writeln!(text, "| bare broker | 50/s, publish to confirm | 50 | {p50:.2} / {p99:.2} | |");
        let systems = self.systems().into_iter();
        let loads = systems.flat_map(|(name, measured)| measured.loads().map(|load| (name, load)));
        for (name, load) in std::iter::once(("skeleton", &self.skeleton)).chain(loads) {
            let Load { pace, per_second, answer, callback, .. } = load;
            let _ = writeln!(
                text,
                "| {name} | {pace} | {per_second:.0} | {:.2} / {:.2} | {:.2} / {:.2} / {:.2} |",
                answer.p50_ms, answer.p99_ms, callback.p50_ms, callback.p99_ms, callback.p999_ms
            );
        }
        text += "\n| CPU microseconds a request at full load | |\n| --- | --- |\n";
        let costs = |cpu_us: &std::collections::BTreeMap<String, f64>| {
            let each: Vec<String> = cpu_us.iter().map(|(name, us)| format!("{name} {us:.0}")).collect();
            format!("{}; together {:.0}", each.join(", "), cpu_us.values().sum::<f64>())
        };
        let _ = writeln!(text, "| bare broker | {} |", costs(&self.bare.cpu_us));
        let _ = writeln!(text, "| skeleton | {} |", costs(&self.skeleton.cpu_us));
        for (name, measured) in self.systems() {
            let _ = writeln!(text, "| {name} | {} |", costs(&measured.peak.cpu_us));
        }
        text
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert!((median(vec![9.0, 1.0, 5.0]) - 5.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_target_is_met_at_its_bound() {
        assert!(Target::AtLeast(0.6).is_met_by(0.6) && !Target::AtLeast(0.6).is_met_by(0.59));
        assert!(Target::AtMost(40.0).is_met_by(40.0) && !Target::AtMost(40.0).is_met_by(40.1));
    }
}
