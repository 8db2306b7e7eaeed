//! Proofs of what an audit of the reminder side found: each test says what should be, and fails today.

use jiff::civil::date;
use nudged::engine::Command;
use nudged::engine::core::{Core, Input};
use nudged::engine::reminders::Change;
use nudged::engine::reminders::change::{AccountDraft, How, Which, Who};
use nudged::id::ObligationId;
use nudged::reminder::enrolment::{EnrolmentState, PauseReason};
use nudged::reminder::import::case::Case;
use nudged::reminder::obligation::ObligationStatus;
use nudged::reminder::promise::PromiseState;
use nudged::reminder::subscription::Subscription;
use serde_json::json;
use tokio::sync::oneshot;

use crate::http_reminders::Api;
use crate::reminders::firm::*;

fn case() -> Case {
    let contact = external("con-1");
    Case {
        external_id: external("inv-1"),
        creditor: key("acme"),
        account: contact.clone(),
        contact,
        phone: number(1),
        phone2: None,
        amount: eur(12_000),
        min_due: None,
        due_date: november(25),
        first_name: None,
        last_name: None,
        company: None,
        kind: None,
        language: None,
        country: None,
        region: None,
        postcode: None,
        timezone: None,
        description: None,
        link: None,
        sequence: None,
        case_manager: None,
        consent: None,
        custom: std::collections::BTreeMap::new(),
    }
}

const HALT: &str = r#"
[[pack]]
key = "halt"
title = "Halt"
source = "12 CFR 1006.6(b)(2)"
applies = {}
duties = ["attorney_halt"]
"#;

#[test]
fn a_promise_after_the_last_step_is_judged_too() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.live(DAY * 14);
    assert!(matches!(firm.state_of(id), EnrolmentState::Completed { .. }), "{:?}", firm.steps_sent());
    let promised = Change::Promise { which: Which::Id(id), date: date(2026, 12, 10), amount: None };
    firm.change(promised).unwrap();
    firm.live(DAY * 20);
    let promise = firm.obligation(id).promise.unwrap();
    assert_eq!(promise.state, PromiseState::Broken, "tasks: {:?}", firm.open_kinds());
    assert!(firm.open_kinds().contains(&String::from("broken_promise")));
}

#[test]
fn a_promise_whose_pause_a_person_ended_is_judged_too() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.change(Change::Promise { which: Which::Id(id), date: november(26), amount: None }).unwrap();
    firm.change(Change::ResumeEnrolment { which: Which::Id(id) }).unwrap();
    firm.live(DAY * 10);
    assert_ne!(firm.obligation(id).promise.unwrap().state, PromiseState::Made, "{:?}", firm.open_kinds());
}

#[test]
fn a_new_version_of_its_sequence_repeats_no_step_that_went() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    firm.accept();
    assert_eq!(firm.steps_sent(), ["before"]);
    let enrol = || Change::Enrol { which: Which::Id(id), sequence: key("standard") };
    firm.change(enrol()).unwrap();
    // Somebody moves the last step by a day; the firm's program enrols as it does each night.
    firm.set_up(&SET_UP.replace("+10d", "+11d"));
    firm.change(enrol()).unwrap();
    firm.live(DAY * 2);
    assert_eq!(firm.steps_sent(), ["before"], "{:?}", firm.texts());
}

#[test]
fn a_sequence_named_to_and_fro_by_files_repeats_no_step_that_went() {
    let other = "[[sequence]]\nkey = \"other\"\n[[sequence.step]]\nid = \"another\"\noffset = \"+30d\"\nat = \"10:00\"\ntemplate = \"due\"\n";
    let mut firm = Firm::with(&format!("{SET_UP}{other}"));
    let named = |name: &str| {
        let row = Case { sequence: Some(key(name)), ..case() };
        let hash = row.hash();
        Change::Case { case: Box::new(row), row: hash }
    };
    firm.change(named("standard")).unwrap();
    firm.live(HOUR * 4);
    assert_eq!(firm.steps_sent(), ["before"]);
    firm.change(named("other")).unwrap();
    firm.change(named("standard")).unwrap();
    firm.live(DAY * 2);
    assert_eq!(firm.steps_sent(), ["before"], "{:?}", firm.texts());
}

#[test]
fn the_same_restart_twice_is_one() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    firm.accept();
    let again = || Change::DueDate { which: Which::Id(id), date: november(27), restart: true };
    firm.change(again()).unwrap();
    firm.live(DAY * 2);
    // The answer was lost, or a program puts the same body each night.
    let second = firm.change(again()).unwrap();
    assert_eq!(second.how, How::Unchanged);
}

#[test]
fn the_latest_step_that_applies_goes_where_a_later_ones_condition_does_not_hold() {
    let set_up = SET_UP.split("[[sequence]]").next().unwrap().to_owned()
        + "[[sequence]]\nkey = \"standard\"\n\
           [[sequence.step]]\nid = \"one\"\noffset = \"0d\"\nat = \"10:00\"\ngrace = \"6d\"\ntemplate = \"due\"\n\
           [[sequence.step]]\nid = \"two\"\noffset = \"+1d\"\nat = \"10:00\"\ngrace = \"6d\"\ntemplate = \"late\"\n\
           when = \"balance > 1000000\"\n";
    let mut firm = Firm::without_link(&set_up);
    firm.owe("inv-1", 1, november(23));
    firm.pass(DAY * 2);
    firm.up();
    firm.live(HOUR * 8);
    assert_eq!(firm.steps_sent(), ["one"], "it is of Monday, and may go until Saturday");
}

#[test]
fn a_later_due_date_is_reminded_of_even_where_a_late_step_went() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(20));
    firm.live(HOUR * 4);
    assert_eq!(firm.steps_sent(), ["after"], "of the 23rd; the one before was over");
    firm.move_due(id, date(2026, 12, 21), false);
    firm.live(DAY * 30);
    assert_eq!(firm.steps_sent(), ["after", "before"], "two days before the new date, the 19th");
}

#[test]
fn what_a_person_canceled_stays_so_when_a_file_moves_the_due_date() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    let message = firm.sent[0].id;
    let (reply, _answer) = oneshot::channel();
    firm.step(vec![Input::Command(Command::Cancel { id: message, reply })]);
    firm.hand_back();
    firm.move_due(id, november(26), false);
    firm.live(DAY * 2);
    assert_eq!(firm.sent.len(), 1, "{:?}", firm.texts());
}

#[test]
fn a_dispute_that_ends_does_not_end_a_hardship() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    let reason = PauseReason::Hardship;
    firm.change(Change::PauseEnrolment { which: Which::Id(id), reason, until: None }).unwrap();
    firm.change(Change::Dispute { which: Which::Id(id), reason: "amount".into() }).unwrap();
    let open = Change::Status { which: Which::Id(id), to: ObligationStatus::Open, reason: "right".into() };
    firm.change(open).unwrap();
    firm.live(DAY * 2);
    assert!(firm.sent.is_empty(), "{:?}", firm.texts());
}

#[test]
fn a_promise_does_not_end_a_hardship() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    let reason = PauseReason::Hardship;
    firm.change(Change::PauseEnrolment { which: Which::Id(id), reason, until: None }).unwrap();
    firm.change(Change::Promise { which: Which::Id(id), date: november(24), amount: None }).unwrap();
    firm.live(DAY * 8);
    assert!(firm.sent.is_empty(), "{:?}", firm.texts());
}

/// Five seconds at a time, so that every instant of a slot is met.
fn through(firm: &mut Firm, from: &str, to: &str) {
    let at = |text: &str| nudged::clock::Timestamp::parse_rfc3339(text).unwrap();
    firm.pass_until(at(from));
    while firm.clock.now().wall < at(to) {
        firm.clock.advance(std::time::Duration::from_secs(5));
        firm.step(Vec::new());
        firm.accept();
    }
}

#[test]
fn jitter_leaves_every_recipient_time_for_a_step_of_two_hours_grace() {
    let evening = SET_UP.replacen("at = \"10:00\"", "at = \"evening\"\ngrace = \"2h\"", 1);
    let mut firm = Firm::make(&evening, 200, MONDAY);
    firm.up();
    for n in 1..=120 {
        firm.owe(&format!("inv-{n}"), n, november(25));
    }
    through(&mut firm, "2026-11-23T16:29:00Z", "2026-11-23T19:00:00Z");
    assert_eq!(firm.sent.len(), 120);
}

#[test]
fn jitter_near_the_closing_hour_moves_nobody_to_another_day() {
    let late = SET_UP.replacen("at = \"10:00\"", "at = \"19:40\"", 1);
    let mut firm = Firm::make(&late, 200, MONDAY);
    firm.up();
    for n in 1..=120 {
        firm.owe(&format!("inv-{n}"), n, november(25));
    }
    through(&mut firm, "2026-11-23T18:39:00Z", "2026-11-23T20:00:00Z");
    assert_eq!(firm.sent.len(), 120, "the others would go on another day");
}

/// The obligation's reminder that went in the gap goes no second time after the backup came back.
fn restored_after(mut firm: Firm, id: ObligationId, image: nudged::engine::memory::Memory) {
    firm.live(DAY * 3);
    let before = firm.steps_sent();
    assert!(before.contains(&String::from("after")), "it went in the gap: {before:?}");
    firm.state = image;
    let now = firm.clock.now();
    let (mut core, batch) = Core::recover(firm.settings.clone(), &firm.state, now).unwrap();
    firm.state.apply(&batch);
    let batch = core.restored(&firm.state, now).unwrap();
    firm.state.apply(&batch);
    firm.core = core;
    firm.open.clear();
    firm.up();
    firm.live(HOUR);
    let (reply, _answer) = oneshot::channel();
    firm.step(vec![Input::Command(Command::Resume { link: None, by: "boss".into(), reply })]);
    firm.live(DAY);
    assert_eq!(firm.steps_sent(), before, "{:?}", firm.state_of(id));
}

#[test]
fn a_pause_that_ended_between_backup_and_restore_sends_nothing_again() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.live(DAY);
    let until = firm.clock.now().wall.saturating_add(DAY * 3);
    let reason = PauseReason::Manual;
    firm.change(Change::PauseEnrolment { which: Which::Id(id), reason, until: Some(until) }).unwrap();
    firm.live(DAY * 2 + HOUR * 12);
    let image = firm.state.clone();
    restored_after(firm, id, image);
}

#[test]
fn a_period_made_between_backup_and_restore_sends_nothing_again() {
    let early = SET_UP.replacen("offset = \"-2d\"", "offset = \"-30d\"", 1);
    let mut firm = Firm::with(&early);
    firm.change(Change::Contact(Box::new(contact(&[1])))).unwrap();
    let account = AccountDraft {
        external_id: external("acc-1"),
        creditor: key("acme"),
        contact: Who::External(external("con-1")),
        case_manager: None,
        tags: Vec::new(),
        custom: std::collections::BTreeMap::new(),
    };
    firm.change(Change::Account(account)).unwrap();
    let subscription: Subscription = serde_json::from_value(json!({
        "external_id": "sub-1", "account": "acc-1", "every": "monthly", "from": "2026-12-31",
        "amount": {"value": "30.00", "currency": "EUR"}
    }))
    .unwrap();
    firm.change(Change::Subscription(Box::new(subscription))).unwrap();
    firm.live(DAY * 7);
    assert!(firm.obligations().is_empty(), "30 November");
    let image = firm.state.clone();
    firm.live(DAY + HOUR * 12);
    assert_eq!(firm.steps_sent(), ["before"], "1 December");
    firm.state = image;
    let now = firm.clock.now();
    let (mut core, batch) = Core::recover(firm.settings.clone(), &firm.state, now).unwrap();
    firm.state.apply(&batch);
    let batch = core.restored(&firm.state, now).unwrap();
    firm.state.apply(&batch);
    firm.core = core;
    firm.open.clear();
    firm.up();
    firm.live(HOUR);
    let (reply, _answer) = oneshot::channel();
    firm.step(vec![Input::Command(Command::Resume { link: None, by: "boss".into(), reply })]);
    firm.live(DAY * 2);
    assert_eq!(firm.steps_sent(), ["before"], "{:?}", firm.texts());
}

#[test]
fn a_promise_after_an_exit_is_judged_too() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    let reason = nudged::reminder::enrolment::ExitReason::Canceled;
    firm.change(Change::ExitEnrolment { which: Which::Id(id), reason }).unwrap();
    firm.change(Change::Promise { which: Which::Id(id), date: november(26), amount: None }).unwrap();
    firm.live(DAY * 10);
    assert_eq!(firm.obligation(id).promise.unwrap().state, PromiseState::Broken, "{:?}", firm.open_kinds());
}

#[test]
fn the_same_menu_answer_again_is_the_same_answer_where_the_first_was_answered() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(20));
    firm.live(HOUR * 4);
    assert_eq!(firm.steps_sent(), ["after"]);
    firm.reply(1, "6");
    firm.accept();
    assert!(firm.texts().last().unwrap().starts_with("Help"), "{:?}", firm.texts());
    firm.reply(1, "6");
    assert!(firm.open_kinds().is_empty() && firm.phone(1).review.is_none(), "{:?}", firm.open_kinds());
    firm.live(DAY * 20);
    assert!(firm.gone(id).contains(&String::from("last")), "nobody need read a 6 twice");
}

#[test]
fn a_number_that_is_somebody_elses_gets_nothing_of_any_contact_on_it() {
    let mut firm = Firm::new();
    let first = firm.owe("inv-1", 1, november(25));
    let mut shared = draft("inv-2", 2, november(25));
    let mut both = contact(&[2]);
    both.phones = contact(&[1]).phones;
    shared.owner =
        nudged::engine::reminders::change::Owner::Inline { creditor: key("acme"), contact: Box::new(both) };
    let second = firm.try_owe(shared).unwrap();
    while firm.sent.is_empty() {
        firm.pass(HOUR);
    }
    // Both contacts have the number; the one whose text is leased is not the one that is spoken of.
    let of = firm.sent[0].reference.as_ref().unwrap().obligation;
    let told = if of == first { second } else { first };
    let (kind, note) = (key("wrong_number"), String::new());
    firm.change(Change::OpenTask { kind, which: Some(Which::Id(told)), note, due: None }).unwrap();
    let message = firm.sent[0].id;
    // No byte of it is out when somebody says whose number it is not.
    let outcome = nudged::reminder::task::TaskOutcome::CorrectNumber { number: number(3) };
    firm.done("wrong_number", outcome).unwrap();
    assert_eq!(firm.phone(1).status, nudged::engine::reminders::records::PhoneStatus::Wrong);
    assert!(firm.recalled.contains(&message), "the first contact's text goes to a stranger");
}

#[test]
fn a_lane_that_is_full_keeps_no_other_lane_waiting() {
    let noon = "[[sequence]]\nkey = \"noon\"\n[[sequence.step]]\nid = \"noon\"\noffset = \"-2d\"\nat = \"12:00\"\n\
                grace = \"2h\"\ntemplate = \"due\"\n";
    let mut firm = Firm::make(&format!("{SET_UP}{noon}"), 1, MONDAY);
    let route = |to: &str, via: &str| nudged::config::Route {
        to: vec![to.to_owned()],
        class: Vec::new(),
        sender: Vec::new(),
        token: Vec::new(),
        via: vec![via.into()],
        policy: nudged::config::Policy::Failover,
    };
    let fast = nudged::link::LinkFacts { name: "b".into(), account: "b".into(), kind: "smpp", window: 10 };
    firm.settings.links.push(fast);
    // Numbers below 100 go by the slow link, the others by the fast one.
    firm.settings.routes = vec![route("+49151123450", "a"), route("+49151123451", "b")];
    firm.crash();
    firm.step(vec![Input::Link { link: 1, event: nudged::link::LinkEvent::Up }]);
    for n in 1..=60 {
        firm.owe(&format!("slow-{n}"), n, november(25));
    }
    for n in 101..=105 {
        let mut fast = draft(&format!("fast-{n}"), n, november(25));
        fast.sequence = Some(key("noon"));
        firm.try_owe(fast).unwrap();
    }
    // The slow link takes five minutes for a text: it has work until three o'clock.
    for _ in 0..72 {
        firm.pass(std::time::Duration::from_secs(300));
        let open = std::mem::take(&mut firm.open);
        let answers = open.into_iter().map(|(link, submission)| {
            let reference = nudged::message::Reference(submission.id.to_string());
            let (id, index) = (submission.id, submission.index);
            let outcome = nudged::link::Outcome::Accepted { reference };
            Input::Link { link, event: nudged::link::LinkEvent::Outcome { id, index, outcome } }
        });
        let answers: Vec<Input> = answers.collect();
        firm.step(answers);
    }
    let by_fast = firm.sent.iter().filter(|sent| sent.to >= number(100)).count();
    assert_eq!(by_fast, 5, "the fast link was idle all the time: {} by the slow one", firm.sent.len());
}

#[test]
fn an_automatic_answer_keeps_the_holidays_that_reminders_keep() {
    let set_up = SET_UP
        .replace("timezone = \"Europe/Berlin\"\n", "timezone = \"Europe/Berlin\"\ncalendar = \"days\"\n");
    let calendar = "[[calendar]]\nkey = \"days\"\nweekend = [\"sat\", \"sun\"]\nholidays = [{ date = \"2026-11-24\", name = \"H\" }]\n";
    let pack = HALT.replace("attorney_halt", "closed_on_holidays");
    let mut firm = Firm::with(&format!("{calendar}{pack}{set_up}"));
    firm.owe("inv-1", 1, november(20));
    firm.live(HOUR * 4);
    assert_eq!(firm.steps_sent(), ["after"]);
    firm.live(DAY);
    firm.reply(1, "6");
    assert_eq!(firm.sent.len(), 1, "the 24th is closed: {:?}", firm.texts());
}

#[test]
fn stop_and_start_stand_in_the_consent_ledger() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    firm.accept();
    firm.reply(1, "STOP");
    firm.accept();
    let (from, to) = nudged::store::keys::under(nudged::store::keys::consents_of(number(1)));
    assert!(firm.state.map.range(from..to).next().is_some(), "no event says that it was revoked");
}

#[test]
fn a_paid_claim_without_an_end_goes_on_after_its_grace() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(30));
    let reason = PauseReason::PaidClaim;
    firm.change(Change::PauseEnrolment { which: Which::Id(id), reason, until: None }).unwrap();
    firm.live(DAY * 30);
    let is_told = !firm.open_kinds().is_empty() || !firm.sent.is_empty();
    assert!(is_told, "five business days are over, and nobody reminds and nobody is asked");
}

#[test]
fn a_promise_of_more_than_is_owed_is_kept_by_all_of_it_or_refused() {
    let mut firm = Firm::new();
    let id = firm.owe("inv-1", 1, november(25));
    let amount = Some(eur(20_000));
    if firm.change(Change::Promise { which: Which::Id(id), date: november(24), amount }).is_err() {
        return;
    }
    firm.pay(id, "p1", 12_000);
    assert_eq!(firm.obligation(id).promise.unwrap().state, PromiseState::Kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_changed_meanwhile_is_not_written_over() {
    let api = Api::start().await;
    let body = |attorney: &str| {
        json!({"external_id": "con-1", "phones": [{"number": "+4915112345678"}],
               "custom": {"attorney": attorney}})
    };
    api.make("/v1/contacts", body("Dr. Recht")).await;
    let stale =
        api.request(reqwest::Method::PUT, "/v1/contacts/con-1").header("If-Match", "\"77\"").json(&body(""));
    let answer = Api::answer(stale).await;
    assert_eq!(answer.status, 412, "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_asked_for_twice_under_one_key_is_one() {
    let api = Api::start().await;
    let ask = || {
        api.request(reqwest::Method::POST, "/v1/tasks")
            .header("Idempotency-Key", "0b0a7f1e")
            .json(&json!({"kind": "callback", "note": "call"}))
    };
    let first = Api::answer(ask()).await;
    let second = Api::answer(ask()).await;
    assert_eq!(first.body["id"], second.body["id"], "{} {}", first.status, second.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_crm_may_not_loosen_the_law() {
    let api = Api::start().await;
    let (status, answer) = api
        .call(
            reqwest::Method::PUT,
            "/v1/packs/base",
            json!({"key": "base", "title": "Anything goes", "source": "me", "applies": {},
                   "hours": {"from": "00:00", "to": "24:00"}, "caps": []}),
        )
        .await;
    assert!(status == 403 || status == 422, "{status} {answer}");
}
