//! What the tests of ocpp-gateway share: a gateway with a database of its own, and a charger that sends any frame.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use charging::chargers::commands::{self, Command, CommandState, NewCommand};
use charging::chargers::{self, Charger, ChargerTerms};
use charging::sessions::{self, Filter, Session};
use charging::stations::charging_stations;
use charging::tokens;
use charging::{Db, DbError};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tests::deployment::Deployment;
use tests::process::Process;
use tests::{PATIENCE, eventually};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::Response;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, coding::CloseCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use uuid::Uuid;

use super::accounts::new_database;

/// The driver token of the tag [`TAG`].
pub(super) const DRIVER: &str = "driver_of_the_tag_0001";
pub(super) const TAG: &str = "04A1B2C3";

/// An ocpp-gateway, and what it needs.
pub(super) struct Gateway {
    pub(super) deployment: Deployment,
    pub(super) process: Process,
    pub(super) url: String,
    pub(super) db: Db,
    pub(super) acl_url: String,
    pub(super) _acl: Process,
}

/// A charger's end of a connection.
pub(super) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    last_id: u32,
}

/// A handshake, as a charger may begin it.
#[derive(Debug, Clone, Default)]
pub(super) struct Handshake {
    pub(super) name: String,
    pub(super) subprotocols: Option<&'static str>,
    pub(super) authorization: Option<String>,
}

impl Gateway {
    pub(super) async fn start(settings: &[(&str, &str)]) -> Self {
        Self::on(&new_database().await, settings).await
    }

    /// The same on a database, which the gateway may reach by another URL.
    pub(super) async fn on(url: &str, settings: &[(&str, &str)]) -> Self {
        let db = Db::connect(url, 5, PATIENCE).await.unwrap();
        let deployment = Deployment::new().await.with("DATABASE_URL", url).with("OCPP_ALLOW_OPEN", "true");
        let mut deployment = settings.iter().fold(deployment, |all, (name, value)| all.with(name, value));
        let (acl, acl_url) = deployment.start_acl().await;
        let (process, url) = deployment.start_gateway().await;
        Self { deployment, process, url, db, acl_url, _acl: acl }
    }

    /// Creates a station with two connectors.
    pub(super) async fn station(&self, charger: &str) -> Uuid {
        let connector = |number: i64| {
            json!({"connectors": [{
                "number": number, "standard": "IEC_62196_T2", "format": "SOCKET", "power_type": "AC_3_PHASE",
                "max_power_w": 22_000,
            }]})
        };
        let document = json!({"charger": charger, "evses": [connector(1), connector(2)]});
        let draft = serde_json::from_value(document).unwrap();
        self.db.write(async |tx| charging_stations::create(tx, &draft).await).await.unwrap().row.id
    }

    pub(super) async fn set_terms(&self, station: Uuid, terms: ChargerTerms) {
        let set: Result<(), DbError> =
            self.db.write(async |tx| chargers::set_terms(tx, station, &terms).await).await;
        set.unwrap();
    }

    /// Creates a token, and returns its driver token.
    pub(super) async fn token(&self, document: Value) -> String {
        let draft = serde_json::from_value(document).unwrap();
        let created = self.db.write(async |tx| tokens::create(tx, &draft, None).await).await;
        created.unwrap().0.driver_token.expose().to_owned()
    }

    /// Creates [`TAG`] with this whitelist.
    pub(super) async fn tag(&self, whitelist: &str) {
        self.token(json!({"uid": TAG, "driver_token": DRIVER, "whitelist": whitelist})).await;
    }

    /// Creates [`TAG`], about which a decision is always asked for, with a driver who may charge at this station.
    pub(super) async fn admitted_tag(&self, station: Uuid) {
        self.tag("never").await;
        self.admit(station, DRIVER).await;
    }

    /// Puts a driver on the access list of a station.
    pub(super) async fn admit(&self, station: Uuid, driver: &str) {
        let url = format!("{}/station/{station}/driver/{driver}/acl", self.acl_url);
        let response = self.deployment.http.put(url).send().await.unwrap();
        assert!(response.status().is_success(), "{response:?}");
    }

    pub(super) async fn charger(&self, station: Uuid) -> Charger {
        self.db.read(async |tx| chargers::find(tx, station).await).await.unwrap().unwrap()
    }

    pub(super) async fn is_online(&self, station: Uuid) -> bool {
        let found = self.db.read(async |tx| charging_stations::find(tx, station).await).await.unwrap();
        found.unwrap().row.online
    }

    pub(super) async fn online_is(&self, station: Uuid, online: bool) {
        eventually(&format!("a charger's `online` to be {online}"), async || {
            (self.is_online(station).await == online).then_some(())
        })
        .await;
    }

    /// All sessions, oldest first.
    pub(super) async fn sessions(&self) -> Vec<Session> {
        let all =
            self.db.read(async |tx| sessions::list(tx, &Filter::default(), i64::MAX, 1_000).await).await;
        let mut all = all.unwrap();
        all.reverse();
        all
    }

    /// Requests a command.
    pub(super) async fn command(&self, station: Uuid, action: &str, payload: Value, limit: Duration) -> Uuid {
        self.waiting_command(station, action, payload, (limit, None)).await
    }

    /// Requests a command with its limit, which may wait for its charger.
    pub(super) async fn waiting_command(
        &self,
        station: Uuid,
        action: &str,
        payload: Value,
        (limit, wait): (Duration, Option<Duration>),
    ) -> Uuid {
        let new =
            NewCommand { station_id: station, charger: "CP-1", action, payload, limit, wait, actor: None };
        self.db.write(async |tx| commands::create(tx, &new).await).await.unwrap()
    }

    /// Waits until a command has this state.
    pub(super) async fn command_is(&self, id: Uuid, state: CommandState) -> Command {
        eventually(&format!("the command to be {}", state.as_str()), async || {
            let found = self.db.read(async |tx| commands::find(tx, id).await).await.unwrap();
            found.filter(|command| command.state == state)
        })
        .await
    }

    /// A connection of this charger, which has no password.
    pub(super) async fn connect(&self, name: &str) -> Socket {
        Socket::open(&self.url, name).await
    }

    /// A connection of a new charger that has booted.
    pub(super) async fn booted(&self, name: &str) -> (Uuid, Socket) {
        let station = self.station(name).await;
        let mut socket = self.connect(name).await;
        let boot = json!({"chargePointVendor": "Acme", "chargePointModel": "One"});
        assert_eq!(socket.call("BootNotification", boot).await["status"], "Accepted");
        (station, socket)
    }

    /// The refusal of a handshake: its status, and its answer.
    pub(super) async fn refused(&self, handshake: &Handshake) -> (u16, Response<Option<Vec<u8>>>) {
        match handshake.shake(&self.url).await {
            Err(Error::Http(response)) => (response.status().as_u16(), *response),
            Err(other) => panic!("{handshake:?}: {other}"),
            Ok(_) => panic!("{handshake:?} was let in"),
        }
    }
}

impl Handshake {
    pub(super) fn of(name: &str) -> Self {
        Self { name: name.to_owned(), subprotocols: Some("ocpp1.6"), authorization: None }
    }

    pub(super) fn basic(self, user: &str, password: &[u8]) -> Self {
        let plain = [user.as_bytes(), b":", password].concat();
        Self { authorization: Some(format!("Basic {}", STANDARD.encode(plain))), ..self }
    }

    pub(super) async fn shake(&self, url: &str) -> Result<Socket, Error> {
        let mut request = format!("{url}/ocpp/{}", self.name).into_client_request()?;
        if let Some(subprotocols) = self.subprotocols {
            request.headers_mut().insert("sec-websocket-protocol", subprotocols.parse().unwrap());
        }
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert("authorization", authorization.parse().unwrap());
        }
        let small = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0);
        let (stream, _) = connect_async_with_config(request, Some(small), true).await?;
        Ok(Socket { stream, last_id: 0 })
    }
}

impl Socket {
    pub(super) async fn open(url: &str, name: &str) -> Self {
        Handshake::of(name).shake(url).await.unwrap()
    }

    /// Sends a frame.
    pub(super) async fn send(&mut self, message: Message) {
        self.stream.send(message).await.unwrap();
    }

    /// Sends a text.
    pub(super) async fn say(&mut self, text: impl Into<String>) {
        self.send(Message::text(text.into())).await;
    }

    /// Sends bytes as a text, or as a part of one.
    pub(super) async fn say_part(&mut self, bytes: &[u8], is_first: bool, is_last: bool) {
        let kind = if is_first { Data::Text } else { Data::Continue };
        let frame = Frame::message(bytes.to_vec(), OpCode::Data(kind), is_last);
        self.send(Message::Frame(frame)).await;
    }

    /// The next text.
    pub(super) async fn hear(&mut self) -> String {
        self.hear_within(PATIENCE).await.expect("a text")
    }

    /// The next text, if it comes within this time.
    pub(super) async fn hear_within(&mut self, limit: Duration) -> Option<String> {
        let next_text = async {
            loop {
                match self.stream.next().await.expect("the connection is open").unwrap() {
                    Message::Text(text) => return text.as_str().to_owned(),
                    Message::Close(frame) => panic!("it was closed: {frame:?}"),
                    _ => {}
                }
            }
        };
        timeout(limit, next_text).await.ok()
    }

    /// The next frame.
    pub(super) async fn frame(&mut self) -> Value {
        serde_json::from_str(&self.hear().await).unwrap()
    }

    /// Sends a CALL, and returns its id.
    pub(super) async fn ask(&mut self, action: &str, payload: &Value) -> String {
        self.last_id += 1;
        let id = format!("id-{}", self.last_id);
        self.say(json!([2, id, action, payload]).to_string()).await;
        id
    }

    /// Sends a CALL, and returns the payload of its CALLRESULT.
    pub(super) async fn call(&mut self, action: &str, payload: Value) -> Value {
        let id = self.ask(action, &payload).await;
        let mut answer = self.frame().await;
        assert_eq!((&answer[0], &answer[1]), (&json!(3), &json!(id)), "{action} {payload}: {answer}");
        answer[2].take()
    }

    /// Sends a CALL, and returns the code of its CALLERROR.
    pub(super) async fn error(&mut self, action: &str, payload: Value) -> String {
        let id = self.ask(action, &payload).await;
        let answer = self.frame().await;
        assert_eq!((&answer[0], &answer[1]), (&json!(4), &json!(id)), "{action} {payload}: {answer}");
        answer[2].as_str().unwrap().to_owned()
    }

    /// That the gateway serves it.
    pub(super) async fn is_alive(&mut self) {
        assert!(self.call("Heartbeat", json!({})).await["currentTime"].is_string());
    }

    /// Waits for the end; returns the code of the close frame, if there was one.
    pub(super) async fn closed(&mut self) -> Option<u16> {
        let end = async {
            loop {
                match self.stream.next().await {
                    Some(Ok(Message::Close(frame))) => return frame.map(|frame| CloseCode::into(frame.code)),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return None,
                }
            }
        };
        timeout(PATIENCE, end).await.expect("the connection ends")
    }
}

/// A StartTransaction at connector 1.
pub(super) fn start(timestamp: &str) -> Value {
    json!({"connectorId": 1, "idTag": TAG, "meterStart": 1000, "timestamp": timestamp})
}

/// A StopTransaction.
pub(super) fn stop(number: &Value, timestamp: &str) -> Value {
    json!({"transactionId": number, "meterStop": 8000, "timestamp": timestamp, "reason": "Local"})
}
