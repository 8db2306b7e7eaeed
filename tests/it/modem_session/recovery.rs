//! What is lost, damaged or torn on the line of a modem, and that it is found again soon, once, and without asking
//! an idle modem more than before.

use nudged::link::Repeat;

use super::*;

/// The key by which the core knows the one reply that came.
fn key(rig: &mut Rig) -> Repeat {
    match &rig.inbound()[..] {
        [(_, Inbound::Reply(reply))] => reply.repeat,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_copy_of_what_was_read_before_is_freed_at_once() {
    let mut rig = Rig::up();
    for place in 0..10 {
        rig.modem.store("SM", place, &deliver("STOP"));
        rig.say(&format!("\r\n+CMTI: \"SM\",{place}\r\n"));
        assert_eq!(rig.confirm_all(), ["STOP"], "the core knows it by its key");
        assert!(rig.modem.slots.is_empty(), "{place}");
    }
}

#[test]
fn a_copy_waits_until_the_first_is_free_and_is_read_again_then() {
    let mut rig = Rig::up();
    for memory in ["SM", "ME"] {
        rig.modem.store(memory, 0, &deliver("STOP"));
        rig.say(&format!("\r\n+CMTI: \"{memory}\",0\r\n"));
    }
    let first = rig.inbound();
    assert_eq!(first.len(), 1);
    // Two names of one memory: the place was freed, and somebody's message came in between.
    rig.modem.store("ME", 0, &deliver("1"));
    rig.session.confirm(first[0].0, rig.now);
    rig.run();
    assert_eq!(rig.modem.slots.len(), 1, "it is not deleted unread");
    assert_eq!(rig.confirm_all(), ["1"]);
    assert!(rig.modem.slots.is_empty());
}

#[test]
fn a_damaged_line_is_read_again_and_quarantines_nothing() {
    let good = deliver("STOP");
    for damaged in [&good[..good.len() - 6], "", "RDY", &good[4..]] {
        let mut rig = Rig::up();
        rig.modem.store("SM", 3, &good);
        let line = format!("\r\n+CMGR: 0,,{}\r\n{damaged}\r\n\r\nOK\r\n", length(&good));
        rig.modem.script("AT+CMGR=3", &line);
        rig.say("\r\n+CMTI: \"SM\",3\r\n");
        rig.live(second(20));
        assert_eq!(rig.confirm_all(), ["STOP"], "{damaged:?}");
        assert!(rig.modem.slots.is_empty(), "{damaged:?}");
    }
}

#[test]
fn another_message_in_a_place_that_is_about_to_be_freed_is_not_deleted_unread() {
    let mut rig = Rig::up();
    rig.modem.store("SM", 0, &deliver("1"));
    rig.say("\r\n+CMTI: \"SM\",0\r\n");
    let first = rig.inbound();
    // It replaces the first (TP-PID), and is announced while that is being confirmed.
    rig.modem.store("SM", 0, &deliver("STOP"));
    rig.session.confirm(first[0].0, rig.now);
    rig.say("\r\n+CMTI: \"SM\",0\r\n");
    assert_eq!(rig.modem.slots.len(), 1);
    assert_eq!(rig.confirm_all(), ["STOP"]);
    assert!(rig.modem.slots.is_empty());
}

#[test]
fn a_damaged_line_frees_no_place_that_was_not_confirmed() {
    let mut rig = Rig::up();
    rig.modem.store("SM", 0, &deliver("STOP"));
    rig.say("\r\n+CMTI: \"SM\",0\r\n");
    let (reply, _) = rig.inbound().remove(0);
    rig.modem.script("AT+CMGR=0", "\r\n+CMGR: 0,,24\r\n00FF\r\n\r\nOK\r\n");
    rig.say("\r\n+CMTI: \"SM\",0\r\n");
    assert_eq!(rig.confirm_all(), [""; 0]);
    rig.session.refuse(reply, rig.now);
    rig.live(second(6));
    assert_eq!(rig.confirm_all(), ["STOP"]);
}

#[test]
fn what_a_restart_cut_is_no_reply_and_takes_no_line_of_the_set_up() {
    let whole = report(5, 0);
    let late = format!("+CDS: {}\r\n{}\r\n", length(&whole), &whole[..whole.len() - 3]);
    for cut in [&late, "+CDS: 25\r\n0006AB\r\n", "+CDS: 25\r\n", "+CMT: ,24\r\n", "+CUSD: 0,\"Balan\r\n"] {
        let mut rig = Rig::up();
        rig.modem.echo = true;
        rig.say(&format!("\r\n{cut}\r\nRDY\r\n"));
        let began = rig.now;
        rig.come_up();
        assert_eq!(rig.texts(), [""; 0], "{cut}");
        assert!(rig.now < began + second(1), "{cut}");
    }
}

#[test]
fn a_report_that_lacks_its_end_is_had_again_where_it_is_acknowledged() {
    let mut modem = Fake::default();
    modem.script("AT+CNMI=2,1,0,1,0", "\r\n+CMS ERROR: 303\r\n");
    let mut rig = Rig::up_with(config(), modem);
    let whole = report(5, 0);
    rig.say(&format!("\r\n+CDS: {}\r\n{}\r\n", length(&whole), &whole[..whole.len() - 2]));
    assert_eq!(rig.texts(), [""; 0]);
    assert_eq!(rig.modem.log, ["AT+CNMA=2"]);
    rig.say(&format!("\r\n+CDS: {}\r\n{}FF\r\n", length(&whole), whole));
    assert!(matches!(rig.inbound()[..], [(_, Inbound::Poison(_))]), "too long is not cut");
}

#[test]
fn an_announcement_lost_in_noise_costs_seconds() {
    for noise in ["+CM#TI: \"ME\",0", "TI: \"ME\",0", "^RS+CMTI: \"ME\",0", "\u{7f}~q"] {
        let mut rig = Rig::up();
        rig.modem.store("ME", 0, &deliver("STOP"));
        rig.say(&format!("\r\n{noise}\r\n"));
        rig.live(second(3));
        assert_eq!(rig.confirm_all(), ["STOP"], "{noise}");
    }
}

#[test]
fn an_announcement_lost_in_noise_is_found_between_two_segments() {
    let slow = Modem { rate: Some(Rate { segments: 1, per: second(1) }), ..config() };
    let mut rig = Rig::up_with(slow, Fake::default());
    rig.submit(1..=60);
    rig.modem.store("ME", 0, &deliver("STOP"));
    rig.say("\r\n+CM#TI: \"ME\",0\r\n");
    rig.live(second(5));
    assert_eq!(rig.confirm_all(), ["STOP"]);
    assert!(rig.modem.pdus.len() < 10);
}

#[test]
fn a_modem_that_says_unknown_things_all_day_is_hardly_listed_more_often() {
    let mut rig = Rig::up();
    for _ in 0..1800 {
        rig.say("\r\nVENDOR: 1\r\n");
        rig.live(second(2));
    }
    assert!(rig.count("AT+CMGL=4") < 2 * 70, "{}", rig.count("AT+CMGL=4"));
}

#[test]
fn an_echo_in_the_set_up_is_a_restart_that_nobody_announced() {
    let mut modem = Fake::default();
    modem.script("AT+CPIN?", "\r\n+CME ERROR: 14\r\n");
    let mut rig = Rig::connected(config(), modem);
    while rig.count("AT+CPIN?") == 0 {
        rig.run();
        rig.wait();
    }
    rig.modem.echo = true;
    rig.come_up();
    assert_eq!(rig.count("ATE0V1"), 2);
    assert!(!rig.modem.echo);
}

#[test]
fn a_listing_that_is_refused_finds_a_modem_in_text_mode() {
    let mut rig = Rig::up();
    rig.modem.script("AT+CMGL=4", "\r\n+CMS ERROR: 303\r\n");
    rig.modem.script("AT+CMGF?", "\r\n+CMGF: 1\r\n\r\nOK\r\n");
    rig.live(second(63));
    assert_eq!(rig.count("AT+CMGF=0"), 1, "{:?}", rig.modem.log);
}

#[test]
fn a_reference_that_came_damaged_holds_the_next_segment_for_seconds_only() {
    let mut rig = Rig::up();
    rig.submit([1]);
    rig.modem.verdicts.push_back("\r\n+C#GS: 1\r\n\r\nOK\r\n".into());
    rig.submit(2..=3);
    assert_eq!(rig.outcomes(), [(1, accepted("0"))]);
    rig.live(second(30));
    let outcomes = rig.outcomes();
    assert_eq!(outcomes[0], (2, UNKNOWN));
    assert_eq!(outcomes[1], (3, accepted("2")), "{outcomes:?}");
}

#[test]
fn a_pdu_that_was_damaged_on_the_line_is_sent_again_as_it_was() {
    for refusal in ["304", "305"] {
        let mut rig = Rig::up();
        rig.modem.verdicts.push_back(format!("\r\n+CMS ERROR: {refusal}\r\n"));
        rig.submit([1]);
        assert_eq!(rig.outcomes(), [(1, accepted("1"))], "{refusal}");
        assert_eq!(rig.modem.pdus[0], rig.modem.pdus[1]);
    }
}

#[test]
fn a_damaged_number_of_the_sim_makes_no_other_sim_of_it() {
    let carried = Carried::default();
    let mut keys = Vec::new();
    // The second is asked again, the third is known by its card from the first.
    for (torn, carried) in [(0, &carried), (2, &Carried::default()), (5, &carried)] {
        let mut modem = Fake::default();
        modem.store("SM", 0, &deliver("STOP"));
        for _ in 0..torn {
            modem.script("AT+CIMI", "\r\n2\r\n62010000000001\r\n\r\nOK\r\n");
        }
        let mut rig = Rig::again(config(), modem, carried.clone(), start());
        rig.come_up();
        keys.push(key(&mut rig));
    }
    assert_eq!(keys[1..], [keys[0], keys[0]]);
}
