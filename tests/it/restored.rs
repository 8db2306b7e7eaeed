//! After a backup was put back: what other programs had queued may have gone, and does not go again by itself.

use std::time::Duration;

use nudged::engine::core::{Core, Input};
use nudged::engine::{Command, Draft};
use nudged::link::{LinkEvent, Outcome};
use nudged::message::{Resolution, State, Status, UnknownWhy};
use tokio::sync::oneshot;

use crate::alone::{Alone, number};
use crate::support::draft;

const ANN: &str = "+447700900123";
const BEN: &str = "+447700900124";

/// The state as it is becomes a backup that came back.
fn restore(alone: &mut Alone) {
    let now = alone.clock.now();
    let (mut core, batch) = Core::recover(alone.settings.clone(), &alone.state, now).unwrap();
    alone.state.apply(&batch);
    let batch = core.restored(&alone.state, now).unwrap();
    alone.state.apply(&batch);
    alone.core = core;
    alone.open.clear();
    alone.step(vec![Input::Link { link: 0, event: LinkEvent::Up }]);
}

fn resume(alone: &mut Alone) {
    let reply = oneshot::channel().0;
    alone.step(vec![Input::Command(Command::Resume { link: None, by: "admin".into(), reply })]);
}

#[test]
fn what_waited_is_unknown_and_goes_only_when_a_person_says_so() {
    let mut alone = Alone::new();
    alone.step(vec![Input::Link { link: 0, event: LinkEvent::Down { reason: String::new() } }]);
    let id = alone.accept(ANN, "pay");
    restore(&mut alone);
    let state = alone.head(id).state;
    assert!(matches!(state, State::Unknown { why: UnknownWhy::Restored, .. }), "{state:?}");
    resume(&mut alone);
    alone.pass(Duration::from_secs(3_600));
    assert_eq!(alone.texts, [""; 0]);
    let (reply, answer) = oneshot::channel();
    alone.step(vec![Input::Command(Command::Resolve { id, how: Resolution::Resend, reply })]);
    answer.blocking_recv().unwrap().unwrap();
    alone.taken(id, "1");
    assert_eq!((alone.texts.as_slice(), alone.status(id)), (&[String::from("pay")][..], Status::Sent));
}

#[test]
fn what_asked_to_be_sent_again_by_itself_is_not_either() {
    let mut alone = Alone::new();
    alone.step(vec![Input::Link { link: 0, event: LinkEvent::Down { reason: String::new() } }]);
    let on_unknown = Some(nudged::message::OnUnknown::Resend);
    let id = alone.try_accept(Draft { on_unknown, ..draft(number(ANN), "pay") }).unwrap().id;
    restore(&mut alone);
    resume(&mut alone);
    (0..48).for_each(|_| alone.pass(Duration::from_secs(600)));
    assert_eq!((alone.texts.as_slice(), alone.status(id)), (&[][..], Status::Unknown));
}

#[test]
fn what_was_not_due_yet_goes_at_its_time_and_what_has_an_end_keeps_it() {
    let mut alone = Alone::new();
    let sent = alone.send(BEN, "thanks", "1");
    let later = Some(alone.clock.now().wall.saturating_add(Duration::from_secs(7_200)));
    let id = alone.try_accept(Draft { send_at: later, ..draft(number(ANN), "pay") }).unwrap().id;
    alone.texts.clear();
    restore(&mut alone);
    assert_eq!((alone.status(sent), alone.status(id)), (Status::Sent, Status::Scheduled));
    resume(&mut alone);
    alone.pass(Duration::from_secs(7_300));
    assert_eq!(alone.texts, ["pay"]);
    alone.outcome(id, Outcome::Unwritten);
}
