//! Addresses are verified and passwords chosen anew by codes from mails, and no answer says who has an account.

use std::time::{Duration, Instant};

use charging::notifications::{self, ClaimedMail, MailKind};
use charging::{Db, DbError, Tx};
use reqwest::Method;
use serde_json::{Value, json};
use tests::deployment::Deployment;
use tests::eventually;
use tests::platform::{Answer, Platform};

const PASSWORD: &str = "correct horse battery";

/// platform-api, and the mails that it queues.
pub(super) struct Stage {
    pub(super) platform: Platform,
    pub(super) db: Db,
}

impl Stage {
    pub(super) async fn set() -> Self {
        Self::of(Deployment::new().await.with("AUTH_RATE_PER_MIN", "0")).await
    }

    pub(super) async fn of(deployment: Deployment) -> Self {
        let platform = Platform::of(deployment).await;
        let db = Db::open_beside(&platform.directory().join("platform")).await.unwrap();
        Self { platform, db }
    }

    /// The mails that were queued since the last look.
    pub(super) async fn mails(&self) -> Vec<ClaimedMail> {
        let limit = Duration::from_secs(3600);
        self.db.write(async |tx| notifications::claim(tx, 100, limit).await).await.unwrap()
    }

    /// Waits for the next mail of this kind.
    pub(super) async fn mail(&self, kind: MailKind) -> ClaimedMail {
        eventually("a mail", async || self.mails().await.into_iter().find(|mail| mail.kind == kind)).await
    }

    pub(super) async fn anonymous(&self, path: &str, body: &Value) -> Answer {
        Answer::to(self.platform.stranger(Method::POST, path).json(body)).await
    }

    pub(super) async fn register(&self, username: &str, email: Option<&str>) -> Value {
        let mut body = json!({"username": username, "password": PASSWORD});
        if let Some(email) = email {
            body["email"] = json!(email);
        }
        let answer = self.anonymous("/api/auth/register/", &body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.body
    }

    pub(super) async fn as_user(&self, access: &Value, method: Method, path: &str) -> Answer {
        let request = self.platform.stranger(method, path).bearer_auth(access.as_str().unwrap());
        Answer::to(request).await
    }

    async fn login(&self, name: &str, password: &str) -> u16 {
        self.anonymous("/api/auth/login/", &json!({"username": name, "password": password})).await.status
    }

    pub(super) async fn verified(&self, username: &str, email: &str) -> Value {
        let user = self.register(username, Some(email)).await;
        let mail = self.mail(MailKind::VerifyEmail).await;
        let answer = self.anonymous("/api/auth/verify/", &json!({"code": code(&mail)})).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        user
    }

    async fn form(&self, path: &str, fields: &str) -> Answer {
        let request = self.platform.stranger(Method::POST, path).body(fields.to_owned());
        Answer::to(request.header("content-type", "application/x-www-form-urlencoded")).await
    }
}

pub(super) fn code(mail: &ClaimedMail) -> String {
    mail.data["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_address_is_pending_until_its_code_comes_back() {
    let stage = Stage::set().await;
    let user = stage.register("ada", Some("ada@example.com")).await;
    let me = stage.as_user(&user["access"], Method::GET, "/api/v1/me").await;
    assert_eq!((&me.body["email"], &me.body["email_pending"]), (&Value::Null, &json!("ada@example.com")));
    let mail = stage.mail(MailKind::VerifyEmail).await;
    assert_eq!(mail.to, "ada@example.com");
    assert_eq!(stage.login("ada@example.com", PASSWORD).await, 401);
    for path in ["/api/auth/verify/", "/api/auth/verify"] {
        let wrong = stage.anonymous(path, &json!({"code": "nonsense"})).await;
        assert_eq!(wrong.refusal(), (400, "code"));
    }
    let right = stage.anonymous("/api/auth/verify", &json!({"code": code(&mail)})).await;
    assert_eq!((right.status, right.body), (200, json!({"message": "Address verified"})));
    let used = stage.anonymous("/api/auth/verify/", &json!({"code": code(&mail)})).await;
    let unknown = stage.anonymous("/api/auth/verify/", &json!({"code": "A".repeat(43)})).await;
    assert_eq!((used.status, &used.text), (400, &unknown.text), "one text for all");
    assert_eq!(stage.login("ADA@example.com", PASSWORD).await, 200);
    let me = stage.as_user(&user["access"], Method::GET, "/api/v1/me").await;
    assert_eq!((&me.body["email"], &me.body["email_pending"]), (&json!("ada@example.com"), &Value::Null));
    let resent = stage.as_user(&user["access"], Method::POST, "/api/auth/verify/resend/").await;
    assert_eq!(resent.refusal(), (409, "email"));
}

#[tokio::test]
async fn a_taken_address_looks_like_any_other_and_its_owner_gets_a_mail() {
    let stage = Stage::set().await;
    stage.verified("ada", "ada@example.com").await;
    let eve = stage.register("eve", Some("ada@example.com")).await;
    let bob = stage.register("bob", Some("bob@example.com")).await;
    let shape = |body: &Value| {
        let mut body = body.clone();
        for private in ["access", "refresh"] {
            body[private] = Value::Null;
        }
        body["user"]["id"] = Value::Null;
        body["user"]["username"] = Value::Null;
        body
    };
    assert_eq!(shape(&eve), shape(&bob));
    let me = stage.as_user(&eve["access"], Method::GET, "/api/v1/me").await;
    assert_eq!((&me.body["email"], &me.body["email_pending"]), (&Value::Null, &json!("ada@example.com")));
    let kinds: Vec<_> = stage.mails().await.iter().map(|mail| (mail.kind, mail.to.clone())).collect();
    let expected = [
        (MailKind::EmailTaken, "ada@example.com".to_owned()),
        (MailKind::VerifyEmail, "bob@example.com".to_owned()),
    ];
    assert_eq!(kinds, expected);
    // By a change too.
    let change =
        stage.platform.stranger(Method::PATCH, "/api/v1/me").bearer_auth(bob["access"].as_str().unwrap());
    let changed = Answer::to(change.header("if-match", "*").json(&json!({"email": "ada@example.com"}))).await;
    assert_eq!((changed.status, &changed.body["email_pending"]), (200, &json!("ada@example.com")));
}

#[tokio::test]
async fn a_reset_is_answered_alike_and_signs_out_everywhere() {
    let stage = Stage::set().await;
    let ada = stage.verified("ada", "ada@example.com").await;
    stage.mails().await;
    let known = stage.anonymous("/api/auth/reset/", &json!({"email": "ada@example.com"})).await;
    let unknown = stage.anonymous("/api/auth/reset", &json!({"email": "eve@example.com"})).await;
    assert_eq!((known.status, &known.text), (202, &unknown.text));
    assert_eq!(unknown.status, 202);
    let mail = stage.mail(MailKind::ResetPassword).await;
    let confirm = |code: &str, password: &str| json!({"code": code, "password": password});
    let weak = stage.anonymous("/api/auth/reset/confirm/", &confirm(&code(&mail), "short")).await;
    assert_eq!(weak.refusal(), (400, "password"));
    let wrong = stage.anonymous("/api/auth/reset/confirm/", &confirm("nonsense", "another password")).await;
    assert_eq!(wrong.refusal(), (400, "code"));
    let done = stage.anonymous("/api/auth/reset/confirm/", &confirm(&code(&mail), "another password")).await;
    assert_eq!(done.status, 200, "{}", done.text);
    let again = stage.anonymous("/api/auth/reset/confirm", &confirm(&code(&mail), "a third password")).await;
    assert_eq!(again.refusal(), (400, "code"));
    assert_eq!(stage.as_user(&ada["access"], Method::GET, "/api/v1/me").await.status, 401);
    assert_eq!(
        (stage.login("ada", PASSWORD).await, stage.login("ada", "another password").await),
        (401, 200)
    );
    assert_eq!(stage.mail(MailKind::PasswordChanged).await.to, "ada@example.com");
    assert!(!stage.platform.process.log().contains("example.com"), "no address in the log");
}

#[tokio::test]
async fn a_request_for_a_new_password_that_waits_at_the_stop_is_carried_out() {
    let stage = Stage::set().await;
    stage.verified("ada", "ada@example.com").await;
    stage.mails().await;
    let asked = stage.anonymous("/api/auth/reset/", &json!({"email": "ada@example.com"})).await;
    assert_eq!(asked.status, 202);
    let Stage { platform, db } = stage;
    assert_eq!(platform.process.stop().await, Some(0));
    let limit = Duration::from_secs(60);
    let mails = db.write(async |tx| notifications::claim(tx, 9, limit).await).await.unwrap();
    assert_eq!(mails.iter().map(|mail| mail.kind).collect::<Vec<_>>(), [MailKind::ResetPassword]);
}

#[tokio::test]
async fn the_pages_work_without_a_script_in_two_languages() {
    let stage = Stage::set().await;
    stage.register("ada", Some("ada@example.com")).await;
    let verify = stage.mail(MailKind::VerifyEmail).await;
    for path in ["/verify", "/reset"] {
        let english = Answer::to(stage.platform.stranger(Method::GET, path)).await;
        let german =
            stage.platform.stranger(Method::GET, path).header("accept-language", "de-DE,de;q=0.9,en;q=0.8");
        let german = Answer::to(german).await;
        assert!(english.text.contains("lang=\"en\"") && german.text.contains("lang=\"de\""), "{path}");
        assert_eq!(english.header("cache-control"), Some("no-store"));
        let policy = english.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(!english.text.contains("://"), "nothing from elsewhere: {}", english.text);
    }
    for (path, kind) in [("/auth.js", "text/javascript"), ("/auth.css", "text/css")] {
        let file = Answer::to(stage.platform.stranger(Method::GET, path)).await;
        assert!(file.status == 200 && file.header("content-type").unwrap().starts_with(kind), "{path}");
    }
    let wrong = stage.form("/verify", "code=%3Cscript%3E").await;
    assert!(wrong.status == 400 && !wrong.text.contains("<script>"), "{}", wrong.text);
    assert_eq!(stage.form("/verify", &format!("code={}", code(&verify))).await.status, 200);
    let asked = stage.form("/reset", "email=ada%40example.com").await;
    let unknown = stage.form("/reset", "email=eve%40example.com").await;
    assert_eq!((asked.status, &asked.text), (200, &unknown.text));
    let reset = stage.mail(MailKind::ResetPassword).await;
    let done = stage.form("/reset", &format!("code={}&password=a+new+password", code(&reset))).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(stage.login("ada", "a new password").await, 200);
    let json = Answer::to(stage.platform.stranger(Method::POST, "/verify").json(&json!({"code": "x"}))).await;
    assert_eq!(json.status, 415);
}

#[tokio::test]
async fn the_terms_that_are_in_force_must_be_accepted() {
    let deployment = Deployment::new().await.with("AUTH_RATE_PER_MIN", "0").with("TERMS_VERSION", "2027-01");
    let stage = Stage::of(deployment).await;
    let body =
        |version: Option<&str>| json!({"username": "ada", "password": PASSWORD, "terms_version": version});
    let without = json!({"username": "ada", "password": PASSWORD});
    assert_eq!(stage.anonymous("/api/auth/register/", &without).await.refusal(), (400, "terms_version"));
    let old = stage.anonymous("/api/auth/register/", &body(Some("2026-01"))).await;
    assert_eq!(old.refusal(), (400, "terms_version"));
    let user = stage.anonymous("/api/auth/register/", &body(Some("2027-01"))).await;
    assert_eq!(user.status, 201, "{}", user.text);
    let me = stage.as_user(&user.body["access"], Method::GET, "/api/v1/me").await;
    assert_eq!(me.body["terms_version"], "2027-01");
    assert!(me.body["terms_at"].is_string());
    let export = stage.as_user(&user.body["access"], Method::GET, "/api/v1/me/export").await;
    assert_eq!(export.body["profile"]["consents"][0]["version"], "2027-01");
}

/// Sorted, with the median and the interquartile range.
fn summary(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    let at = |quarter: usize| times[quarter * (times.len() - 1) / 4];
    (at(2), at(3) - at(1))
}

#[tokio::test]
async fn a_reset_takes_as_long_for_an_unknown_address_as_for_a_known_one() {
    const TRIES: usize = 40;
    let stage = Stage::set().await;
    for number in 0..TRIES {
        stage.verified(&format!("user-{number}"), &format!("user-{number}@example.com")).await;
    }
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for number in 0..TRIES {
        // Each kind follows itself as often as the other, as the work after an answer may slow down the next one.
        let order = if number % 2 == 0 { [true, false] } else { [false, true] };
        for is_known in order {
            let name = if is_known { "user" } else { "name" };
            let body = json!({"email": format!("{name}-{number}@example.com")});
            let began = Instant::now();
            assert_eq!(stage.anonymous("/api/auth/reset/", &body).await.status, 202);
            if is_known { &mut known } else { &mut unknown }.push(began.elapsed());
        }
    }
    let ((known, spread), (unknown, other)) = (summary(known), summary(unknown));
    eprintln!("known {known:.2?} (range {spread:.2?}), unknown {unknown:.2?} (range {other:.2?})");
    assert!(known.abs_diff(unknown) < spread.max(other), "known {known:.2?}, unknown {unknown:.2?}");
    let resets = eventually("all codes to be sent", async || {
        let codes = stage.db.read(async |tx| count_codes(tx).await).await.unwrap();
        (codes == i64::try_from(TRIES).unwrap()).then_some(codes)
    });
    resets.await;
}

async fn count_codes(tx: &mut Tx) -> Result<i64, DbError> {
    let Tx::Lite(lite) = tx else { panic!("a file") };
    let counted = sqlx::query_as("SELECT COUNT(*) FROM account_codes WHERE purpose = 'reset_password'");
    let (count,): (i64,) = counted.fetch_one(&mut **lite).await?;
    Ok(count)
}
