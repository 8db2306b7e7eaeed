//! What the simulated SMSC answers to each PDU of SMPP 3.4, allowed or not, well formed or not.

use std::time::Duration;

use nudged::clock::Clock;
use nudged::sim::smsc::{Receipts, Smsc, SmscOptions};

use crate::smsc_client::*;
use crate::support::{START, pdu};

const BIND_RECEIVER: u32 = 1;
const QUERY_SM: u32 = 3;
const UNBIND: u32 = 6;
const REPLACE_SM: u32 = 7;
const CANCEL_SM: u32 = 8;
const ENQUIRE_LINK: u32 = 0x15;
const SUBMIT_MULTI: u32 = 0x21;
const DATA_SM: u32 = 0x103;
const GENERIC_NACK: u32 = RESPONSE;

/// Sends one PDU and gives the answer; it must carry its sequence number.
async fn ask(client: &mut Client, command: u32, body: &[u8]) -> Pdu {
    client.send(&pdu(command, 0, 42, body)).await;
    let answer = client.receive().await;
    assert_eq!(answer.seq, 42);
    answer
}

/// An error: response, status, and no body with it.
fn error(command: u32, status: u32) -> Pdu {
    Pdu { command, status, seq: 42, body: vec![] }
}

/// A data_sm to a number, with the TLVs given.
fn data_sm(registered_delivery: u8, tlvs: &[u8]) -> Vec<u8> {
    let mut body = b"\0\x05\0ACME\0\x01\x014915112345678\0\0".to_vec();
    body.extend([registered_delivery, 0]);
    body.extend(tlvs);
    body
}

/// message_payload of so many octets.
fn long_text(octets: usize) -> Vec<u8> {
    let mut tlv = vec![0x04, 0x24];
    tlv.extend((octets as u16).to_be_bytes());
    tlv.resize(4 + octets, b'x');
    tlv
}

/// A query_sm of a message by ACME.
fn query(message_id: &[u8], source: &str) -> Vec<u8> {
    [message_id, b"\0\x05\0", source.as_bytes(), b"\0"].concat()
}

/// Submits one message and gives its message_id.
async fn submitted(client: &mut Client) -> Vec<u8> {
    client.send(&submit(2, &Text::default())).await;
    let answer = client.receive().await;
    assert_eq!((answer.command, answer.status), (SUBMIT_SM | RESPONSE, 0));
    answer.body.strip_suffix(b"\0").unwrap().to_vec()
}

#[tokio::test]
async fn what_a_session_may_not_do_is_answered_with_the_wrong_state() {
    let smsc = start(SmscOptions::default()).await;
    let mut unbound = Client::connect(&smsc).await;
    let mut receiver = Client::bound(&smsc, BIND_RECEIVER).await;
    for command in [SUBMIT_SM, DATA_SM, QUERY_SM, CANCEL_SM, REPLACE_SM, SUBMIT_MULTI] {
        for client in [&mut unbound, &mut receiver] {
            assert_eq!(ask(client, command, b"").await, error(command | RESPONSE, 4), "{command:#x}");
        }
    }
    assert_eq!(ask(&mut unbound, UNBIND, b"").await, error(UNBIND | RESPONSE, 4));
    assert_eq!(ask(&mut unbound, ENQUIRE_LINK, b"").await, error(ENQUIRE_LINK | RESPONSE, 0));
    assert_eq!(ask(&mut receiver, UNBIND, b"").await, error(UNBIND | RESPONSE, 0));
}

#[tokio::test]
async fn a_request_that_no_client_has_is_nacked_and_a_response_to_nothing_is_not_answered() {
    let smsc = start(SmscOptions::default()).await;
    let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    // Reserved; deliver_sm, outbind and alert_notification, which only an SMSC sends; and nobody's.
    for command in [0, 5, 0x0B, 0x102, 0x7777] {
        assert_eq!(ask(&mut client, command, b"").await, error(GENERIC_NACK, 3), "{command:#x}");
    }
    for command in [GENERIC_NACK, 5 | RESPONSE, SUBMIT_SM | RESPONSE, 0x7777 | RESPONSE] {
        client.send(&pdu(command, 8, 42, b"")).await;
    }
    assert_eq!(ask(&mut client, ENQUIRE_LINK, b"").await.command, ENQUIRE_LINK | RESPONSE);
    submitted(&mut client).await;
}

#[tokio::test]
async fn a_bind_is_refused_by_the_field_that_is_wrong_and_may_be_tried_again() {
    let smsc = start(SmscOptions::default()).await;
    let mut client = Client::connect(&smsc).await;
    for (body, status) in [
        ("a234567890123456\0pw\0\0\x34\0\0\0", 0x0F),
        ("acme\0password9\0\0\x34\0\0\0", 0x0E),
        ("acme\0pw\0thirteen_long\0\x34\0\0\0", 0x53),
        ("acme\0pw\0\0\x34\0\0", 0x02),
        ("acme", 0x02),
    ] {
        let answer = ask(&mut client, BIND_TRANSCEIVER, body.as_bytes()).await;
        assert_eq!(answer, error(BIND_TRANSCEIVER | RESPONSE, status), "{body:?}");
    }
    let bound = ask(&mut client, BIND_TRANSCEIVER, b"acme\0pw\0\0\x34\0\0\0").await;
    assert_eq!((bound.status, &bound.body[..]), (0, &b"nudged-sim\0\x02\x10\0\x01\x34"[..]));
    for command in [BIND_TRANSCEIVER, BIND_TRANSMITTER, BIND_RECEIVER] {
        let again = ask(&mut client, command, b"acme\0pw\0\0\x34\0\0\0").await;
        assert_eq!(again, error(command | RESPONSE, 5));
    }
    submitted(&mut client).await;
}

#[tokio::test]
async fn a_client_of_3_3_gets_no_tlv_and_one_account_may_have_many_sessions() {
    let smsc = start(SmscOptions::default()).await;
    let mut old = Client::connect(&smsc).await;
    let bound = ask(&mut old, BIND_TRANSMITTER, b"acme\0pw\0\0\x33\0\0\0").await;
    assert_eq!((bound.status, &bound.body[..]), (0, &b"nudged-sim\0"[..]));
    let mut second = Client::bound(&smsc, BIND_TRANSMITTER).await;
    submitted(&mut old).await;
    submitted(&mut second).await;
}

#[tokio::test]
async fn a_data_sm_is_taken_with_its_whole_text_and_gets_its_receipt() {
    let dir = tempfile::tempdir().unwrap();
    let wire = dir.path().join("wire.ndjson");
    let smsc = start(SmscOptions { wire: Some(wire.clone()), ..SmscOptions::default() }).await;
    let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    let answer = ask(&mut client, DATA_SM, &data_sm(1, &long_text(65_535))).await;
    assert_eq!((answer.command, answer.status), (DATA_SM | RESPONSE, 0));
    let id = String::from_utf8(answer.body.strip_suffix(b"\0").unwrap().to_vec()).unwrap();
    let taken = lines(&wire, "data_sm").remove(0);
    assert_eq!(taken["text"].as_str().unwrap().len(), 65_535);
    assert_eq!((&taken["to"], &taken["message_id"]), (&"+4915112345678".into(), &id.as_str().into()));
    let (_, text, _) = delivered(&client.receive().await);
    assert!(String::from_utf8(text).unwrap().starts_with(&format!("id:{id} sub:001 dlvrd:001")));
}

#[tokio::test]
async fn a_malformed_message_is_refused_by_what_is_wrong_with_it() {
    let smsc = start(SmscOptions::default()).await;
    let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    let submit_sm = |dest: &str, times: &str, esm_class: u8, message: &[u8], tlvs: &[u8]| {
        let mut body = format!("\0\x05\0ACME\0\x01\x01{dest}\0").into_bytes();
        body.extend([esm_class, 0, 0]);
        body.extend(times.as_bytes());
        body.extend([0, 0, 0, 0, message.len() as u8]);
        [&body, message, tlvs].concat()
    };
    let (to, now) = ("4915112345678", "\0\0");
    for (body, status) in [
        (submit_sm(to, now, 0, &[b'x'; 255], b""), 0x01),
        (submit_sm(to, now, 0x40, b"\x05\0\x03", b""), 0x01),
        (submit_sm(to, now, 0, b"x", b"")[..30].to_vec(), 0x02),
        (submit_sm("", now, 0, b"x", b""), 0x0B),
        (submit_sm("123456789012345678901", now, 0, b"x", b""), 0x0B),
        (submit_sm(to, "soon\0\0", 0, b"x", b""), 0x61),
        (submit_sm(to, "\x00000000010000000X\0", 0, b"x", b""), 0x62),
        (submit_sm(to, now, 0, b"x", b"\x02\x04\x00"), 0xC0),
        (submit_sm(to, now, 0, b"x", b"\x02\x04\xFF\xFF\x01"), 0xC0),
        (submit_sm(to, now, 0, b"x", b"\x02\x04\x00\x01\x01"), 0xC2),
    ] {
        let answer = ask(&mut client, SUBMIT_SM, &body).await;
        assert_eq!(answer, error(SUBMIT_SM | RESPONSE, status), "{body:x?}");
    }
    for (body, status) in [(data_sm(0, b"\x04\x24\x00\x09x"), 0xC0), (b"\0\x05\0ACME\0\x01".to_vec(), 0x02)] {
        assert_eq!(ask(&mut client, DATA_SM, &body).await, error(DATA_SM | RESPONSE, status));
    }
    let good = submit_sm(to, "\x00000000010000000R\0", 0, &[b'x'; 254], b"\x14\x00\x00\x02??");
    assert_eq!(ask(&mut client, SUBMIT_SM, &good).await.status, 0);
}

#[tokio::test]
async fn a_query_tells_the_state_of_its_own_message_and_when_it_became_final() {
    let clock = Clock::manual(START);
    let options = SmscOptions { receipts: Receipts::Failed, ..with_control() };
    let smsc = Smsc::start(options, clock.clone()).await.unwrap();
    let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    let id = submitted(&mut client).await;
    let state = |date: &str, state: u8| [&id[..], b"\0", date.as_bytes(), &[0, state, 0]].concat();
    assert_eq!(ask(&mut client, QUERY_SM, &query(&id, "ACME")).await.body, state("", 1));
    clock.advance(Duration::from_millis(100));
    let undeliverable = state("261121140500000+", 5);
    assert_eq!(ask(&mut client, QUERY_SM, &query(&id, "ACME")).await.body, undeliverable);
    let receipt =
        format!(r#"{{"message_id":"{}","stat":"EXPIRED"}}"#, String::from_utf8(id.clone()).unwrap());
    clock.advance(Duration::from_secs(60));
    assert_eq!(call(&smsc, "POST", "/receipt", &receipt).await.0, 200);
    client.receive().await;
    assert_eq!(ask(&mut client, QUERY_SM, &query(&id, "ACME")).await.body, state("261121140600000+", 3));
    let mut stranger = Client::connect(&smsc).await;
    assert_eq!(stranger.bind(BIND_TRANSCEIVER, "other", "").await, 0);
    assert_eq!(ask(&mut stranger, QUERY_SM, &query(&id, "ACME")).await, error(QUERY_SM | RESPONSE, 0x67));
    let long = [b'1'; 65];
    for (body, status) in [
        (query(&id, "OTHER"), 0x67),
        (query(b"77", "ACME"), 0x67),
        (query(b"no number", "ACME"), 0x67),
        (query(&long, "ACME"), 0x0C),
        (id.clone(), 0x02),
    ] {
        assert_eq!(ask(&mut client, QUERY_SM, &body).await, error(QUERY_SM | RESPONSE, status), "{body:?}");
    }
}

#[tokio::test]
async fn nothing_is_left_to_cancel_or_replace_and_no_list_is_taken() {
    let smsc = start(SmscOptions::default()).await;
    let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    let id = submitted(&mut client).await;
    let cancel = [b"\0", &id[..], b"\0\x05\0ACME\0\x01\x014915112345678\0"].concat();
    let replace = [&id[..], b"\0\x05\0ACME\0\0\0\0\0\x03new"].concat();
    let multi = b"\0\x05\0ACME\0\x01\x01\x01\x014915112345678\0\0\0\0\0\0\0\0\0\0\x01x";
    for (command, body, status) in
        [(CANCEL_SM, &cancel[..], 0x11), (REPLACE_SM, &replace, 0x13), (SUBMIT_MULTI, multi, 0x03)]
    {
        assert_eq!(ask(&mut client, command, body).await, error(command | RESPONSE, status));
    }
    submitted(&mut client).await;
}

#[tokio::test]
async fn an_impossible_length_is_nacked_at_once_and_ends_that_connection_alone() {
    let smsc = start(SmscOptions::default()).await;
    let mut other = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    let header = |length: u32| [&length.to_be_bytes()[..], &pdu(ENQUIRE_LINK, 0, 42, b"")[4..]].concat();
    // A PDU shorter than its header has no sequence number: null it is (4.3.1).
    for (octets, seq) in [
        (vec![0, 0, 0, 0], 0),
        (vec![0, 0, 0, 8, 0, 0, 0, 0x15], 0),
        (header(15), 42),
        (header(0x7FFF_FFFF), 42),
        (header(u32::MAX), 42),
    ] {
        let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
        client.send(&octets).await;
        assert_eq!(client.receive().await, Pdu { command: GENERIC_NACK, status: 2, seq, body: vec![] });
        assert_eq!(client.rest().await, b"");
    }
    for octet in pdu(ENQUIRE_LINK, 0, 42, b"") {
        other.send(&[octet]).await;
    }
    assert_eq!(other.receive().await, error(ENQUIRE_LINK | RESPONSE, 0));
}

#[tokio::test]
async fn a_planned_refusal_has_the_status_that_was_asked_for() {
    let smsc = start(with_control()).await;
    let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    for (status, expected) in [("8", 8), (r#""0x45""#, 0x45), (r#""1041""#, 0x411)] {
        let fault = format!(r#"{{"kind":"reject","at":1,"status":{status}}}"#);
        assert_eq!(call(&smsc, "POST", "/fault", &fault).await.0, 200);
        client.send(&submit(42, &Text::default())).await;
        assert_eq!(client.receive().await, error(SUBMIT_SM | RESPONSE, expected));
    }
    for bad in [
        r#"{"kind":"reject","at":"1","status":0}"#,
        r#"{"kind":"slow","at":"1","status":8}"#,
        r#"{"kind":"reject","at":0}"#,
        r#"{"kind":"reject","at":[1]}"#,
    ] {
        assert_eq!(call(&smsc, "POST", "/fault", bad).await.0, 422, "{bad}");
    }
    submitted(&mut client).await;
}
