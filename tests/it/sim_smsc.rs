//! The simulated SMSC as a client sees it: messages, their answers, faults, the control API.

use std::time::Duration;

use nudged::clock::Clock;
use nudged::sim::smsc::{Cheat, Delay, Login, Mo, Rate, Receipts, Smsc, SmscOptions};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::smsc_client::*;
use crate::support::pdu;

#[tokio::test]
async fn a_message_stands_in_the_wire_log_before_its_answer_comes() {
    let dir = tempfile::tempdir().unwrap();
    let wire = dir.path().join("wire.ndjson");
    let smsc = start(SmscOptions { wire: Some(wire.clone()), ..SmscOptions::default() }).await;
    let mut client = Client::bound(&smsc, BIND_TRANSMITTER).await;
    for seq in 2..200 {
        client.send(&submit(seq, &Text::default())).await;
        let answer = client.receive().await;
        assert_eq!((answer.command, answer.status, answer.seq), (SUBMIT_SM | RESPONSE, 0, seq));
        let last = lines(&wire, "submit_sm").pop().expect("a line");
        let id = String::from_utf8(answer.body[..answer.body.len() - 1].to_vec()).unwrap();
        assert_eq!((last["seq"].as_u64(), last["message_id"].as_str()), (Some(seq.into()), Some(&*id)));
    }
}

#[tokio::test]
async fn a_line_holds_what_the_client_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let wire = dir.path().join("wire.ndjson");
    let smsc = start(SmscOptions { wire: Some(wire.clone()), ..SmscOptions::default() }).await;
    let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    let ucs2: Vec<u8> = "Привет 😀".encode_utf16().flat_map(u16::to_be_bytes).collect();
    client.send(&submit(2, &Text { data_coding: 8, message: &ucs2, ..Text::default() })).await;
    let message = b"\x05\x00\x03\x2a\x02\x01\x1b\x65 12\x00";
    let tlvs = b"\x02\x04\x00\x02\x12\x67";
    client.send(&submit(3, &Text { esm_class: 0x40, message, tlvs, ..Text::default() })).await;
    client.receive().await;
    client.receive().await;
    let taken = lines(&wire, "submit_sm");
    assert_eq!(taken[0]["text"], "Привет 😀");
    assert_eq!((&taken[0]["from"], &taken[0]["to"]), (&"ACME".into(), &"+4915112345678".into()));
    assert_eq!(taken[0]["udh"], Value::Null);
    assert_eq!(taken[1]["text"], "€ 12@");
    assert_eq!(taken[1]["udh"], "0500032a0201");
    assert_eq!(taken[1]["segment"], serde_json::json!({ "ref": 42, "total": 2, "number": 1 }));
    assert_eq!(taken[1]["short_message"], "0500032a02011b6520313200");
    assert_eq!(taken[1]["user_message_reference"], 0x1267);
    assert_eq!(taken[1]["status"], 0);
}

#[tokio::test]
async fn what_a_client_wrote_before_it_died_was_taken() {
    let smsc = start(with_control()).await;
    let mut client = Client::bound(&smsc, BIND_TRANSMITTER).await;
    let all: Vec<u8> = (2..52).flat_map(|seq| submit(seq, &Text::default())).collect();
    client.send(&all).await;
    client.stream.shutdown().await.unwrap();
    client.rest().await;
    let received = call(&smsc, "GET", "/received", "").await.1;
    assert_eq!(received.matches("\"kind\":\"submit_sm\"").count(), 50);
}

#[tokio::test]
async fn a_wrong_account_or_password_is_refused_and_a_message_needs_a_bind() {
    let login = Login { system_id: "acme".into(), password: "secret".into() };
    let smsc = start(SmscOptions { login: Some(login), ..SmscOptions::default() }).await;
    let mut client = Client::connect(&smsc).await;
    client.send(&submit(7, &Text::default())).await;
    assert_eq!(
        client.receive().await,
        Pdu { command: SUBMIT_SM | RESPONSE, status: 4, seq: 7, body: vec![] }
    );
    assert_eq!(client.bind(BIND_TRANSCEIVER, "other", "secret").await, 0x0F);
    assert_eq!(client.bind(BIND_TRANSCEIVER, "acme", "wrong").await, 0x0E);
    assert_eq!(client.bind(BIND_TRANSCEIVER, "acme", "secret").await, 0);
    assert_eq!(client.bind(BIND_TRANSCEIVER, "acme", "secret").await, 0x05);
}

#[tokio::test]
async fn malformed_and_unknown_pdus_are_answered_in_step() {
    let smsc = start(SmscOptions::default()).await;
    let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    let mut too_short = submit(2, &Text::default());
    let end = too_short.len() - 6;
    too_short[end] = 200; // sm_length past the end
    client.send(&too_short).await;
    client.send(&pdu(0x7777, 0, 3, b"what")).await;
    client.send(&submit(4, &Text { tlvs: b"\x02\x04\xff\xff\x01", ..Text::default() })).await;
    client.send(&pdu(0x21, 0, 5, b"")).await;
    client.send(&pdu(0x15, 0, 6, b"")).await;
    let mut answers = Vec::new();
    for _ in 0..5 {
        let answer = client.receive().await;
        answers.push((answer.command, answer.status, answer.seq));
    }
    let expected = [
        (SUBMIT_SM | RESPONSE, 0x01, 2),
        (RESPONSE, 0x03, 3),
        (SUBMIT_SM | RESPONSE, 0xC0, 4),
        (0x21 | RESPONSE, 0x03, 5),
        (0x15 | RESPONSE, 0, 6),
    ];
    assert_eq!(answers, expected);
    client.send(&pdu(0x15, 0, 8, b"")[..12]).await;
    client.send(&[0, 0, 0, 8]).await;
    client.send(&[0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]).await;
    assert_eq!(client.receive().await.seq, 8);
    assert_eq!(client.receive().await, Pdu { command: RESPONSE, status: 2, seq: 9, body: vec![] });
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn the_most_in_flight_is_what_the_client_left_unanswered() {
    let smsc = start(SmscOptions { hold: true, ..with_control() }).await;
    let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    let burst: Vec<u8> = (2..39).flat_map(|seq| submit(seq, &Text::default())).collect();
    client.send(&burst).await;
    client.send(&pdu(0x15, 0, 99, b"")).await;
    assert_eq!(client.receive().await.seq, 99, "only messages are held");
    let held = stats(&smsc).await;
    assert_eq!((&held["in_flight"], &held["answered"]), (&37.into(), &0.into()));
    assert_eq!(call(&smsc, "POST", "/release", "").await.0, 200);
    for seq in 2..39 {
        assert_eq!(client.receive().await.seq, seq);
    }
    client.send(&submit(50, &Text::default())).await;
    client.receive().await;
    let done = stats(&smsc).await;
    assert_eq!((&done["most_in_flight"], &done["received"]), (&37.into(), &38.into()));
    assert_eq!(done["connections"][0]["most_in_flight"], 37);
    assert_eq!(done["per_status"]["0x00000000"], 38);
}

#[tokio::test]
async fn answers_of_random_delay_overtake_each_other_and_all_come() {
    let delay = Delay { least: Duration::ZERO, most: Duration::from_millis(60) };
    let smsc = start(SmscOptions { delay, seed: 3, ..SmscOptions::default() }).await;
    let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    let burst: Vec<u8> = (2..52).flat_map(|seq| submit(seq, &Text::default())).collect();
    client.send(&burst).await;
    let mut seqs = Vec::new();
    for _ in 2..52 {
        seqs.push(client.receive().await.seq);
    }
    assert!(!seqs.is_sorted());
    seqs.sort_unstable();
    assert_eq!(seqs, (2..52).collect::<Vec<u32>>());
}

#[tokio::test]
async fn what_exceeds_the_rate_is_throttled() {
    let rate = Some(Rate { per_second: 0.001 });
    let smsc = start(SmscOptions { rate, ..SmscOptions::default() }).await;
    let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    let burst: Vec<u8> = (0..15).flat_map(|seq| submit(seq, &Text::default())).collect();
    client.send(&burst).await;
    let mut statuses = Vec::new();
    for _ in 0..15 {
        statuses.push(client.receive().await.status);
    }
    assert_eq!(statuses, [vec![0; 10], vec![0x58; 5]].concat());
}

#[tokio::test]
async fn each_refusing_fault_answers_with_its_status() {
    for (fault, status) in [("throttle@2", 0x58), ("queue-full@2", 0x14), ("reject@2", 0x0B)] {
        let smsc = start_with(fault).await;
        let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
        for (seq, expected) in [(2, 0), (3, status), (4, 0)] {
            client.send(&submit(seq, &Text::default())).await;
            assert_eq!(client.receive().await.status, expected, "{fault}, message {seq}");
        }
        let received = call(&smsc, "GET", "/received", "").await.1;
        assert!(received.contains(&format!("\"message_id\":null,\"status\":{status}")), "{received}");
    }
}

#[tokio::test]
async fn a_silent_fault_takes_the_message_and_answers_the_others() {
    let smsc = start_with("no-answer@1").await;
    let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    client.send(&submit(2, &Text::default())).await;
    client.send(&submit(3, &Text::default())).await;
    assert_eq!(client.receive().await.seq, 3);
    drop(client);
    let received = ended(&smsc).await;
    assert!(received.contains("\"status\":null"), "{received}");
    assert!(received.contains("\"unanswered\":[2]"), "{received}");
}

#[tokio::test]
async fn a_drop_comes_after_the_message_was_taken_and_a_hangup_before() {
    for (fault, taken) in [("drop-after-submit@2", 2), ("hangup@2", 1)] {
        let smsc = start_with(fault).await;
        let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
        client.send(&submit(2, &Text::default())).await;
        client.receive().await;
        let rest: Vec<u8> = (3..6).flat_map(|seq| submit(seq, &Text::default())).collect();
        client.send(&rest).await;
        assert_eq!(client.rest().await, b"", "{fault}");
        let received = ended(&smsc).await;
        assert_eq!(received.matches("submit_sm").count(), taken, "{fault}");
        let (unanswered, not_taken) = if taken == 2 { ("[3]", "null") } else { ("[]", "3") };
        let end = format!("\"unanswered\":{unanswered},\"not_taken\":{not_taken}}}");
        assert!(received.contains(&end), "{fault}: {received}");
    }
}

#[tokio::test]
async fn garbage_is_no_pdu_of_any_length_a_client_may_take() {
    let smsc = start_with("garbage@1").await;
    let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    client.send(&submit(2, &Text::default())).await;
    let mut garbage = [0; 32];
    client.stream.read_exact(&mut garbage).await.unwrap();
    assert!(garbage[0] >= 0x80);
}

#[tokio::test]
async fn a_slow_answer_is_overtaken_by_later_ones() {
    let smsc = start_with("slow@1").await;
    let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    client.send(&submit(2, &Text::default())).await;
    client.send(&submit(3, &Text::default())).await;
    assert_eq!(client.receive().await.seq, 3);
    assert_eq!(client.receive().await.seq, 2);
}

#[tokio::test]
async fn a_fault_only_modems_have_is_refused() {
    let options = SmscOptions { faults: vec!["sim-full@1".parse().unwrap()], ..SmscOptions::default() };
    let error = Smsc::start(options, Clock::system()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_receipt_waits_for_a_receiver_and_comes_again_after_a_refusal_or_a_drop() {
    let smsc = start(with_control()).await;
    let mut sender = Client::bound(&smsc, BIND_TRANSMITTER).await;
    let asked = Text { registered_delivery: 1, tlvs: b"\x02\x04\x00\x02\x12\x67", ..Text::default() };
    sender.send(&submit(2, &asked)).await;
    let id = sender.receive().await.body;
    let mut receiver = Client::bound(&smsc, 1).await;
    let first = receiver.receive().await;
    let (esm_class, text, tlvs) = delivered(&first);
    assert_eq!(esm_class, 4);
    let text = String::from_utf8(text).unwrap();
    let named = format!("id:{} sub:001 dlvrd:001", String::from_utf8_lossy(&id[..id.len() - 1]));
    assert!(text.starts_with(&named) && text.ends_with("stat:DELIVRD err:000 text:hello"), "{text}");
    let mut expected = vec![0x00, 0x1E, 0x00, id.len() as u8];
    expected.extend(&id);
    expected.extend(b"\x04\x27\x00\x01\x02\x02\x04\x00\x02\x12\x67");
    assert_eq!(tlvs, expected);
    receiver.send(&pdu(5 | RESPONSE, 0x64, first.seq, b"\0")).await;
    let second = receiver.receive().await;
    assert_eq!(second.body, first.body);
    drop(receiver);
    let mut receiver = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    let third = receiver.receive().await;
    assert_eq!(third.body, first.body);
    receiver.send(&pdu(5 | RESPONSE, 0, third.seq, b"\0")).await;
    receiver.send(&pdu(6, 0, 9, b"")).await;
    assert_eq!(receiver.receive().await.command, 6 | RESPONSE);
    let counts = stats(&smsc).await;
    let count = |name: &str| counts[name].as_u64().unwrap();
    assert_eq!((count("delivered"), count("delivery_refused"), count("mail_waiting")), (1, 1, 0));
}

#[tokio::test]
async fn no_receipt_comes_unasked_or_when_there_are_none() {
    for (receipts, registered_delivery) in [(Receipts::Delivered, 0), (Receipts::None, 1)] {
        let smsc = start(SmscOptions { receipts, ..with_control() }).await;
        let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
        client.send(&submit(2, &Text { registered_delivery, ..Text::default() })).await;
        client.receive().await;
        assert_eq!(stats(&smsc).await["mail_waiting"], 0);
    }
}

#[tokio::test]
async fn the_control_api_replies_reports_and_hangs_up() {
    let smsc = start(SmscOptions { receipts: Receipts::None, ..with_control() }).await;
    let reply = r#"{"from":"+4915112345678","to":"ACME","text":"STOP €"}"#;
    assert_eq!(call(&smsc, "POST", "/reply", reply).await.0, 409, "nobody receives");
    let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    assert_eq!(call(&smsc, "POST", "/reply", reply).await.0, 200);
    let (esm_class, text, _) = delivered(&client.receive().await);
    assert_eq!((esm_class, &text[..]), (0, &b"STOP \x1b\x65"[..]));
    client.send(&submit(2, &Text::default())).await;
    let id = client.receive().await.body;
    let id = String::from_utf8(id[..id.len() - 1].to_vec()).unwrap();
    let receipt = format!(r#"{{"message_id":"{id}","stat":"EXPIRED"}}"#);
    assert_eq!(call(&smsc, "POST", "/receipt", &receipt).await.0, 200);
    let (_, text, _) = delivered(&client.receive().await);
    assert!(String::from_utf8(text).unwrap().contains("stat:EXPIRED err:000"));
    assert_eq!(call(&smsc, "POST", "/receipt", r#"{"message_id":"1","stat":"EXPIRED"}"#).await.0, 404);
    assert_eq!(call(&smsc, "POST", "/fault", r#"{"kind":"reject","at":"1"}"#).await.0, 200);
    client.send(&submit(3, &Text::default())).await;
    assert_eq!(client.receive().await.status, 0x0B);
    assert_eq!(call(&smsc, "POST", "/fault", r#"{"kind":"reboot","at":"1"}"#).await.0, 422);
    assert_eq!(call(&smsc, "POST", "/reply", "{").await.0, 400);
    assert_eq!(call(&smsc, "GET", "/nothing", "").await.0, 404);
    assert_eq!(call(&smsc, "POST", "/hangup", "").await.0, 200);
    client.rest().await;
    assert!(ended(&smsc).await.contains("\"why\":\"hung up\""));
}

#[tokio::test]
async fn a_cheating_smsc_shows_it_in_its_log_alone() {
    for (cheat, lines) in [(Cheat::Lose, 8), (Cheat::Double, 12)] {
        let smsc = start(SmscOptions { cheat: Some(cheat), ..with_control() }).await;
        let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
        for seq in 2..12 {
            client.send(&submit(seq, &Text::default())).await;
            assert_eq!(client.receive().await.status, 0);
        }
        let received = call(&smsc, "GET", "/received", "").await.1;
        assert_eq!(received.matches("\"kind\":\"submit_sm\"").count(), lines, "{cheat:?}");
    }
}

#[tokio::test]
async fn an_unbind_is_answered_after_what_is_due() {
    let delay = Duration::from_millis(30);
    let smsc =
        start(SmscOptions { delay: Delay { least: delay, most: delay }, ..SmscOptions::default() }).await;
    let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    let (first, last) = (submit(2, &Text::default()), submit(4, &Text::default()));
    client.send(&[first, pdu(6, 0, 3, b""), last].concat()).await;
    let mut seqs = Vec::new();
    for _ in 0..3 {
        seqs.push(client.receive().await.seq);
    }
    assert_eq!(seqs, [4, 2, 3], "refused at once, then in order");
    smsc.stop().await;
    client.rest().await;
}

#[tokio::test]
async fn a_repeated_reply_reaches_whoever_receives() {
    let mo = Some(Mo { text: "STOP".into(), interval: Duration::from_millis(5) });
    let smsc = start(SmscOptions { mo, ..SmscOptions::default() }).await;
    let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    for _ in 0..3 {
        assert_eq!(delivered(&client.receive().await).1, b"STOP");
    }
}

#[tokio::test]
async fn the_mix_shows_each_documented_form_of_receipt() {
    let smsc = start(SmscOptions { receipts: Receipts::Mixed, ..SmscOptions::default() }).await;
    let mut client = Client::bound(&smsc, BIND_TRANSCEIVER).await;
    let text = Text { registered_delivery: 1, ..Text::default() };
    let burst: Vec<u8> = (2..10).flat_map(|seq| submit(seq, &text)).collect();
    client.send(&burst).await;
    let mut stats = Vec::new();
    while stats.len() < 9 {
        let pdu = client.receive().await;
        if pdu.command == 5 {
            let text = String::from_utf8(delivered(&pdu).1).unwrap();
            stats.push(text.split("stat:").nth(1).unwrap()[..7].to_owned());
        }
    }
    stats.sort_unstable();
    let expected =
        ["ACCEPTD", "DELIVRD", "DELIVRD", "DELIVRD", "DELIVRD", "EXPIRED", "LOSTSIG", "REJECTD", "UNDELIV"];
    assert_eq!(stats, expected);
}
