//! The modem session, line by line and second by second, without a port: the rules of its header, and every row of
//! the hostile table that a dialogue can hold.

mod recovery;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nudged::clock::{Clock, Timestamp};
use nudged::config::{Modem, Numbering, Port, Secret, Vendor};
use nudged::id::MessageId;
use nudged::link::modem::pin::PinLedger;
use nudged::link::modem::{Carried, ModemSession};
use nudged::link::session::{Close, Session, SessionEvent};
use nudged::link::{Concat, Inbound, InboundToken, LinkEvent, ModemStatus, Outcome};
use nudged::message::{Cause, Encoding, Msisdn, RawCode, Reason, ReceiptState, Reference, UnknownWhy};
use nudged::pace::{Rate, Shared};
use nudged::retry::RetryClass;
use nudged::sms::tpdu::{Deliver, ServiceTime, StatusReport, Submit, UserData};
use nudged::sms::{address, hex};
use proptest::prelude::*;

use crate::support::submission;

/// An SMS-DELIVER of +447700900123, as a memory holds it.
fn deliver(text: &str) -> String {
    let deliver = Deliver {
        more: false,
        loop_prevention: false,
        status_report: false,
        reply_path: false,
        from: address::destination(Msisdn::parse_e164("+447700900123").unwrap(), Numbering::default()),
        pid: 0,
        dcs: 0,
        sent_at: ServiceTime::from_timestamp(Timestamp::parse_rfc3339("2026-11-22T05:00:00Z").unwrap(), 0),
        data: UserData::segment(text, Encoding::Gsm7, None),
    };
    format!("00{}", hex::encode(&deliver.encode().unwrap()))
}

/// A status report for reference `mr`.
fn report(mr: u8, status: u8) -> String {
    let at = ServiceTime::from_timestamp(Timestamp::parse_rfc3339("2026-11-22T05:00:00Z").unwrap(), 0);
    let report = StatusReport {
        more: false,
        loop_prevention: false,
        qualifier: false,
        reference: mr,
        recipient: address::destination(Msisdn::parse_e164("+447700900123").unwrap(), Numbering::default()),
        sent_at: at,
        discharged_at: at,
        status,
        pid: None,
        dcs: None,
        data: None,
    };
    format!("00{}", hex::encode(&report.encode().unwrap()))
}

fn length(pdu: &str) -> usize {
    pdu.len() / 2 - 1
}

fn config() -> Modem {
    Modem {
        name: "gsm".into(),
        port: Port::Device("/dev/null".into()),
        baud: 115_200,
        pin: None,
        smsc: None,
        vendor: Vendor::Auto,
        rate: None,
        quota: Vec::new(),
        recipients: None,
        sticky: Duration::ZERO,
        receipts: true,
        route_class: None,
    }
}

/// A modem that answers like most do. What a test wants otherwise it scripts.
struct Fake {
    line: Vec<u8>,
    /// Reading a PDU.
    prompted: bool,
    echo: bool,
    reference: u8,
    memory: String,
    slots: BTreeMap<(String, u32), String>,
    /// Answers to the next commands of this text, before the usual ones; "" is silence.
    scripted: BTreeMap<String, VecDeque<String>>,
    /// Answers to PDUs, the same way.
    verdicts: VecDeque<String>,
    /// Always this answer.
    always: BTreeMap<String, String>,
    /// Every line that came, PDUs as `PDU`, ESC as `ESC`.
    log: Vec<String>,
    pdus: Vec<String>,
    /// Put before and after every answer.
    before: String,
    after: String,
}

impl Default for Fake {
    fn default() -> Fake {
        Fake {
            line: Vec::new(),
            prompted: false,
            echo: true,
            reference: 0,
            memory: "SM".into(),
            slots: BTreeMap::new(),
            scripted: BTreeMap::new(),
            verdicts: VecDeque::new(),
            always: BTreeMap::new(),
            log: Vec::new(),
            pdus: Vec::new(),
            before: String::new(),
            after: String::new(),
        }
    }
}

impl Fake {
    fn script(&mut self, command: &str, answer: &str) {
        self.scripted.entry(command.into()).or_default().push_back(answer.into());
    }

    fn store(&mut self, memory: &str, index: u32, pdu: &str) {
        self.slots.insert((memory.into(), index), pdu.into());
    }

    /// What it answers to each whole line, one after the other.
    fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut answers = Vec::new();
        for &byte in bytes {
            match byte {
                0x1B => {
                    self.log.push("ESC".into());
                    self.line.clear();
                    if std::mem::take(&mut self.prompted) {
                        answers.push("\r\nOK\r\n".into());
                    }
                }
                0x1A if self.prompted => {
                    self.prompted = false;
                    let pdu = String::from_utf8(std::mem::take(&mut self.line)).unwrap();
                    answers.push(self.submitted(pdu));
                }
                b'\r' if !self.prompted => {
                    let line = String::from_utf8(std::mem::take(&mut self.line)).unwrap();
                    if !line.is_empty() {
                        answers.push(self.answer(&line));
                    }
                }
                other => self.line.push(other),
            }
        }
        answers
    }

    fn submitted(&mut self, pdu: String) -> String {
        self.log.push("PDU".into());
        let echo = if self.echo { format!("{pdu}\x1a") } else { String::new() };
        self.pdus.push(pdu);
        let reference = self.reference;
        self.reference = reference.wrapping_add(1);
        let usual = format!("\r\n+CMGS: {reference}\r\n\r\nOK\r\n");
        let answer = self.verdicts.pop_front().unwrap_or(usual);
        if answer.is_empty() { answer } else { format!("{echo}{}{answer}{}", self.before, self.after) }
    }

    fn answer(&mut self, line: &str) -> String {
        self.log.push(line.into());
        let echo = if self.echo { format!("{line}\r") } else { String::new() };
        self.echo &= line != "ATE0V1" || self.always.contains_key(line);
        let answer = match self.scripted.get_mut(line).and_then(VecDeque::pop_front) {
            Some(scripted) => scripted,
            None => self.always.get(line).cloned().unwrap_or_else(|| self.usual(line)),
        };
        if answer.is_empty() {
            return String::new();
        }
        if line.starts_with("AT+CMGS=") && answer.contains('>') {
            self.prompted = true;
        }
        format!("{echo}{}{answer}{}", self.before, self.after)
    }

    fn usual(&mut self, line: &str) -> String {
        let info = match line {
            "AT+CGMI" => "Fake",
            "AT+CGMM" => "F1",
            "AT+CGMR" => "1.0",
            "AT+CGSN" => "350000000000001",
            "AT+CIMI" => "262010000000001",
            "AT+CCID" => "+CCID: 89490000000000000001",
            "AT+CFUN?" => "+CFUN: 1",
            "AT+CPIN?" => "+CPIN: READY",
            "AT+CSCA?" => "+CSCA: \"+491700000000\",145",
            "AT+CMGF?" => "+CMGF: 0",
            "AT+CPMS=?" => "+CPMS: (\"SM\",\"ME\"),(\"SM\",\"ME\"),(\"SM\",\"ME\")",
            "AT+CNMI=?" => "+CNMI: (0-2),(0-3),(0,2),(0-2),(0,1)",
            "AT+CNMI?" => "+CNMI: 2,1,0,1,0",
            "AT+CREG?" => "+CREG: 2,1,\"00C3\",\"0A1B\"",
            "AT+CEREG?" => "+CEREG: 2,0",
            "AT+CSQ" => "+CSQ: 21,99",
            "AT+COPS?" => "+COPS: 0,0,\"Test Net\",2",
            _ => return self.usual_command(line),
        };
        format!("\r\n{info}\r\n\r\nOK\r\n")
    }

    fn usual_command(&mut self, line: &str) -> String {
        if line.starts_with("AT+CMGS=") {
            return "\r\n> ".into();
        }
        if let Some(memory) = line.strip_prefix("AT+CPMS=") {
            self.memory = memory.trim_matches('"').into();
            let used = self.slots.keys().filter(|(memory, _)| *memory == self.memory).count();
            return format!("\r\n+CPMS: {used},20,{used},20,{used},20\r\n\r\nOK\r\n");
        }
        if line == "AT+CMGL=4" {
            let of = self.slots.iter().filter(|((memory, _), _)| *memory == self.memory);
            let entries =
                of.map(|((_, index), pdu)| format!("+CMGL: {index},0,,{}\r\n{pdu}\r\n", length(pdu)));
            return format!("\r\n{}\r\nOK\r\n", entries.collect::<String>());
        }
        let place = |index: &str| (self.memory.clone(), index.parse().unwrap());
        if let Some(index) = line.strip_prefix("AT+CMGR=") {
            return match self.slots.get(&place(index)) {
                Some(pdu) => format!("\r\n+CMGR: 0,,{}\r\n{pdu}\r\n\r\nOK\r\n", length(pdu)),
                None => "\r\nOK\r\n".into(),
            };
        }
        if let Some(index) = line.strip_prefix("AT+CMGD=") {
            let place = place(index);
            self.slots.remove(&place);
        }
        "\r\nOK\r\n".into()
    }
}

/// A session with its time, its modem, and what came out of it.
struct Rig {
    session: ModemSession,
    modem: Fake,
    now: Instant,
    /// Octets of the modem's answers that are read at once.
    step: usize,
    events: Vec<SessionEvent>,
    /// Written while an answer was read.
    written: VecDeque<Bytes>,
}

impl Rig {
    fn connected(config: Modem, modem: Fake) -> Rig {
        Rig::again(config, modem, Carried::default(), start())
    }

    fn again(config: Modem, modem: Fake, carried: Carried, now: Instant) -> Rig {
        let pace = Shared::new(now).link(config.rate, now);
        let session = ModemSession::new(Arc::new(config), pace, carried, 100, now);
        Rig { session, modem, now, step: usize::MAX, events: Vec::new(), written: VecDeque::new() }
    }

    fn up() -> Rig {
        Rig::up_with(config(), Fake::default())
    }

    fn up_with(config: Modem, modem: Fake) -> Rig {
        let mut rig = Rig::connected(config, modem);
        rig.come_up();
        rig.modem.log.clear();
        rig
    }

    /// Waits until the link is up and idle; what came out on the way is dropped but for inbound.
    fn come_up(&mut self) {
        for _ in 0..600 {
            self.run();
            if self.links().contains(&LinkEvent::Up) {
                self.pass(Duration::ZERO);
                self.events.retain(|event| matches!(event, SessionEvent::Inbound { .. }));
                return;
            }
            self.wait();
        }
        panic!("never up: {:?}", self.modem.log);
    }

    /// Lets both talk until neither has anything to say.
    fn run(&mut self) {
        while let Some(bytes) = self.written.pop_front().or_else(|| self.session.poll_output(self.now)) {
            for answer in self.modem.take(&bytes) {
                self.hear(&answer);
            }
            self.collect();
        }
        self.collect();
    }

    /// The modem says this, and the driver asks for output after each part.
    fn hear(&mut self, text: &str) {
        for part in text.as_bytes().chunks(self.step.min(text.len().max(1))) {
            self.session.handle_input(part, self.now);
            self.written.extend(self.session.poll_output(self.now));
        }
    }

    fn say(&mut self, text: &str) {
        self.hear(text);
        self.run();
    }

    fn collect(&mut self) {
        self.events.extend(std::iter::from_fn(|| self.session.poll_event()));
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.session.handle_timeout(self.now);
        self.run();
    }

    /// To the next deadline.
    fn wait(&mut self) {
        let next = self.session.poll_timeout().expect("it waits for something");
        self.pass(next.saturating_duration_since(self.now));
    }

    /// By deadlines, `time` in all.
    fn live(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.session.poll_timeout().filter(|next| *next <= end) {
            self.pass(next.saturating_duration_since(self.now));
        }
        self.now = end;
    }

    fn submit(&mut self, ids: impl IntoIterator<Item = u64>) {
        for id in ids {
            self.session.submit(submission(id), self.now);
        }
        self.run();
    }

    fn links(&mut self) -> Vec<LinkEvent> {
        self.collect();
        let link = |event: &SessionEvent| match event {
            SessionEvent::Link(event) => Some(event.clone()),
            _ => None,
        };
        let links = self.events.iter().filter_map(link).collect();
        self.events.retain(|event| !matches!(event, SessionEvent::Link(_)));
        links
    }

    fn outcomes(&mut self) -> Vec<(u64, Outcome)> {
        let outcome = |event| match event {
            LinkEvent::Outcome { id, outcome, .. } => Some((id.as_u64(), outcome)),
            _ => None,
        };
        self.links().into_iter().filter_map(outcome).collect()
    }

    fn inbound(&mut self) -> Vec<(InboundToken, Inbound)> {
        self.collect();
        let (inbound, others) = std::mem::take(&mut self.events)
            .into_iter()
            .partition(|e| matches!(e, SessionEvent::Inbound { .. }));
        self.events = others;
        let inbound: Vec<SessionEvent> = inbound;
        let parts = |event| match event {
            SessionEvent::Inbound { token, inbound } => (token, inbound),
            other => panic!("{other:?}"),
        };
        inbound.into_iter().map(parts).collect()
    }

    fn texts(&mut self) -> Vec<String> {
        self.inbound().into_iter().map(|(_, inbound)| text(&inbound)).collect()
    }

    fn confirm_all(&mut self) -> Vec<String> {
        let inbound = self.inbound();
        for (token, _) in &inbound {
            self.session.confirm(*token, self.now);
        }
        self.run();
        inbound.iter().map(|(_, inbound)| text(inbound)).collect()
    }

    fn finished(&mut self) -> Option<String> {
        self.collect();
        self.events.iter().find_map(|event| match event {
            SessionEvent::Finished { reason } => Some(reason.clone()),
            _ => None,
        })
    }

    fn status(&mut self) -> Option<ModemStatus> {
        self.collect();
        self.events.iter().rev().find_map(|event| match event {
            SessionEvent::Modem(status) => Some(*status.clone()),
            _ => None,
        })
    }

    fn count(&self, line: &str) -> usize {
        self.modem.log.iter().filter(|logged| logged.starts_with(line)).count()
    }

    fn close(&mut self) -> Vec<(u64, Outcome)> {
        self.session.handle_close(Close::Eof, self.now);
        self.outcomes()
    }
}

fn start() -> Instant {
    Clock::manual(Timestamp::MIN).now().mono
}

fn text(inbound: &Inbound) -> String {
    match inbound {
        Inbound::Reply(reply) => reply.text.clone().unwrap_or_default(),
        Inbound::Receipt(receipt) => format!("receipt {}", receipt.reference.as_ref().unwrap().0),
        Inbound::Poison(poison) => format!("poison {}", String::from_utf8_lossy(&poison.raw)),
    }
}

fn accepted(reference: &str) -> Outcome {
    Outcome::Accepted { reference: Reference(reference.into()) }
}

const UNKNOWN: Outcome = Outcome::Unknown { why: UnknownWhy::NoAnswer };
const LOST: Outcome = Outcome::Unknown { why: UnknownWhy::LinkLost };

fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn a_modem_is_set_up_and_described_and_the_link_is_up_once_it_is_registered() {
    let mut rig = Rig::connected(config(), Fake::default());
    let mut status = None;
    let mut up = 0;
    for _ in 0..50 {
        rig.run();
        status = rig.status().or(status);
        up += rig.links().iter().filter(|e| **e == LinkEvent::Up).count();
        if up == 0 {
            rig.wait();
        }
    }
    let status = status.unwrap();
    assert_eq!(up, 1);
    assert_eq!(status.imei.as_deref(), Some("350000000000001"));
    assert_eq!(status.imsi.as_deref(), Some("262010000000001"));
    assert_eq!(status.iccid.as_deref(), Some("89490000000000000001"));
    assert_eq!((status.signal_dbm, status.operator.as_deref()), (Some(-71), Some("Test Net")));
    assert_eq!(status.storage, Some((0, 40)));
    let at = |command: &str| {
        rig.modem.log.iter().position(|l| l == command).unwrap_or_else(|| panic!("{command}"))
    };
    let order = [
        "ESC",
        "AT",
        "ATE0V1",
        "AT+CMEE=1",
        "AT+CGMI",
        "AT+CGSN",
        "AT+CFUN?",
        "AT+CPIN?",
        "AT+CCID",
        "AT+CIMI",
        "AT+CREG=2",
        "AT+CSCA?",
        "AT+CMGF=0",
        "AT+CSMS=0",
        "AT+CPMS=?",
        "AT+CNMI=?",
        "AT+CNMI=2,1,0,1,0",
        "AT+CMGL=4",
        "AT+CREG?",
    ];
    assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{:?}", rig.modem.log);
    assert!(!rig.modem.log.iter().any(|l| l.starts_with("AT+CPIN=")));
}

#[test]
fn segments_go_one_after_the_other_and_each_has_its_own_reference() {
    let mut rig = Rig::up();
    rig.submit(1..=3);
    assert_eq!(rig.outcomes(), [(1, accepted("0")), (2, accepted("1")), (3, accepted("2"))]);
    assert_eq!(rig.modem.pdus.len(), 3);
    let sent: Vec<&String> = rig.modem.log.iter().filter(|l| !l.starts_with("AT+CMMS")).collect();
    assert_eq!(sent.iter().filter(|l| l.starts_with("AT+CMGS=")).count(), 3);
    assert_eq!(sent.len(), 6, "nothing is asked between two segments: {sent:?}");
}

#[test]
fn the_length_is_that_of_the_tpdu_and_a_report_is_asked_for_where_it_is_wanted() {
    for (wants, configured, asked) in [(true, true, true), (true, false, false), (false, true, false)] {
        let mut rig = Rig::up_with(Modem { receipts: configured, ..config() }, Fake::default());
        let mut one = submission(1);
        one.receipt = wants;
        rig.session.submit(one, rig.now);
        rig.run();
        let pdu = rig.modem.pdus[0].clone();
        assert!(rig.modem.log.contains(&format!("AT+CMGS={}", length(&pdu))), "{:?}", rig.modem.log);
        let first = u8::from_str_radix(&pdu[2..4], 16).unwrap();
        assert_eq!(first & 0x20 != 0, asked, "TP-SRR");
        assert_eq!(first & 0x03, 1, "SMS-SUBMIT");
    }
}

/// Everything that a dialogue brings out, whatever it was cut into.
fn replayed(
    step: usize,
    echo: bool,
    before: &str,
    after: &str,
) -> (Vec<String>, Vec<String>, Vec<LinkEvent>) {
    let mut modem = Fake { before: before.into(), after: after.into(), ..Fake::default() };
    modem.store("SM", 0, &deliver("STOP"));
    modem.store("ME", 3, "00AA");
    if echo {
        modem.always.insert("ATE0V1".into(), "\r\nERROR\r\n".into());
    }
    modem.verdicts = ["\r\n+CMGS: 7\r\n\r\nOK\r\n", "\r\n+CMS ERROR: 38\r\n"].map(String::from).into();
    let mut rig = Rig::connected(config(), modem);
    rig.step = step;
    let mut links = Vec::new();
    let mut texts = Vec::new();
    while !links.contains(&LinkEvent::Up) {
        rig.run();
        links.extend(rig.links());
        texts.extend(rig.confirm_all());
        if !links.contains(&LinkEvent::Up) {
            rig.wait();
        }
    }
    rig.submit(1..=2);
    rig.say("\r\n+CMT: ,23\r\nOK\r\n");
    links.extend(rig.links());
    texts.extend(rig.confirm_all());
    (rig.modem.log, texts, links)
}

#[test]
fn a_dialogue_cut_anywhere_is_the_same_dialogue() {
    for echo in [false, true] {
        let whole = replayed(usize::MAX, echo, "", "");
        assert!(whole.1.contains(&"STOP".to_owned()) && whole.2.len() == 3, "{whole:?}");
        for step in 1..24 {
            assert_eq!(replayed(step, echo, "", ""), whole, "cut every {step}, echo {echo}");
        }
    }
}

#[test]
fn lines_that_nobody_asked_for_change_nothing_wherever_they_come() {
    let whole = replayed(usize::MAX, false, "", "");
    let noise = [
        "\r\nRING\r\n",
        "\r\n^RSSI: 12\r\n",
        "\r\n+CREG: 1,\"00C3\",\"0A1B\"\r\n",
        "\r\n+CUSD: 0,\"OK\r\nERROR\",15\r\n",
        "\r\n+ZDONR: \"x\"\r\n",
        "\r^MODE:3,3\r+\n",
    ];
    for line in noise {
        for step in [usize::MAX, 1, 3] {
            let shown = |what: &str| format!("{line:?} {what}, cut every {step}");
            assert_eq!(replayed(step, false, line, ""), whole, "{}", shown("before"));
            assert_eq!(replayed(step, false, "", line), whole, "{}", shown("after"));
        }
    }
}

#[test]
fn an_announcement_at_every_boundary_of_every_answer_is_heard_once_and_changes_nothing_else() {
    let answers = ["\r\n> ", "\r\n+CMGS: 0\r\n\r\nOK\r\n"];
    let pdu_length = Rig::length_of(1);
    for (which, answer) in answers.iter().enumerate() {
        let boundaries = answer.match_indices("\r\n").map(|(at, _)| at).chain([0, answer.len()]);
        for at in boundaries {
            let mut rig = Rig::up();
            rig.modem.store("SM", 4, &deliver("STOP"));
            let injected = format!("{}\r\n+CMTI: \"SM\",4\r\n{}", &answer[..at], &answer[at..]);
            match which {
                0 => rig.modem.script(&format!("AT+CMGS={pdu_length}"), &injected),
                _ => rig.modem.verdicts.push_back(injected),
            }
            rig.submit([1]);
            assert_eq!(rig.outcomes(), [(1, accepted("0"))], "at {at} of {answer:?}");
            assert_eq!(rig.confirm_all(), ["STOP"], "at {at} of {answer:?}");
            assert!(rig.modem.slots.is_empty());
        }
    }
}

impl Rig {
    fn length_of(id: u64) -> usize {
        let mut rig = Rig::up();
        rig.submit([id]);
        length(&rig.modem.pdus[0])
    }
}

#[test]
fn echo_that_stays_on_is_dropped_and_the_echoed_pdu_is_no_answer() {
    let mut modem = Fake::default();
    modem.always.insert("ATE0V1".into(), "\r\nERROR\r\n".into());
    let mut rig = Rig::up_with(config(), modem);
    assert!(rig.modem.echo);
    rig.submit(1..=2);
    assert_eq!(rig.outcomes(), [(1, accepted("0")), (2, accepted("1"))]);
}

#[test]
fn garbage_at_power_up_is_drained_and_at_is_said_until_it_is_answered() {
    let mut rig = Rig::connected(config(), Fake::default());
    rig.session.handle_input(b"\xff\xfe\0\x1a half a li", rig.now);
    for _ in 0..3 {
        rig.modem.script("AT", "");
    }
    rig.come_up();
    assert_eq!(rig.count("AT\n"), 0);
    assert_eq!(rig.modem.log.iter().filter(|l| *l == "AT").count(), 4);
    rig.submit([1]);
    assert_eq!(rig.outcomes(), [(1, accepted("0"))]);
}

#[test]
fn a_modem_that_never_answers_at_is_given_up_after_a_few_tries_and_reset_the_second_time() {
    let carried = Carried::default();
    let mut now = start();
    let mut resets = 0;
    for _ in 0..6 {
        let mut modem = Fake::default();
        modem.always.insert("AT".into(), String::new());
        let mut rig = Rig::again(config(), modem, carried.clone(), now);
        while rig.finished().is_none() {
            rig.run();
            if rig.finished().is_none() {
                rig.wait();
            }
        }
        rig.run();
        assert!(rig.finished().unwrap().contains("does not answer AT"));
        assert_eq!(rig.modem.log.iter().filter(|l| *l == "AT").count(), 5);
        resets += rig.count("AT+CFUN=1,1");
        now = rig.now + second(1);
    }
    assert_eq!(resets, 1, "not again within five minutes");
}

#[test]
fn a_prompt_that_never_comes_is_left_by_esc_and_the_segment_is_not_sent() {
    let mut rig = Rig::up();
    let command = format!("AT+CMGS={}", Rig::length_of(1));
    rig.modem.script(&command, "");
    rig.submit([1]);
    rig.modem.log.clear();
    rig.live(second(6));
    assert_eq!(rig.outcomes(), [(1, Outcome::Unwritten)]);
    assert_eq!(rig.modem.log.first().map(String::as_str), Some("ESC"));
    assert!(rig.modem.pdus.is_empty());
    rig.submit([1]);
    assert_eq!(rig.outcomes(), [(1, accepted("0"))]);
}

#[test]
fn a_prompt_that_comes_too_late_is_left_too() {
    let mut rig = Rig::up();
    let command = format!("AT+CMGS={}", Rig::length_of(1));
    rig.modem.script(&command, "");
    rig.submit([1]);
    rig.pass(second(5));
    rig.modem.prompted = true;
    rig.say("\r\n> ");
    rig.live(second(3));
    assert!(!rig.modem.prompted && rig.modem.pdus.is_empty());
    rig.outcomes();
    rig.submit([2]);
    assert_eq!(rig.outcomes(), [(2, accepted("0"))]);
}

#[test]
fn prompts_that_never_come_open_the_port_anew() {
    let mut rig = Rig::up();
    let command = format!("AT+CMGS={}", Rig::length_of(1));
    rig.modem.always.insert(command, String::new());
    for id in 1..=3 {
        assert_eq!(rig.finished(), None);
        rig.submit([id]);
        rig.live(second(7));
        assert_eq!(rig.outcomes(), [(id, Outcome::Unwritten)]);
    }
    assert!(rig.finished().is_some());
}

#[test]
fn no_answer_to_a_pdu_is_unknown_and_a_late_reference_names_its_lease() {
    let mut rig = Rig::up();
    rig.modem.verdicts.push_back(String::new());
    rig.submit([1]);
    assert_eq!(rig.session.in_flight(), 1);
    rig.live(second(119));
    assert_eq!(rig.outcomes(), []);
    rig.live(second(2));
    assert_eq!(rig.outcomes(), [(1, UNKNOWN)]);
    rig.live(second(90));
    rig.say("\r\n+CMGS: 77\r\n\r\nOK\r\n");
    let late = rig.links();
    assert_eq!(
        late,
        [LinkEvent::Late { id: MessageId::from_u64(1), index: 0, lease: 1, outcome: accepted("77") }]
    );
    assert_eq!(rig.modem.pdus.len(), 1, "it was never written again");
}

#[test]
fn a_late_answer_is_never_credited_to_the_next_segment() {
    for late_error in [false, true] {
        let mut rig = Rig::up();
        rig.modem.verdicts.push_back(String::new());
        rig.submit([1]);
        rig.live(second(121));
        assert_eq!(rig.outcomes(), [(1, UNKNOWN)]);
        let late = if late_error { "\r\n+CMS ERROR: 28\r\n" } else { "\r\n+CMGS: 77\r\n\r\nOK\r\n" };
        rig.modem.verdicts.push_back(late.into());
        rig.submit([2]);
        rig.pass(second(1));
        assert_eq!(rig.outcomes(), []);
        rig.say("\r\n+CMGS: 78\r\n\r\nOK\r\n");
        let links = rig.links();
        let outcome = links.iter().find_map(|e| match e {
            LinkEvent::Late { lease: 1, outcome, .. } => Some(outcome.clone()),
            _ => None,
        });
        match late_error {
            false => assert_eq!(outcome, Some(accepted("77"))),
            true => assert!(matches!(outcome, Some(Outcome::Refused { .. })), "{outcome:?}"),
        }
        assert!(links.contains(&LinkEvent::Outcome {
            id: MessageId::from_u64(2),
            index: 0,
            outcome: accepted("78")
        }));
    }
}

#[test]
fn a_refusal_after_two_answers_were_taken_for_one_another_sends_nothing_again() {
    let mut rig = Rig::up();
    rig.modem.verdicts.extend([String::new(), "\r\n+CMGS: 77\r\n\r\nOK\r\n".into()]);
    rig.submit([1]);
    rig.live(second(121));
    assert_eq!(rig.outcomes(), [(1, UNKNOWN)]);
    // The answer to the first comes in the place of the second's, whose own is a refusal and slow.
    rig.submit([2]);
    rig.live(second(6));
    assert_eq!(rig.outcomes(), [(2, accepted("77"))]);
    rig.say("\r\n+CMS ERROR: 38\r\n");
    assert_eq!(rig.links(), [], "the first went out, and nobody may send it again");
}

#[test]
fn a_refusal_that_may_be_an_earlier_segments_is_unknown() {
    let mut rig = Rig::up();
    rig.modem.verdicts.extend([String::new(), "\r\n+CMS ERROR: 28\r\n".into()]);
    rig.submit([1]);
    rig.live(second(121));
    rig.outcomes();
    rig.submit([2]);
    rig.live(second(6));
    assert_eq!(rig.outcomes(), [(2, UNKNOWN)]);
    rig.live(second(300));
    rig.modem.verdicts.push_back("\r\n+CMS ERROR: 28\r\n".into());
    rig.submit([3]);
    assert!(matches!(rig.outcomes()[..], [(3, Outcome::Refused { .. })]));
}

#[test]
fn a_late_answer_of_a_timed_out_command_is_drained_before_the_next() {
    let mut rig = Rig::up();
    rig.modem.script("AT+CSQ", "");
    rig.modem.script("AT+CMGF?", "");
    rig.live(second(65));
    assert_eq!(rig.count("AT+CMGF?"), 1, "{:?}", rig.modem.log);
    rig.submit([1]);
    rig.say("\r\n+CSQ: 9,99\r\n\r\nOK\r\n");
    assert!(rig.modem.pdus.is_empty(), "that OK was not the probe's");
    rig.say("\r\n+CMGF: 0\r\n\r\nOK\r\n");
    assert_eq!(rig.outcomes(), [(1, accepted("0"))]);
}

#[test]
fn an_ok_too_many_shifts_nothing_and_an_ok_before_its_reference_waits_for_it() {
    let mut rig = Rig::up();
    rig.modem.verdicts.extend(
        [
            "\r\n+CMGS: 5\r\n\r\nOK\r\n\r\nOK\r\n",
            "\r\nOK\r\n\r\n+CMGS: 6\r\n\r\nOK\r\n",
            "\r\n+CMGS: 7\r\n\r\nOK\r\n",
        ]
        .map(String::from),
    );
    rig.submit(1..=3);
    rig.live(second(3));
    assert_eq!(rig.outcomes(), [(1, accepted("5")), (2, accepted("6")), (3, accepted("7"))]);
}

#[test]
fn a_modem_that_says_ok_alone_has_accepted_it_without_a_reference() {
    let mut rig = Rig::up();
    rig.modem.verdicts.push_back("\r\nOK\r\n".into());
    rig.submit([1]);
    assert_eq!(rig.outcomes(), []);
    rig.live(second(3));
    assert_eq!(rig.outcomes(), [(1, Outcome::Accepted { reference: Reference::ABSENT })]);
}

#[test]
fn a_reference_without_ok_is_accepted_after_a_moment() {
    let mut rig = Rig::up();
    rig.modem.verdicts.push_back("\r\n+CMGS: 9\r\n".into());
    rig.submit(1..=2);
    assert_eq!(rig.outcomes(), []);
    rig.live(second(3));
    assert_eq!(rig.outcomes(), [(1, accepted("9")), (2, accepted("1"))]);
}

#[test]
fn errors_mean_what_the_table_says() {
    use Reason::{
        ModemFault, ModemStorage, ModemUnknownCode, NetworkBadNumber, NetworkTemporary, NetworkUnreachable,
    };
    let refused =
        |reason, code, retry| Outcome::Refused { cause: Cause::new(reason, RawCode::Cms(code)), retry };
    for (answer, wanted) in [
        ("+CMS ERROR: 1", refused(NetworkBadNumber, 1, RetryClass::Permanent)),
        ("+CMS ERROR: 28", refused(NetworkBadNumber, 28, RetryClass::Permanent)),
        ("+CMS ERROR: 304", refused(Reason::ModemBadRequest, 304, RetryClass::Permanent)),
        ("+CMS ERROR: 27", refused(NetworkUnreachable, 27, RetryClass::Temporary)),
        ("+CMS ERROR: 38", refused(NetworkTemporary, 38, RetryClass::Temporary)),
        ("+CMS ERROR: 322", refused(ModemStorage, 322, RetryClass::Temporary)),
        ("+CMS ERROR: 517", refused(ModemUnknownCode, 517, RetryClass::Temporary)),
        ("+CMS ERROR: 302", refused(ModemFault, 302, RetryClass::Temporary)),
        ("+CMS ERROR: 332", UNKNOWN),
        ("+CMS ERROR: 500", UNKNOWN),
        ("+CMS ERROR: 255", UNKNOWN),
        ("ERROR", UNKNOWN),
        ("+CMS ERROR: 8", Outcome::Unwritten),
        ("+CMS ERROR: 310", Outcome::Unwritten),
    ] {
        let mut rig = Rig::up();
        // "Invalid PDU" may mean that it was damaged on the line, and is believed the second time.
        let tries = if answer.ends_with("304") { 2 } else { 1 };
        rig.modem.verdicts = std::iter::repeat_n(format!("\r\n{answer}\r\n"), tries).collect();
        rig.submit([1]);
        assert_eq!(rig.outcomes(), [(1, wanted)], "{answer}");
        assert_eq!(rig.modem.pdus.len(), tries);
    }
}

#[test]
fn one_bad_number_holds_nobody_else_up() {
    let mut rig = Rig::up();
    rig.modem.verdicts = (1..=20)
        .map(|n| match n {
            7 => "\r\n+CMS ERROR: 28\r\n".to_owned(),
            n => format!("\r\n+CMGS: {n}\r\n\r\nOK\r\n"),
        })
        .collect();
    let began = rig.now;
    rig.submit(1..=20);
    let outcomes = rig.outcomes();
    assert_eq!((outcomes.len(), rig.now), (20, began));
    assert_eq!(outcomes.iter().filter(|(_, o)| matches!(o, Outcome::Accepted { .. })).count(), 19);
}

#[test]
fn a_busy_modem_is_asked_again_a_few_times_and_not_at_once() {
    let mut rig = Rig::up();
    rig.modem.verdicts = std::iter::repeat_n("\r\n+CMS ERROR: 314\r\n".to_owned(), 2).collect();
    rig.submit([1]);
    assert_eq!(rig.modem.pdus.len(), 1);
    rig.live(second(1));
    assert_eq!(rig.outcomes(), [(1, accepted("2"))]);
    rig.modem.verdicts = std::iter::repeat_n("\r\n+CMS ERROR: 314\r\n".to_owned(), 100).collect();
    rig.submit([2]);
    rig.live(second(60));
    assert!(matches!(rig.outcomes()[..], [(2, Outcome::Refused { retry: RetryClass::Temporary, .. })]));
    assert!(rig.modem.pdus.len() < 12);
}

#[test]
fn a_sim_that_the_network_refuses_again_and_again_is_parked_and_no_message_lost() {
    let mut rig = Rig::up();
    rig.modem.verdicts = std::iter::repeat_n("\r\n+CMS ERROR: 29\r\n".to_owned(), 3).collect();
    for id in 1..=3 {
        rig.submit([id]);
        rig.live(second(6));
    }
    let links = rig.links();
    let unwritten =
        links.iter().filter(|e| matches!(e, LinkEvent::Outcome { outcome: Outcome::Unwritten, .. }));
    assert_eq!(unwritten.count(), 3);
    assert!(matches!(links.last(), Some(LinkEvent::Parked { reason }) if reason.contains("29")), "{links:?}");
    assert!(rig.finished().is_some());
}

#[test]
fn one_number_that_the_sim_may_not_call_stops_nobody_else() {
    let mut rig = Rig::up();
    rig.modem.verdicts = std::iter::repeat_n("\r\n+CMS ERROR: 29\r\n".to_owned(), 6).collect();
    rig.submit([1]);
    rig.live(second(6));
    assert_eq!(rig.outcomes(), [(1, Outcome::Unwritten)]);
    for _ in 0..5 {
        rig.submit([1]);
        rig.live(second(6));
        let outcomes = rig.outcomes();
        assert!(
            matches!(outcomes[..], [(1, Outcome::Refused { retry: RetryClass::Temporary, .. })]),
            "{outcomes:?}"
        );
    }
    rig.submit([2]);
    rig.live(second(6));
    assert!(matches!(rig.outcomes()[..], [(2, Outcome::Accepted { .. })]));
}

#[test]
fn a_missing_service_centre_parks_the_link_and_costs_the_message_no_try() {
    let mut rig = Rig::up();
    rig.modem.verdicts.push_back("\r\n+CMS ERROR: 330\r\n".into());
    rig.submit([1]);
    let links = rig.links();
    assert!(matches!(
        &links[0],
        LinkEvent::Outcome { outcome: Outcome::Refused { retry: RetryClass::Park, .. }, .. }
    ));
    assert!(matches!(&links[1], LinkEvent::Parked { reason } if reason.contains("smsc")), "{links:?}");
}

#[test]
fn a_port_that_vanishes_leaves_unknown_only_what_was_past_ctrl_z() {
    let mut rig = Rig::up();
    assert_eq!(rig.close(), []);
    let mut rig = Rig::up();
    rig.modem.script(&format!("AT+CMGS={}", Rig::length_of(1)), "");
    rig.submit(1..=2);
    assert_eq!(rig.close(), [(1, Outcome::Unwritten), (2, Outcome::Unwritten)]);
    let mut rig = Rig::up();
    rig.modem.verdicts.push_back(String::new());
    rig.submit(1..=2);
    assert_eq!(rig.close(), [(1, LOST), (2, Outcome::Unwritten)]);
    // The prompt is heard, and the driver has not asked for the PDU.
    let mut rig = Rig::up();
    rig.modem.script(&format!("AT+CMGS={}", Rig::length_of(1)), "");
    rig.submit([1]);
    rig.session.handle_input(b"\r\n> ", rig.now);
    assert_eq!(rig.close(), [(1, Outcome::Unwritten)]);
}

#[test]
fn what_the_modem_says_to_the_next_connection_settles_what_the_last_one_left() {
    let carried = Carried::default();
    let mut rig = Rig::again(config(), Fake::default(), carried.clone(), start());
    rig.come_up();
    rig.modem.verdicts.push_back(String::new());
    rig.submit([1]);
    assert_eq!(rig.close(), [(1, LOST)]);
    let mut rig = Rig::again(config(), Fake::default(), carried, rig.now + second(2));
    rig.hear("\r\n+CMGS: 5\r\n\r\nOK\r\n");
    assert_eq!(
        rig.links(),
        [LinkEvent::Late { id: MessageId::from_u64(1), index: 0, lease: 1, outcome: accepted("5") }]
    );
    rig.come_up();
    rig.submit([2]);
    assert_eq!(rig.outcomes(), [(2, accepted("0"))], "at once: nothing is awaited late any more");
}

#[test]
fn a_modem_that_restarts_is_set_up_anew_before_anything_is_sent() {
    for boot in ["RDY", "^SYSSTART", "SMS Ready", "+CPIN: NOT READY"] {
        let mut rig = Rig::up();
        rig.modem.verdicts.push_back(String::new());
        rig.submit(1..=2);
        rig.hear(&format!("\r\n{boot}\r\n"));
        let links = rig.links();
        assert_eq!(
            links[..2],
            [
                LinkEvent::Outcome { id: MessageId::from_u64(1), index: 0, outcome: LOST },
                LinkEvent::Outcome { id: MessageId::from_u64(2), index: 0, outcome: Outcome::Unwritten },
            ],
            "{boot}"
        );
        assert!(matches!(&links[2], LinkEvent::Down { .. }), "{boot}");
        rig.modem.echo = true;
        rig.modem.log.clear();
        rig.come_up();
        let at = |command: &str| rig.modem.log.iter().position(|l| l == command).unwrap();
        assert!(at("ATE0V1") < at("AT+CMGF=0") && at("AT+CMGF=0") < at("AT+CNMI=2,1,0,1,0"));
        assert_eq!(rig.modem.pdus.len(), 1);
        rig.submit([3]);
        assert_eq!(rig.outcomes(), [(3, accepted("1"))]);
    }
}

#[test]
fn an_echo_out_of_nowhere_is_a_lost_setting_and_no_pdu_follows() {
    let mut rig = Rig::up();
    rig.modem.echo = true;
    rig.submit([1]);
    let links = rig.links();
    assert!(matches!(&links[0], LinkEvent::Outcome { outcome: Outcome::Unwritten, .. }), "{links:?}");
    assert!(rig.modem.pdus.is_empty());
    rig.come_up();
}

#[test]
fn a_modem_that_restarts_for_ever_is_given_up() {
    let mut rig = Rig::up();
    for _ in 0..10 {
        if rig.finished().is_none() {
            rig.say("\r\nRDY\r\n");
            rig.live(second(10));
        }
    }
    assert!(rig.finished().unwrap().contains("power"));
}

fn locked(answer: &str) -> Fake {
    let mut modem = Fake::default();
    modem.always.insert("AT+CPIN?".into(), format!("\r\n+CPIN: {answer}\r\n\r\nOK\r\n"));
    modem
}

fn parked(mut rig: Rig) -> (String, Vec<String>) {
    for _ in 0..100 {
        rig.run();
        if rig.finished().is_some() {
            let parked = rig.links().into_iter().find_map(|event| match event {
                LinkEvent::Parked { reason } => Some(reason),
                _ => None,
            });
            return (parked.expect("parked"), rig.modem.log);
        }
        rig.wait();
    }
    panic!("neither parked nor up: {:?}", rig.modem.log);
}

#[test]
fn a_sim_that_nobody_can_use_parks_the_link_with_its_reason() {
    for (answer, words) in [("SIM PUK", "PUK"), ("SIM PIN", "set pin"), ("NOT INSERTED", "no usable SIM")] {
        let (reason, _) = parked(Rig::connected(config(), locked(answer)));
        assert!(reason.contains(words), "{answer}: {reason}");
    }
    let mut modem = Fake::default();
    modem.always.insert("AT+CPIN?".into(), "\r\n+CME ERROR: 10\r\n".into());
    assert!(parked(Rig::connected(config(), modem)).0.contains("no usable SIM"));
    let mut modem = Fake::default();
    modem.always.insert("AT+CREG?".into(), "\r\n+CREG: 2,3\r\n\r\nOK\r\n".into());
    assert!(parked(Rig::connected(config(), modem)).0.contains("denies"));
}

fn with_pin() -> Modem {
    Modem { pin: Some(Secret::new("4711".into())), ..config() }
}

#[test]
fn a_pin_is_entered_once_and_a_wrong_one_never_again_whatever_restarts_come() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pin");
    let mut entered = 0;
    for restart in 0..4 {
        let mut modem = locked("SIM PIN");
        modem.always.insert("AT+CPIN=\"4711\"".into(), "\r\n+CME ERROR: 16\r\n".into());
        let carried = Carried::new(PinLedger::open(Some(path.clone())).unwrap());
        let rig = Rig::again(with_pin(), modem, carried, start());
        assert!(!format!("{:?}", rig.session).contains("4711"));
        let (reason, log) = parked(rig);
        assert!(!reason.contains("4711"), "{reason}");
        entered += log.iter().filter(|l| l.starts_with("AT+CPIN=")).count();
        assert_eq!(entered, 1, "restart {restart}");
    }
}

#[test]
fn a_right_pin_unlocks_the_sim_and_leaves_no_entry() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pin");
    let mut modem = Fake::default();
    modem.script("AT+CPIN?", "\r\n+CPIN: SIM PIN\r\n\r\nOK\r\n");
    let carried = Carried::new(PinLedger::open(Some(path.clone())).unwrap());
    let mut rig = Rig::again(with_pin(), modem, carried, start());
    rig.come_up();
    assert_eq!(rig.modem.log.iter().filter(|l| l.starts_with("AT+CPIN=")).count(), 1);
    assert!(!path.exists());
}

#[test]
fn the_last_tries_of_a_pin_are_left_to_people() {
    let mut modem = locked("SIM PIN");
    modem.always.insert("AT+CPINR=\"SIM PIN\"".into(), "\r\n+CPINR: SIM PIN,1,3\r\n\r\nOK\r\n".into());
    let (reason, log) = parked(Rig::connected(with_pin(), modem));
    assert!(reason.contains("1 tries"), "{reason}");
    assert!(!log.iter().any(|l| l.starts_with("AT+CPIN=")));
}

#[test]
fn a_full_sim_is_read_handed_up_and_only_then_freed() {
    let mut modem = Fake::default();
    for index in 0..20 {
        modem.store("SM", index, &deliver(&format!("reply {index}")));
    }
    let mut rig = Rig::connected(config(), modem);
    rig.come_up();
    assert_eq!(rig.modem.slots.len(), 20, "nothing is deleted before it is confirmed");
    assert_eq!(rig.confirm_all().len(), 20);
    assert!(rig.modem.slots.is_empty());
    rig.live(second(200));
    assert_eq!(rig.inbound().len(), 0);
}

#[test]
fn the_same_place_read_again_after_a_crash_has_the_same_key() {
    let keys = |_| {
        let mut modem = Fake::default();
        modem.store("SM", 0, &deliver("STOP"));
        let mut rig = Rig::connected(config(), modem);
        rig.come_up();
        match &rig.inbound()[..] {
            [(_, Inbound::Reply(reply))] => reply.repeat,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(keys(0), keys(1));
}

#[test]
fn what_the_core_refused_stays_and_is_read_again() {
    let mut rig = Rig::up();
    rig.modem.store("SM", 0, &deliver("STOP"));
    rig.say("\r\n+CMTI: \"SM\",0\r\n");
    let (token, _) = rig.inbound().remove(0);
    rig.session.refuse(token, rig.now);
    rig.run();
    assert_eq!(rig.modem.slots.len(), 1);
    rig.live(second(6));
    assert_eq!(rig.confirm_all(), ["STOP"]);
    assert!(rig.modem.slots.is_empty());
}

#[test]
fn an_announcement_that_was_lost_costs_a_minute() {
    let mut rig = Rig::up();
    rig.modem.store("ME", 0, &deliver("STOP"));
    rig.live(second(61));
    assert_eq!(rig.confirm_all(), ["STOP"]);
}

#[test]
fn a_stop_is_read_before_the_next_segment_is_begun() {
    let mut rig = Rig::up();
    rig.modem.store("SM", 0, &deliver("STOP"));
    rig.modem.verdicts.push_back("\r\n+CMGS: 0\r\n\r\nOK\r\n\r\n+CMTI: \"SM\",0\r\n".into());
    rig.submit(1..=2);
    let at = |command: &str| rig.modem.log.iter().rposition(|l| l.starts_with(command)).unwrap();
    assert!(at("AT+CMGR=0") < at("AT+CMGS="), "{:?}", rig.modem.log);
}

#[test]
fn a_recall_wins_until_the_pdu_is_taken() {
    let recalled = |step: &dyn Fn(&mut Rig)| {
        let mut rig = Rig::up();
        rig.modem.script(&format!("AT+CMGS={}", Rig::length_of(1)), "");
        rig.submit([1]);
        step(&mut rig);
        rig.session.recall(MessageId::from_u64(1), rig.now);
        let outcomes = rig.outcomes();
        rig.modem.prompted = true;
        rig.run();
        rig.live(second(3));
        assert!(rig.modem.pdus.is_empty());
        rig.submit([2]);
        assert_eq!(rig.outcomes(), [(2, accepted("0"))]);
        outcomes
    };
    assert_eq!(recalled(&|_| {}), [(1, Outcome::Unwritten)]);
    assert_eq!(recalled(&|rig| rig.session.handle_input(b"\r\n> ", rig.now)), [(1, Outcome::Unwritten)]);
    let mut rig = Rig::up();
    rig.modem.verdicts.push_back(String::new());
    rig.submit([1]);
    rig.session.recall_all(rig.now);
    assert_eq!(rig.outcomes(), [], "it is on its way");
}

#[test]
fn what_was_recalled_on_its_way_is_not_written_again_when_the_modem_was_busy() {
    for all in [false, true] {
        let mut rig = Rig::up();
        rig.modem.verdicts.push_back(String::new());
        rig.submit([1]);
        match all {
            true => rig.session.recall_all(rig.now),
            false => rig.session.recall(MessageId::from_u64(1), rig.now),
        }
        assert_eq!(rig.outcomes(), [], "it is on its way");
        rig.say("\r\n+CMS ERROR: 314\r\n");
        rig.live(second(30));
        assert_eq!(rig.outcomes(), [(1, Outcome::Unwritten)]);
        assert_eq!(rig.modem.pdus.len(), 1);
    }
}

#[test]
fn a_recall_reaches_what_waits_for_its_pace() {
    let slow = Modem { rate: Some(Rate { segments: 1, per: second(60) }), ..config() };
    let mut rig = Rig::up_with(slow, Fake::default());
    rig.submit(1..=2);
    rig.live(second(30));
    rig.outcomes();
    rig.session.recall(MessageId::from_u64(2), rig.now);
    assert_eq!(rig.outcomes(), [(2, Outcome::Unwritten)]);
    rig.live(second(200));
    assert!(rig.modem.pdus.len() <= 1);
}

#[test]
fn one_undecodable_message_is_quarantined_and_the_rest_is_read() {
    let good = deliver("STOP");
    let poisons = ["", "0", "00ZZ", "0004", "00FF", &good[..good.len() - 3], "000400", "0700112233"];
    for poison in poisons {
        let mut modem = Fake::default();
        modem.store("SM", 1, poison);
        modem.store("SM", 2, &good.to_ascii_lowercase());
        if poison.len() < 2 {
            // The fake would announce a negative length.
            let body = if poison.is_empty() { String::new() } else { format!("{poison}\r\n") };
            let list = format!(
                "\r\n+CMGL: 1,0,,{}\r\n{body}+CMGL: 2,0,,{}\r\n{good}\r\n\r\nOK\r\n",
                poison.len(),
                length(&good)
            );
            modem.script("AT+CMGL=4", &list);
            modem.script("AT+CMGR=1", &format!("\r\n+CMGR: 0,,{}\r\n{body}\r\nOK\r\n", poison.len()));
        }
        let mut rig = Rig::connected(config(), modem);
        rig.come_up();
        let mut texts = rig.confirm_all();
        texts.sort_by_key(|text| !text.starts_with("poison"));
        assert_eq!(texts.len(), 2, "{poison:?}");
        assert!(texts[0].starts_with("poison") && texts[1] == "STOP", "{poison:?}: {texts:?}");
        assert!(rig.modem.slots.is_empty(), "{poison:?}");
    }
}

#[test]
fn a_message_that_the_line_garbled_is_read_again_before_it_is_given_up() {
    let good = deliver("STOP");
    let stated = length(&good);
    let garbled = [
        format!("\r\n+CMGL: 1,0,,{stated}\r\n{}\u{fffd}\r\n\r\nOK\r\n", &good[..20]),
        format!("\r\n+CMGL: 1,0,,{stated}\r\n{}\r\n\r\nOK\r\n", &good[..20]),
        // The line with the PDU is gone altogether.
        format!("\r\n+CMGL: 1,0,,{stated}\r\n\r\nOK\r\n"),
    ];
    for listing in garbled {
        let mut modem = Fake::default();
        modem.store("SM", 1, &good);
        modem.script("AT+CMGL=4", &listing);
        let mut rig = Rig::connected(config(), modem);
        rig.come_up();
        rig.live(second(120));
        assert_eq!(rig.confirm_all(), ["STOP"], "{listing:?}");
        assert!(rig.modem.slots.is_empty());
    }
}

#[test]
fn a_memory_that_cannot_be_listed_is_read_place_by_place() {
    let mut rig = Rig::up();
    rig.modem.always.insert("AT+CMGL=4".into(), "\r\n+CMS ERROR: 321\r\n".into());
    rig.live(second(200));
    assert_eq!(rig.count("AT+CMGR="), 0, "there is nothing in it");
    rig.modem.store("ME", 0, &deliver("1"));
    rig.modem.store("ME", 20, &deliver("STOP"));
    rig.live(second(61));
    assert_eq!(rig.confirm_all(), ["1", "STOP"]);
    assert!(rig.modem.slots.is_empty());
}

#[test]
fn a_sim_that_does_not_give_its_number_at_once_names_its_messages_alike() {
    let keys = |refused: &str| {
        let mut modem = Fake::default();
        modem.store("SM", 0, &deliver("STOP"));
        modem.script("AT+CIMI", refused);
        let mut rig = Rig::connected(config(), modem);
        rig.come_up();
        match &rig.inbound()[..] {
            [(_, Inbound::Reply(reply))] => reply.repeat,
            other => panic!("{other:?}"),
        }
    };
    let usual = keys("\r\n262010000000001\r\n\r\nOK\r\n");
    assert_eq!(keys("\r\nERROR\r\n"), usual);
    assert_eq!(keys("\r\n+CME ERROR: 13\r\n"), usual);
}

#[test]
fn a_place_whose_message_was_replaced_is_not_freed_before_the_new_one_is_confirmed() {
    let mut rig = Rig::up();
    rig.modem.store("SM", 0, &deliver("1"));
    rig.say("\r\n+CMTI: \"SM\",0\r\n");
    // Replace Short Message (23.040 section 9.2.3.9): the same place, another message.
    rig.modem.store("SM", 0, &deliver("STOP"));
    rig.say("\r\n+CMTI: \"SM\",0\r\n");
    let inbound = rig.inbound();
    assert_eq!(inbound.iter().map(|(_, inbound)| text(inbound)).collect::<Vec<_>>(), ["1", "STOP"]);
    rig.session.confirm(inbound[0].0, rig.now);
    rig.run();
    assert_eq!(rig.modem.slots.len(), 1, "STOP is not stored yet");
    rig.session.refuse(inbound[1].0, rig.now);
    rig.live(second(6));
    assert_eq!(rig.confirm_all(), ["STOP"]);
    assert!(rig.modem.slots.is_empty());
}

#[test]
fn a_modem_that_forgot_which_memory_was_selected_deletes_nothing_elsewhere() {
    let mut rig = Rig::up();
    rig.modem.store("ME", 0, &deliver("1"));
    rig.say("\r\n+CMTI: \"ME\",0\r\n");
    rig.live(second(10));
    // It started anew and said nothing of it.
    rig.modem.memory = "SM".into();
    rig.modem.store("SM", 0, &deliver("STOP"));
    assert_eq!(rig.confirm_all(), ["1"]);
    assert!(rig.modem.slots.contains_key(&("SM".to_owned(), 0)));
    rig.live(second(61));
    assert_eq!(rig.confirm_all(), ["STOP"]);
}

#[test]
fn a_pdu_of_another_length_than_announced_is_quarantined() {
    let good = deliver("STOP");
    for wrong in [length(&good) - 1, length(&good) + 2, 0] {
        let mut rig = Rig::up();
        rig.modem.store("SM", 3, &good);
        for _ in 0..2 {
            rig.modem.script("AT+CMGR=3", &format!("\r\n+CMGR: 0,,{wrong}\r\n{good}\r\n\r\nOK\r\n"));
        }
        rig.say("\r\n+CMTI: \"SM\",3\r\n");
        assert!(matches!(rig.inbound()[..], [(_, Inbound::Poison(_))]), "{wrong}");
    }
}

#[test]
fn a_report_is_matched_by_what_it_is_and_not_by_what_announced_it() {
    let mut rig = Rig::up();
    // EC25: the report lies elsewhere, and the place that is named holds somebody's message.
    rig.modem.store("SM", 0, &deliver("1"));
    rig.say("\r\n+CDSI: \"SM\",0\r\n");
    let inbound = rig.inbound();
    assert!(matches!(&inbound[..], [(_, Inbound::Reply(reply))] if reply.text.as_deref() == Some("1")));
    assert_eq!(rig.modem.slots.len(), 1, "it is not deleted before it is confirmed");
    let routed = report(5, 0);
    rig.say(&format!("\r\n+CDS: {}\r\n{routed}\r\n", length(&routed)));
    match &rig.inbound()[..] {
        [(_, Inbound::Receipt(receipt))] => {
            assert_eq!(receipt.reference, Some(Reference("5".into())));
            assert_eq!(receipt.state, ReceiptState::Delivered);
            assert_eq!(receipt.recipient, Msisdn::parse_e164("+447700900123").ok());
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(rig.count("AT+CNMA"), 0, "not asked for without AT+CSMS=1");
}

#[test]
fn routed_messages_are_acknowledged_only_once_they_are_stored() {
    let mut modem = Fake::default();
    modem.script("AT+CNMI=2,1,0,1,0", "\r\n+CMS ERROR: 303\r\n");
    let mut rig = Rig::up_with(config(), modem);
    let routed = report(5, 0x41);
    rig.say(&format!("\r\n+CDS: {}\r\n{routed}\r\n", length(&routed)));
    assert_eq!(rig.count("AT+CNMA"), 0);
    let (token, _) = rig.inbound().remove(0);
    rig.session.confirm(token, rig.now);
    rig.run();
    assert_eq!(rig.modem.log.last().map(String::as_str), Some("AT+CNMA"));
    rig.say(&format!("\r\n+CDS: {}\r\n{routed}\r\n", length(&routed)));
    let (token, _) = rig.inbound().remove(0);
    rig.session.refuse(token, rig.now);
    rig.run();
    assert!(rig.modem.log.contains(&"AT+CNMA=2".to_owned()), "{:?}", rig.modem.log);
}

#[test]
fn a_routed_report_that_the_core_had_no_room_for_is_handed_up_again() {
    let mut rig = Rig::up();
    let routed = report(5, 0);
    rig.say(&format!("\r\n+CDS: {}\r\n{routed}\r\n", length(&routed)));
    let (token, _) = rig.inbound().remove(0);
    rig.session.refuse(token, rig.now);
    rig.run();
    rig.live(second(6));
    assert_eq!(rig.texts(), ["receipt 5"]);
}

#[test]
fn a_deletion_that_deletes_nothing_is_tried_again_a_few_times_and_hands_nothing_up_twice() {
    let mut rig = Rig::up();
    rig.modem.store("SM", 0, &deliver("STOP"));
    rig.modem.always.insert("AT+CMGD=0".into(), "\r\nOK\r\n".into());
    rig.say("\r\n+CMTI: \"SM\",0\r\n");
    assert_eq!(rig.confirm_all(), ["STOP"]);
    rig.live(second(600));
    assert_eq!(rig.count("AT+CMGD=0"), 3);
    assert_eq!(rig.texts(), [""; 0]);
}

#[test]
fn a_message_to_a_place_that_was_freed_is_another_message() {
    let mut rig = Rig::up();
    for text in ["STOP", "1", "2"] {
        rig.modem.store("SM", 0, &deliver(text));
        rig.say("\r\n+CMTI: \"SM\",0\r\n");
        assert_eq!(rig.confirm_all(), [text]);
    }
}

#[test]
fn a_full_memory_is_swept_when_the_modem_says_so() {
    let mut rig = Rig::up();
    rig.modem.store("ME", 7, &deliver("STOP"));
    rig.say("\r\n^SMMEMFULL: \"SM\"\r\n");
    assert_eq!(rig.confirm_all(), ["STOP"]);
}

#[test]
fn a_lost_network_is_down_after_all_outcomes_and_up_again_without_a_new_session() {
    let mut rig = Rig::up();
    rig.modem.always.insert("AT+CREG?".into(), "\r\n+CREG: 2,2\r\n\r\nOK\r\n".into());
    rig.modem.verdicts.push_back("\r\n+CREG: 2\r\n\r\n+CMGS: 3\r\n\r\nOK\r\n".into());
    rig.submit(1..=2);
    let links = rig.links();
    assert_eq!(links.len(), 3, "{links:?}");
    assert!(matches!(&links[0], LinkEvent::Outcome { outcome: Outcome::Accepted { .. }, .. }));
    assert!(matches!(&links[1], LinkEvent::Outcome { outcome: Outcome::Unwritten, .. }));
    assert!(matches!(&links[2], LinkEvent::Down { reason } if reason.contains("searching")));
    rig.submit([3]);
    assert_eq!(rig.outcomes(), [(3, Outcome::Unwritten)]);
    rig.modem.always.clear();
    rig.live(second(3));
    assert_eq!(rig.links(), [LinkEvent::Up]);
    assert_eq!(rig.finished(), None);
}

#[test]
fn one_announcement_alone_takes_no_link_down() {
    let mut rig = Rig::up();
    rig.say("\r\n+CREG: 0\r\n");
    assert_eq!(rig.links(), []);
    assert_eq!(rig.count("AT+CREG?"), 1);
}

#[test]
fn lte_that_carries_sms_only_is_a_network() {
    for stat in [6, 7, 9, 10] {
        let mut modem = Fake::default();
        modem.always.insert("AT+CREG?".into(), "\r\n+CREG: 2,0\r\n\r\nOK\r\n".into());
        modem.always.insert("AT+CEREG?".into(), format!("\r\n+CEREG: 2,{stat}\r\n\r\nOK\r\n"));
        Rig::up_with(config(), modem);
    }
}

#[test]
fn two_silences_in_a_row_open_the_port_anew() {
    let mut rig = Rig::up();
    rig.modem.always.insert("AT+CSQ".into(), String::new());
    rig.modem.always.insert("AT+COPS?".into(), String::new());
    rig.live(second(90));
    assert_eq!(rig.finished().as_deref(), Some("the modem does not answer"));
    assert!(rig.count("AT+CMGF?") >= 1, "it was asked whether it is there");
}

#[test]
fn a_stop_waits_for_the_segment_on_the_wire_and_begins_no_other() {
    let mut rig = Rig::up();
    rig.modem.verdicts.push_back(String::new());
    rig.submit(1..=2);
    rig.session.stop(rig.now);
    rig.run();
    assert_eq!(rig.outcomes(), [(2, Outcome::Unwritten)]);
    assert_eq!(rig.finished(), None);
    rig.say("\r\n+CMGS: 4\r\n\r\nOK\r\n");
    assert_eq!(rig.outcomes(), [(1, accepted("4"))]);
    assert_eq!(rig.finished().as_deref(), Some("stopped"));
    assert_eq!(rig.modem.log.last().map(String::as_str), Some("AT+CMMS=0"));
}

#[test]
fn a_stop_that_is_not_answered_ends_in_time_with_an_unknown() {
    let mut rig = Rig::up();
    rig.modem.verdicts.push_back(String::new());
    rig.submit([1]);
    rig.session.stop(rig.now);
    rig.live(second(20));
    assert_eq!(rig.outcomes(), [(1, UNKNOWN)]);
    assert!(rig.finished().is_some());
}

#[test]
fn a_held_relay_link_is_released_for_reception() {
    let mut rig = Rig::up();
    rig.submit(1..=100);
    assert_eq!(rig.outcomes().len(), 100);
    assert!(rig.count("AT+CMMS=0") >= 3);
    rig.live(second(10));
    assert_eq!(
        rig.modem.log.iter().rfind(|l| l.starts_with("AT+CMMS")).map(String::as_str),
        Some("AT+CMMS=0")
    );
    let mut refusing = Fake::default();
    refusing.always.insert("AT+CMMS=2".into(), "\r\n+CMS ERROR: 500\r\n".into());
    let mut rig = Rig::up_with(config(), refusing);
    rig.submit(1..=100);
    assert_eq!((rig.outcomes().len(), rig.count("AT+CMMS=2")), (100, 1));
}

#[test]
fn settings_of_announcements_that_were_lost_are_made_again() {
    let mut rig = Rig::up();
    rig.modem.script("AT+CNMI?", "\r\n+CNMI: 2,0,0,0,0\r\n\r\nOK\r\n");
    rig.live(second(601));
    assert_eq!(rig.count("AT+CNMI=2,1,0,1,0"), 1);
}

#[test]
fn an_idle_modem_is_not_asked_in_a_loop() {
    let mut rig = Rig::up();
    rig.live(second(3600));
    assert!(rig.modem.log.len() < 60 * 12, "{}", rig.modem.log.len());
}

#[test]
fn a_vendor_is_known_by_its_name_and_set_up_in_its_way() {
    let mut modem = Fake::default();
    modem.always.insert("AT+CGMI".into(), "\r\nhuawei\r\n\r\nOK\r\n".into());
    modem.always.insert("AT^ICCID?".into(), "\r\n^ICCID: 8949000000000000001F\r\n\r\nOK\r\n".into());
    modem.always.insert("AT^PORTSEL=1".into(), "\r\nCOMMAND NOT SUPPORT\r\n".into());
    let mut rig = Rig::connected(config(), modem);
    rig.come_up();
    assert_eq!((rig.count("AT^CURC=0"), rig.count("AT^PORTSEL=1"), rig.count("AT+CCID")), (1, 1, 0));
}

#[test]
fn a_command_of_the_set_up_that_nobody_answers_costs_time_and_nothing_else() {
    let mut modem = Fake::default();
    for silent in ["AT+CGMM", "AT+CGMR", "AT+CREG=2", "AT+CEREG=2", "AT+CSMS=0"] {
        modem.always.insert(silent.into(), String::new());
    }
    let mut rig = Rig::up_with(config(), modem);
    rig.submit([1]);
    assert_eq!(rig.outcomes(), [(1, accepted("0"))]);
}

#[test]
fn a_busy_sim_is_waited_for() {
    let mut modem = Fake::default();
    for _ in 0..10 {
        modem.script("AT+CPIN?", "\r\n+CME ERROR: 14\r\n");
        modem.script("AT+CPMS=?", "\r\n+CMS ERROR: 314\r\n");
    }
    Rig::up_with(config(), modem);
}

#[test]
fn what_is_submitted_while_the_network_is_in_doubt_waits_for_the_answer() {
    let mut rig = Rig::up();
    rig.modem.script("AT+CREG?", "");
    rig.say("\r\n+CREG: 0\r\n");
    rig.submit([1]);
    assert_eq!(rig.outcomes(), []);
    rig.say("\r\n+CREG: 2,1\r\n\r\nOK\r\n");
    assert_eq!(rig.outcomes(), [(1, accepted("0"))]);
}

#[test]
fn a_modem_that_goes_off_ends_the_session_at_once() {
    let mut rig = Rig::up();
    rig.modem.verdicts.push_back(String::new());
    rig.submit(1..=2);
    rig.say("\r\nNORMAL POWER DOWN\r\n");
    assert_eq!(rig.outcomes(), [(1, LOST), (2, Outcome::Unwritten)]);
    assert!(rig.finished().is_some());
}

#[test]
fn a_long_message_goes_segment_by_segment_and_flash_is_class_zero() {
    let mut rig = Rig::up();
    for number in 1..=3 {
        let mut part = submission(1);
        part.index = number - 1;
        part.flash = true;
        part.concat = Some(Concat { reference: 0x1234, total: 3, number });
        rig.session.submit(part, rig.now);
    }
    rig.run();
    assert_eq!(rig.outcomes().len(), 3);
    for (number, pdu) in (1..).zip(&rig.modem.pdus) {
        let tpdu = hex::decode(&pdu[2..]).unwrap();
        let submit = Submit::decode(&tpdu).unwrap();
        assert_eq!(submit.data.concat(), Some(Concat { reference: 0x34, total: 3, number }));
        assert_eq!(submit.dcs & 0x13, 0x10);
    }
}

#[test]
fn nothing_that_is_shown_of_a_session_holds_a_text_or_a_number() {
    let mut rig = Rig::up_with(with_pin(), Fake::default());
    let mut secret = submission(1);
    secret.text = "the secret".into();
    rig.modem.verdicts.push_back(String::new());
    rig.session.submit(secret, rig.now);
    rig.run();
    let shown = format!("{:?}", rig.session);
    assert!(!shown.contains("secret") && !shown.contains("4711") && !shown.contains("0013"), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a modem says and whenever: no panic, one outcome each, and none is accepted before its Ctrl-Z.
    #[test]
    fn no_noise_is_an_acceptance(
        noise in proptest::collection::vec((any::<u8>(), words()), 0..60),
    ) {
        let mut rig = Rig::up();
        rig.submit(1..=4);
        rig.outcomes();
        let mut rig = Rig::up();
        let mut written = 0;
        let mut outcomes = Vec::new();
        for id in 1..=3 {
            rig.session.submit(submission(id), rig.now);
        }
        for (choice, text) in noise {
            if choice % 8 == 0 {
                rig.now += Duration::from_millis(u64::from(choice) * 50);
                rig.session.handle_timeout(rig.now);
            }
            rig.session.handle_input(text.as_slice(), rig.now);
            let accepted = take_outcomes(&mut rig, &mut outcomes);
            prop_assert!(accepted <= written, "accepted before it was written");
            if choice % 3 == 0 && let Some(bytes) = rig.session.poll_output(rig.now) {
                written += bytes.iter().filter(|b| **b == 0x1A).count();
            }
        }
        rig.session.handle_close(Close::Eof, rig.now);
        take_outcomes(&mut rig, &mut outcomes);
        let mut ids: Vec<u64> = outcomes.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        prop_assert_eq!(ids, vec![1, 2, 3]);
    }
}

/// Adds what came; how many of all were accepted.
fn take_outcomes(rig: &mut Rig, outcomes: &mut Vec<(u64, Outcome)>) -> usize {
    outcomes.extend(rig.outcomes());
    outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Accepted { .. })).count()
}

fn words() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        "\r\nOK\r\n",
        "\r\n> ",
        "\r\nERROR\r\n",
        "\r\n+CMS ERROR: 500\r\n",
        "\r\n+CMS ERROR: 314\r\n",
        "\r\nRDY\r\n",
        "\r\n+CMTI: \"SM\",0\r\n",
        "\r\n+CMT: ,5\r\n",
        "\r\n+CREG: 0\r\n",
        "\r\n+CMGF: 1\r\n",
        "+CMGL: 1,0,,3\r\n",
        ">",
    ];
    prop_oneof![
        3 => proptest::sample::select(known.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
        1 => Just(b"\r\n+CMGS: 5\r\n".to_vec()),
        2 => proptest::collection::vec(any::<u8>(), 0..40),
    ]
}
