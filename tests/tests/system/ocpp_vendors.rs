//! What chargers send that is the operator's own business: data of vendors, requests for certificates, and how files fare.

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use serde_json::{Value, json};
use tests::deployment::Deployment;
use tests::platform::Platform;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::accounts::new_database;
use super::ocpp::Gateway;

/// An endpoint that always has this answer. Returns its URL, and what it is sent.
async fn endpoint(status: &'static str, body: &'static str) -> (String, mpsc::UnboundedReceiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/vendor", listener.local_addr().unwrap());
    let (sender, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let sent = loop {
                socket.read_buf(&mut request).await.unwrap();
                let text = String::from_utf8_lossy(&request);
                let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
                if let Some(sent) = body.and_then(|body| serde_json::from_str(&body).ok()) {
                    break sent;
                }
            };
            let head =
                format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            if sender.send(sent).is_err() {
                return;
            }
        }
    });
    (url, received)
}

#[tokio::test]
async fn data_of_a_vendor_goes_to_its_endpoint_and_is_never_accepted_without_one() {
    let (good, mut received) = endpoint("200 OK", r#"{"status": "Accepted", "data": "price 0.42"}"#).await;
    let (bad, _) = endpoint("500 Internal Server Error", "no").await;
    let (odd, _) = endpoint("200 OK", r#"{"status": "Perhaps"}"#).await;
    let handlers = format!("Acme/price={good},Broken={bad},Odd={odd},Gone=http://127.0.0.1:1/");
    let gateway = Gateway::start(&[("OCPP_DATA_TRANSFER_HANDLERS", &handlers)]).await;
    let (_, mut socket) = gateway.booted("CP-1").await;
    let data = json!({"vendorId": "Acme", "messageId": "price", "data": "{\"evse\": 1}"});
    assert_eq!(socket.call("DataTransfer", data).await, json!({"status": "Accepted", "data": "price 0.42"}));
    let sent =
        json!({"charger": "CP-1", "vendor_id": "Acme", "message_id": "price", "data": "{\"evse\": 1}"});
    assert_eq!(received.recv().await, Some(sent));
    for (vendor, expected) in [
        ("Acme", "UnknownMessageId"),
        ("Other", "UnknownVendorId"),
        ("Broken", "Rejected"),
        ("Odd", "Rejected"),
        ("Gone", "Rejected"),
    ] {
        let answer = socket.call("DataTransfer", json!({"vendorId": vendor, "data": "x"})).await;
        assert_eq!(answer, json!({"status": expected}), "{vendor}");
    }
    socket.is_alive().await;
}

#[tokio::test]
async fn an_operator_sees_how_files_fare_and_signs_what_a_charger_asks_for() {
    let url = new_database().await;
    let platform = Platform::of(Deployment::new().await.with("DATABASE_URL", &url)).await;
    let gateway = Gateway::on(&url, &[]).await;
    let (_, mut socket) = gateway.booted("CP-1").await;
    for (action, payload) in [
        ("FirmwareStatusNotification", json!({"status": "Downloading"})),
        ("SignedFirmwareStatusNotification", json!({"status": "Installed", "requestId": 7})),
        ("LogStatusNotification", json!({"status": "Uploaded", "requestId": 8})),
        ("DiagnosticsStatusNotification", json!({"status": "UploadFailed"})),
    ] {
        assert_eq!(socket.call(action, payload).await, json!({}), "{action}");
    }
    let charger = platform.get("/api/v1/chargers/CP-1").await.body;
    for (kind, status, request) in [
        ("firmware", "Installed", json!(7)),
        ("log", "Uploaded", json!(8)),
        ("diagnostics", "UploadFailed", Value::Null),
    ] {
        let transfer = &charger["transfers"][kind];
        assert_eq!((&transfer["status"], &transfer["request_id"]), (&json!(status), &request), "{charger}");
    }

    let place = "/api/v1/chargers/CP-1/certificate-request";
    assert_eq!(platform.get(place).await.refusal(), (404, "certificate_request"));
    assert_eq!(socket.call("SignCertificate", json!({"csr": "nothing"})).await["status"], "Rejected");
    assert_eq!(platform.get(place).await.status, 404);
    let (mut params, key) = (CertificateParams::new([]).unwrap(), KeyPair::generate().unwrap());
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Operator");
    let csr = params.serialize_request(&key).unwrap().pem().unwrap();
    assert_eq!(socket.call("SignCertificate", json!({"csr": csr})).await["status"], "Accepted");
    assert_eq!(platform.get(place).await.body["csr"], csr);

    let send = "/api/v1/chargers/CP-1/certificate-signed";
    let refused = platform.post(send, &json!({"certificate_chain": "no PEM"})).await;
    assert_eq!(refused.refusal(), (400, "certificate_chain"));
    let chain = params.self_signed(&key).unwrap().pem();
    let accepted = platform.post(send, &json!({"certificate_chain": chain})).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    let signed = socket.frame().await;
    assert_eq!((&signed[2], &signed[3]), (&json!("CertificateSigned"), &json!({"certificateChain": chain})));
    socket.say(json!([3, signed[1], {"status": "Accepted"}]).to_string()).await;
}
