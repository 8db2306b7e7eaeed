//! One connected life of a modem: the AT dialogue, without I/O or clock (3GPP TS 27.005, 27.007; modem.md section 3).
//!
//! ```text
//! Init -- every setting made --> Ready -- stop --> Draining -- answered --> Finished
//!   ^-- boot lines, echo, text mode --'  `-- silence, SIM trouble, parked -----^
//! ```
//! Invariants:
//! * One command is on the wire at a time, and an answer belongs to it only while it is. After a silence the
//!   modem is asked something whose answer is known by its name, before anything else is written.
//! * What is written next is decided when the driver asks for output, so a recall before that always wins.
//! * A segment may have gone out from the moment [`Session::poll_output`] has returned its PDU with Ctrl-Z, and
//!   never before it; a prompt is left by ESC, never by Ctrl-Z.
//! * What was read goes before what is sent: a STOP is in the core before the next segment is begun.
//! * A place in a memory is freed only after the core confirmed what was read from it.
//! * Every submission gets exactly one outcome.
//!
//! Setting up is `init.rs`, the send transaction `send.rs`, memories and messages `receive.rs`, registration and
//! signal `network.rs`; lines are `lines.rs`, and what comes unasked `unasked.rs`.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::carried::{Carried, Late, LateWhy};
use super::command::{Answer, Command, Info, LATE};
use super::init::Init;
use super::lines::{Expect, Heard, Reader};
use super::network::{Chores, Query, Standing};
use super::profile::Profile;
use super::receive::{Errand, Inbox};
use super::send::Sending;
use super::submit::{Item, encode};
use crate::config::Modem;
use crate::id::MessageId;
use crate::link::session::{Close, Session, SessionEvent};
use crate::link::{InboundToken, LinkEvent, ModemStatus, Outcome, Submission};
use crate::message::{Cause, Reason, UnknownWhy};
use crate::pace::Pace;
use crate::retry::RetryClass;

/// Whatever a modem was in the middle of when the port was opened, it has said by then.
pub(super) const DRAIN: Duration = Duration::from_millis(100);
/// A modem that has just started gets this long before it is spoken to.
const AFTER_BOOT: Duration = Duration::from_millis(500);
/// How long a probe waits for its answer, and how many are sent.
const PROBE: Duration = Duration::from_secs(1);
const PROBES: u8 = 3;
/// This many commands in a row without an answer: the port is opened anew.
const SILENCES: u8 = 2;
/// Restarts of the modem within one session; a modem with too weak a power supply restarts for ever.
const MAX_RESTARTS: u8 = 5;
/// How long a stop waits for the segment on the wire; as long as the daemon's own stop does.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// Its answer has a name of its own, so it is known from any other that is late.
const PROBE_COMMAND: &str = "AT+CMGF?";
const PROBE_PREFIX: &str = "+CMGF:";
const ESC: u8 = 0x1B;

/// The session of one modem.
pub struct ModemSession {
    pub(super) config: Arc<Modem>,
    pub(super) pace: Pace,
    pub(super) carried: Carried,
    pub(super) profile: &'static Profile,
    pub(super) phase: Phase,
    pub(super) wire: Wire,
    reader: Reader,
    /// What the driver takes next.
    pub(super) output: BytesMut,
    events: VecDeque<SessionEvent>,
    pub(super) status: ModemStatus,
    published: ModemStatus,
    /// An answer that nobody awaits any more may still come.
    pub(super) out_of_step: bool,
    /// Commands in a row that were not answered.
    silences: u8,
    /// The OK behind a late +CMGS is not the one that is awaited.
    pub(super) late_ok: bool,
    /// It repeats what is written although it was told not to.
    pub(super) echoes: bool,
    restarts: u8,
    pub(super) queue: VecDeque<Item>,
    pub(super) sender: super::send::Sender,
    pub(super) inbox: Inbox,
    pub(super) standing: Standing,
    pub(super) chores: Chores,
    pub(super) next_token: u64,
}

#[derive(Debug)]
pub(super) enum Phase {
    Init(Init),
    Ready,
    /// Nothing new; what is on the wire has until then.
    Draining {
        until: Instant,
    },
    Finished,
}

#[derive(Debug)]
pub(super) enum Wire {
    Quiet,
    /// Nothing is written before then, and what is heard is dropped.
    Resting {
        until: Instant,
    },
    Asked {
        command: Command,
        purpose: Purpose,
        lines: Vec<Info>,
        until: Instant,
    },
    Probing {
        until: Instant,
        tries: u8,
        heard: Probed,
    },
    Sending(Sending),
}

/// What a probe has heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probed {
    Nothing,
    /// The end of some answer, perhaps of an earlier command.
    AnEnd,
    /// Its own answer, with the mode.
    Mode(u8),
}

/// Why a command was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Init,
    Errand(Errand),
    Query(Query),
    /// AT+CMMS=2.
    Hold,
    /// AT+CMMS=0.
    Release,
}

/// A listing of more than this is read on at the next sweep.
const MAX_LINES: usize = 1024;

impl ModemSession {
    /// Begins by clearing the line. `pace` is the link's, `carried` too; `first_token` begins a range of tokens
    /// that no other session of this link uses.
    pub fn new(
        config: Arc<Modem>,
        pace: Pace,
        carried: Carried,
        first_token: u64,
        now: Instant,
    ) -> ModemSession {
        let profile = Profile::of(config.vendor, None);
        let mut session = ModemSession {
            config,
            pace,
            carried,
            profile,
            phase: Phase::Init(Init::default()),
            wire: Wire::Quiet,
            reader: Reader::default(),
            output: BytesMut::new(),
            events: VecDeque::new(),
            status: ModemStatus::default(),
            published: ModemStatus::default(),
            out_of_step: false,
            silences: 0,
            late_ok: false,
            echoes: false,
            restarts: 0,
            queue: VecDeque::new(),
            sender: super::send::Sender::default(),
            inbox: Inbox::default(),
            standing: Standing::Unknown,
            chores: Chores::new(now),
            next_token: first_token,
        };
        session.clear_line();
        session.wire = Wire::Resting { until: now + DRAIN };
        session
    }

    pub(super) fn emit(&mut self, event: LinkEvent) {
        self.events.push_back(SessionEvent::Link(event));
    }

    pub(super) fn push_event(&mut self, event: SessionEvent) {
        self.events.push_back(event);
    }

    pub(super) fn outcome(&mut self, item: &Item, outcome: Outcome) {
        self.emit(LinkEvent::Outcome { id: item.id, index: item.index, outcome });
    }

    /// Leaves a prompt, and ends a line that was begun.
    pub(super) fn clear_line(&mut self) {
        self.output.extend_from_slice(&[ESC, b'\r']);
    }

    pub(super) fn write_line(&mut self, line: &str) {
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r");
        self.reader.wrote(line);
    }

    /// The PDU and Ctrl-Z may come back too.
    pub(super) fn expect_echo(&mut self, text: &str) {
        self.reader.wrote(text);
    }

    pub(super) fn ask(&mut self, command: Command, purpose: Purpose, now: Instant) {
        self.write_line(&command.text.clone());
        let until = now + command.limit;
        self.wire = Wire::Asked { command, purpose, lines: Vec::new(), until };
    }

    pub(super) fn unwrite(&mut self, which: impl Fn(&Item) -> bool) {
        let (gone, kept) = std::mem::take(&mut self.queue).into_iter().partition(which);
        self.queue = kept;
        let gone: VecDeque<Item> = gone;
        for item in &gone {
            self.outcome(item, Outcome::Unwritten);
        }
    }

    /// Ends the session; what is on the wire gets its outcome when the driver closes.
    pub(super) fn finish(&mut self, reason: String) {
        if !matches!(self.phase, Phase::Finished) {
            self.unwrite(|_| true);
            self.phase = Phase::Finished;
            self.events.push_back(SessionEvent::Finished { reason });
        }
    }

    /// Ends it until a person has done something.
    pub(super) fn park(&mut self, reason: String) {
        self.unwrite(|_| true);
        self.status.last_error = Some(reason.clone());
        self.emit(LinkEvent::Parked { reason: reason.clone() });
        self.finish(reason);
    }

    /// The modem does not answer: the port is opened anew, and if that did not help before, it is reset first.
    pub(super) fn stall(&mut self, reason: &str, now: Instant) {
        if matches!(self.phase, Phase::Finished) {
            return;
        }
        let reset = self.carried.stalled(now);
        tracing::warn!(event = "modem_stalled", link = %self.config.name, reset, reason);
        self.status.last_error = Some(reason.to_owned());
        // A segment may be on the wire, and a reset would not bring its answer.
        if reset && !self.is_submitted() {
            self.clear_line();
            self.write_line(self.profile.reset);
        }
        self.finish(reason.to_owned());
    }

    /// The modem lost its settings: everything outstanding is settled and it is set up anew.
    pub(super) fn restart(&mut self, why: &str, now: Instant) {
        tracing::warn!(event = "modem_restarted", link = %self.config.name, why = %why.escape_debug());
        self.restarts += 1;
        self.settle_all(UnknownWhy::LinkLost, None, now);
        self.carried.restarted();
        self.go_down(format!("the modem restarted: {why}"));
        if self.restarts > MAX_RESTARTS {
            return self.finish(String::from("the modem restarts again and again; look at its power supply"));
        }
        self.status.last_error = Some(format!("restarted: {why}"));
        self.inbox.forget();
        self.sender.forget();
        self.output.clear();
        self.reader.restarted();
        (self.out_of_step, self.silences, self.late_ok, self.echoes) = (false, 0, false, false);
        self.phase = Phase::Init(Init::default());
        self.wire = Wire::Resting { until: now + AFTER_BOOT };
    }

    /// Everything submitted gets its outcome. `late`: its answer may still come.
    pub(super) fn settle_all(&mut self, why: UnknownWhy, late: Option<LateWhy>, now: Instant) {
        if let Wire::Sending(sending) = std::mem::replace(&mut self.wire, Wire::Quiet) {
            self.settle_sending(sending, why, late, now);
        }
        self.unwrite(|_| true);
    }

    pub(super) fn await_late(&mut self, item: &Item, why: LateWhy, now: Instant) {
        let Item { id, index, lease, .. } = *item;
        self.carried.push_late(Late { id, index, lease, until: now + LATE, why });
    }

    fn is_submitted(&self) -> bool {
        matches!(&self.wire, Wire::Sending(sending) if sending.is_submitted())
    }

    fn expect(&self) -> Expect {
        match &self.wire {
            Wire::Quiet | Wire::Resting { .. } => Expect::Nothing,
            Wire::Asked { command, .. } => command.expect,
            Wire::Probing { .. } => Expect::Prefixed(PROBE_PREFIX),
            Wire::Sending(sending) => sending.expect(),
        }
    }

    fn hear(&mut self, heard: Heard, now: Instant) {
        match heard {
            Heard::Urc(urc) => return self.announced(urc, now),
            Heard::LateReference(line) => return self.late_reference(&line, now),
            Heard::Echo => return self.echoed(now),
            Heard::Noise if matches!(self.phase, Phase::Ready) => return self.chores.odd(now),
            Heard::Noise => return,
            Heard::Ok if std::mem::take(&mut self.late_ok) => return,
            Heard::Prompt | Heard::Ok | Heard::Failed(_) | Heard::Info { .. } => {}
        }
        match &mut self.wire {
            // An OK too many, or one that comes too late: it is nobody's.
            Wire::Resting { .. } => {}
            Wire::Quiet => self.late_fault(heard, now),
            Wire::Asked { .. } => self.hear_answer(heard, now),
            Wire::Probing { .. } => self.hear_probe(heard, now),
            Wire::Sending(_) => self.hear_sending(heard, now),
        }
    }

    fn hear_answer(&mut self, heard: Heard, now: Instant) {
        let Wire::Asked { command, lines, until, .. } = &mut self.wire else { return };
        match heard {
            Heard::Info { head, body } if lines.len() < MAX_LINES => {
                // A listing may be long; everything else is one line.
                if matches!(command.expect, Expect::Bodies(_)) {
                    *until = now + command.limit;
                }
                lines.push(Info { head, body });
            }
            Heard::Ok => {
                let answer = Answer::Ok(std::mem::take(lines));
                self.answered(answer, now);
            }
            Heard::Failed(fault) => self.answered(Answer::Failed(fault), now),
            _ => {}
        }
    }

    fn answered(&mut self, answer: Answer, now: Instant) {
        let Wire::Asked { purpose, command, .. } = std::mem::replace(&mut self.wire, Wire::Quiet) else {
            return;
        };
        self.reader.answer_over();
        if let (Phase::Init(init), Answer::Ok(_)) = (&mut self.phase, &answer) {
            init.answered(self.echoes);
        }
        match &answer {
            Answer::Silent => {
                self.silences += 1;
                self.out_of_step = true;
                self.status.last_error = Some(format!("{command} was not answered"));
            }
            Answer::Failed(fault) if !matches!(self.phase, Phase::Init(_)) => {
                self.silences = 0;
                self.status.last_error = Some(format!("{command}: {fault}"));
            }
            Answer::Failed(_) | Answer::Ok(_) => self.silences = 0,
        }
        let attention = matches!(&self.phase, Phase::Init(init) if init.is_calling());
        if self.silences >= SILENCES && !attention {
            return self.stall("the modem does not answer", now);
        }
        match purpose {
            Purpose::Init => self.init_answered(answer, now),
            Purpose::Errand(errand) => self.errand_answered(errand, answer, now),
            Purpose::Query(query) => self.query_answered(query, answer, now),
            Purpose::Hold => self.sender.held(matches!(answer, Answer::Ok(_))),
            Purpose::Release => self.sender.released(),
        }
    }

    fn hear_probe(&mut self, heard: Heard, now: Instant) {
        let Wire::Probing { heard: so_far, .. } = &mut self.wire else { return };
        match heard {
            Heard::Info { head, .. } => {
                let mode = head.trim_start_matches(PROBE_PREFIX).trim();
                *so_far = Probed::Mode(mode.parse().unwrap_or_default());
            }
            Heard::Ok | Heard::Failed(_) => match *so_far {
                Probed::Mode(mode) => self.in_step(mode, now),
                Probed::Nothing | Probed::AnEnd => *so_far = Probed::AnEnd,
            },
            _ => {}
        }
    }

    fn in_step(&mut self, mode: u8, now: Instant) {
        self.wire = Wire::Quiet;
        self.out_of_step = false;
        if matches!(self.phase, Phase::Init(_)) {
            // It is there; it leaves unanswered what it does not know, and what is needed is asked again.
            self.silences = 0;
        } else {
            self.chores.odd(now);
        }
        if mode != 0 && !matches!(self.phase, Phase::Init(_)) {
            self.restart("it is in text mode", now);
        }
    }

    fn probe(&mut self, tries: u8, now: Instant) {
        self.clear_line();
        self.write_line(PROBE_COMMAND);
        self.wire = Wire::Probing { until: now + PROBE, tries, heard: Probed::Nothing };
    }

    /// Decides what is written next.
    fn advance(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Finished) {
            return;
        }
        if let Wire::Sending(_) = self.wire {
            return self.write_pdu(now);
        }
        if !matches!(self.wire, Wire::Quiet) {
            return;
        }
        if self.out_of_step {
            return self.probe(1, now);
        }
        match self.phase {
            Phase::Init(_) => self.ask_init(now),
            Phase::Ready => self.advance_ready(now),
            Phase::Draining { .. } if self.sender.is_holding() => {
                self.ask(Command::plain("AT+CMMS=0"), Purpose::Release, now);
            }
            Phase::Draining { .. } => self.finish(String::from("stopped")),
            Phase::Finished => {}
        }
    }

    fn advance_ready(&mut self, now: Instant) {
        if self.errand(now) || self.stand(now) || self.send_next(now) {
            return;
        }
        self.do_chore(now);
    }

    fn wire_timed_out(&mut self, now: Instant) {
        match &self.wire {
            Wire::Resting { until } if now >= *until => self.wire = Wire::Quiet,
            Wire::Asked { until, .. } if now >= *until => self.answered(Answer::Silent, now),
            Wire::Probing { until, tries, heard } if now >= *until => match heard {
                Probed::Nothing if *tries >= PROBES => self.stall("the modem does not answer", now),
                Probed::Nothing => {
                    let tries = *tries + 1;
                    self.probe(tries, now);
                }
                // It answers, and does not know the question.
                Probed::AnEnd | Probed::Mode(_) => self.in_step(0, now),
            },
            Wire::Sending(_) => self.sending_timed_out(now),
            Wire::Quiet | Wire::Resting { .. } | Wire::Asked { .. } | Wire::Probing { .. } => {}
        }
    }

    fn wire_deadline(&self, now_idle: impl FnOnce() -> Option<Instant>) -> Option<Instant> {
        match &self.wire {
            Wire::Quiet => now_idle(),
            Wire::Resting { until } | Wire::Asked { until, .. } | Wire::Probing { until, .. } => Some(*until),
            Wire::Sending(sending) => sending.deadline(),
        }
    }

    fn publish(&mut self) {
        self.status.storage = self.inbox.storage();
        if self.status != self.published {
            self.published = self.status.clone();
            self.events.push_back(SessionEvent::Modem(Box::new(self.status.clone())));
        }
    }
}

/// Without what waits to be written: it may hold texts, numbers and the PIN.
impl fmt::Debug for ModemSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModemSession")
            .field("link", &self.config.name)
            .field("phase", &self.phase)
            .field("standing", &self.standing)
            .field("waiting", &self.queue.len())
            .finish_non_exhaustive()
    }
}

impl Session for ModemSession {
    fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        if matches!(self.phase, Phase::Finished) {
            return;
        }
        self.reader.push(bytes);
        while let Some(heard) = self.reader.hear(self.expect()) {
            self.hear(heard, now);
            if matches!(self.phase, Phase::Finished) {
                break;
            }
        }
        self.publish();
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Phase::Draining { until } = self.phase
            && now >= until
        {
            self.settle_all(UnknownWhy::NoAnswer, Some(LateWhy::Connection), now);
            self.finish(String::from("stopped"));
        }
        if !matches!(self.phase, Phase::Finished) {
            self.wire_timed_out(now);
            self.publish();
        }
    }

    fn handle_close(&mut self, _why: Close, now: Instant) {
        self.settle_all(UnknownWhy::LinkLost, Some(LateWhy::Connection), now);
        self.output.clear();
        self.phase = Phase::Finished;
    }

    fn stop(&mut self, now: Instant) {
        self.unwrite(|_| true);
        match self.phase {
            Phase::Init(_) => self.finish(String::from("stopped")),
            Phase::Ready => {
                self.phase = Phase::Draining { until: now + STOP_LIMIT };
                self.recall_sending(|_| true, now);
            }
            Phase::Draining { .. } | Phase::Finished => {}
        }
    }

    fn submit(&mut self, submission: Submission, _now: Instant) {
        let Submission { id, index, .. } = submission;
        if !matches!(self.phase, Phase::Ready) || !self.standing.is_announced_up() {
            return self.emit(LinkEvent::Outcome { id, index, outcome: Outcome::Unwritten });
        }
        match encode(&submission, &self.config) {
            Ok(item) => self.queue.push_back(item),
            Err(why) => {
                tracing::warn!(event = "segment_not_encoded", link = %self.config.name, %id, error = %why);
                let cause = Cause::plain(Reason::InternalEncoding);
                let outcome = Outcome::Refused { cause, retry: RetryClass::Permanent };
                self.emit(LinkEvent::Outcome { id, index, outcome });
            }
        }
    }

    fn recall(&mut self, id: MessageId, now: Instant) {
        self.unwrite(|item| item.id == id);
        self.recall_sending(|item| item.id == id, now);
    }

    fn recall_all(&mut self, now: Instant) {
        self.unwrite(|_| true);
        self.recall_sending(|_| true, now);
    }

    fn confirm(&mut self, token: InboundToken, _now: Instant) {
        self.inbox.confirmed(token);
    }

    fn refuse(&mut self, token: InboundToken, now: Instant) {
        if !self.inbox.refused(token, now) {
            tracing::error!(event = "inbound_dropped", link = %self.config.name);
            self.status.last_error = Some(String::from("reports came faster than they could be stored"));
        }
    }

    fn poll_output(&mut self, now: Instant) -> Option<Bytes> {
        self.advance(now);
        (!self.output.is_empty()).then(|| self.output.split().freeze())
    }

    fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let wire = self.wire_deadline(|| match self.phase {
            Phase::Ready => self.idle_deadline(),
            Phase::Init(_) | Phase::Draining { .. } | Phase::Finished => None,
        });
        match self.phase {
            Phase::Finished => None,
            Phase::Draining { until } => Some(wire.map_or(until, |wire| wire.min(until))),
            Phase::Init(_) | Phase::Ready => wire,
        }
    }

    fn in_flight(&self) -> u16 {
        u16::from(self.is_submitted())
    }

    fn pace(&self) -> Option<f64> {
        self.pace.per_second()
    }
}

impl ModemSession {
    /// The modem answered a submit: it is alive.
    pub(super) fn answered_a_submit(&mut self) {
        self.silences = 0;
    }

    /// It did not; that counts like any silence.
    pub(super) fn submit_unanswered(&mut self, now: Instant) {
        self.silences += 1;
        self.out_of_step = true;
        self.status.last_error = Some(String::from("AT+CMGS was not answered"));
        if self.silences >= SILENCES {
            self.stall("the modem does not answer", now);
        }
    }
}
