//! How each fault is injected and ended.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use test_servers::{Postgres, RabbitMq, Redis};
use tokio::time::sleep;

use super::fault::{Kind, Planned, Service, Trouble};
use super::system::{Member, System};
use super::traffic::Traffic;
use crate::chaos::injection::aside;
use crate::link::Link;

/// Injects the fault, waits, and ends it. No other fault affects the same part meanwhile.
pub(super) async fn inject(system: &System, traffic: &Arc<Traffic>, fault: &Planned) {
    let member = |service| system.member(service, fault.member);
    match fault.kind {
        Kind::Killed(service) => killed(member(service), fault.span).await,
        Kind::Restarted(service) => restarted(system, member(service)).await,
        Kind::Frozen => frozen(member(Service::Gateway), fault.span).await,
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

async fn killed(member: &Member, span: Duration) {
    if let Some(process) = member.take() {
        process.kill().await;
    }
    sleep(span).await;
    member.start().await;
}

/// Complains if the process does not stop in order on SIGTERM.
async fn restarted(system: &System, member: &Member) {
    if let Some(mut process) = member.take() {
        process.signal(Signal::SIGTERM);
        let code = process.ended().await;
        if code != Some(0) {
            let log = process.log_tail();
            system.complain(format!("a process ended with {code:?} after SIGTERM:\n{log}"));
        }
    }
    member.start().await;
}

async fn frozen(member: &Member, span: Duration) {
    let Some(process) = member.take() else { return };
    process.signal(Signal::SIGSTOP);
    sleep(span).await;
    process.signal(Signal::SIGCONT);
    member.put_back(process);
}

async fn disturbed(link: &Link, trouble: Trouble, span: Duration) {
    match trouble {
        Trouble::Cut => link.cut(),
        Trouble::Silent => link.black_hole(),
    }
    sleep(span).await;
    link.open();
}
