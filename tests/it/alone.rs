//! The core alone on a map, for tests of what people write: replies go in, submissions and recalls come out.

use std::sync::Arc;
use std::time::Duration;

use nudged::clock::{Clock, Timestamp};
use nudged::engine::core::{Answer, Core, Input, Settings};
use nudged::engine::memory::Memory;
use nudged::engine::notice::{Notice, NoticeKind};
use nudged::engine::{
    AcceptAnswer, Accepted, BatchWish, Command, Draft, OptOutEntry, Refusal, ReplyFilter, ReplyView, View,
};
use nudged::id::MessageId;
use nudged::link::{
    Concat, Control, Inbound, InboundToken, LinkEvent, LinkFacts, Outcome, Poison, RawReply, Receipt, Repeat,
    Submission,
};
use nudged::message::{Body, Head, Msisdn, ReceiptState, Reference, Status};
use nudged::reminder::suppression::Party;
use nudged::store::{keys, record};
use tokio::sync::oneshot;

use crate::support::{START, checked, draft};

pub struct Alone {
    pub settings: Settings,
    pub core: Core,
    pub state: Memory,
    pub clock: Clock,
    /// With the links and not answered.
    pub open: Vec<(usize, Submission)>,
    /// All texts there were, in order.
    pub texts: Vec<String>,
    pub recalled: Vec<MessageId>,
    pub confirmed: Vec<(usize, InboundToken)>,
    pub notices: Vec<NoticeKind>,
    tokens: u64,
}

pub fn number(text: &str) -> Msisdn {
    Msisdn::parse_e164(text).unwrap()
}

/// A reply from an international number, its key of its own.
pub fn reply(from: &str, text: &str) -> RawReply {
    RawReply {
        from: from.trim_start_matches('+').to_owned(),
        to: String::from("12345"),
        number: Msisdn::parse_e164(from).ok(),
        raw: text.as_bytes().to_vec(),
        text: Some(text.to_owned()),
        concat: None,
        sent_at: None,
        repeat: Repeat::UntilAnswered([0; 16]),
    }
}

pub fn segment(from: &str, text: &str, (reference, total, number): (u16, u8, u8)) -> RawReply {
    RawReply { concat: Some(Concat { reference, total, number }), ..reply(from, text) }
}

/// A status report.
pub fn report(reference: &str, recipient: &str) -> Inbound {
    Inbound::Receipt(Receipt {
        reference: Some(Reference(reference.into())),
        alternatives: vec![],
        state: ReceiptState::Delivered,
        recipient: Some(Msisdn::parse_digits(recipient).unwrap()),
        user_message_reference: None,
        raw: None,
    })
}

impl Alone {
    /// One modem that is up.
    pub fn new() -> Alone {
        Alone::with(&["gsm"], "")
    }

    /// Links of these names, all up; `config` is more of the file.
    pub fn with(names: &[&str], config: &str) -> Alone {
        let link = |name: &&str| LinkFacts {
            name: (*name).into(),
            account: (*name).into(),
            kind: if name.starts_with("gsm") { "modem" } else { "smpp" },
            window: 4,
        };
        let config = checked(config);
        let links = names.iter().map(link).collect();
        let settings = Settings {
            queue: config.queue,
            inbound: config.inbound,
            routes: vec![],
            links,
            clock_floor: Timestamp::MIN,
        };
        let (state, clock) = (Memory::default(), Clock::manual(START));
        let (core, _) = Core::recover(settings.clone(), &state, clock.now()).unwrap();
        let mut alone = Alone {
            settings,
            core,
            state,
            clock,
            open: vec![],
            texts: vec![],
            recalled: vec![],
            confirmed: vec![],
            notices: vec![],
            tokens: 0,
        };
        alone.all_up();
        alone
    }

    fn all_up(&mut self) {
        let links = 0..self.settings.links.len();
        self.step(links.map(|link| Input::Link { link, event: LinkEvent::Up }).collect());
    }

    /// A crash and a start.
    pub fn restart(&mut self) {
        let (core, batch) = Core::recover(self.settings.clone(), &self.state, self.clock.now()).unwrap();
        self.core = core;
        self.state.apply(&batch);
        while let batch = self.core.move_lanes(&self.state, self.clock.now()).unwrap()
            && !batch.is_empty()
        {
            self.state.apply(&batch);
        }
        self.open.clear();
        self.all_up();
    }

    /// One step, and those that it asks for at once.
    pub fn step(&mut self, inputs: Vec<Input>) {
        let mut again = self.step_once(inputs);
        while again {
            again = self.step_once(vec![]);
        }
    }

    /// Whether it asks for another.
    pub fn step_once(&mut self, inputs: Vec<Input>) -> bool {
        self.clock.advance(Duration::from_millis(1));
        let step = self.core.step(&self.state, inputs, self.clock.now()).unwrap();
        self.state.apply(&step.batch);
        let notices = step.batch.events.iter().map(|event| record::decode::<Notice>(event).unwrap().kind);
        self.notices.extend(notices);
        step.answers.into_iter().for_each(Answer::send);
        for (link, control) in step.controls {
            match control {
                Control::Recall(id) => self.recalled.push(id),
                Control::Confirm { token, stored: true } => self.confirmed.push((link, token)),
                other => panic!("{other:?}"),
            }
        }
        self.texts.extend(step.submissions.iter().map(|(_, submission)| submission.text.clone()));
        self.open.extend(step.submissions);
        step.wake_at.is_none()
    }

    pub fn pass(&mut self, by: Duration) {
        self.clock.advance(by);
        self.step(vec![]);
    }

    pub fn try_accept(&mut self, draft: Draft) -> Result<Accepted, Refusal> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Accept { drafts: vec![draft], batch: BatchWish::None, reply };
        self.step(vec![Input::Command(command)]);
        let AcceptAnswer { mut results, .. } = answer.blocking_recv().unwrap();
        results.pop().unwrap()
    }

    pub fn accept(&mut self, to: &str, text: &str) -> MessageId {
        self.try_accept(draft(number(to), text)).unwrap().id
    }

    /// Accepts it and lets the network take it under this reference.
    pub fn send(&mut self, to: &str, text: &str, reference: &str) -> MessageId {
        let id = self.accept(to, text);
        self.taken(id, reference);
        id
    }

    pub fn outcome(&mut self, id: MessageId, outcome: Outcome) {
        let at = self.open.iter().position(|(_, submission)| submission.id == id).expect("it is with a link");
        let (link, Submission { id, index, .. }) = self.open.remove(at);
        self.step(vec![Input::Link { link, event: LinkEvent::Outcome { id, index, outcome } }]);
    }

    pub fn taken(&mut self, id: MessageId, reference: &str) {
        self.outcome(id, Outcome::Accepted { reference: Reference(reference.into()) });
    }

    /// Hands up what a link got, and gives its handle.
    pub fn inbound(&mut self, link: usize, inbound: Inbound) -> InboundToken {
        self.tokens += 1;
        let token = InboundToken(self.tokens);
        self.step(vec![Input::Inbound { link, token, inbound }]);
        assert_eq!(self.confirmed.pop(), Some((link, token)), "stored and to be confirmed");
        token
    }

    /// The same, and the network has the confirmation.
    pub fn hear(&mut self, reply: RawReply) {
        self.hear_by(0, reply);
    }

    pub fn hear_by(&mut self, link: usize, reply: RawReply) {
        let token = self.inbound(link, Inbound::Reply(reply));
        self.answered(link, token);
    }

    pub fn answered(&mut self, link: usize, token: InboundToken) {
        self.step(vec![Input::Link { link, event: LinkEvent::Answered { token } }]);
    }

    pub fn poison(&mut self, poison: Poison) {
        self.inbound(0, Inbound::Poison(poison));
    }

    pub fn opt_out(&mut self, party: &str) -> u64 {
        let entry =
            OptOutEntry { party: Party::parse(party).unwrap(), at: None, note: String::from("letter") };
        let (reply, answer) = oneshot::channel();
        let command = Command::OptOut { entries: vec![entry], by: "admin".into(), reply };
        self.step(vec![Input::Command(command)]);
        answer.blocking_recv().unwrap().unwrap()
    }

    pub fn lift(&mut self, party: &str) -> Result<(), Refusal> {
        let (reply, answer) = oneshot::channel();
        let party = Party::parse(party).unwrap();
        self.step(vec![Input::Command(Command::LiftOptOut { party, by: "admin".into(), reply })]);
        answer.blocking_recv().unwrap()
    }

    pub fn release(&mut self, party: &str) -> Result<(), Refusal> {
        let (reply, answer) = oneshot::channel();
        let party = Party::parse(party).unwrap();
        self.step(vec![Input::Command(Command::ReleaseHold { party, by: "admin".into(), reply })]);
        answer.blocking_recv().unwrap()
    }

    pub fn view(&self) -> View {
        View::new(Arc::new(self.state.clone()))
    }

    /// All replies, oldest first.
    pub fn replies(&self) -> Vec<ReplyView> {
        let page = self.view().replies(&ReplyFilter::default(), None, false, 500).unwrap();
        assert_eq!(page.next, None);
        page.replies
    }

    pub fn body(&self, id: MessageId) -> Body {
        record::decode(&self.state.map[&keys::body(id)]).unwrap()
    }

    pub fn head(&self, id: MessageId) -> Head {
        let stored = self.state.map.get(&keys::head(id));
        stored.map_or_else(|| Head::accepted(&self.body(id)), |bytes| record::decode(bytes).unwrap())
    }

    pub fn status(&self, id: MessageId) -> Status {
        self.head(id).state.status(self.clock.now().wall)
    }

    /// Records of a family.
    pub fn count(&self, family: u8) -> usize {
        self.state.map.keys().filter(|key| key[0] == family).count()
    }
}
