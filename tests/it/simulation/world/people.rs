//! People who write, the networks that carry it until it is answered, and the referee of both.
//!
//! A network hands a PDU up again and again until it has read an answer, over drops and crashes. Each PDU has a
//! serial number in its octets, so the referee sees whether the state has it once. What was said is kept beside
//! the core's own books and must agree with them after every step; nothing may go to who said stop.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use nudged::engine::Command;
use nudged::engine::OptOutEntry;
use nudged::engine::assembly::PendingSegment;
use nudged::engine::core::Input;
use nudged::engine::inbound::StoredReply;
use nudged::link::{Concat, Control, Inbound, InboundToken, LinkEvent, RawReply, Repeat, Submission};
use nudged::message::{Class, Final, Msisdn, State};
use nudged::reminder::reply::{Verdict, classify};
use nudged::reminder::suppression::{Party, Suppression};
use nudged::store::keys::{self, family};
use nudged::store::record;
use tokio::sync::oneshot;

use super::{MODEM, MessageId, WINDOWS, World, recipient};

const STOP: &str = "STOP";
const WORDS: [&str; 4] = [STOP, "START", "please stop this nonsense", "paid"];
/// The recipients who write: so few that each says many things.
const WRITERS: u64 = 3;
/// How long a network waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Keys that a link uses again once the PDU before was answered.
const KEYS: u64 = 3;

/// A PDU that the network has not read an answer to.
#[derive(Clone)]
struct Pdu {
    serial: u32,
    reply: RawReply,
    handed: bool,
    /// No answer came on this connection: before then it does not ask again on it.
    asks_at: Option<Instant>,
}

#[derive(Default)]
pub(super) struct People {
    last_serial: u32,
    networks: [Vec<Pdu>; WINDOWS.len()],
    /// Handed up in this session, not confirmed.
    handed: BTreeMap<InboundToken, (usize, u32)>,
    /// Answers that are written and of which the core has not stored that they are.
    unheard: BTreeMap<InboundToken, [u8; 16]>,
    /// Keys of which it never will: the next PDU of that key may be taken for a repeat.
    doubtful: BTreeSet<[u8; 16]>,
    /// Those that may be.
    excused: BTreeSet<u32>,
    /// What the network has an answer to.
    answered: BTreeSet<u32>,
    stored: BTreeSet<u32>,
    opted_out: BTreeSet<Msisdn>,
    held: BTreeSet<Msisdn>,
}

/// What a step was told, as far as people are concerned.
pub(super) enum Said {
    Reply { serial: u32, by: Msisdn, verdict: Verdict, is_segment: bool },
    OptOut(Msisdn),
    Lift(Msisdn),
    Release(Msisdn),
    Answered(InboundToken),
}

fn serial_of(raw: &[u8]) -> u32 {
    u32::from_be_bytes(raw.try_into().unwrap())
}

fn key_of(repeat: Repeat) -> [u8; 16] {
    match repeat {
        Repeat::Stored(key) | Repeat::UntilAnswered(key) => key,
    }
}

pub(super) fn said(inputs: &[Input]) -> Vec<Said> {
    let number = |party: &Party| party.number().unwrap();
    let mut said = Vec::new();
    for input in inputs {
        match input {
            Input::Inbound { inbound: Inbound::Reply(reply), .. } => said.push(Said::Reply {
                serial: serial_of(&reply.raw),
                by: reply.number.unwrap(),
                verdict: classify(reply.text.as_deref().unwrap(), None),
                is_segment: reply.concat.is_some(),
            }),
            Input::Command(Command::OptOut { entries, .. }) => {
                said.extend(entries.iter().map(|entry| Said::OptOut(number(&entry.party))));
            }
            Input::Command(Command::LiftOptOut { party, .. }) => said.push(Said::Lift(number(party))),
            Input::Command(Command::ReleaseHold { party, .. }) => said.push(Said::Release(number(party))),
            Input::Link { event: LinkEvent::Answered { token }, .. } => said.push(Said::Answered(*token)),
            _ => {}
        }
    }
    said
}

impl People {
    fn apply(&mut self, said: &Said, in_state: &BTreeSet<u32>) {
        match said {
            Said::Reply { serial, by, verdict, is_segment } => {
                if !in_state.contains(serial) || !self.stored.insert(*serial) {
                    return;
                }
                match verdict {
                    Verdict::OptOut { .. } => self.stop(*by),
                    Verdict::OptIn if !is_segment => {
                        self.opted_out.remove(by);
                        self.held.remove(by);
                    }
                    Verdict::MayBeOptOut if !is_segment && !self.opted_out.contains(by) => {
                        self.held.insert(*by);
                    }
                    _ => {}
                }
            }
            Said::OptOut(number) => self.stop(*number),
            Said::Lift(number) => {
                self.opted_out.remove(number);
            }
            Said::Release(number) => {
                self.held.remove(number);
            }
            Said::Answered(token) => {
                self.unheard.remove(token);
            }
        }
    }

    fn stop(&mut self, number: Msisdn) {
        self.opted_out.insert(number);
        self.held.remove(&number);
    }

    /// The session is gone: what was not answered is handed up again.
    pub(super) fn link_dropped(&mut self, link: usize) {
        self.handed.retain(|_, (of, _)| *of != link);
        self.networks[link].iter_mut().for_each(|pdu| (pdu.handed, pdu.asks_at) = (false, None));
    }

    pub(super) fn crashed(&mut self) {
        (0..self.networks.len()).for_each(|link| self.link_dropped(link));
        self.doubtful.extend(std::mem::take(&mut self.unheard).into_values());
    }
}

impl World {
    pub(super) fn people_event(&mut self) {
        match self.dice.below(12) {
            0..=2 => self.write(),
            3 => self.decide(),
            _ => self.hand_up(),
        }
    }

    fn someone(&mut self) -> Msisdn {
        recipient(self.dice.below(WRITERS))
    }

    /// Somebody writes: a word, or a long reply of which a segment may get lost on the way.
    fn write(&mut self) {
        let (link, by) = (self.dice.below(WINDOWS.len() as u64) as usize, self.someone());
        if self.dice.chance(70) {
            let text = WORDS[self.dice.below(WORDS.len() as u64) as usize];
            return self.pdu(link, by, text.to_owned(), None);
        }
        let (reference, total) = (self.dice.below(3) as u16, 2 + self.dice.below(2) as u8);
        for number in 1..=total {
            let stops = self.dice.chance(10);
            let text = if stops { STOP.to_owned() } else { format!("{} ", self.people.last_serial) };
            if !self.dice.chance(15) {
                self.pdu(link, by, text, Some(Concat { reference, total, number }));
            }
        }
    }

    fn pdu(&mut self, link: usize, by: Msisdn, text: String, concat: Option<Concat>) {
        let people = &mut self.people;
        people.last_serial += 1;
        let serial = people.last_serial;
        let mut key = [0; 16];
        key[..4].copy_from_slice(&serial.to_be_bytes());
        let mut repeat = Repeat::Stored(key);
        if link != MODEM && self.dice.chance(60) {
            let again =
                [link as u8 + 1, self.dice.below(KEYS) as u8, 255, 255, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1];
            let in_use = people.networks[link].iter().any(|pdu| key_of(pdu.reply.repeat) == again);
            let unheard = people.unheard.values().any(|key| *key == again);
            repeat = Repeat::UntilAnswered(if in_use || unheard { key } else { again });
        }
        if people.doubtful.contains(&key_of(repeat)) || concat.is_some() && text == STOP {
            people.excused.insert(serial);
        }
        let reply = RawReply {
            from: by.digits(),
            to: String::from("12345"),
            number: Some(by),
            raw: serial.to_be_bytes().to_vec(),
            text: Some(text),
            concat,
            sent_at: None,
            repeat,
        };
        people.networks[link].push(Pdu { serial, reply, handed: false, asks_at: None });
    }

    /// An administrator adds, lifts or releases.
    fn decide(&mut self) {
        let party = Party::Number(self.someone());
        let by = "sim".into();
        let command = match self.dice.below(4) {
            0 => {
                let (reply, _) = oneshot::channel();
                let entry = OptOutEntry { party, at: None, note: String::new() };
                Command::OptOut { entries: vec![entry], by, reply }
            }
            1 => {
                let (reply, _) = oneshot::channel();
                Command::LiftOptOut { party, by, reply }
            }
            _ => {
                let (reply, _) = oneshot::channel();
                Command::ReleaseHold { party, by, reply }
            }
        };
        self.inputs.push(Input::Command(command));
    }

    /// A network hands up something that it has no answer to.
    fn hand_up(&mut self) {
        let link = self.dice.below(WINDOWS.len() as u64) as usize;
        let now = self.clock.now().mono;
        let asks = |pdu: &Pdu| !pdu.handed && pdu.asks_at.is_none_or(|at| now > at);
        let network = &self.people.networks[link];
        let waiting: Vec<usize> = (0..network.len()).filter(|&at| asks(&network[at])).collect();
        let Some(at) = self.dice.pick(&waiting).filter(|_| self.links[link].up) else { return };
        let pdu = &mut self.people.networks[link][waiting[at]];
        pdu.handed = true;
        let (serial, reply) = (pdu.serial, pdu.reply.clone());
        let token = self.inbound(link, Inbound::Reply(reply));
        self.people.handed.insert(token.unwrap(), (link, serial));
    }

    /// A link reads a confirmation: its answer is written, or the network never gets it and asks again.
    pub(super) fn confirmed(&mut self, token: InboundToken) {
        let Some((link, serial)) = self.people.handed.remove(&token) else { return };
        let written = self.calm || self.dice.chance(75);
        let people = &mut self.people;
        let Some(at) = people.networks[link].iter().position(|pdu| pdu.serial == serial) else { return };
        if !written {
            let asks_at = Some(self.clock.now().mono + PATIENCE);
            (people.networks[link][at].handed, people.networks[link][at].asks_at) = (false, asks_at);
            return;
        }
        let pdu = people.networks[link].remove(at);
        people.answered.insert(serial);
        if let Repeat::UntilAnswered(key) = pdu.reply.repeat {
            people.unheard.insert(token, key);
        }
        self.links[link].events.push(LinkEvent::Answered { token });
    }

    /// Serial numbers of all PDUs in the state.
    fn serials(&self) -> Vec<u32> {
        let mut serials = Vec::new();
        for (key, value) in &self.disk.state.map {
            match key[0] {
                family::INBOUND => {
                    let reply: StoredReply = record::decode(value).unwrap();
                    serials.extend(reply.raw.iter().map(|raw| serial_of(raw)));
                }
                family::PENDING => {
                    let segment: PendingSegment = record::decode(value).unwrap();
                    serials.push(serial_of(&segment.raw));
                }
                _ => {}
            }
        }
        serials
    }

    fn parties(&self, family: u8) -> BTreeMap<Msisdn, Vec<u8>> {
        let records = self.disk.state.map.iter().filter(|(key, _)| key[0] == family);
        records
            .map(|(key, value)| (keys::decode_party(key).unwrap().number().unwrap(), value.clone()))
            .collect()
    }

    /// A step is durable and nothing of it is carried out yet.
    pub(super) fn referee(
        &mut self,
        said: &[Said],
        submissions: &[(usize, Submission)],
        controls: &[(usize, Control)],
    ) {
        let (stopped_before, held_before) = (self.people.opted_out.clone(), self.people.held.clone());
        let replied = said.iter().any(|said| matches!(said, Said::Reply { .. }));
        let in_state = if replied { self.serials().into_iter().collect() } else { BTreeSet::new() };
        said.iter().for_each(|said| self.people.apply(said, &in_state));
        let confirmations = self.check_people();
        self.accepted.extend(&confirmations);
        let silent = |to: Msisdn| self.people.opted_out.contains(&to) || self.people.held.contains(&to);
        for (_, s) in submissions {
            assert!(
                !silent(s.to) || confirmations.contains(&s.id),
                "{} goes to {}, who said stop",
                s.id,
                s.to
            );
        }
        let newly = |to: Msisdn| {
            self.people.opted_out.contains(&to) && !stopped_before.contains(&to)
                || self.people.held.contains(&to) && !held_before.contains(&to)
        };
        for (at, link) in self.links.iter().enumerate() {
            for s in link.unwritten.iter().filter(|s| newly(s.to) && !confirmations.contains(&s.id)) {
                assert!(controls.contains(&(at, Control::Recall(s.id))), "{} is not recalled", s.id);
            }
        }
    }

    /// The books of the core are those of the referee; the confirmations that may go.
    pub(super) fn check_people(&self) -> BTreeSet<MessageId> {
        let opted_out = self.parties(family::OPT_OUT);
        let (in_state, held) = (self.parties(family::OPT_OUT), self.parties(family::HOLD));
        assert!(
            in_state.keys().eq(&self.people.opted_out),
            "who said stop: {:?}, {:?}",
            in_state.keys(),
            self.people.opted_out
        );
        assert!(
            held.keys().eq(&self.people.held),
            "who may have said stop: {:?}, {:?}",
            held.keys(),
            self.people.held
        );
        let confirmation = |value: &Vec<u8>| record::decode::<Suppression>(value).unwrap().confirmation;
        opted_out.values().filter_map(confirmation).collect()
    }

    /// Each PDU once, and what was answered is there.
    pub(super) fn check_replies(&self) {
        let serials = self.serials();
        let unique: BTreeSet<u32> = serials.iter().copied().collect();
        assert_eq!(serials.len(), unique.len(), "a PDU is stored twice");
        let lost = |serial: &&u32| !unique.contains(serial) && !self.people.excused.contains(serial);
        assert_eq!(self.people.answered.iter().find(lost), None, "a PDU was answered and is not stored");
        let mut confirmed: BTreeMap<Msisdn, nudged::clock::Timestamp> = BTreeMap::new();
        for &id in &self.accepted {
            let body = self.body(id);
            let withdrawn = matches!(self.head(id).state, State::Closed { how: Final::Canceled, .. });
            if body.class == Class::Reply
                && !withdrawn
                && let Some(before) = confirmed.insert(body.to, body.accepted_at)
            {
                let apart = body.accepted_at.since(before);
                assert!(apart >= nudged::engine::optout::CONFIRM_ONCE, "{} confirmed again", body.to);
            }
        }
    }

    /// Nobody waits for segments any more.
    pub(super) fn check_assembled(&self) {
        let pending = self.disk.state.map.keys().filter(|key| key[0] == family::PENDING).count();
        assert_eq!(pending, 0, "every long reply is shown in the end");
    }
}
