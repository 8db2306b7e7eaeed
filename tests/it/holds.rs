//! Holds in the core: a reply that may mean stop keeps what waits until a person decides.

use std::time::Duration;

use nudged::engine::Refusal;
use nudged::engine::order::MAX_PARKED;
use nudged::link::Outcome;
use nudged::message::Status;
use nudged::reminder::suppression::{Intent, Party};

use crate::alone::{Alone, number, reply};
use crate::support::draft;

const ANN: &str = "+447700900123";
const BEN: &str = "+447700900124";
const MAYBE: &str = "please stop this nonsense";

fn held() -> Alone {
    let mut alone = Alone::new();
    alone.hear(reply(ANN, MAYBE));
    assert_eq!(alone.replies()[0].intent, Intent::MayBeOptOut);
    alone
}

#[test]
fn messages_to_a_held_number_stay_queued_and_others_go_until_it_is_released() {
    let mut alone = held();
    let id = alone.accept(ANN, "one");
    alone.accept(ANN, "two");
    alone.accept(BEN, "ben");
    assert_eq!(alone.texts, ["ben"]);
    assert_eq!(alone.status(id), Status::Queued);
    alone.restart();
    assert_eq!(alone.texts, ["ben"]);
    alone.release(ANN).unwrap();
    alone.taken(id, "1");
    assert_eq!(alone.texts, ["ben", "one", "two"]);
    assert_eq!(alone.release(ANN), Err(Refusal::NotFound));
}

#[test]
fn the_hold_names_the_reply_and_the_reply_says_that_it_holds() {
    let mut alone = held();
    alone.hear(reply(ANN, "and stop calling"));
    let [first, second] = &alone.replies()[..] else { panic!() };
    assert_eq!((first.held, second.held), (true, false));
    let holds = alone.view().holds(None, 10).unwrap().holds;
    assert_eq!(
        holds.iter().map(|h| (h.party, h.hold.reply)).collect::<Vec<_>>(),
        [(Party::Number(number(ANN)), first.id)]
    );
    assert_eq!(alone.view().holds_of(number(ANN)).unwrap(), holds);
}

#[test]
fn what_a_link_has_not_written_comes_back_and_waits() {
    let mut alone = Alone::new();
    let id = alone.accept(ANN, "pay");
    alone.hear(reply(ANN, MAYBE));
    assert_eq!(alone.recalled, [id]);
    alone.outcome(id, Outcome::Unwritten);
    assert_eq!((alone.status(id), alone.open.len()), (Status::Queued, 0));
    alone.release(ANN).unwrap();
    assert_eq!(alone.open.len(), 1);
}

#[test]
fn a_long_message_stops_between_two_segments_and_goes_on_when_released() {
    let mut alone = Alone::new();
    let long = nudged::engine::Draft { segment_count: 6, ..draft(number(ANN), &"x".repeat(153 * 6)) };
    let id = alone.try_accept(long).unwrap().id;
    alone.hear(reply(ANN, MAYBE));
    for _ in 0..4 {
        alone.taken(id, "1");
    }
    assert_eq!((alone.status(id), alone.open.len()), (Status::Queued, 0));
    alone.release(ANN).unwrap();
    assert_eq!(alone.open.len(), 2);
    (0..2).for_each(|_| alone.taken(id, "1"));
    assert_eq!(alone.status(id), Status::Sent);
}

#[test]
fn an_opt_out_takes_its_place_and_blocks_what_waits() {
    for by_reply in [true, false] {
        let mut alone = held();
        let id = alone.accept(ANN, "pay");
        if by_reply {
            alone.hear(reply(ANN, "STOP"));
        } else {
            alone.opt_out(ANN);
        }
        assert_eq!(alone.status(id), Status::Blocked);
        assert!(alone.view().holds(None, 10).unwrap().holds.is_empty());
    }
}

#[test]
fn start_releases_it() {
    let mut alone = held();
    alone.accept(ANN, "pay");
    alone.hear(reply(ANN, "START"));
    assert_eq!(alone.texts, ["pay"]);
}

#[test]
fn what_is_held_expires_in_its_time() {
    let mut alone = held();
    let id = alone.accept(ANN, "pay");
    alone.pass(Duration::from_secs(49 * 3600));
    assert_eq!(alone.status(id), Status::Expired);
    alone.release(ANN).unwrap();
    assert!(alone.texts.is_empty());
}

#[test]
fn more_held_messages_than_memory_has_room_for_are_no_trouble_to_others_and_go_when_released() {
    let mut alone = held();
    let many = MAX_PARKED + 100;
    for some in (0..many).collect::<Vec<_>>().chunks(500) {
        let drafts = some.iter().map(|n| draft(number(ANN), &n.to_string())).collect();
        let (reply, _) = tokio::sync::oneshot::channel();
        let batch = nudged::engine::BatchWish::None;
        let command = nudged::engine::Command::Accept { drafts, batch, reply };
        alone.step(vec![nudged::engine::core::Input::Command(command)]);
    }
    alone.accept(BEN, "ben");
    assert_eq!(alone.texts, ["ben"]);
    let ben = alone.open[0].1.id;
    alone.taken(ben, "1");
    alone.release(ANN).unwrap();
    for _ in 0..many {
        let id = alone.open[0].1.id;
        alone.taken(id, "1");
    }
    assert_eq!(alone.texts.len(), many + 1);
}
