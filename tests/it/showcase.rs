//! temporary
use crate::browser::Browser;
use crate::http::{Rig, stored};
use nudged::engine::*;
use nudged::http::auth::Scope;
use nudged::link::*;
use nudged::message::Status;
use std::time::Duration;

pub async fn rig() -> Rig {
    let rig = Rig::with(&Scope::ALL, stored(7)).await;
    rig.publish(|s| {
        let at = s.at.saturating_sub(Duration::from_secs(4000));
        let modem = |name: &str, connection, modem| {
            let facts = LinkFacts { name: name.into(), account: name.into(), kind: "modem", window: 1 };
            let mut status = LinkStatus {
                connection,
                modem: Some(modem),
                pace: Some(0.2),
                submitted_total: 4711,
                ..LinkStatus::new(at)
            };
            if connection == Connection::Parked {
                status.reason = Some("SIM PUK required".into());
            }
            LinkSnapshot { facts, status, paused: None, leased: 0 }
        };
        let full = ModemStatus {
            manufacturer: Some("huawei".into()),
            model: Some("E173".into()),
            imei: Some("353456789012348".into()),
            imsi: Some("262011234567890".into()),
            iccid: Some("89490200001234567890".into()),
            operator: Some("Telekom.de".into()),
            registration: Some(Registration::Home),
            signal_dbm: Some(-79),
            storage: Some((3, 20)),
            last_error: Some("+CMS ERROR: 38 (network out of order)".into()),
        };
        s.links.push(modem("gsm1", Connection::Up, full.clone()));
        s.links.push(modem(
            "gsm2-with-a-rather-long-name-of-forty-chars",
            Connection::Parked,
            ModemStatus { signal_dbm: Some(-107), storage: Some((19, 20)), ..full },
        ));
        s.links[0].status.pace = Some(50.0);
        s.by_status[Status::Queued as usize] = 1234;
        s.by_status[Status::Sent as usize] = 90_412;
        s.by_status[Status::Delivered as usize] = 1_290_412;
        s.by_status[Status::Unknown as usize] = 2;
        s.oldest_due = Some(at);
        s.oldest_unknown = Some(at);
    });
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn screens() {
    let rig = rig().await;
    let browser = Browser::start().await;
    for minute in 0..200u64 {
        rig.publish(|s| {
            s.totals = vec![
                StatusTotal { status: Status::Sent, link: None, count: minute * minute / 3 },
                StatusTotal { status: Status::Failed, link: None, count: minute / 5 },
            ]
        });
        rig.publish(|s| s.inbound_total = minute);
        rig.clock.advance(Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(3)).await;
        rig.publish(|s| s.at = rig.clock.now().wall);
    }
    let shot = async |name: &str, width: u32, url: &str| {
        browser.size(width, 800).await;
        browser.page.goto(&rig.url(url)).await.unwrap();
        let h = browser.run("return document.scrollingElement.scrollHeight").await.as_u64().unwrap();
        println!("{name} {}", browser.run("return document.scrollingElement.scrollWidth").await);
        browser.size(width, h as u32).await;
        std::fs::write(format!("/tmp/page-{name}.png"), browser.page.screenshot().await.unwrap()).unwrap();
    };
    browser.scheme("light").await;
    shot("out-light", 1100, "/").await;
    browser.sign_in_at(&rig.url("/"), &rig.token).await;
    for scheme in ["light", "dark"] {
        browser.scheme(scheme).await;
        for width in [1100, 360] {
            shot(&format!("{scheme}-{width}"), width, "/").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn talks() {
    use crate::support::*;
    let (world, carrier) = one(faulty("no-answer@4"), "response_timeout = '1s'\nrate = '600/min'").await;
    world.await_link("carrier", "up").await;
    let n = "+4915112345678";
    world.send(n, "Dear Ms Example, your invoice 4711 of EUR 120.50 is due on 1 December. Pay at https://example.org/p/4711 or reply 1 for a plan. Reply STOP to end.").await;
    carrier.await_submits(1, &world.clock).await;
    carrier.reply(&n[1..], "1 please, and thank you \u{1f642}").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.send(n, "Thank you. You can pay in three parts: 1 Dec, 1 Jan, 1 Feb.").await;
    carrier.await_submits(2, &world.clock).await;
    carrier
        .reply(
            &n[1..],
            "שלום עולם <script>window.owned=1</script>\"><img src=x onerror=alert(1)>\u{202e}txet",
        )
        .await;
    carrier.reply("4915112340000", "please stop these texts at some point").await;
    carrier.reply("4915112340001", "STOP").await;
    carrier.reply(&n[1..], &format!("Z{}", "\u{30d}\u{316}".repeat(300))).await;
    carrier.reply("ALERTS", "=cmd|' /C calc'!A0").await;
    world.send(&number(3), "three").await;
    let id = world.send(&number(4), "four").await;
    world.send(&number(5), "five").await;
    let _ = id;
    world.await_snapshot("u", |s| s["messages"]["unknown"].as_u64().unwrap() > 0).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let browser = Browser::start().await;
    browser.size(1100, 800).await;
    browser.sign_in(&world).await;
    for (scheme, width, url, name) in [
        ("light", 1100, "/", "real"),
        ("dark", 360, "/", "real"),
        ("light", 1100, "/conversations/+4915112345678", "talk"),
        ("dark", 360, "/conversations/+4915112345678", "talk"),
        ("light", 1100, "/conversations/+4915112340000", "held"),
        ("light", 1100, "/conversations/x", "refused"),
    ] {
        browser.scheme(scheme).await;
        browser.size(width, 800).await;
        browser.page.goto(&format!("http://{}{url}", world.address())).await.unwrap();
        browser.run("for (const d of document.querySelectorAll('details')) d.open = true").await;
        let h = browser.run("return document.scrollingElement.scrollHeight").await.as_u64().unwrap();
        browser.size(width, h as u32).await;
        std::fs::write(
            format!("/tmp/page-{name}-{scheme}-{width}.png"),
            browser.page.screenshot().await.unwrap(),
        )
        .unwrap();
    }
}
