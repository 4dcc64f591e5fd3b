//! What every store guarantees about entries with a validity, groups and the audit trail, tested on each store.

use std::collections::BTreeSet;

use common::clock;
use common::ids::{DriverToken, PresentedToken, StationId};
use store::{
    AuditEntry, AuditFilter, AuditedChange, Change, Claim, Effect, Entry, GroupName, GroupSize, Millis,
    PageQuery, Period, Stage, Step, Store,
};
use tests::deployment::STATION;
use tests::eventually;

use super::stores::stores;

const HOUR: Millis = 3_600_000;

fn now() -> Millis {
    clock::now() / 1_000_000
}

fn station() -> StationId {
    STATION.parse().unwrap()
}

fn driver(number: usize) -> DriverToken {
    DriverToken::parse(&format!("driver-token-number-{number:04}")).unwrap()
}

fn entry(number: usize, from: Option<Millis>, until: Option<Millis>) -> Entry {
    Entry { token: driver(number), period: Period::new(from, until).unwrap() }
}

async fn change(store: &Store, changes: &[Change]) -> u64 {
    store.access_lists().lists.change(station(), changes).await.unwrap().changed
}

async fn is_in(store: &Store, number: usize) -> bool {
    store.access_lists().lists.check(station(), &driver(number)).await.unwrap().is_some()
}

fn all(limit: u32) -> PageQuery<'static> {
    PageQuery { cursor: None, limit, search: None }
}

#[tokio::test]
async fn an_expired_entry_admits_no_driver_before_the_scheduler_runs() {
    for (kind, store, _directory) in stores().await {
        let ends = now() + 300;
        change(&store, &[Change::Admit(entry(1, None, Some(ends))), Change::admit(driver(2))]).await;
        eventually("the entry to be over", async || (!is_in(&store, 1).await).then_some(())).await;
        assert!(now() >= ends, "{kind}: too early");
        assert!(is_in(&store, 2).await, "{kind}");
        let page = store.access_lists().lists.page(station(), &all(100)).await.unwrap();
        assert_eq!(page.entries, [Entry { token: driver(2), period: Period::ALWAYS }], "{kind}");
        assert_eq!(page.size, 2, "{kind}: nobody has worked the schedule off");
    }
}

#[tokio::test]
async fn an_entry_is_put_in_and_taken_out_as_its_times_say() {
    for (kind, store, _directory) in stores().await {
        let (begins, ends) = (now() + HOUR, now() + 2 * HOUR);
        let timed = Change::Admit(entry(1, Some(begins), Some(ends)));
        assert_eq!(change(&store, std::slice::from_ref(&timed)).await, 1, "{kind}");
        assert_eq!(change(&store, &[timed]).await, 0, "{kind}: the same again");
        assert!(!is_in(&store, 1).await, "{kind}");
        let pair = [(station(), driver(1))];
        assert_eq!(store.access_lists().lists.has_entries(&pair).await.unwrap(), [true], "{kind}");
        assert_eq!(settled(&store, begins - 1).await, [], "{kind}");
        assert_eq!(settled(&store, begins).await, [Some(Step::Begin)], "{kind}");
        assert!(is_in(&store, 1).await, "{kind}");
        let shown = store.access_lists().lists.timed(station(), &all(100)).await.unwrap();
        assert_eq!(shown.items, [entry(1, Some(begins), Some(ends))], "{kind}");
        assert_eq!(settled(&store, ends).await, [Some(Step::End)], "{kind}");
        assert!(!is_in(&store, 1).await, "{kind}");
        assert_eq!(store.access_lists().lists.page(station(), &all(100)).await.unwrap().size, 0, "{kind}");
        assert_eq!(settled(&store, ends + HOUR).await, [], "{kind}: nothing is left on the schedule");
    }
}

/// Processes the steps that are due at this moment; returns them.
async fn settled(store: &Store, now: Millis) -> Vec<Option<Step>> {
    let claim = store.access_lists().schedule.claim(now, 100).await.unwrap();
    store.access_lists().schedule.settle(&claim).await.unwrap();
    claim.due.iter().map(|due| due.step).collect()
}

#[tokio::test]
async fn the_replacement_of_an_entry_ignores_steps_of_the_old_one() {
    for (kind, store, _directory) in stores().await {
        let (first, second) = (now() + HOUR, now() + 2 * HOUR);
        change(&store, &[Change::Admit(entry(1, None, Some(first)))]).await;
        assert_eq!(change(&store, &[Change::admit(driver(1))]).await, 1, "{kind}: plain again");
        change(&store, &[Change::Admit(entry(2, None, Some(first)))]).await;
        change(&store, &[Change::Admit(entry(2, None, Some(second)))]).await;
        change(&store, &[Change::Admit(entry(3, Some(first), None)), Change::Remove(driver(3))]).await;
        // Claimed by a process that died, and then due again.
        let lost: Claim = store.access_lists().schedule.claim(first, 100).await.unwrap();
        assert_eq!(lost.due.iter().filter(|due| due.step.is_some()).count(), 0, "{kind}");
        settled(&store, first + 60_000).await;
        assert_eq!(
            [is_in(&store, 1).await, is_in(&store, 2).await, is_in(&store, 3).await],
            [true, true, false]
        );
        assert_eq!(settled(&store, second).await, [Some(Step::End)], "{kind}");
        assert!(is_in(&store, 1).await && !is_in(&store, 2).await, "{kind}");
    }
}

#[tokio::test]
async fn adding_only_missing_entries_keeps_an_existing_one() {
    for (kind, store, _directory) in stores().await {
        let until = Some(now() + HOUR);
        change(&store, &[Change::admit(driver(1))]).await;
        let both = [1, 2].map(|number| (station(), Change::AdmitIfAbsent(entry(number, None, until))));
        assert_eq!(store.access_lists().lists.change_each(&both).await.unwrap(), 1, "{kind}");
        let shown = store.access_lists().lists.timed(station(), &all(100)).await.unwrap();
        assert_eq!(shown.items, [entry(2, None, until)], "{kind}");
    }
}

#[tokio::test]
async fn a_search_finds_every_token_with_that_part() {
    for (kind, store, _directory) in stores().await {
        let everybody: Vec<_> = (0..3000).map(|number| Change::admit(driver(number))).collect();
        change(&store, &everybody).await;
        let (mut found, mut cursor) = (BTreeSet::new(), None);
        loop {
            let query = PageQuery { cursor: cursor.as_deref(), limit: 10, search: Some("r-177") };
            let page = store.access_lists().lists.page(station(), &query).await.unwrap();
            found.extend(page.entries.into_iter().map(|entry| entry.token));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, (1770..1780).map(driver).collect(), "{kind}");
    }
}

#[tokio::test]
async fn a_group_has_stations_and_drivers_until_it_is_deleted() {
    for (kind, store, _directory) in stores().await {
        let (groups, name) = (&store.access_lists().groups, GroupName::parse("north-1").unwrap());
        assert_eq!(groups.size(&name).await.unwrap(), None, "{kind}");
        assert!(groups.create(&name).await.unwrap() && !groups.create(&name).await.unwrap(), "{kind}");
        assert!(
            groups.join(&name, station()).await.unwrap() && !groups.join(&name, station()).await.unwrap()
        );
        let (plain, timed) = (entry(1, None, None), entry(2, Some(1), Some(2)));
        assert!(groups.put_driver(&name, &plain).await.unwrap(), "{kind}");
        assert!(!groups.put_driver(&name, &plain).await.unwrap(), "{kind}");
        assert!(groups.put_driver(&name, &timed).await.unwrap(), "{kind}");
        let drivers: BTreeSet<_> = groups.drivers(&name, &all(10)).await.unwrap().items.into_iter().collect();
        assert_eq!(drivers, BTreeSet::from([plain, timed]), "{kind}");
        assert_eq!(groups.size(&name).await.unwrap(), Some(GroupSize { stations: 1, drivers: 2 }), "{kind}");
        assert!(groups.remove_driver(&name, &driver(2)).await.unwrap(), "{kind}");
        assert!(!groups.remove_driver(&name, &driver(2)).await.unwrap(), "{kind}");
        let has = groups.has_drivers(&name, &[driver(2), driver(1)]).await.unwrap();
        assert_eq!(has, [false, true], "{kind}");
        assert_eq!(groups.stations(&name, &all(10)).await.unwrap().items, [station()], "{kind}");
        assert_eq!(groups.names(&all(10)).await.unwrap().items, std::slice::from_ref(&name), "{kind}");
        assert!(groups.delete(&name).await.unwrap() && !groups.delete(&name).await.unwrap(), "{kind}");
        groups.create(&name).await.unwrap();
        assert_eq!(groups.size(&name).await.unwrap(), Some(GroupSize { stations: 0, drivers: 0 }), "{kind}");
    }
}

fn audited(number: usize, at_ms: Millis) -> AuditEntry {
    let change = AuditedChange {
        station_id: Some(station()),
        driver_token: Some(PresentedToken::new(driver(number % 3).expose())),
        effect: Some(Effect::Admit),
        from_ms: None,
        until_ms: Some(HOUR),
    };
    AuditEntry {
        change_id: format!("{number}"),
        at_ms,
        actor: None,
        on_behalf_of: number.is_multiple_of(2).then(|| format!("user:{number}")),
        address: Some("127.0.0.1".to_owned()),
        action: "allow".to_owned(),
        stage: Stage::Requested,
        group: None,
        changes: vec![change],
        counts: None,
    }
}

#[tokio::test]
async fn the_audit_trail_is_read_newest_first_page_by_page() {
    for (kind, store, _directory) in stores().await {
        let began = now();
        // The oldest entry is from the day before.
        let at = |number: usize| if number == 0 { began - 24 * HOUR } else { began + number as u64 };
        let written: Vec<AuditEntry> = (0..25).map(|number| audited(number, at(number))).collect();
        for entry in &written {
            store.access_lists().audit.append(entry).await.unwrap();
        }
        let newest_first: Vec<AuditEntry> = written.iter().rev().cloned().collect();
        assert_eq!(trail(&store, &AuditFilter::default()).await, newest_first, "{kind}");
        let token = Some(PresentedToken::new(driver(1).expose()));
        let filter = AuditFilter {
            driver_token: token,
            from_ms: Some(at(4)),
            to_ms: Some(at(10)),
            ..AuditFilter::default()
        };
        assert_eq!(trail(&store, &filter).await, [written[7].clone(), written[4].clone()], "{kind}");
        let elsewhere = Some("00000000-0000-0000-0000-000000000000".parse().unwrap());
        let filter = AuditFilter { station_id: elsewhere, ..AuditFilter::default() };
        assert_eq!(trail(&store, &filter).await, [], "{kind}");
        assert!(store.access_lists().audit.page(&filter, Some("nonsense"), 10).await.is_err(), "{kind}");
    }
}

async fn trail(store: &Store, filter: &AuditFilter) -> Vec<AuditEntry> {
    let (mut entries, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.access_lists().audit.page(filter, cursor.as_deref(), 4).await.unwrap();
        assert!(page.items.len() <= 4);
        entries.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return entries;
        }
    }
}
