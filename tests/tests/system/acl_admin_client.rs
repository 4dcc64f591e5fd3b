//! The client by which another service administers acl-service, on each store.

use authorization::{AclAccess, AclAdmin, AclAdminError};
use common::ids::{DriverToken, StationId};
use store::{Entry, GroupName, GroupSize, Member, PageQuery, Period, PlatformVersion, SetChanged};
use tests::PATIENCE;
use tests::deployment::{DRIVER, Deployment, STATION, STRANGER};

use super::acl_administration::{Acl, OTHER, each};

const LATER: &str = "2100-01-01T00:00:00Z";

fn admin(acl: &Acl) -> AclAdmin {
    AclAdmin::new(acl.base.parse().unwrap(), &AclAccess::default(), PATIENCE).unwrap()
}

#[tokio::test]
async fn another_service_administers_both_sets_by_the_client() {
    for acl in each().await {
        let (client, all) = (admin(&acl), PageQuery { limit: 1000, ..PageQuery::default() });
        let stations = [STATION, OTHER].map(|station| station.parse::<StationId>().unwrap());
        let token = |text: &str| DriverToken::parse(text).unwrap();
        let member = |text: &str, until| Member { token: token(text), until };
        client.set_public(stations[0], true).await.unwrap();
        let done = client.change_public(&stations[1..], &stations[..1]).await.unwrap();
        assert_eq!(done, SetChanged { added: 1, removed: 1 }, "{}", acl.kind);
        assert_eq!(client.public_stations(&all).await.unwrap().items, stations[1..], "{}", acl.kind);
        client.set_public(stations[1], false).await.unwrap();
        assert_eq!(client.public_stations(&all).await.unwrap().items, [], "{}", acl.kind);
        let author = client.on_behalf_of("user:7".parse().unwrap());
        let ends = member(DRIVER, store::parse_moment(LATER));
        author.set_member(&ends).await.unwrap();
        author.set_member(&member(STRANGER, Some(1))).await.unwrap();
        assert_eq!(client.members(&all).await.unwrap().items, std::slice::from_ref(&ends), "{}", acl.kind);
        let trail = acl.audit(&format!("driver_token={DRIVER}")).await;
        assert_eq!(trail[0]["on_behalf_of"], "user:7", "{}", acl.kind);
        let done = client.change_members(&[member(STRANGER, None)], &[token(DRIVER)]).await.unwrap();
        assert_eq!(done, SetChanged { added: 1, removed: 1 }, "{}", acl.kind);
        client.remove_member(&token(STRANGER)).await.unwrap();
        assert_eq!(client.version().await.unwrap(), None, "{}", acl.kind);
        client.set_version(PlatformVersion::new(9)).await.unwrap();
        assert_eq!(client.version().await.unwrap(), PlatformVersion::new(9), "{}", acl.kind);
        let twice = client.change_public(&[stations[0], stations[0]], &[]).await.unwrap_err();
        assert!(matches!(&twice, AclAdminError::Refused { field, .. } if field == "add"), "{twice}");
        assert!(!twice.is_transient());
    }
}

#[tokio::test]
async fn another_service_administers_lists_and_groups_by_the_client() {
    for acl in each().await {
        let (client, all) = (admin(&acl), PageQuery { limit: 1000, ..PageQuery::default() });
        let (station, token) = (STATION.parse::<StationId>().unwrap(), DriverToken::parse(DRIVER).unwrap());
        let period = Period::new(None, store::parse_moment(LATER)).unwrap();
        let timed = Entry { token: token.clone(), period };
        assert_eq!(client.allow(station, &timed).await, Ok(1), "{}", acl.kind);
        let page = client.entries(station, &all).await.unwrap();
        assert_eq!((page.entries, page.size, page.next), (vec![timed.clone()], 1, None), "{}", acl.kind);
        assert_eq!(
            client.timed_entries(station, &all).await.unwrap().items,
            std::slice::from_ref(&timed),
            "{}",
            acl.kind
        );
        assert_eq!(client.deny(station, &token).await, Ok(0), "{}", acl.kind);
        let name = GroupName::parse("north").unwrap();
        let unknown = client.join_group(&name, station).await.unwrap_err();
        assert!(matches!(unknown, AclAdminError::NotFound(_)), "{unknown}");
        assert_eq!(client.create_group(&name).await, Ok(GroupSize { stations: 0, drivers: 0 }));
        client.join_group(&name, station).await.unwrap();
        let effect = client.admit(&name, &timed).await.unwrap();
        assert_eq!((effect.reached, effect.changed), (1, 1), "{}", acl.kind);
        assert_eq!(client.groups(&all).await.unwrap().items, std::slice::from_ref(&name), "{}", acl.kind);
        assert_eq!(client.group_stations(&name, &all).await.unwrap().items, [station], "{}", acl.kind);
        assert_eq!(client.group_drivers(&name, &all).await.unwrap().items, [timed], "{}", acl.kind);
        assert_eq!(client.group(&name).await, Ok(GroupSize { stations: 1, drivers: 1 }), "{}", acl.kind);
        assert_eq!(client.dismiss(&name, &token).await.unwrap().changed, 1, "{}", acl.kind);
        client.leave_group(&name, station).await.unwrap();
        client.delete_group(&name).await.unwrap();
        assert_eq!(client.groups(&all).await.unwrap().items, [], "{}", acl.kind);
    }
}

#[tokio::test]
async fn the_client_tells_an_absence_from_a_refusal() {
    let nothing_listens = format!("http://127.0.0.1:{}", tests::free_port());
    let client =
        |base: &str, access: &AclAccess| AclAdmin::new(base.parse().unwrap(), access, PATIENCE).unwrap();
    let gone = client(&nothing_listens, &AclAccess::default()).version().await.unwrap_err();
    assert!(matches!(gone, AclAdminError::Unavailable(_)) && gone.is_transient(), "{gone}");
    let secret = "5ec4e7000000000000000000000000000000000000000000";
    let mut deployment = Deployment::new()
        .await
        .with("API_KEYS", "required")
        .with("AUTHORIZATION_SERVICE_KEY", format!("vg_worker_{secret}"));
    let (_acl, base) = deployment.start_acl().await;
    let worker = format!("vg_worker_{secret}").parse().ok();
    for key in [None, worker] {
        let access = AclAccess { key, authorities: None };
        let refused = client(&base, &access).set_version(None).await.unwrap_err();
        assert!(matches!(refused, AclAdminError::Key(_)) && !refused.is_transient(), "{refused}");
    }
    let elsewhere = client(&format!("{base}/elsewhere"), &AclAccess::default());
    let outdated = elsewhere.public_stations(&PageQuery { limit: 1, ..PageQuery::default() }).await;
    assert_eq!(outdated, Err(AclAdminError::Outdated));
}
