//! The answers to a charger's requests. Members stand in the order of the schemas; absent ones are left out.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Whether a charger is known (section 7.38).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum RegistrationStatus {
    /// It is.
    Accepted,
    /// An operator has still to decide.
    Pending,
    /// It is not wanted.
    Rejected,
}

/// Whether a driver may charge (section 7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum AuthorizationStatus {
    /// Yes.
    Accepted,
    /// The tag is blocked.
    Blocked,
    /// The tag has expired.
    Expired,
    /// The tag is unknown, or is not allowed here.
    Invalid,
    /// The tag is in use elsewhere.
    ConcurrentTx,
}

impl AuthorizationStatus {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Blocked => "Blocked",
            Self::Expired => "Expired",
            Self::Invalid => "Invalid",
            Self::ConcurrentTx => "ConcurrentTx",
        }
    }
}

/// What became of a vendor's data (section 7.22).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DataTransferStatus {
    /// It was taken.
    Accepted,
    /// It was not.
    Rejected,
    /// The message is unknown.
    UnknownMessageId,
    /// The vendor is unknown.
    UnknownVendorId,
}

/// The answer to BootNotification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BootAnswer {
    /// Whether the charger is known.
    pub status: RegistrationStatus,
    /// The present moment.
    pub current_time: Timestamp,
    /// Seconds between heartbeats; those until the next try if it is not accepted.
    pub interval: i32,
}

/// The answer to Heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatAnswer {
    /// The present moment.
    pub current_time: Timestamp,
}

/// Whether a tag may charge, and for how long that may be remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IdTagInfo {
    /// Until when it may be remembered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiry_date: Option<Timestamp>,
    /// The group of the tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id_tag: Option<String>,
    /// Whether it may charge.
    pub status: AuthorizationStatus,
}

/// The answer to Authorize.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizeAnswer {
    /// Whether the tag may charge.
    pub id_tag_info: IdTagInfo,
}

/// The answer to StartTransaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StartAnswer {
    /// Whether the tag may charge.
    pub id_tag_info: IdTagInfo,
    /// The id of the transaction, always.
    pub transaction_id: i32,
}

/// The answer to StopTransaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StopAnswer {
    /// Whether the tag may charge, if one was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_tag_info: Option<IdTagInfo>,
}

/// The answer to DataTransfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DataTransferAnswer {
    /// What became of it.
    pub status: DataTransferStatus,
    /// Data for the charger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

/// The answer to SignCertificate (security paper, section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SignCertificateAnswer {
    /// Whether the certificate will come.
    pub status: GenericStatus,
}

/// Whether something is taken (security paper, section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum GenericStatus {
    /// It is.
    Accepted,
    /// It is not.
    Rejected,
}

/// The answer to everything that needs none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Nothing {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MessageId;
    use crate::frame::result;

    #[test]
    fn answers_stand_in_the_order_of_the_schemas_without_nulls() {
        let id = MessageId::new("a").unwrap();
        let current_time = Timestamp::from_millis(1_798_761_600_000);
        let boot = BootAnswer { status: RegistrationStatus::Accepted, current_time, interval: 300 };
        let text = r#"[3,"a",{"status":"Accepted","currentTime":"2027-01-01T00:00:00.000Z","interval":300}]"#;
        assert_eq!(result(&id, &boot), text);
        let info = IdTagInfo { expiry_date: None, parent_id_tag: None, status: AuthorizationStatus::Invalid };
        let start = StartAnswer { id_tag_info: info, transaction_id: 7 };
        assert_eq!(result(&id, &start), r#"[3,"a",{"idTagInfo":{"status":"Invalid"},"transactionId":7}]"#);
        assert_eq!(result(&id, &StopAnswer { id_tag_info: None }), r#"[3,"a",{}]"#);
        assert_eq!(result(&id, &Nothing {}), r#"[3,"a",{}]"#);
    }
}
