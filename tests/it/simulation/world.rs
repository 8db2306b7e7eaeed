//! The world around the core: clients, links, a disk, a clock, all driven by one seed, and the checks.

mod modem;
mod people;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nudged::clock::{Clock, Timestamp};
use nudged::config::{Inbound as InboundSettings, Policy, Queue, Route};
use nudged::engine::core::{Answer, Core, Input, Settings, Step};
use nudged::engine::memory::Memory;
use nudged::engine::reminders::ReminderSettings;
use nudged::engine::{
    AcceptAnswer, BatchWish, Command, Draft, Idempotency, Refusal, Resolution, UnknownFilter,
};
use nudged::id::MessageId;
use nudged::link::{
    Control, Inbound, InboundToken, LinkEvent, LinkFacts, Outcome, Receipt, RetryClass, Submission,
    user_message_reference,
};
use nudged::message::body::AT_ONCE;
use nudged::message::{
    Body, Cause, Class, Encoding, Final, Head, Msisdn, OnUnknown, Priority, RawCode, Reason, ReceiptState,
    ReceiptWait, Reference, SegmentState, Sender, State, Status, UnknownWhy,
};
use nudged::route::Router;
use nudged::store::frame::{Position, Scan, Scanner, encode_record};
use nudged::store::{Batch, keys, record};
use tokio::sync::oneshot;

use modem::{MODEM, Modem};
use people::{People, said};

/// splitmix64: small, seedable, good enough to make histories.
pub struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<T>(&mut self, from: &[T]) -> Option<usize> {
        (!from.is_empty()).then(|| self.below(from.len() as u64) as usize)
    }
}

/// The journal as bytes, and a state that may lag behind it.
struct Disk {
    journal: Vec<u8>,
    at: Position,
    /// What the state had when a crash lets it fall back, and how much of the journal that was.
    old: (Memory, u64),
    state: Memory,
}

impl Disk {
    /// What a restart finds: the old state and the journal replayed over it, a torn tail cut off.
    fn replay(&mut self) {
        let mut state = self.old.0.clone();
        let mut scanner = Scanner::new(&self.journal, Position::START);
        loop {
            match scanner.step() {
                Scan::Record(record) => {
                    if record.at.seq > self.old.1 {
                        let writes = record.writes().map(|(k, v)| (k.to_vec(), v.map(<[u8]>::to_vec)));
                        state.apply(&Batch { writes: writes.collect(), events: Vec::new() });
                    }
                }
                Scan::End | Scan::Torn => break,
                Scan::Broken(why) => panic!("the journal is broken: {why}"),
            }
        }
        let good = scanner.offset();
        self.at = scanner.expected();
        // A cut within the zeros that align a record leaves it whole.
        self.journal.resize(good, 0);
        self.state = state;
    }

    fn append(&mut self, batch: &Batch, now: Timestamp) {
        if !batch.is_empty() {
            self.at = encode_record(&mut self.journal, self.at, now, batch);
        }
    }
}

/// One simulated link.
struct Link {
    up: bool,
    unwritten: Vec<Submission>,
    written: Vec<Submission>,
    /// Written, given up as unknown, perhaps to be answered late; with the number of that sending.
    late: Vec<(Submission, u32)>,
    /// On their way to the core.
    events: Vec<LinkEvent>,
}

/// What the wire saw of one segment.
#[derive(Default, Clone)]
struct Wire {
    writes: u32,
    /// The last write was refused for certain, so another is no double.
    refused: bool,
    /// Somebody decided on one more.
    permits: u32,
    /// How often that was so.
    decided: u32,
}

/// What the simulated carrier accepted, for receipts.
#[derive(Clone)]
struct Taken {
    link: usize,
    submission: Submission,
    reference: Reference,
}

enum Pending {
    Accept(oneshot::Receiver<AcceptAnswer>, Vec<Option<u8>>),
    Cancel(MessageId, oneshot::Receiver<Result<Status, Refusal>>),
    Resolve(MessageId, Resolution, oneshot::Receiver<Result<Status, Refusal>>),
    Count(oneshot::Receiver<Result<u64, Refusal>>),
    Pause(oneshot::Receiver<Result<(), Refusal>>),
}

pub struct World {
    dice: Dice,
    /// When the core looks ahead; dice of its own, so that a history is the same without.
    ahead: Option<Dice>,
    clock: Clock,
    disk: Disk,
    core: Core,
    /// How the routes are written since the last start.
    routes: usize,
    router: Router,
    links: Vec<Link>,
    inputs: Vec<Input>,
    pending: Vec<Pending>,
    wire: BTreeMap<(MessageId, u8), Wire>,
    log: Vec<(MessageId, u8)>,
    accepted: BTreeSet<MessageId>,
    canceled: BTreeSet<MessageId>,
    taken: Vec<Taken>,
    keys: BTreeMap<u8, MessageId>,
    /// The client's own count, to check that every answered key is one message.
    next_reference: u64,
    next_token: u64,
    tokens: BTreeSet<InboundToken>,
    people: People,
    modem: Modem,
    calm: bool,
    steps: u64,
}

const WINDOWS: [u16; 4] = [1, 3, 5, 1];
const RECIPIENTS: u64 = 6;
const FULL_CHECK_EVERY: u64 = 8;
/// Once no more trouble is made and all validities are over: for what was accepted last to end too.
const LONG_ENOUGH: Duration = Duration::from_secs(7 * 3600);

/// Ways in which the routes are written.
const ROUTES: u64 = 5;
/// Moved at once at most: few, so that there are many moments for a crash.
const MOST_MOVED: u64 = 8;
const SENDERS: [&str; 2] = ["+4915111111234", "+4919999991234"];

/// The routes as an administrator may write them between two starts: other numbers for the same links, other
/// links, and another sender that is alike in what is shown of it.
fn routes(written: usize) -> Vec<Route> {
    let route = |to: &str, via: &[&str], policy| Route {
        to: vec![to.into()],
        class: vec![],
        sender: vec![],
        token: vec![],
        via: via.iter().map(|&l| l.into()).collect(),
        policy,
    };
    let first = |to| route(to, &["alpha", "beta"], Policy::Failover);
    let other = |to| route(to, &[modem::NAME, "gamma"], Policy::Failover);
    let sender = |n: usize, link| Route {
        sender: vec![Sender::parse(SENDERS[n]).unwrap()],
        ..route("+", &[link], Policy::Failover)
    };
    match written {
        0 => vec![first("+491"), other("+492")],
        1 => vec![first("+492"), other("+491")],
        2 => {
            let via = ["gamma", "beta"];
            vec![
                route("+491", &via, Policy::Balance),
                route("+493", &["alpha", modem::NAME], Policy::Balance),
            ]
        }
        3 => vec![sender(0, "gamma"), first("+49")],
        _ => vec![sender(1, modem::NAME), first("+49")],
    }
}

fn settings(written: usize) -> Settings {
    let names = ["alpha", "beta", "gamma", modem::NAME];
    let facts = |(at, name): (usize, &&str)| LinkFacts {
        name: (*name).into(),
        account: if at < 2 { "shared".into() } else { (*name).into() },
        kind: if at == MODEM { "modem" } else { "smpp" },
        window: WINDOWS[at],
    };
    Settings {
        queue: Queue {
            validity: Duration::from_secs(6 * 3600),
            retry: vec![Duration::from_secs(30), Duration::from_secs(120)],
            on_unknown: OnUnknown::Hold,
            max_queued: 60,
            min_free: 0,
            retention: Duration::from_secs(180 * 86_400),
            duplicate_window: Duration::ZERO,
            national_tables: Vec::new(),
        },
        inbound: InboundSettings { stop_reply: String::new(), concat_timeout: Duration::from_secs(7200) },
        routes: routes(written),
        links: names.iter().enumerate().map(facts).collect(),
        clock_floor: Timestamp::MIN,
        reminders: ReminderSettings::for_tests(),
    }
}

fn recipient(n: u64) -> Msisdn {
    Msisdn::from_u64(49_100_000_000 + (n % 3) * 100_000_000 + n)
}

fn router(settings: &Settings) -> Router {
    let links: Vec<_> = settings.links.iter().map(|link| link.name.clone()).collect();
    Router::new(&settings.routes, &links).unwrap()
}

impl World {
    pub fn new(seed: u64) -> World {
        let clock = Clock::manual(Timestamp::from_millis(1_795_269_900_000));
        let disk = Disk {
            journal: Vec::new(),
            at: Position::START,
            old: (Memory::default(), 0),
            state: Memory::default(),
        };
        let (core, batch) = Core::recover(settings(0), &disk.state, clock.now()).unwrap();
        assert!(batch.is_empty());
        let link = || Link {
            up: false,
            unwritten: vec![],
            written: vec![],
            late: vec![],
            events: vec![LinkEvent::Up],
        };
        let mut world = World {
            dice: Dice(seed),
            ahead: Some(Dice(!seed)),
            clock,
            disk,
            core,
            routes: 0,
            router: router(&settings(0)),
            links: (0..WINDOWS.len()).map(|_| link()).collect(),
            inputs: vec![],
            pending: vec![],
            wire: BTreeMap::new(),
            log: vec![],
            accepted: BTreeSet::new(),
            canceled: BTreeSet::new(),
            taken: vec![],
            keys: BTreeMap::new(),
            next_reference: 100,
            next_token: 0,
            tokens: BTreeSet::new(),
            people: People::default(),
            modem: Modem::default(),
            calm: false,
            steps: 0,
        };
        world.links.iter_mut().for_each(|link| link.up = true);
        world
    }

    /// The same history of a core that never looks ahead.
    pub fn that_never_looks_ahead(seed: u64) -> World {
        World { ahead: None, ..World::new(seed) }
    }

    /// All that was decided, as it was written.
    pub fn journal(&self) -> &[u8] {
        &self.disk.journal
    }

    pub fn wire_log(&self) -> Vec<(MessageId, u8)> {
        self.log.clone()
    }

    /// One random happening, and mostly a step after it.
    pub fn event(&mut self) {
        if self.dice.chance(20) {
            return self.people_event_and_step();
        }
        if self.dice.chance(15) {
            return self.modem_event_and_step();
        }
        match self.dice.below(100) {
            0..=21 => self.accept(),
            22..=25 => self.cancel(),
            26..=28 => self.resolve(),
            29 => self.pause_or_resume(),
            30..=44 => self.write_some(),
            45..=64 => self.answer_some(),
            65..=66 => self.silence(),
            67 => self.late_answer(),
            68..=70 => self.drop_or_raise_link(),
            71..=78 => self.receipt(),
            79..=92 => self.pass_time(),
            93 => self.jump(),
            94..=95 => self.crash_idle(),
            96 => self.disk_condition(),
            _ => self.write_some(),
        }
        if self.dice.chance(75) {
            self.step();
        }
    }

    fn people_event_and_step(&mut self) {
        self.people_event();
        if self.dice.chance(50) {
            self.step();
        }
    }

    fn modem_event_and_step(&mut self) {
        self.modem_event();
        if self.dice.chance(60) {
            self.step();
        }
    }

    fn accept(&mut self) {
        let (reply, answer) = oneshot::channel();
        let count = if self.dice.chance(10) { 3 } else { 1 };
        let mut drafts = Vec::new();
        let mut used = Vec::new();
        for _ in 0..count {
            let key = self.dice.chance(20).then(|| self.dice.below(12) as u8);
            drafts.push(self.draft(key));
            used.push(key);
        }
        let batch = if count > 1 { BatchWish::New } else { BatchWish::None };
        self.inputs.push(Input::Command(Command::Accept { drafts, batch, reply }));
        self.pending.push(Pending::Accept(answer, used));
    }

    fn draft(&mut self, key: Option<u8>) -> Draft {
        let now = self.clock.now().wall;
        // A key names one request for good, its recipient included.
        let n = key.map_or_else(|| self.dice.below(RECIPIENTS), |key| u64::from(key) % RECIPIENTS);
        let long = self.dice.chance(15);
        let text = if long { "x".repeat(400) } else { String::from("pay") };
        let later = Duration::from_secs(self.dice.below(1800));
        Draft {
            to: recipient(n),
            segment_count: if long { 3 } else { 1 },
            text,
            // One a recipient: order is kept within a lane.
            sender: Some(Sender::parse(SENDERS[n as usize % SENDERS.len()]).unwrap()),
            link: self.dice.chance(8).then(|| "beta".into()),
            class: Class::Reminder,
            priority: Priority::new(if self.dice.chance(10) { 9 } else { 4 }).unwrap(),
            send_at: self.dice.chance(15).then(|| now.saturating_add(later)),
            valid_until: self.dice.chance(20).then(|| now.saturating_add(later + Duration::from_secs(900))),
            encoding: Encoding::Gsm7,
            on_unknown: self.dice.chance(15).then_some(OnUnknown::Resend),
            flash: false,
            receipt: self.dice.chance(70),
            client_ref: None,
            unique_ref: false,
            allow_duplicate: true,
            metadata: None,
            token: "sim".into(),
            idempotency: key.map(|key| Idempotency { key: [key; 16], body: [key; 16] }),
        }
    }

    fn some_message(&mut self) -> Option<MessageId> {
        let ids: Vec<MessageId> = self.accepted.iter().copied().collect();
        self.dice.pick(&ids).map(|at| ids[at])
    }

    fn cancel(&mut self) {
        let Some(id) = self.some_message() else { return };
        let (reply, answer) = oneshot::channel();
        self.inputs.push(Input::Command(Command::Cancel { id, reply }));
        self.pending.push(Pending::Cancel(id, answer));
    }

    fn resolve(&mut self) {
        let how = [Resolution::Resend, Resolution::Sent, Resolution::Failed][self.dice.below(3) as usize];
        if self.dice.chance(10) && how != Resolution::Resend {
            let (reply, answer) = oneshot::channel();
            let link = if self.dice.chance(50) { "gamma" } else { modem::NAME };
            let which = UnknownFilter { link: Some(link.into()), ..UnknownFilter::default() };
            self.inputs.push(Input::Command(Command::ResolveMany { which, how, reply }));
            self.pending.push(Pending::Count(answer));
            return;
        }
        let unknown: Vec<MessageId> = self
            .accepted
            .iter()
            .copied()
            .filter(|&id| matches!(self.head(id).state, State::Unknown { .. }))
            .collect();
        let Some(at) = self.dice.pick(&unknown) else { return };
        let (reply, answer) = oneshot::channel();
        // Permitted when asked: by the time the answer is heard it may be on the wire.
        if how == Resolution::Resend {
            self.permit(unknown[at]);
        }
        self.inputs.push(Input::Command(Command::Resolve { id: unknown[at], how, reply }));
        self.pending.push(Pending::Resolve(unknown[at], how, answer));
    }

    fn permit(&mut self, id: MessageId) {
        for index in 0..self.body(id).segment_count {
            let wire = self.wire.entry((id, index)).or_default();
            wire.permits += 1;
            wire.decided += 1;
        }
    }

    fn pause_or_resume(&mut self) {
        let (reply, answer) = oneshot::channel();
        let link = self.dice.chance(50).then(|| "alpha".into());
        let command = if self.dice.chance(40) {
            Command::Pause { link, by: "sim".into(), reply }
        } else {
            Command::Resume { link, by: "sim".into(), reply }
        };
        self.inputs.push(Input::Command(command));
        self.pending.push(Pending::Pause(answer));
    }

    fn write_some(&mut self) {
        let link = self.dice.below(self.links.len() as u64) as usize;
        self.write_to(link);
    }

    fn write_to(&mut self, link: usize) {
        let count = 1 + self.dice.below(3) as usize;
        for _ in 0..count {
            if self.links[link].up && !self.links[link].unwritten.is_empty() {
                let submission = self.links[link].unwritten.remove(0);
                self.on_the_wire(link, &submission);
                self.links[link].written.push(submission);
            }
        }
    }

    fn on_the_wire(&mut self, link: usize, submission: &Submission) {
        let (id, index) = (submission.id, submission.index);
        assert!(!self.canceled.contains(&id), "{id} was canceled and went out");
        let wire = self.wire.entry((id, index)).or_default();
        if wire.writes > 0 && !wire.refused {
            assert!(wire.permits > 0, "{id} segment {index} went out twice");
            wire.permits -= 1;
        }
        wire.writes += 1;
        wire.refused = false;
        self.log.push((id, index));
        self.trace(|| format!("wire {id} {index}"));
        let others =
            self.links.iter().flat_map(|link| &link.written).filter(|s| s.to == submission.to && s.id != id);
        assert_eq!(others.count(), 0, "two messages to one number are unanswered at once");
        if link == MODEM {
            self.end_of_pdu(submission);
        }
    }

    fn answer_some(&mut self) {
        let link = self.dice.below(self.links.len() as u64) as usize;
        self.answer_one(link);
    }

    fn answer_one(&mut self, link: usize) {
        let Some(at) = self.dice.pick(&self.links[link].written) else { return };
        let submission = self.links[link].written.remove(at);
        let outcome = self.verdict(link, &submission, false);
        let (id, index) = (submission.id, submission.index);
        self.links[link].events.push(LinkEvent::Outcome { id, index, outcome });
    }

    /// What the carrier says of a written segment.
    fn verdict(&mut self, link: usize, submission: &Submission, kindly: bool) -> Outcome {
        if link == MODEM {
            return self.modem_verdict(submission);
        }
        let refusal = |reason, code| Cause::new(reason, RawCode::CommandStatus(code));
        let dice = if kindly || self.calm { 0 } else { self.dice.below(100) };
        let refused = |world: &mut World| {
            world.wire.entry((submission.id, submission.index)).or_default().refused = true;
        };
        match dice {
            0..=74 => {
                self.next_reference += 1;
                let unnamed = !self.calm && self.dice.chance(5);
                let name = format!("{:08X}", self.next_reference);
                let reference = if unnamed { Reference::ABSENT } else { Reference(name) };
                let taken = Taken { link, submission: submission.clone(), reference: reference.clone() };
                self.taken.push(taken);
                Outcome::Accepted { reference }
            }
            75..=88 => {
                refused(self);
                Outcome::Refused { cause: refusal(Reason::SmscTemporary, 8), retry: RetryClass::Temporary }
            }
            89..=93 => {
                refused(self);
                Outcome::Refused {
                    cause: refusal(Reason::SmscBadDestination, 0x0B),
                    retry: RetryClass::Permanent,
                }
            }
            94..=95 => {
                refused(self);
                Outcome::Refused { cause: refusal(Reason::SmscAccount, 0x0D), retry: RetryClass::Park }
            }
            _ => {
                refused(self);
                Outcome::Refused { cause: refusal(Reason::SmscRejected, 0x411), retry: RetryClass::OptedOut }
            }
        }
    }

    /// An answer does not come in time.
    fn silence(&mut self) {
        let link = self.dice.below(self.links.len() as u64) as usize;
        self.fall_silent(link);
    }

    fn fall_silent(&mut self, link: usize) {
        let Some(at) = self.dice.pick(&self.links[link].written) else { return };
        let submission = self.links[link].written.remove(at);
        let outcome = Outcome::Unknown { why: UnknownWhy::NoAnswer };
        let (id, index) = (submission.id, submission.index);
        self.links[link].events.push(LinkEvent::Outcome { id, index, outcome });
        let sending = self.wire.get(&(id, index)).map_or(0, |wire| wire.writes);
        self.links[link].late.push((submission, sending));
    }

    fn late_answer(&mut self) {
        let link = self.dice.below(self.links.len() as u64) as usize;
        self.answer_late(link);
    }

    fn answer_late(&mut self, link: usize) {
        let Some(at) = self.dice.pick(&self.links[link].late) else { return };
        let (submission, sending) = self.links[link].late.remove(at);
        let (id, index) = (submission.id, submission.index);
        let before = self.wire.get(&(id, index)).cloned().unwrap_or_default();
        let outcome = self.verdict(link, &submission, false);
        if before.writes > sending {
            // A late answer to a segment that was sent again says nothing of the later sending.
            self.wire.insert((id, index), before);
        }
        self.links[link].events.push(LinkEvent::Late { id, index, lease: submission.lease, outcome });
    }

    fn drop_or_raise_link(&mut self) {
        let at = self.dice.below(self.links.len() as u64) as usize;
        self.toggle(at);
    }

    fn toggle(&mut self, at: usize) {
        if at == MODEM && !self.links[at].up {
            return self.raise_modem();
        }
        let parked = self.dice.chance(20);
        let link = &mut self.links[at];
        link.up = !link.up;
        if link.up {
            link.events.push(LinkEvent::Up);
            return;
        }
        for s in link.unwritten.drain(..) {
            link.events.push(LinkEvent::Outcome { id: s.id, index: s.index, outcome: Outcome::Unwritten });
        }
        for s in link.written.drain(..) {
            let outcome = Outcome::Unknown { why: UnknownWhy::LinkLost };
            link.events.push(LinkEvent::Outcome { id: s.id, index: s.index, outcome });
        }
        link.late.clear();
        self.people.link_dropped(at);
        let reason = String::from("simulated");
        link.events.push(if parked { LinkEvent::Parked { reason } } else { LinkEvent::Down { reason } });
    }

    fn receipt(&mut self) {
        let Some(at) = self.dice.pick(&self.taken) else { return };
        let taken = self.taken[at].clone();
        let failed = Cause::plain(Reason::NetworkUndeliverable);
        let state = match self.dice.below(10) {
            0 => ReceiptState::Pending,
            1 => ReceiptState::Unknown,
            2 => ReceiptState::Failed(failed),
            _ => ReceiptState::Delivered,
        };
        let echo = user_message_reference(taken.submission.id, taken.submission.index);
        let foreign = self.dice.chance(5);
        let named = Some(taken.reference).filter(|reference| *reference != Reference::ABSENT);
        let receipt = Receipt {
            reference: if foreign { Some(Reference("FFFFFFFF".into())) } else { named },
            alternatives: vec![],
            state,
            recipient: self.dice.chance(80).then_some(taken.submission.to),
            user_message_reference: (!foreign && self.dice.chance(30)).then_some(echo),
            raw: None,
        };
        self.inbound(taken.link, Inbound::Receipt(receipt));
    }

    fn inbound(&mut self, link: usize, inbound: Inbound) -> Option<InboundToken> {
        if !self.links[link].up {
            return None;
        }
        self.next_token += 1;
        let token = InboundToken(self.next_token);
        self.inputs.push(Input::Inbound { link, token, inbound });
        Some(token)
    }

    fn pass_time(&mut self) {
        let by = [5, 500, 3_000, 40_000, 400_000][self.dice.below(5) as usize];
        self.clock.advance(Duration::from_millis(1 + self.dice.below(by)));
    }

    fn jump(&mut self) {
        let now = self.clock.now().wall;
        let by = Duration::from_secs(self.dice.below(7200));
        let to = if self.dice.chance(50) { now.saturating_add(by) } else { now.saturating_sub(by) };
        self.clock.jump(to);
    }

    fn disk_condition(&mut self) {
        let low = self.dice.chance(40).then_some(Refusal::DiskLow);
        self.inputs.push(Input::Intake(low));
    }

    /// Lets the core decide on what has come; a crash may come between any two of the effects.
    fn step(&mut self) {
        self.look_ahead();
        let mut inputs = Vec::new();
        for (at, link) in self.links.iter_mut().enumerate() {
            // As in the daemon: what a link said before it handed something up is heard before that.
            let handed_up = |input: &Input| matches!(input, Input::Inbound { link, .. } if *link == at);
            let count = if self.calm || self.inputs.iter().any(handed_up) {
                link.events.len()
            } else {
                self.dice.below(link.events.len() as u64 + 1) as usize
            };
            let events = link.events.drain(..count);
            inputs.extend(events.map(|event| Input::Link { link: at, event }));
        }
        inputs.append(&mut self.inputs);
        self.trace(|| format!("step {inputs:?}"));
        let said = said(&inputs);
        let now = self.clock.now();
        let step = self.core.step(&self.disk.state, inputs, now).unwrap();
        let leased = |(link, s): &(usize, Submission)| format!("{link}: {} {}", s.id, s.index);
        self.trace(|| format!("leased {:?}", step.submissions.iter().map(leased).collect::<Vec<_>>()));
        self.trace(|| {
            format!(
                "controls {:?} up {:?}",
                step.controls,
                self.links.iter().map(|l| l.up).collect::<Vec<_>>()
            )
        });
        if !self.calm && self.dice.chance(2) {
            return self.crash_while_writing(&step);
        }
        self.disk.append(&step.batch, now.wall);
        self.disk.state.apply(&step.batch);
        self.referee(&said, &step.submissions, &step.controls);
        if self.dice.chance(10) {
            self.disk.old = (self.disk.state.clone(), self.disk.at.seq - 1);
        }
        self.watch_resends(&step.batch);
        step.submissions.iter().for_each(|(link, submission)| self.check_link(*link, submission.id));
        let effects = step.submissions.len() + step.controls.len() + step.answers.len();
        let until = if !self.calm && self.dice.chance(2) {
            self.dice.below(effects as u64 + 1) as usize
        } else {
            effects
        };
        self.carry_out(step, until);
        if until < effects {
            self.crash();
        }
        self.check();
    }

    /// None, one or a few looks between two steps.
    fn look_ahead(&mut self) {
        while self.ahead.as_mut().is_some_and(|dice| dice.chance(40)) {
            self.core.look_ahead(&self.disk.state).unwrap();
        }
    }

    /// A policy that sends an unknown again is a permit.
    fn watch_resends(&mut self, batch: &Batch) {
        for (key, value) in &batch.writes {
            let (Some(b'h'), Some(value)) = (key.first(), value) else { continue };
            let head: Head = record::decode(value).unwrap();
            let id = MessageId::from_u64(keys::decode_id(key).unwrap());
            if head.resent
                && matches!(head.state, State::Waiting { why: nudged::message::Deferral::Resend, .. })
            {
                let body = self.body(id);
                assert_eq!(body.on_unknown, OnUnknown::Resend);
                self.permit(id);
            }
        }
    }

    fn crash_while_writing(&mut self, step: &Step) {
        self.tear(&step.batch);
        self.crash();
        self.check();
    }

    /// Some first part of the record reached the disk; not all of it.
    fn tear(&mut self, batch: &Batch) {
        let mut bytes = Vec::new();
        if !batch.is_empty() {
            encode_record(&mut bytes, self.disk.at, self.clock.now().wall, batch);
        }
        let some = self.dice.below(bytes.len() as u64 + 1) as usize;
        // What is missing reads as zeros, so without its last zeros a record would be whole.
        let kept = bytes.iter().rposition(|&byte| byte != 0).unwrap_or(0).min(some);
        self.disk.journal.extend_from_slice(&bytes[..kept]);
    }

    fn carry_out(&mut self, step: Step, until: usize) {
        let mut left = until;
        let mut go = || left.checked_sub(1).map(|rest| left = rest).is_some();
        for (link, submission) in step.submissions {
            if go() {
                assert!(!submission.validity.is_zero(), "{} goes out after its validity", submission.id);
                let link = &mut self.links[link];
                if link.up {
                    link.unwritten.push(submission);
                } else {
                    let (id, index) = (submission.id, submission.index);
                    link.events.push(LinkEvent::Outcome { id, index, outcome: Outcome::Unwritten });
                }
            }
        }
        for (link, control) in step.controls {
            if go() {
                self.control(link, control);
            }
        }
        for answer in step.answers {
            if go() {
                Answer::send(answer);
            }
        }
        self.hear_answers();
    }

    fn control(&mut self, at: usize, control: Control) {
        let link = &mut self.links[at];
        let back: Vec<Submission> = match control {
            Control::Recall(id) => link.unwritten.extract_if(.., |s| s.id == id).collect(),
            Control::RecallAll => link.unwritten.drain(..).collect(),
            Control::Confirm { token, stored } => {
                assert!(stored && self.tokens.insert(token), "an inbound PDU is confirmed once");
                return self.confirmed(token);
            }
            Control::Restart | Control::Stop => Vec::new(),
        };
        for s in back {
            link.events.push(LinkEvent::Outcome { id: s.id, index: s.index, outcome: Outcome::Unwritten });
        }
    }

    fn hear_answers(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            match pending {
                Pending::Accept(mut answer, used) => match answer.try_recv() {
                    Ok(answer) => self.hear_accepted(answer, used),
                    Err(oneshot::error::TryRecvError::Empty) => {
                        self.pending.push(Pending::Accept(answer, used))
                    }
                    Err(oneshot::error::TryRecvError::Closed) => {}
                },
                Pending::Cancel(id, mut answer) => match answer.try_recv() {
                    Ok(Ok(status)) => {
                        assert_eq!(status, Status::Canceled);
                        self.canceled.insert(id);
                    }
                    Ok(Err(refusal)) => assert!(matches!(refusal, Refusal::State(_)), "{refusal}"),
                    Err(oneshot::error::TryRecvError::Empty) => {
                        self.pending.push(Pending::Cancel(id, answer))
                    }
                    Err(oneshot::error::TryRecvError::Closed) => {}
                },
                Pending::Resolve(id, how, mut answer) => {
                    if let Err(oneshot::error::TryRecvError::Empty) = answer.try_recv() {
                        self.pending.push(Pending::Resolve(id, how, answer));
                    }
                }
                Pending::Count(mut answer) => {
                    if let Err(oneshot::error::TryRecvError::Empty) = answer.try_recv() {
                        self.pending.push(Pending::Count(answer));
                    }
                }
                Pending::Pause(mut answer) => {
                    if let Err(oneshot::error::TryRecvError::Empty) = answer.try_recv() {
                        self.pending.push(Pending::Pause(answer));
                    }
                }
            }
        }
    }

    fn hear_accepted(&mut self, answer: AcceptAnswer, used: Vec<Option<u8>>) {
        for (result, key) in answer.results.into_iter().zip(used) {
            match result {
                Ok(accepted) => {
                    self.accepted.insert(accepted.id);
                    if let Some(key) = key {
                        let first = *self.keys.entry(key).or_insert(accepted.id);
                        assert_eq!(first, accepted.id, "one key, one message");
                    }
                }
                Err(refusal) => {
                    assert!(
                        matches!(refusal, Refusal::QueueFull | Refusal::DiskLow | Refusal::NeverValid),
                        "{refusal}"
                    );
                }
            }
        }
    }

    fn crash_idle(&mut self) {
        self.crash();
        self.check();
    }

    /// For replaying a seed: what happened, when `NUDGED_TRACE` is set.
    fn trace(&self, line: impl FnOnce() -> String) {
        if std::env::var_os("NUDGED_TRACE").is_some() {
            eprintln!("{} {}", self.clock.now().wall, line());
        }
    }

    /// The process is gone: links, channels and memory with it. What a client was not answered it does not know.
    fn crash(&mut self) {
        self.trace(|| String::from("crash"));
        let unknown_before = self.count(|head| matches!(head.state, State::Unknown { .. }));
        for link in &mut self.links {
            *link = Link {
                up: true,
                unwritten: vec![],
                written: vec![],
                late: vec![],
                events: vec![LinkEvent::Up],
            };
        }
        self.inputs.clear();
        self.pending.clear();
        self.people.crashed();
        if self.dice.chance(30) {
            // sled is exactly where the journal is.
            self.disk.old = (self.disk.state.clone(), self.disk.at.seq - 1);
        }
        while !self.start() {}
        self.adopt_unanswered();
        let unknown_after = self.count(|head| matches!(head.state, State::Unknown { .. }));
        let windows: usize = WINDOWS.iter().map(|&w| usize::from(w)).sum();
        self.check_all();
        assert!(unknown_after <= unknown_before + windows, "a crash leaves at most the windows unknown");
    }

    /// A start, perhaps by other routes; `false`: it crashed before every message was in its lane.
    fn start(&mut self) -> bool {
        self.disk.replay();
        let now = self.clock.now();
        if self.dice.chance(30) {
            self.routes = self.dice.below(ROUTES) as usize;
        }
        let settings = settings(self.routes);
        self.router = router(&settings);
        self.trace(|| format!("start by routes {}", self.routes));
        let (core, batch) = Core::recover(settings, &self.disk.state, now).unwrap();
        self.core = core;
        if !self.survives(&batch, now.wall) {
            return false;
        }
        loop {
            let most = 1 + self.dice.below(MOST_MOVED) as usize;
            let batch = self.core.move_some(most, &self.disk.state, now).unwrap();
            if batch.is_empty() {
                return true;
            }
            if !self.survives(&batch, now.wall) {
                return false;
            }
        }
    }

    /// Writes what a start decided; `false`: it crashed while it did, or right after.
    fn survives(&mut self, batch: &Batch, now: Timestamp) -> bool {
        if self.dice.chance(3) {
            self.tear(batch);
            return false;
        }
        self.disk.append(batch, now);
        self.disk.state.apply(batch);
        !self.dice.chance(3)
    }

    /// A message whose step was durable but whose client never heard is a message all the same.
    fn adopt_unanswered(&mut self) {
        let bodies = self.disk.state.map.keys().filter(|key| key[0] == b'b');
        self.accepted.extend(bodies.map(|key| MessageId::from_u64(keys::decode_id(key).unwrap())));
        let known = self.disk.state.map.iter().filter(|(key, _)| key[0] == b'h').map(|(key, value)| {
            let head: Head = record::decode(value).unwrap();
            (MessageId::from_u64(keys::decode_id(key).unwrap()), head)
        });
        let canceled =
            known.filter(|(_, head)| matches!(head.state, State::Closed { how: Final::Canceled, .. }));
        self.canceled.extend(canceled.map(|(id, _)| id));
        self.check_people();
    }

    fn body(&self, id: MessageId) -> Body {
        record::decode(&self.disk.state.map[&keys::body(id)]).unwrap()
    }

    fn head(&self, id: MessageId) -> Head {
        let stored = self.disk.state.map.get(&keys::head(id));
        stored.map_or_else(|| Head::accepted(&self.body(id)), |bytes| record::decode(bytes).unwrap())
    }

    fn count(&self, wanted: impl Fn(&Head) -> bool) -> usize {
        let heads = self.disk.state.map.iter().filter(|(key, _)| key[0] == b'h');
        heads.filter(|(_, value)| wanted(&record::decode(value).unwrap())).count()
    }

    /// What must hold after every step.
    fn check(&mut self) {
        for (at, link) in self.links.iter().enumerate() {
            let outcomes = link.events.iter().filter(|e| matches!(e, LinkEvent::Outcome { .. })).count();
            let open = link.unwritten.len() + link.written.len() + outcomes;
            assert!(open <= usize::from(WINDOWS[at]), "link {at} has {open} of a window of {}", WINDOWS[at]);
        }
        for id in &self.accepted {
            assert!(self.disk.state.map.contains_key(&keys::body(*id)), "{id} was accepted and is gone");
        }
        // These read every message, so not after each step.
        self.steps += 1;
        if self.steps.is_multiple_of(FULL_CHECK_EVERY) {
            self.check_all();
        }
    }

    fn check_all(&self) {
        self.check_places();
        self.check_counters();
        self.check_order();
        self.check_receipts();
        self.check_ends();
        self.check_replies();
        self.check_modem();
        self.check_airings();
    }

    fn heads(&self) -> impl Iterator<Item = (MessageId, Head)> {
        let heads = self.disk.state.map.iter().filter(|(key, _)| key[0] == b'h');
        heads.map(|(key, value)| {
            (MessageId::from_u64(keys::decode_id(key).unwrap()), record::decode(value).unwrap())
        })
    }

    /// What the carrier took is never shown as not sent, unless a person said so: at worst it is unknown.
    fn check_ends(&self) {
        for Taken { submission: Submission { id, index, .. }, .. } in &self.taken {
            let head = self.head(*id);
            let State::Closed { how, .. } = &head.state else { continue };
            let by_person = how.cause().is_some_and(|cause| cause.reason == Reason::OperatorFailed);
            let mut states = head.attempts.iter().filter_map(|a| a.segments.get(usize::from(*index)));
            assert!(by_person || states.any(SegmentState::is_out), "{id} {index} was taken, but {head:?}");
            assert!(!matches!(how, Final::Canceled), "{id} {index} was taken, but {head:?}");
        }
    }

    /// What awaits a receipt has a key by which it comes, or by which the sweep says that it never came.
    fn check_receipts(&self) {
        let receipts = self.disk.state.map.keys().filter(|key| key[0] == b'r');
        let awaited: BTreeSet<MessageId> = receipts.map(|key| keys::decode_receipt(key).unwrap().0).collect();
        for (key, value) in self.disk.state.map.iter().filter(|(key, _)| key[0] == b'h') {
            let id = MessageId::from_u64(keys::decode_id(key).unwrap());
            let head: Head = record::decode(value).unwrap();
            let awaits = matches!(head.state, State::Sent { receipt: ReceiptWait::Until(_), .. });
            assert!(!awaits || awaited.contains(&id), "{id} awaits a receipt that nothing finds: {head:?}");
        }
    }

    /// A waiting message is in exactly one lane, or leased; nothing else is in a lane.
    fn check_places(&self) {
        let mut in_lane = BTreeMap::new();
        let mut leased = BTreeSet::new();
        for (key, value) in &self.disk.state.map {
            match key[0] {
                b'l' => {
                    let key = keys::LaneKey::decode(key).unwrap();
                    in_lane.entry(key.id).or_insert_with(Vec::new).push(key.lane);
                }
                b'x' => {
                    let lease: nudged::engine::core::Lease = record::decode(value).unwrap();
                    leased.extend(lease.entries.into_iter().map(|entry| entry.id));
                }
                _ => {}
            }
        }
        for key in self.disk.state.map.keys().filter(|key| key[0] == b'b') {
            let id = MessageId::from_u64(keys::decode_id(key).unwrap());
            let (head, places) = (self.head(id), in_lane.remove(&id).unwrap_or_default());
            match head.state {
                State::Waiting { .. } if places.is_empty() => {
                    assert!(leased.contains(&id), "{id} waits nowhere")
                }
                State::Waiting { .. } => {
                    let own = self.router.lane(&self.body(id), head.bound_to());
                    assert_eq!(places, Vec::from_iter(own), "{id} waits in its lane alone");
                }
                State::Leased { .. } => assert!(leased.contains(&id), "{id} is leased without a lease"),
                state => assert!(places.is_empty(), "{id} is {state:?} and in a lane"),
            }
        }
        assert!(in_lane.is_empty());
    }

    /// Only a link that the routes, its own wish or what is out of it allow gets a message.
    fn check_link(&self, link: usize, id: MessageId) {
        let lane = self.router.lane(&self.body(id), self.head(id).bound_to()).unwrap();
        let via = &self.router.lanes()[&lane].via;
        let name = &settings(self.routes).links[link].name;
        assert!(via.contains(name), "{id} goes by {name}, not by {via:?}");
    }

    fn check_counters(&self) {
        let Some(bytes) = self.disk.state.map.get(&keys::core("counters")) else { return };
        let counters: nudged::engine::core::Counters = record::decode(bytes).unwrap();
        let mut found = [0u64; Status::ALL.len()];
        let open: BTreeSet<MessageId> = self
            .links
            .iter()
            .flat_map(|l| l.unwritten.iter().chain(&l.written).map(|s| s.id))
            .chain(self.links.iter().flat_map(|l| &l.events).filter_map(|event| match event {
                LinkEvent::Outcome { id, .. } => Some(*id),
                _ => None,
            }))
            .collect();
        for key in self.disk.state.map.keys().filter(|key| key[0] == b'b') {
            let id = MessageId::from_u64(keys::decode_id(key).unwrap());
            let head = self.head(id);
            let status = match nudged::engine::core::counted(&self.body(id), &head) {
                Status::Queued | Status::Scheduled if open.contains(&id) => Status::Sending,
                status => status,
            };
            found[status as usize] += 1;
        }
        assert_eq!(found, counters.by_status, "the counters are the sum of the messages");
    }

    /// Of one number's plain messages a later one is never out before an earlier one that is still queued.
    fn check_order(&self) {
        let mut queued: BTreeMap<Msisdn, MessageId> = BTreeMap::new();
        for &id in &self.accepted {
            let body = self.body(id);
            let plain = body.due == AT_ONCE && body.link.is_none() && body.priority == Priority::default();
            if !plain {
                continue;
            }
            let head = self.head(id);
            let first_try = head.attempts.is_empty() && !self.wire.contains_key(&(id, 0));
            let waits = matches!(head.state, State::Waiting { .. }) && !self.is_open(id);
            let out = self.wire.get(&(id, 0)).is_some_and(|wire| wire.writes > 0);
            if let Some(earlier) = queued.get(&body.to) {
                assert!(
                    !out,
                    "{id} went out before {earlier}, which is queued for the same number: {:?} {:?}",
                    self.head(id),
                    self.head(*earlier)
                );
            }
            if waits && first_try {
                queued.entry(body.to).or_insert(id);
            }
        }
    }

    fn is_open(&self, id: MessageId) -> bool {
        self.links.iter().any(|l| l.unwritten.iter().chain(&l.written).any(|s| s.id == id))
    }

    /// No more trouble: everything must come to an end, and every wait must have one.
    pub fn run_out(&mut self) {
        self.calm = true;
        for link in 0..self.links.len() {
            if !self.links[link].up {
                self.toggle(link);
            }
        }
        self.resume_or_pause_for_good();
        self.inputs.push(Input::Intake(None));
        // Where the wall clock went back, a validity may end later than one of now would.
        let now = self.clock.now().wall;
        let last = self.accepted.iter().map(|&id| self.body(id).valid_until).fold(now, Timestamp::max);
        let over = last.saturating_add(LONG_ENOUGH);
        while self.clock.now().wall < over {
            self.step();
            for link in 0..self.links.len() {
                while !self.links[link].unwritten.is_empty() {
                    let submission = self.links[link].unwritten.remove(0);
                    self.on_the_wire(link, &submission);
                    self.links[link].written.push(submission);
                }
                while let Some(submission) = self.links[link].written.pop() {
                    let outcome = self.verdict(link, &submission, true);
                    let (id, index) = (submission.id, submission.index);
                    self.links[link].events.push(LinkEvent::Outcome { id, index, outcome });
                }
            }
            self.clock.advance(Duration::from_secs(300));
        }
        for &id in &self.accepted {
            let head = self.head(id);
            let ended =
                matches!(head.state, State::Sent { .. } | State::Closed { .. } | State::Unknown { .. });
            assert!(ended, "{id} is left {:?}", head.state);
            if let State::Sent { .. } = head.state {
                // A late answer is recorded where it belongs, which need not be the last attempt.
                let out = |at| {
                    let mut states = head.attempts.iter().filter_map(|a| a.segments.get(usize::from(at)));
                    states.any(SegmentState::is_out)
                };
                assert!((0..self.body(id).segment_count).all(out), "{id} is sent but {head:?}");
            }
            if let State::Unknown { .. } = head.state {
                assert!(self.wire.contains_key(&(id, 0)) || self.leased_once(&head), "{id}");
            }
        }
        self.check_all();
        self.check_assembled();
        let leases = self.disk.state.map.keys().filter(|key| key[0] == b'x').count();
        assert_eq!(leases, 0, "every lease ends");
    }

    /// A pause that nobody ends must leave nothing waiting either, once all validities are over.
    fn resume_or_pause_for_good(&mut self) {
        let pause = self.dice.chance(30);
        for link in [None, Some("alpha".into())] {
            let (reply, _) = oneshot::channel();
            let by = "sim".into();
            self.inputs.push(Input::Command(if pause {
                Command::Pause { link, by, reply }
            } else {
                Command::Resume { link, by, reply }
            }));
        }
    }

    fn leased_once(&self, head: &Head) -> bool {
        !head.attempts.is_empty()
    }
}
