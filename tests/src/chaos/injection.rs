//! How each fault is injected and ended.

use std::time::Duration;

use test_servers::{RabbitMq, Redis};
use tokio::time::sleep;

use super::fault::{Kind, Service, Trouble, Way};
use super::system::{SKEW_SECS, System, start_with_clock_ahead};
use crate::faults::aside;
use crate::faults::member::Member;
use crate::faults::schedule::Planned;

const ERROR: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
/// The delay in each direction; a decision has five seconds.
const SLOW: Duration = Duration::from_secs(3);

/// Injects the fault, waits, and ends it. No other fault affects the same part meanwhile.
pub(super) async fn inject(system: &System, fault: &Planned<Kind>) {
    let member = |service| system.staff.member(service, fault.member);
    match fault.kind {
        Kind::Killed(service) => member(service).kill_for(fault.span).await,
        Kind::Restarted(service) => system.staff.restart(member(service)).await,
        // When resumed, it still has deliveries in flight that were redelivered to others meanwhile.
        Kind::Frozen => member(Service::Worker).freeze_for(fault.span).await,
        Kind::Skewed => skewed(system, member(Service::Worker), fault.span).await,
        Kind::BrokerKilled => {
            aside(&system.broker, RabbitMq::kill).await;
            sleep(fault.span).await;
            aside(&system.broker, RabbitMq::start_again).await;
        }
        Kind::BrokerFrozen => {
            aside(&system.broker, |broker| broker.pause()).await;
            sleep(fault.span).await;
            aside(&system.broker, |broker| broker.resume()).await;
        }
        Kind::RedisKilled => {
            aside(&system.redis, Redis::kill).await;
            sleep(fault.span).await;
            aside(&system.redis, Redis::start_again).await;
        }
        Kind::Link(way, trouble) => disturbed(system, way, trouble, fault.span).await,
    }
}

async fn skewed(system: &System, worker: &Member<Service>, span: Duration) {
    system.staff.stop(worker).await;
    // Ahead or behind, equally often; the schedule decides.
    let seconds = if span.as_millis().is_multiple_of(2) { SKEW_SECS } else { -SKEW_SECS };
    if let Err(why) = start_with_clock_ahead(worker, seconds).await {
        system.staff.complain(why);
    }
    sleep(span).await;
    system.staff.restart(worker).await;
}

async fn disturbed(system: &System, way: Way, trouble: Trouble, span: Duration) {
    let link = system.way(way);
    match trouble {
        Trouble::Cut => link.cut(),
        Trouble::Silent => link.black_hole(),
        Trouble::Slow => link.slow(SLOW),
        Trouble::Erring => link.answer(ERROR),
    }
    sleep(span).await;
    link.open();
}
