//! How a central system answers the CALLs of a charger: the schemas of OCPP 1.6 and of the security paper.

use super::{Kind::*, Member, optional, required};

/// The members of each payload, by action.
pub(super) const ANSWERS: &[(&str, &[Member])] = &[
    ("Authorize", &[required("idTagInfo", Object(ID_TAG_INFO))]),
    (
        "BootNotification",
        &[
            required("status", OneOf(&["Accepted", "Pending", "Rejected"])),
            required("currentTime", Date),
            required("interval", Integer),
        ],
    ),
    (
        "DataTransfer",
        &[
            required("status", OneOf(&["Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"])),
            optional("data", Text(usize::MAX)),
        ],
    ),
    ("Heartbeat", &[required("currentTime", Date)]),
    ("StartTransaction", &[required("idTagInfo", Object(ID_TAG_INFO)), required("transactionId", Integer)]),
    ("StopTransaction", &[optional("idTagInfo", Object(ID_TAG_INFO))]),
    ("MeterValues", &[]),
    ("StatusNotification", &[]),
    ("DiagnosticsStatusNotification", &[]),
    ("FirmwareStatusNotification", &[]),
    ("LogStatusNotification", &[]),
    ("SignedFirmwareStatusNotification", &[]),
    ("SecurityEventNotification", &[]),
    ("SignCertificate", &[required("status", OneOf(&["Accepted", "Rejected"]))]),
];

const ID_TAG_INFO: &[Member] = &[
    optional("expiryDate", Date),
    optional("parentIdTag", Text(20)),
    required("status", OneOf(&["Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"])),
];
