//! Reads the members of a payload: strict in kind, lenient in detail. A member that cannot be understood is a refusal; one that
//! is merely not as the standard has it is noted.

use serde_json::{Map, Value};

use super::IdTag;
use crate::call::Refusal;
use crate::{ErrorCode, Leniencies, Leniency, Timestamp};

/// What is kept of a text that is too long.
const MAX_TEXT: usize = 255;
const MAX_CONNECTOR: i64 = 256;

/// The members that are still to be read.
pub(super) struct Reader {
    members: Map<String, Value>,
    path: String,
    clock_offset_minutes: i64,
    pub(super) leniencies: Leniencies,
}

impl Reader {
    pub(super) fn new(members: Map<String, Value>, clock_offset_minutes: i64) -> Self {
        Self { members, path: String::new(), clock_offset_minutes, leniencies: Leniencies::default() }
    }

    /// A reader of an object in a list, whose leniencies count for the whole.
    pub(super) fn inner(&self, value: Value, place: &str) -> Result<Self, Refusal> {
        let path = format!("{}{place}.", self.path);
        match value {
            Value::Object(members) => Ok(Self {
                members,
                path,
                clock_offset_minutes: self.clock_offset_minutes,
                leniencies: self.leniencies,
            }),
            _ => Err(Refusal::new(
                ErrorCode::TypeConstraintViolation,
                format!("{}{place} is not an object", self.path),
            )),
        }
    }

    /// The leniencies, with those for members that 1.6 does not have.
    pub(super) fn finish(mut self) -> Leniencies {
        if !self.members.is_empty() {
            self.leniencies.add(Leniency::UnknownMember);
        }
        self.leniencies
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        match self.members.remove(name)? {
            Value::Null => {
                self.leniencies.add(Leniency::Null);
                None
            }
            value => Some(value),
        }
    }

    fn wrong_type(&self, name: &str, expected: &str) -> Refusal {
        Refusal::new(ErrorCode::TypeConstraintViolation, format!("{}{name} is not {expected}", self.path))
    }

    fn out_of_bounds(&self, name: &str, detail: &str) -> Refusal {
        Refusal::new(ErrorCode::PropertyConstraintViolation, format!("{}{name}: {detail}", self.path))
    }

    /// A required member.
    pub(super) fn required<T>(&self, name: &str, value: Option<T>) -> Result<T, Refusal> {
        value.ok_or_else(|| {
            Refusal::new(ErrorCode::OccurenceConstraintViolation, format!("{}{name} is missing", self.path))
        })
    }

    /// A text of at most this length by the standard; a longer one is kept, up to 255 characters.
    pub(super) fn text(&mut self, name: &str, max: usize) -> Result<Option<String>, Refusal> {
        let text = match self.take(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text,
            Some(Value::Number(number)) => {
                self.leniencies.add(Leniency::TextAsNumber);
                number.to_string()
            }
            Some(_) => return Err(self.wrong_type(name, "a text")),
        };
        if text.is_empty() {
            self.leniencies.add(Leniency::EmptyText);
            return Ok(None);
        }
        if text.chars().count() > max {
            self.leniencies.add(Leniency::LongText);
        }
        Ok(Some(text.chars().take(MAX_TEXT.max(max)).collect()))
    }

    /// An id tag. One that is too long is refused, as another one may begin so.
    pub(super) fn id_tag(&mut self, name: &str) -> Result<Option<IdTag>, Refusal> {
        let Some(text) = self.text(name, MAX_TEXT)? else { return Ok(None) };
        let tag = IdTag::new(&text).ok_or_else(|| self.out_of_bounds(name, "longer than 20 characters"));
        tag.map(Some)
    }

    /// An integer of 32 bits.
    pub(super) fn integer(&mut self, name: &str) -> Result<Option<i32>, Refusal> {
        let number = match self.take(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => whole(&number.to_string()),
            Some(Value::String(text)) => {
                self.leniencies.add(Leniency::NumberAsText);
                whole(text.trim())
            }
            Some(_) => None,
        };
        let number = number.ok_or_else(|| self.wrong_type(name, "an integer"))?;
        let number = i32::try_from(number).map_err(|_| self.out_of_bounds(name, "not an integer of 32 bits"));
        number.map(Some)
    }

    /// The number of a connector; 0 is the charger itself.
    pub(super) fn connector(&mut self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(number) = self.integer(name)?.map(i64::from) else { return Ok(None) };
        match (0..=MAX_CONNECTOR).contains(&number) {
            true => Ok(Some(number)),
            false => Err(self.out_of_bounds(name, "expected 0 to 256")),
        }
    }

    /// An id that some chargers send as 0 or -1 where there is none.
    pub(super) fn id(&mut self, name: &str) -> Result<Option<i32>, Refusal> {
        match self.integer(name)? {
            Some(0 | -1) => {
                self.leniencies.add(Leniency::NoId);
                Ok(None)
            }
            id => Ok(id),
        }
    }

    pub(super) fn timestamp(&mut self, name: &str) -> Result<Option<Timestamp>, Refusal> {
        let Some(text) = self.text(name, MAX_TEXT)? else { return Ok(None) };
        let read = Timestamp::parse(&text, self.clock_offset_minutes, &mut self.leniencies);
        read.map(Some).map_err(|error| self.out_of_bounds(name, &error.to_string()))
    }

    /// A word, or the text that is none of them.
    pub(super) fn word<T>(
        &mut self,
        name: &str,
        read: impl Fn(&str) -> Option<(T, bool)>,
    ) -> Result<Option<Result<T, String>>, Refusal> {
        let Some(text) = self.text(name, MAX_TEXT)? else { return Ok(None) };
        let (word, is_plain) = match read(&text) {
            Some((word, is_plain)) => (Ok(word), is_plain),
            None => (Err(text), false),
        };
        if !is_plain {
            self.leniencies.add(Leniency::UnknownWord);
        }
        Ok(Some(word))
    }

    /// A word that must be one of the standard's.
    pub(super) fn known_word<T>(
        &mut self,
        name: &str,
        read: impl Fn(&str) -> Option<(T, bool)>,
    ) -> Result<Option<T>, Refusal> {
        match self.word(name, read)? {
            None => Ok(None),
            Some(Ok(word)) => Ok(Some(word)),
            Some(Err(_)) => Err(self.out_of_bounds(name, "none of the words of 1.6")),
        }
    }

    /// The objects of a list, which may be one object, or empty.
    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) => {
                if items.is_empty() {
                    self.leniencies.add(Leniency::EmptyList);
                }
                Ok(Some(items))
            }
            Some(object @ Value::Object(_)) => {
                self.leniencies.add(Leniency::ObjectAsList);
                Ok(Some(vec![object]))
            }
            Some(_) => Err(self.wrong_type(name, "a list")),
        }
    }

    /// Anything, as its text: vendors send objects where the standard has a text.
    pub(super) fn any(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            value => {
                self.leniencies.add(Leniency::TextAsNumber);
                Some(value.to_string())
            }
        }
    }
}

/// A number without a fraction, or with one of zeros.
fn whole(text: &str) -> Option<i64> {
    let (digits, fraction) = text.split_once('.').unwrap_or((text, ""));
    fraction.bytes().all(|byte| byte == b'0').then(|| digits.parse().ok())?
}
