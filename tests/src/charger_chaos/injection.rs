//! How each fault is injected and ended.

use std::time::Duration;

use test_servers::{Postgres, RabbitMq, Redis};
use tokio::time::sleep;

use super::fault::{Kind, Service, Trouble};
use super::system::System;
use super::traffic::Traffic;
use crate::faults::aside;
use crate::faults::schedule::Planned;
use crate::link::Link;

/// Injects the fault, waits, and ends it. No other fault affects the same part meanwhile.
pub(super) async fn inject(system: &System, traffic: &Traffic, fault: &Planned<Kind>) {
    let member = |service| system.staff.member(service, fault.member);
    match fault.kind {
        Kind::Killed(service) => member(service).kill_for(fault.span).await,
        Kind::Restarted(service) => system.staff.restart(member(service)).await,
        Kind::Frozen => member(Service::Gateway).freeze_for(fault.span).await,
        Kind::BrokerKilled => {
            aside(&system.broker, RabbitMq::kill).await;
            sleep(fault.span).await;
            aside(&system.broker, RabbitMq::start_again).await;
        }
        Kind::RedisKilled => {
            aside(&system.redis, Redis::kill).await;
            sleep(fault.span).await;
            aside(&system.redis, Redis::start_again).await;
        }
        Kind::DatabaseKilled => {
            aside(&system.postgres, Postgres::kill).await;
            sleep(fault.span).await;
            aside(&system.postgres, Postgres::start_again).await;
        }
        Kind::DatabaseFrozen => {
            aside(&system.postgres, |postgres| postgres.pause()).await;
            sleep(fault.span).await;
            aside(&system.postgres, |postgres| postgres.resume()).await;
        }
        Kind::Database(trouble) => disturbed(&system.to_database, trouble, fault.span).await,
        Kind::Network(Trouble::Cut) => {
            disturbed(&system.networks[fault.member], Trouble::Cut, fault.span).await;
        }
        Kind::Network(Trouble::Silent) => {
            let given_up = async {
                sleep(fault.span / 2).await;
                traffic.give_up_some_on(fault.member).await;
            };
            let network = &system.networks[fault.member];
            tokio::join!(disturbed(network, Trouble::Silent, fault.span), given_up);
        }
        Kind::Charger(mishap) => {
            traffic.mishap(mishap, fault.member).await;
            sleep(fault.span).await;
        }
    }
}

async fn disturbed(link: &Link, trouble: Trouble, span: Duration) {
    match trouble {
        Trouble::Cut => link.cut(),
        Trouble::Silent => link.black_hole(),
    }
    sleep(span).await;
    link.open();
}
