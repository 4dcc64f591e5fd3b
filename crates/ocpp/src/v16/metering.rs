//! Meter readings as integers: Wh, W, mA, mV and ‰. No floating point: a reading is a decimal text, and is scaled exactly.

use super::reader::Reader;
use super::words::{Context, Phase, meant};
use crate::Timestamp;
use crate::call::Refusal;

/// What a reading without a measurand is (OCPP 1.6, section 7.43).
pub const ENERGY: &str = "Energy.Active.Import.Register";
/// The largest value that is kept; a larger one is no reading.
const MAX_VALUE: i128 = 1 << 62;
/// Signed data may be long; everything else is short.
const MAX_VALUE_TEXT: usize = 1_000_000;

/// The readings of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterValue {
    /// When they were taken, by the charger's clock.
    pub at: Timestamp,
    /// The readings.
    pub readings: Vec<Reading>,
}

/// One reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What it is of; [`ENERGY`] where the charger does not say. An unknown one is kept as it was sent.
    pub measurand: String,
    /// The value.
    pub value: Value,
    /// Why the meter was read.
    pub context: Context,
    /// The phase; `None` for all of them.
    pub phase: Option<Phase>,
    /// Where it was taken; `Outlet` unless the charger says otherwise.
    pub location: String,
}

/// The value of a reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A number, rounded half away from zero, in its unit: `Wh`, `W`, `mA`, `mV`, `‰`, or one that is not scaled.
    Number {
        /// The number.
        value: i64,
        /// Its unit.
        unit: String,
    },
    /// Signed data, to the byte (the format `SignedData`).
    Signed(String),
    /// A text that is no number.
    Text(String),
}

pub(super) fn meter_values(reader: &mut Reader, name: &str) -> Result<Vec<MeterValue>, Refusal> {
    let items = reader.list(name)?.unwrap_or_default();
    let mut values = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let mut of_moment = reader.inner(item, &format!("{name}.{index}"))?;
        let at = of_moment.timestamp("timestamp")?;
        let at = of_moment.required("timestamp", at)?;
        let samples = of_moment.list("sampledValue")?;
        let mut readings = Vec::new();
        for (place, sample) in samples.unwrap_or_default().into_iter().enumerate() {
            let mut sampled = of_moment.inner(sample, &format!("sampledValue.{place}"))?;
            readings.push(reading(&mut sampled)?);
            of_moment.leniencies = sampled.finish();
        }
        reader.leniencies = of_moment.finish();
        values.push(MeterValue { at, readings });
    }
    Ok(values)
}

fn reading(reader: &mut Reader) -> Result<Reading, Refusal> {
    let text = reader.text("value", MAX_VALUE_TEXT)?;
    let text = reader.required("value", text)?;
    let measurand = reader.word("measurand", measurand)?.map_or(ENERGY.to_owned(), flat);
    let unit = reader.word("unit", unit)?;
    let context =
        reader.word("context", Context::read)?.and_then(Result::ok).unwrap_or(Context::SamplePeriodic);
    let phase = reader.word("phase", Phase::read)?.and_then(Result::ok);
    let location = reader.text("location", 20)?.unwrap_or_else(|| "Outlet".to_owned());
    let is_signed = reader.text("format", 20)?.is_some_and(|format| format == "SignedData");
    let value = match is_signed {
        true => Value::Signed(text),
        false => number(&text, unit, &measurand),
    };
    Ok(Reading { measurand, value, context, phase, location })
}

fn flat(word: Result<&'static str, String>) -> String {
    word.map_or_else(|text| text, ToOwned::to_owned)
}

fn number(text: &str, unit: Option<Result<Unit, String>>, measurand: &str) -> Value {
    let of_measurand = || match measurand {
        of if of.starts_with("Energy.") => Unit::SCALED[0],
        of if of.starts_with("Power.Factor") => Unit { name: "1", scale: 0, sent: "" },
        of if of.starts_with("Power.") => Unit::SCALED[2],
        of if of.starts_with("Current.") => Unit::SCALED[4],
        "Voltage" => Unit::SCALED[5],
        "SoC" => Unit::SCALED[6],
        _ => Unit { name: "Wh", scale: 0, sent: "" },
    };
    let (name, scale) = match unit {
        None => (of_measurand().name.to_owned(), of_measurand().scale),
        Some(Ok(unit)) => (unit.name.to_owned(), unit.scale),
        Some(Err(unknown)) => (unknown, 0),
    };
    match scaled(text.trim(), scale) {
        Some(value) => Value::Number { value, unit: name },
        None => Value::Text(text.to_owned()),
    }
}

/// A unit of the standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    /// The unit of the integer.
    name: &'static str,
    /// The power of ten between the two.
    scale: u32,
    /// The word on the wire.
    sent: &'static str,
}

impl Unit {
    const SCALED: [Self; 7] = [
        Self { name: "Wh", scale: 0, sent: "Wh" },
        Self { name: "Wh", scale: 3, sent: "kWh" },
        Self { name: "W", scale: 0, sent: "W" },
        Self { name: "W", scale: 3, sent: "kW" },
        Self { name: "mA", scale: 3, sent: "A" },
        Self { name: "mV", scale: 3, sent: "V" },
        Self { name: "‰", scale: 1, sent: "Percent" },
    ];
    const OTHERS: [Self; 10] = [
        Self { name: "varh", scale: 0, sent: "varh" },
        Self { name: "varh", scale: 3, sent: "kvarh" },
        Self { name: "VA", scale: 0, sent: "VA" },
        Self { name: "VA", scale: 3, sent: "kVA" },
        Self { name: "var", scale: 0, sent: "var" },
        Self { name: "var", scale: 3, sent: "kvar" },
        // The standard's own slip, and the word that is meant.
        Self { name: "Celsius", scale: 0, sent: "Celsius" },
        Self { name: "Celsius", scale: 0, sent: "Celcius" },
        Self { name: "Fahrenheit", scale: 0, sent: "Fahrenheit" },
        Self { name: "K", scale: 0, sent: "K" },
    ];
}

/// A unit, and whether it is written as the standard has it.
fn unit(text: &str) -> Option<(Unit, bool)> {
    meant(Unit::SCALED.into_iter().chain(Unit::OTHERS), |unit| unit.sent, text)
}

const MEASURANDS: [&str; 22] = [
    "Current.Export",
    "Current.Import",
    "Current.Offered",
    "Energy.Active.Export.Register",
    "Energy.Active.Import.Register",
    "Energy.Reactive.Export.Register",
    "Energy.Reactive.Import.Register",
    "Energy.Active.Export.Interval",
    "Energy.Active.Import.Interval",
    "Energy.Reactive.Export.Interval",
    "Energy.Reactive.Import.Interval",
    "Frequency",
    "Power.Active.Export",
    "Power.Active.Import",
    "Power.Factor",
    "Power.Offered",
    "Power.Reactive.Export",
    "Power.Reactive.Import",
    "RPM",
    "SoC",
    "Temperature",
    "Voltage",
];

/// A measurand, and whether it is written as the standard has it.
fn measurand(text: &str) -> Option<(&'static str, bool)> {
    meant(MEASURANDS, |word| word, text)
}

/// A decimal number times a power of ten, rounded half away from zero; `None` if it is no number, or too large.
fn scaled(text: &str, scale: u32) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once(['.', ',']).unwrap_or((digits, ""));
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty())
        || !is_number(whole)
        || !is_number(fraction)
        || whole.len() > 20
    {
        return None;
    }
    let scale = usize::try_from(scale).ok()?;
    // One digit more than is kept decides how to round.
    let kept: String = fraction.chars().chain(std::iter::repeat('0')).take(scale + 1).collect();
    let tenths: i128 = format!("{whole}{kept}").parse().ok()?;
    let value = (tenths + 5) / 10;
    let value = if negative { -value } else { value };
    (value.abs() <= MAX_VALUE).then(|| i64::try_from(value).ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimals_are_scaled_exactly() {
        for (text, scale, expected) in [
            ("12.5", 0, Some(13)),
            ("-12.5", 0, Some(-13)),
            ("12.4999", 0, Some(12)),
            ("1.2345", 3, Some(1235)),
            ("0.0004", 3, Some(0)),
            ("230", 3, Some(230_000)),
            (".5", 3, Some(500)),
            ("7.", 0, Some(7)),
            ("16,15", 3, Some(16_150)),
            ("+3", 0, Some(3)),
            ("NaN", 0, None),
            ("", 0, None),
            (".", 0, None),
            ("1e3", 0, None),
            ("--1", 0, None),
            ("99999999999999999999", 3, None),
        ] {
            assert_eq!(scaled(text, scale), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn thousandths_of_a_kilowatt_hour_are_watt_hours(wh in 0..9_000_000_000_000_i64) {
            let text = format!("{}.{:03}", wh / 1000, wh % 1000);
            prop_assert_eq!(scaled(&text, 3), Some(wh));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}", scale in 0..4_u32) {
            let _ = (scaled(&text, scale), unit(&text), measurand(&text));
        }
    }
}
