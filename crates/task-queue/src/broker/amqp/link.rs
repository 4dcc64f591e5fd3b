//! One supervised connection. The supervisor connects, declares the queues, provides the session, notices when it ends
//! and reconnects with growing waits until it is stopped.

use std::sync::Arc;
use std::time::Duration;

use ::metrics::{counter, gauge};
use futures_util::StreamExt;
use lapin::options::ConfirmSelectOptions;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, Event};
use tokio::sync::{OnceCell, watch};
use tokio_util::sync::CancellationToken;

use super::topology;
use crate::backoff::{Backoff, ShuttingDown};
use crate::broker::{BrokerError, Topology};
use crate::metrics;

/// A peer that is silent for twice this long counts as dead. With RabbitMQ's default of 60 s, a half-open connection
/// would go unnoticed for two minutes.
pub(super) const HEARTBEAT_SECS: u16 = 5;
/// RabbitMQ's default. Otherwise the frame limit would be whatever the broker offers, and lapin's buffers are many
/// times that.
pub(super) const MAX_FRAME: u32 = 131_072;
/// The minimum of lapin and of RabbitMQ 4; AMQP's own is 4096.
const MIN_FRAME: u32 = 8192;
/// lapin's handshake has no time limit of its own.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const CLOSE_LIMIT: Duration = Duration::from_secs(3);
const RECONNECT: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(3));

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Publish,
    Consume,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Consume => "consume",
        }
    }
}

/// One connection. Nothing of it outlives `lost`.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: Connection,
    /// In confirm mode. Consumers open channels of their own, so that an error on one does not close another.
    pub(super) channel: Channel,
    /// Set once the delay queues are declared; most processes never delay a message.
    pub(super) ladder: OnceCell<()>,
    /// Cancelled by the first part that finds the connection unusable.
    pub(super) lost: CancellationToken,
}

#[derive(Debug, Clone)]
enum LinkState {
    /// Not connected, and why the last attempt failed.
    Down(String),
    Up(Arc<Session>),
}

#[derive(Debug, Clone)]
pub(super) struct Link {
    state: watch::Receiver<LinkState>,
    stop: CancellationToken,
}

impl Link {
    pub(super) fn start(url: &str, role: Role, topology: &Topology) -> Result<Self, BrokerError> {
        let uri = parse(url)?;
        let (tell, state) = watch::channel(LinkState::Down("still connecting".to_owned()));
        let stop = CancellationToken::new();
        let connector = Connector { uri, role, topology: topology.clone() };
        tokio::spawn(supervise(connector, tell, stop.clone()));
        Ok(Self { state, stop })
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(&*self.state.borrow(), LinkState::Up(session) if !session.lost.is_cancelled())
    }

    /// Whether the broker has reported that it stopped reading from this connection.
    pub(super) fn is_blocked(&self) -> bool {
        matches!(&*self.state.borrow(), LinkState::Up(session) if session.connection.status().blocked())
    }

    /// The current session, if there is one.
    pub(super) fn present(&self) -> Option<Arc<Session>> {
        match &*self.state.borrow() {
            LinkState::Up(session) if !session.lost.is_cancelled() => Some(Arc::clone(session)),
            _ => None,
        }
    }

    /// The current session; waits for one if necessary.
    pub(super) async fn session(&self) -> Arc<Session> {
        let mut state = self.state.clone();
        loop {
            if let LinkState::Up(session) = &*state.borrow_and_update()
                && !session.lost.is_cancelled()
            {
                return Arc::clone(session);
            }
            if state.changed().await.is_err() {
                // The supervisor has stopped, so there will be no session. Every caller has a time limit or a stop of
                // its own.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits for the first session. After the limit, returns why there is none.
    pub(super) async fn established(&self, limit: Duration) -> Result<(), String> {
        match tokio::time::timeout(limit, self.session()).await {
            Ok(_) => Ok(()),
            Err(_) => {
                self.stop.cancel();
                Err(self.why_down())
            }
        }
    }

    pub(super) fn why_down(&self) -> String {
        match &*self.state.borrow() {
            LinkState::Down(why) => why.clone(),
            LinkState::Up(_) => "the connection was lost just now".to_owned(),
        }
    }

    /// Asks the supervisor to close the connection, and waits until it has.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        let mut state = self.state.clone();
        let closed = async { while state.changed().await.is_ok() {} };
        let _ = tokio::time::timeout(CLOSE_LIMIT + Duration::from_secs(1), closed).await;
    }
}

/// The address, the heartbeat interval and the largest frame to ask for; the broker may lower the latter.
pub(super) fn parse(url: &str) -> Result<AMQPUri, BrokerError> {
    let mut uri: AMQPUri = url.parse().map_err(|_| BrokerError::BadUrl)?;
    if uri.vhost.is_empty() {
        // `amqp://host/` is taken as the default vhost, as by kombu.
        "/".clone_into(&mut uri.vhost);
    }
    uri.query.heartbeat.get_or_insert(HEARTBEAT_SECS);
    // 0 would leave the size to the broker.
    let asked = uri.query.frame_max.filter(|asked| *asked > 0).unwrap_or(MAX_FRAME);
    uri.query.frame_max = Some(asked.clamp(MIN_FRAME, MAX_FRAME));
    Ok(uri)
}

struct Connector {
    uri: AMQPUri,
    role: Role,
    topology: Topology,
}

async fn supervise(connector: Connector, tell: watch::Sender<LinkState>, stop: CancellationToken) {
    let (mut backoff, mut been_up) = (RECONNECT, false);
    while !stop.is_cancelled() {
        let opened = tokio::select! {
            opened = tokio::time::timeout(CONNECT_LIMIT, connector.open()) => opened,
            () = stop.cancelled() => return,
        };
        match opened {
            Ok(Ok(session)) => {
                backoff.reset();
                if std::mem::replace(&mut been_up, true) {
                    counter!(metrics::BROKER_RECONNECTS, "role" => connector.role.name()).increment(1);
                }
                hold(Arc::new(session), &connector, &tell, &stop).await;
            }
            Ok(Err(error)) => report_down(&tell, &connector, error.to_string()),
            Err(_) => report_down(&tell, &connector, format!("no answer within {CONNECT_LIMIT:?}")),
        }
        if let Err(ShuttingDown) = backoff.wait(&stop).await {
            return;
        }
    }
}

fn report_down(tell: &watch::Sender<LinkState>, connector: &Connector, why: String) {
    tracing::warn!(role = ?connector.role, error = why, "no connection to the broker; trying again");
    gauge!(metrics::BROKER_CONNECTED, "role" => connector.role.name()).set(0.0);
    tell.send_replace(LinkState::Down(why));
}

/// Provides the session until it is lost or the link is stopped, then closes it.
async fn hold(
    session: Arc<Session>,
    connector: &Connector,
    tell: &watch::Sender<LinkState>,
    stop: &CancellationToken,
) {
    tracing::info!(role = ?connector.role, host = connector.uri.authority.host, "connected to the broker");
    let mut events = Box::pin(session.connection.events_listener());
    gauge!(metrics::BROKER_CONNECTED, "role" => connector.role.name()).set(1.0);
    tell.send_replace(LinkState::Up(Arc::clone(&session)));
    let why = loop {
        tokio::select! {
            () = stop.cancelled() => break None,
            () = session.lost.cancelled() => break Some("the connection stopped working".to_owned()),
            event = events.next() => match event {
                Some(Event::Error(error)) if session.connection.status().connected() => {
                    // An error on one channel. The channel's owner receives it too and opens another.
                    tracing::debug!(%error, "a channel failed");
                }
                Some(Event::Error(error)) => break Some(error.to_string()),
                Some(Event::ConnectionBlocked(why)) => tracing::warn!(why, "the broker accepts no messages at present"),
                Some(Event::ConnectionUnblocked) => tracing::info!("the broker accepts messages again"),
                Some(_) => {}
                None => break Some("the connection ended".to_owned()),
            },
        }
    };
    session.lost.cancel();
    if let Some(why) = why {
        report_down(tell, connector, why);
    }
    let _ = tokio::time::timeout(CLOSE_LIMIT, session.connection.close(200, "goodbye".into())).await;
}

impl Session {
    /// The frame limit that both ends agreed on, in bytes.
    pub(super) fn frame_max(&self) -> usize {
        self.connection.configuration().frame_max() as usize
    }
}

impl Connector {
    async fn open(&self) -> lapin::Result<Session> {
        let role = self.role.name();
        let properties = ConnectionProperties::default()
            .with_connection_name(format!("{} {role} pid {}", self.topology.name, std::process::id()).into());
        let connection = Connection::connect_uri(self.uri.clone(), properties).await?;
        topology::declare_queues(&connection, &self.topology).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Session { connection, channel, ladder: OnceCell::new(), lost: CancellationToken::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_frame_is_larger_than_ours_whatever_the_url_asks_for() {
        for (query, size) in [
            ("", MAX_FRAME),
            ("?frame_max=0", MAX_FRAME),
            ("?frame_max=4294967295", MAX_FRAME),
            ("?frame_max=16384", 16_384),
            ("?frame_max=1", MIN_FRAME),
        ] {
            let uri = parse(&format!("amqp://127.0.0.1/%2f{query}")).unwrap();
            assert_eq!(uri.query.frame_max, Some(size), "{query}");
        }
    }
}
