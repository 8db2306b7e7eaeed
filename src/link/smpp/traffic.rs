//! What each PDU of the SMSC does to the session: responses settle, requests are answered.
//!
//! A PDU that cannot be read or is not for us costs an error response and nothing else: the session
//! stays bound and in step. A response is never answered, whatever is wrong with it.

use std::time::Instant;

use super::deliver;
use super::frame::Frame;
use super::pdu::{self, id, status};
use super::session::{Enquiry, Farewell, SmppSession, State};
use super::status::{Meaning, bind_refusal, meaning, parks_bind};
use super::window::{Answered, Segment};
use crate::link::session::SessionEvent;
use crate::link::{INBOUND_CAPACITY, InboundToken, LinkEvent, Outcome};
use crate::message::{Cause, RawCode, Reason, Reference};
use crate::retry::RetryClass;

/// So often one segment is throttled before it is handed back: with a pace that halves at each round trip, a
/// carrier that still says no then is not slow but closed, and the message may wait elsewhere. It costs no try.
pub const MAX_THROTTLES: u8 = 20;
/// Requests of the SMSC that may wait for the core: beyond this it is told to keep them. As many as the
/// driver hands up, because more would be refused there.
const MAX_INBOUND: usize = INBOUND_CAPACITY;

impl SmppSession {
    pub(super) fn handle_frame(&mut self, frame: &Frame, now: Instant) {
        if let State::Binding { sequence, .. } = self.state {
            return self.handle_frame_unbound(frame, sequence, now);
        }
        match frame.header.id {
            SUBMIT_SM_RESP | id::GENERIC_NACK => self.answered(frame, now),
            id::DELIVER_SM | id::DATA_SM => self.delivered(frame, now),
            ENQUIRE_LINK_RESP => self.enquiry_answered(frame.header.sequence, now),
            UNBIND_RESP => self.unbound(),
            id::UNBIND => {
                self.say(UNBIND_RESP, status::OK, frame.header.sequence);
                self.leave("the SMSC said unbind".into(), Farewell::Close, now);
                self.forget_own_farewell();
            }
            _ => self.handle_other(frame, now),
        }
    }

    fn handle_frame_unbound(&mut self, frame: &Frame, sequence: u32, now: Instant) {
        let header = frame.header;
        match header.id {
            BIND_TRANSCEIVER_RESP | id::GENERIC_NACK if header.sequence == sequence => match header.status {
                status::OK if header.id == BIND_TRANSCEIVER_RESP => {
                    self.state = State::Bound;
                    self.enquiry = Enquiry::Idle { heard_at: now };
                    self.emit(LinkEvent::Up);
                }
                refused => {
                    let reason = bind_refusal(refused);
                    if parks_bind(refused) {
                        self.emit(LinkEvent::Parked { reason: reason.clone() });
                    }
                    self.finish(reason);
                }
            },
            id::DELIVER_SM | id::DATA_SM => {
                self.say(header.id | id::RESPONSE, status::WRONG_STATE, header.sequence);
            }
            id::UNBIND => {
                self.say(UNBIND_RESP, status::OK, header.sequence);
                self.finish("the SMSC said unbind instead of answering the bind".into());
            }
            _ => self.handle_other(frame, now),
        }
    }

    /// What is handled alike in every state.
    fn handle_other(&mut self, frame: &Frame, now: Instant) {
        let (header, name) = (frame.header, &self.config.name);
        match header.id {
            id::ENQUIRE_LINK => self.say(ENQUIRE_LINK_RESP, status::OK, header.sequence),
            id::OUTBIND => {
                if self.oddities.tell(name, now) {
                    tracing::info!(event = "outbind_ignored", link = %name);
                }
            }
            id::ALERT_NOTIFICATION => {
                if self.oddities.tell(name, now) {
                    tracing::info!(event = "alert_notification", link = %name);
                }
            }
            response if response & id::RESPONSE != 0 => {
                if self.oddities.tell(name, now) {
                    tracing::warn!(event = "response_unexpected", link = %name, command = response, sequence = header.sequence);
                }
            }
            known if id::NOT_FOR_US.contains(&known) => {
                self.say(known | id::RESPONSE, status::WRONG_STATE, header.sequence);
            }
            unknown => {
                if self.oddities.tell(name, now) {
                    tracing::warn!(event = "command_unknown", link = %name, command = unknown);
                }
                self.say(id::GENERIC_NACK, status::INVALID_COMMAND_ID, header.sequence);
            }
        }
    }

    /// A submit_sm_resp, or a generic_nack that stands for one.
    fn answered(&mut self, frame: &Frame, now: Instant) {
        let header = frame.header;
        let outcome = match header.id {
            SUBMIT_SM_RESP => meaning(header.status, &self.config.status),
            _ => self.nack_meaning(header.status),
        };
        match self.window.answer(header.sequence) {
            Answered::InTime { segment, sent_at } => {
                let after = now.saturating_duration_since(sent_at);
                self.push_event(SessionEvent::Answered { after });
                self.settle(segment, outcome, frame, sent_at, now);
            }
            Answered::Late { id, index, lease } => {
                let outcome = settled(outcome, frame);
                self.emit(LinkEvent::Late { id, index, lease, outcome });
            }
            Answered::Nothing => self.answer_to_nothing(frame, now),
        }
        if matches!(self.state, State::Draining { .. }) {
            self.drained(now);
        }
    }

    /// A generic_nack with status 0 refuses all the same.
    fn nack_meaning(&self, command_status: u32) -> Meaning {
        match meaning(command_status, &self.config.status) {
            Meaning::Accepted => Meaning::Refused {
                cause: Cause::new(Reason::SmscUnknownCode, RawCode::CommandStatus(command_status)),
                retry: RetryClass::Temporary,
            },
            other => other,
        }
    }

    fn settle(&mut self, segment: Segment, meaning: Meaning, frame: &Frame, sent_at: Instant, now: Instant) {
        match &meaning {
            Meaning::Accepted => self.pace.accepted(now),
            Meaning::SlowDown(_) => {
                self.pace.throttled(sent_at, now);
                self.push_event(SessionEvent::Throttled);
                return self.throttled(segment);
            }
            Meaning::Refused { cause, retry: RetryClass::Park } => {
                let reason = format!("submit_sm: {cause}");
                self.outcome(&segment, settled(meaning, frame));
                self.emit(LinkEvent::Parked { reason: reason.clone() });
                return self.leave(reason, Farewell::Unbind, now);
            }
            Meaning::Refused { .. } => {}
        }
        self.outcome(&segment, settled(meaning, frame));
    }

    /// Back to its place; or up, once it was throttled too often, or asked back, or there is no more writing.
    fn throttled(&mut self, mut segment: Segment) {
        segment.throttles += 1;
        let no_more = !matches!(self.state, State::Bound) || segment.recalled;
        if no_more || segment.throttles >= MAX_THROTTLES {
            self.outcome(&segment, Outcome::Unwritten);
        } else {
            self.put_back(segment);
        }
    }

    fn answer_to_nothing(&mut self, frame: &Frame, now: Instant) {
        let header = frame.header;
        let enquiry =
            matches!(self.enquiry, Enquiry::Awaited { sequence, .. } if sequence == header.sequence);
        if header.id == id::GENERIC_NACK && enquiry {
            // It does not know enquire_link, and it is alive.
            return self.enquiry_answered(header.sequence, now);
        }
        if self.oddities.tell(&self.config.name, now) {
            tracing::warn!(event = "answer_unawaited", link = %self.config.name, sequence = header.sequence, status = header.status);
        }
    }

    fn enquiry_answered(&mut self, answered: u32, now: Instant) {
        if matches!(self.enquiry, Enquiry::Awaited { sequence, .. } if sequence == answered) {
            self.enquiry = Enquiry::Idle { heard_at: now };
        }
    }

    fn unbound(&mut self) {
        if let State::Unbinding { reason, .. } = &mut self.state {
            let reason = std::mem::take(reason);
            self.finish(reason);
        }
    }

    /// Both said unbind, or the peer did while we drained: nothing is left to say.
    fn forget_own_farewell(&mut self) {
        match &mut self.state {
            State::Draining { then, .. } => *then = Farewell::Close,
            State::Unbinding { .. } => self.unbound(),
            State::Binding { .. } | State::Bound | State::Finished => {}
        }
    }

    /// A deliver_sm or data_sm goes to the core; its answer waits for [`SmppSession::settle_inbound`].
    fn delivered(&mut self, frame: &Frame, now: Instant) {
        let header = frame.header;
        if self.inbound.len() >= MAX_INBOUND {
            return self.say(header.id | id::RESPONSE, status::QUEUE_FULL, header.sequence);
        }
        match deliver::read(frame, &self.config) {
            Ok(inbound) => {
                let token = InboundToken(self.next_token);
                self.next_token += 1;
                self.inbound.insert(token, (header.sequence, header.id));
                self.push_event(SessionEvent::Inbound { token, inbound });
            }
            Err(malformed) => {
                if self.oddities.tell(&self.config.name, now) {
                    tracing::warn!(event = "pdu_refused", link = %self.config.name, sequence = header.sequence, error = %malformed);
                }
                self.say(header.id | id::RESPONSE, status::INVALID_MESSAGE_LENGTH, header.sequence);
            }
        }
    }

    pub(super) fn settle_inbound(&mut self, token: InboundToken, command_status: u32) {
        if let Some((sequence, request)) = self.inbound.remove(&token) {
            pdu::encode_delivered(request, command_status, sequence, &mut self.responses);
            if command_status == status::OK {
                self.answering.push(token);
            }
        }
    }
}

const SUBMIT_SM_RESP: u32 = id::SUBMIT_SM | id::RESPONSE;
const ENQUIRE_LINK_RESP: u32 = id::ENQUIRE_LINK | id::RESPONSE;
const UNBIND_RESP: u32 = id::UNBIND | id::RESPONSE;
const BIND_TRANSCEIVER_RESP: u32 = id::BIND_TRANSCEIVER | id::RESPONSE;

fn settled(meaning: Meaning, frame: &Frame) -> Outcome {
    match meaning {
        Meaning::Accepted => Outcome::Accepted { reference: Reference(pdu::message_id(frame)) },
        Meaning::SlowDown(cause) => Outcome::Refused { cause, retry: RetryClass::Temporary },
        Meaning::Refused { cause, retry } => Outcome::Refused { cause, retry },
    }
}
