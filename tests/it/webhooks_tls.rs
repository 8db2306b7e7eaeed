//! Webhooks over TLS: the endpoint proves whose it is, or gets nothing and is tried again.

use std::sync::Arc;
use std::time::Duration;

use nudged::clock::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::receiver::{Does, Receiver};
use crate::support::{World, link, nobody, number, until};

const LOCAL: &str = "127.0.0.1";

/// An authority as a firm has one, and its certificate in a file.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: NamedTempFile,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), issuer.pem()).unwrap();
        Authority { issuer, file }
    }

    /// A server that shows a certificate for `name`, valid for ages or until `year` has begun.
    fn server(&self, name: &str, until_year: Option<i32>) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if let Some(year) = until_year {
            params.not_after = date_time_ymd(year, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    /// Lines of a `[[webhook]]` that trusts it.
    fn trusted(&self) -> String {
        format!("tls_ca_file = '{}'\nevents = ['message.accepted']", self.file.path().display())
    }
}

/// On a clock that only the test moves.
async fn world(hook: &str) -> World {
    World::start_still(&format!("{}{hook}", link("dead", nobody(), ""))).await
}

/// Sends a message and waits until its event was not taken; why.
async fn refused(world: &World) -> String {
    world.send(&number(0), "x").await;
    let failing = async || {
        let shown = world.get("/v1/webhooks/crm").await;
        (shown["state"] == "failing").then_some(shown)
    };
    let shown = until(&world.clock, "failing", failing).await;
    assert!(shown["next_try_at"].is_string(), "{shown}");
    let recent = world.get("/v1/webhooks/crm/deliveries").await["recent"][0].clone();
    assert_eq!((&recent["result"], &recent["status"]), (&Value::from("refused"), &Value::Null), "{recent}");
    assert_eq!(recent["error"], shown["last_error"]["error"]);
    recent["error"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_of_the_firms_own_authority_is_told_by_name_and_by_address() {
    let authority = Authority::new("firm");
    for host in [LOCAL, "localhost"] {
        let receiver = Receiver::start_tls(authority.server(host, None)).await;
        let world = world(&receiver.secure_hook("crm", host, &authority.trusted())).await;
        let id = world.send(&number(0), "x").await;
        let events = receiver.await_events(1, &world.clock).await;
        assert_eq!(events[0]["data"]["id"], id);
        receiver.assert_signed_and_same();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_authority_gets_nothing_whatever_names_it_bears() {
    let authority = Authority::new("firm");
    for (name, why) in [
        ("other", "no connection: its certificate was issued by none of those in tls_ca_file"),
        ("firm", "no connection: its certificate was not signed by the authority of ours that it names"),
    ] {
        let receiver = Receiver::start_tls(Authority::new(name).server(LOCAL, None)).await;
        let world = world(&receiver.secure_hook("crm", LOCAL, &authority.trusted())).await;
        assert_eq!(refused(&world).await, why);
        assert!(receiver.posts().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_file_of_its_own_an_unknown_authority_gets_nothing() {
    let receiver = Receiver::start_tls(Authority::new("firm").server(LOCAL, None)).await;
    let world = world(&receiver.secure_hook("crm", LOCAL, "events = ['message.accepted']")).await;
    let why = refused(&world).await;
    // A machine without ca-certificates trusts nobody, and says so.
    assert!(why.contains("this machine trusts") && why.contains("tls_ca_file"), "{why}");
    assert!(receiver.posts().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_name_gets_nothing() {
    let authority = Authority::new("firm");
    let receiver = Receiver::start_tls(authority.server("crm.example.net", None)).await;
    let world = world(&receiver.secure_hook("crm", LOCAL, &authority.trusted())).await;
    let why = refused(&world).await;
    assert_eq!(why, "no connection: its certificate is for crm.example.net and not for 127.0.0.1");
    assert!(receiver.posts().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_ended_is_a_retry_and_a_new_one_gets_what_waited() {
    let authority = Authority::new("firm");
    let receiver = Receiver::start_tls(authority.server(LOCAL, Some(2026))).await;
    let world = world(&receiver.secure_hook("crm", LOCAL, &authority.trusted())).await;
    let why = refused(&world).await;
    assert_eq!(why, "no connection: its certificate ended at 2026-01-01T00:00:00.000Z");
    assert!(receiver.posts().is_empty());
    receiver.shows(authority.server(LOCAL, Some(2027)));
    world.clock.advance(Duration::from_secs(10));
    receiver.await_events(1, &world.clock).await;
    receiver.assert_signed_and_same();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_judged_by_the_daemons_clock_at_every_connection() {
    let authority = Authority::new("firm");
    let receiver = Receiver::start_tls(authority.server(LOCAL, Some(2027))).await;
    let world = world(&receiver.secure_hook("crm", LOCAL, &authority.trusted())).await;
    let taken = world.order("/v1/webhooks/crm/test").await;
    assert_eq!(taken["result"], "taken", "{taken}");
    let year = Timestamp::parse_rfc3339("2027-01-01T00:00:01Z").unwrap();
    world.clock.jump(year);
    // The connection of before is kept for a while: another one must be made.
    receiver.does(Does::Reset);
    world.order("/v1/webhooks/crm/test").await;
    let refused = world.order("/v1/webhooks/crm/test").await;
    assert!(refused["error"].as_str().unwrap().contains("its certificate ended at 2027"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_without_tls_behind_an_address_with_it_is_told_nothing_and_says_why() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let plain = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            // Its end would come before what it said.
            stream.read_to_end(&mut Vec::new()).await.unwrap();
        }
    });
    let hook =
        format!("[[webhook]]\nname = 'crm'\nurl = '{url}'\nsecret_file = 'whsec'\nevents = ['message.*']\n");
    let world = world(&hook).await;
    assert_eq!(refused(&world).await, "no connection: what answers there does not speak TLS");
    plain.abort();
}
