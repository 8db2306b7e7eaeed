//! A firm set up in a few lines, with its core on a map, links that a test answers for, and a clock it moves.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::Date;
use nudged::clock::{Clock, Timestamp};
use nudged::engine::core::{Answer, Core, Input, Settings, Step};
use nudged::engine::memory::Memory;
use nudged::engine::notice::{Notice, NoticeKind};
use nudged::engine::reminders::change::{ObligationDraft, Owner, Which};
use nudged::engine::reminders::records::{Phone, StoredContact};
use nudged::engine::reminders::reference::Reference;
use nudged::engine::reminders::{
    Change, ChangeRefusal, Changed, Happened, ReminderCounters, ReminderSettings, Subject, seeds,
};
use nudged::engine::{BatchWish, Command, Draft};
use nudged::id::{MessageId, ObligationId, TaskId};
use nudged::link::{
    Control, Inbound, InboundToken, LinkEvent, LinkFacts, Outcome, RawReply, Receipt, Repeat, Submission,
};
use nudged::message::{Body, Cause, Msisdn, Reason, ReceiptState, UnknownWhy};
use nudged::reminder::contact::Contact;
use nudged::reminder::enrolment::{EnrolmentState, StepOutcome};
use nudged::reminder::money::{Currency, Money};
use nudged::reminder::name::{ExternalId, Key};
use nudged::reminder::obligation::{Obligation, Payment};
use nudged::reminder::seed::{SeedFile, read};
use nudged::reminder::task::{Task, TaskOutcome, TaskState};
use nudged::retry::RetryClass;
use nudged::store::{keys, record};
use serde_json::json;
use tokio::sync::oneshot;

use crate::support::checked;

/// Monday, 08:00 in Berlin.
pub const MONDAY: Timestamp = Timestamp::from_millis(1_795_417_200_000);
/// What `pass` moves the clock by at once.
const STRIDE: Duration = Duration::from_secs(15 * 60);
pub const HOUR: Duration = Duration::from_secs(3_600);
pub const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Two steps before and three after; the texts say which template they are of.
pub const SET_UP: &str = r#"
[[creditor]]
key = "acme"
name = "Acme GmbH"
sender_role = "first_party"
language = "en"
timezone = "Europe/Berlin"
link_hosts = ["pay.acme.example"]

[[creditor]]
key = "other"
name = "Other Ltd"
sender_role = "first_party"
language = "en"
timezone = "Europe/Berlin"

[[menu]]
key = "answers"
options = [
  { digit = 1, label = "call me", do = "task:callback" },
  { digit = 2, label = "pay", do = "pay" },
  { digit = 3, label = "in parts", do = "plan" },
  { digit = 4, label = "later", do = "pause:48h" },
  { digit = 5, label = "more", do = "webhook:more" },
  { digit = 6, label = "help", do = "reply:help" },
]

[[template]]
key = "due"
language = "en"
class = "reminder"
body = "Due: {{ amount }} for {{ reference }} of {{ creditor }} on {{ due_date }}."

[[template]]
key = "late"
language = "en"
class = "dunning"
body = "Late: {{ amount }} for {{ reference }} of {{ creditor }}."
menu = "answers"

[[template]]
key = "help"
language = "en"
class = "help"
body = "Help: {{ creditor }}."

[[sequence]]
key = "standard"
[[sequence.step]]
id = "before"
offset = "-2d"
at = "10:00"
template = "due"
[[sequence.step]]
id = "after"
offset = "+3d"
at = "10:00"
template = "late"
[[sequence.step]]
id = "last"
offset = "+10d"
at = "10:00"
template = "late"
"#;

pub struct Firm {
    pub settings: Settings,
    pub core: Core,
    pub state: Memory,
    pub clock: Clock,
    /// With their link; not answered yet.
    pub open: Vec<(usize, Submission)>,
    pub sent: Vec<Sent>,
    pub recalled: Vec<MessageId>,
    pub notices: Vec<NoticeKind>,
    pub last: Step,
    replies: u64,
}

/// What a link was given.
#[derive(Clone, Debug)]
pub struct Sent {
    pub at: Timestamp,
    pub id: MessageId,
    pub to: Msisdn,
    pub text: String,
    /// `None`: no reminder.
    pub reference: Option<Reference>,
    /// The text of a rule: about what, and of which firing.
    pub rule: Option<(ObligationId, u64)>,
}

impl Firm {
    /// One link that is up.
    pub fn new() -> Firm {
        Firm::with(SET_UP)
    }

    pub fn with(set_up: &str) -> Firm {
        let mut firm = Firm::without_link(set_up);
        firm.up();
        firm
    }

    /// The link never came up yet.
    pub fn without_link(set_up: &str) -> Firm {
        Firm::make(set_up, 10, MONDAY)
    }

    pub fn make(set_up: &str, window: u16, start: Timestamp) -> Firm {
        let facts = LinkFacts { name: "a".into(), account: "a".into(), kind: "smpp", window };
        let settings = Settings {
            queue: checked("").queue,
            inbound: checked("").inbound,
            routes: Vec::new(),
            links: vec![facts],
            clock_floor: Timestamp::MIN,
            reminders: ReminderSettings::for_tests(),
        };
        let (state, clock) = (Memory::default(), Clock::manual(start));
        let (core, _) = Core::recover(settings.clone(), &state, clock.now()).unwrap();
        let mut firm = Firm {
            settings,
            core,
            state,
            clock,
            open: Vec::new(),
            sent: Vec::new(),
            recalled: Vec::new(),
            notices: Vec::new(),
            last: Step::default(),
            replies: 0,
        };
        firm.set_up(set_up);
        firm
    }

    pub fn set_up(&mut self, text: &str) {
        let file = SeedFile { name: String::from("firm.toml"), text: text.to_owned() };
        for seed in read(&[file]).unwrap() {
            self.change(seeds::change(seed.table)).unwrap();
        }
    }

    pub fn up(&mut self) {
        self.step(vec![Input::Link { link: 0, event: LinkEvent::Up }]);
    }

    pub fn down(&mut self) {
        let reason = String::from("test");
        self.step(vec![Input::Link { link: 0, event: LinkEvent::Down { reason } }]);
    }

    /// One step, and those that it asks for at once.
    pub fn step(&mut self, mut inputs: Vec<Input>) {
        for _ in 0..1_000 {
            if !self.one_step(std::mem::take(&mut inputs)) {
                return;
            }
        }
        panic!("the core never comes to rest");
    }

    /// One step alone; whether it asks for the next at once.
    pub fn one_step(&mut self, inputs: Vec<Input>) -> bool {
        let mut step = self.core.step(&self.state, inputs, self.clock.now()).unwrap();
        self.state.apply(&step.batch);
        let notices = step.batch.events.iter().map(|event| record::decode::<Notice>(event).unwrap().kind);
        self.notices.extend(notices);
        std::mem::take(&mut step.answers).into_iter().for_each(Answer::send);
        self.recalled.extend(step.controls.iter().filter_map(|(_, control)| match control {
            Control::Recall(id) => Some(*id),
            _ => None,
        }));
        for (link, submission) in std::mem::take(&mut step.submissions) {
            self.note_sent(&submission);
            self.open.push((link, submission));
        }
        let again = step.wake_at.is_none_or(|at| at <= self.clock.now().mono);
        self.last = step;
        again
    }

    fn note_sent(&mut self, submission: &Submission) {
        let body: Body = record::decode(&self.state.map[&keys::body(submission.id)]).unwrap();
        self.sent.push(Sent {
            at: self.clock.now().wall,
            id: submission.id,
            to: submission.to,
            text: submission.text.clone(),
            reference: Reference::of(&body),
            rule: rule_of(&body),
        });
    }

    /// A crash, and a start; what links had in hand is forgotten by them too.
    pub fn crash(&mut self) {
        let (core, batch) = Core::recover(self.settings.clone(), &self.state, self.clock.now()).unwrap();
        self.core = core;
        self.state.apply(&batch);
        loop {
            let batch = self.core.move_lanes(&self.state, self.clock.now()).unwrap();
            self.state.apply(&batch);
            if batch.is_empty() {
                break;
            }
        }
        self.open.clear();
        self.up();
    }

    /// What was asked, by one command with others around it or alone.
    pub fn change(&mut self, change: Change) -> Result<Changed, ChangeRefusal> {
        self.change_all(vec![change]).remove(0)
    }

    pub fn change_all(&mut self, changes: Vec<Change>) -> Vec<Result<Changed, ChangeRefusal>> {
        let (reply, mut answer) = oneshot::channel();
        self.step(vec![Input::Command(Command::Change { changes, by: "crm".into(), reply })]);
        answer.try_recv().unwrap()
    }

    /// An obligation of a contact of its own number, made or changed.
    pub fn owe(&mut self, name: &str, number: u64, due: Date) -> ObligationId {
        self.try_owe(draft(name, number, due)).unwrap()
    }

    pub fn try_owe(&mut self, draft: ObligationDraft) -> Result<ObligationId, ChangeRefusal> {
        let made = self.change(Change::Obligation(Box::new(draft)))?;
        let Subject::Obligation(id) = made.subject else { panic!("{made:?}") };
        Ok(id)
    }

    pub fn pay(&mut self, id: ObligationId, payment: &str, minor: i64) {
        let payment = self.payment(payment, minor);
        self.change(Change::Pay { which: Which::Id(id), payment }).unwrap();
    }

    pub fn payment(&self, name: &str, minor: i64) -> Payment {
        Payment {
            external_id: external(name),
            amount: eur(minor),
            at: self.clock.now().wall,
            reversed: false,
        }
    }

    pub fn reverse(&mut self, id: ObligationId, payment: &str, minor: i64) {
        let payment = self.payment(payment, minor);
        self.change(Change::Reverse { which: Which::Id(id), payment }).unwrap();
    }

    pub fn move_due(&mut self, id: ObligationId, date: Date, restart: bool) {
        self.change(Change::DueDate { which: Which::Id(id), date, restart }).unwrap();
    }

    /// Time goes by; the core is asked now and then, and what links have stays open.
    pub fn pass(&mut self, time: Duration) {
        self.pass_until(self.clock.now().wall.saturating_add(time));
    }

    pub fn pass_until(&mut self, until: Timestamp) {
        while self.clock.now().wall < until {
            let stride = until.since(self.clock.now().wall).min(STRIDE);
            self.clock.advance(stride);
            self.step(Vec::new());
        }
    }

    /// Time goes by, and the network takes and delivers all it gets.
    pub fn live(&mut self, time: Duration) {
        let until = self.clock.now().wall.saturating_add(time);
        self.accept();
        while self.clock.now().wall < until {
            let stride = until.since(self.clock.now().wall).min(STRIDE);
            self.pass(stride);
            self.accept();
        }
    }

    /// When the next step of it goes.
    pub fn next_at(&self, id: ObligationId) -> Option<Timestamp> {
        self.obligation(id).enrolment?.next.map(|next| next.at)
    }

    /// To the instant of its next step, which goes in the last moment.
    pub fn reach_next(&mut self, id: ObligationId) {
        let at = self.next_at(id).unwrap();
        self.pass_until(at);
    }

    /// Every open submission is answered so.
    pub fn answer(&mut self, outcome: &Outcome) {
        let events =
            std::mem::take(&mut self.open).into_iter().map(|(link, Submission { id, index, .. })| {
                Input::Link { link, event: LinkEvent::Outcome { id, index, outcome: outcome.clone() } }
            });
        let events: Vec<Input> = events.collect();
        if !events.is_empty() {
            self.step(events);
        }
    }

    /// The network takes all there is and says that it was delivered.
    pub fn accept(&mut self) {
        while !self.open.is_empty() {
            let open = std::mem::take(&mut self.open);
            let reference = |s: &Submission| nudged::message::Reference(format!("{}", s.id.as_u64()));
            let outcome = |s: &Submission| Outcome::Accepted { reference: reference(s) };
            let sent = open.iter().map(|(link, s)| Input::Link {
                link: *link,
                event: LinkEvent::Outcome { id: s.id, index: s.index, outcome: outcome(s) },
            });
            self.step(sent.collect());
            let receipts = open.iter().map(|(link, s)| Input::Inbound {
                link: *link,
                token: InboundToken(0),
                inbound: Inbound::Receipt(receipt(reference(s), s.to, ReceiptState::Delivered)),
            });
            self.step(receipts.collect());
        }
    }

    pub fn refuse(&mut self, reason: Reason) {
        let retry = RetryClass::Permanent;
        self.answer(&Outcome::Refused { cause: Cause::plain(reason), retry });
    }

    pub fn hand_back(&mut self) {
        self.answer(&Outcome::Unwritten);
    }

    pub fn lose(&mut self) {
        self.answer(&Outcome::Unknown { why: UnknownWhy::NoAnswer });
    }

    /// Nothing follows from it in the past: whatever it answers came before.
    pub fn reply(&mut self, from: u64, text: &str) {
        self.hear(&number(from).digits(), Some(number(from)), text);
    }

    /// `number`: `None` where the wire does not say that the sender's digits are international.
    pub fn hear(&mut self, from: &str, number: Option<Msisdn>, text: &str) {
        let heard = self.heard(from, number, text);
        self.step(vec![heard]);
        let token = InboundToken(self.replies);
        self.step(vec![Input::Link { link: 0, event: LinkEvent::Answered { token } }]);
    }

    /// The same as it comes in, for whoever makes the steps himself.
    pub fn heard(&mut self, from: &str, number: Option<Msisdn>, text: &str) -> Input {
        self.replies += 1;
        let reply = RawReply {
            from: from.to_owned(),
            to: String::from("4930"),
            number,
            raw: format!("{}{text}", self.replies).into_bytes(),
            text: Some(text.to_owned()),
            concat: None,
            sent_at: None,
            repeat: Repeat::UntilAnswered([self.replies as u8; 16]),
        };
        let token = InboundToken(self.replies);
        Input::Inbound { link: 0, token, inbound: Inbound::Reply(reply) }
    }

    /// A plain message of the firm's.
    pub fn send(&mut self, draft: Draft) {
        let (reply, _) = oneshot::channel();
        let accept = Command::Accept { drafts: vec![draft], batch: BatchWish::None, reply };
        self.step(vec![Input::Command(accept)]);
    }

    pub fn get<T: serde::de::DeserializeOwned>(&self, key: &[u8]) -> Option<T> {
        self.state.map.get(key).map(|bytes| record::decode(bytes).unwrap())
    }

    pub fn obligation(&self, id: ObligationId) -> Obligation {
        self.get(&keys::obligation(id)).unwrap()
    }

    pub fn named(&self, name: &str) -> Option<Obligation> {
        self.obligations().into_values().find(|o| o.external_id.as_str() == name)
    }

    pub fn obligations(&self) -> BTreeMap<ObligationId, Obligation> {
        let (from, to) = keys::all(nudged::store::keys::family::OBLIGATION);
        let entries = self.state.map.range(from..to);
        entries
            .map(|(key, value)| {
                let id = ObligationId::from_u64(keys::decode_id(key).unwrap());
                (id, record::decode(value).unwrap())
            })
            .collect()
    }

    pub fn state_of(&self, id: ObligationId) -> EnrolmentState {
        self.obligation(id).enrolment.unwrap().state
    }

    pub fn phone(&self, n: u64) -> Phone {
        self.get(&keys::phone(number(n))).unwrap_or_default()
    }

    pub fn contact(&self, id: ObligationId) -> StoredContact {
        self.get(&keys::contact(self.obligation(id).contact)).unwrap()
    }

    /// Steps of the current cycle that became messages.
    pub fn gone(&self, id: ObligationId) -> Vec<String> {
        let obligation = self.obligation(id);
        let gone = obligation.steps.iter().filter(|note| note.cycle == obligation.cycle);
        gone.filter(|note| matches!(note.how, StepOutcome::Gone { .. })).map(|n| n.step.to_string()).collect()
    }

    pub fn texts(&self) -> Vec<&str> {
        self.sent.iter().map(|sent| sent.text.as_str()).collect()
    }

    /// Steps that links were given, in order.
    pub fn steps_sent(&self) -> Vec<String> {
        let steps = self.sent.iter().filter_map(|sent| sent.reference.as_ref());
        steps.map(|reference| reference.step.to_string()).collect()
    }

    pub fn tasks(&self) -> BTreeMap<TaskId, Task> {
        let (from, to) = keys::all(nudged::store::keys::family::TASK);
        let entries = self.state.map.range(from..to);
        entries
            .map(|(key, value)| {
                (TaskId::from_u64(keys::decode_id(key).unwrap()), record::decode(value).unwrap())
            })
            .collect()
    }

    pub fn open_kinds(&self) -> Vec<String> {
        let open = self.tasks().into_values().filter(|task| !matches!(task.state, TaskState::Done { .. }));
        open.map(|task| task.kind.to_string()).collect()
    }

    /// The one open task of a kind is done so.
    pub fn done(&mut self, kind: &str, outcome: TaskOutcome) -> Result<Changed, ChangeRefusal> {
        let tasks = self.tasks().into_iter();
        let mut open =
            tasks.filter(|(_, t)| t.kind.as_str() == kind && !matches!(t.state, TaskState::Done { .. }));
        let (id, _) = open.next().unwrap_or_else(|| panic!("no task {kind}: {:?}", self.open_kinds()));
        assert!(open.next().is_none(), "one task {kind}");
        self.change(Change::TaskDone { id, outcome, expect: None })
    }

    pub fn happened(&self, id: ObligationId) -> Vec<Happened> {
        let of = |kind: &NoticeKind| match kind {
            NoticeKind::Obligation { id: of, what } if *of == id => Some(what.clone()),
            _ => None,
        };
        self.notices.iter().filter_map(of).collect()
    }

    pub fn counters(&self) -> ReminderCounters {
        self.get(&keys::core("reminders")).unwrap_or_default()
    }
}

/// As it stands in the message, read without the code under test.
fn rule_of(body: &Body) -> Option<(ObligationId, u64)> {
    let client_ref = body.client_ref.as_deref().filter(|_| body.token.as_str() == "nudged rules")?;
    let (obligation, firing) = client_ref.split_once('/').unwrap();
    Some((obligation.parse().unwrap(), firing.parse().unwrap()))
}

pub fn number(n: u64) -> Msisdn {
    Msisdn::from_u64(4_915_112_345_000 + n)
}

pub fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::parse("EUR").unwrap()).unwrap()
}

pub fn key(name: &str) -> Key {
    Key::parse(name).unwrap()
}

pub fn external(name: &str) -> ExternalId {
    ExternalId::parse(name).unwrap()
}

pub fn contact(numbers: &[u64]) -> Contact {
    let phones: Vec<_> =
        numbers.iter().map(|n| json!({"number": format!("+{}", number(*n).digits())})).collect();
    let external_id = format!("con-{}", numbers[0]);
    serde_json::from_value(json!({"external_id": external_id, "phones": phones})).unwrap()
}

/// 120.00 EUR to `acme`.
pub fn draft(name: &str, number: u64, due: Date) -> ObligationDraft {
    ObligationDraft {
        external_id: external(name),
        owner: Owner::Inline { creditor: key("acme"), contact: Box::new(contact(&[number])) },
        amount: eur(12_000),
        min_due: None,
        due_date: due,
        description: None,
        link: None,
        sequence: None,
        restart: false,
    }
}

pub fn receipt(reference: nudged::message::Reference, to: Msisdn, state: ReceiptState) -> Receipt {
    Receipt {
        reference: Some(reference),
        alternatives: Vec::new(),
        state,
        recipient: Some(to),
        user_message_reference: None,
        raw: None,
    }
}

/// A day of November 2026 and after: 23 is the Monday that the clock starts on.
pub fn november(day: i8) -> Date {
    jiff::civil::date(2026, 11, 1).checked_add(jiff::Span::new().days(day - 1)).unwrap()
}
