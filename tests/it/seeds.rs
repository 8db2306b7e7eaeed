//! Seed files into a running daemon, and `nudged check` over them.

use std::path::Path;

use nudged::http::auth::Scope;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::World;

const FILES: [&str; 7] = ["sequences", "templates", "menus", "creditors", "packs", "calendars", "rules"];

/// The files as shipped.
pub fn shipped() -> Value {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/reminders");
    let file = |name: &str| {
        let name = format!("{name}.toml");
        let text = std::fs::read_to_string(directory.join(&name)).unwrap();
        json!({"name": name, "text": text})
    };
    json!({"files": FILES.map(file)})
}

/// A token for the reminder side.
pub async fn token(world: &World) -> String {
    world.token_with(&[Scope::Reminders, Scope::Read]).await
}

/// A call with a body of any type.
pub async fn upload(world: &World, token: &str, path: &str, media: &str, body: Vec<u8>) -> (u16, Value) {
    let request = world.request(Method::POST, path, None).bearer_auth(token);
    // A request has one authorization only.
    let mut request = request.header("Content-Type", media).body(body).build().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let answer = reqwest::Client::builder().no_proxy().build().unwrap().execute(request).await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// What the shipped files set up.
pub async fn load(world: &World, token: &str) -> Value {
    let body = serde_json::to_vec(&shipped()).unwrap();
    let (status, answer) = upload(world, token, "/v1/imports/seeds", "application/json", body).await;
    assert_eq!((status, &answer["refused"]), (200, &json!(0)), "{answer}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_files_set_a_daemon_up_and_change_nothing_the_second_time() {
    let mut world = World::start("").await;
    let token = token(&world).await;
    let first = load(&world, &token).await;
    assert!(first["created"].as_u64().unwrap() > 80, "{first}");
    let again = load(&world, &token).await;
    assert_eq!((&again["created"], &again["changed"]), (&json!(0), &json!(0)), "{again}");
    world.restart().await;
    let after = load(&world, &token).await;
    assert_eq!((&after["created"], &after["changed"]), (&json!(0), &json!(0)), "{after}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_in_one_file_makes_nothing_and_is_told_with_file_line_and_key() {
    let mut world = World::start("").await;
    let token = token(&world).await;
    let menu = "[[menu]]\nkey = \"m\"\noptions = [{ digit = 1, do = \"pay\" }]\n";
    let bad = "\n[[creditor]]\nkey = \"c\"\nname = \"C\"\nsender_rule = \"first_party\"\n";
    let files = json!({"files": [{"name": "a.toml", "text": menu}, {"name": "b.toml", "text": bad}]});
    let body = serde_json::to_vec(&files).unwrap();
    let (status, problem) = upload(&world, &token, "/v1/imports/seeds", "application/json", body).await;
    assert_eq!((status, &problem["code"]), (422, &json!("seeds_refused")), "{problem}");
    assert_eq!(problem["errors"][0]["field"], "b.toml:5 creditor[1].sender_rule", "{problem}");
    let (status, made) = upload(&world, &token, "/v1/imports/seeds", "application/toml", menu.into()).await;
    assert_eq!((status, &made["created"]), (200, &json!(1)), "nothing was made before: {made}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_daemon_does_not_know_refuses_its_table_alone() {
    let mut world = World::start("").await;
    let token = token(&world).await;
    let text = "[[template]]\nkey = \"t\"\nlanguage = \"en\"\nclass = \"help\"\nbody = \"Call us\"\nmenu = \"none\"\n\
        [[menu]]\nkey = \"m\"\noptions = [{ digit = 1, do = \"pay\" }]\n";
    let (status, made) = upload(&world, &token, "/v1/imports/seeds", "application/toml", text.into()).await;
    assert_eq!(status, 200);
    assert_eq!((&made["created"], &made["refused"]), (&json!(1), &json!(1)), "{made}");
    assert_eq!(made["results"][1]["why"], "menu: there is no menu none", "{made}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_token_for_the_reminders_may_set_up() {
    let mut world = World::start("").await;
    let token = world.token().to_owned();
    let (status, _) = upload(&world, &token, "/v1/imports/seeds", "application/toml", Vec::new()).await;
    assert_eq!(status, 403);
    let token = self::token(&world).await;
    let (status, _) = upload(&world, &token, "/v1/imports/seeds", "text/plain", Vec::new()).await;
    assert_eq!(status, 415);
    world.stop().await;
}
