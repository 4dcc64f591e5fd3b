//! The words of EVSEs and connectors: OCPI's, but for a connector's status, which is OCPP's as the charger sent it.

use crate::db::words;

words! {
    /// Who may charge at a station: `public` allows every active token of the platform, and the access list admits others;
    /// with `list` the access list alone decides
    pub enum Access {
        /// Every active token.
        Public = "public",
        /// The access list alone.
        List = "list",
    }
}

words! {
    /// The kind of plug or socket (OCPI `ConnectorType`)
    #[expect(missing_docs, reason = "the words are OCPI's")]
    pub enum Standard {
        Chademo = "CHADEMO",
        Chaoji = "CHAOJI",
        DomesticA = "DOMESTIC_A",
        DomesticB = "DOMESTIC_B",
        DomesticC = "DOMESTIC_C",
        DomesticD = "DOMESTIC_D",
        DomesticE = "DOMESTIC_E",
        DomesticF = "DOMESTIC_F",
        DomesticG = "DOMESTIC_G",
        DomesticH = "DOMESTIC_H",
        DomesticI = "DOMESTIC_I",
        DomesticJ = "DOMESTIC_J",
        DomesticK = "DOMESTIC_K",
        DomesticL = "DOMESTIC_L",
        DomesticM = "DOMESTIC_M",
        DomesticN = "DOMESTIC_N",
        DomesticO = "DOMESTIC_O",
        GbtAc = "GBT_AC",
        GbtDc = "GBT_DC",
        Iec60309Single16 = "IEC_60309_2_single_16",
        Iec60309Three16 = "IEC_60309_2_three_16",
        Iec60309Three32 = "IEC_60309_2_three_32",
        Iec60309Three64 = "IEC_60309_2_three_64",
        Type1 = "IEC_62196_T1",
        Type1Combo = "IEC_62196_T1_COMBO",
        Type2 = "IEC_62196_T2",
        Type2Combo = "IEC_62196_T2_COMBO",
        Type3A = "IEC_62196_T3A",
        Type3C = "IEC_62196_T3C",
        Mcs = "MCS",
        Nema520 = "NEMA_5_20",
        Nema630 = "NEMA_6_30",
        Nema650 = "NEMA_6_50",
        Nema1030 = "NEMA_10_30",
        Nema1050 = "NEMA_10_50",
        Nema1430 = "NEMA_14_30",
        Nema1450 = "NEMA_14_50",
        PantographBottomUp = "PANTOGRAPH_BOTTOM_UP",
        PantographTopDown = "PANTOGRAPH_TOP_DOWN",
        SaeJ3400 = "SAE_J3400",
        TeslaR = "TESLA_R",
        TeslaS = "TESLA_S",
    }
}

words! {
    /// Whether the station has a socket or a cable (OCPI `ConnectorFormat`)
    pub enum Format {
        /// The driver brings the cable.
        Socket = "SOCKET",
        /// The cable is fixed to the station.
        Cable = "CABLE",
    }
}

words! {
    /// The kind of current (OCPI `PowerType`)
    #[expect(missing_docs, reason = "the words are OCPI's")]
    pub enum PowerType {
        Ac1Phase = "AC_1_PHASE",
        Ac2Phase = "AC_2_PHASE",
        Ac2PhaseSplit = "AC_2_PHASE_SPLIT",
        Ac3Phase = "AC_3_PHASE",
        Dc = "DC",
    }
}

words! {
    /// The status of an EVSE (OCPI `Status`)
    pub enum EvseStatus {
        /// A vehicle can charge here now.
        Available = "AVAILABLE",
        /// Something blocks it.
        Blocked = "BLOCKED",
        /// In use.
        Charging = "CHARGING",
        /// Not in operation.
        Inoperative = "INOPERATIVE",
        /// Broken.
        OutOfOrder = "OUTOFORDER",
        /// To be built.
        Planned = "PLANNED",
        /// No longer there.
        Removed = "REMOVED",
        /// Reserved for a driver.
        Reserved = "RESERVED",
        /// Nothing is known, also while the station is offline.
        Unknown = "UNKNOWN",
    }
}

words! {
    /// The status of a connector, as the charger sent it last (OCPP 1.6 `ChargePointStatus`)
    #[expect(missing_docs, reason = "the words are OCPP's")]
    pub enum ConnectorStatus {
        Available = "Available",
        Preparing = "Preparing",
        Charging = "Charging",
        SuspendedEv = "SuspendedEV",
        SuspendedEvse = "SuspendedEVSE",
        Finishing = "Finishing",
        Reserved = "Reserved",
        Unavailable = "Unavailable",
        Faulted = "Faulted",
    }
}

impl ConnectorStatus {
    /// What the status of one connector says about its EVSE.
    fn of_evse(self) -> EvseStatus {
        match self {
            Self::Available => EvseStatus::Available,
            // A vehicle is plugged in, or has not left yet.
            Self::Preparing | Self::Charging | Self::SuspendedEv | Self::SuspendedEvse | Self::Finishing => {
                EvseStatus::Charging
            }
            Self::Reserved => EvseStatus::Reserved,
            Self::Unavailable => EvseStatus::Inoperative,
            Self::Faulted => EvseStatus::OutOfOrder,
        }
    }
}

impl EvseStatus {
    /// The status of an EVSE with these connectors: one that is in use or reserved takes the whole EVSE, and one that is
    /// available suffices.
    pub(super) fn of(connectors: impl IntoIterator<Item = Option<ConnectorStatus>>) -> Self {
        let order = [Self::Charging, Self::Reserved, Self::Available, Self::Inoperative, Self::OutOfOrder];
        let known: Vec<Self> = connectors.into_iter().flatten().map(ConnectorStatus::of_evse).collect();
        order.into_iter().find(|status| known.contains(status)).unwrap_or(Self::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_evse_is_taken_by_one_connector_and_free_with_one_that_is() {
        use ConnectorStatus::{Available, Charging, Faulted, Preparing};
        for (connectors, evse) in [
            (&[Some(Available), Some(Charging)][..], EvseStatus::Charging),
            (&[Some(Available), Some(Faulted)], EvseStatus::Available),
            (&[Some(Preparing), None], EvseStatus::Charging),
            (&[Some(Faulted)], EvseStatus::OutOfOrder),
            (&[None, None], EvseStatus::Unknown),
        ] {
            assert_eq!(EvseStatus::of(connectors.iter().copied()), evse);
        }
    }
}
