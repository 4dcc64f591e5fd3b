//! A system under load, on the run's servers or on private ones, which can be killed.

use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;
use test_servers::{RabbitMq, Redis};

use crate::accounting::account;
use crate::callback_host::CallbackHost;
use crate::deployment::{DRIVER, Deployment, STATION, Services, ask};
use crate::eventually;
use crate::load::{Load, Question};
use crate::servers::Servers;

/// A deployment, its services, and a callback host.
#[derive(Debug)]
pub struct Stage {
    /// Its settings.
    pub deployment: Deployment,
    /// Its processes.
    pub services: Services,
    /// The callback host.
    pub host: CallbackHost,
}

/// A private RabbitMQ and Redis of one test.
#[derive(Debug)]
pub struct OwnServers {
    /// The broker.
    pub broker: RabbitMq,
    /// The store.
    pub redis: Redis,
    /// The directory that they write to.
    pub directory: TempDir,
}

impl OwnServers {
    /// Starts both in parallel, as each mostly waits.
    pub async fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("voltgate-test-").tempdir().expect("a directory");
        let (for_broker, for_redis) = (directory.path().join("rabbitmq"), directory.path().join("redis"));
        let broker = tokio::task::spawn_blocking(move || RabbitMq::start(&for_broker).unwrap());
        let redis = tokio::task::spawn_blocking(move || Redis::start(&for_redis).unwrap());
        Self { broker: broker.await.unwrap(), redis: redis.await.unwrap(), directory }
    }

    /// Their addresses.
    pub fn addresses(&self) -> Servers {
        Servers {
            broker: self.broker.amqp_url(),
            broker_api: self.broker.api_url(),
            redis: self.redis.url(),
            // Tests that kill servers do not use Python.
            python: String::new(),
        }
    }
}

impl Stage {
    /// Starts the services of a deployment in which no decision expires because of the faults of a test.
    pub async fn set(deployment: Deployment, settings: &[(&str, &str)]) -> Self {
        let patient = [
            ("AUTHORIZATION_TIMEOUT_SEC", "120"),
            ("CALLBACK_WINDOW_SEC", "120"),
            ("WORKER_CONCURRENCY", "20"),
        ];
        let all = patient.iter().chain(settings);
        let mut deployment = all.fold(deployment, |deployment, (name, value)| deployment.with(name, value));
        let services = deployment.start().await;
        Self { deployment, services, host: CallbackHost::start().await }
    }

    /// Four clients that keep sending requests.
    pub fn load(&self) -> Load {
        let question = Question {
            api_url: self.services.api_url.clone(),
            driver: DRIVER.to_owned(),
            callback_url: self.host.url("/ok/load"),
            pause: Duration::ZERO,
        };
        let client = || {
            let question = question.clone();
            move || question.clone()
        };
        Load::start(&self.deployment.http, vec![client(), client(), client(), client()])
    }

    /// Waits for this many more callbacks.
    pub async fn called_back_more(&self, count: usize) {
        let wanted = self.host.count() + count;
        eventually("more callbacks", async || (self.host.count() >= wanted).then_some(())).await;
    }

    /// Every accepted request is called back with one decision, which is the one on record.
    pub async fn account(&self, accepted: &[String]) {
        account(&self.deployment.http, &self.services.api_url, &self.host, accepted).await;
    }

    /// Sends requests until one is accepted; returns its id.
    pub async fn accepted(&self) -> String {
        let url = self.host.url("/ok/accepted");
        eventually("a request to be accepted", async || {
            ask(&self.deployment.http, &self.services.api_url, DRIVER, &url).await
        })
        .await
    }

    /// Without its broker, public-api refuses within the publish timeout, sends `retry-after`, and is not ready.
    pub async fn refuses_in_time(&self) {
        let began = Instant::now();
        let url = format!("{}/station/{STATION}/driver/{DRIVER}/authorize", self.services.api_url);
        let body = json!({ "callback_url": self.host.url("/ok/refused") });
        let response = self.deployment.http.post(url).json(&body).send().await.expect("an answer");
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key("retry-after"));
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        let ready = format!("{}/readyz", self.services.api_url);
        eventually("public-api to notice", async || {
            let status = self.deployment.http.get(&ready).send().await.ok()?.status();
            (status == 503).then_some(())
        })
        .await;
    }
}
