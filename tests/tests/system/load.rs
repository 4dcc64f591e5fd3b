//! `voltgate bench` against a working system, and against one that refuses.

use serde_json::Value;
use tests::deployment::Deployment;
use tests::process::Process;

/// Its exit code and its output.
async fn bench(api: &str, acl: &str, load: &[&str]) -> (Option<i32>, Value) {
    let asked = ["bench", "--api", api, "--acl", acl, "--duration", "1", "--warm-up", "0.2", "--json"];
    let (code, printed, said) = Process::run("voltgate", &[&asked[..], load].concat(), &[].into()).await;
    (code, serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed}\n{said}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_is_accounted_for_in_open_and_in_closed_loop() {
    let mut deployment = Deployment::new().await;
    let services = deployment.start().await;
    for load in [["--rate", "20"], ["--connections", "4"]] {
        let (code, result) = bench(&services.api_url, &services.acl_url, &load).await;
        assert_eq!((code, &result["faults"]["missing"]), (Some(0), &0.into()), "{result}");
        let requests = result["requests"].as_u64().unwrap();
        assert_eq!(result["looked_up"].as_u64(), Some(requests.min(1000)), "{result}");
        assert!(requests > 0 && result["callback"]["p99_ms"].as_f64() > Some(0.0), "{result}");
        if load[0] == "--rate" {
            assert_eq!(requests, 20, "an open loop makes as many as it was told");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_is_refused_fails_and_says_with_what() {
    // Callbacks to 127.0.0.1 are not allowed.
    let mut deployment = Deployment::new().await.with("CALLBACK_ALLOWED_NETWORKS", "");
    let services = deployment.start().await;
    let (code, result) = bench(&services.api_url, &services.acl_url, &["--rate", "20"]).await;
    assert_eq!(
        (code, &result["requests"], &result["faults"]["refused"]["400"]),
        (Some(1), &0.into(), &20.into())
    );
}
