//! The firm's rules: each event, each action, texts by the reminders' own way, and no end of rules that wake rules.

use nudged::engine::reminders::change::{ObligationDraft, Which};
use nudged::engine::reminders::records::{Account, PhoneStatus};
use nudged::engine::reminders::{Change, ChangeRefusal, Happened};
use nudged::id::ObligationId;
use nudged::message::Reason;
use nudged::reminder::enrolment::{EnrolmentState, ExitReason, PauseReason};
use nudged::reminder::obligation::ObligationStatus;
use nudged::reminder::task::TaskOutcome;
use nudged::store::keys::{self, family};

use super::firm::*;

pub const THANKS: &str = r#"
[[template]]
key = "thanks"
language = "en"
class = "confirmation"
body = "Thanks: {{ paid }} for {{ reference }} of {{ creditor }}.{% if amount > 0 %} Open: {{ amount }}.{% endif %}"

[[rule]]
key = "thanks"
on = "payment.received"
when = "reminders > 0"
do = "send:thanks"
"#;

fn firm(rules: &str) -> Firm {
    Firm::with(&format!("{SET_UP}{rules}"))
}

/// One rule on an event.
fn rule(on: &str, act: &str) -> String {
    format!("[[rule]]\nkey = \"r\"\non = \"{on}\"\ndo = \"{act}\"\n")
}

/// Reminded of by its first step on Monday at ten and a bit; it is noon.
fn reminded(rules: &str) -> (Firm, ObligationId) {
    let mut firm = firm(rules);
    let id = firm.owe("inv-1", 1, november(25));
    firm.live(HOUR * 4);
    assert_eq!(firm.steps_sent(), ["before"]);
    firm.sent.clear();
    (firm, id)
}

/// What rules asked of the firm's own systems, in order.
fn called(firm: &Firm, id: ObligationId) -> Vec<String> {
    let called = firm.happened(id).into_iter().filter_map(|what| match what {
        Happened::Called { event, .. } => Some(event.to_string()),
        _ => None,
    });
    called.collect()
}

fn acted(firm: &Firm, id: ObligationId) -> Vec<String> {
    let acted = firm.happened(id).into_iter().filter_map(|what| match what {
        Happened::Acted { rule, act } => Some(format!("{rule} {act}")),
        _ => None,
    });
    acted.collect()
}

/// `gate why` of what rules wanted and was not done, or waits.
fn withheld(firm: &Firm, id: ObligationId) -> Vec<String> {
    let withheld = firm.happened(id).into_iter().filter_map(|what| match what {
        Happened::Withheld { gate, why, .. } => Some(format!("{gate} {why}")),
        _ => None,
    });
    withheld.collect()
}

fn keys_of(firm: &Firm, family: u8) -> usize {
    firm.state.map.keys().filter(|key| key[0] == family).count()
}

#[test]
fn a_payment_after_a_reminder_is_confirmed_once_the_day_after() {
    let (mut firm, id) = reminded(THANKS);
    firm.pay(id, "p1", 12_000);
    firm.live(HOUR * 6);
    assert_eq!(firm.texts(), [""; 0], "the phone had its text of this day");
    firm.live(DAY * 20);
    assert_eq!(firm.texts(), ["Thanks: 120.00 EUR for inv-1 of Acme GmbH."]);
    assert_eq!(firm.sent[0].at.day(), MONDAY.day() + 1);
    assert_eq!(firm.sent[0].reference, None, "it is no step");
    assert_eq!(acted(&firm, id), ["thanks send:thanks"]);
    assert_eq!(firm.obligation(id).enrolment.unwrap().reminders_accepted, 1, "it is no reminder");
    assert!(matches!(firm.state_of(id), EnrolmentState::Exited { reason: ExitReason::Paid, .. }));
    assert_eq!((keys_of(&firm, family::RULE_NOTE), keys_of(&firm, family::FIRING)), (0, 1));
}

#[test]
fn who_was_not_reminded_is_not_thanked() {
    let mut firm = firm(THANKS);
    let id = firm.owe("inv-1", 1, november(25));
    firm.pay(id, "p1", 12_000);
    firm.live(DAY * 2);
    assert!(firm.sent.is_empty() && acted(&firm, id).is_empty());
}

#[test]
fn a_confirmation_goes_within_the_hours_and_no_later_than_three_days() {
    let (mut firm, id) = reminded(THANKS);
    firm.pass(HOUR * 11);
    firm.pay(id, "p1", 12_000);
    firm.live(HOUR * 6);
    assert!(firm.sent.is_empty(), "it is night");
    assert!(withheld(&firm, id)[0].starts_with("hours "), "{:?}", withheld(&firm, id));
    firm.live(HOUR * 6);
    assert_eq!(firm.texts().len(), 1);

    let (mut firm, id) = reminded(THANKS);
    firm.down();
    firm.pay(id, "p1", 12_000);
    firm.pass(DAY * 3 + HOUR);
    firm.up();
    firm.live(DAY * 3);
    assert!(firm.sent.is_empty(), "{:?}", firm.texts());
    assert_eq!(withheld(&firm, id), ["sequence stale"]);
    assert_eq!((keys_of(&firm, family::RULE_NOTE), keys_of(&firm, family::FIRING)), (0, 0));
}

#[test]
fn a_confirmation_does_not_go_after_stop_nor_to_who_is_held() {
    let (mut firm, id) = reminded(THANKS);
    firm.pay(id, "p1", 12_000);
    firm.reply(1, "STOP");
    firm.live(DAY * 5);
    assert_eq!(firm.texts().iter().filter(|text| text.starts_with("Thanks")).count(), 0);
    assert!(
        withheld(&firm, id).contains(&String::from("suppression opted_out")),
        "{:?}",
        withheld(&firm, id)
    );

    let (mut firm, id) = reminded(THANKS);
    firm.pay(id, "p1", 12_000);
    firm.reply(1, "what is this about");
    firm.live(DAY * 2);
    assert!(firm.sent.is_empty(), "{:?}", firm.texts());
    firm.done("review", TaskOutcome::Resume).unwrap();
    firm.live(DAY);
    assert_eq!(firm.texts().len(), 1, "its day of waiting is over before the three");
}

#[test]
fn a_confirmation_counts_under_the_caps_of_its_phone() {
    let (mut firm, id) = reminded(THANKS);
    let other = firm.owe("inv-2", 1, november(27));
    firm.pay(id, "p1", 12_000);
    firm.live(DAY * 2);
    assert_eq!(firm.texts().len(), 1, "the second text of this week");
    firm.live(HOUR * 20);
    assert_eq!(firm.steps_sent(), [""; 0], "the reminder of the other waits: two a week");
    let capped = firm.happened(other).into_iter().any(|what| match what {
        Happened::Refused { gate, rule, .. } | Happened::Skipped { gate, rule, .. } => {
            (gate.as_str(), rule.as_str()) == ("caps", "2/7d")
        }
        _ => false,
    });
    assert!(capped, "{:?}", firm.happened(other));
}

#[test]
fn money_that_went_back_before_its_confirmation_is_not_confirmed() {
    let (mut firm, id) = reminded(&THANKS.replace("when = \"reminders > 0\"\n", ""));
    firm.pay(id, "p1", 12_000);
    firm.reverse(id, "p1", 12_000);
    firm.live(DAY * 2);
    assert!(firm.texts().iter().all(|text| !text.starts_with("Thanks")), "{:?}", firm.texts());
    assert_eq!(withheld(&firm, id), ["caps 1/1d", "paid the money went back"]);
}

#[test]
fn payments_while_a_confirmation_waits_are_one_text_that_says_what_holds_then() {
    let (mut firm, id) = reminded(THANKS);
    for (name, minor) in [("p1", 2_000), ("p2", 3_000), ("p2", 3_000)] {
        firm.pay(id, name, minor);
    }
    firm.live(DAY * 2);
    assert_eq!(firm.texts(), ["Thanks: 30.00 EUR for inv-1 of Acme GmbH. Open: 70.00 EUR."]);
    assert_eq!(acted(&firm, id).len(), 1);
}

#[test]
fn a_confirmation_survives_a_crash_and_goes_once() {
    let (mut firm, id) = reminded(THANKS);
    firm.pay(id, "p1", 12_000);
    firm.crash();
    firm.live(HOUR * 20);
    firm.pass(HOUR * 4);
    assert_eq!(firm.texts().len(), 1, "it is with the link");
    firm.crash();
    firm.live(DAY * 5);
    assert_eq!(firm.texts().len(), 1, "whether it went is not known");
    firm.pay(id, "p1", 12_000);
    firm.live(DAY * 5);
    assert_eq!(firm.texts().len(), 1);
}

/// Leased, handed back, and judged again before it is leased anew.
#[test]
fn a_confirmation_that_waits_for_its_bytes_is_judged_again() {
    let leased = || {
        let (mut firm, id) = reminded(THANKS);
        firm.live(HOUR * 16);
        firm.pay(id, "p1", 12_000);
        firm.pass(HOUR * 6);
        assert_eq!(firm.texts().len(), 1);
        firm.down();
        firm.hand_back();
        (firm, id)
    };
    let (mut firm, _) = leased();
    firm.up();
    firm.live(HOUR);
    assert_eq!(firm.sent.len(), 2, "nothing came between");
    assert_eq!(firm.sent[0].id, firm.sent[1].id);

    let (mut firm, id) = leased();
    firm.reverse(id, "p1", 12_000);
    firm.up();
    firm.live(HOUR * 2);
    assert_eq!(firm.sent.len(), 1, "{:?}", firm.texts());
    assert_eq!(firm.phone(1).ledger.times().len(), 1, "its place under the caps is free");

    let (mut firm, id) = leased();
    firm.reply(1, "STOP");
    firm.up();
    firm.live(HOUR * 2);
    assert_eq!(firm.sent.iter().filter(|sent| sent.text.starts_with("Thanks")).count(), 1, "{id}");
}

#[test]
fn a_confirmation_that_was_taken_back_may_go_anew_under_its_key() {
    let (mut firm, id) = reminded(THANKS);
    firm.live(HOUR * 16);
    firm.pay(id, "p1", 2_000);
    firm.pass(HOUR * 6);
    firm.down();
    firm.hand_back();
    firm.pay(id, "p2", 1_000);
    firm.up();
    firm.live(HOUR);
    let texts: Vec<&str> = firm.texts();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[0].contains("20.00 EUR") && texts[1].contains(" 10.00 EUR"), "{texts:?}");
    assert_ne!(firm.sent[0].id, firm.sent[1].id);
    assert_eq!(firm.phone(1).ledger.times().len(), 2);
    firm.live(DAY * 10);
    let thanks = firm.texts().iter().filter(|text| text.starts_with("Thanks")).count();
    assert_eq!(thanks, 2, "the second payment is in the second text");
}

#[test]
fn a_rules_text_of_another_class_is_a_reminder_to_the_gates() {
    let (mut firm, id) = reminded(&rule("obligation.paid", "send:due"));
    firm.pay(id, "p1", 12_000);
    firm.live(DAY * 3);
    assert!(firm.sent.is_empty(), "{:?}", firm.texts());
    assert_eq!(withheld(&firm, id), ["paid paid"]);
}

#[test]
fn a_dead_number_gets_no_confirmation_and_a_failed_one_wakes_no_rule() {
    let more = "[[rule]]\nkey = \"failed\"\non = \"message.undelivered\"\ndo = \"webhook:failed\"\n";
    let (mut firm, id) = reminded(&format!("{THANKS}{more}"));
    firm.live(HOUR * 16);
    firm.pay(id, "p1", 12_000);
    firm.pass(HOUR * 6);
    firm.refuse(Reason::NetworkBadNumber);
    assert_eq!(firm.phone(1).status, PhoneStatus::Dead);
    assert_eq!(firm.open_kinds(), ["delivery"]);
    assert_eq!(called(&firm, id), [""; 0]);
    firm.live(DAY * 3);
    assert_eq!(firm.texts().len(), 1);
}

#[test]
fn after_a_restored_backup_a_text_that_waited_does_not_go() {
    // Taken before it went, and brought back long after.
    let (mut late, id) = reminded(THANKS);
    late.pay(id, "p1", 12_000);
    late.down();
    late.clock.advance(DAY * 2);
    let batch = late.core.restored(&late.state, late.clock.now()).unwrap();
    late.state.apply(&batch);
    assert_eq!(keys_of(&late, family::FIRING), 0);
    assert_eq!(keys_of(&late, family::RULE_NOTE), 0);
}

#[test]
fn the_other_actions_end_pause_begin_ask_and_mark() {
    let (mut firm, id) = reminded(&rule("promise.broken", "exit"));
    promise(&mut firm, id, 25);
    firm.live(DAY * 4);
    assert!(matches!(firm.state_of(id), EnrolmentState::Exited { reason: ExitReason::Canceled, .. }));
    assert_eq!(acted(&firm, id), ["r exit"]);

    let (mut firm, id) = reminded(&rule("obligation.changed", "pause:48h"));
    firm.move_due(id, november(26), false);
    let until = firm.clock.now().wall.saturating_add(DAY * 2);
    assert_eq!(firm.state_of(id), EnrolmentState::Paused { reason: PauseReason::Manual, until: Some(until) });

    let (mut firm, id) = reminded(&rule("obligation.changed", "task:look"));
    firm.move_due(id, november(26), false);
    assert_eq!(firm.open_kinds(), ["look"]);

    let (mut firm, id) = reminded(&rule("obligation.changed", "tag:moved"));
    firm.move_due(id, november(26), false);
    firm.move_due(id, november(27), false);
    let of = firm.obligation(id);
    let account: Account = firm.get(&keys::account(&of.account, &of.creditor)).unwrap();
    assert_eq!((account.tags, account.version), (vec![String::from("moved")], 2));
    assert_eq!(acted(&firm, id), ["r tag:moved"], "it has it");

    let (mut firm, id) = reminded(&format!("{FIRM}{}", rule("promise.broken", "enrol:firm")));
    promise(&mut firm, id, 25);
    firm.live(DAY * 4);
    let enrolment = firm.obligation(id).enrolment.unwrap();
    assert_eq!((enrolment.sequence.as_str(), firm.obligation(id).sequence), ("firm", Some(key("firm"))));
}

pub const FIRM: &str = r#"
[[sequence]]
key = "firm"
[[sequence.step]]
id = "firm"
offset = "+8d"
at = "10:00"
template = "late"
"#;

fn promise(firm: &mut Firm, id: ObligationId, day: i8) {
    let date = november(day);
    firm.change(Change::Promise { which: Which::Id(id), date, amount: None }).unwrap();
}

/// Two sequences whose ends would begin each other.
#[test]
fn rules_that_begin_each_others_sequences_come_to_an_end() {
    let rules = r#"
        [[rule]]
        key = "a"
        on = "enrolment.completed"
        do = "enrol:firm"
        [[rule]]
        key = "b"
        on = "enrolment.completed"
        do = "enrol:standard"
    "#;
    let mut firm = firm(&format!("{FIRM}{rules}"));
    let id = firm.owe("inv-1", 1, november(25));
    firm.live(DAY * 40);
    assert!(firm.obligation(id).cycle <= 3, "{}", firm.obligation(id).cycle);
    let begun = acted(&firm, id);
    assert!(begun.len() <= 2, "{begun:?}");
    let cycles = firm.obligation(id).cycle;
    firm.live(DAY * 40);
    assert_eq!(firm.obligation(id).cycle, cycles);
}

#[test]
fn what_a_rule_does_wakes_no_rule() {
    let rules = r#"
        [[rule]]
        key = "a"
        on = "obligation.changed"
        do = "exit"
        [[rule]]
        key = "b"
        on = "status.changed"
        do = "webhook:status"
        [[rule]]
        key = "c"
        on = "reply.opt_out"
        do = "webhook:out"
        [[rule]]
        key = "d"
        on = "reply.review"
        do = "webhook:review"
        [[rule]]
        key = "e"
        on = "obligation.created"
        do = "task:review"
    "#;
    let mut firm = firm(rules);
    let id = firm.owe("inv-1", 1, november(25));
    firm.move_due(id, november(26), false);
    assert_eq!((called(&firm, id).len(), firm.open_kinds()), (0, vec![String::from("review")]));
    assert!(matches!(firm.state_of(id), EnrolmentState::Exited { .. }));
}

#[test]
fn a_rule_revives_nothing_that_was_ended_and_begins_nothing_that_is_closed() {
    let rules = format!("{FIRM}{}", rule("obligation.changed", "enrol:firm"));
    let (mut firm, id) = reminded(&rules);
    firm.change(Change::ExitEnrolment { which: Which::Id(id), reason: ExitReason::Deceased }).unwrap();
    firm.move_due(id, november(26), false);
    assert_eq!(withheld(&firm, id), ["sequence exited"]);
    let (mut firm, id) = reminded(&rules);
    firm.pay(id, "p1", 12_000);
    firm.move_due(id, november(26), false);
    assert_eq!(withheld(&firm, id), ["obligation paid"]);
}

/// One rule on each event; what they call by its name.
#[test]
fn every_event_reaches_its_rule() {
    let all = nudged::reminder::trigger::On::ALL.iter().map(|on| {
        let on = on.as_str();
        format!("[[rule]]\nkey = \"{on}\"\non = \"{on}\"\ndo = \"webhook:{on}\"\n")
    });
    let mut firm = firm(&all.collect::<String>());
    let link = Some(String::from("https://pay.acme.example/i/{{token}}"));
    let id = firm.try_owe(ObligationDraft { link, ..draft("inv-1", 1, november(20)) }).unwrap();
    firm.live(HOUR * 4);
    firm.reply(1, "4");
    firm.reply(1, "2");
    firm.reply(1, "what is this about");
    let token = firm.state.map.keys().find(|key| key[0] == family::TOKEN);
    if let Some(token) = token.map(|key| u64::from_be_bytes(key[1..9].try_into().unwrap())) {
        firm.change(Change::Click { token, human: false }).unwrap();
        firm.change(Change::Click { token, human: true }).unwrap();
    }
    firm.live(DAY * 3);
    firm.done("review", TaskOutcome::Resume).unwrap();
    promise(&mut firm, id, 27);
    firm.live(DAY * 6);
    firm.pay(id, "p1", 2_000);
    firm.reverse(id, "p1", 2_000);
    let date = firm.obligation(id).due_date.checked_add(jiff::Span::new().days(30)).unwrap();
    promise(&mut firm, id, 35);
    firm.pay(id, "p2", 12_000);
    firm.reverse(id, "p2", 12_000);
    firm.move_due(id, date, false);
    firm.reach_next(id);
    firm.refuse(Reason::SmscRejected);
    firm.live(DAY * 30);
    firm.reply(1, "STOP");
    firm.reply(1, "START");
    let mut heard = called(&firm, id);
    let opted_out = firm.owe("inv-2", 2, november(120));
    firm.reply(2, "STOP");
    heard.extend(called(&firm, opted_out));
    heard.sort();
    heard.dedup();
    let mut names: Vec<&str> = nudged::reminder::trigger::On::ALL.iter().map(|on| on.as_str()).collect();
    names.sort_unstable();
    assert_eq!(heard, names);
}

#[test]
fn a_rule_is_for_its_creditor_and_its_condition_alone() {
    let rules = r#"
        [[rule]]
        key = "other"
        on = "obligation.created"
        creditor = "other"
        do = "webhook:other"
        [[rule]]
        key = "much"
        on = "obligation.created"
        when = "amount > 120"
        do = "webhook:much"
        [[rule]]
        key = "some"
        on = "obligation.created"
        when = 'amount >= 120 and creditor = "acme" and country != "US"'
        do = "webhook:some"
        [[rule]]
        key = "open"
        on = "obligation.created"
        when = 'status = "open" and reminders = 0 and not overdue = true'
        do = "webhook:open"
    "#;
    let mut firm = firm(rules);
    let id = firm.owe("inv-1", 1, november(25));
    assert_eq!(called(&firm, id), ["open"], "a country that is not known is none");
    assert_eq!(keys_of(&firm, family::FIRING) + keys_of(&firm, family::RULE_NOTE), 0);
}

const LATER: &str = r#"
[[rule]]
key = "hindered"
on = "status.changed"
after = "24h"
when = "balance > 0"
do = "task:hindered"
"#;

#[test]
fn a_later_look_judges_what_holds_then() {
    for paid in [false, true] {
        let (mut firm, id) = reminded(LATER);
        firm.pay(id, "p1", 2_000);
        firm.live(HOUR * 12);
        assert_eq!(firm.open_kinds(), [""; 0]);
        firm.crash();
        if paid {
            firm.pay(id, "p2", 10_000);
        }
        firm.live(HOUR * 13);
        assert_eq!(firm.open_kinds().contains(&String::from("hindered")), !paid);
        assert_eq!((keys_of(&firm, family::FIRING), keys_of(&firm, family::RULE_NOTE)), (0, 0));
    }
}

#[test]
fn events_while_a_look_is_to_come_are_one_look() {
    let (mut firm, id) = reminded(&LATER.replace("status.changed", "payment.received"));
    for name in ["p1", "p2", "p3"] {
        firm.pay(id, name, 1_000);
        firm.pass(HOUR);
    }
    assert_eq!(keys_of(&firm, family::FIRING), 1);
    firm.live(DAY * 2);
    assert_eq!(acted(&firm, id), ["hindered task:hindered"]);
}

#[test]
fn a_rule_that_was_ended_does_nothing_more() {
    let (mut firm, id) = reminded(&format!("{THANKS}{LATER}"));
    firm.pay(id, "p1", 2_000);
    for name in ["thanks", "hindered"] {
        firm.change(Change::Rule { key: key(name), rule: None }).unwrap();
    }
    firm.live(DAY * 3);
    assert!(firm.texts().iter().all(|text| !text.starts_with("Thanks")), "{:?}", firm.texts());
    assert_eq!(firm.open_kinds(), [""; 0]);
    let gone = firm.change(Change::Rule { key: key("thanks"), rule: None });
    assert_eq!(gone, Err(ChangeRefusal::NotFound { what: "rule" }));
    firm.crash();
    assert_eq!(keys_of(&firm, family::FIRING), 0);
}

#[test]
fn a_rule_that_names_what_is_not_there_is_refused_with_its_field() {
    let mut firm = firm("");
    let mut refused = |fields: &str| {
        let rule = serde_json::from_str(&format!("{{\"key\":\"r\",{fields}}}")).unwrap();
        match firm.change(Change::Rule { key: key("r"), rule: Some(Box::new(rule)) }) {
            Err(ChangeRefusal::Field { field, .. }) => field,
            other => panic!("{fields}: {other:?}"),
        }
    };
    assert_eq!(refused(r#""on":"promise.broken","do":"send:nothing""#), "do");
    assert_eq!(refused(r#""on":"promise.broken","do":"send:late""#), "do", "it has a menu");
    assert_eq!(refused(r#""on":"promise.broken","do":"enrol:nothing""#), "do");
    assert_eq!(refused(r#""on":"promise.broken","do":"exit","creditor":"nobody""#), "creditor");
    assert_eq!(refused(r#""on":"promise.broken","do":"exit","when":"mood = \"bad\"""#), "when");
    let made = |firm: &mut Firm, name: &str| {
        let rule = format!("{{\"key\":\"{name}\",\"on\":\"promise.broken\",\"do\":\"exit\"}}");
        let rule = serde_json::from_str(&rule).unwrap();
        firm.change(Change::Rule { key: key(name), rule: Some(Box::new(rule)) })
    };
    for n in 0..8 {
        made(&mut firm, &format!("r{n}")).unwrap();
    }
    assert!(matches!(made(&mut firm, "more"), Err(ChangeRefusal::Field { field: "on", .. })));
    assert!(made(&mut firm, "r7").is_ok(), "a known one is no more");
}

#[test]
fn a_change_that_is_refused_wakes_no_rule() {
    let (mut firm, id) = reminded(&rule("promise.made", "webhook:made"));
    let bad = Change::Promise { which: Which::Id(id), date: november(1), amount: None };
    assert!(firm.change(bad).is_err());
    assert_eq!(called(&firm, id), [""; 0]);
    promise(&mut firm, id, 25);
    assert_eq!(called(&firm, id), ["made"]);
    assert_eq!(firm.obligation(id).status, ObligationStatus::Open);
}
