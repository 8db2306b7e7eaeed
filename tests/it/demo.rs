//! The demo: what its comparison finds in made-up lists, and the binary from outside.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};

use nudged::cli::demo::compare::{
    Answers, CONFIRMATION, CarrierLog, Findings, Place, Posted, Receipt, Reply, Row, RowSegment, Submit,
    compare,
};
use nudged::cli::demo::phones::Answer;
use nudged::clock::Timestamp;

/// Two messages: a short one that was delivered, and a long one that waits for its receipts.
struct Lists {
    posted: Vec<Posted>,
    rows: Vec<Row>,
    carriers: Vec<CarrierLog>,
    answers: Answers,
}

impl Lists {
    fn compared(&self) -> Findings {
        compare(&self.posted, &self.rows, &self.carriers, &self.answers)
    }

    /// Row 0 gets another status, and its only segment another state.
    fn shown_as(mut self, status: &str, state: &str) -> Lists {
        self.rows[0].status = status.into();
        self.rows[0].segments[0].state = state.into();
        self
    }

    /// The first carrier took nothing of the short message.
    fn never_taken(mut self) -> Lists {
        self.carriers[0].submits.remove(0);
        self.carriers[0].receipts.clear();
        self
    }
}

fn clean() -> Lists {
    let posted = |id: &str, to: &str, text: &str, segment_count| Posted {
        id: id.into(),
        to: to.into(),
        text: text.into(),
        segment_count,
    };
    let row = |of: &Posted, status: &str, state: &str| Row {
        id: of.id.clone(),
        to: of.to.clone(),
        text: of.text.clone(),
        status: status.into(),
        class: "reminder".into(),
        segments: (0..of.segment_count).map(|_| RowSegment { state: state.into() }).collect(),
    };
    let posted = vec![posted("a", "+491", "short", 1), posted("b", "+432", "long text", 2)];
    let rows = vec![row(&posted[0], "delivered", "delivered"), row(&posted[1], "sent", "accepted")];
    let first = CarrierLog {
        name: "north".into(),
        submits: vec![taken("+491", "short", None, "1"), refused("+432", "long ", Some((2, 1)))],
        receipts: vec![Receipt { message_id: "1".into(), stat: "DELIVRD".into() }],
    };
    let second = CarrierLog {
        name: "south".into(),
        submits: vec![taken("+432", "long ", Some((2, 1)), "1"), taken("+432", "text", Some((2, 2)), "2")],
        receipts: Vec::new(),
    };
    Lists { posted, rows, carriers: vec![first, second], answers: Answers::default() }
}

fn taken(to: &str, text: &str, place: Option<(usize, usize)>, message_id: &str) -> Submit {
    Submit {
        at: "2026-03-11T10:00:00.000Z".into(),
        to: to.into(),
        text: text.into(),
        segment: place.map(|(total, number)| Place { total, number }),
        message_id: Some(message_id.into()),
        status: Some(0),
    }
}

fn refused(to: &str, text: &str, place: Option<(usize, usize)>) -> Submit {
    Submit { message_id: None, status: Some(0x58), ..taken(to, text, place, "") }
}

/// How many were found: lost, doubled, unaccounted.
fn counts(findings: &Findings) -> (usize, usize, usize) {
    (findings.lost.len(), findings.doubled.len(), findings.unaccounted.len())
}

fn finds(lists: &Lists, expected: (usize, usize, usize)) {
    let findings = lists.compared();
    assert_eq!(counts(&findings), expected, "{findings:?}");
    assert_eq!(findings.is_clean(), expected == (0, 0, 0));
}

#[test]
fn lists_that_agree_are_clean() {
    finds(&clean(), (0, 0, 0));
}

#[test]
fn a_message_accepted_and_not_shown_is_lost() {
    let mut lists = clean();
    lists.rows.remove(0);
    finds(&lists, (1, 0, 0));
}

#[test]
fn a_message_shown_as_sent_that_no_carrier_took_is_lost() {
    for (status, state) in [("sent", "accepted"), ("delivered", "delivered"), ("undelivered", "undelivered")]
    {
        finds(&clean().never_taken().shown_as(status, state), (1, 0, 0));
    }
}

#[test]
fn a_long_message_of_which_one_segment_was_never_taken_is_lost() {
    let mut lists = clean();
    lists.carriers[1].submits.remove(1);
    finds(&lists, (1, 0, 0));
}

#[test]
fn an_id_answered_for_two_messages_is_a_loss() {
    let mut lists = clean();
    lists.posted.push(Posted { to: "+493".into(), ..lists.posted[0].clone() });
    let lost = lists.compared().lost;
    assert!(lost.iter().any(|finding| finding == "a was answered for two different messages"), "{lost:?}");
}

#[test]
fn a_segment_taken_twice_by_one_carrier_is_doubled() {
    let mut lists = clean();
    let again = lists.carriers[0].submits[0].clone();
    lists.carriers[0].submits.push(again);
    finds(&lists, (0, 1, 0));
}

#[test]
fn a_segment_taken_by_both_carriers_is_doubled_whatever_the_status() {
    let segments = [("delivered", "delivered"), ("unknown", "unknown"), ("queued", "waiting")];
    for (status, state) in segments {
        let mut lists = clean().shown_as(status, state);
        lists.carriers[1].submits.push(taken("+491", "short", None, "9"));
        lists.carriers[1].receipts.push(Receipt { message_id: "9".into(), stat: "DELIVRD".into() });
        finds(&lists, (0, 1, 0));
    }
}

#[test]
fn a_message_shown_twice_is_doubled() {
    let mut lists = clean();
    lists.rows.push(lists.rows[0].clone());
    finds(&lists, (0, 1, 0));
}

#[test]
fn a_repeated_request_that_made_a_second_message_is_doubled() {
    let mut lists = clean();
    lists.posted.push(Posted { id: "c".into(), ..lists.posted[0].clone() });
    lists.rows.push(Row { id: "c".into(), status: "queued".into(), ..lists.rows[0].clone() });
    lists.rows[2].segments[0].state = "waiting".into();
    finds(&lists, (0, 1, 0));
}

#[test]
fn a_message_that_says_it_did_not_go_and_was_taken_is_unaccounted() {
    let not_gone = [
        ("scheduled", "waiting"),
        ("queued", "waiting"),
        ("queued", "unwritten"),
        ("failed", "refused"),
        ("expired", "unwritten"),
        ("canceled", "waiting"),
        ("blocked", "waiting"),
    ];
    for (status, state) in not_gone {
        finds(&clean().shown_as(status, state), (0, 0, 1));
        finds(&clean().never_taken().shown_as(status, state), (0, 0, 0));
    }
}

#[test]
fn an_unknown_or_one_on_its_way_may_have_been_taken_once_or_not() {
    for (status, state) in [("unknown", "unknown"), ("sending", "written")] {
        finds(&clean().shown_as(status, state), (0, 0, 0));
        finds(&clean().never_taken().shown_as(status, state), (0, 0, 0));
    }
}

#[test]
fn a_segment_that_is_out_counts_even_while_the_rest_of_its_message_waits() {
    let mut lists = clean();
    lists.rows[1].status = "queued".into();
    lists.rows[1].segments[1].state = "waiting".into();
    finds(&lists, (0, 0, 1));
    lists.carriers[1].submits.remove(1);
    finds(&lists, (0, 0, 0));
    lists.carriers[1].submits.remove(0);
    finds(&lists, (1, 0, 0));
}

#[test]
fn what_nobody_posted_is_unaccounted_on_a_wire_and_in_the_api() {
    let foreign = [
        taken("+499", "short", None, "7"),
        taken("+491", "another text", None, "7"),
        taken("+491", "short", Some((2, 1)), "7"),
        taken("+432", "long ", Some((2, 3)), "7"),
        refused("+499", "short", None),
    ];
    for submit in foreign {
        let mut lists = clean();
        lists.carriers[0].submits.push(submit.clone());
        assert_eq!(counts(&lists.compared()), (0, 0, 1), "{submit:?}");
    }
    let mut lists = clean();
    lists.rows.push(Row { id: "z".into(), ..lists.rows[0].clone() });
    finds(&lists, (0, 0, 1));
}

#[test]
fn a_text_number_or_status_that_changed_is_unaccounted() {
    let mut lists = clean();
    lists.rows[0].text = "other".into();
    finds(&lists, (0, 0, 1));
    finds(&clean().shown_as("cancelled", "unknown"), (0, 0, 1));
    let mut lists = clean();
    lists.carriers[1].submits[1].text = "long".into();
    finds(&lists, (0, 0, 1));
}

#[test]
fn a_claimed_receipt_that_no_carrier_sent_is_unaccounted() {
    let mut lists = clean();
    lists.carriers[0].receipts[0].stat = "ACCEPTD".into();
    finds(&lists, (0, 0, 1));
    finds(&clean().shown_as("undelivered", "undelivered"), (0, 0, 1));
    let mut lists = clean().shown_as("undelivered", "undelivered");
    lists.carriers[0].receipts[0].stat = "EXPIRED".into();
    finds(&lists, (0, 0, 0));
    // The other carrier's message of the same id is another message.
    let mut lists = clean();
    lists.carriers[1].receipts = std::mem::take(&mut lists.carriers[0].receipts);
    finds(&lists, (0, 0, 1));
}

/// The lists with a phone that said stop one second before the wire logs' time, and was confirmed.
fn stopped() -> Lists {
    let mut lists = clean();
    let confirmation = "You will get no more messages.";
    lists.posted.push(Posted {
        id: "c".into(),
        to: "+491".into(),
        text: confirmation.into(),
        segment_count: 1,
    });
    lists.rows.push(Row {
        id: "c".into(),
        text: confirmation.into(),
        class: CONFIRMATION.into(),
        ..lists.rows[0].clone()
    });
    lists.rows[0].status = "blocked".into();
    lists.rows[0].segments[0].state = "waiting".into();
    lists.carriers[0].submits[0].text = confirmation.into();
    let stopped_at = Timestamp::parse_rfc3339("2026-03-11T09:59:59.000Z");
    lists.answers.said.push(Answer { from: "+491".into(), text: "STOP".into(), stopped_at });
    lists.answers.shown.push(Reply {
        id: "inb_1".into(),
        from: "+491".into(),
        text: Some("STOP".into()),
        complete: true,
    });
    lists
}

#[test]
fn a_stop_that_was_shown_once_confirmed_once_and_heeded_is_clean() {
    finds(&stopped(), (0, 0, 0));
}

#[test]
fn an_answer_that_is_not_shown_is_lost_and_one_shown_twice_doubled() {
    let mut lists = stopped();
    lists.answers.shown.clear();
    finds(&lists, (1, 0, 0));
    let mut lists = stopped();
    lists.answers.said.push(Answer { from: "+492".into(), text: "1".into(), stopped_at: None });
    lists.answers.shown.push(lists.answers.shown[0].clone());
    finds(&lists, (1, 1, 0));
}

#[test]
fn an_answer_that_no_phone_gave_or_that_is_shown_in_part_is_unaccounted() {
    let mut lists = stopped();
    lists.answers.shown.push(Reply { from: "+499".into(), ..lists.answers.shown[0].clone() });
    finds(&lists, (0, 0, 1));
    let mut lists = stopped();
    lists.answers.shown[0].complete = false;
    finds(&lists, (0, 0, 1));
}

#[test]
fn anything_but_the_confirmation_on_a_wire_after_a_stop_is_unaccounted() {
    for late in [taken("+491", "short", None, "9"), refused("+491", "short", None)] {
        let mut lists = stopped().shown_as("unknown", "unknown");
        lists.carriers[0].submits.push(late.clone());
        assert_eq!(counts(&lists.compared()), (0, 0, 1), "{late:?}");
        let before = String::from("2026-03-11T09:59:58.000Z");
        lists.carriers[0].submits[2] = Submit { at: before, ..late };
        finds(&lists, (0, 0, 0));
    }
}

#[test]
fn a_message_that_waits_on_for_a_number_that_said_stop_is_unaccounted() {
    finds(&stopped().shown_as("queued", "waiting"), (0, 0, 1));
}

#[test]
fn a_stop_that_was_not_confirmed_is_a_loss_and_two_confirmations_are_double() {
    let mut lists = stopped();
    lists.rows[2].class = "reminder".into();
    lists.answers.said[0].stopped_at = Timestamp::parse_rfc3339("2026-03-11T10:00:01.000Z");
    finds(&lists, (1, 0, 0));
    let mut lists = stopped();
    lists.posted.push(Posted { id: "d".into(), text: "Again.".into(), ..lists.posted[2].clone() });
    lists.rows.push(Row { id: "d".into(), text: "Again.".into(), ..lists.rows[2].clone() });
    lists.carriers[0].submits.push(taken("+491", "Again.", None, "8"));
    lists.carriers[0].receipts.push(Receipt { message_id: "8".into(), stat: "DELIVRD".into() });
    finds(&lists, (0, 1, 0));
}

fn nudged(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nudged"));
    command.args(arguments).env_remove("RUST_LOG");
    command
}

fn demo(arguments: &[&str]) -> Output {
    nudged(&["demo", "--listen", "127.0.0.1:0"]).args(arguments).output().unwrap()
}

fn said(output: &Output, words: &str) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(words), "{output:?}");
}

#[test]
fn a_demo_of_an_honest_daemon_and_honest_carriers_ends_clean() {
    let output = demo(&["--for", "15s"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    said(&output, "\nOK: ");
}

#[test]
fn a_carrier_that_loses_messages_is_found_out() {
    let output = demo(&["--for", "15s", "--sabotage", "lose"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    said(&output, "and no carrier took it");
    said(&output, "0 doubled, 0 unaccounted for");
}

#[test]
fn a_carrier_that_doubles_messages_is_found_out() {
    let output = demo(&["--for", "15s", "--sabotage", "double"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    said(&output, "taken 2 times, by north, north");
    said(&output, "FAILED: 0 lost");
}

#[test]
fn a_client_that_goes_on_after_a_stop_is_found_out() {
    let output = demo(&["--for", "15s", "--sabotage", "ignore-stop"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    said(&output, "said stop, and 1 segments went to it after that");
    said(&output, "FAILED: 0 lost, 0 doubled");
}

#[test]
fn ctrl_c_ends_a_demo_with_the_comparison_and_exit_0_whatever_a_visitor_posted() {
    let mut child = nudged(&["demo", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let before = read_until(&mut stdout, "a gentle trickle");
    let answer = post(&after(&before, "http://", "/"), &after(&before, "token        ", "\n"));
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    interrupt(&child);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("OK: "), "{rest}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn an_address_in_use_is_said_plainly_with_the_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = nudged(&["demo", "--listen", &address]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains(&format!("{address} is in use")) && text.contains("--listen"), "{text}");
}

#[test]
fn a_simulator_told_so_ends_with_its_standard_input() {
    let flags = ["sim", "smsc", "--listen", "127.0.0.1:0", "--quiet", "--until-stdin-ends"];
    let mut child = nudged(&flags).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    read_until(&mut BufReader::new(child.stdout.take().unwrap()), "listening on");
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// What stands in `text` between `start` and the `end` that follows.
fn after(text: &str, start: &str, end: &str) -> String {
    let (_, rest) = text.split_once(start).unwrap();
    rest.split_once(end).unwrap().0.to_owned()
}

/// Posts one message as a person would who tries the printed token; gives the answer.
fn post(address: &str, token: &str) -> String {
    let body = r#"{"to": "+4917012345678", "text": "from a visitor"}"#;
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "POST /v1/messages HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// What was printed up to the line that holds `words`.
fn read_until(lines: &mut impl BufRead, words: &str) -> String {
    let mut text = String::new();
    while !text.contains(words) {
        assert_ne!(lines.read_line(&mut text).unwrap(), 0, "ended before {words:?}: {text}");
    }
    text
}

fn interrupt(child: &Child) {
    let id = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
}
