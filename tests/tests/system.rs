//! The whole system, as its users meet it, against real servers.
#![expect(clippy::unwrap_used, reason = "tests")]

mod system {
    mod acl_service;
    mod brokers;
    mod crashes;
    mod dead_letters;
    mod decisions;
    mod documents;
    mod embedded;
    mod faults;
    mod python;
    mod refusals;
    mod retries;
    mod starting;
    mod stores;
}
