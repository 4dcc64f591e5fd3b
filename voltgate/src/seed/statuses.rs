//! What the chargers of the network have sent: a status of most connectors, and of some a short history.

use std::time::Duration;

use charging::At;
use charging::stations::StationDraft;
use charging::stations::connectors::ConnectorStatus;
use charging::stations::status_log::Sent;

use super::random::Random;

const MINUTE: Duration = Duration::from_secs(60);
/// The last status is at most this old.
const MAX_AGE_MINUTES: i64 = 6 * 60;

/// How many of a hundred connectors are in each state; nothing is known about the others.
const STATES: [(Option<ConnectorStatus>, u64); 8] = [
    (Some(ConnectorStatus::Available), 65),
    (Some(ConnectorStatus::Charging), 20),
    (Some(ConnectorStatus::Preparing), 2),
    (Some(ConnectorStatus::SuspendedEv), 2),
    (Some(ConnectorStatus::Finishing), 2),
    (Some(ConnectorStatus::Unavailable), 2),
    (Some(ConnectorStatus::Faulted), 2),
    (None, 5),
];
/// How many of a hundred connectors have a history.
const WITH_HISTORY: u64 = 30;

/// The statuses of a station, oldest first for each connector.
pub(super) fn of(station: &StationDraft, random: &mut Random, now: At) -> Vec<Sent> {
    let mut all = Vec::new();
    let mut number = 0;
    for evse in station.evses.iter().flatten() {
        // One vehicle at a time: the other connectors of the EVSE can be used by none meanwhile.
        let mut taken = false;
        for _ in &evse.connectors {
            number += 1;
            let drawn = STATES[random.weighted(STATES.iter().map(|(_, weight)| *weight))].0;
            let Some(last) = drawn else { continue };
            let last = if taken { ConnectorStatus::Unavailable } else { last };
            taken |= last == ConnectorStatus::Charging;
            all.extend(of_connector(number, last, random, now));
        }
    }
    all
}

fn of_connector(number: i64, last: ConnectorStatus, random: &mut Random, now: At) -> Vec<Sent> {
    let before: &[ConnectorStatus] = match last {
        _ if !random.happens(WITH_HISTORY) => &[],
        ConnectorStatus::Available => &[ConnectorStatus::Charging, ConnectorStatus::Finishing],
        ConnectorStatus::Charging => &[ConnectorStatus::Available, ConnectorStatus::Preparing],
        _ => &[ConnectorStatus::Available],
    };
    let mut minutes = random.between(1, MAX_AGE_MINUTES);
    let mut sent = Vec::with_capacity(before.len() + 1);
    for status in before.iter().copied().chain([last]).rev() {
        let faulted = status == ConnectorStatus::Faulted;
        sent.push(Sent {
            connector_number: number,
            status,
            error_code: faulted
                .then(|| (*random.one_of(&["GroundFailure", "ConnectorLockFailure"])).to_owned()),
            info: None,
            at: now.minus(MINUTE * u32::try_from(minutes).unwrap_or_default()),
        });
        minutes += random.between(2, 50);
    }
    sent.reverse();
    sent
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::seed::network::Network;

    #[test]
    fn most_connectors_are_available_and_histories_are_in_order() {
        let now = At::now();
        let (mut last, mut all, mut connectors) = (HashMap::new(), 0, 0);
        for site in Network::of(1, 2000) {
            for station in site.unwrap().stations {
                let id = station.id.unwrap();
                connectors += station.evses.iter().flatten().flat_map(|evse| &evse.connectors).count();
                for sent in of(&station, &mut Random::of(1, "status", id.as_u64_pair().1), now) {
                    all += 1;
                    let before = last.insert((id, sent.connector_number), (sent.at, sent.status));
                    assert!(before.is_none_or(|(at, _)| at < sent.at) && sent.at < now);
                }
            }
        }
        let part = |status| last.values().filter(|(_, last)| *last == status).count() * 100 / connectors;
        assert!((58..70).contains(&part(ConnectorStatus::Available)), "{}", part(ConnectorStatus::Available));
        assert!((15..25).contains(&part(ConnectorStatus::Charging)));
        let known = last.len() * 100 / connectors;
        assert!((90..99).contains(&known), "{known}");
        assert!(all > last.len() * 13 / 10 && all < last.len() * 2);
    }
}
