//! The handshake of a charger: each refusal in its order, passwords as bytes, and the subprotocol.

use charging::chargers::ChargerTerms;
use charging::chargers::credentials::{self, Password};
use charging::chargers::inbox::{self, UnknownCharger};
use charging::stations::{StationError, charging_stations};
use serde_json::Value;
use uuid::Uuid;

use super::ocpp::{Gateway, Handshake};

async fn set_password(gateway: &Gateway, station: Uuid, password: &Password) {
    let set = gateway.db.write(async |tx| credentials::set(tx, station, Some(password)).await).await;
    set.unwrap();
}

async fn inbox(gateway: &Gateway) -> Vec<UnknownCharger> {
    gateway.db.read(async |tx| inbox::list(tx, "", 100).await).await.unwrap()
}

#[tokio::test]
async fn refusals_come_in_their_order_each_with_its_status() {
    let gateway = Gateway::start(&[]).await;
    let wrong = |name: &str| Handshake { subprotocols: Some("ocpp2.0.1"), ..Handshake::of(name) };
    for malformed in ["CP%3A1", &"x".repeat(49), "CP%0A", "%FF"] {
        assert_eq!(gateway.refused(&wrong(malformed)).await.0, 400, "{malformed}");
    }
    let (status, response) = gateway.refused(&wrong("CP-1")).await;
    assert_eq!(status, 404);
    let content_type = response.headers().get("content-type").unwrap();
    assert!(content_type.to_str().unwrap().starts_with("application/problem+json"));
    let body: Value = serde_json::from_slice(response.body().as_ref().unwrap()).unwrap();
    assert_eq!(body["status"], 404);
    gateway.refused(&wrong("CP-1")).await;
    let unknown = inbox(&gateway).await;
    assert_eq!(unknown.len(), 1, "{unknown:?}");
    let found = &unknown[0];
    assert_eq!((found.name.as_str(), found.subprotocols.as_str(), found.attempts), ("CP-1", "ocpp2.0.1", 2));
    assert_eq!(found.address.as_deref(), Some("127.0.0.1"));

    let station = gateway.station("CP-1").await;
    set_password(&gateway, station, &Password::new(b"0123456789abcdef").unwrap()).await;
    gateway.set_terms(station, ChargerTerms { enabled: false, ..ChargerTerms::default() }).await;
    assert_eq!(gateway.refused(&wrong("CP-1")).await.0, 403);
    gateway.set_terms(station, ChargerTerms::default()).await;
    let (status, response) = gateway.refused(&wrong("CP-1")).await;
    assert_eq!(status, 401);
    let challenge = response.headers().get("www-authenticate").unwrap().to_str().unwrap();
    assert!(challenge.starts_with("Basic"), "{challenge}");
    let signed_in = wrong("CP-1").basic("CP-1", b"0123456789abcdef");
    assert_eq!(gateway.refused(&signed_in).await.0, 400);
    let none = Handshake { subprotocols: None, ..signed_in.clone() };
    assert_eq!(gateway.refused(&none).await.0, 400);
    let good = Handshake { subprotocols: Some("ocpp2.0.1, ocpp1.6"), ..signed_in };
    good.shake(&gateway.url).await.unwrap().is_alive().await;
    // The name counts to the letter, and is decoded once.
    gateway.station("CP%31").await;
    Handshake::of("CP%2531").shake(&gateway.url).await.unwrap().is_alive().await;
    assert_eq!(gateway.refused(&Handshake::of("cp-1")).await.0, 404);
}

#[tokio::test]
async fn a_password_is_bytes_and_a_key_is_its_bytes_or_its_digits() {
    let gateway = Gateway::start(&[]).await;
    let station = gateway.station("CP 1").await;
    let handshake = Handshake::of("CP%201");
    let binary: Vec<u8> = (0..20_u8).map(|number| number.wrapping_mul(37) ^ 0xb5).collect();
    set_password(&gateway, station, &Password::new(&binary).unwrap()).await;
    handshake.clone().basic("CP 1", &binary).shake(&gateway.url).await.unwrap().is_alive().await;
    for (user, password) in [("cp 1", &binary[..]), ("CP 1", &binary[1..]), ("CP 1", b""), ("", &binary)] {
        let refused = gateway.refused(&handshake.clone().basic(user, password)).await;
        assert_eq!(refused.0, 401, "{user}");
    }
    let digits = "00112233445566778899AABBCCDDEEFF00112233";
    set_password(&gateway, station, &Password::from_key(digits).unwrap()).await;
    let bytes: Vec<u8> =
        (0..20).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap()).collect();
    let lower = digits.to_lowercase();
    for password in [&bytes[..], digits.as_bytes(), lower.as_bytes()] {
        handshake.clone().basic("CP 1", password).shake(&gateway.url).await.unwrap().is_alive().await;
    }
}

#[tokio::test]
async fn a_charger_without_a_password_is_let_in_only_where_that_is_allowed() {
    let gateway = Gateway::start(&[("OCPP_ALLOW_OPEN", "false")]).await;
    let station = gateway.station("CP-1").await;
    assert_eq!(gateway.refused(&Handshake::of("CP-1")).await.0, 401);
    let terms = ChargerTerms { security_profile: 1, ..ChargerTerms::default() };
    gateway.set_terms(station, terms).await;
    assert_eq!(gateway.refused(&Handshake::of("CP-1").basic("CP-1", b"anything")).await.0, 401);
}

#[tokio::test]
async fn a_charger_that_names_no_subprotocol_is_let_in_where_an_operator_says_so() {
    let gateway = Gateway::start(&[]).await;
    let station = gateway.station("CP-1").await;
    let silent = Handshake { subprotocols: None, ..Handshake::of("CP-1") };
    assert_eq!(gateway.refused(&silent).await.0, 400);
    let terms = ChargerTerms { assume_subprotocol: true, ..ChargerTerms::default() };
    gateway.set_terms(station, terms).await;
    silent.shake(&gateway.url).await.unwrap().is_alive().await;
    let foreign = Handshake { subprotocols: Some("ocpp2.0.1"), ..Handshake::of("CP-1") };
    assert_eq!(gateway.refused(&foreign).await.0, 400);
}

#[tokio::test]
async fn a_node_that_is_full_refuses_and_says_when_to_come_again() {
    let gateway = Gateway::start(&[("OCPP_MAX_SOCKETS", "1")]).await;
    let (_, mut socket) = gateway.booted("CP-1").await;
    gateway.station("CP-2").await;
    let (status, response) = gateway.refused(&Handshake::of("CP-2")).await;
    assert_eq!((status, response.headers().contains_key("retry-after")), (503, true));
    socket.is_alive().await;
}

#[tokio::test]
async fn a_charger_that_is_disabled_or_removed_loses_its_socket() {
    let gateway = Gateway::start(&[]).await;
    let (disabled, mut first) = gateway.booted("CP-1").await;
    gateway.set_terms(disabled, ChargerTerms { enabled: false, ..ChargerTerms::default() }).await;
    assert_eq!(first.closed().await, Some(1008));
    let (removed, mut second) = gateway.booted("CP-2").await;
    let gone = gateway.db.write(async |tx| {
        let station = charging_stations::find(tx, removed).await?.ok_or(StationError::NotFound)?;
        charging_stations::delete(tx, removed, station.row.version).await
    });
    gone.await.unwrap();
    assert_eq!(second.closed().await, Some(1008));
}

#[tokio::test]
async fn one_address_does_not_fill_the_inbox() {
    let gateway = Gateway::start(&[]).await;
    let http = gateway.url.replacen("ws", "http", 1);
    let come = async |client: &reqwest::Client, name: &str| {
        let response = client.get(format!("{http}/ocpp/{name}")).send().await.unwrap();
        assert_eq!(response.status(), 404, "{name}");
    };
    for number in 0..100 {
        come(&gateway.deployment.http, &format!("FLOOD-{number}")).await;
    }
    let from = std::net::Ipv4Addr::new(127, 0, 0, 2);
    let other = reqwest::Client::builder().no_proxy().local_address(Some(from.into())).build().unwrap();
    come(&other, "CP-1").await;
    let unknown = gateway.db.read(async |tx| inbox::list(tx, "", 1_000).await).await.unwrap();
    let flood = unknown.iter().filter(|found| found.name.starts_with("FLOOD-")).count();
    // Sixty at once, and one more each second.
    assert!((60..90).contains(&flood), "{flood}");
    let honest = unknown.iter().find(|found| found.name == "CP-1").unwrap();
    assert_eq!(honest.address.as_deref(), Some("127.0.0.2"));
}
