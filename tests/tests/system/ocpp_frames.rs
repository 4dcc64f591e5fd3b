//! Frames: what is dropped, what is refused and by which code, what closes a connection, and a CALL that comes again.

use std::time::Duration;

use serde_json::{Value, json};
use tests::PATIENCE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use super::ocpp::{Gateway, start};

#[tokio::test]
async fn each_fault_has_its_code_and_what_has_no_id_is_dropped() {
    let gateway = Gateway::start(&[]).await;
    let (_, mut socket) = gateway.booted("CP-1").await;
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    for dropped in
        ["", "x", "{}", "7", "[]", "[2]", r#"[2,"","Heartbeat",{}]"#, "[2,7,\"Heartbeat\",{}]", &deep]
    {
        socket.say(dropped).await;
    }
    socket.send(Message::binary(&br#"[2,"b","Heartbeat",{}]"#[..])).await;
    for (frame, code) in [
        (r#"[2,"a","Heartbeat",[]]"#, "TypeConstraintViolation"),
        (r#"[2,"a","Heartbeat",null]"#, "TypeConstraintViolation"),
        (r#"[2,"a",5,{}]"#, "TypeConstraintViolation"),
        (r#"[2,"a","Heartbeat"]"#, "FormationViolation"),
        (r#"[2,"a","Heartbeat",{},{}]"#, "FormationViolation"),
        (r#"[2,"a","Nonsense",{}]"#, "NotImplemented"),
        (r#"[2,"a","heartbeat",{}]"#, "NotImplemented"),
        (r#"[2,"a","TransactionEvent",{}]"#, "NotImplemented"),
        (r#"[2,"a","Reset",{"type":"Hard"}]"#, "NotSupported"),
        (r#"[2,"a","Authorize",{}]"#, "OccurenceConstraintViolation"),
        (r#"[2,"a","Authorize",{"idTag":null}]"#, "OccurenceConstraintViolation"),
        (r#"[2,"a","Authorize",{"idTag":{}}]"#, "TypeConstraintViolation"),
        (r#"[2,"a","Authorize",{"idTag":"123456789012345678901"}]"#, "PropertyConstraintViolation"),
        (
            r#"[2,"a","StatusNotification",{"connectorId":1,"errorCode":"NoError"}]"#,
            "OccurenceConstraintViolation",
        ),
        (
            r#"[2,"a","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Sleepy"}]"#,
            "PropertyConstraintViolation",
        ),
        (
            r#"[2,"a","StatusNotification",{"connectorId":-1,"errorCode":"NoError","status":"Available"}]"#,
            "PropertyConstraintViolation",
        ),
        (
            r#"[2,"a","StatusNotification",{"connectorId":257,"errorCode":"NoError","status":"Available"}]"#,
            "PropertyConstraintViolation",
        ),
        (
            r#"[2,"a","MeterValues",{"connectorId":1,"meterValue":[{"timestamp":"yesterday","sampledValue":[]}]}]"#,
            "PropertyConstraintViolation",
        ),
        (
            r#"[2,"a","MeterValues",{"connectorId":99999999999,"meterValue":[]}]"#,
            "PropertyConstraintViolation",
        ),
    ] {
        socket.say(frame).await;
        let answer = socket.frame().await;
        assert_eq!((&answer[0], &answer[1], &answer[2]), (&json!(4), &json!("a"), &json!(code)), "{frame}");
        assert!(answer[3].as_str().unwrap().len() <= 255 && answer[4].is_object(), "{answer}");
    }
    // An answer to nothing is never answered.
    socket.say(r#"[3,"x",{}]"#).await;
    socket.say(r#"[4,"x","GenericError","",{}]"#).await;
    socket.say(r#"[5,"x"]"#).await;
    socket.is_alive().await;
    let long = "i".repeat(255);
    socket.say(format!(r#"[2,"{long}","Heartbeat",{{}}]"#)).await;
    assert_eq!(socket.frame().await[1], json!(long));
}

#[tokio::test]
async fn a_call_that_comes_again_has_the_same_answer_and_another_one_with_its_id_does_not() {
    let gateway = Gateway::start(&[]).await;
    gateway.tag("always").await;
    let (_, mut socket) = gateway.booted("CP-1").await;
    let call = json!([2, "one", "StartTransaction", start("2026-11-01T10:00:00Z")]).to_string();
    socket.say(&call).await;
    let first = socket.hear().await;
    socket.say(&call).await;
    assert_eq!(socket.hear().await, first);
    let heartbeat = r#"[2,"one","Heartbeat",{}]"#;
    socket.say(heartbeat).await;
    let beat = socket.hear().await;
    assert!(beat.contains("currentTime"), "{beat}");
    socket.say(heartbeat).await;
    assert_eq!(socket.hear().await, beat);
    socket.say(json!([2, "one", "StartTransaction", start("2026-11-01T11:00:00Z")]).to_string()).await;
    let other = socket.hear().await;
    assert_ne!(other, first);
    assert_eq!(gateway.sessions().await.len(), 2);
}

#[tokio::test]
async fn fragments_are_one_message() {
    let gateway = Gateway::start(&[]).await;
    let (_, mut socket) = gateway.booted("CP-1").await;
    let text = r#"[2,"part","DataTransfer",{"vendorId":"Ä"}]"#.as_bytes();
    // Cut in the middle of a letter.
    let letter = text.iter().position(|byte| *byte > 127).unwrap();
    socket.say_part(&text[..letter + 1], true, false).await;
    socket.send(Message::Ping(Vec::new().into())).await;
    socket.say_part(&text[letter + 1..letter + 2], false, false).await;
    socket.say_part(&text[letter + 2..], false, true).await;
    assert_eq!(socket.frame().await, json!([3, "part", {"status": "UnknownVendorId"}]));
}

#[tokio::test]
async fn what_is_no_text_closes_with_1007() {
    let gateway = Gateway::start(&[]).await;
    let (station, mut socket) = gateway.booted("CP-1").await;
    socket.say_part(b"[2,\"a\",\"Heartbeat\",{}]\xff", true, true).await;
    assert_eq!(socket.closed().await, Some(1007));
    gateway.online_is(station, false).await;
    assert_eq!(gateway.charger(station).await.disconnect_reason.as_deref(), Some("not_text"));
    let mut socket = gateway.connect("CP-1").await;
    socket.say_part(b"[2,\"a\",\"Heart\xff", true, false).await;
    socket.say_part(b"beat\",{}]", false, true).await;
    assert_eq!(socket.closed().await, Some(1007));
}

#[tokio::test]
async fn what_is_larger_than_the_limit_closes_with_1009_and_what_is_not_is_served() {
    let gateway = Gateway::start(&[("OCPP_MAX_FRAME_KIB", "256")]).await;
    let (_, mut socket) = gateway.booted("CP-1").await;
    let data = |size: usize| json!({"vendorId": "Acme", "data": "d".repeat(size)});
    assert_eq!(socket.call("DataTransfer", data(250 * 1024)).await["status"], "UnknownVendorId");
    socket.ask("DataTransfer", &data(257 * 1024)).await;
    assert_eq!(socket.closed().await, Some(1009));
    // Parts count together.
    let mut socket = gateway.connect("CP-1").await;
    socket.say_part(&[b' '; 200 * 1024], true, false).await;
    socket.say_part(&[b' '; 200 * 1024], false, true).await;
    assert_eq!(socket.closed().await, Some(1009));
}

/// actix-http takes the whole frame before it looks at its size.
#[tokio::test]
async fn a_frame_that_is_too_large_is_refused_before_it_has_arrived() {
    let gateway = Gateway::start(&[]).await;
    gateway.station("CP-1").await;
    let address = gateway.url.trim_start_matches("ws://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "GET /ocpp/CP-1 HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reading, mut writing) = stream.split();
    // A text of 1 GiB, of which 4 MiB come.
    let some = vec![b' '; 4 * 1024 * 1024];
    let frame = [&[0x81, 0xff][..], &(1_u64 << 30).to_be_bytes(), &[0; 4], &some].concat();
    let mut answer = Vec::new();
    let writing = async {
        // It may be reset while it is written.
        let _ = writing.write_all(&frame).await;
        std::future::pending::<()>().await;
    };
    let closed = async {
        while !answer.ends_with(&[0x88, 2, 0x03, 0xf1]) {
            let read = reading.read_buf(&mut answer).await.unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
        }
    };
    tokio::select! {
        () = writing => {}
        () = closed => {}
        () = tokio::time::sleep(PATIENCE) => panic!("it is not closed"),
    }
}

#[tokio::test]
async fn after_a_hundred_frames_of_nonsense_the_connection_is_closed_with_1008() {
    let gateway = Gateway::start(&[]).await;
    let (_, mut socket) = gateway.booted("CP-1").await;
    for _ in 0..100 {
        socket.say("nonsense").await;
    }
    socket.is_alive().await;
    socket.say("nonsense").await;
    assert_eq!(socket.closed().await, Some(1008));
}

#[tokio::test]
async fn many_calls_at_once_are_answered_in_their_order() {
    let gateway = Gateway::start(&[]).await;
    let (_, mut socket) = gateway.booted("CP-1").await;
    let mut sent = Vec::new();
    for _ in 0..100 {
        sent.push(socket.ask("DataTransfer", &json!({"vendorId": "Acme"})).await);
    }
    let mut answered = Vec::new();
    for _ in 0..100 {
        let answer: Value = socket.frame().await;
        answered.push(answer[1].as_str().unwrap().to_owned());
    }
    assert_eq!(answered, sent);
}

#[tokio::test]
async fn large_frames_share_a_budget_and_hold_no_small_one_back() {
    // Four of the largest ones fit.
    let gateway = Gateway::start(&[("OCPP_MAX_FRAME_KIB", "16384")]).await;
    let part = [b' '; 100 * 1024];
    let mut begun = Vec::new();
    for number in 1..=4 {
        let (_, mut socket) = gateway.booted(&format!("CP-{number}")).await;
        socket.say_part(&part, true, false).await;
        // It is read, so that it has its share before the next one.
        socket.say_part(&part, false, false).await;
        begun.push(socket);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (_, mut waiting) = gateway.booted("CP-5").await;
    let (_, mut small) = gateway.booted("CP-6").await;
    let large = json!({"vendorId": "Acme", "data": "d".repeat(2 * 1024 * 1024)});
    let id = waiting.ask("DataTransfer", &large).await;
    assert_eq!(waiting.hear_within(Duration::from_secs(1)).await, None);
    small.is_alive().await;
    let mut first = begun.remove(0);
    first.say_part(br#"[2,"first","Heartbeat",{}]"#, false, true).await;
    assert_eq!(first.frame().await[1], json!("first"));
    assert_eq!(waiting.frame().await[1], json!(id));
    // Who waits too long is asked to come again.
    first.say_part(&part, true, false).await;
    first.say_part(&part, false, false).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    waiting.ask("DataTransfer", &large).await;
    assert_eq!(waiting.hear_within(Duration::from_secs(5)).await, None);
    assert_eq!(waiting.closed().await, Some(1013));
    small.is_alive().await;
}
