//! Accounts at a platform-api: registration, sign-in, roles, and requests with an access token.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::platform::{Answer, Platform};

/// The password of every account of the tests.
pub const PASSWORD: &str = "correct horse battery";

/// An account that is signed in.
#[derive(Debug, Clone)]
pub struct Person {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its access token.
    pub access: String,
    /// Its refresh token.
    pub refresh: String,
}

impl Person {
    /// The account in an answer to a registration or a sign-in.
    pub fn of(answer: &Answer) -> Self {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let user = &answer.body["user"];
        Self {
            id: text(&user["id"]),
            name: text(&user["username"]),
            access: text(&answer.body["access"]),
            refresh: text(&answer.body["refresh"]),
        }
    }

    /// A request with its access token.
    pub fn request(&self, platform: &Platform, method: Method, path: &str) -> RequestBuilder {
        platform.stranger(method, path).bearer_auth(&self.access)
    }

    /// The answer to a GET.
    pub async fn get(&self, platform: &Platform, path: &str) -> Answer {
        Answer::to(self.request(platform, Method::GET, path)).await
    }

    /// The answer to a POST.
    pub async fn post(&self, platform: &Platform, path: &str, body: &Value) -> Answer {
        Answer::to(self.request(platform, Method::POST, path).json(body)).await
    }

    /// The status of `GET /api/v1/me`: 200 while the access token is accepted.
    pub async fn status(&self, platform: &Platform) -> u16 {
        self.get(platform, "/api/v1/me").await.status
    }

    /// Signs out; returns the status.
    pub async fn sign_out(&self, platform: &Platform) -> u16 {
        Answer::to(self.request(platform, Method::POST, "/api/auth/logout/")).await.status
    }
}

impl Platform {
    /// The answer to a POST without credentials.
    pub async fn post_as_stranger(&self, path: &str, body: &Value) -> Answer {
        Answer::to(self.stranger(Method::POST, path).json(body)).await
    }

    /// Registers an account of this name.
    pub async fn register(&self, name: &str) -> Person {
        let body = json!({"username": name, "password": PASSWORD});
        let answer = self.post_as_stranger("/api/auth/register/", &body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        Person::of(&answer)
    }

    /// The answer to an attempt to sign in.
    pub async fn try_to_sign_in(&self, name: &str, password: &str) -> Answer {
        self.post_as_stranger("/api/auth/login/", &json!({"username": name, "password": password})).await
    }

    /// Signs in an account of the tests.
    pub async fn sign_in(&self, name: &str) -> Person {
        let answer = self.try_to_sign_in(name, PASSWORD).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        Person::of(&answer)
    }

    /// The answer to a refresh.
    pub async fn refresh(&self, token: &str) -> Answer {
        self.post_as_stranger("/api/auth/refresh/", &json!({ "refresh": token })).await
    }

    /// Changes an account as an administrator does.
    pub async fn change_user(&self, id: &str, change: &Value) -> Answer {
        Answer::to(self.request(Method::PATCH, &format!("/api/v1/users/{id}")).json(change)).await
    }

    /// Registers an account with these roles beside that of a driver.
    pub async fn register_with(&self, name: &str, roles: &Value) -> Person {
        let person = self.register(name).await;
        let changed = self.change_user(&person.id, &json!({ "roles": roles })).await;
        assert_eq!(changed.status, 200, "{}", changed.text);
        person
    }
}
