//! platform-api with a database of its own, documents for it, and requests to it.

use std::path::Path;

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::deployment::Deployment;
use crate::event_stream::EventStream;
use crate::process::Process;

/// A key with every scope.
pub const KEY: &str = "vg_admin_5ec4e7000000000000000000000000000000000000000000";

/// A running platform-api.
#[derive(Debug)]
pub struct Platform {
    /// Its settings and servers.
    pub deployment: Deployment,
    /// The process.
    pub process: Process,
    /// Its URL.
    pub url: String,
    /// The embedded database.
    directory: TempDir,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; null if it is not JSON.
    pub body: Value,
    /// The body as it came.
    pub text: String,
}

impl Platform {
    /// Starts it with an embedded database.
    pub async fn start() -> Self {
        Self::of(Deployment::new().await).await
    }

    /// The same for a deployment with settings of its own; `DATABASE_URL` is an embedded database unless it has one.
    pub async fn of(mut deployment: Deployment) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let embedded = format!("embedded:{}", directory.path().join("platform").display());
        deployment.environment.entry("DATABASE_URL".to_owned()).or_insert(embedded);
        Self::started(deployment.with("API_KEY_BOOTSTRAP", KEY), directory).await
    }

    /// Another process of the same deployment.
    pub fn at(deployment: &Deployment, process: Process, url: String) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self { deployment: deployment.clone(), process, url, directory }
    }

    /// The directory whose folder `platform` is the embedded database.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Sends SIGKILL, and starts it again on the same database.
    pub async fn crash(self) -> Self {
        let Self { deployment, process, directory, .. } = self;
        process.kill().await;
        Self::started(deployment, directory).await
    }

    /// Starts it again on the same database after it has ended.
    pub async fn start_again(self) -> Self {
        Self::started(self.deployment, self.directory).await
    }

    async fn started(deployment: Deployment, directory: TempDir) -> Self {
        let (process, url) = deployment.start_platform().await;
        Self { deployment, process, url, directory }
    }

    /// A request to a path, with a key that may do everything.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.stranger(method, path).bearer_auth(KEY)
    }

    /// A request without a key.
    pub fn stranger(&self, method: Method, path: &str) -> RequestBuilder {
        self.deployment.http.request(method, format!("{}{path}", self.url))
    }

    /// The answer to a GET.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    /// The answer to a POST.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::to(self.request(Method::POST, path).json(body)).await
    }

    /// The answer to a PATCH of the version with this ETag.
    pub async fn patch(&self, path: &str, etag: &str, body: &Value) -> Answer {
        Answer::to(self.request(Method::PATCH, path).header("if-match", etag).json(body)).await
    }

    /// The answer to a DELETE of the version with this ETag.
    pub async fn delete(&self, path: &str, etag: &str) -> Answer {
        Answer::to(self.request(Method::DELETE, path).header("if-match", etag)).await
    }

    /// Creates a document; returns its answer.
    pub async fn created(&self, path: &str, body: &Value) -> Answer {
        let answer = self.post(path, body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer
    }

    /// Creates a location of this name.
    pub async fn location(&self, name: &str) -> Answer {
        self.created("/api/v1/locations", &location(name)).await
    }

    /// Creates a station without EVSEs, whose charger has this name.
    pub async fn station(&self, charger: &str) -> Answer {
        self.created("/api/v1/stations", &json!({ "charger": charger })).await
    }

    /// All ids of a list, read in pages of this many items.
    pub async fn pages(&self, path: &str, limit: usize) -> Vec<String> {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        let join = if path.contains('?') { '&' } else { '?' };
        loop {
            let page = self.get(&format!("{path}{join}limit={limit}&cursor={cursor}")).await;
            assert_eq!(page.status, 200, "{}", page.text);
            let items = page.body["items"].as_array().expect("a page has items");
            assert!(items.len() <= limit, "{}", page.text);
            ids.extend(items.iter().map(id));
            match page.body["cursor"].as_str() {
                None => return ids,
                Some(next) => next.clone_into(&mut cursor),
            }
        }
    }

    /// Opens the live stream with these parameters, after this event if one is named.
    pub async fn live(&self, query: &str, last_id: Option<&str>) -> EventStream {
        let mut request = self.request(Method::GET, &format!("/api/v1/live{query}"));
        if let Some(last_id) = last_id {
            request = request.header("last-event-id", last_id);
        }
        EventStream::open(request).await.begun().await
    }
}

impl Answer {
    /// Sends a request and reads its answer.
    pub async fn to(request: RequestBuilder) -> Self {
        Self::try_to(request).await.expect("the service answers")
    }

    /// The same for a request that may get no answer.
    ///
    /// # Errors
    /// Returns an error if the connection failed or was cut.
    pub async fn try_to(request: RequestBuilder) -> reqwest::Result<Self> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or_default();
        Ok(Self { status, headers, body, text })
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }

    /// The version of the document.
    pub fn etag(&self) -> &str {
        self.header("etag").expect("a document has an ETag")
    }

    /// The path of the document that was created.
    pub fn place(&self) -> &str {
        self.header("location").expect("a created document has a place")
    }

    /// The id of the document.
    pub fn id(&self) -> String {
        id(&self.body)
    }

    /// The status, and the field at fault.
    pub fn refusal(&self) -> (u16, &str) {
        (self.status, self.body["field"].as_str().unwrap_or_default())
    }
}

/// A location with the members that are required.
pub fn location(name: &str) -> Value {
    at(name, "53.541290", "9.984160")
}

/// A location at this place.
pub fn at(name: &str, latitude: &str, longitude: &str) -> Value {
    json!({
        "name": name, "address": "Kai 1", "city": "Hamburg", "country": "DEU", "time_zone": "Europe/Berlin",
        "coordinates": {"latitude": latitude, "longitude": longitude},
    })
}

/// A connector for direct current.
pub fn connector(max_power_w: i64) -> Value {
    json!({"standard": "IEC_62196_T2_COMBO", "format": "CABLE", "power_type": "DC", "max_power_w": max_power_w})
}

fn id(document: &Value) -> String {
    document["id"].as_str().expect("a document has an id").to_owned()
}
