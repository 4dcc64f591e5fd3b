//! How each fault is injected and ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use test_servers::{RabbitMq, Redis};
use tokio::time::sleep;

use super::fault::{Kind, Planned, Service, Trouble, Way};
use super::system::{Member, SKEW_SECS, System};

const ERROR: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
/// The delay in each direction; a decision has five seconds.
const SLOW: Duration = Duration::from_secs(3);

/// Injects the fault, waits, and ends it. No other fault affects the same part meanwhile.
pub(super) async fn inject(system: &System, fault: &Planned) {
    let member = |service| system.member(service, fault.member);
    match fault.kind {
        Kind::Killed(service) => killed(member(service), fault.span).await,
        Kind::Restarted(service) => restarted(system, member(service)).await,
        Kind::Frozen => frozen(member(Service::Worker), fault.span).await,
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

async fn killed(member: &Member, span: Duration) {
    if let Some(process) = member.take() {
        process.kill().await;
    }
    sleep(span).await;
    member.start(&BTreeMap::new()).await;
}

async fn restarted(system: &System, member: &Member) {
    stopped(system, member).await;
    member.start(&BTreeMap::new()).await;
}

/// Complains if the process does not stop in order on SIGTERM.
async fn stopped(system: &System, member: &Member) {
    let Some(mut process) = member.take() else { return };
    process.signal(Signal::SIGTERM);
    let code = process.ended().await;
    if code != Some(0) {
        system.complain(format!("a process ended with {code:?} after SIGTERM:\n{}", process.log_tail()));
    }
}

/// When resumed, it still has deliveries in flight that were redelivered to others meanwhile.
async fn frozen(member: &Member, span: Duration) {
    let Some(process) = member.take() else { return };
    process.signal(Signal::SIGSTOP);
    sleep(span).await;
    process.signal(Signal::SIGCONT);
    member.put_back(process);
}

async fn skewed(system: &System, member: &Member, span: Duration) {
    stopped(system, member).await;
    // Ahead or behind, equally often; the schedule decides.
    let seconds = if span.as_millis().is_multiple_of(2) { SKEW_SECS } else { -SKEW_SECS };
    if let Err(why) = member.start_with_clock_ahead(seconds).await {
        system.complain(why);
    }
    sleep(span).await;
    stopped(system, member).await;
    member.start(&BTreeMap::new()).await;
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

/// Runs on a blocking thread, because starting and killing a server blocks.
pub(crate) async fn aside<S: Send + 'static>(server: &Arc<Mutex<S>>, act: fn(&mut S) -> Result<()>) {
    let server = Arc::clone(server);
    let acting =
        tokio::task::spawn_blocking(move || act(&mut server.lock().unwrap_or_else(PoisonError::into_inner)));
    acting.await.unwrap().expect("the server does as it is told");
}
