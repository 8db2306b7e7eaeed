//! The simulated modem's faults, its port, and its control API.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use nudged::clock::Clock;
use nudged::sim::fault::Kind;
use nudged::sim::modem::{Modem, ModemOptions, Place, Vendor};
use serde_json::{Value, json};

use crate::modem_client::*;
use crate::smsc_client::call_at;

const SENT: &str = "\r\n+CMGS: 1\r\n\r\nOK\r\n";

#[tokio::test]
async fn a_message_the_network_refuses_has_its_error_and_is_not_sent() {
    for (fault, vendor, status) in [
        ("reject@1", Vendor::Generic, 28),
        ("throttle@1", Vendor::Generic, 42),
        ("throttle@1", Vendor::Simcom, 515),
        ("queue-full@1", Vendor::Generic, 192),
    ] {
        let modem = start(ModemOptions { vendor, ..with_fault(fault) }).await;
        let mut client = Client::ready(&modem).await;
        client.submit(&pdu("hello", false)).await;
        client.expect(format!("\r\n+CMS ERROR: {status}\r\n")).await;
        let line = lines(&modem, "sms_submit").pop().unwrap();
        assert_eq!((&line["status"], &line["sent"]), (&status.into(), &false.into()), "{fault}");
        client.submit(&pdu("hello", false)).await;
        client.expect("\r\n+CMGS: 2\r\n\r\nOK\r\n").await;
    }
}

#[tokio::test]
async fn cms_500_denies_a_message_that_was_sent() {
    let modem = start(with_fault("cms-500@1")).await;
    let mut client = Client::ready(&modem).await;
    client.submit(&pdu("hello", false)).await;
    client.expect("\r\n+CMS ERROR: 500\r\n").await;
    let line = lines(&modem, "sms_submit").pop().unwrap();
    assert_eq!((&line["status"], &line["sent"]), (&500.into(), &true.into()));
}

#[tokio::test]
async fn a_message_without_an_answer_was_sent_and_the_modem_lives_on() {
    let (modem, clock) = start_still(with_fault("no-answer@1")).await;
    let mut client = Client::ready(&modem).await;
    client.submit(&pdu("hello", false)).await;
    clock.advance(Duration::from_secs(3_600));
    client.exchange("AT", "\r\nOK\r\n").await;
    let line = lines(&modem, "sms_submit").pop().unwrap();
    assert_eq!((&line["status"], &line["sent"]), (&Value::Null, &true.into()));
}

#[tokio::test]
async fn a_late_answer_comes_when_nobody_waits_for_it() {
    let (modem, clock) = start_still(ModemOptions::default()).await;
    let late = Kind::Late(Duration::from_secs(90));
    modem.plan(nudged::sim::fault::Fault { kind: late, when: "1".parse().unwrap() }).unwrap();
    let mut client = Client::ready(&modem).await;
    client.submit(&pdu("hello", false)).await;
    client.exchange("AT", "\r\nOK\r\n").await;
    clock.advance(Duration::from_secs(89));
    client.exchange("AT", "\r\nOK\r\n").await;
    client.exchange("AT", "\r\nOK\r\n").await;
    clock.advance(Duration::from_secs(1));
    client.expect("\r\n+CMGS: 1\r\n").await;
}

#[tokio::test]
async fn a_slow_message_takes_a_second_at_least() {
    let (modem, clock) = start_still(with_fault("slow@1")).await;
    let mut client = Client::ready(&modem).await;
    client.submit(&pdu("hello", false)).await;
    reached(&modem, |stats| stats.in_flight == 1).await;
    assert_eq!(modem.stats().answered, 0);
    clock.advance(Duration::from_secs(1));
    client.expect(SENT).await;
}

#[tokio::test]
async fn noise_instead_of_an_answer_leaves_a_modem_that_answers() {
    let modem = start(with_fault("garbage@1")).await;
    let mut client = Client::ready(&modem).await;
    client.submit(&pdu("hello", false)).await;
    client.send("AT\r");
    let noise = client.until("\r\nOK\r\n").await;
    assert!(noise.len() > 24 && !noise.contains("+CMGS"), "{noise}");
    assert_eq!(lines(&modem, "sms_submit").len(), 1);
}

#[tokio::test]
async fn unsolicited_lines_stand_before_the_prompt_before_the_answer_and_behind_it() {
    let modem = start(with_fault("urc-flood@1")).await;
    let mut client = Client::ready(&modem).await;
    client.send("AT+CMGS=18\r");
    let before = client.until("\r\n> ").await;
    client.send(format!("{}\x1a", pdu("hello", false)));
    let between = client.until(SENT).await;
    let behind = client.until("+CUSATEND\r\n").await;
    for lines in [before, between, behind] {
        assert!(lines.contains("\r\nRING\r\n") && lines.contains("\r\n^RSSI:17\r\n"), "{lines}");
    }
    client.exchange("AT", "\r\nOK\r\n").await;
}

#[tokio::test]
async fn an_aborted_prompt_does_not_use_up_the_fault_of_the_message() {
    let modem = start(with_fault("reject@1")).await;
    let mut client = Client::ready(&modem).await;
    client.exchange("AT+CMGS=18", "\r\n> ").await;
    client.send("\x1b");
    client.expect("\r\nOK\r\n").await;
    client.submit(&pdu("hello", false)).await;
    client.expect("\r\n+CMS ERROR: 28\r\n").await;
}

#[tokio::test]
async fn a_sim_that_is_full_holds_replies_back() {
    let modem = start(with_fault("sim-full@1")).await;
    let mut client = Client::ready(&modem).await;
    client.submit(&pdu("hello", false)).await;
    client.expect(SENT).await;
    modem.reply("+4915112345678", "STOP").unwrap();
    client.exchange("AT+CPMS?", "\r\n+CPMS: \"SM\",20,20,\"SM\",20,20,\"SM\",20,20\r\n\r\nOK\r\n").await;
    assert!(lines(&modem, "sms_deliver").is_empty());
    client.ok("AT+CMGD=1,1").await;
    client.exchange("AT+CPMS=\"SM\"", "\r\n+CPMS: 1,20,1,20,1,20\r\n\r\nOK\r\n").await;
}

#[tokio::test]
async fn a_trapped_report_is_announced_where_it_is_not() {
    let (modem, clock) = start_still(ModemOptions {
        vendor: Vendor::Quectel,
        receipts: nudged::sim::smsc::Receipts::Delivered,
        ..with_fault("cdsi-trap@1")
    })
    .await;
    let mut client = Client::ready(&modem).await;
    client.ok("AT+CNMI=2,1,0,2,0;+CPMS=\"SM\"").await;
    client.submit(&pdu("hello", true)).await;
    client.expect(SENT).await;
    clock.advance(Duration::from_secs(5));
    client.expect("\r\n+CDSI: \"SM\",0\r\n").await;
    client.exchange("AT+CMGR=0", "\r\nOK\r\n").await;
    client.exchange("AT+CPMS=\"SR\"", "\r\n+CPMS: 1,10,0,100,0,100\r\n\r\nOK\r\n").await;
}

#[tokio::test]
async fn a_port_that_is_pulled_at_a_message_comes_back_and_only_one_fault_has_taken_it() {
    for (fault, taken) in [("drop-after-submit@1", 1), ("hangup@1", 0)] {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("modem");
        let place = Place::Pty { link: Some(link.clone()) };
        let modem = start(ModemOptions { place, ..with_fault(fault) }).await;
        assert_eq!(modem.path(), link.display().to_string());
        let first = std::fs::read_link(&link).unwrap();
        let mut client = Client::ready(&modem).await;
        client.submit(&pdu("hello", false)).await;
        client.end().await;
        assert_eq!(lines(&modem, "sms_submit").len(), taken, "{fault}");
        let pulled = lines(&modem, "port").into_iter().find(|line| line["what"] == "unplugged").unwrap();
        assert_eq!(pulled["not_taken"], taken == 0);
        let second = new_target(&link, &first).await;
        assert!(second.exists());
        let mut client = Client::open(&modem);
        client.until("RDY\r\n").await;
        client.until("+CPIN: READY\r\n").await;
        client.exchange("AT", "AT\r\r\nOK\r\n").await;
    }
}

/// Waits until the link leads elsewhere than to `first`.
async fn new_target(link: &std::path::Path, first: &std::path::Path) -> PathBuf {
    let changed = async {
        loop {
            match std::fs::read_link(link) {
                Ok(target) if target != first => return target,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    Clock::system().within(Duration::from_secs(20), changed).await.expect("the link comes back")
}

#[tokio::test]
async fn a_reboot_forgets_settings_and_keeps_what_is_stored() {
    let modem = start(with_fault("reboot@1")).await;
    let mut client = Client::ready(&modem).await;
    client.ok("AT+CNMI=2,1,0,1,0").await;
    modem.reply("+4915112345678", "Yes").unwrap();
    client.until("+CMTI: \"SM\",1\r\n").await;
    client.submit(&pdu("hello", false)).await;
    client.expect("\r\nRDY\r\n\r\n+CFUN: 1\r\n\r\n+CPIN: READY\r\n").await;
    client.exchange("AT+CNMI?", "AT+CNMI?\r\r\n+CNMI: 0,0,0,0,0\r\n\r\nOK\r\n").await;
    client
        .exchange("ATE0+CPMS?", "ATE0+CPMS?\r\r\n+CPMS: \"SM\",1,20,\"SM\",1,20,\"SM\",1,20\r\n\r\nOK\r\n")
        .await;
    assert_eq!(lines(&modem, "sms_submit").len(), 1, "it was sent");
}

#[tokio::test]
async fn a_hang_up_takes_the_link_away_until_the_port_is_plugged_in() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("modem");
    let modem =
        start(ModemOptions { place: Place::Pty { link: Some(link.clone()) }, ..ModemOptions::default() })
            .await;
    let mut client = Client::ready(&modem).await;
    client.exchange("AT+CMGS=18", "\r\n> ").await;
    modem.hangup().await;
    client.end().await;
    assert!(std::fs::symlink_metadata(&link).is_err());
    modem.plug().await.unwrap();
    let mut client = Client::open(&modem);
    client.until("+CPIN: READY\r\n").await;
    client.exchange("AT", "AT\r\r\nOK\r\n").await;
    modem.stop().await;
    assert!(std::fs::symlink_metadata(&link).is_err(), "nothing is left behind");
}

#[tokio::test]
async fn a_link_is_replaced_and_a_file_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("modem");
    std::os::unix::fs::symlink("/nowhere", &link).unwrap();
    let options = ModemOptions { place: Place::Pty { link: Some(link.clone()) }, ..ModemOptions::default() };
    let modem = start(options.clone()).await;
    assert_ne!(std::fs::read_link(&link).unwrap(), PathBuf::from("/nowhere"));
    modem.stop().await;
    std::fs::write(&link, "precious").unwrap();
    assert!(Modem::start(options, Clock::system()).await.is_err());
    assert_eq!(std::fs::read_to_string(&link).unwrap(), "precious");
}

#[tokio::test]
async fn a_client_that_comes_finds_nothing_of_the_one_before_and_no_lock() {
    let modem = start(ModemOptions::default()).await;
    let terminal = std::fs::File::options().read(true).write(true).open(modem.path()).unwrap();
    rustix::termios::ioctl_tiocexcl(terminal.as_fd()).unwrap();
    drop(terminal);
    reached(&modem, |stats| stats.clients_gone == 1).await;
    modem.register(3);
    modem.reply("+4915112345678", "unheard").unwrap();
    let mut client = Client::open(&modem);
    client.exchange("AT", "AT\r\r\nOK\r\n").await;
    let exclusive = rustix::termios::ioctl_tiocexcl(std::fs::File::open(modem.path()).unwrap());
    assert!(exclusive.is_ok());
}

#[tokio::test]
async fn a_tcp_port_speaks_the_same_and_comes_back_under_its_number() {
    let modem = start(on_tcp()).await;
    let before = modem.path();
    assert!(before.starts_with("tcp:127.0.0.1:"));
    let mut client = Client::ready(&modem).await;
    client.submit(&pdu("hello", false)).await;
    client.expect(SENT).await;
    modem.hangup().await;
    client.end().await;
    assert!(std::net::TcpStream::connect(&before[4..]).is_err());
    modem.plug().await.unwrap();
    assert_eq!(modem.path(), before);
    let mut client = Client::open(&modem);
    client.until("+CPIN: READY\r\n").await;
    client.exchange("ATE0", "ATE0\r\r\nOK\r\n").await;
    assert_eq!(modem.stats().received, 1);
}

#[tokio::test]
async fn the_control_api_does_what_a_phone_a_network_and_a_hand_do() {
    let control = Some("127.0.0.1:0".parse().unwrap());
    let modem = start(ModemOptions { control, ..ModemOptions::default() }).await;
    let mut client = Client::ready(&modem).await;
    client.ok("AT+CNMI=2,1,0,2,0;+CREG=1").await;
    let status = json!({ "kind": "reject", "at": 1, "status": 69 });
    assert_eq!(post(&modem, "/fault", &status).await.0, 200);
    client.submit(&pdu("hello", false)).await;
    client.expect("\r\n+CMS ERROR: 69\r\n").await;
    assert_eq!(post(&modem, "/fault", &json!({ "kind": "late", "at": 1, "after": 0 })).await.0, 200);
    client.submit(&pdu("hello", true)).await;
    client.expect("\r\n+CMGS: 2\r\n").await;
    let reply = json!({ "from": "+4915112345678", "to": "+4915799912345", "text": "Yes" });
    assert_eq!(post(&modem, "/reply", &reply).await, (200, json!({ "segments": 1 })));
    client.expect("\r\n+CMTI: \"SM\",1\r\n").await;
    assert_eq!(post(&modem, "/receipt", &json!({ "reference": 2, "status": 70 })).await.0, 200);
    client.expect("\r\n+CDSI: \"SM\",2\r\n").await;
    assert_eq!(post(&modem, "/deliver", &json!({ "pdu": "04FF" })).await, (200, json!({ "id": 3 })));
    client.expect("\r\n+CMTI: \"SM\",3\r\n").await;
    assert_eq!(post(&modem, "/network", &json!({ "registration": 2, "signal": 3 })).await.0, 200);
    client.exchange("AT+CSQ", "\r\n+CREG: 2\r\n\r\n+CSQ: 3,99\r\n\r\nOK\r\n").await;
    assert_eq!(post(&modem, "/fill", &json!({ "storage": "SM" })).await.0, 200);
    let (_, stats) = call_at(modem.control_addr().unwrap(), "GET", "/stats", "").await;
    let stats: Value = serde_json::from_str(&stats).unwrap();
    assert_eq!((&stats["received"], &stats["stored"]["SM"]), (&2.into(), &20.into()));
    let (_, received) = call_at(modem.control_addr().unwrap(), "GET", "/received", "").await;
    assert_eq!(received.matches("\"kind\":\"sms_submit\"").count(), 2);
    for (call, body, status) in [
        ("/reply", json!({ "from": "1", "to": "2", "text": "" }), 404),
        ("/reply", json!({ "from": "x", "text": "" }), 422),
        ("/receipt", json!({ "reference": 99 }), 404),
        ("/deliver", json!({ "pdu": "0" }), 422),
        ("/fill", json!({ "storage": "XX" }), 404),
        ("/fault", json!({ "kind": "slow", "at": 1, "after": 5 }), 422),
        ("/hold", json!({}), 404),
        ("/reply", json!({}), 400),
    ] {
        assert_eq!(post(&modem, call, &body).await.0, status, "{call} {body}");
    }
    assert_eq!(post(&modem, "/hangup", &json!({})).await.0, 200);
    client.end().await;
    assert_eq!(post(&modem, "/plug", &json!({})).await.0, 200);
}

async fn post(modem: &Modem, path: &str, body: &Value) -> (u16, Value) {
    let (status, body) = call_at(modem.control_addr().unwrap(), "POST", path, &body.to_string()).await;
    (status, serde_json::from_str(&body).unwrap())
}
