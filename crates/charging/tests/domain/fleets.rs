//! Fleets and vehicles: who belongs to a fleet, whose tokens it pays for, and what belongs to one account only.

use charging::Db;
use charging::accounts::AccountError;
use charging::accounts::vehicles::{self, MAX_VEHICLES, VehicleDraft};
use charging::fleets::{self, Fleet, FleetDraft, FleetMember, MemberStatus, members};
use charging::tokens::{self, Token};
use serde_json::json;
use uuid::Uuid;

use crate::databases::each_database;
use crate::tokens::{account, create, field, of_account};

async fn fleet(db: &Db, payer: Uuid) -> Fleet {
    let draft: FleetDraft = serde_json::from_value(json!({"name": "Taxis", "payer_id": payer})).unwrap();
    db.write(async |tx| fleets::create(tx, &draft).await).await.unwrap()
}

async fn add(db: &Db, fleet: Uuid, account: Uuid, status: MemberStatus) -> Result<FleetMember, AccountError> {
    db.write(async |tx| members::add(tx, fleet, account, status).await).await
}

async fn charge(db: &Db, token: &Token, fleet: Option<Uuid>) -> Result<Token, AccountError> {
    db.write(async |tx| tokens::set_fleet(tx, token, fleet, None).await).await
}

#[tokio::test]
async fn only_tokens_of_active_members_are_charged_to_a_fleet() {
    each_database(async |db| {
        let (payer, ada) = (account(db, "payer").await, account(db, "ada").await);
        let fleet = fleet(db, payer.id).await.id;
        let token = of_account(db, ada.id).await.remove(0);
        assert_eq!(field(charge(db, &token, Some(fleet)).await), "fleet_id");
        let invited = add(db, fleet, ada.id, MemberStatus::Invited).await.unwrap();
        assert_eq!(invited.status, MemberStatus::Invited);
        assert_eq!(field(charge(db, &token, Some(fleet)).await), "fleet_id");
        db.write(async |tx| members::activate(tx, fleet, ada.id).await).await.unwrap();
        // An invitation does not make an active member one that is invited.
        assert_eq!(add(db, fleet, ada.id, MemberStatus::Invited).await.unwrap().status, MemberStatus::Active);
        let charged = charge(db, &token, Some(fleet)).await.unwrap();
        assert_eq!(charged.terms.fleet_id, Some(fleet));
        let free = create(db, json!({"uid": "04A1"})).await.unwrap();
        assert_eq!(field(charge(db, &free, Some(fleet)).await), "fleet_id");
        assert_eq!(field(charge(db, &charged, Some(Uuid::now_v7())).await), "fleet_id");
    })
    .await;
}

#[tokio::test]
async fn the_tokens_of_a_member_who_leaves_leave_the_fleet_with_them() {
    each_database(async |db| {
        let (payer, ada) = (account(db, "payer").await, account(db, "ada").await);
        let fleet = fleet(db, payer.id).await.id;
        add(db, fleet, ada.id, MemberStatus::Active).await.unwrap();
        let token = of_account(db, ada.id).await.remove(0);
        charge(db, &token, Some(fleet)).await.unwrap();
        let delete = async || db.write(async |tx| fleets::delete(tx, fleet).await).await;
        assert_eq!(field(delete().await), "members");
        let leave = async || db.write(async |tx| members::remove(tx, fleet, ada.id).await).await;
        leave().await.unwrap();
        assert_eq!(of_account(db, ada.id).await[0].terms.fleet_id, None);
        assert!(matches!(leave().await, Err(AccountError::NotFound)));
        delete().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_card_that_gets_another_owner_leaves_the_fleet_of_the_former_one() {
    each_database(async |db| {
        let (payer, ada, bob) =
            (account(db, "payer").await, account(db, "ada").await, account(db, "bob").await);
        let fleet = fleet(db, payer.id).await.id;
        add(db, fleet, ada.id, MemberStatus::Active).await.unwrap();
        let card = create(db, json!({"uid": "04A1", "user_id": ada.id})).await.unwrap();
        let card = charge(db, &card, Some(fleet)).await.unwrap();
        let terms = tokens::TokenTerms { user_id: Some(bob.id), ..card.terms.clone() };
        let moved = crate::tokens::update(db, &card, &terms).await.unwrap();
        assert_eq!((moved.terms.user_id, moved.terms.fleet_id), (Some(bob.id), None));
    })
    .await;
}

#[tokio::test]
async fn vehicles_belong_to_one_account_and_are_fifty_at_most() {
    each_database(async |db| {
        let (ada, bob) = (account(db, "ada").await, account(db, "bob").await);
        let draft: VehicleDraft = serde_json::from_value(json!({
            "name": "Zoe", "plate": "HH AB 123E", "connector": "IEC_62196_T2", "max_power_w": 22_000, "battery_wh": 52_000,
        }))
        .unwrap();
        let add = async |draft: &VehicleDraft| {
            db.write(async |tx| vehicles::create(tx, ada.id, draft).await).await
        };
        let first = add(&draft).await.unwrap();
        let find = async |account| db.read(async |tx| vehicles::find(tx, account, first.id).await).await.unwrap();
        assert_eq!((find(ada.id).await, find(bob.id).await), (Some(first.clone()), None));
        let wrong = VehicleDraft { max_power_w: Some(0), ..draft.clone() };
        assert_eq!(field(add(&wrong).await), "max_power_w");
        let bare = VehicleDraft { plate: None, connector: None, max_power_w: None, ..draft.clone() };
        let change = async |draft: &VehicleDraft| {
            db.write(async |tx| vehicles::update(tx, ada.id, &first, draft).await).await
        };
        assert_eq!(change(&bare).await.unwrap().draft, bare);
        assert!(matches!(change(&draft).await, Err(AccountError::Stale)));
        for _ in 1..MAX_VEHICLES {
            add(&draft).await.unwrap();
        }
        assert_eq!(field(add(&draft).await), "vehicles");
        assert!(db.write(async |tx| vehicles::delete(tx, ada.id, first.id).await).await.unwrap());
        add(&draft).await.unwrap();
    })
    .await;
}
