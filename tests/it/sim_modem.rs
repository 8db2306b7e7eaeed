//! The simulated modem as a client sees it: command lines, storages, indications, the SIM's lock. What is expected is
//! read from V.250, 27.005 and 27.007.

use std::time::Duration;

use nudged::sim::modem::{ModemOptions, StorageName, Vendor};
use nudged::sim::smsc::Receipts;
use nudged::sms::hex;
use nudged::sms::tpdu::{Deliver, StatusReport, split_sca};

use crate::modem_client::*;

#[tokio::test]
async fn a_line_typed_octet_by_octet_is_echoed_and_answered() {
    let modem = start(ModemOptions::default()).await;
    let mut client = Client::open(&modem);
    for octet in b"at+csq\r" {
        client.send([*octet]);
        client.expect([*octet]).await;
    }
    client.expect("\r\n+CSQ: 21,99\r\n\r\nOK\r\n").await;
    client.exchange("ATE0", "ATE0\r\r\nOK\r\n").await;
    client.exchange("AT", "\r\nOK\r\n").await;
}

#[tokio::test]
async fn joined_commands_give_one_ok_and_the_first_that_fails_ends_the_line() {
    let modem = start(ModemOptions::default()).await;
    let mut client = Client::ready(&modem).await;
    client
        .exchange(
            "ATV1+CREG=2;+CSQ;+CREG?",
            "\r\n+CSQ: 21,99\r\n\r\n+CREG: 2,1,\"00C3\",\"0000A1F4\"\r\n\r\nOK\r\n",
        )
        .await;
    client.exchange("AT+CSQ;+NONE;+CREG=0", "\r\n+CSQ: 21,99\r\n\r\n+CME ERROR: 4\r\n").await;
    client.exchange("AT+CREG?", "\r\n+CREG: 2,1,\"00C3\",\"0000A1F4\"\r\n\r\nOK\r\n").await;
}

#[tokio::test]
async fn results_come_as_they_were_asked_for() {
    let modem = start(ModemOptions::default()).await;
    let mut client = Client::ready(&modem).await;
    client.exchange("AT+CMEE=0;+NONE", "\r\nERROR\r\n").await;
    client.exchange("AT+CMEE=2;+NONE", "\r\n+CME ERROR: operation not supported\r\n").await;
    client.exchange("ATV0", "0\r").await;
    client.exchange("AT+CSQ", "+CSQ: 21,99\r\n0\r").await;
    client.exchange("ATXYZ!", "4\r").await;
    client.exchange("ATQ1", "").await;
    client.exchange("ATV1Q0", "\r\nOK\r\n").await;
    client.exchange("AT+CSQ", "\r\n+CSQ: 21,99\r\n\r\nOK\r\n").await;
    client.send("A/");
    client.expect("\r\n+CSQ: 21,99\r\n\r\nOK\r\n").await;
}

#[tokio::test]
async fn escapes_and_empty_lines_outside_a_prompt_mean_nothing() {
    let modem = start(ModemOptions::default()).await;
    let mut client = Client::ready(&modem).await;
    client.send("\x1b\r\r\x1a\r\n\x1b\x1bA\x1aT+C\x1bSQ\r");
    client.expect("\r\n+CSQ: 21,99\r\n\r\nOK\r\n").await;
    assert_eq!(modem.stats().received, 0);
}

#[tokio::test]
async fn a_message_stands_in_the_wire_log_before_its_answer_comes() {
    let modem = start(ModemOptions::default()).await;
    let mut client = Client::ready(&modem).await;
    for count in 1..=300_u32 {
        let text = format!("message {count}");
        client.submit(&pdu(&text, false)).await;
        client.expect(format!("\r\n+CMGS: {}\r\n\r\nOK\r\n", count % 256)).await;
        if count % 50 == 0 {
            let taken = lines(&modem, "sms_submit");
            let last = taken.last().unwrap();
            assert_eq!(taken.len() as u32, count);
            assert_eq!((&last["text"], &last["to"]), (&text.as_str().into(), &"+358401112222".into()));
            assert_eq!((&last["reference"], &last["status"]), (&(count % 256).into(), &0.into()));
        }
    }
    let stats = modem.stats();
    assert_eq!((stats.received, stats.answered, stats.most_in_flight), (300, 300, 1));
    assert_eq!(stats.commands["+CMGS"], 300);
}

#[tokio::test]
async fn a_pdu_is_echoed_and_may_come_in_many_writes() {
    let modem = start(ModemOptions::default()).await;
    let mut client = Client::open(&modem);
    let pdu = pdu("hello", false);
    client.exchange("AT+CMGS=18", "AT+CMGS=18\r\r\n> ").await;
    for digit in pdu.bytes() {
        client.send([digit]);
        client.expect([digit]).await;
    }
    client.send("\x1a");
    client.expect("\r\n+CMGS: 1\r\n\r\nOK\r\n").await;
}

#[tokio::test]
async fn esc_leaves_the_prompt_and_nothing_is_sent() {
    let modem = start(ModemOptions::default()).await;
    let mut client = Client::ready(&modem).await;
    client.exchange("AT+CMGS=18", "\r\n> ").await;
    client.send(&pdu("hello", false)[..10]);
    client.send("\x1b");
    client.expect("\r\nOK\r\n").await;
    client.exchange("AT", "\r\nOK\r\n").await;
    assert!(lines(&modem, "sms_submit").is_empty());
}

#[tokio::test]
async fn a_pdu_that_cannot_be_sent_is_refused_and_not_taken() {
    let modem = start(ModemOptions::default()).await;
    let mut client = Client::ready(&modem).await;
    client.exchange("AT+CMGS=6", "\r\n+CMS ERROR: 304\r\n").await;
    client.exchange("AT+CMGS=165", "\r\n+CMS ERROR: 304\r\n").await;
    let good = pdu("hello", false);
    for (octets, digits) in [(17, good.as_str()), (18, "00zz"), (18, &good[..20]), (18, &"0".repeat(9_000))] {
        client.exchange(&format!("AT+CMGS={octets}"), "\r\n> ").await;
        client.send(format!("{digits}\x1a"));
        client.expect("\r\n+CMS ERROR: 304\r\n").await;
    }
    client.ok("AT+CSCA=\"\"").await;
    client.submit(&good).await;
    client.expect("\r\n+CMS ERROR: 330\r\n").await;
    client.ok("AT+CSCA=\"+491710760000\",145;+COPS=2").await;
    client.submit(&good).await;
    client.expect("\r\n+CMS ERROR: 331\r\n").await;
    assert!(lines(&modem, "sms_submit").is_empty());
    assert_eq!(lines(&modem, "refused").len(), 6);
}

#[tokio::test]
async fn an_unsolicited_line_waits_for_a_typed_line_and_for_a_prompt() {
    let modem = start(ModemOptions::default()).await;
    let mut client = Client::ready(&modem).await;
    client.ok("AT+CNMI=2,1,0,0,0").await;
    client.exchange("ATE1", "\r\nOK\r\n").await;
    client.send("AT+C");
    client.expect("AT+C").await;
    modem.reply("+4915112345678", "Yes").unwrap();
    reached(&modem, |stats| stats.delivered == 1).await;
    client.send("SQ;E0\r");
    client.expect("SQ;E0\r\r\n+CSQ: 21,99\r\n\r\nOK\r\n\r\n+CMTI: \"SM\",1\r\n").await;
    client.exchange("AT+CMGS=18", "\r\n> ").await;
    modem.reply("+4915112345678", "No").unwrap();
    reached(&modem, |stats| stats.delivered == 2).await;
    client.send(format!("{}\x1a", pdu("hello", false)));
    client.expect("\r\n+CMTI: \"SM\",2\r\n\r\n+CMGS: 1\r\n\r\nOK\r\n").await;
}

#[tokio::test]
async fn a_stored_message_is_announced_read_and_deleted() {
    let modem = start(ModemOptions::default()).await;
    let mut client = Client::ready(&modem).await;
    client.ok("AT+CNMI=2,1,0,0,0").await;
    modem.reply("+4915112345678", "Grüße").unwrap();
    client.expect("\r\n+CMTI: \"SM\",1\r\n").await;
    let unread = client.ok("AT+CMGR=1").await;
    assert!(unread.starts_with("\r\n+CMGR: 0,,"), "{unread}");
    let deliver = delivered(&unread)[0].clone();
    assert_eq!((deliver.data.text(), deliver.from.text.as_str()), (Some("Grüße"), "4915112345678"));
    assert!(client.ok("AT+CMGR=1").await.starts_with("\r\n+CMGR: 1,,"), "read now");
    client.exchange("AT+CMGL=0", "\r\nOK\r\n").await;
    assert!(client.ok("AT+CMGL=4").await.starts_with("\r\n+CMGL: 1,1,,"));
    client.exchange("AT+CMGD=?", "\r\n+CMGD: (1),(0-4)\r\n\r\nOK\r\n").await;
    client.exchange("AT+CMGD=1", "\r\nOK\r\n").await;
    client.exchange("AT+CMGR=1", "\r\n+CMS ERROR: 321\r\n").await;
    client.exchange("AT+CMGD=0", "\r\n+CMS ERROR: 321\r\n").await;
    assert_eq!(lines(&modem, "sms_taken").len(), 1);
}

#[tokio::test]
async fn deleting_by_flag_spares_the_unread() {
    let modem = start(ModemOptions::default()).await;
    let mut client = Client::ready(&modem).await;
    client.ok("AT+CNMI=2,1,0,0,0").await;
    for text in ["one", "two", "three"] {
        modem.reply("+4915112345678", text).unwrap();
        client.until("+CMTI: \"SM\"").await;
    }
    client.ok("AT+CMGR=2").await;
    client.ok("AT+CMGD=1,3").await;
    client.exchange("AT+CPMS?", "\r\n+CPMS: \"SM\",2,20,\"SM\",2,20,\"SM\",2,20\r\n\r\nOK\r\n").await;
    client.ok("AT+CMGD=1,4").await;
    client.exchange("AT+CMGL=4", "\r\nOK\r\n").await;
}

#[tokio::test]
async fn a_long_reply_comes_as_its_segments() {
    let modem = start(ModemOptions::default()).await;
    let mut client = Client::ready(&modem).await;
    let text = "Ich zahle nächste Woche, versprochen. ".repeat(6);
    assert_eq!(modem.reply("+4915112345678", &text).unwrap(), 2);
    assert_eq!(modem.reply("+4915112345678", &"Ναι ".repeat(30)).unwrap(), 2);
    let listed = client.ok("AT+CMGL=4").await;
    let delivers = delivered(&listed);
    let of = |place: usize| delivers[place].data.text().unwrap();
    assert_eq!(format!("{}{}", of(0), of(1)), text);
    assert_eq!(format!("{}{}", of(2), of(3)), "Ναι ".repeat(30));
    let concat = delivers[1].data.concat().unwrap();
    assert_eq!((concat.total, concat.number), (2, 2));
}

#[tokio::test]
async fn what_has_no_room_stays_with_the_network_until_there_is() {
    let modem = start(ModemOptions { vendor: Vendor::Huawei, ..ModemOptions::default() }).await;
    let mut client = Client::ready(&modem).await;
    client.ok("AT^CURC=0;+CNMI=2,1,0,2,0").await;
    modem.fill(StorageName::Me);
    client.expect("\r\n^SMMEMFULL:\"ME\"\r\n").await;
    modem.reply("+4915112345678", "STOP").unwrap();
    client
        .exchange("AT+CPMS?", "\r\n+CPMS: \"ME\",100,100,\"ME\",100,100,\"ME\",100,100\r\n\r\nOK\r\n")
        .await;
    assert!(client.ok("AT+CMGR=0").await.starts_with("\r\n+CMGR: 1,,17\r\n00"));
    client.exchange("AT+CMGD=0", "\r\nOK\r\n\r\n+CMTI: \"ME\",0\r\n").await;
    assert_eq!(delivered(&client.ok("AT+CMGR=0").await)[0].data.text(), Some("STOP"));
}

#[tokio::test]
async fn storages_are_chosen_one_by_one() {
    let modem = start(ModemOptions { vendor: Vendor::Quectel, ..ModemOptions::default() }).await;
    let mut client = Client::ready(&modem).await;
    client
        .exchange(
            "AT+CPMS=?",
            "\r\n+CPMS: (\"SM\",\"ME\",\"SR\"),(\"SM\",\"ME\"),(\"SM\",\"ME\")\r\n\r\nOK\r\n",
        )
        .await;
    client.exchange("AT+CPMS=\"SM\"", "\r\n+CPMS: 0,20,0,100,0,100\r\n\r\nOK\r\n").await;
    client.exchange("AT+CPMS=\"SR\",\"SM\"", "\r\n+CPMS: 0,10,0,20,0,100\r\n\r\nOK\r\n").await;
    client.exchange("AT+CPMS=\"XX\"", "\r\n+CMS ERROR: 303\r\n").await;
    client.exchange("AT+CPMS=\"ME\",\"SR\"", "\r\n+CMS ERROR: 303\r\n").await;
    client.exchange("AT+CPMS?", "\r\n+CPMS: \"SR\",0,10,\"SM\",0,20,\"ME\",0,100\r\n\r\nOK\r\n").await;
    client.exchange("AT+CMGR=0", "\r\nOK\r\n").await;
}

#[tokio::test]
async fn what_is_handed_on_comes_one_at_a_time_when_it_has_to_be_acknowledged() {
    let modem = start(ModemOptions::default()).await;
    let mut client = Client::ready(&modem).await;
    client.exchange("AT+CNMA", "\r\n+CMS ERROR: 340\r\n").await;
    client.exchange("AT+CSMS=1", "\r\n+CSMS: 1,1,1\r\n\r\nOK\r\n").await;
    client.ok("AT+CNMI=2,2,0,1,0").await;
    modem.reply("+4915112345678", "one").unwrap();
    modem.reply("+4915112345678", "two").unwrap();
    client.expect("\r\n+CMT: ,").await;
    client.until("\r\n").await;
    client.until("\r\n").await;
    client.exchange("AT", "\r\nOK\r\n").await;
    assert!(lines(&modem, "sms_taken").is_empty(), "handed on is not taken");
    client.send("AT+CNMA\r");
    client.until("\r\nOK\r\n\r\n+CMT: ,").await;
    client.until("\r\n").await;
    client.until("\r\n").await;
    client.exchange("AT+CNMA=0", "\r\nOK\r\n").await;
    client.exchange("AT+CNMA", "\r\n+CMS ERROR: 340\r\n").await;
    let taken: Vec<_> = lines(&modem, "sms_taken").iter().map(|line| line["how"].clone()).collect();
    assert_eq!(taken, ["acknowledged", "acknowledged"]);
}

#[tokio::test]
async fn an_acknowledgement_that_does_not_come_switches_reception_off_and_the_message_comes_again() {
    let (modem, clock) = start_still(ModemOptions::default()).await;
    let mut client = Client::ready(&modem).await;
    client.ok("AT+CSMS=1;+CNMI=2,2,0,1,0").await;
    modem.reply("+4915112345678", "STOP").unwrap();
    client.until("+CMT: ").await;
    client.until("\r\n").await;
    client.until("\r\n").await;
    clock.advance(Duration::from_secs(15));
    client.exchange("AT", "\r\nOK\r\n").await;
    client.exchange("AT+CNMI?", "\r\n+CNMI: 2,0,0,0,0\r\n\r\nOK\r\n").await;
    client.exchange("AT+CNMA", "\r\n+CMS ERROR: 340\r\n").await;
    clock.advance(Duration::from_secs(30));
    client.exchange("AT", "\r\nOK\r\n").await;
    assert_eq!(delivered(&client.ok("AT+CMGL=4").await)[0].data.text(), Some("STOP"));
    let ids: Vec<_> = lines(&modem, "sms_deliver").iter().map(|line| line["id"].clone()).collect();
    assert_eq!(ids, [1, 1]);
}

#[tokio::test]
async fn mode_0_keeps_indications_for_the_mode_that_lets_them_go() {
    let modem = start(ModemOptions::default()).await;
    let mut client = Client::ready(&modem).await;
    client.ok("AT+CNMI=0,1,0,0,0").await;
    modem.reply("+4915112345678", "Yes").unwrap();
    client.exchange("AT+CPMS=\"SM\"", "\r\n+CPMS: 1,20,1,20,1,20\r\n\r\nOK\r\n").await;
    client.exchange("AT+CNMI=2,1", "\r\nOK\r\n\r\n+CMTI: \"SM\",1\r\n").await;
    client.exchange("AT+CNMI=3,1", "\r\n+CMS ERROR: 303\r\n").await;
    client.exchange("AT+CNMI=2,1,1", "\r\n+CMS ERROR: 303\r\n").await;
    client.exchange("AT+CNMI=?", "\r\n+CNMI: (0,1,2),(0,1,2,3),(0,2),(0,1,2),(0,1)\r\n\r\nOK\r\n").await;
}

#[tokio::test]
async fn a_report_goes_where_the_client_wants_it() {
    let modem = start(ModemOptions { vendor: Vendor::Quectel, ..ModemOptions::default() }).await;
    let mut client = Client::ready(&modem).await;
    client.submit(&pdu("hello", true)).await;
    client.expect("\r\n+CMGS: 1\r\n\r\nOK\r\n").await;
    client.ok("AT+CNMI=2,1,0,1,0").await;
    modem.report(1, 0x46).unwrap();
    client.expect("\r\n+CDS: ").await;
    client.until("\r\n").await;
    let octets = hex::decode(client.until("\r\n").await.trim_ascii()).unwrap();
    let report = StatusReport::decode(split_sca(&octets).unwrap().1).unwrap();
    assert_eq!((report.reference, report.status), (1, 0x46));
    assert_eq!(report.recipient.text, "358401112222");
    client.ok("AT+CNMI=2,1,0,2,0").await;
    modem.report(1, 0).unwrap();
    client.expect("\r\n+CDSI: \"SR\",0\r\n").await;
    client.ok("AT+CPMS=\"SR\"").await;
    assert!(client.ok("AT+CMGR=0").await.starts_with("\r\n+CMGR: 0,,"));
    client.ok("AT+CNMI=2,1,0,0,0").await;
    modem.report(1, 0).unwrap();
    client.ok("AT").await;
    assert_eq!(modem.stats().reports_discarded, 1);
    assert!(modem.report(2, 0).is_err(), "no such message");
}

#[tokio::test]
async fn reports_come_only_for_messages_that_ask_and_tell_the_kinds_of_choice() {
    let options = ModemOptions { receipts: Receipts::Mixed, ..ModemOptions::default() };
    let (modem, clock) = start_still(options).await;
    let mut client = Client::ready(&modem).await;
    client.ok("AT+CNMI=2,1,0,1,0").await;
    for (count, asks) in [true, true, true, true, false].into_iter().enumerate() {
        client.submit(&pdu("hello", asks)).await;
        client.expect(format!("\r\n+CMGS: {}\r\n\r\nOK\r\n", count + 1)).await;
    }
    clock.advance(Duration::from_secs(60));
    client.ok("AT").await;
    let told: Vec<_> = lines(&modem, "sms_deliver").iter().map(|line| line["report"].to_string()).collect();
    assert_eq!(told, ["[1,0]", "[2,32]", "[3,70]", "[4,65]", "[2,0]"]);
}

#[tokio::test]
async fn each_phone_answers_a_message_once_however_many_segments_it_has() {
    let options = ModemOptions { reply: Some("Yes".into()), ..ModemOptions::default() };
    let (modem, clock) = start_still(options).await;
    let mut client = Client::ready(&modem).await;
    client.ok("AT+CNMI=2,1,0,0,0").await;
    client.submit("0041000C9153481011222200000B0500032A0201E8329BFD06").await;
    client.until("OK\r\n").await;
    client.submit("0041000C9153481011222200000B0500032A0202E8329BFD06").await;
    client.until("OK\r\n").await;
    clock.advance(Duration::from_secs(5));
    client.until("+CMTI: \"SM\",1\r\n").await;
    client.exchange("AT", "\r\nOK\r\n").await;
    let came = lines(&modem, "sms_deliver");
    assert_eq!((came.len(), &came[0]["from"]), (1, &"+358401112222".into()));
}

#[tokio::test]
async fn a_locked_sim_takes_its_pin_and_after_three_wrong_ones_only_its_puk() {
    let modem = start(ModemOptions { pin: Some("1234".into()), ..ModemOptions::default() }).await;
    let mut client = Client::ready(&modem).await;
    client.exchange("AT+CPIN?", "\r\n+CPIN: SIM PIN\r\n\r\nOK\r\n").await;
    client.exchange("AT+CIMI", "\r\n+CME ERROR: 11\r\n").await;
    client.exchange("AT+CMGS=18", "\r\n+CMS ERROR: 311\r\n").await;
    client.exchange("AT+CREG?", "\r\n+CREG: 0,0\r\n\r\nOK\r\n").await;
    client.ok("AT+CREG=1").await;
    client.exchange("AT+CPIN=\"0000\"", "\r\n+CME ERROR: 16\r\n").await;
    client.exchange("AT+CPINR", "\r\n+CPINR: SIM PIN,2,3\r\n+CPINR: SIM PUK,10,10\r\n\r\nOK\r\n").await;
    client.exchange("AT+CPIN=\"1234\"", "\r\nOK\r\n\r\n+CREG: 1\r\n").await;
    client.exchange("AT+CPIN=\"1234\"", "\r\n+CME ERROR: 3\r\n").await;
    client.exchange("AT+CIMI", "\r\n262991234567890\r\n\r\nOK\r\n").await;
    client.send("AT+CFUN=1,1\r");
    client.until("+CPIN: SIM PIN\r\n").await;
    client.exchange("ATE0+CMEE=1", "ATE0+CMEE=1\r\r\nOK\r\n").await;
    for _ in 0..3 {
        client.exchange("AT+CPIN=\"9999\"", "\r\n+CME ERROR: 16\r\n").await;
    }
    client.exchange("AT+CPIN?", "\r\n+CPIN: SIM PUK\r\n\r\nOK\r\n").await;
    client.exchange("AT+CPIN=\"1234\"", "\r\n+CME ERROR: 12\r\n").await;
    client.exchange("AT+CMGL=4", "\r\n+CMS ERROR: 316\r\n").await;
    client.exchange("AT+CPIN=\"12345678\",\"4321\"", "\r\nOK\r\n").await;
    client.exchange("AT+CPIN?", "\r\n+CPIN: READY\r\n\r\nOK\r\n").await;
}

#[tokio::test]
async fn the_network_is_told_of_as_asked() {
    let modem = start(ModemOptions { operator: "Net".into(), ..ModemOptions::default() }).await;
    let mut client = Client::ready(&modem).await;
    client.ok("AT+CREG=1;+CEREG=2").await;
    modem.register(3);
    client.expect("\r\n+CREG: 3\r\n\r\n+CEREG: 3,\"00C3\",\"0000A1F4\"\r\n").await;
    client.exchange("AT+COPS?", "\r\n+COPS: 0\r\n\r\nOK\r\n").await;
    modem.register(5);
    client.until("+CEREG: 5,\"00C3\",\"0000A1F4\"\r\n").await;
    client.exchange("AT+COPS?", "\r\n+COPS: 0,0,\"Net\"\r\n\r\nOK\r\n").await;
    client.ok("AT+COPS=3,2").await;
    client.exchange("AT+COPS?", "\r\n+COPS: 0,2,\"26299\"\r\n\r\nOK\r\n").await;
    client.exchange("AT+CFUN=4", "\r\nOK\r\n\r\n+CREG: 0\r\n\r\n+CEREG: 0\r\n").await;
    client.exchange("AT+CSQ", "\r\n+CSQ: 99,99\r\n\r\nOK\r\n").await;
    client.exchange("AT+CUSD=1,\"*100#\",15", "\r\nOK\r\n\r\n+CUSD: 0,\"Balance: 12.34 EUR\",15\r\n").await;
}

#[tokio::test]
async fn a_huawei_speaks_its_own_words() {
    let (modem, clock) =
        start_still(ModemOptions { vendor: Vendor::Huawei, ..ModemOptions::default() }).await;
    let mut client = Client::ready(&modem).await;
    client.exchange("AT+CGMI", "\r\nhuawei\r\n\r\nOK\r\n").await;
    client.exchange("AT^NONE", "\r\nCOMMAND NOT SUPPORT\r\n").await;
    client.exchange("AT^ICCID?", "\r\n^ICCID: 8949000000000000008\r\n\r\nOK\r\n").await;
    client.exchange("AT^SYSINFO", "\r\n^SYSINFO:2,3,0,5,1,,4\r\n\r\nOK\r\n").await;
    clock.advance(Duration::from_secs(5));
    client.expect("\r\n^RSSI:21\r\n").await;
    client.ok("AT^CURC=0").await;
    clock.advance(Duration::from_secs(5));
    client.exchange("AT", "\r\nOK\r\n").await;
    client.exchange("AT", "\r\nOK\r\n").await;
}

#[tokio::test]
async fn a_tpdu_nobody_can_read_comes_like_any_other() {
    let modem = start(ModemOptions::default()).await;
    let mut client = Client::ready(&modem).await;
    client.ok("AT+CNMI=2,1,0,0,0").await;
    modem.deliver(&[0x04, 0xFF, 0x91, 0x12]).unwrap();
    client.expect("\r\n+CMTI: \"SM\",1\r\n").await;
    let poison = client.ok("AT+CMGR=1").await;
    assert!(poison.starts_with("\r\n+CMGR: 0,,4\r\n") && poison.contains("04FF9112\r\n"), "{poison}");
    assert!(modem.deliver(&[]).is_err());
}

#[tokio::test]
async fn a_class_0_message_is_handed_on_and_a_class_2_message_is_stored_on_the_sim() {
    let modem = start(ModemOptions { vendor: Vendor::Huawei, ..ModemOptions::default() }).await;
    let mut client = Client::ready(&modem).await;
    client.ok("AT^CURC=0;+CNMI=2,2,0,0,0").await;
    let classed = |dcs: &str| hex::decode(format!("0405912143F500{dcs}62112261000000026F36")).unwrap();
    modem.deliver(&classed("10")).unwrap();
    client.until("+CMT: ,").await;
    client.until("6F36\r\n").await;
    modem.deliver(&classed("12")).unwrap();
    client.expect("\r\n+CMTI: \"SM\",0\r\n").await;
}

#[tokio::test]
async fn the_time_from_ctrl_z_to_the_answer_is_the_service_time() {
    let service = Duration::from_secs(3);
    let service_time = nudged::sim::smsc::Delay { least: service, most: service };
    let (modem, clock) = start_still(ModemOptions { service_time, ..ModemOptions::default() }).await;
    let mut client = Client::ready(&modem).await;
    client.submit(&pdu("hello", false)).await;
    reached(&modem, |stats| stats.in_flight == 1).await;
    clock.advance(service - Duration::from_millis(1));
    client.send("AT+CSQ\r");
    // A reply comes meanwhile; the command waits for the final result.
    modem.reply("+4915112345678", "Yes").unwrap();
    reached(&modem, |stats| stats.delivered == 1).await;
    assert_eq!((modem.stats().in_flight, modem.stats().answered), (1, 0));
    clock.advance(Duration::from_millis(1));
    client.expect("\r\n+CMGS: 1\r\n\r\nOK\r\n\r\n+CSQ: 21,99\r\n\r\nOK\r\n").await;
}

/// The SMS-DELIVERs in an answer to +CMGR or +CMGL.
fn delivered(answer: &str) -> Vec<Deliver> {
    let pdus =
        answer.split("\r\n").filter_map(|line| hex::decode(line).ok()).filter(|octets| !octets.is_empty());
    pdus.map(|octets| Deliver::decode(split_sca(&octets).unwrap().1).unwrap()).collect()
}
