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
