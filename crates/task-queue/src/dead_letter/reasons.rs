//! Why a worker dead-letters a task, in one list. A crate whose tasks have reasons of their own lists them in the same way:
//! dead letters are counted for each reason from 0 on, because an alert would miss the first one otherwise.

/// What a dead letter's header `dead_reason` says. Operators script against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadReasonCode {
    /// The queue's own.
    Queue(DeadReason),
    /// One of a task's own list, which [`dead_letter_reasons!`](crate::dead_letter_reasons) made.
    Task(&'static str),
}

impl DeadReasonCode {
    /// As the header and the metrics have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queue(reason) => reason.as_str(),
            Self::Task(reason) => reason,
        }
    }
}

impl From<DeadReason> for DeadReasonCode {
    fn from(reason: DeadReason) -> Self {
        Self::Queue(reason)
    }
}

/// An enum of reasons, their wire names, and the list of all.
#[macro_export]
macro_rules! dead_letter_reasons {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $reason:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$doc])* $reason,)*
        }

        impl $name {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$reason),*];

            /// As the header `dead_reason` and the metrics have it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$reason => $word,)*
                }
            }
        }
    };
}

dead_letter_reasons! {
    /// Why a worker dead-letters a task, whatever the task is.
    DeadReason {
        /// A message that Celery did not send.
        NotATask = "not_a_task",
        /// Its body or its headers cannot be read.
        Undecodable = "undecodable",
        /// `eta` or `expires` is no timestamp.
        InvalidHeader = "invalid_header",
        /// The worker has no task of that name.
        UnknownTask = "unknown_task",
        /// The arguments are not those of the task.
        InvalidArguments = "invalid_arguments",
        /// It needs a feature of Celery that this worker does not have.
        Unsupported = "unsupported",
        /// What follows from it does not fit into a message.
        Unpublishable = "unpublishable",
        /// It was delivered again and again and never finished.
        Poison = "poison",
        /// Its code panicked.
        Panicked = "panicked",
        /// It is accounted for, and was revoked.
        Revoked = "revoked",
        /// It is accounted for, and ran for too long.
        TimeLimit = "time_limit",
        /// It rejected itself.
        Rejected = "rejected",
    }
}
