//! The words for why a worker buries a task, in one list. A task that has words of its own lists them in the same way, because
//! dead letters are counted for each word from 0 on: otherwise an alert would miss the first one.

/// Constants for words, and the list `ALL` of them.
#[macro_export]
macro_rules! dead_letter_reasons {
    ($($(#[$about:meta])* $name:ident = $word:literal;)*) => {
        $($(#[$about])* pub const $name: &str = $word;)*
        /// Every word of this list.
        pub const ALL: &[&str] = &[$($name),*];
    };
}

dead_letter_reasons! {
    /// A message that Celery did not send.
    NOT_A_TASK = "not_a_task";
    /// Its body or its headers cannot be read.
    UNDECODABLE = "undecodable";
    /// `eta` or `expires` is no moment.
    INVALID_HEADER = "invalid_header";
    /// The worker has no task of that name.
    UNKNOWN_TASK = "unknown_task";
    /// The arguments are not those of the task.
    INVALID_ARGUMENTS = "invalid_arguments";
    /// It asks for what no worker of ours does.
    UNSUPPORTED = "unsupported";
    /// What follows from it does not fit into a message.
    UNPUBLISHABLE = "unpublishable";
    /// It was handed out again and again and never finished.
    POISON = "poison";
    /// Its code panicked.
    PANICKED = "panicked";
    /// It is accounted for, and was revoked.
    REVOKED = "revoked";
    /// It is accounted for, and ran for too long.
    TIME_LIMIT = "time_limit";
    /// It asked for that itself.
    REJECTED = "rejected";
}
