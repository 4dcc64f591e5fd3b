//! Every listener over TLS, with a private certificate authority.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use charging::DbError;
use charging::chargers::commands::CommandState;
use charging::chargers::{ChargerTerms, Password, credentials};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair,
};
use reqwest::Identity;
use serde_json::{Value, json};
use tests::callback_host::CallbackHost;
use tests::deployment::{DRIVER, Deployment, STATION};
use tests::process::Process;
use tests::{eventually, free_port};

use super::ocpp::{Gateway, Handshake};

/// A certificate authority, and the files of a certificate that it signed for this machine.
struct Pki {
    directory: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    fn new() -> Self {
        let (mut params, key) = (CertificateParams::new([]).unwrap(), KeyPair::generate().unwrap());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let directory = tempfile::tempdir().unwrap();
        let authority = params.self_signed(&key).unwrap();
        std::fs::write(directory.path().join("ca.pem"), authority.pem()).unwrap();
        std::fs::write(directory.path().join("ca-key.pem"), key.serialize_pem()).unwrap();
        let pki = Self { directory, issuer: Issuer::new(params, key) };
        pki.sign();
        pki
    }

    /// Signs another certificate and replaces the current one.
    fn sign(&self) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.file("key.pem"), key.serialize_pem()).unwrap();
        std::fs::write(self.file("cert.pem"), certificate.pem()).unwrap();
    }

    /// A client's certificate with this common name, and its key.
    fn identity(&self, common_name: &str) -> Identity {
        let (mut params, key) = (CertificateParams::new([]).unwrap(), KeyPair::generate().unwrap());
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity::from_pem(format!("{}{}", key.serialize_pem(), certificate.pem()).as_bytes()).unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn guard(&self, deployment: Deployment) -> Deployment {
        let file = |name| self.file(name).display().to_string();
        deployment
            .with("TLS_CERT_FILE", file("cert.pem"))
            .with("TLS_KEY_FILE", file("key.pem"))
            .with("TLS_CA_FILE", file("ca.pem"))
    }

    /// A client that trusts only this authority.
    fn client(&self) -> reqwest::Client {
        let authority = reqwest::Certificate::from_pem(&std::fs::read(self.file("ca.pem")).unwrap()).unwrap();
        let builder = reqwest::Client::builder().no_proxy().timeout(tests::PATIENCE).tls_info(true);
        builder.tls_certs_only([authority]).build().unwrap()
    }
}

/// The certificate that a new client sees: an earlier client resumes its session with the old one.
async fn served(pki: &Pki, url: &str) -> Vec<u8> {
    let response = pki.client().get(format!("{url}/healthz")).send().await.unwrap();
    let info = response.extensions().get::<reqwest::tls::TlsInfo>().unwrap();
    info.peer_certificate().unwrap().to_vec()
}

#[tokio::test]
async fn the_system_works_over_tls_and_reloads_a_new_certificate() {
    let pki = Pki::new();
    let mut deployment = pki.guard(Deployment::new().await);
    let (_acl, acl) = deployment.start_acl().await;
    let acl = acl.replace("http://", "https://");
    let deployment = deployment.with("AUTHORIZATION_SERVICE_URL", &acl);
    let _worker = deployment.start_worker();
    let (_api, api) = deployment.start_api().await;
    let (api, http) = (api.replace("http://", "https://"), pki.client());
    let allow = ["acl", "allow", STATION, DRIVER];
    let (code, out, err) = Process::run("voltgate", &allow, &deployment.environment).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let host = CallbackHost::start().await;
    let url = format!("{api}/station/{STATION}/driver/{DRIVER}/authorize");
    let asked = http.post(url).json(&json!({"callback_url": host.url("/ok/tls")})).send().await.unwrap();
    assert_eq!(asked.status(), 202);
    assert_eq!(asked.headers()["strict-transport-security"], "max-age=31536000");
    assert_eq!(host.callback("/ok/tls").await.body["status"], "allowed");
    let port = api.rsplit(':').next().unwrap();
    let here = deployment.clone().with("PUBLIC_API_PORT", port).environment;
    let (code, out, err) = Process::run("voltgate", &["log", "--json"], &here).await;
    assert!(code == Some(0) && out.contains("\"allowed\""), "the services are asked over TLS: {out}{err}");
    let plain = deployment.http.get(format!("{}/healthz", api.replace("https:", "http:"))).send().await;
    assert!(plain.is_err() || !plain.unwrap().status().is_success(), "nothing is answered in clear");
    let before = served(&pki, &api).await;
    assert_eq!(served(&pki, &acl).await, before);
    pki.sign();
    for url in [&api, &acl] {
        eventually("the new certificate to be served", async || {
            (served(&pki, url).await != before).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_used_stops_the_start_and_is_named() {
    let (pki, other) = (Pki::new(), Pki::new());
    let nonsense = pki.file("nonsense.pem");
    std::fs::write(&nonsense, "nonsense").unwrap();
    let cases: [(&str, &Path, &str); 5] = [
        ("TLS_CERT_FILE", Path::new("/nowhere/cert.pem"), "/nowhere/cert.pem"),
        ("TLS_CERT_FILE", &nonsense, "nonsense.pem holds no certificate"),
        ("TLS_KEY_FILE", &nonsense, "nonsense.pem"),
        ("TLS_KEY_FILE", &other.file("key.pem"), "is not the key of the certificate"),
        ("TLS_KEY_FILE", Path::new(""), "requires TLS_CERT_FILE"),
    ];
    for (name, file, expected) in cases {
        let deployment = pki.guard(Deployment::new().await).with(name, file.display());
        let mut process = Process::start("acl-service", &[], &deployment.environment);
        assert_eq!(process.ended().await, Some(64), "{name} {expected}");
        let log = process.log();
        assert!(log.contains(name) && log.contains(expected), "{log}");
    }
}

/// The status of a charger's handshake over TLS.
async fn handshake(
    pki: &Pki,
    port: u16,
    name: &str,
    identity: Option<Identity>,
    password: Option<&str>,
) -> u16 {
    let authority = reqwest::Certificate::from_pem(&std::fs::read(pki.file("ca.pem")).unwrap()).unwrap();
    let builder = reqwest::Client::builder().no_proxy().timeout(tests::PATIENCE).http1_only();
    let builder = match identity {
        Some(identity) => builder.identity(identity),
        None => builder,
    };
    let client = builder.tls_certs_only([authority]).build().unwrap();
    let request = client.get(format!("https://127.0.0.1:{port}/ocpp/{name}"));
    let request = request.header("connection", "upgrade").header("upgrade", "websocket");
    let request = request.header("sec-websocket-version", "13").header("sec-websocket-protocol", "ocpp1.6");
    let request = request.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let request = match password {
        Some(password) => request.basic_auth(name, Some(password)),
        None => request,
    };
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_charger_needs_over_tls_what_its_security_profile_demands() {
    let (pki, port) = (Pki::new(), free_port());
    let file = |name| pki.file(name).display().to_string();
    let (certificate, key, authority) = (file("cert.pem"), file("key.pem"), file("ca.pem"));
    let gateway = Gateway::start(&[
        ("OCPP_TLS_PORT", &port.to_string()),
        ("OCPP_CLIENT_CA_FILE", &authority),
        ("TLS_CERT_FILE", &certificate),
        ("TLS_KEY_FILE", &key),
        ("TLS_CA_FILE", &authority),
    ])
    .await;
    const PASSWORD: &str = "0123456789abcdef";
    for (name, security_profile) in [("CP-2", 2), ("CP-3", 3)] {
        let station = gateway.station(name).await;
        gateway.set_terms(station, ChargerTerms { security_profile, ..ChargerTerms::default() }).await;
        let password = Password::new(PASSWORD.as_bytes()).unwrap();
        let set = gateway.db.write(async |tx| credentials::set(tx, station, Some(&password)).await);
        let set: Result<(), DbError> = set.await;
        set.unwrap();
    }
    // The password is right; the port without TLS is not.
    let plain = Handshake::of("CP-2").basic("CP-2", PASSWORD.as_bytes());
    assert_eq!(gateway.refused(&plain).await.0, 401);
    for (name, certificate, password, expected) in [
        ("CP-2", None, Some(PASSWORD), 101),
        ("CP-2", None, Some("another-password"), 401),
        ("CP-2", None, None, 401),
        ("CP-3", None, Some(PASSWORD), 401),
        ("CP-3", Some("CP-3"), None, 101),
        ("CP-3", Some("CP-2"), Some(PASSWORD), 401),
    ] {
        let identity = certificate.map(|common_name| pki.identity(common_name));
        let status = handshake(&pki, port, name, identity, password).await;
        assert_eq!(status, expected, "{name}, certificate of {certificate:?}, password {password:?}");
    }
    let (other, name) = (Pki::new(), "CP-3");
    let identity = other.identity(name);
    let authority = reqwest::Certificate::from_pem(&std::fs::read(pki.file("ca.pem")).unwrap()).unwrap();
    let client = reqwest::Client::builder().no_proxy().timeout(tests::PATIENCE).identity(identity);
    let client = client.tls_certs_only([authority]).build().unwrap();
    // Signed by an authority that is not known: there is no TLS connection.
    assert!(client.get(format!("https://127.0.0.1:{port}/ocpp/{name}")).send().await.is_err());
}

#[tokio::test]
async fn a_charger_that_asks_for_a_certificate_connects_with_it() {
    let (pki, port) = (Pki::new(), free_port());
    let file = |name| pki.file(name).display().to_string();
    let (certificate, key, authority, signer) =
        (file("cert.pem"), file("key.pem"), file("ca.pem"), file("ca-key.pem"));
    let gateway = Gateway::start(&[
        ("OCPP_TLS_PORT", &port.to_string()),
        ("OCPP_CLIENT_CA_FILE", &authority),
        ("OCPP_SIGNING_CA_FILE", &authority),
        ("OCPP_SIGNING_KEY_FILE", &signer),
        ("TLS_CERT_FILE", &certificate),
        ("TLS_KEY_FILE", &key),
        ("TLS_CA_FILE", &authority),
    ])
    .await;
    let (station, mut socket) = gateway.booted("CP-1").await;
    let (mut params, key) = (CertificateParams::new([]).unwrap(), KeyPair::generate().unwrap());
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "serial number 17");
    let csr = params.serialize_request(&key).unwrap().pem().unwrap();
    // The answer comes before the certificate.
    assert_eq!(socket.call("SignCertificate", json!({"csr": csr})).await, json!({"status": "Accepted"}));
    let signed: Value = socket.frame().await;
    assert_eq!((&signed[0], &signed[2]), (&json!(2), &json!("CertificateSigned")), "{signed}");
    socket.say(json!([3, signed[1], {"status": "Accepted"}]).to_string()).await;
    let command = signed[1].as_str().unwrap().parse().unwrap();
    gateway.command_is(command, CommandState::Answered).await;

    let profile_3 = ChargerTerms { security_profile: 3, ..ChargerTerms::default() };
    gateway.set_terms(station, profile_3).await;
    let chain = signed[3]["certificateChain"].as_str().unwrap();
    let (own, its_key) = (file("own.pem"), file("own-key.pem"));
    std::fs::write(&own, chain).unwrap();
    std::fs::write(&its_key, key.serialize_pem()).unwrap();
    let identity = Identity::from_pem(format!("{}{chain}", key.serialize_pem()).as_bytes()).unwrap();
    assert_eq!(handshake(&pki, port, "CP-1", Some(identity), None).await, 101);
    // The simulator's load begins with the charger of this name.
    let url = format!("wss://127.0.0.1:{port}/ocpp");
    let load = ["simulate", "open", "--n", "1", "--hold", "0.1", "--url", &url, "--ca-file", &authority];
    let run =
        async |more: &[&str]| Process::run("voltgate", &[&load[..], more].concat(), &BTreeMap::new()).await;
    let (code, out, err) = run(&["--cert-file", &own, "--key-file", &its_key]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let (code, out, _) = run(&[]).await;
    assert!(code == Some(1) && out.contains("refused 401"), "{out}");
}
