//! The time limit between a client and every handler.

use std::time::Duration;

use actix_web::body::to_bytes;
use actix_web::http::header::{CONTENT_TYPE, RETRY_AFTER};
use actix_web::{App, HttpResponse, test, web};
use http_server::Access;
use http_server::slow_resource;
use serde_json::{Value, json};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{Sender, channel};

#[actix_web::test]
async fn a_handler_that_takes_too_long_is_dropped_and_the_client_told_when_to_come_again() {
    let (handled, mut dropped) = channel::<()>(1);
    let handled = web::Data::new(handled);
    let for_ever = |handled: web::Data<Sender<()>>| async move {
        let _handled = handled.get_ref().clone();
        std::future::pending::<HttpResponse>().await
    };
    let resource = slow_resource("/slow", &[("GET", Access::Open)], Duration::from_secs(1));
    let app = App::new().app_data(handled.clone()).service(resource.route(web::get().to(for_ever)));
    let app = test::init_service(app).await;
    let asked = test::TestRequest::get().uri("/slow").to_request();
    let refused = test::try_call_service(&app, asked).await.map(|_| "an answer").unwrap_err();
    // As the server turns it into a response.
    let answered = refused.error_response();
    let header = |name| answered.headers().get(name).map(|value| value.to_str().unwrap());
    assert_eq!((answered.status().as_u16(), header(RETRY_AFTER)), (503, Some("1")));
    assert_eq!(header(CONTENT_TYPE), Some("application/problem+json"));
    let body = to_bytes(answered.into_body()).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        json!([body["field"], body["detail"]]),
        json!(["server", "the request timed out after 1 s and may still have taken effect"])
    );
    drop((app, handled));
    assert_eq!(dropped.try_recv(), Err(TryRecvError::Disconnected), "nothing of the handler is left");
}
