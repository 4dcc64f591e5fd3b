//! The cities of the network, with coordinates of their centres.

use super::countries::{COUNTRIES, Country};

/// A city.
#[derive(Debug)]
pub(super) struct City {
    /// The country's alpha-2 code.
    country: &'static str,
    /// Three letters for the names of chargers, unique within the country.
    pub(super) code: &'static str,
    pub(super) name: &'static str,
    /// The centre, in millionths of a degree.
    pub(super) latitude: i64,
    pub(super) longitude: i64,
    /// Inhabitants, in tens of thousands.
    pub(super) weight: u64,
    /// A postal code: `#` is any digit, `?` any letter.
    pub(super) postal_code: &'static str,
}

impl City {
    pub(super) fn country(&self) -> &'static Country {
        let found = COUNTRIES.iter().find(|country| country.short == self.country);
        found.unwrap_or(&COUNTRIES[0])
    }
}

macro_rules! cities {
    ($($country:ident $code:ident $name:literal $latitude:literal $longitude:literal $weight:literal $postal:literal;)*) => {
        /// All cities of the network.
        pub(super) const CITIES: &[City] = &[$(City {
            country: stringify!($country), code: stringify!($code), name: $name, latitude: $latitude,
            longitude: $longitude, weight: $weight, postal_code: $postal,
        },)*];
    };
}

cities! {
    DE BER "Berlin" 52_520_008 13_404_954 366 "10###";
    DE HAM "Hamburg" 53_551_086 9_993_682 185 "20###";
    DE MUC "München" 48_137_154 11_576_124 149 "80###";
    DE CGN "Köln" 50_937_531 6_960_279 107 "50###";
    DE FRA "Frankfurt am Main" 50_110_922 8_682_127 76 "60###";
    DE STR "Stuttgart" 48_775_846 9_182_932 63 "70###";
    DE LEJ "Leipzig" 51_339_695 12_373_075 61 "04###";
    DE HAJ "Hannover" 52_375_892 9_732_010 54 "30###";
    DE NUE "Nürnberg" 49_452_103 11_076_665 52 "90###";
    DE DRS "Dresden" 51_050_409 13_737_262 56 "01###";
    FR PAR "Paris" 48_856_613 2_352_222 215 "750##";
    FR MRS "Marseille" 43_296_482 5_369_780 87 "130##";
    FR LYS "Lyon" 45_764_043 4_835_659 52 "690##";
    FR TLS "Toulouse" 43_604_652 1_444_209 50 "310##";
    FR NCE "Nice" 43_710_173 7_261_953 35 "060##";
    FR NTE "Nantes" 47_218_371 -1_553_621 32 "440##";
    FR SXB "Strasbourg" 48_573_405 7_752_111 29 "670##";
    FR BOD "Bordeaux" 44_837_789 -579_180 26 "330##";
    GB LON "London" 51_507_351 -127_758 890 "SE# #??";
    GB BHX "Birmingham" 52_486_243 -1_890_401 114 "B## #??";
    GB MAN "Manchester" 53_480_759 -2_242_631 55 "M## #??";
    GB LBA "Leeds" 53_800_755 -1_549_077 52 "LS# #??";
    GB GLA "Glasgow" 55_864_237 -4_251_806 63 "G## #??";
    GB EDI "Edinburgh" 55_953_252 -3_188_267 52 "EH# #??";
    GB BRS "Bristol" 51_454_513 -2_587_910 47 "BS# #??";
    ES MAD "Madrid" 40_416_775 -3_703_790 330 "280##";
    ES BCN "Barcelona" 41_385_064 2_173_404 164 "080##";
    ES VLC "Valencia" 39_469_907 -376_288 79 "460##";
    ES SVQ "Sevilla" 37_389_092 -5_984_459 68 "410##";
    ES ZAZ "Zaragoza" 41_648_823 -889_085 67 "500##";
    IT ROM "Roma" 41_902_784 12_496_366 275 "001##";
    IT MIL "Milano" 45_464_204 9_189_982 137 "201##";
    IT NAP "Napoli" 40_851_775 14_268_124 91 "801##";
    IT TRN "Torino" 45_070_339 7_686_864 84 "101##";
    IT BLQ "Bologna" 44_494_887 11_342_616 39 "401##";
    NL AMS "Amsterdam" 52_367_573 4_904_139 92 "10## ??";
    NL RTM "Rotterdam" 51_924_420 4_477_733 65 "30## ??";
    NL UTC "Utrecht" 52_090_737 5_121_420 36 "35## ??";
    NL EIN "Eindhoven" 51_441_642 5_469_722 24 "56## ??";
    BE BRU "Bruxelles" 50_850_346 4_351_721 122 "10##";
    BE ANR "Antwerpen" 51_219_448 4_402_464 53 "20##";
    BE GNE "Gent" 51_054_342 3_717_424 26 "90##";
    AT VIE "Wien" 48_208_174 16_373_819 198 "1###";
    AT GRZ "Graz" 47_070_714 15_439_504 30 "80##";
    AT LNZ "Linz" 48_306_940 14_285_830 21 "40##";
    AT SZG "Salzburg" 47_809_490 13_055_010 16 "50##";
    CH ZRH "Zürich" 47_376_887 8_541_694 44 "80##";
    CH GVA "Genève" 46_204_391 6_143_158 20 "12##";
    CH BRN "Bern" 46_947_974 7_447_447 13 "30##";
    PL WAW "Warszawa" 52_229_676 21_012_229 186 "0#-###";
    PL KRK "Kraków" 50_064_650 19_944_980 80 "3#-###";
    PL WRO "Wrocław" 51_107_885 17_038_538 67 "5#-###";
    PL GDN "Gdańsk" 54_352_025 18_646_638 49 "8#-###";
    CZ PRG "Praha" 50_075_538 14_437_800 138 "1## 00";
    CZ BRQ "Brno" 49_195_060 16_606_837 40 "6## 00";
    DK CPH "København" 55_676_097 12_568_337 65 "2###";
    DK AAR "Aarhus" 56_162_939 10_203_921 36 "8###";
    SE STO "Stockholm" 59_329_323 18_068_581 98 "11# ##";
    SE GOT "Göteborg" 57_708_870 11_974_560 60 "41# ##";
    SE MMA "Malmö" 55_604_981 13_003_822 36 "21# ##";
    NO OSL "Oslo" 59_913_869 10_752_245 71 "0###";
    NO BGO "Bergen" 60_391_263 5_322_054 29 "50##";
    NO TRD "Trondheim" 63_430_515 10_395_053 21 "70##";
    FI HEL "Helsinki" 60_169_856 24_938_379 66 "00###";
    FI TMP "Tampere" 61_497_752 23_760_954 25 "33###";
    PT LIS "Lisboa" 38_722_252 -9_139_337 55 "1###-###";
    PT OPO "Porto" 41_157_944 -8_629_105 24 "4###-###";
    IE DUB "Dublin" 53_349_805 -6_260_310 59 "D0# ????";
    IE ORK "Cork" 51_896_892 -8_486_316 22 "T12 ????";
    HU BUD "Budapest" 47_497_912 19_040_235 168 "1###";
    HU DEB "Debrecen" 47_531_605 21_627_312 20 "40##";
    GR ATH "Αθήνα" 37_983_810 23_727_539 64 "10# ##";
    GR SKG "Θεσσαλονίκη" 40_640_063 22_944_419 32 "54# ##";
    RO BUH "București" 44_426_767 26_102_538 172 "01####";
    RO CLJ "Cluj-Napoca" 46_771_210 23_623_635 29 "40####";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use charging::stations::TimeZone;

    use super::*;

    #[test]
    fn each_city_has_its_country_and_a_code_of_its_own() {
        let codes: BTreeSet<_> = CITIES.iter().map(|city| (city.country, city.code)).collect();
        assert_eq!(codes.len(), CITIES.len());
        for city in CITIES {
            assert_eq!(city.country().short, city.country);
            assert!(city.code.len() == 3 && city.weight > 0, "{city:?}");
        }
    }

    #[test]
    fn each_country_has_cities_streets_and_a_known_time_zone() {
        for country in COUNTRIES {
            assert!(CITIES.iter().any(|city| city.country == country.short), "{country:?}");
            assert!(country.streets.len() >= 10, "{country:?}");
            assert_eq!(country.time_zone.parse::<TimeZone>().unwrap().as_str(), country.time_zone);
        }
    }
}
