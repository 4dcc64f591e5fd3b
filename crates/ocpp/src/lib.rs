//! OCPP-J as a central system speaks it with chargers: frames, the messages of 1.6, and the rules of one connection. There is
//! no I/O here and no clock: the owner of the socket passes in what was read and the present moment.
//!
//! What chargers send is taken leniently, as real ones send it, and each leniency is reported. What is sent to them is strict.
#![warn(missing_docs)]

pub mod call;
pub mod connection;
pub mod error_code;
pub mod frame;
pub mod leniency;
pub mod timestamp;
pub mod v16;

pub use self::call::MessageId;
pub use self::error_code::ErrorCode;
pub use self::frame::Frame;
pub use self::leniency::{Leniencies, Leniency};
pub use self::timestamp::Timestamp;
