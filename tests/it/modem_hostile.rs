//! Rows of the hostile table that only a whole daemon can show: several modems, restarts, a store that is shut.

use nudged::sim::modem::{Modem, ModemOptions, Place, StorageName};
use serde_json::{Value, json};

use crate::modem_client::lines;
use crate::modem_rig::{Rig, deliver};
use crate::pty::Socket;
use crate::support::{number, until};

const ANN: &str = "+4915112345678";
const BEN: &str = "+4915112345679";

fn modem_table(name: &str, path: &str) -> String {
    format!("[[modem]]\nname = '{name}'\nport = '{path}'\nrate = 'unlimited'\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modem_that_says_nothing_is_down_with_its_reason_and_holds_up_no_other() {
    let socket = Socket::new();
    let _silent = socket.plug();
    let more = modem_table("mute", &socket.path().display().to_string());
    let rig = Rig::live_beside(ModemOptions::default(), &more).await;
    for id in rig.world.send_many(10).await {
        assert_eq!(rig.world.await_status(&id, "sent").await["link"], "gsm1");
    }
    let why = async || {
        let shown = rig.world.get("/v1/links/mute").await;
        shown["reason"].as_str().is_some_and(|why| why.contains("does not answer AT")).then_some(shown)
    };
    let shown = until(&rig.clock, "a reason", why).await;
    assert_ne!(shown["state"], "up");
    assert_eq!(rig.submits().len(), 10);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_modem_whose_sim_is_locked_go_by_another() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("other");
    let place = Place::Pty { link: Some(link.clone()) };
    let clock = nudged::clock::Clock::system();
    let other = Modem::start(ModemOptions { place, ..ModemOptions::default() }, clock).await.unwrap();
    let locked = ModemOptions { pin: Some("1234".into()), ..ModemOptions::default() };
    let rig = Rig::live_beside(locked, &modem_table("other", &link.display().to_string())).await;
    rig.world.await_link("gsm1", "parked").await;
    let reason = rig.world.get("/v1/links/gsm1").await["reason"].clone();
    assert!(reason.as_str().unwrap().contains("set pin"), "{reason}");
    let id = rig.world.send(ANN, "pay").await;
    assert_eq!(rig.world.await_status(&id, "sent").await["link"], "other");
    assert_eq!((rig.submits().len(), lines(&other, "sms_submit").len()), (0, 1));
    rig.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_reads_like_an_answer_of_the_modem_is_a_reply() {
    let rig = Rig::live(ModemOptions::default()).await;
    rig.up().await;
    let texts = ["OK", "ERROR", "+CMS ERROR: 1", "> ", "+CMGS: 9", "RDY", "NO CARRIER"];
    let mut ids = Vec::new();
    for (n, text) in texts.iter().enumerate() {
        rig.modem.reply(ANN, text).unwrap();
        ids.push(rig.world.send(&number(n), &format!("message {n}")).await);
    }
    let told: Vec<Value> =
        rig.await_replies(texts.len()).await.iter().map(|reply| reply["text"].clone()).collect();
    assert_eq!(told, texts);
    for id in &ids {
        rig.world.await_status(id, "sent").await;
    }
    assert_eq!((rig.submits().len(), rig.commands("+CMGS")), (texts.len(), texts.len() as u64));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_a_crash_left_in_its_place_is_heard_and_confirmed_once() {
    let mut rig = Rig::live(ModemOptions::default()).await;
    rig.up().await;
    let stop = deliver(ANN, "STOP", None, 0);
    rig.modem.deliver(&stop).unwrap();
    rig.await_submits(1).await;
    rig.await_taken(1).await;
    // As if the deletion had never reached the modem.
    assert!(rig.modem.keep(StorageName::Sm, &stop).unwrap());
    rig.world.restart().await;
    rig.await_taken(2).await;
    let id = rig.world.send(BEN, "pay").await;
    rig.world.await_status(&id, "sent").await;
    assert_eq!(rig.replies().await.len(), 1);
    let to: Vec<Value> = rig.submits().iter().map(|line| line["to"].clone()).collect();
    assert_eq!(to, [ANN, BEN], "one confirmation, then the next message");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_comes_while_nothing_can_be_stored_stays_with_the_modem_until_it_can() {
    let mut rig = Rig::live(ModemOptions::default()).await;
    rig.up().await;
    rig.world.stop().await;
    let (store, away) = (rig.world.store_dir(), tempfile::tempdir().unwrap());
    copy(&store, away.path());
    std::fs::remove_dir_all(store.join("journal")).unwrap();
    let (clients, asked) = (rig.modem.stats().clients, rig.modem.stats().commands);
    rig.modem.reply(ANN, "STOP").unwrap();

    rig.world.start_again().await;
    let (status, ready) = rig.world.call(reqwest::Method::GET, "/readyz", None).await;
    assert_eq!(status, 503, "{ready}");
    rig.world.stop().await;
    assert_eq!(
        (rig.modem.stats().clients, rig.modem.stats().commands),
        (clients, asked),
        "nobody touched it"
    );

    std::fs::remove_dir_all(&store).unwrap();
    copy(away.path(), &store);
    rig.world.start_again().await;
    rig.await_opt_out(ANN).await;
    rig.await_taken(1).await;
    assert_eq!(rig.replies().await[0]["text"], json!("STOP"));
    rig.stop().await;
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
