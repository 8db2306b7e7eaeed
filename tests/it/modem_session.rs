//! The modem session, line by line and second by second, without a port: the rules of its header, and every row of
//! the hostile table that a dialogue can hold.

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
use nudged::link::{Inbound, InboundToken, LinkEvent, ModemStatus, Outcome};
use nudged::message::{Cause, Msisdn, RawCode, Reason, ReceiptState, Reference, UnknownWhy};
use nudged::pace::{Rate, Shared};
use nudged::retry::RetryClass;
use nudged::sms::tpdu::{Deliver, ServiceTime, StatusReport, UserData};
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
        data: UserData::segment(text, None),
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
        receipts: true,
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
        if line == "ATE0V1" {
            self.echo = false;
        }
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
        "\r\n\u{FFFD}garbage\r\n",
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
