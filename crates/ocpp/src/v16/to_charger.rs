//! What chargers are requested. Members stand in the order of the schemas; absent ones are left out. What a schema does not
//! allow cannot be written.

use serde::{Deserialize, Serialize};

use super::id_tag::IdTag;

/// The longest certificate chain (security paper, section 5.2).
const MAX_CHAIN: usize = 10_000;

/// A request to a charger.
pub trait ToCharger: Serialize {
    /// The name of the request on the wire.
    const ACTION: &'static str;
}

/// A connector of a charger, from 1. 0 would be the charger itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ConnectorId(i32);

/// Starts a transaction (section 6.33).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoteStartTransaction {
    /// Where; the charger chooses if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector_id: Option<ConnectorId>,
    /// For whom.
    #[serde(serialize_with = "exposed")]
    pub id_tag: IdTag,
}

/// Stops a transaction (section 6.35).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoteStopTransaction {
    /// Which.
    pub transaction_id: i32,
}

/// Has a charger send a message (section 6.51).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerMessage {
    /// Which message.
    pub requested_message: MessageTrigger,
    /// About which connector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector_id: Option<ConnectorId>,
}

/// Answers SignCertificate with a signed certificate (security paper, section 5.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateSigned {
    /// The certificate, and those up to the root, as PEM.
    certificate_chain: String,
}

/// A message that a charger can be asked for (section 7.32).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the words are those of OCPP 1.6")]
pub enum MessageTrigger {
    BootNotification,
    DiagnosticsStatusNotification,
    FirmwareStatusNotification,
    Heartbeat,
    MeterValues,
    StatusNotification,
}

impl ConnectorId {
    /// The connector with this number; `None` for 0 and what is negative.
    pub fn new(number: i32) -> Option<Self> {
        (number > 0).then_some(Self(number))
    }
}

impl CertificateSigned {
    /// A chain as PEM; `None` if it is empty, or longer than 10,000 characters.
    pub fn new(chain: &str) -> Option<Self> {
        (1..=MAX_CHAIN).contains(&chain.chars().count()).then(|| Self { certificate_chain: chain.to_owned() })
    }
}

macro_rules! actions {
    ($($name:ident,)*) => {
        $(impl ToCharger for $name {
            const ACTION: &'static str = stringify!($name);
        })*
    };
}

actions! {
    RemoteStartTransaction,
    RemoteStopTransaction,
    TriggerMessage,
    CertificateSigned,
}

fn exposed<S: serde::Serializer>(tag: &IdTag, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(tag.expose())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MessageId;
    use crate::frame::call;
    use crate::v16::OURS;

    fn text<T: ToCharger>(request: &T) -> String {
        assert!(OURS.contains(&T::ACTION));
        call(&MessageId::new("a").unwrap(), T::ACTION, request)
    }

    #[test]
    fn requests_stand_in_the_order_of_the_schemas_without_nulls() {
        let id_tag = IdTag::new("04A2b3").unwrap();
        let start = RemoteStartTransaction { connector_id: ConnectorId::new(2), id_tag: id_tag.clone() };
        assert_eq!(text(&start), r#"[2,"a","RemoteStartTransaction",{"connectorId":2,"idTag":"04A2b3"}]"#);
        let start = RemoteStartTransaction { connector_id: None, id_tag };
        assert_eq!(text(&start), r#"[2,"a","RemoteStartTransaction",{"idTag":"04A2b3"}]"#);
        let stop = RemoteStopTransaction { transaction_id: 7 };
        assert_eq!(text(&stop), r#"[2,"a","RemoteStopTransaction",{"transactionId":7}]"#);
        let trigger = TriggerMessage {
            requested_message: MessageTrigger::StatusNotification,
            connector_id: ConnectorId::new(1),
        };
        let expected =
            r#"[2,"a","TriggerMessage",{"requestedMessage":"StatusNotification","connectorId":1}]"#;
        assert_eq!(text(&trigger), expected);
        let signed = CertificateSigned::new("-----BEGIN").unwrap();
        assert_eq!(text(&signed), r#"[2,"a","CertificateSigned",{"certificateChain":"-----BEGIN"}]"#);
    }

    #[test]
    fn what_a_schema_does_not_allow_cannot_be_written() {
        assert!(ConnectorId::new(0).is_none() && ConnectorId::new(-1).is_none());
        assert!(
            CertificateSigned::new("").is_none() && CertificateSigned::new(&"a".repeat(10_001)).is_none()
        );
        assert!(CertificateSigned::new(&"a".repeat(10_000)).is_some());
    }
}
