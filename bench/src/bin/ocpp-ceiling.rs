//! What the libraries and the kernel cost: actix-web and actix-ws, with answers that are fixed. It parses no JSON and keeps
//! nothing. `ocpp-ceiling PORT`; `bench ocpp` starts it.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use actix_web::http::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use actix_web::web::{self, Payload};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, rt};
use actix_ws::{Message, MessageStream, Session};
use clap::Parser;
use futures_util::StreamExt;
use tikv_jemallocator::Jemalloc;

// That of ocpp-gateway, so that the memory of a socket can be compared.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// So that a storm of 2,000 is not what the accept queue makes of it.
const BACKLOG: u32 = 4096;

/// Answers chargers with fixed texts, to measure what a central system costs at least.
#[derive(Debug, Parser)]
struct Cli {
    /// The port on 127.0.0.1
    port: u16,
}

#[actix_web::main]
async fn main() -> std::io::Result<ExitCode> {
    let cli: Cli = match command_line::parse() {
        Ok(cli) => cli,
        Err(code) => return Ok(code),
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, cli.port));
    let server = HttpServer::new(|| {
        App::new()
            .route("/readyz", web::get().to(HttpResponse::Ok))
            .route("/ocpp/{charger}", web::get().to(connect))
    });
    server.backlog(BACKLOG).max_connection_rate(BACKLOG as usize).bind(address)?.run().await?;
    Ok(ExitCode::SUCCESS)
}

async fn connect(request: HttpRequest, payload: Payload) -> actix_web::Result<HttpResponse> {
    let (mut response, session, frames) = actix_ws::handle(&request, payload)?;
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("ocpp1.6"));
    rt::spawn(serve(session, frames));
    Ok(response)
}

async fn serve(mut session: Session, mut frames: MessageStream) {
    while let Some(Ok(message)) = frames.next().await {
        let sent = match message {
            Message::Text(text) => match answer(&text) {
                Some(answer) => session.text(answer).await,
                None => Ok(()),
            },
            Message::Ping(bytes) => session.pong(&bytes).await,
            Message::Close(_) => break,
            _ => Ok(()),
        };
        if sent.is_err() {
            return;
        }
    }
    // The charger may be gone already.
    let _ = session.close(None).await;
}

/// The answer to a CALL as the load client writes it: `[2,"ID","ACTION",…`.
fn answer(text: &str) -> Option<String> {
    let mut quoted = text.split('"');
    let (id, action) = (quoted.nth(1)?, quoted.nth(1)?);
    let payload = match action {
        "BootNotification" => {
            r#"{"status":"Accepted","currentTime":"2026-11-29T03:00:00.000Z","interval":300}"#
        }
        "Heartbeat" => r#"{"currentTime":"2026-11-29T03:00:00.000Z"}"#,
        "Authorize" => r#"{"idTagInfo":{"status":"Accepted"}}"#,
        _ => "{}",
    };
    Some(format!(r#"[3,"{id}",{payload}]"#))
}
