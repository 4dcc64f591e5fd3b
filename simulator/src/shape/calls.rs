//! What a central system may send: the schemas of OCPP 1.6 and of the security paper.

use super::{Kind::*, Member, optional, required};

/// The members of each payload, by action.
pub(super) const CALLS: &[(&str, &[Member])] = &[
    ("CancelReservation", &[required("reservationId", Integer)]),
    ("CertificateSigned", &[required("certificateChain", Text(10000))]),
    (
        "ChangeAvailability",
        &[required("connectorId", Integer), required("type", OneOf(&["Inoperative", "Operative"]))],
    ),
    ("ChangeConfiguration", &[required("key", Text(50)), required("value", Text(500))]),
    ("ClearCache", &[]),
    (
        "ClearChargingProfile",
        &[
            optional("id", Integer),
            optional("connectorId", Integer),
            optional(
                "chargingProfilePurpose",
                OneOf(&["ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"]),
            ),
            optional("stackLevel", Integer),
        ],
    ),
    (
        "DataTransfer",
        &[
            required("vendorId", Text(255)),
            optional("messageId", Text(50)),
            optional("data", Text(usize::MAX)),
        ],
    ),
    ("DeleteCertificate", &[required("certificateHashData", Object(CERTIFICATE_HASH_DATA))]),
    (
        "ExtendedTriggerMessage",
        &[
            required(
                "requestedMessage",
                OneOf(&[
                    "BootNotification",
                    "LogStatusNotification",
                    "FirmwareStatusNotification",
                    "Heartbeat",
                    "MeterValues",
                    "SignChargePointCertificate",
                    "StatusNotification",
                ]),
            ),
            optional("connectorId", Integer),
        ],
    ),
    (
        "GetCompositeSchedule",
        &[
            required("connectorId", Integer),
            required("duration", Integer),
            optional("chargingRateUnit", OneOf(&["A", "W"])),
        ],
    ),
    ("GetConfiguration", &[optional("key", List(&Text(50)))]),
    (
        "GetDiagnostics",
        &[
            required("location", Text(usize::MAX)),
            optional("retries", Integer),
            optional("retryInterval", Integer),
            optional("startTime", Date),
            optional("stopTime", Date),
        ],
    ),
    (
        "GetInstalledCertificateIds",
        &[required(
            "certificateType",
            OneOf(&["CentralSystemRootCertificate", "ManufacturerRootCertificate"]),
        )],
    ),
    ("GetLocalListVersion", &[]),
    (
        "GetLog",
        &[
            required("log", Object(LOG)),
            required("logType", OneOf(&["DiagnosticsLog", "SecurityLog"])),
            required("requestId", Integer),
            optional("retries", Integer),
            optional("retryInterval", Integer),
        ],
    ),
    (
        "InstallCertificate",
        &[
            required(
                "certificateType",
                OneOf(&["CentralSystemRootCertificate", "ManufacturerRootCertificate"]),
            ),
            required("certificate", Text(5500)),
        ],
    ),
    (
        "RemoteStartTransaction",
        &[
            optional("connectorId", Integer),
            required("idTag", Text(20)),
            optional("chargingProfile", Object(CHARGING_PROFILE)),
        ],
    ),
    ("RemoteStopTransaction", &[required("transactionId", Integer)]),
    (
        "ReserveNow",
        &[
            required("connectorId", Integer),
            required("expiryDate", Date),
            required("idTag", Text(20)),
            optional("parentIdTag", Text(20)),
            required("reservationId", Integer),
        ],
    ),
    ("Reset", &[required("type", OneOf(&["Hard", "Soft"]))]),
    (
        "SendLocalList",
        &[
            required("listVersion", Integer),
            optional("localAuthorizationList", List(&Object(LOCAL_AUTHORIZATION_LIST))),
            required("updateType", OneOf(&["Differential", "Full"])),
        ],
    ),
    (
        "SetChargingProfile",
        &[required("connectorId", Integer), required("csChargingProfiles", Object(CS_CHARGING_PROFILES))],
    ),
    (
        "SignedUpdateFirmware",
        &[
            optional("retries", Integer),
            optional("retryInterval", Integer),
            required("requestId", Integer),
            required("firmware", Object(FIRMWARE)),
        ],
    ),
    (
        "TriggerMessage",
        &[
            required(
                "requestedMessage",
                OneOf(&[
                    "BootNotification",
                    "DiagnosticsStatusNotification",
                    "FirmwareStatusNotification",
                    "Heartbeat",
                    "MeterValues",
                    "StatusNotification",
                ]),
            ),
            optional("connectorId", Integer),
        ],
    ),
    ("UnlockConnector", &[required("connectorId", Integer)]),
    (
        "UpdateFirmware",
        &[
            required("location", Text(usize::MAX)),
            optional("retries", Integer),
            required("retrieveDate", Date),
            optional("retryInterval", Integer),
        ],
    ),
];

const CERTIFICATE_HASH_DATA: &[Member] = &[
    required("hashAlgorithm", OneOf(&["SHA256", "SHA384", "SHA512"])),
    required("issuerNameHash", Text(128)),
    required("issuerKeyHash", Text(128)),
    required("serialNumber", Text(40)),
];

const LOG: &[Member] = &[
    required("remoteLocation", Text(512)),
    optional("oldestTimestamp", Date),
    optional("latestTimestamp", Date),
];

const CHARGING_SCHEDULE_PERIOD: &[Member] =
    &[required("startPeriod", Integer), required("limit", Number), optional("numberPhases", Integer)];

const CHARGING_SCHEDULE: &[Member] = &[
    optional("duration", Integer),
    optional("startSchedule", Date),
    required("chargingRateUnit", OneOf(&["A", "W"])),
    required("chargingSchedulePeriod", List(&Object(CHARGING_SCHEDULE_PERIOD))),
    optional("minChargingRate", Number),
];

const CHARGING_PROFILE: &[Member] = &[
    required("chargingProfileId", Integer),
    optional("transactionId", Integer),
    required("stackLevel", Integer),
    required("chargingProfilePurpose", OneOf(&["ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"])),
    required("chargingProfileKind", OneOf(&["Absolute", "Recurring", "Relative"])),
    optional("recurrencyKind", OneOf(&["Daily", "Weekly"])),
    optional("validFrom", Date),
    optional("validTo", Date),
    required("chargingSchedule", Object(CHARGING_SCHEDULE)),
];

const ID_TAG_INFO: &[Member] = &[
    optional("expiryDate", Date),
    optional("parentIdTag", Text(20)),
    required("status", OneOf(&["Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"])),
];

const LOCAL_AUTHORIZATION_LIST: &[Member] =
    &[required("idTag", Text(20)), optional("idTagInfo", Object(ID_TAG_INFO))];

const CS_CHARGING_PROFILES: &[Member] = &[
    required("chargingProfileId", Integer),
    optional("transactionId", Integer),
    required("stackLevel", Integer),
    required("chargingProfilePurpose", OneOf(&["ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"])),
    required("chargingProfileKind", OneOf(&["Absolute", "Recurring", "Relative"])),
    optional("recurrencyKind", OneOf(&["Daily", "Weekly"])),
    optional("validFrom", Date),
    optional("validTo", Date),
    required("chargingSchedule", Object(CHARGING_SCHEDULE)),
];

const FIRMWARE: &[Member] = &[
    required("location", Text(512)),
    required("retrieveDateTime", Date),
    optional("installDateTime", Date),
    required("signingCertificate", Text(5500)),
    required("signature", Text(800)),
];
