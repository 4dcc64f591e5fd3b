//! Carries out what a charger requests. A step of its own says what must be durable before the answer; asking for a decision
//! comes after it, and does not hold up what the charger sends next.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use charging::At;
use charging::chargers::Registration;
use charging::chargers::boots::Boot;
use charging::chargers::transfers::{Transfer, TransferKind};
use charging::sessions::start::Start;
use charging::sessions::stop::Stop;
use charging::stations::status_log::Sent;
use ocpp::call::Refusal;
use ocpp::v16::answers::{
    AuthorizationStatus, AuthorizeAnswer, BootAnswer, GenericStatus, HeartbeatAnswer, IdTagInfo, Nothing,
    RegistrationStatus, SignCertificateAnswer, StartAnswer, StopAnswer,
};
use ocpp::v16::{IdTag, Request};
use ocpp::{ErrorCode, MessageId, Timestamp, frame};
use uuid::Uuid;

use crate::authorize::Purpose;
use crate::certificates;
use crate::commands;
use crate::node::Node;
use crate::readings;
use crate::writer::{NotWritten, Report, Written};

/// How long a charger that is not accepted waits before it boots again.
const RETRY: Duration = Duration::from_secs(60);
/// How long a boot or a status may wait for the database, before the charger is answered all the same.
const DURABLE_WITHIN: Duration = Duration::from_secs(5);

/// A charger, as a socket knows it.
#[derive(Debug, Clone)]
pub(crate) struct ChargerIdentity {
    pub(crate) name: Arc<str>,
    pub(crate) station: Uuid,
    pub(crate) registration: Registration,
    pub(crate) clock_offset_minutes: i64,
}

/// What became of a call.
pub(crate) enum Outcome {
    /// This is the answer.
    Answer(String),
    /// It is durable, and the answer waits for a decision.
    Deciding(Pin<Box<dyn Future<Output = String>>>),
    /// This is the answer, and something follows once it is written.
    Followed(String, Pin<Box<dyn Future<Output = ()>>>),
    /// There is no answer: the charger has to repeat it.
    Unanswered,
}

/// Carries out one call.
pub(crate) async fn carry_out(
    node: Arc<Node>,
    charger: ChargerIdentity,
    id: MessageId,
    request: Request,
) -> Outcome {
    if let Some(refusal) = unaccepted(charger.registration, &request) {
        return Outcome::Answer(frame::error(&id, &refusal, None));
    }
    let (now, station) = (At::now(), charger.station);
    match request {
        Request::BootNotification(boot) => {
            let boot = Boot {
                vendor: boot.vendor,
                model: boot.model,
                firmware: boot.firmware,
                charge_point_serial: boot.charge_point_serial,
                charge_box_serial: boot.charge_box_serial,
                iccid: boot.iccid,
                imsi: boot.imsi,
                meter_type: boot.meter_type,
                meter_serial: boot.meter_serial,
            };
            kept(&node, station, Report::Boot(boot, now)).await;
            let (status, interval) = match charger.registration {
                Registration::Accepted => (RegistrationStatus::Accepted, node.config.heartbeat),
                Registration::Pending => (RegistrationStatus::Pending, RETRY),
                Registration::Rejected => (RegistrationStatus::Rejected, RETRY),
            };
            let interval = i32::try_from(interval.as_secs()).unwrap_or(i32::MAX);
            Outcome::Answer(frame::result(
                &id,
                &BootAnswer { status, current_time: stamp(At::now()), interval },
            ))
        }
        Request::Heartbeat => Outcome::Answer(heartbeat(&id)),
        Request::Authorize(tag) => Outcome::Deciding(Box::pin(async move {
            let id_tag_info = node.authorizer.info(station, &tag, Purpose::Authorize).await;
            if node.authorizer.is_shown(station) {
                node.writer.note(station, Report::Authorized { answer: id_tag_info.status.as_str() });
            }
            frame::result(&id, &AuthorizeAnswer { id_tag_info })
        })),
        Request::StartTransaction(start) => started(node, charger, id, start, now).await,
        Request::StopTransaction(stop) => stopped(node, charger, id, stop, now).await,
        Request::MeterValues(metering) => {
            let readings = readings::of(metering.connector, &metering.values, now);
            let number = metering.transaction_id.map(i64::from);
            match node.writer.write(station, Report::Readings { number, readings }).await {
                Ok(_) => nothing(&id),
                Err(NotWritten) => Outcome::Unanswered,
            }
        }
        Request::StatusNotification(status) => {
            let sent = Sent {
                connector_number: status.connector,
                status: readings::status(status.status),
                error_code: status.error_code,
                info: status.info.or(status.vendor_error_code),
                at: status.at.map_or(now, |at| At::from_millis(at.millis())),
            };
            kept(&node, station, Report::Status(sent)).await;
            nothing(&id)
        }
        Request::SecurityEventNotification(event) => {
            let report = Report::Security { kind: event.kind, detail: event.detail };
            kept(&node, station, report).await;
            nothing(&id)
        }
        Request::DataTransfer(data) => Outcome::Deciding(Box::pin(async move {
            frame::result(&id, &node.vendors.answer(&charger.name, &data).await)
        })),
        Request::SignCertificate(csr) => sign(node, charger, &id, csr).await,
        Request::DiagnosticsStatusNotification(status) => {
            transferred(&node, station, TransferKind::Diagnostics, status.as_str(), None).await;
            nothing(&id)
        }
        Request::FirmwareStatusNotification(status) => {
            transferred(&node, station, TransferKind::Firmware, status.as_str(), None).await;
            nothing(&id)
        }
        Request::LogStatusNotification(status, request) => {
            transferred(&node, station, TransferKind::Log, status.as_str(), request).await;
            nothing(&id)
        }
        Request::SignedFirmwareStatusNotification(status, request) => {
            transferred(&node, station, TransferKind::Firmware, status.as_str(), request).await;
            nothing(&id)
        }
    }
}

/// The answer to a heartbeat, which waits for nothing.
pub(crate) fn heartbeat(id: &MessageId) -> String {
    frame::result(id, &HeartbeatAnswer { current_time: stamp(At::now()) })
}

/// A charger that is not accepted may boot, and its transactions are money; everything else waits.
pub(crate) fn unaccepted(registration: Registration, request: &Request) -> Option<Refusal> {
    let served = matches!(
        request,
        Request::BootNotification(_)
            | Request::StartTransaction(_)
            | Request::StopTransaction(_)
            | Request::MeterValues(_)
    );
    (registration != Registration::Accepted && !served)
        .then(|| Refusal::new(ErrorCode::SecurityError, "the charger is not accepted yet"))
}

async fn started(
    node: Arc<Node>,
    charger: ChargerIdentity,
    id: MessageId,
    start: ocpp::v16::from_charger::Start,
    now: At,
) -> Outcome {
    let report = Start {
        charger: charger.name.to_string(),
        connector: start.connector,
        id_tag: start.id_tag.as_ref().map(|tag| tag.expose().to_owned()),
        meter_start: start.meter_start.map(i64::from),
        reservation_number: start.reservation_id.map(i64::from),
        at: start.at.map(|at| At::from_millis(at.millis())),
        received_at: now,
        malformed: !start.faults.is_empty(),
    };
    let Ok(Written::Session(session)) = node.writer.write(charger.station, Report::Start(report)).await
    else {
        return Outcome::Unanswered;
    };
    Outcome::Deciding(Box::pin(async move {
        let id_tag_info = match (session.answer.as_deref(), start.id_tag) {
            // The repeat of a start that was accepted is accepted: another answer would stop the vehicle (MicroOcpp#237).
            (Some("Accepted"), _) => IdTagInfo {
                expiry_date: session.answer_expires_at.map(stamp),
                parent_id_tag: session.answer_parent,
                status: AuthorizationStatus::Accepted,
            },
            (_, Some(tag)) if start.faults.is_empty() => {
                node.authorizer.info(charger.station, &tag, Purpose::Start).await
            }
            _ => plain(AuthorizationStatus::Invalid),
        };
        let answer = charging::sessions::StartAnswer {
            status: id_tag_info.status.as_str().to_owned(),
            expires_at: id_tag_info.expiry_date.map(|at| At::from_millis(at.millis())),
            parent: id_tag_info.parent_id_tag.clone(),
        };
        node.writer.note(charger.station, Report::Answered { session: session.id, answer });
        let transaction_id = i32::try_from(session.number).unwrap_or(i32::MAX);
        frame::result(&id, &StartAnswer { id_tag_info, transaction_id })
    }))
}

async fn stopped(
    node: Arc<Node>,
    charger: ChargerIdentity,
    id: MessageId,
    stop: ocpp::v16::from_charger::Stop,
    now: At,
) -> Outcome {
    let tag: Option<IdTag> = stop.id_tag.clone();
    let report = Stop {
        charger: charger.name.to_string(),
        number: stop.transaction_id.map(i64::from),
        id_tag: stop.id_tag.map(|tag| tag.expose().to_owned()),
        meter_stop: stop.meter_stop.map(i64::from),
        at: stop.at.map(|at| At::from_millis(at.millis())),
        received_at: now,
        reason: stop.other_reason.or_else(|| stop.reason.map(|reason| reason.as_str().to_owned())),
        malformed: !stop.faults.is_empty(),
    };
    // The connector is that of the session, which is not known here.
    let readings = readings::of(0, &stop.readings, now);
    match node.writer.write(charger.station, Report::Stop(report, readings)).await {
        Ok(_) => {}
        Err(NotWritten) => return Outcome::Unanswered,
    }
    let Some(tag) = tag else {
        return Outcome::Answer(frame::result(&id, &StopAnswer { id_tag_info: None }));
    };
    Outcome::Deciding(Box::pin(async move {
        let info = node.authorizer.info(charger.station, &tag, Purpose::Start).await;
        frame::result(&id, &StopAnswer { id_tag_info: Some(info) })
    }))
}

/// Takes a request for a certificate. Where there is an authority, the certificate follows as a command.
async fn sign(node: Arc<Node>, charger: ChargerIdentity, id: &MessageId, csr: String) -> Outcome {
    let answer = |status| frame::result(id, &SignCertificateAnswer { status });
    let checked = match certificates::check(&csr) {
        Ok(checked) => checked,
        Err(error) => {
            tracing::warn!(charger = &*charger.name, %error, "a request for a certificate is refused");
            return Outcome::Answer(answer(GenericStatus::Rejected));
        }
    };
    kept(&node, charger.station, Report::CertificateRequest { csr, at: At::now() }).await;
    let accepted = answer(GenericStatus::Accepted);
    let Some(authority) = node.config.authority.clone() else { return Outcome::Answer(accepted) };
    Outcome::Followed(
        accepted,
        Box::pin(async move {
            match authority.sign(&charger.name, &checked) {
                Ok(signed) => commands::request(&node, &charger, &signed).await,
                Err(error) => {
                    tracing::error!(charger = &*charger.name, %error, "a certificate cannot be signed");
                }
            }
        }),
    )
}

async fn transferred(node: &Node, station: Uuid, kind: TransferKind, status: &str, request: Option<i32>) {
    let transfer = Transfer { status: status.to_owned(), request_id: request.map(i64::from), at: At::now() };
    kept(node, station, Report::Transfer(kind, transfer)).await;
}

/// Waits until it is durable or kept; the charger is answered in any case.
async fn kept(node: &Node, station: Uuid, report: Report) {
    let _ = tokio::time::timeout(DURABLE_WITHIN, node.writer.write(station, report)).await;
}

fn nothing(id: &MessageId) -> Outcome {
    Outcome::Answer(frame::result(id, &Nothing {}))
}

fn plain(status: AuthorizationStatus) -> IdTagInfo {
    IdTagInfo { expiry_date: None, parent_id_tag: None, status }
}

fn stamp(at: At) -> Timestamp {
    Timestamp::from_millis(at.millis())
}
