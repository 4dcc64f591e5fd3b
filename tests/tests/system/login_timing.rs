//! How long a refused sign-in takes does not reveal whether a name exists: tried names that exist, that do not, and that are
//! blocked take the same time.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::people::PASSWORD;
use tests::platform::Platform;

use super::accounts::{new_database, unlimited};

/// Why a sign-in is refused.
const REASONS: [&str; 4] = ["wrong password", "unknown name", "blocked", "blocked, wrong password"];

/// How long refused sign-ins of one kind took, sorted.
struct Times(Vec<Duration>);

impl Times {
    fn at(&self, share: f64) -> Duration {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let place = (share * (self.0.len() - 1) as f64).round() as usize;
        self.0[place]
    }

    fn median(&self) -> Duration {
        self.at(0.5)
    }

    /// The interquartile range.
    fn spread(&self) -> Duration {
        self.at(0.75) - self.at(0.25)
    }
}

/// Tries each reason this many times, one after the other, so that what else the machine does meets all of them.
async fn times(platform: &Platform, tries: usize) -> Vec<Times> {
    platform.register("known").await;
    let blocked = platform.register("blocked").await;
    platform.change_user(&blocked.id, &json!({"status": "blocked"})).await;
    let mut times = vec![Vec::new(); REASONS.len()];
    for n in 0..tries {
        for place in 0..REASONS.len() {
            // Each comes after each other one.
            let reason = (place + n) % REASONS.len();
            let (name, password) = match REASONS[reason] {
                "wrong password" => ("known".to_owned(), "wrong horse battery"),
                "unknown name" => (format!("name-{n}"), PASSWORD),
                "blocked" => ("blocked".to_owned(), PASSWORD),
                _ => ("blocked".to_owned(), "wrong horse battery"),
            };
            let began = Instant::now();
            let refused = platform.try_to_sign_in(&name, password).await;
            times[reason].push(began.elapsed());
            assert_eq!(refused.status, 401);
        }
    }
    times
        .into_iter()
        .map(|mut times| {
            times.sort();
            Times(times)
        })
        .collect()
}

/// The medians differ by less than the spread of one reason, and the fast ones, which nothing has disturbed, by little.
fn compare(case: &str, times: &[Times]) {
    for (reason, times) in REASONS.iter().zip(times) {
        let (fast, median, spread) = (times.at(0.1), times.median(), times.spread());
        eprintln!(
            "{case}, {reason}: tenth {fast:.2?}, median {median:.2?}, interquartile range {spread:.2?}"
        );
    }
    let medians = || times.iter().map(Times::median);
    let apart = medians().max().unwrap() - medians().min().unwrap();
    let spread = times.iter().map(Times::spread).max().unwrap();
    assert!(apart < spread, "{case}: the medians are {apart:.2?} apart, with a spread of {spread:.2?}");
    let fast = || times.iter().map(|times| times.at(0.1));
    let (first, last) = (fast().min().unwrap(), fast().max().unwrap());
    assert!(last - first < first / 4, "{case}: a tenth is below {first:.2?} and {last:.2?}");
}

async fn on_each_database(tries: usize) {
    let (embedded, postgres) =
        (unlimited().await, unlimited().await.with("DATABASE_URL", new_database().await));
    for (case, deployment) in [("embedded", embedded), ("PostgreSQL", postgres)] {
        let platform = Platform::of(deployment).await;
        compare(case, &times(&platform, tries).await);
    }
}

#[tokio::test]
#[ignore = "it measures, and other tests run beside it: make login-timing"]
async fn refused_sign_ins_take_the_same_time_whatever_the_reason() {
    on_each_database(40).await;
}

#[tokio::test]
#[ignore = "takes minutes: make login-timing"]
async fn five_hundred_refused_sign_ins_take_the_same_time_whatever_the_reason() {
    on_each_database(500).await;
}

#[test]
fn a_sign_in_that_skips_the_password_is_found() {
    let group = |base: u64| Times((0..40).map(|n| Duration::from_micros(base + n * 100)).collect());
    compare("alike", &[group(40_000), group(40_300), group(39_900), group(40_100)]);
    let skipping = [group(40_000), group(2_000), group(40_000), group(40_000)];
    assert!(std::panic::catch_unwind(|| compare("skipping", &skipping)).is_err());
}
