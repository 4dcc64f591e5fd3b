//! What was taken although it is not as the standard has it. Each kind was seen from real chargers, and is shown on the
//! charger's page.

/// A kind of leniency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Leniency {
    /// A timestamp has no offset from UTC (evcc#10399).
    TimestampWithoutOffset,
    /// A timestamp has a blank in the place of `T`, an offset without minutes, or the like.
    TimestampForm,
    /// A number is written as a text.
    NumberAsText,
    /// A text is written as a number (mobilityhouse/ocpp#353).
    TextAsNumber,
    /// One object stands in the place of a list of one (lbbrhzn/ocpp#1144).
    ObjectAsList,
    /// A list is empty where it must not be (lbbrhzn/ocpp#466).
    EmptyList,
    /// A unit or a measurand is none of the standard's, or is written otherwise.
    UnknownWord,
    /// A text is longer than the standard allows, and is cut.
    LongText,
    /// A text is empty, and counts as absent (evcc#32170).
    EmptyText,
    /// A member is `null`, and counts as absent.
    Null,
    /// A member is not in the standard, and is ignored.
    UnknownMember,
    /// An id is 0 or -1, and counts as absent.
    NoId,
    /// A required member is missing, and the rest is of use without it.
    MissingMember,
}

/// The kinds that one message needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leniencies(u16);

impl Leniency {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::TimestampWithoutOffset,
        Self::TimestampForm,
        Self::NumberAsText,
        Self::TextAsNumber,
        Self::ObjectAsList,
        Self::EmptyList,
        Self::UnknownWord,
        Self::LongText,
        Self::EmptyText,
        Self::Null,
        Self::UnknownMember,
        Self::NoId,
        Self::MissingMember,
    ];

    /// The name in counters and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TimestampWithoutOffset => "timestamp_without_offset",
            Self::TimestampForm => "timestamp_form",
            Self::NumberAsText => "number_as_text",
            Self::TextAsNumber => "text_as_number",
            Self::ObjectAsList => "object_as_list",
            Self::EmptyList => "empty_list",
            Self::UnknownWord => "unknown_word",
            Self::LongText => "long_text",
            Self::EmptyText => "empty_text",
            Self::Null => "null",
            Self::UnknownMember => "unknown_member",
            Self::NoId => "no_id",
            Self::MissingMember => "missing_member",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl Leniencies {
    /// Adds a kind.
    pub fn add(&mut self, kind: Leniency) {
        self.0 |= kind.bit();
    }

    /// Whether this kind is among them.
    pub fn contains(self, kind: Leniency) -> bool {
        self.0 & kind.bit() != 0
    }

    /// The kinds, in the order of [`Leniency::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Leniency> {
        Leniency::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }

    /// Whether the message was as the standard has it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Leniency> for Leniencies {
    fn from_iter<T: IntoIterator<Item = Leniency>>(kinds: T) -> Self {
        let mut all = Self::default();
        kinds.into_iter().for_each(|kind| all.add(kind));
        all
    }
}
