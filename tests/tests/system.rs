//! The whole system, as its users meet it, against real servers.
#![expect(clippy::unwrap_used, reason = "tests")]

mod system {
    mod acl_service;
    mod brokers;
    mod celery_control;
    mod celery_events;
    mod celery_messages;
    mod celery_results;
    mod chaos;
    mod crashes;
    mod dead_letters;
    mod decisions;
    mod destinations;
    mod doctor;
    mod documents;
    mod embedded;
    mod faults;
    mod links;
    mod metrics;
    mod python;
    mod refusals;
    mod retries;
    mod starting;
    mod stopping;
    mod stores;
    mod traces;
}
