//! Every route of platform-api, asked by every kind of caller: those that the document names are admitted, and no others.

use std::collections::BTreeSet;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tests::people::{PASSWORD, Person};
use tests::platform::{Answer, KEY, Platform};
use uuid::Uuid;

use super::accounts::unlimited;
use super::keys::created;

const ROLES: [&str; 5] = ["driver", "host", "staff", "operator", "admin"];
const SCOPES: [&str; 7] =
    ["authorize", "read", "acl", "admin", "platform:read", "platform:operate", "platform:admin"];

/// An operation of the document.
struct Route {
    id: String,
    method: Method,
    path: String,
    /// The media type of its body, if it takes one.
    body: Option<String>,
    rights: Rights,
}

/// Who may use an operation, as the document says.
#[derive(Debug)]
enum Rights {
    /// Credentials are not looked at: health checks and documents.
    Service,
    Anyone,
    Only {
        roles: BTreeSet<String>,
        scopes: BTreeSet<String>,
    },
}

/// Who asks.
#[derive(Debug)]
enum Caller {
    Stranger,
    Account(&'static str, Person),
    Key(&'static str, String),
}

impl Rights {
    fn of(operation: &Value) -> Self {
        let Some(requirements) = operation.get("security") else { return Self::Service };
        let (mut roles, mut scopes) = (BTreeSet::new(), BTreeSet::new());
        let requirements = requirements.as_array().unwrap();
        for (scheme, words) in requirements.iter().flat_map(|one| one.as_object().unwrap()) {
            let words = words.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned());
            if scheme == "account" { roles.extend(words) } else { scopes.extend(words) }
        }
        if requirements.is_empty() { Self::Anyone } else { Self::Only { roles, scopes } }
    }

    /// What is wrong with the status that this caller got.
    fn fault(&self, caller: &Caller, status: u16) -> Option<String> {
        let Self::Only { roles, scopes } = self else {
            return [401, 403].contains(&status).then(|| format!("{status} where anyone is admitted"));
        };
        let admitted = match caller {
            Caller::Stranger => return (status != 401).then(|| format!("{status} instead of 401")),
            Caller::Account("admin", _) => roles.contains("admin"),
            Caller::Account(role, _) => roles.contains("driver") || roles.contains(*role),
            Caller::Key("platform:admin", _) => !scopes.is_empty(),
            Caller::Key(scope, _) => scopes.contains(*scope),
        };
        match admitted {
            true => [401, 403].contains(&status).then(|| format!("{status} for one who is admitted")),
            false => (status != 403).then(|| format!("{status} instead of 403")),
        }
    }
}

impl Caller {
    fn name(&self) -> &'static str {
        match self {
            Self::Stranger => "a stranger",
            Self::Account(role, _) => role,
            Self::Key(scope, _) => scope,
        }
    }

    fn with_credentials(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Stranger => request,
            Self::Account(_, person) => request.bearer_auth(&person.access),
            Self::Key(_, key) => request.bearer_auth(key),
        }
    }

    /// Signs in again, if what was asked for has ended the sign-in.
    async fn revived(&mut self, platform: &Platform) {
        if let Self::Account(_, person) = self
            && person.status(platform).await == 401
        {
            *person = platform.sign_in(&person.name).await;
        }
    }
}

impl Route {
    /// The status of the answer's head, as a stream has no end.
    async fn status(&self, platform: &Platform, caller: &Caller) -> u16 {
        let mut path = String::new();
        for part in self.path.split('/').skip(1) {
            let part = match part {
                "{file}" => "index.css".to_owned(),
                part if part.starts_with('{') => Uuid::now_v7().to_string(),
                part => part.to_owned(),
            };
            path = format!("{path}/{part}");
        }
        let mut request = platform.stranger(self.method.clone(), &path);
        if let Some(media_type) = &self.body {
            request = request.header("content-type", media_type).body("{}");
        }
        caller.with_credentials(request).send().await.unwrap().status().as_u16()
    }
}

async fn routes(platform: &Platform) -> Vec<Route> {
    let document = Answer::to(platform.stranger(Method::GET, "/openapi.json")).await.body;
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let media_types = operation["requestBody"]["content"].as_object();
            routes.push(Route {
                id: operation["operationId"].as_str().unwrap().to_owned(),
                method: Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(),
                path: path.clone(),
                body: media_types.and_then(|types| types.keys().next().cloned()),
                rights: Rights::of(operation),
            });
        }
    }
    routes
}

async fn callers(platform: &Platform) -> Vec<Caller> {
    let location = platform.location("Harbour garage").await.id();
    let mut callers = vec![Caller::Stranger];
    for role in ROLES {
        let grant = match role {
            "host" | "staff" => json!({"role": role, "location_ids": [location]}),
            role => json!({ "role": role }),
        };
        callers.push(Caller::Account(role, platform.register_with(role, &json!([grant])).await));
    }
    for scope in SCOPES {
        callers.push(Caller::Key(scope, created(&platform.deployment, scope, &[]).await.0));
    }
    callers
}

#[tokio::test]
async fn each_route_admits_those_whom_its_document_names_and_no_others() {
    let deployment = unlimited().await;
    // One more, so that the administrator of the walk may lose everything.
    let deployment =
        deployment.with("PLATFORM_ADMIN_USERNAME", "root").with("PLATFORM_ADMIN_PASSWORD", PASSWORD);
    let platform = Platform::of(deployment).await;
    let mut callers = callers(&platform).await;
    let (mut faults, mut guarded, mut open) = (Vec::new(), 0, 0);
    for route in routes(&platform).await {
        match route.rights {
            Rights::Only { .. } => guarded += 1,
            Rights::Anyone | Rights::Service => open += 1,
        }
        for caller in &mut callers {
            let status = route.status(&platform, caller).await;
            if let Some(fault) = route.rights.fault(caller, status) {
                faults.push(format!(
                    "{} {} ({}) by {}: {fault}",
                    route.method,
                    route.path,
                    route.id,
                    caller.name()
                ));
            }
            caller.revived(&platform).await;
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(guarded >= 25 && open >= 12, "{guarded} guarded, {open} open");
}

#[tokio::test]
async fn wrong_credentials_are_refused_by_every_route_that_looks_at_them() {
    let platform = Platform::of(unlimited().await).await;
    let gone = platform.register("ada").await;
    assert_eq!(gone.sign_out(&platform).await, 200);
    let wrong = [
        Caller::Account("signed out", gone),
        Caller::Key("with another secret", KEY.replace("5ec4e7", "000000")),
        Caller::Key("unknown", KEY.replace("admin", "unknown")),
        Caller::Key("malformed", "vg_".to_owned()),
    ];
    for route in routes(&platform).await {
        let looks = match route.rights {
            Rights::Service => false,
            Rights::Only { .. } => true,
            // Those who sign in may still send what has expired.
            Rights::Anyone => route.path.starts_with("/api/v1/"),
        };
        for caller in &wrong {
            let status = route.status(&platform, caller).await;
            let case = format!("{} {} by {}: {status}", route.method, route.path, caller.name());
            assert_eq!(status == 401, looks, "{case}");
            assert_ne!(status, 403, "{case}");
        }
    }
}

#[test]
fn a_hole_in_the_gate_is_found() {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let only = Rights::Only { roles: words(&["staff", "admin"]), scopes: words(&["platform:read"]) };
    let person =
        Person { id: String::new(), name: String::new(), access: String::new(), refresh: String::new() };
    let account = |role| Caller::Account(role, person.clone());
    let key = |scope| Caller::Key(scope, String::new());
    for (caller, good) in [
        (Caller::Stranger, 401),
        (account("driver"), 403),
        (account("operator"), 403),
        (account("staff"), 404),
        (account("admin"), 400),
        (key("platform:read"), 200),
        (key("platform:admin"), 200),
        (key("platform:operate"), 403),
        (key("admin"), 403),
    ] {
        for status in [200, 400, 401, 403, 404, 409] {
            let refusal = [401, 403].contains(&good);
            let right = if refusal { status == good } else { ![401, 403].contains(&status) };
            assert_eq!(only.fault(&caller, status).is_none(), right, "{caller:?} {status}");
        }
    }
    assert!(Rights::Anyone.fault(&account("driver"), 403).is_some());
    assert!(Rights::Anyone.fault(&Caller::Stranger, 401).is_some());
    assert!(Rights::Anyone.fault(&Caller::Stranger, 404).is_none());
}
