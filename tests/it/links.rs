//! What an operator sees of links and does about them: modem facts in the API and the metrics, a restart.

use std::collections::{BTreeMap, BTreeSet};

use nudged::http::auth::Scope;
use nudged::link::{LinkFacts, LinkStatus, ModemStatus, Registration};
use nudged::sim::modem::{Modem, ModemOptions, Place};
use reqwest::Method;
use serde_json::{Value, json};

use crate::http::{Map, Rig};
use crate::support::{Carrier, PIN, World, faulty, link, number, one, one_modem, silent, until};
use nudged::clock::Clock;
use nudged::engine::LinkSnapshot;

const IMSI: &str = "262991234567890";
const ICCID: &str = "8949000000000000008";

/// The link once it fits.
async fn link_with(world: &World, name: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/v1/links/{name}");
    until(&world.clock, what, async || Some(world.get(&path).await).filter(&fits)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modem_says_what_it_is_and_how_it_hears_the_network() {
    let (world, _modem) = one_modem(ModemOptions::default(), "").await;
    world.await_link("gsm1", "up").await;
    let is_heard = |link: &Value| link["signal"]["dbm"].is_i64() && link["operator"].is_string();
    let shown = link_with(&world, "gsm1", "signal and operator", is_heard).await;
    assert_eq!(shown["sim"], json!({"imsi": IMSI, "iccid": ICCID}));
    assert_eq!(
        (&shown["operator"], &shown["registration"], &shown["imei"]),
        (&json!("Simulated"), &json!("home"), &json!("490154203237518"))
    );
    assert!(shown["manufacturer"].is_string() && shown["model"].is_string(), "{shown}");
    assert!(shown["storage"]["total"].as_u64() > shown["storage"]["used"].as_u64(), "{shown}");
    assert!(shown["last_error"].is_null() && shown.get("last_error").is_some(), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bind_has_no_fields_of_a_modem() {
    let (world, _carrier) = one(silent(), "").await;
    world.await_link("carrier", "up").await;
    let shown = world.get("/v1/links/carrier").await;
    for field in ["sim", "imei", "operator", "signal", "registration", "storage", "last_error", "model"] {
        assert!(shown.get(field).is_none(), "{field} in {shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modem_that_was_pulled_out_is_named_and_has_no_signal_any_more() {
    let (world, modem) = one_modem(ModemOptions::default(), "").await;
    link_with(&world, "gsm1", "signal", |link| link["signal"]["dbm"].is_i64()).await;
    modem.hangup().await;
    let shown = link_with(&world, "gsm1", "down", |link| link["state"] == "down").await;
    for field in ["signal", "registration", "operator", "storage"] {
        assert!(shown[field].is_null(), "{field} in {shown}");
    }
    assert_eq!(shown["sim"]["imsi"], IMSI, "which SIM is missing is still known");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_up_begins_a_new_session_and_loses_nothing() {
    let (world, carrier) = one(silent(), "").await;
    world.await_link("carrier", "up").await;
    let first = world.send_many(10).await;
    let answer = world.order("/v1/links/carrier/restart").await;
    assert_eq!(answer["name"], "carrier");
    link_with(&world, "carrier", "a second session", |link| link["sessions_total"] == 2).await;
    let last = world.send(&number(99), "after").await;
    for id in first.iter().chain([&last]) {
        world.await_status(id, "sent").await;
    }
    assert_eq!(carrier.submits().len(), 11, "none twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_a_link_that_does_not_exist_is_not_found() {
    let (world, _carrier) = one(silent(), "").await;
    assert_eq!(world.call(Method::POST, "/v1/links/none/restart", None).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_link_that_is_restarted_stays_paused() {
    let (world, carrier) = one(silent(), "").await;
    world.await_link("carrier", "up").await;
    world.order("/v1/links/carrier/pause").await;
    world.order("/v1/links/carrier/restart").await;
    link_with(&world, "carrier", "a second session", |link| link["sessions_total"] == 2).await;
    world.await_link("carrier", "paused").await;
    world.send(&number(1), "waits").await;
    assert_eq!(carrier.submits().len(), 0);
}

/// The modem at `port` whose SIM has this PIN.
async fn modem_at(port: &std::path::Path, pin: &str) -> Modem {
    let options = ModemOptions {
        place: Place::Pty { link: Some(port.to_owned()) },
        pin: Some(pin.to_owned()),
        ..ModemOptions::default()
    };
    Modem::start(options, Clock::system()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modem_parked_for_its_pin_says_what_to_do_and_is_up_once_that_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let port = dir.path().join("modem");
    let wrong = modem_at(&port, "9999").await;
    let config = format!("[[modem]]\nname = 'gsm1'\nport = '{}'\npin_file = 'pin'\n", port.display());
    let world = World::start(&config).await;
    let says = |what: &'static str| {
        move |link: &Value| {
            link["state"] == "parked" && link["reason"].as_str().is_some_and(|why| why.contains(what))
        }
    };
    link_with(&world, "gsm1", "refused", says("the SIM refused the PIN")).await;
    world.order("/v1/links/gsm1/restart").await;
    link_with(&world, "gsm1", "not entered again", says("a PIN was entered before")).await;
    wrong.stop().await;
    // As if the SIM had got its PIN in a phone.
    let _right = modem_at(&port, PIN).await;
    world.order("/v1/links/gsm1/restart").await;
    let parked = link_with(&world, "gsm1", "still not", says("a PIN was entered before")).await;
    let reason = parked["reason"].as_str().unwrap();
    let (_, rest) = reason.split_once("remove ").unwrap();
    let (file, rest) = rest.split_once(", ").unwrap();
    assert!(rest.contains("restart the link"), "{reason}");
    std::fs::remove_file(file).unwrap();
    world.order("/v1/links/gsm1/restart").await;
    world.await_link("gsm1", "up").await;
    assert!(!std::path::Path::new(file).exists(), "a PIN that was right leaves no note");
}

/// Samples by series, after a check of the exposition format: a family has its help and type first and
/// stands in one piece, no series stands twice, counters and only they end in `_total`.
fn series(text: &str) -> BTreeMap<String, f64> {
    let (mut types, mut helped) = (BTreeMap::<&str, &str>::new(), BTreeSet::new());
    let (mut found, mut current) = (BTreeMap::new(), "");
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap();
            assert!(helped.insert(name) && words.ends_with('.'), "{line}");
            continue;
        }
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(helped.contains(name) && types.insert(name, kind).is_none(), "{line}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            assert!(name.starts_with("nudged_"), "{line}");
            current = name;
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let family = name.split('{').next().unwrap();
        let tail = family.strip_prefix(current).unwrap_or_else(|| panic!("{line} under {current}"));
        match types[current] {
            "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&tail), "{line}"),
            _ => assert_eq!(tail, "", "{line}"),
        }
        assert!(!value.contains("NaN") && found.insert(name.to_owned(), value.parse().unwrap()).is_none());
    }
    found
}

#[tokio::test]
async fn the_metrics_of_modems_are_well_formed_and_name_no_sim() {
    let rig = Rig::with(&Scope::ALL, Map::default()).await;
    rig.publish(|snapshot| {
        let heard = ModemStatus {
            imei: Some(String::from("490154203237518")),
            imsi: Some(String::from(IMSI)),
            iccid: Some(String::from(ICCID)),
            operator: Some(String::from("Simulated")),
            registration: Some(Registration::Roaming),
            signal_dbm: Some(-79),
            storage: Some((3, 20)),
            ..ModemStatus::default()
        };
        for (name, modem) in [("gsm1", heard), ("gsm2", ModemStatus::default())] {
            let facts = LinkFacts { name: name.into(), account: name.into(), kind: "modem", window: 1 };
            let status = LinkStatus { modem: Some(modem), sessions_total: 3, ..LinkStatus::new(snapshot.at) };
            snapshot.links.push(LinkSnapshot {
                facts,
                status,
                paused: None,
                leased: 0,
                quotas: Vec::new(),
                recipients: None,
            });
        }
        snapshot.unknown_by_link = [("gsm2".into(), 4), ("gone".into(), 1)].into();
    });
    let text = rig.client.get(rig.url("/metrics")).send().await.unwrap().text().await.unwrap();
    let found = series(&text);
    for (name, value) in [
        ("nudged_modem_signal_dbm{link=\"gsm1\"}", -79.0),
        ("nudged_modem_storage_used{link=\"gsm1\"}", 3.0),
        ("nudged_modem_storage_slots{link=\"gsm1\"}", 20.0),
        ("nudged_modem_registration{link=\"gsm1\",state=\"roaming\"}", 1.0),
        ("nudged_modem_registration{link=\"gsm1\",state=\"home\"}", 0.0),
        ("nudged_link_reconnects_total{link=\"gsm2\"}", 2.0),
        ("nudged_link_reconnects_total{link=\"carrier\"}", 0.0),
        ("nudged_unknown_messages{link=\"carrier\"}", 0.0),
        ("nudged_unknown_messages{link=\"gsm2\"}", 4.0),
        ("nudged_unknown_messages{link=\"gone\"}", 1.0),
    ] {
        assert_eq!(found.get(name), Some(&value), "{name} in\n{text}");
    }
    let known = |name: &&String| name.starts_with("nudged_modem") && name.contains("gsm2");
    assert_eq!(found.keys().find(known), None, "what it has not said is no zero");
    for secret in [IMSI, ICCID, "490154203237518", "Simulated"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_messages_are_counted_by_link_until_they_are_resolved() {
    let (quiet, other) = (Carrier::start(faulty("no-answer@1")).await, Carrier::start(silent()).await);
    let config = [link("quiet", quiet.addr(), "response_timeout = '100ms'"), link("other", other.addr(), "")];
    let world = World::start(&config.concat()).await;
    let id = world.accept(json!({"to": number(1), "text": "x", "link": "quiet"})).await;
    world.await_status(&id, "unknown").await;
    let metrics = async |expected: f64| {
        let look = async || {
            let text = world.get("/metrics").await;
            let found = series(text.as_str().unwrap());
            let counts =
                ["quiet", "other"].map(|link| found[&format!("nudged_unknown_messages{{link=\"{link}\"}}")]);
            (counts == [expected, 0.0]).then_some(())
        };
        until(&world.clock, &format!("{expected} unknown"), look).await;
    };
    metrics(1.0).await;
    assert_eq!(world.resolve(&id, "failed").await.0, 200);
    metrics(0.0).await;
}
