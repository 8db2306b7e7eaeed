//! Payment links by way of this machine, and the clicks that the firm's own site tells of.

use nudged::clock::Clock;
use nudged::http::auth::Scope;
use nudged::reminder::link::Token;
use reqwest::redirect::Policy;
use serde_json::{Value, json};

use crate::support::{START, World};

const SETTINGS: &str = "[redirect]\nlisten = ['127.0.0.1:0']\nbase = 'https://pay.firm.example'\n";

async fn world() -> World {
    World::start_as(Clock::manual(START), SETTINGS, &[Scope::Reminders, Scope::Read]).await
}

/// A visit; the clock goes on meanwhile, for every answer takes its time.
async fn visit(world: &World, path: &str, host: &str) -> (u16, reqwest::header::HeaderMap, String) {
    let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
    let url = format!("http://{}{path}", world.redirect());
    let mut asked = std::pin::pin!(client.get(url).header("Host", host).send());
    let machine = Clock::system();
    let answer = loop {
        tokio::select! {
            answer = &mut asked => break answer.unwrap(),
            () = machine.sleep(std::time::Duration::from_millis(5)) => {
                world.clock.advance(std::time::Duration::from_millis(20));
            }
        }
    };
    (answer.status().as_u16(), answer.headers().clone(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_nobody_has_and_what_is_none_look_the_same() {
    let mut world = world().await;
    let token = Token::from_random([9; 8]).to_string();
    let miss = visit(&world, &format!("/p/{token}"), "pay.firm.example").await;
    let none = visit(&world, "/p/https%3A%2F%2Fevil.example", "pay.firm.example").await;
    assert_eq!((miss.0, &miss.2), (404, &none.2));
    assert_eq!(miss.0, none.0);
    for (status, headers, _) in [miss, none] {
        assert_eq!(headers["referrer-policy"], "no-referrer", "{status}");
        assert_eq!(headers["x-robots-tag"], "noindex, nofollow");
        assert!(!headers.contains_key("location"));
    }
    world.stop_while_time_passes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_else_is_served_there() {
    let mut world = world().await;
    for path in ["/", "/v1/status", "/healthz", "/metrics", "/p/", "/p/a/b", "/login"] {
        assert_eq!(visit(&world, path, "pay.firm.example").await.0, 404, "{path}");
    }
    world.stop_while_time_passes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_cannot_ask_without_end() {
    let mut world = world().await;
    let url = format!("http://{}/p/0123456789ab", world.redirect());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut refused = false;
    let mut visits = Vec::new();
    for _ in 0..700 {
        visits.push(client.get(&url).send());
    }
    let mut visits = std::pin::pin!(futures_util::future::join_all(visits));
    let machine = Clock::system();
    let answers = loop {
        tokio::select! {
            answers = &mut visits => break answers,
            () = machine.sleep(std::time::Duration::from_millis(5)) => {
                world.clock.advance(std::time::Duration::from_millis(1));
            }
        }
    };
    for answer in answers {
        refused |= answer.is_ok_and(|answer| answer.status() == 429);
    }
    assert!(refused);
    world.stop_while_time_passes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clicks_of_the_firms_site_name_a_token_that_is_known() {
    let mut world = world().await;
    let token = Token::from_random([9; 8]).to_string();
    let (status, _) = world.post("/v1/clicks", json!({"token": token})).await;
    assert_eq!(status, 404);
    let (status, told) = world.post("/v1/clicks", json!([{"token": token, "agent": "curl/8"}])).await;
    assert_eq!((status, &told["results"][0]["click"]), (200, &Value::from("unknown_token")), "{told}");
    for bad in [json!({"token": "x"}), json!({"token": token, "url": "https://evil.example"}), json!(7)] {
        assert_eq!(world.post("/v1/clicks", bad).await.0, 400);
    }
    world.stop_while_time_passes().await;
}
