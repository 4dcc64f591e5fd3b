//! Accounts for accepted requests: each was called back with one decision, and its record shows the same decision.

use std::collections::{BTreeMap, HashMap};

use crate::callback_host::{Callback, CallbackHost};
use crate::deployment::record_once;

/// Asserts that each request has one decision, however many callbacks it received; returns the decisions.
pub fn assert_one_decision_each(callbacks: &[Callback]) -> HashMap<&str, &str> {
    let mut decisions: HashMap<&str, &str> = HashMap::new();
    for callback in callbacks {
        let first = decisions.entry(callback.id()).or_insert(callback.status());
        assert_eq!(*first, callback.status(), "two decisions for {}", callback.id());
    }
    decisions
}

/// Waits until every accepted request was called back and its record agrees; asserts that each has one decision.
pub async fn account(http: &reqwest::Client, api_url: &str, host: &CallbackHost, accepted: &[String]) {
    let callbacks = host.all_of(accepted).await;
    let decisions = assert_one_decision_each(&callbacks);
    let mut by_status: BTreeMap<&str, usize> = BTreeMap::new();
    for request in accepted {
        let shown = record_once(http, api_url, request, "delivered").await;
        let decision = decisions[request.as_str()];
        assert_eq!(shown["status"], decision, "{request}");
        *by_status.entry(decision).or_default() += 1;
    }
    println!("{} accepted, {} callbacks, {by_status:?}", accepted.len(), callbacks.len());
}
