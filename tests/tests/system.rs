//! The whole system, as its users meet it, against real servers.
#![expect(clippy::unwrap_used, reason = "tests")]

mod system {
    mod access_stores;
    mod acl_administration;
    mod acl_import;
    mod acl_service;
    mod bodies;
    mod brokers;
    mod callback_hosts;
    mod celery_autoscale;
    mod celery_control;
    mod celery_control_faults;
    mod celery_events;
    mod celery_hostile;
    mod celery_inspect;
    mod celery_messages;
    mod celery_neighbours;
    mod celery_results;
    mod celery_workers;
    mod chaos;
    mod charge_service;
    mod command_line;
    mod confirms;
    mod crashes;
    mod dead_letters;
    mod decisions;
    mod delay_ladder;
    mod destinations;
    mod doctor;
    mod documents;
    mod embedded;
    mod failover;
    mod faults;
    mod fleet;
    mod flower;
    mod keys;
    mod limits;
    mod links;
    mod load;
    mod message_sizes;
    mod metrics;
    mod openapi;
    mod python;
    mod records;
    mod records_live;
    mod refusals;
    mod retries;
    mod slow_streams;
    mod starting;
    mod stopping;
    mod stores;
    mod stores_search;
    mod tls;
    mod traces;
}
