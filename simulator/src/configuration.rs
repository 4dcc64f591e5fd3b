//! The configuration keys of a charger.

use std::time::Duration;

/// What a change of a key led to: the word of ChangeConfiguration's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// In force.
    Accepted,
    /// The value is not possible, or the key is read-only.
    Rejected,
    /// In force after the next boot.
    RebootRequired,
    /// There is no such key.
    NotSupported,
}

impl Change {
    /// The word of OCPP.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Rejected => "Rejected",
            Self::RebootRequired => "RebootRequired",
            Self::NotSupported => "NotSupported",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Flag,
    Text,
    /// Can be written, never read.
    Secret,
    /// A number that counts after the next boot.
    AfterBoot,
    ReadOnly,
}

const KEYS: &[(&str, Kind, &str)] = &[
    ("AllowOfflineTxForUnknownId", Kind::Flag, "false"),
    ("AuthorizationCacheEnabled", Kind::Flag, "true"),
    ("AuthorizationKey", Kind::Secret, ""),
    ("AuthorizeRemoteTxRequests", Kind::Flag, "false"),
    ("ChargeProfileMaxStackLevel", Kind::ReadOnly, "10"),
    ("ChargingScheduleAllowedChargingRateUnit", Kind::ReadOnly, "Current,Power"),
    ("ChargingScheduleMaxPeriods", Kind::ReadOnly, "24"),
    ("ClockAlignedDataInterval", Kind::Number, "0"),
    ("ConnectionTimeOut", Kind::Number, "60"),
    ("ConnectorPhaseRotation", Kind::Text, "0.RST,1.RST"),
    ("CpoName", Kind::Text, "Voltgate"),
    ("GetConfigurationMaxKeys", Kind::ReadOnly, "50"),
    ("HeartbeatInterval", Kind::Number, "300"),
    ("LocalAuthListEnabled", Kind::Flag, "true"),
    ("LocalAuthListMaxLength", Kind::ReadOnly, "1000"),
    ("LocalAuthorizeOffline", Kind::Flag, "true"),
    ("LocalPreAuthorize", Kind::Flag, "false"),
    ("MaxChargingProfilesInstalled", Kind::ReadOnly, "20"),
    ("MeterValueSampleInterval", Kind::Number, "60"),
    ("MeterValuesAlignedData", Kind::Text, "Energy.Active.Import.Register"),
    ("MeterValuesSampledData", Kind::Text, "Energy.Active.Import.Register,Power.Active.Import"),
    ("NumberOfConnectors", Kind::ReadOnly, "1"),
    ("ReserveConnectorZeroSupported", Kind::ReadOnly, "true"),
    ("ResetRetries", Kind::Number, "1"),
    ("SecurityProfile", Kind::AfterBoot, "0"),
    ("SendLocalListMaxLength", Kind::ReadOnly, "100"),
    ("StopTransactionOnEVSideDisconnect", Kind::Flag, "true"),
    ("StopTransactionOnInvalidId", Kind::Flag, "true"),
    ("StopTxnAlignedData", Kind::Text, ""),
    ("StopTxnSampledData", Kind::Text, ""),
    (
        "SupportedFeatureProfiles",
        Kind::ReadOnly,
        "Core,FirmwareManagement,LocalAuthListManagement,Reservation,SmartCharging,RemoteTrigger",
    ),
    ("TransactionMessageAttempts", Kind::Number, "3"),
    ("TransactionMessageRetryInterval", Kind::Number, "10"),
    ("UnlockConnectorOnEVSideDisconnect", Kind::Flag, "true"),
    ("WebSocketPingInterval", Kind::Number, "0"),
];

/// A key, whether it is read-only, and its value; a secret has none.
pub type Row<'a> = (&'static str, bool, Option<&'a str>);

/// The keys with their values.
#[derive(Debug, Clone)]
pub struct Configuration {
    values: Vec<(&'static str, Kind, String)>,
}

impl Configuration {
    /// The values of a charger that was never configured.
    #[must_use]
    pub fn new(connectors: u32) -> Self {
        let values = KEYS.iter().map(|(key, kind, value)| (*key, *kind, (*value).to_owned()));
        let mut configuration = Self { values: values.collect() };
        configuration.set("NumberOfConnectors", &connectors.to_string());
        configuration
    }

    /// Changes a key as ChangeConfiguration does. Keys are compared without case.
    pub fn change(&mut self, key: &str, value: &str) -> Change {
        let found = self.values.iter_mut().find(|(known, ..)| known.eq_ignore_ascii_case(key));
        let Some((_, kind, current)) = found else { return Change::NotSupported };
        let possible = match kind {
            Kind::Number | Kind::AfterBoot => value.parse::<u32>().is_ok(),
            Kind::Flag => matches!(value.to_ascii_lowercase().as_str(), "true" | "false"),
            Kind::Secret => (1..=40).contains(&value.chars().count()),
            Kind::Text => true,
            Kind::ReadOnly => false,
        };
        if !possible {
            return Change::Rejected;
        }
        value.clone_into(current);
        if *kind == Kind::AfterBoot { Change::RebootRequired } else { Change::Accepted }
    }

    /// Sets a key by the charger itself, read-only ones too.
    pub fn set(&mut self, key: &str, value: &str) {
        if let Some((.., current)) = self.values.iter_mut().find(|(known, ..)| *known == key) {
            value.clone_into(current);
        }
    }

    /// The text of a key; empty if there is none.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.values.iter().find(|(known, ..)| *known == key).map_or("", |(.., value)| value)
    }

    /// Whether a key is `true`.
    #[must_use]
    pub fn flag(&self, key: &str) -> bool {
        self.text(key).eq_ignore_ascii_case("true")
    }

    /// The number of a key; 0 if it has none.
    #[must_use]
    pub fn number(&self, key: &str) -> u32 {
        self.text(key).parse().unwrap_or(0)
    }

    /// The seconds of a key; `None` for 0, which turns off what they pace.
    #[must_use]
    pub fn seconds(&self, key: &str) -> Option<Duration> {
        Some(self.number(key))
            .filter(|seconds| *seconds > 0)
            .map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// All rows for an empty list, else those asked for; then the keys that there are none of.
    #[must_use]
    pub fn rows<'a>(&self, keys: &[&'a str]) -> (Vec<Row<'_>>, Vec<&'a str>) {
        let is = |known: &str, key: &&str| known.eq_ignore_ascii_case(key);
        let shown =
            self.values.iter().filter(|(known, ..)| keys.is_empty() || keys.iter().any(|key| is(known, key)));
        let rows = shown.map(|(key, kind, value)| {
            (*key, *kind == Kind::ReadOnly, (*kind != Kind::Secret).then_some(value.as_str()))
        });
        let unknown = keys.iter().filter(|key| self.values.iter().all(|(known, ..)| !is(known, key)));
        (rows.collect(), unknown.copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_answered_as_the_key_allows() {
        let mut configuration = Configuration::new(2);
        for (key, value, change) in [
            ("HeartbeatInterval", "60", Change::Accepted),
            ("heartbeatinterval", "61", Change::Accepted),
            ("HeartbeatInterval", "soon", Change::Rejected),
            ("NumberOfConnectors", "9", Change::Rejected),
            ("SecurityProfile", "2", Change::RebootRequired),
            ("Colour", "blue", Change::NotSupported),
        ] {
            assert_eq!(configuration.change(key, value), change, "{key}={value}");
        }
        assert_eq!(configuration.seconds("HeartbeatInterval"), Some(Duration::from_secs(61)));
        assert_eq!(configuration.number("NumberOfConnectors"), 2);
    }

    #[test]
    fn the_authorization_key_can_be_written_and_not_read() {
        let mut configuration = Configuration::new(1);
        assert_eq!(configuration.change("AuthorizationKey", "0123456789abcdef"), Change::Accepted);
        let (rows, unknown) = configuration.rows(&["AuthorizationKey", "Colour"]);
        assert_eq!((rows, unknown), (vec![("AuthorizationKey", false, None)], vec!["Colour"]));
    }
}
