//! What ocpp-gateway counts in its metrics.

use std::time::Duration;

use anyhow::Result;

use super::figures::Server;
use super::stage::Central;

/// Counts of one moment, or their growth.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Counters {
    /// Answers about id tags.
    pub(super) answers: f64,
    /// Those of them that a decision has allowed.
    pub(super) decided: f64,
    /// Raw messages that were not kept.
    pub(super) lost: f64,
}

impl Counters {
    /// Reads them; `None` of another server.
    pub(super) async fn of(central: &Central) -> Result<Option<Self>> {
        if central.server != Server::Voltgate {
            return Ok(None);
        }
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        let answer = http.get(format!("http://{}/metrics", central.authority)).send().await?;
        Ok(Some(Self::read(&answer.error_for_status()?.text().await?)))
    }

    fn read(text: &str) -> Self {
        let mut counters = Self::default();
        for line in text.lines() {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let value: f64 = value.parse().unwrap_or_default();
            if name.starts_with("voltgate_ocpp_authorizations_total{") {
                counters.answers += value;
                let is_decided =
                    name.contains("because=\"decision\"") && name.contains("answer=\"Accepted\"");
                counters.decided += if is_decided { value } else { 0.0 };
            } else if name.starts_with("voltgate_ocpp_messages_lost_total") {
                counters.lost += value;
            }
        }
        counters
    }

    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            answers: self.answers - before.answers,
            decided: self.decided - before.decided,
            lost: self.lost - before.lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_that_a_decision_has_allowed_are_decided() {
        let text = "# HELP x\n\
            voltgate_ocpp_authorizations_total{answer=\"Accepted\",because=\"decision\"} 5\n\
            voltgate_ocpp_authorizations_total{answer=\"Invalid\",because=\"decision\"} 2\n\
            voltgate_ocpp_authorizations_total{answer=\"Accepted\",because=\"whitelist\"} 1\n\
            voltgate_ocpp_messages_lost_total 7\n";
        assert_eq!(Counters::read(text), Counters { answers: 8.0, decided: 5.0, lost: 7.0 });
    }
}
