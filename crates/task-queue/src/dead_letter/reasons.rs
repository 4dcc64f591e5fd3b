//! The list of reasons for which a worker dead-letters a task. A crate whose tasks have reasons of their own lists them
//! in the same way: dead letters are counted for each reason from 0 on, because an alert would miss the first one
//! otherwise.

/// The value of the header `dead_reason`. Operators script against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadReasonCode {
    /// A reason of the queue.
    Queue(DeadReason),
    /// A reason of a task's own list, made by [`dead_letter_reasons!`](crate::dead_letter_reasons).
    Task(&'static str),
}

impl DeadReasonCode {
    /// The value in the header and in the metrics.
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

/// Declares an enum of reasons, their wire names, and the list of all of them.
#[macro_export]
macro_rules! dead_letter_reasons {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $reason:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$doc])* $reason,)*
        }

        impl $name {
            /// All reasons.
            pub const ALL: &[Self] = &[$(Self::$reason),*];

            /// The value in the header `dead_reason` and in the metrics.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$reason => $word,)*
                }
            }
        }
    };
}

dead_letter_reasons! {
    /// Why a worker dead-letters a task, for tasks of any kind.
    DeadReason {
        /// A message that Celery did not send.
        NotATask = "not_a_task",
        /// Its body or its headers cannot be read.
        Undecodable = "undecodable",
        /// `eta` or `expires` is not a timestamp.
        InvalidHeader = "invalid_header",
        /// The worker has no task of that name.
        UnknownTask = "unknown_task",
        /// The arguments do not match the task's parameters.
        InvalidArguments = "invalid_arguments",
        /// It needs a feature of Celery that this worker does not support.
        Unsupported = "unsupported",
        /// A task that follows from it does not fit into a message.
        Unpublishable = "unpublishable",
        /// It was delivered repeatedly and never finished.
        Poison = "poison",
        /// Its code panicked.
        Panicked = "panicked",
        /// It is accounted for and was revoked.
        Revoked = "revoked",
        /// It is accounted for and exceeded its time limit.
        TimeLimit = "time_limit",
        /// The task rejected itself.
        Rejected = "rejected",
    }
}
