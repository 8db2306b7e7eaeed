//! What a modem may do to the whole daemon, from the API to the wire and back (modem.md section 5, in its order).
//!
//! What went out is what the simulated modem's wire log says.

use std::time::Duration;

use nudged::sim::fault::Kind;
use nudged::sim::modem::{Amid, ModemOptions, StorageName, Vendor};
use nudged::sim::smsc::{Delay, Receipts};
use nudged::sms::hex;
use serde_json::{Value, json};

use crate::modem_client::{lines, pdu};
use crate::modem_rig::{Rig, at, deliver};
use crate::support::{number, until};

const ANN: &str = "+4915112345678";
const BEN: &str = "+4915112345679";
/// How long a modem may be silent about a message (modem.md 3.3).
const SUBMIT: Duration = Duration::from_secs(120);
/// An SMS-DELIVER that says it has more octets than it has.
const BAD: &str = "040B915121436587F90000621122215044001E41";

fn reference(message: &Value) -> &Value {
    &message["segments"][0]["reference"]
}

/// The TP-MRs that the modem gave, as text, in order.
fn references(rig: &Rig) -> Vec<Value> {
    rig.submits().iter().map(|line| json!(line["reference"].to_string())).collect()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modem_silent_after_the_pdu_got_it_once_and_its_answer_90_seconds_later_resolves_the_unknown() {
    let rig = Rig::still(at(1, Kind::Late(SUBMIT + seconds(90)))).await;
    rig.up().await;
    let id = rig.world.send(ANN, "pay").await;
    rig.await_submits(1).await;
    rig.pass(SUBMIT - seconds(15)).await;
    assert_eq!(rig.world.status(&id).await, "sending");
    rig.world.await_status(&id, "unknown").await;
    rig.pass(seconds(60)).await;
    assert_eq!(rig.world.status(&id).await, "unknown", "nothing came yet");
    let looks = until(&rig.clock, "the late answer", async || {
        rig.pass(seconds(1)).await;
        (rig.world.status(&id).await == "sent").then_some(())
    });
    looks.await;
    assert_eq!(rig.texts(), ["pay"]);
    assert_eq!(reference(&rig.world.message(&id).await), "1");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_proves_an_unknown_message_delivered_and_it_went_out_once() {
    let rig = Rig::still(at(1, Kind::NoAnswer)).await;
    rig.up().await;
    let id = rig.world.send(ANN, "pay").await;
    rig.await_submits(1).await;
    rig.pass(SUBMIT).await;
    rig.world.await_status(&id, "unknown").await;
    rig.up().await;
    rig.modem.report(1, 0).unwrap();
    rig.world.await_status(&id, "delivered").await;
    let next = rig.world.send(BEN, "next").await;
    rig.world.await_status(&next, "sent").await;
    assert_eq!(rig.texts(), ["pay", "next"]);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_behind_an_undecodable_message_is_heard_and_both_places_are_freed() {
    let bad = hex::decode(BAD).unwrap();
    let rig = Rig::live_after(ModemOptions::default(), |modem| {
        assert!(modem.keep(StorageName::Sm, &bad).unwrap());
        assert!(modem.keep(StorageName::Sm, &deliver(ANN, "STOP", None, 0)).unwrap());
    })
    .await;
    rig.await_opt_out(ANN).await;
    rig.await_taken(2).await;
    let kept: Vec<Value> = lines(&rig.modem, "sms_deliver").iter().map(|line| line["how"].clone()).collect();
    assert_eq!(kept, ["stored SM 1", "stored SM 2"]);
    let mut replies = rig.replies().await;
    // What cannot be read is read a second time first.
    replies.sort_by_key(|reply| reply["intent"] == "opt_out");
    let [poison, stop] = &replies[..] else { panic!("{replies:?}") };
    assert_eq!((&poison["intent"], &poison["text"]), (&json!("unreadable"), &Value::Null));
    assert!(poison["raw"].as_str().unwrap().ends_with(&BAD.to_lowercase()), "{poison}");
    assert!(poison["problem"].is_string() && stop["text"] == "STOP");
    let blocked = rig.world.send(ANN, "pay").await;
    assert_eq!(rig.world.status(&blocked).await, "blocked");
    let other = rig.world.send(BEN, "pay").await;
    rig.world.await_status(&other, "sent").await;
    assert!(
        !rig.texts().is_empty()
            && rig.submits().iter().all(|line| line["text"] != "pay" || line["to"] == BEN)
    );
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_before_the_prompt_and_before_the_result_lose_and_mix_nothing() {
    let rig = Rig::live(ModemOptions {
        faults: vec!["urc-flood@1+".parse().unwrap()],
        service_time: Delay { least: Duration::from_millis(200), most: Duration::from_millis(200) },
        ..ModemOptions::default()
    })
    .await;
    rig.up().await;
    rig.modem.keep(StorageName::Sm, &deliver(ANN, "before the prompt", None, 0)).unwrap();
    for line in ["RING", "+CMTI: \"SM\",1", "^RSSI:17"] {
        rig.modem.say_amid(Amid::Prompt, line);
    }
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(rig.world.send(&number(n), &format!("message {n}")).await);
        rig.await_submits(n + 1).await;
        // It is announced while the answer is still to come.
        rig.modem.reply(BEN, &format!("before result {n}")).unwrap();
    }
    for (place, id) in ids.iter().enumerate() {
        let message = rig.world.await_status(id, "sent").await;
        assert_eq!(reference(&message), &references(&rig)[place]);
    }
    assert_eq!(rig.texts(), ["message 0", "message 1", "message 2", "message 3"]);
    let mut told: Vec<Value> = rig.await_replies(5).await.iter().map(|reply| reply["text"].clone()).collect();
    told.sort_by_key(Value::to_string);
    assert_eq!(
        told,
        ["before result 0", "before result 1", "before result 2", "before result 3", "before the prompt"]
    );
    rig.await_taken(5).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_inside_a_listing_cost_no_entry_of_it() {
    let rig = Rig::live_after(ModemOptions::default(), |modem| {
        for n in 1..=4 {
            modem.keep(StorageName::Sm, &deliver(ANN, &format!("reply {n}"), None, n)).unwrap();
        }
        for line in ["RING", "+CMTI: \"SM\",4", "^RSSI:9", "+CREG: 1", "+CUSD: 0,\"OK\",15"] {
            modem.say_amid(Amid::Listing, line);
        }
    })
    .await;
    let told: Vec<Value> = rig.await_replies(4).await.iter().map(|reply| reply["text"].clone()).collect();
    assert_eq!(told, ["reply 1", "reply 2", "reply 3", "reply 4"]);
    rig.await_taken(4).await;
    assert_eq!(rig.replies().await.len(), 4);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modem_unplugged_while_idle_sends_what_waited_once_it_is_back() {
    let rig = Rig::still(ModemOptions::default()).await;
    rig.up().await;
    rig.modem.hangup().await;
    rig.world.await_link("gsm1", "down").await;
    let id = rig.world.send(ANN, "pay").await;
    rig.pass(seconds(30)).await;
    assert_eq!(rig.world.status(&id).await, "queued");
    rig.plug_again().await;
    rig.world.await_status(&id, "sent").await;
    assert_eq!(rig.texts(), ["pay"]);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modem_unplugged_before_its_prompt_has_got_nothing_and_the_message_goes_once_it_is_back() {
    let rig = Rig::still(at(1, Kind::NoPrompt)).await;
    rig.up().await;
    let id = rig.world.send(ANN, "pay").await;
    until(&rig.clock, "AT+CMGS", async || (rig.commands("+CMGS") == 1).then_some(())).await;
    rig.modem.hangup().await;
    rig.world.await_status(&id, "queued").await;
    assert!(rig.submits().is_empty());
    rig.plug_again().await;
    rig.world.await_status(&id, "sent").await;
    assert_eq!(rig.texts(), ["pay"]);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_never_comes_is_left_without_a_message_and_the_next_try_sends_it() {
    let rig = Rig::still(at(1, Kind::NoPrompt)).await;
    rig.up().await;
    let id = rig.world.send(ANN, "pay").await;
    rig.world.await_status(&id, "sent").await;
    assert_eq!((rig.texts(), rig.commands("+CMGS")), (vec![String::from("pay")], 2));
    assert!(lines(&rig.modem, "refused").is_empty(), "nothing was ended by Ctrl-Z but the message");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modem_unplugged_after_ctrl_z_leaves_that_one_unknown_and_sends_the_next() {
    let rig = Rig::still(at(1, Kind::NoAnswer)).await;
    rig.up().await;
    let id = rig.world.send(ANN, "pay").await;
    rig.await_submits(1).await;
    rig.modem.hangup().await;
    rig.world.await_status(&id, "unknown").await;
    rig.plug_again().await;
    let next = rig.world.send(BEN, "next").await;
    rig.world.await_status(&next, "sent").await;
    assert_eq!(rig.world.status(&id).await, "unknown");
    assert_eq!(rig.texts(), ["pay", "next"]);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_refused_for_good_fails_alone_among_twenty() {
    // The network is believed at once; the modem, of octets that the line may have damaged, the second time.
    for (error, tries) in [(28, 1), (304, 2)] {
        let mut options = at(7, Kind::Reject(Some(error)));
        options.faults.extend((8..7 + tries).flat_map(|n| at(n, Kind::Reject(Some(error))).faults));
        let submits_in_all = 19 + usize::try_from(tries).unwrap();
        let rig = Rig::still(options).await;
        rig.up().await;
        let ids = rig.world.send_many(20).await;
        let submits = rig.await_submits(submits_in_all).await;
        let refused = submits[6]["to"].as_str().unwrap().to_owned();
        let all = until(&rig.clock, "an end of all", async || {
            let ended = rig.world.count("sent").await + rig.world.count("failed").await;
            (ended == 20).then_some(())
        });
        all.await;
        for (n, id) in ids.iter().enumerate() {
            let wanted = if number(n) == refused { "failed" } else { "sent" };
            assert_eq!(rig.world.status(id).await, wanted, "{n}, CMS ERROR {error}");
        }
        assert_eq!(rig.submits().len(), submits_in_all, "nothing else was tried again");
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_memory_of_read_messages_is_drained_and_a_stop_into_slot_0_is_heard() {
    let options = ModemOptions { vendor: Vendor::Huawei, ..ModemOptions::default() };
    let rig = Rig::live_after(options, |modem| {
        modem.fill(StorageName::Me);
        modem.reply(ANN, "STOP").unwrap();
    })
    .await;
    rig.await_opt_out(ANN).await;
    rig.await_taken(1).await;
    let [came] = &lines(&rig.modem, "sms_deliver")[..] else { panic!() };
    assert_eq!((&came["text"], &came["how"]), (&json!("STOP"), &json!("stored ME 0")));
    assert_eq!(rig.await_replies(101).await.len(), 101, "and nothing that lay there is lost");
    until(&rig.clock, "a place for each", async || (rig.commands("+CMGD") >= 101).then_some(())).await;
    rig.modem.reply(BEN, "yes").unwrap();
    rig.await_taken(2).await;
    assert_eq!(lines(&rig.modem, "sms_deliver")[1]["how"], "stored ME 0");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_replies_of_two_senders_with_one_reference_are_joined_over_two_restarts() {
    let mut rig = Rig::live(ModemOptions::default()).await;
    let segment =
        |from: &str, of: &str, n: u8| deliver(from, &format!("{of}{n} "), Some((7, 3, n)), u64::from(n));
    let mut taken = 0;
    for (ann, ben) in [(1, 2), (3, 1), (2, 3)] {
        rig.up().await;
        rig.modem.deliver(&segment(ANN, "ann", ann)).unwrap();
        rig.modem.deliver(&segment(BEN, "ben", ben)).unwrap();
        taken += 2;
        rig.await_taken(taken).await;
        if taken < 6 {
            assert!(rig.replies().await.is_empty(), "nothing is whole yet");
            rig.world.restart().await;
        }
    }
    let mut told: Vec<(Value, Value)> = rig
        .await_replies(2)
        .await
        .iter()
        .map(|reply| {
            assert_eq!((&reply["complete"], &reply["segment_count"]), (&json!(true), &json!(3)));
            (reply["from"].clone(), reply["text"].clone())
        })
        .collect();
    told.sort_by_key(|(from, _)| from.to_string());
    assert_eq!(told, [(json!(ANN), json!("ann1 ann2 ann3 ")), (json!(BEN), json!("ben1 ben2 ben3 "))]);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_announced_in_a_place_of_something_else_deletes_nothing_of_others() {
    let rig = Rig::still(ModemOptions {
        vendor: Vendor::Quectel,
        receipts: Receipts::Delivered,
        routes_reports: false,
        ..at(1, Kind::CdsiTrap)
    })
    .await;
    rig.up().await;
    // What somebody wrote and stored on the SIM, and a reply that nobody announced.
    let own = hex::decode(&pdu("a draft on the SIM", false)[2..]).unwrap();
    assert!(rig.modem.keep(StorageName::Sm, &own).unwrap());
    assert!(rig.modem.keep(StorageName::Sm, &deliver(ANN, "I call you", None, 0)).unwrap());
    let id = rig.world.send(ANN, "pay").await;
    rig.world.await_status(&id, "sent").await;
    until(&rig.clock, "AT+CMGR", async || (rig.commands("+CMGR") > 0).then_some(())).await;
    let looks = until(&rig.clock, "its report, which the sweep finds", async || {
        rig.pass(seconds(1)).await;
        (rig.world.status(&id).await == "delivered").then_some(())
    });
    looks.await;
    let replies = rig.await_replies(1).await;
    assert_eq!((replies.len(), &replies[0]["text"]), (1, &json!("I call you")));
    rig.await_taken(2).await;
    rig.pass(seconds(150)).await;
    let came = lines(&rig.modem, "sms_deliver");
    let draft = came.iter().find(|line| line["how"] == "stored SM 0").unwrap();
    let taken = lines(&rig.modem, "sms_taken");
    assert_eq!(taken.len(), 2, "the report and the reply: {taken:?}");
    assert!(taken.iter().all(|line| line["id"] != draft["id"]), "{taken:?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modem_that_restarts_between_messages_gets_every_setting_again() {
    let rig = Rig::live(ModemOptions::default()).await;
    rig.up().await;
    let first = rig.world.send(ANN, "one").await;
    rig.world.await_status(&first, "sent").await;
    let settings = || ["E", "+CMEE", "+CMGF", "+CNMI", "+CREG"].map(|name| rig.commands(name));
    let before = settings();
    rig.modem.reboot();
    until(&rig.clock, "AT+CNMI again", async || {
        settings().iter().zip(before).all(|(now, before)| *now > before).then_some(())
    })
    .await;
    rig.up().await;
    // Announced, and read at once: that setting was lost too.
    rig.modem.reply(BEN, "yes").unwrap();
    assert_eq!(rig.await_replies(1).await[0]["text"], "yes");
    let second = rig.world.send(ANN, "two").await;
    rig.world.await_status(&second, "sent").await;
    assert_eq!(rig.texts(), ["one", "two"]);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modem_that_restarts_amid_a_message_leaves_it_unknown_and_goes_on() {
    let rig = Rig::live(at(1, Kind::Reboot)).await;
    rig.up().await;
    let first = rig.world.send(ANN, "one").await;
    rig.world.await_status(&first, "unknown").await;
    let second = rig.world.send(BEN, "two").await;
    rig.world.await_status(&second, "sent").await;
    assert_eq!(
        (rig.texts(), rig.world.status(&first).await),
        (vec!["one".into(), "two".into()], "unknown".into())
    );
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_kept_to_the_message() {
    let rig = Rig::still_at(ModemOptions::default(), "6/min").await;
    rig.up().await;
    rig.world.send_many(13).await;
    rig.await_submits(1).await;
    rig.pass(Duration::from_millis(100)).await;
    for sent in 1..13 {
        rig.pass(seconds(9)).await;
        assert_eq!(rig.submits().len(), sent, "none before its 10 s");
        rig.pass(seconds(1)).await;
        // Whatever it takes of the machine, it takes no time of the rate's.
        let look = async || (rig.submits().len() > sent).then_some(());
        rig.at_once(&format!("another after {sent}"), look).await;
    }
    assert_eq!(rig.submits().len(), 13, "two minutes, and the first");
    rig.stop().await;
}
