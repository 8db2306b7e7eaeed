//! Receipts and replies of the simulated SMSC: whose they are, and that they are kept until somebody takes them.

use std::time::Duration;

use nudged::clock::Clock;
use nudged::sim::smsc::Smsc;

use crate::smsc_client::*;
use crate::support::{START, pdu, until};

const BIND_RECEIVER: u32 = 1;
const UNBIND: u32 = 6;
const DELIVER_SM: u32 = 5;
const ENQUIRE_LINK: u32 = 0x15;

/// A message of each text that asks for a receipt, all answered.
async fn submit_all(client: &mut Client, texts: &[&str]) {
    for (place, text) in texts.iter().enumerate() {
        let asking = Text { registered_delivery: 1, message: text.as_bytes(), ..Text::default() };
        let seq = 100 + place as u32;
        client.send(&submit(seq, &asking)).await;
        let answer = client.receive().await;
        assert_eq!((answer.command, answer.status, answer.seq), (SUBMIT_SM | RESPONSE, 0, seq));
    }
}

/// The next PDU, a receipt: its sequence number and the text of the message it repeats.
async fn receipt(client: &mut Client) -> (u32, String) {
    let pdu = client.receive().await;
    let (esm_class, text, _) = delivered(&pdu);
    assert_eq!(esm_class, 4);
    let text = String::from_utf8(text).unwrap();
    (pdu.seq, text.rsplit("text:").next().unwrap().to_owned())
}

async fn confirm(client: &mut Client, seq: u32, status: u32) {
    client.send(&pdu(DELIVER_SM | RESPONSE, status, seq, b"\0")).await;
}

/// Panics if anything came before what the SMSC answers now.
async fn nothing_came(client: &mut Client) {
    client.send(&pdu(ENQUIRE_LINK, 0, 77, b"")).await;
    assert_eq!(client.receive().await.command, ENQUIRE_LINK | RESPONSE);
}

async fn count(smsc: &Smsc, name: &str) -> u64 {
    stats(smsc).await[name].as_u64().unwrap()
}

#[tokio::test]
async fn a_receipt_goes_to_another_bind_of_the_account_when_its_own_is_gone() {
    let smsc = start(with_control()).await;
    let mut stranger = Client::connect(&smsc).await;
    assert_eq!(stranger.bind(BIND_TRANSCEIVER, "other", "").await, 0);
    let mut receiver = Client::bound(&smsc, BIND_RECEIVER).await;
    let mut sender = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    let asking = Text { registered_delivery: 1, ..Text::default() };
    sender.send(&[submit(2, &asking), pdu(UNBIND, 0, 3, b"")].concat()).await;
    assert_eq!(sender.receive().await.seq, 2);
    assert_eq!(sender.receive().await.seq, 3);
    let (seq, text) = receipt(&mut receiver).await;
    assert_eq!(text, "hello");
    confirm(&mut receiver, seq, 0).await;
    nothing_came(&mut stranger).await;
    nothing_came(&mut receiver).await;
    assert_eq!((count(&smsc, "delivered").await, count(&smsc, "mail_waiting").await), (1, 0));
}

#[tokio::test]
async fn a_receipt_waits_for_a_rebind_on_the_same_connection() {
    let smsc = start(with_control()).await;
    let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    submit_all(&mut client, &["before"]).await;
    client.send(&pdu(UNBIND, 0, 9, b"")).await;
    assert_eq!(client.receive().await.command, UNBIND | RESPONSE);
    assert_eq!(client.bind(BIND_TRANSCEIVER, "acme", "secret").await, 0);
    assert_eq!(receipt(&mut client).await.1, "before");
}

#[tokio::test]
async fn what_a_drop_left_unanswered_comes_again_and_what_was_confirmed_does_not() {
    let smsc = start(with_control()).await;
    let mut sender = Client::bound(&smsc, BIND_TRANSMITTER).await;
    submit_all(&mut sender, &["one", "two", "three"]).await;
    let mut receiver = Client::bound(&smsc, BIND_RECEIVER).await;
    for round in 0..5 {
        let mut texts = Vec::new();
        for _ in 0..3 {
            texts.push(receipt(&mut receiver).await.1);
        }
        assert_eq!(texts, ["one", "two", "three"], "round {round}");
        assert_eq!(call(&smsc, "POST", "/hangup", "").await.0, 200);
        receiver.rest().await;
        receiver = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    }
    let (first, _) = receipt(&mut receiver).await;
    confirm(&mut receiver, first, 0).await;
    drop(receiver);
    let mut receiver = Client::bound(&smsc, BIND_RECEIVER).await;
    let left = [receipt(&mut receiver).await, receipt(&mut receiver).await];
    assert_eq!((&*left[0].1, &*left[1].1), ("two", "three"));
    for (seq, _) in left {
        confirm(&mut receiver, seq, 0).await;
    }
    nothing_came(&mut receiver).await;
    assert_eq!((count(&smsc, "delivered").await, count(&smsc, "mail_lost").await), (3, 0));
}

#[tokio::test]
async fn what_one_session_did_not_answer_goes_to_another_that_is_bound() {
    let smsc = start(with_control()).await;
    let mut first = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    submit_all(&mut first, &["hello"]).await;
    receipt(&mut first).await;
    let mut second = Client::bound(&smsc, BIND_RECEIVER).await;
    first.send(&pdu(UNBIND, 0, 9, b"")).await;
    assert_eq!(receipt(&mut second).await.1, "hello");
}

#[tokio::test]
async fn a_receipt_left_unanswered_on_a_live_connection_is_sent_again() {
    let clock = Clock::manual(START);
    let smsc = Smsc::start(with_control(), clock.clone()).await.unwrap();
    let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    submit_all(&mut client, &["hello"]).await;
    clock.advance(Duration::from_millis(100));
    let (unanswered, _) = receipt(&mut client).await;
    clock.advance(Duration::from_secs(60));
    let waits = async || (stats(&smsc).await["mail_waiting"] == 1).then_some(());
    until(&clock, "the answer is not awaited any more", waits).await;
    clock.advance(Duration::from_secs(1));
    let (again, text) = receipt(&mut client).await;
    assert_eq!(text, "hello");
    confirm(&mut client, unanswered, 0).await;
    nothing_came(&mut client).await;
    assert_eq!(count(&smsc, "delivered").await, 0, "too late");
    confirm(&mut client, again, 0).await;
    nothing_came(&mut client).await;
    assert_eq!(count(&smsc, "delivered").await, 1);
}

#[tokio::test]
async fn a_receipt_that_the_client_will_never_take_is_not_sent_again() {
    for status in [0x65, 0x66] {
        let smsc = start(with_control()).await;
        let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
        submit_all(&mut client, &["hello"]).await;
        let (seq, _) = receipt(&mut client).await;
        confirm(&mut client, seq, status).await;
        nothing_came(&mut client).await;
        let counts = (count(&smsc, "mail_waiting").await, count(&smsc, "mail_lost").await);
        assert_eq!((counts, count(&smsc, "delivery_refused").await), ((0, 1), 1));
    }
}

#[tokio::test]
async fn a_reply_goes_to_an_account_that_is_still_bound() {
    let smsc = start(with_control()).await;
    let mut stays = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    let mut leaves = Client::connect(&smsc).await;
    assert_eq!(leaves.bind(BIND_TRANSCEIVER, "other", "").await, 0);
    leaves.send(&pdu(UNBIND, 0, 9, b"")).await;
    leaves.receive().await;
    let reply = r#"{"from":"+4915112345678","to":"ACME","text":"STOP"}"#;
    assert_eq!(call(&smsc, "POST", "/reply", reply).await.0, 200);
    assert_eq!(delivered(&stays.receive().await).1, b"STOP");
}
