use proptest::prelude::*;

use super::*;

const HEARTBEAT: &str = r#"[2,"1","Heartbeat",{}]"#;
const LIMIT: Duration = Duration::from_secs(30);

fn id(text: &str) -> MessageId {
    MessageId::new(text).unwrap()
}

fn outgoing(text: &str) -> Outgoing {
    Outgoing { id: id(text), text: format!(r#"[2,"{text}","ClearCache",{{}}]"#), limit: LIMIT }
}

#[test]
fn one_call_of_ours_is_out_and_the_others_wait_in_order() {
    let (mut connection, now) = (Connection::new(), Instant::now());
    for name in ["a", "b"] {
        connection.send(outgoing(name)).unwrap();
    }
    assert_eq!(connection.next(now).unwrap().id, id("a"));
    assert_eq!((connection.next(now), connection.deadline()), (None, Some(now + LIMIT)));
    // Theirs are served at any time.
    assert!(matches!(connection.received(HEARTBEAT, now), Received::Call { .. }));
    let answered = connection.received(r#"[3,"a",{"status":"Accepted"}]"#, now);
    assert!(matches!(answered, Received::Answered(answered, Ok(_)) if answered == id("a")));
    assert_eq!(connection.next(now).unwrap().id, id("b"));
    let refused = connection.received(r#"[4,"b","NotSupported","no",{}]"#, now);
    assert_eq!(refused, Received::Answered(id("b"), Err((ErrorCode::NotSupported, "no".to_owned()))));
}

#[test]
fn an_answer_that_comes_late_or_twice_changes_nothing() {
    let (mut connection, now) = (Connection::new(), Instant::now());
    connection.send(outgoing("a")).unwrap();
    connection.next(now).unwrap();
    assert_eq!(connection.expired(now + LIMIT - Duration::from_millis(1)), None);
    assert_eq!(connection.expired(now + LIMIT), Some(id("a")));
    assert_eq!(connection.received(r#"[3,"a",{}]"#, now + LIMIT), Received::Late(id("a")));
    connection.send(outgoing("b")).unwrap();
    connection.next(now).unwrap();
    assert!(matches!(connection.received(r#"[3,"b",{}]"#, now), Received::Answered(..)));
    assert_eq!(connection.received(r#"[3,"b",{}]"#, now), Received::Late(id("b")));
}

#[test]
fn a_repeated_call_gets_the_first_answer_for_five_minutes() {
    let (mut connection, now) = (Connection::new(), Instant::now());
    assert!(matches!(connection.received(HEARTBEAT, now), Received::Call { .. }));
    assert_eq!(connection.received(HEARTBEAT, now), Received::InFlight);
    connection.answered(&id("1"), "answer", now);
    assert_eq!(connection.received(HEARTBEAT, now + ANSWERS_KEPT), Received::Again("answer".to_owned()));
    // Ids begin again after a reboot.
    let another = connection.received(r#"[2,"1","Authorize",{"idTag":"a"}]"#, now);
    assert!(matches!(another, Received::Call { action, .. } if action == "Authorize"));
    connection.answered(&id("1"), "another", now);
    let later = now + ANSWERS_KEPT + Duration::from_secs(1);
    assert!(matches!(connection.received(HEARTBEAT, later), Received::Call { .. }));
}

#[test]
fn a_call_without_an_answer_is_carried_out_when_it_is_repeated() {
    let (mut connection, now) = (Connection::new(), Instant::now());
    assert!(matches!(connection.received(HEARTBEAT, now), Received::Call { .. }));
    connection.unanswered(&id("1"));
    assert!(matches!(connection.received(HEARTBEAT, now), Received::Call { .. }));
}

#[test]
fn the_socket_is_not_read_while_too_many_calls_are_in_flight() {
    let (mut connection, now) = (Connection::new(), Instant::now());
    for n in 0..MAX_IN_FLIGHT {
        assert!(connection.may_read());
        connection.received(&format!(r#"[2,"{n}","Heartbeat",{{}}]"#), now);
    }
    assert!(!connection.may_read());
    connection.answered(&id("0"), "", now);
    assert!(connection.may_read());
}

#[test]
fn a_charger_that_sends_nonsense_is_cut_off_after_a_hundred_in_a_minute() {
    let (mut connection, now) = (Connection::new(), Instant::now());
    for _ in 0..MAX_DROPPED {
        assert_eq!(connection.received("nonsense", now), Received::Dropped(Dropped::NotJson));
    }
    assert_eq!(connection.received("nonsense", now), Received::Close(Dropped::NotJson));
    let later = now + DROPPED_WITHIN + Duration::from_secs(1);
    assert_eq!(connection.received("nonsense", later), Received::Dropped(Dropped::NotJson));
}

#[test]
fn too_many_calls_of_ours_are_refused() {
    let mut connection = Connection::new();
    for n in 0..MAX_WAITING {
        connection.send(outgoing(&n.to_string())).unwrap();
    }
    assert_eq!(connection.send(outgoing("more")), Err(Busy));
    let now = Instant::now();
    connection.next(now).unwrap();
    let (out, waiting) = connection.close();
    assert_eq!((out, waiting.len()), (Some(id("0")), MAX_WAITING - 1));
}

/// What may happen on a connection.
#[derive(Debug, Clone)]
enum Step {
    Send,
    Next,
    Answer(usize),
    Expire,
    Their(usize),
    AnswerTheirs(usize),
    Drop(usize),
    Nonsense,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Send),
        Just(Step::Next),
        (0..40_usize).prop_map(Step::Answer),
        Just(Step::Expire),
        (0..40_usize).prop_map(Step::Their),
        (0..40_usize).prop_map(Step::AnswerTheirs),
        (0..40_usize).prop_map(Step::Drop),
        Just(Step::Nonsense),
    ]
}

proptest! {
    #[test]
    fn each_call_of_ours_ends_once_and_each_of_theirs_is_carried_out_once(
        steps in prop::collection::vec(step(), 0..300)
    ) {
        let (mut connection, mut now) = (Connection::new(), Instant::now());
        let (mut sent, mut ended) = (Vec::new(), Vec::new());
        let (mut created, mut in_flight, mut done) = (0, Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Send => {
                    if connection.send(outgoing(&created.to_string())).is_ok() {
                        created += 1;
                    }
                }
                Step::Next => sent.extend(connection.next(now).map(|call| call.id)),
                Step::Answer(n) => {
                    let received = connection.received(&format!(r#"[3,"{n}",{{}}]"#), now);
                    if let Received::Answered(id, _) = received {
                        prop_assert!(sent.contains(&id) && !ended.contains(&id));
                        ended.push(id);
                    }
                }
                Step::Expire => {
                    now += Duration::from_secs(20);
                    ended.extend(connection.expired(now));
                }
                Step::Their(n) => {
                    let repeated = id(&format!("t{n}"));
                    match connection.received(&format!(r#"[2,"t{n}","Heartbeat",{{}}]"#), now) {
                    Received::Call { id, .. } => {
                        prop_assert!(!in_flight.contains(&id));
                        in_flight.push(id);
                    }
                    Received::Again(answer) => prop_assert!(done.contains(&answer)),
                    Received::InFlight => prop_assert!(in_flight.contains(&repeated)),
                    other => prop_assert!(false, "{:?}", other),
                    }
                }
                Step::AnswerTheirs(n) => {
                    let id = id(&format!("t{n}"));
                    if let Some(place) = in_flight.iter().position(|one| *one == id) {
                        in_flight.remove(place);
                        connection.answered(&id, id.as_str(), now);
                        done.push(id.to_string());
                    }
                }
                Step::Drop(n) => {
                    let id = id(&format!("t{n}"));
                    if let Some(place) = in_flight.iter().position(|one| *one == id) {
                        in_flight.remove(place);
                        connection.unanswered(&id);
                    }
                }
                Step::Nonsense => {
                    connection.received("nonsense", now);
                }
            }
            // At most one is out, and what is out has been sent and has not ended.
            prop_assert!(sent.len() - ended.len() <= 1);
            prop_assert_eq!(connection.may_read(), in_flight.len() < MAX_IN_FLIGHT);
        }
        let (out, waiting) = connection.close();
        prop_assert_eq!(out.into_iter().count(), sent.len() - ended.len());
        prop_assert_eq!(waiting.len(), created - sent.len());
    }
}
