//! Routes that packs forbid to some texts: what a message may really go by decides, and not what its creditor says alone.

use nudged::config::{Policy, Route};
use nudged::engine::reminders::Happened;
use nudged::link::LinkFacts;
use nudged::message::Sender;

use super::firm::*;

/// As `us-fdcpa` has it of collectors in the United States.
const PACK: &str = r#"
[[pack]]
key = "collectors"
title = "Collectors"
source = "carriers"
forbidden_routes = ["a2p"]
"#;

const BOUND: &str = "[\"collectors\"]";

/// A creditor under these packs, and links by name and class.
fn firm(packs: &str, links: &[(&str, &str)], routes: Vec<Route>) -> Firm {
    let bound = format!("sender_role = \"first_party\"\nsender = \"ACME\"\npacks = {packs}\n");
    let set_up = SET_UP.replacen("sender_role = \"first_party\"\n", &bound, 1);
    let mut firm = Firm::without_link(&format!("{PACK}{set_up}"));
    let facts = |name: &str| LinkFacts { name: name.into(), account: name.into(), kind: "smpp", window: 10 };
    firm.settings.links = links.iter().map(|(name, _)| facts(name)).collect();
    firm.settings.routes = routes;
    mark(&mut firm, links);
    firm
}

fn mark(firm: &mut Firm, links: &[(&str, &str)]) {
    let marked = links.iter().filter(|(_, class)| !class.is_empty());
    firm.settings.reminders.route_classes =
        marked.map(|(name, class)| ((*name).into(), key(class))).collect();
    firm.crash();
}

fn refused(firm: &Firm, id: nudged::id::ObligationId) -> bool {
    let by_route = |what: &Happened| match what {
        Happened::Refused { gate, pack, rule, .. } => {
            (gate.as_str(), rule.as_str(), pack.as_ref().map(|pack| pack.as_str()))
                == ("route", "route", Some("collectors"))
        }
        _ => false,
    };
    firm.happened(id).iter().any(by_route)
}

#[test]
fn a_collectors_text_does_not_go_by_a_link_whose_class_is_forbidden_to_it() {
    let mut firm = firm(BOUND, &[("a", "a2p")], Vec::new());
    let id = firm.owe("inv-1", 1, november(25));
    firm.live(DAY);
    assert!(firm.sent.is_empty() && refused(&firm, id), "{:?}", firm.happened(id));
    assert_eq!(firm.open_kinds(), ["route"]);
}

#[test]
fn whoever_it_is_not_forbidden_to_goes_by_it() {
    for (packs, class) in [("[]", "a2p"), (BOUND, "p2p"), (BOUND, "")] {
        let mut firm = firm(packs, &[("a", class)], Vec::new());
        firm.owe("inv-1", 1, november(25));
        firm.live(DAY);
        assert_eq!(firm.steps_sent(), ["before"], "{packs} {class}");
    }
}

/// As soon as the others are down it would go there.
#[test]
fn one_such_link_among_those_that_may_take_it_is_enough() {
    let mut firm = firm(BOUND, &[("a", ""), ("b", "a2p")], Vec::new());
    let id = firm.owe("inv-1", 1, november(25));
    firm.live(DAY);
    assert!(firm.sent.is_empty() && refused(&firm, id));
}

#[test]
fn a_route_of_its_own_leads_it_past_such_a_link() {
    let route = Route {
        to: Vec::new(),
        class: Vec::new(),
        sender: vec![Sender::parse("ACME").unwrap()],
        token: Vec::new(),
        via: vec!["a".into()],
        policy: Policy::Failover,
    };
    let mut firm = firm(BOUND, &[("a", ""), ("b", "a2p")], vec![route]);
    firm.owe("inv-1", 1, november(25));
    firm.live(DAY);
    assert_eq!(firm.steps_sent(), ["before"]);
}

#[test]
fn what_waits_for_a_link_that_is_marked_meanwhile_does_not_go() {
    let mut firm = firm(BOUND, &[("a", "")], Vec::new());
    let id = firm.owe("inv-1", 1, november(25));
    firm.reach_next(id);
    firm.down();
    firm.hand_back();
    assert_eq!(firm.sent.len(), 1);
    firm.pass(HOUR);
    mark(&mut firm, &[("a", "a2p")]);
    firm.live(DAY);
    assert_eq!((firm.sent.len(), firm.gone(id).len()), (1, 0), "{:?}", firm.texts());
}
