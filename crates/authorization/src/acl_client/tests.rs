//! Tests against staged acl-services: slow ones, and one without batches.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use common::clock;
use common::ids::{DriverToken, RequestId, StationId};
use futures_util::future::join_all;
use serde_json::{Value, json};
use service_runtime::trace_context::TraceContext;
use tokio::sync::Semaphore;

use super::{AclAccess, AclClient, NoAnswer};

/// Admits tokens that end in an even digit. Answers a call once it gets a permit.
struct Staged {
    calls: Mutex<Vec<String>>,
    permits: Semaphore,
    knows_many: bool,
}

struct Stage {
    staged: Arc<Staged>,
    client: AclClient,
    server: ServerHandle,
}

impl Stage {
    fn set(permits: usize, knows_many: bool) -> Self {
        let (calls, permits) = (Mutex::default(), Semaphore::new(permits));
        let staged = Arc::new(Staged { calls, permits, knows_many });
        let data = Data::from(Arc::clone(&staged));
        let server =
            HttpServer::new(move || App::new().app_data(data.clone()).default_service(web::to(answer)));
        let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0)).expect("a free port");
        let base = format!("http://{}", server.addrs()[0]).parse().expect("a URL");
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        let client = AclClient::new(base, &AclAccess::default()).expect("a client");
        Self { staged, client, server: handle }
    }

    async fn ask(&self, number: usize, within: Duration) -> Result<bool, NoAnswer> {
        self.ask_about(&format!("driver-token-number-{number:05}"), within).await
    }

    async fn ask_about(&self, token: &str, within: Duration) -> Result<bool, NoAnswer> {
        let token = DriverToken::parse(token).expect("a token");
        let deadline = clock::now() + clock::nanos(within);
        let station = StationId::from_uuid(RequestId::new().uuid());
        self.client.is_allowed(RequestId::new(), station, &token, deadline, &TraceContext::new()).await
    }

    fn calls(&self) -> Vec<String> {
        self.staged.calls.lock().unwrap().clone()
    }

    async fn strike(self) {
        self.staged.permits.add_permits(10_000);
        self.server.stop(false).await;
    }
}

async fn answer(staged: Data<Staged>, request: HttpRequest, body: Bytes) -> HttpResponse {
    staged.calls.lock().unwrap().push(request.path().to_owned());
    if request.path().contains("hangs") {
        std::future::pending::<()>().await;
    }
    staged.permits.acquire().await.unwrap().forget();
    let admitted = |token: &str| token.as_bytes().last().is_some_and(|digit| digit % 2 == 0);
    if request.path() != "/acl/check" {
        let token = request.path().split('/').nth(4).unwrap_or_default();
        return HttpResponse::Ok().json(json!({ "allowed": admitted(token) }));
    }
    if !staged.knows_many {
        return HttpResponse::NotFound().finish();
    }
    let pairs: Value = serde_json::from_slice(&body).unwrap();
    let tokens = pairs["pairs"].as_array().unwrap().iter().map(|pair| pair["driver_token"].as_str().unwrap());
    HttpResponse::Ok().json(json!({ "allowed": tokens.map(admitted).collect::<Vec<_>>() }))
}

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn concurrent_questions_share_a_call_and_get_their_own_answers() {
    let stage = Stage::set(10_000, true);
    let answers = join_all((0..1200).map(|number| stage.ask(number, SOON))).await;
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap(), number % 2 == 0, "{number}");
    }
    let calls = stage.calls();
    assert!(calls.len() < 20, "{calls:?}");
    stage.strike().await;
}

#[tokio::test]
async fn a_question_that_waits_with_no_other_is_asked_by_itself() {
    let stage = Stage::set(10_000, true);
    assert!(stage.ask(2, SOON).await.unwrap());
    assert!(stage.calls()[0].starts_with("/station/"), "{:?}", stage.calls());
    stage.strike().await;
}

#[tokio::test]
async fn a_call_that_hangs_holds_up_no_later_question() {
    let stage = Stage::set(10_000, true);
    let hangs = stage.ask_about("driver-token-that-hangs", Duration::from_secs(10));
    let later = async {
        while stage.calls().is_empty() {
            tokio::task::yield_now().await;
        }
        stage.ask(2, SOON).await
    };
    tokio::select! {
        first = hangs => panic!("the hanging call was answered first: {first:?}"),
        later = later => assert!(later.unwrap()),
    }
    stage.strike().await;
}

#[tokio::test]
async fn an_acl_service_that_knows_single_questions_only_is_asked_those() {
    let stage = Stage::set(10_000, false);
    let answers = join_all((0..50).map(|number| stage.ask(number, SOON))).await;
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap(), number % 2 == 0, "{number}");
    }
    let many = stage.calls().iter().filter(|path| *path == "/acl/check").count();
    assert_eq!(many, 1);
    stage.strike().await;
}

#[tokio::test]
async fn an_abandoned_call_leaves_the_others_their_answers() {
    let stage = Stage::set(0, true);
    let first = async {
        let first = stage.ask(1, Duration::from_millis(200)).await;
        stage.staged.permits.add_permits(10_000);
        first
    };
    let (first, others) = tokio::join!(first, join_all((2..6).map(|number| stage.ask(number, SOON))));
    assert!(first.is_err(), "{first:?}");
    for (number, answer) in (2..6).zip(others) {
        assert_eq!(answer.unwrap(), number % 2 == 0, "{number}");
    }
    stage.strike().await;
}
