//! What every store guarantees about public stations and member tokens, tested on each store.

use std::collections::{BTreeMap, BTreeSet};

use common::clock;
use common::ids::{DriverToken, StationId};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use redis::AsyncCommands;
use store::{
    Change, Entry, Grounds, Listing, Member, Millis, PageQuery, Period, PlatformVersion, PublicAccess,
    SetChanged, Store, StoreError, StoreOptions,
};
use tests::deployment::Deployment;
use tests::{PATIENCE, eventually};
use uuid::Uuid;

use super::stores::stores;

const HOUR: Millis = 3_600_000;
const STEPS: usize = 400;

fn now() -> Millis {
    clock::now() / 1_000_000
}

fn station(number: usize) -> StationId {
    StationId::from_uuid(Uuid::from_u128(number as u128))
}

fn driver(number: usize) -> DriverToken {
    DriverToken::parse(&format!("driver-token-number-{number:06}")).unwrap()
}

fn member(number: usize, until: Option<Millis>) -> Member {
    Member { token: driver(number), until }
}

fn changed(added: u64, removed: u64) -> SetChanged {
    SetChanged { added, removed }
}

fn sets(store: &Store) -> &dyn PublicAccess {
    &*store.access_lists().public
}

async fn grounds(store: &Store, at: usize, who: usize) -> Option<Grounds> {
    store.access_lists().lists.check(station(at), &driver(who)).await.unwrap()
}

/// The entries, public stations and members as they should be.
#[derive(Default)]
struct Model {
    entries: BTreeMap<(usize, usize), Period>,
    public: BTreeSet<usize>,
    members: BTreeMap<usize, Option<Millis>>,
}

impl Model {
    fn grounds(&self, at: usize, who: usize, now: Millis) -> Option<Grounds> {
        let entry = self.entries.get(&(at, who));
        if entry.is_some_and(|period| !period.is_to_come(now) && !period.is_over(now)) {
            return Some(Grounds::List);
        }
        let member = self.members.get(&who).is_some_and(|until| until.is_none_or(|until| until > now));
        (self.public.contains(&at) && member).then_some(Grounds::Public)
    }

    /// Makes one random change, here and in the store.
    async fn step(&mut self, store: &Store, random: &mut SmallRng) {
        let (at, who) = (random.random_range(0..4), random.random_range(0..6));
        let later = now() + HOUR;
        match random.random_range(0..7) {
            0 => {
                let period = match random.random_range(0..3) {
                    0 => Period::ALWAYS,
                    1 => Period::new(None, Some(later)).unwrap(),
                    _ => Period::new(Some(later), None).unwrap(),
                };
                self.entries.insert((at, who), period);
                let admit = Change::Admit(Entry { token: driver(who), period });
                store.access_lists().lists.change(station(at), &[admit]).await.unwrap();
            }
            1 => {
                self.entries.remove(&(at, who));
                store.access_lists().lists.change(station(at), &[Change::Remove(driver(who))]).await.unwrap();
            }
            2 | 3 => {
                let added = self.public.insert(at);
                let done = sets(store).change_stations(&[station(at)], &[]).await.unwrap();
                assert_eq!(done, changed(u64::from(added), 0));
            }
            4 => {
                let removed = self.public.remove(&at);
                let done = sets(store).change_stations(&[], &[station(at)]).await.unwrap();
                assert_eq!(done, changed(0, u64::from(removed)));
            }
            5 => {
                let until = [None, Some(later), Some(now() - 1)][random.random_range(0..3)];
                let held = self.members.remove(&who);
                let over = until.is_some_and(|until| until <= now());
                if !over {
                    self.members.insert(who, until);
                }
                let expected = match over {
                    true => changed(0, u64::from(held.is_some())),
                    false => changed(u64::from(held != Some(until)), 0),
                };
                let done = sets(store).change_members(&[member(who, until)], &[]).await.unwrap();
                assert_eq!(done, expected);
            }
            _ => {
                let removed = self.members.remove(&who).is_some();
                let done = sets(store).change_members(&[], &[driver(who)]).await.unwrap();
                assert_eq!(done, changed(0, u64::from(removed)));
            }
        }
    }
}

#[tokio::test]
async fn a_driver_is_allowed_by_the_list_or_as_a_member_of_a_public_station() {
    for (kind, store, _directory) in stores().await {
        let seed: u64 = rand::random();
        let (mut random, mut model) = (SmallRng::seed_from_u64(seed), Model::default());
        let numbers: Vec<(usize, usize)> = (0..4).flat_map(|at| (0..6).map(move |who| (at, who))).collect();
        let pairs: Vec<_> = numbers.iter().map(|(at, who)| (station(*at), driver(*who))).collect();
        let mut seen = BTreeSet::new();
        for step in 0..STEPS {
            model.step(&store, &mut random).await;
            let answers = store.access_lists().lists.check_many(&pairs).await.unwrap();
            let expected: Vec<_> = numbers.iter().map(|(at, who)| model.grounds(*at, *who, now())).collect();
            assert_eq!(answers, expected, "{kind}, seed {seed}, step {step}");
            seen.extend(answers.iter().map(|grounds| format!("{grounds:?}")));
        }
        assert_eq!(seen.len(), 3, "{kind}, seed {seed}: not every answer was tried");
    }
}

#[tokio::test]
async fn a_list_shows_no_members() {
    for (kind, store, _directory) in stores().await {
        sets(&store).change_stations(&[station(1)], &[]).await.unwrap();
        sets(&store).change_members(&[member(1, None), member(2, Some(now() + HOUR))], &[]).await.unwrap();
        assert_eq!(grounds(&store, 1, 2).await, Some(Grounds::Public), "{kind}");
        let lists = &store.access_lists().lists;
        let query = PageQuery { limit: 100, ..PageQuery::default() };
        let page = lists.page(station(1), &query).await.unwrap();
        assert_eq!((page.entries, page.size, page.next), (Vec::new(), 0, None), "{kind}");
        assert_eq!(lists.timed(station(1), &query).await.unwrap().items, [], "{kind}");
        assert_eq!(lists.has_entries(&[(station(1), driver(1))]).await.unwrap(), [false], "{kind}");
    }
}

#[tokio::test]
async fn a_membership_ends_on_time_although_no_scheduler_runs() {
    for (kind, store, _directory) in stores().await {
        let ends = now() + 300;
        sets(&store).change_stations(&[station(1)], &[]).await.unwrap();
        sets(&store).change_members(&[member(1, Some(ends)), member(2, None)], &[]).await.unwrap();
        let held = sets(&store).member(&driver(1)).await.unwrap();
        eventually("the membership to be over", async || {
            let asked = now();
            let allowed = grounds(&store, 1, 1).await.is_some();
            assert!(!(allowed && asked >= ends), "{kind}: allowed when it was over");
            assert!(allowed || now() >= ends, "{kind}: too early");
            (!allowed).then_some(())
        })
        .await;
        assert_eq!(held, Some(member(1, Some(ends))), "{kind}");
        assert_eq!(sets(&store).member(&driver(1)).await.unwrap(), None, "{kind}");
        assert_eq!(members(&store, 10).await, [member(2, None)], "{kind}");
        let removed = sets(&store).change_members(&[], &[driver(1), driver(2)]).await.unwrap();
        assert_eq!(removed, changed(0, 1), "{kind}: the one that is over does not count");
        let renewed = member(1, Some(now() + HOUR));
        assert_eq!(sets(&store).change_members(&[renewed], &[]).await.unwrap(), changed(1, 0), "{kind}");
        assert_eq!(grounds(&store, 1, 1).await, Some(Grounds::Public), "{kind}");
    }
}

/// All members, by pages of this size.
async fn members(store: &Store, limit: u32) -> Vec<Member> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let query = PageQuery { cursor: cursor.as_deref(), limit, search: None };
        let Listing { items, next } = sets(store).members(&query).await.unwrap();
        assert!(items.len() <= limit as usize);
        all.extend(items);
        cursor = next;
        if cursor.is_none() {
            return all;
        }
    }
}

#[tokio::test]
async fn pages_hold_each_station_and_member_once_and_in_order_while_others_change() {
    for (kind, store, _directory) in stores().await {
        let kept = |number: &usize| number.is_multiple_of(3);
        let all: Vec<Member> =
            (0..3000).map(|number| member(number, (number % 2 == 0).then_some(u64::MAX >> 12))).collect();
        for part in all.chunks(1000) {
            sets(&store).change_members(part, &[]).await.unwrap();
        }
        let stations: Vec<StationId> = (0..1000).map(station).collect();
        sets(&store).change_stations(&stations, &[]).await.unwrap();
        let (mut seen, mut cursor, mut others) = (Vec::new(), None, (0..3000).filter(|n| !kept(n)));
        loop {
            let query = PageQuery { cursor: cursor.as_deref(), limit: 100, search: None };
            let Listing { items, next } = sets(&store).members(&query).await.unwrap();
            seen.extend(items);
            let gone: Vec<DriverToken> = others.by_ref().take(60).map(driver).collect();
            sets(&store).change_members(&[], &gone).await.unwrap();
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        assert!(seen.is_sorted() && seen.windows(2).all(|pair| pair[0] != pair[1]), "{kind}");
        let expected: Vec<&Member> = all.iter().step_by(3).collect();
        let of_kept: Vec<&Member> = seen.iter().filter(|member| expected.contains(member)).collect();
        assert_eq!(of_kept, expected, "{kind}");
        let query = PageQuery { cursor: None, limit: 600, search: None };
        let first = sets(&store).stations(&query).await.unwrap();
        let query = PageQuery { cursor: first.next.as_deref(), ..query };
        let second = sets(&store).stations(&query).await.unwrap();
        assert_eq!([first.items, second.items].concat(), stations, "{kind}");
        assert_eq!(second.next, None, "{kind}");
        let nonsense = PageQuery { cursor: Some("[x"), limit: 1, search: None };
        assert!(matches!(sets(&store).members(&nonsense).await, Err(StoreError::BadCursor)), "{kind}");
        assert!(matches!(sets(&store).stations(&nonsense).await, Err(StoreError::BadCursor)), "{kind}");
    }
}

#[tokio::test]
async fn the_version_is_set_replaced_and_removed() {
    for (kind, store, _directory) in stores().await {
        let version = |number| PlatformVersion::new(number).unwrap();
        assert_eq!(sets(&store).version().await.unwrap(), None, "{kind}");
        for number in [0, 7, i64::MAX as u64, 3] {
            sets(&store).set_version(Some(version(number))).await.unwrap();
            assert_eq!(sets(&store).version().await.unwrap(), Some(version(number)), "{kind}");
        }
        sets(&store).set_version(None).await.unwrap();
        assert_eq!(sets(&store).version().await.unwrap(), None, "{kind}");
    }
}

#[tokio::test]
async fn members_that_are_over_do_not_pile_up_in_redis() {
    let deployment = Deployment::new().await;
    let options = StoreOptions { key_prefix: deployment.prefix.clone(), retention: PATIENCE };
    let store = Store::open(&deployment.servers.redis, options, PATIENCE).await.unwrap();
    let ends = now() + 200;
    let passing: Vec<Member> = (0..100).map(|number| member(number, Some(ends))).collect();
    sets(&store).change_members(&passing, &[]).await.unwrap();
    eventually("them to be over", async || (now() > ends).then_some(())).await;
    for number in 100..150 {
        sets(&store).change_members(&[member(number, None)], &[]).await.unwrap();
    }
    let mut redis = deployment.servers.redis().await;
    let key = |name: &str| format!("{}voltgate:{{platform}}:{name}", deployment.prefix);
    assert_eq!(redis.hlen::<_, u64>(key("members")).await.unwrap(), 50);
    for (set, left) in [("order", 50), ("ends", 0)] {
        assert_eq!(redis.zcard::<_, u64>(key(set)).await.unwrap(), left, "{set}");
    }
}

#[tokio::test]
async fn a_redis_that_lost_its_data_has_no_version() {
    let directory = tempfile::tempdir().unwrap();
    let server = test_servers::Redis::start(directory.path()).unwrap();
    let options = StoreOptions { key_prefix: String::new(), retention: PATIENCE };
    let store = Store::open(&server.url(), options, PATIENCE).await.unwrap();
    sets(&store).change_stations(&[station(1)], &[]).await.unwrap();
    sets(&store).change_members(&[member(1, None)], &[]).await.unwrap();
    sets(&store).set_version(PlatformVersion::new(7)).await.unwrap();
    assert_eq!(grounds(&store, 1, 1).await, Some(Grounds::Public));
    let client = redis::Client::open(server.url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("FLUSHALL").exec_async(&mut redis).await.unwrap();
    assert_eq!(sets(&store).version().await.unwrap(), None);
    assert_eq!(grounds(&store, 1, 1).await, None);
}
