//! Notices to people, written with the fact and sent after it.
