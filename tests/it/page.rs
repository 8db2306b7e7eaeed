//! What stands on the status page and in a conversation, over plain HTTP and a real daemon.

use nudged::message::Msisdn;
use reqwest::Method;
use reqwest::header::LOCATION;
use serde_json::json;

use crate::http::{Rig, stored};
use crate::login::{Visitor, status};
use crate::support::{Carrier, World, one, silent, until};

const NUMBER: &str = "+4915112345678";

async fn visit(world: &World) -> Visitor {
    Visitor::signed_in_at(world.address(), world.token()).await
}

/// The page once it contains `what`.
async fn page_with(world: &World, visitor: &Visitor, path: &str, what: &str) -> String {
    let look = async || Some(visitor.page(path).await).filter(|page| page.contains(what));
    until(&world.clock, &format!("{path} has {what}"), look).await
}

/// A reply, seen on the page.
async fn reply(world: &World, carrier: &Carrier, visitor: &Visitor, text: &str, seen: &str) -> String {
    carrier.reply(&NUMBER[1..], text).await;
    page_with(world, visitor, "/", seen).await
}

/// The elements of a page, without the texts between and in them.
fn elements(page: &str) -> Vec<&str> {
    page.split('<').skip(1).filter_map(|rest| rest.split([' ', '>']).next()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_write_is_text_on_every_page() {
    let (world, carrier) = one(silent(), "").await;
    world.await_link("carrier", "up").await;
    let visitor = visit(&world).await;
    let hostile = "<script>alert(1)</script> \"><img src=x onerror=alert(1)> {{ board.form_key }}";
    world.send(NUMBER, hostile).await;
    reply(&world, &carrier, &visitor, hostile, "Latest replies").await;
    page_with(&world, &visitor, "/", "carrier, <time").await;
    for path in ["/", "/conversations/+4915112345678"] {
        let page = page_with(&world, &visitor, path, "onerror").await;
        let escaped =
            "&#60;script&#62;alert(1)&#60;/script&#62; &#34;&#62;&#60;img src=x onerror=alert(1)&#62;";
        assert!(page.contains(escaped), "{path}: {page}");
        assert!(page.contains("{{ board.form_key }}"), "nothing is expanded twice");
        assert!(!elements(&page).contains(&"img"), "{path}");
        assert_eq!(elements(&page).iter().filter(|name| **name == "script").count(), 1, "{path}: its own");
        assert!(!page.contains(" style=") && !page.contains(" onclick="), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn characters_that_turn_or_hide_what_follows_are_shown_by_number() {
    let (world, carrier) = one(silent(), "").await;
    world.await_link("carrier", "up").await;
    let visitor = visit(&world).await;
    let page = reply(&world, &carrier, &visitor, "paid \u{202e}001 RUE\u{200b}\u{1b}[31m", "paid").await;
    assert!(page.contains("paid ⟨U+202E⟩001 RUE⟨U+200B⟩⟨U+001B⟩[31m"), "{page}");
    assert!(page.contains("<bdi dir=\"auto\">paid"), "isolated");
    assert!(!page.contains('\u{202e}') && !page.contains('\u{1b}'));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_has_what_went_out_and_came_in_in_order() {
    let (world, carrier) = one(silent(), "").await;
    world.await_link("carrier", "up").await;
    let visitor = visit(&world).await;
    world.send(NUMBER, "first question").await;
    carrier.await_submits(1, &world.clock).await;
    reply(&world, &carrier, &visitor, "an answer", "an answer").await;
    world.send(NUMBER, "second question").await;
    let page = page_with(&world, &visitor, "/conversations/+4915112345678", "second question").await;
    let places = ["first question", "an answer", "second question"].map(|text| page.find(text).unwrap());
    assert!(places.is_sorted(), "{page}");
    let search = visitor.request(Method::GET, "/conversations?number=%2B49%20151%2012345678");
    let answer = search.send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()[LOCATION]),
        (303, &"/conversations/+4915112345678".parse().unwrap())
    );
    for (path, expected) in [
        ("/conversations/+4915100000000", 200),
        ("/conversations/4915112345678", 404),
        ("/conversations/%3Cscript%3E", 404),
        ("/conversations/+4915112345678?before=x", 422),
        ("/conversations/+4915112345678?token=x", 422),
        ("/conversations?number=four", 422),
    ] {
        assert_eq!(status(visitor.request(Method::GET, path)).await, expected, "{path}");
    }
}

#[tokio::test]
async fn a_long_conversation_comes_in_stretches() {
    let rig = Rig::with(&nudged::http::auth::Scope::ALL, chain(120)).await;
    let visitor = Visitor::signed_in_at(rig.address, &rig.token).await;
    let mut path = String::from("/conversations/+4915112345678");
    let mut seen = Vec::new();
    loop {
        let page = visitor.page(&path).await;
        seen.push(page.matches("<li class=\"out\">").count());
        let Some((_, rest)) = page.split_once("<a href=\"/conversations/+4915112345678?before=") else {
            break;
        };
        path = format!("/conversations/+4915112345678?before={}", rest.split_once('"').unwrap().0);
    }
    assert_eq!(seen, [50, 50, 20]);
}

/// Stored messages, found by their recipient.
fn chain(count: u64) -> crate::http::Map {
    let mut map = stored(count);
    for n in 1..=count {
        let key = nudged::store::keys::chain(
            Msisdn::parse_e164(NUMBER).unwrap(),
            nudged::id::MessageId::from_u64(n),
        );
        map.0.insert(key, Vec::new());
    }
    map
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_number_is_released_or_opted_out_on_the_page() {
    let (world, carrier) = one(silent(), "").await;
    world.await_link("carrier", "up").await;
    let visitor = visit(&world).await;
    let key = visitor.key().await;
    let fields = [("key", key.as_str()), ("party", NUMBER), ("section", "held")];
    for (form, after) in [("/page/release", "queued"), ("/page/opt-out", "blocked")] {
        reply(&world, &carrier, &visitor, "could you perhaps stop this some time", "Treat as opt-out").await;
        let answer = visitor.post(form, &fields).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()[LOCATION]),
            (303, &"/#held".parse().unwrap())
        );
        assert!(!visitor.page("/").await.contains("Treat as opt-out"), "{form}");
        let (_, taken) = world.post("/v1/messages", json!({"to": NUMBER, "text": form})).await;
        assert_eq!(taken["status"], after, "{taken}");
    }
    let page = page_with(&world, &visitor, "/", "Opt-outs (1)").await;
    assert!(page.contains("by test: status page"), "{page}");
    let talk = visitor.page("/conversations/+4915112345678").await;
    assert!(talk.contains("Opted out") && talk.contains("Only if the person has asked for messages again."));
    let fields = [("key", key.as_str()), ("party", NUMBER), ("conversation", NUMBER)];
    let answer = visitor.post("/page/lift", &fields).send().await.unwrap();
    assert_eq!(answer.headers()[LOCATION], "/conversations/+4915112345678");
    assert!(!visitor.page("/conversations/+4915112345678").await.contains("Opted out"));
    assert_eq!(status(visitor.post("/page/lift", &fields)).await, 404, "there is none any more");
}

#[tokio::test]
async fn lists_on_the_page_are_bounded() {
    let rig = Rig::with(&nudged::http::auth::Scope::ALL, stored(500)).await;
    let visitor = Visitor::signed_in_at(rig.address, &rig.token).await;
    assert_eq!(visitor.page("/").await.matches("<p class=\"text\">").count(), 20);
}

#[tokio::test]
async fn all_messages_are_reached_a_stretch_at_a_time() {
    let rig = Rig::with(&nudged::http::auth::Scope::ALL, stored(120)).await;
    let visitor = Visitor::signed_in_at(rig.address, &rig.token).await;
    let mut path = String::from("/messages?status=queued");
    let mut seen = Vec::new();
    loop {
        let page = visitor.page(&path).await;
        seen.push(page.matches("<p class=\"text\">").count());
        let Some((before, _)) = page.split_once("\" rel=\"next\">") else { break };
        path = before.rsplit_once("href=\"").unwrap().1.replace("&#38;", "&");
    }
    assert_eq!(seen, [50, 50, 20]);
    assert!(visitor.page("/messages?status=failed").await.contains("None here."));
    for (path, expected) in [("/messages?status=lost", 422), ("/replies?status=sent", 422), ("/replies", 200)]
    {
        assert_eq!(status(visitor.request(Method::GET, path)).await, expected, "{path}");
    }
}

#[tokio::test]
async fn pages_with_numbers_are_for_those_who_have_signed_in() {
    let rig = Rig::with(&nudged::http::auth::Scope::ALL, stored(3)).await;
    let signed = Visitor::signed_in_at(rig.address, &rig.token).await;
    for path in
        ["/messages", "/replies", "/conversations/+4915112345678", "/conversations?number=%2B4915112345678"]
    {
        let answer = rig.client.get(rig.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 401, "{path}");
        let page = answer.text().await.unwrap();
        assert!(page.contains("name=\"token\"") && !page.contains("49151"), "{path}: {page}");
        assert!([200, 303].contains(&status(signed.request(Method::GET, path)).await), "{path}");
    }
}
