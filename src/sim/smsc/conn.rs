//! One connection of a client, served by one task: read a batch, decide, log, answer.
//!
//! Invariants: the lines of a batch are written before any octet of its answers; a batch of malformed PDUs
//! ends where it lost step and nowhere else; what came before the end of the stream is taken, so a client
//! killed after its write has sent. Only [`super::center::Center`] knows other connections.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::answers::Answers;
use super::center::{Center, Ending, State, Taking, Verdict};
use super::mail::{ANSWER_WITHIN, Back, Mail, Subject};
use super::pdu::{self, Bind, Frame, Header, Query, Submit, command, status};
use super::{Cheat, text};
use crate::clock::Now;
use crate::sim::wire::{Line, Taken, hex};

/// Octets read at a time.
const READ: usize = 64 * 1024;
/// Octets that may wait for a client that does not read; beyond, we do not read either.
const MOST_UNSENT: usize = 1024 * 1024;
/// Unanswered messages of one connection: no window, but no endless memory; beyond, 0x14.
const MOST_OWED: usize = 1_000_000;
/// deliver_sm that may be unanswered at once.
const MAIL_WINDOW: usize = 256;
/// Octets of a refused PDU that its line shows.
const SHOWN: usize = 1024;

/// Why a connection ended.
#[derive(Debug)]
enum Close {
    Peer,
    Broken(io::Error),
    Fault(&'static str),
    HungUp,
    OutOfStep,
    /// The wire log could not be written: nothing may be answered any more.
    Log(io::Error),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Bound {
    No,
    Yes { account: String, submits: bool, receives: bool },
}

/// A deliver_sm that the client has not answered.
struct Sent {
    mail: Mail,
    until: Instant,
}

pub struct Conn {
    center: Arc<Center>,
    stream: TcpStream,
    peer: String,
    id: u64,
    hangup: CancellationToken,
    wake: Arc<Notify>,
    input: BytesMut,
    bound: Bound,
    answers: Answers,
    mail: BTreeMap<u32, Sent>,
    last_seq: u32,
    not_taken: Option<u32>,
    close: Option<Close>,
}

/// One batch of PDUs on its way through.
struct Batch<'a> {
    state: &'a mut State,
    lines: Vec<u8>,
    now: Now,
    at: String,
    /// Whether there is new mail.
    posted: bool,
}

impl Conn {
    pub fn open(center: Arc<Center>, stream: TcpStream, peer: String) -> Conn {
        let wake = Arc::new(Notify::new());
        let (id, hangup) = center.lock().open(peer.clone(), Arc::clone(&wake));
        Conn {
            center,
            stream,
            peer,
            id,
            hangup,
            wake,
            input: BytesMut::new(),
            bound: Bound::No,
            answers: Answers::default(),
            mail: BTreeMap::new(),
            last_seq: 0,
            not_taken: None,
            close: None,
        }
    }

    /// Serves the client until the connection ends.
    pub async fn serve(mut self) {
        let why = loop {
            let wake_at = match self.turn() {
                Ok(wake_at) => wake_at,
                Err(why) => break why,
            };
            if let Err(why) = self.wait(wake_at).await {
                break why;
            }
        };
        self.finish(&why);
    }

    /// Waits until there is something to do.
    async fn wait(&self, wake_at: Option<Instant>) -> Result<(), Close> {
        let interest = match self.answers.unsent().len() {
            0 => Interest::READABLE,
            1..=MOST_UNSENT => Interest::READABLE | Interest::WRITABLE,
            _ => Interest::WRITABLE,
        };
        let due = async {
            match wake_at {
                Some(at) => self.center.clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.hangup.cancelled() => Err(Close::HungUp),
            ready = self.stream.ready(interest) => ready.map(drop).map_err(Close::Broken),
            () = self.wake.notified() => Ok(()),
            () = due => Ok(()),
        }
    }

    /// Everything that can be done at once; returns when more is due by time alone.
    fn turn(&mut self) -> Result<Option<Instant>, Close> {
        let open = self.read()?;
        let center = Arc::clone(&self.center);
        let now = center.clock.now();
        let wake_at = {
            let mut state = center.lock();
            self.take(&mut state, now)?;
            if self.dropped() { None } else { self.pump(&mut state, now.mono) }
        };
        if !self.dropped() {
            self.write()?;
        }
        match self.close.take() {
            Some(why) => Err(why),
            None if open => Ok(wake_at),
            None => Err(Close::Peer),
        }
    }

    /// Whether a fault ended the connection: then nothing more is written to it.
    fn dropped(&self) -> bool {
        matches!(self.close, Some(Close::Fault(_)))
    }

    /// Reads what has come; false once the client has closed its side.
    fn read(&mut self) -> Result<bool, Close> {
        if self.answers.unsent().len() > MOST_UNSENT {
            return Ok(true);
        }
        self.input.reserve(READ);
        match self.stream.try_read_buf(&mut self.input) {
            Ok(octets) => Ok(octets > 0),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(e) => Err(Close::Broken(e)),
        }
    }

    fn write(&mut self) -> Result<(), Close> {
        let mut answered = 0;
        while !self.answers.unsent().is_empty() {
            match self.stream.try_write(self.answers.unsent()) {
                Ok(octets) => answered += self.answers.wrote(octets),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(Close::Broken(e)),
            }
        }
        if answered > 0 {
            self.center.lock().answered(self.id, answered);
        }
        Ok(())
    }

    /// Takes the whole PDUs that have come and logs them.
    fn take(&mut self, state: &mut State, now: Now) -> Result<(), Close> {
        if self.input.is_empty() {
            return Ok(());
        }
        let mut batch = Batch { state, lines: Vec::new(), now, at: now.wall.to_rfc3339(), posted: false };
        while self.close.is_none() {
            match pdu::split(&mut self.input) {
                Frame::Short => break,
                Frame::Whole(header, body) => {
                    self.receive(&mut batch, header, body).map_err(Close::Log)?;
                }
                Frame::Lost { seq } => {
                    self.answers.send(None, &nack(status::INVALID_COMMAND_LENGTH, seq));
                    self.close = Some(Close::OutOfStep);
                }
            }
        }
        self.center.write_log(&batch.lines).map_err(Close::Log)?;
        if let (true, Bound::Yes { account, .. }) = (batch.posted, &self.bound) {
            batch.state.wake(account);
        }
        Ok(())
    }

    /// Moves what is due to the socket's octets; returns when the next is due.
    fn pump(&mut self, state: &mut State, now: Instant) -> Option<Instant> {
        self.expire(state, now);
        self.answers.pump(now, state.holding);
        let next = self.answers.next_due();
        let Bound::Yes { account, receives: true, .. } = &self.bound else { return next };
        let mut next_mail = None;
        while self.mail.len() < MAIL_WINDOW && self.answers.unsent().len() <= MOST_UNSENT {
            let Some(mail) = state.mail.take(account, now) else {
                next_mail = state.mail.next_due(account);
                break;
            };
            self.last_seq = if self.last_seq == 0x7FFF_FFFF { 1 } else { self.last_seq + 1 };
            self.answers.send(None, &pdu::encode(command::DELIVER_SM, 0, self.last_seq, &mail.body));
            self.mail.insert(self.last_seq, Sent { mail, until: now + ANSWER_WITHIN });
        }
        let overdue = self.mail.first_key_value().map(|(_, oldest)| oldest.until);
        earlier(next, earlier(overdue, next_mail))
    }

    /// Gives up on answers to deliver_sm that are overdue; one that comes later is not heard.
    fn expire(&mut self, state: &mut State, now: Instant) {
        let Bound::Yes { account, .. } = &self.bound else { return };
        while let Some(oldest) = self.mail.first_entry().filter(|oldest| oldest.get().until <= now) {
            state.mail.post_again(account, now, oldest.remove().mail, Back::Unanswered);
            state.wake(account);
        }
    }

    fn receive(&mut self, batch: &mut Batch<'_>, header: Header, body: Bytes) -> io::Result<()> {
        match header.command {
            command::SUBMIT_SM | command::DATA_SM => self.submit(batch, header, body)?,
            command::BIND_RECEIVER | command::BIND_TRANSMITTER | command::BIND_TRANSCEIVER => {
                self.bind(batch, header, body)?;
            }
            command::ENQUIRE_LINK => self.respond(header, status::OK, &[]),
            command::UNBIND => self.unbind(batch, header)?,
            command::DELIVER_SM_RESP | command::GENERIC_NACK => self.settle(batch, header)?,
            other if other & command::RESPONSE != 0 => {}
            command::QUERY_SM | command::CANCEL_SM | command::REPLACE_SM | command::SUBMIT_MULTI => {
                self.manage(batch, header, body)?;
            }
            _ => {
                self.refused(batch, header, status::INVALID_COMMAND_ID, &body)?;
                self.answers.send(None, &nack(status::INVALID_COMMAND_ID, header.seq));
            }
        }
        Ok(())
    }

    fn respond(&mut self, header: Header, status: u32, body: &[u8]) {
        let pdu = pdu::encode(header.command | command::RESPONSE, status, header.seq, body);
        self.answers.send(None, &pdu);
    }

    /// Answers with an error and leaves a line of it.
    fn refuse(&mut self, batch: &mut Batch<'_>, header: Header, status: u32, body: &[u8]) -> io::Result<()> {
        self.respond(header, status, &[]);
        self.refused(batch, header, status, body)
    }

    fn refused(&self, batch: &mut Batch<'_>, header: Header, status: u32, body: &[u8]) -> io::Result<()> {
        let line = Line::Refused {
            at: &batch.at,
            conn: self.id,
            seq: header.seq,
            command: format!("{:#010x}", header.command),
            status,
            body: hex(&body[..body.len().min(SHOWN)]),
        };
        self.center.line(&mut batch.lines, &line)
    }

    fn bind(&mut self, batch: &mut Batch<'_>, header: Header, body: Bytes) -> io::Result<()> {
        let bind = match Bind::parse(body.clone()) {
            Ok(bind) => bind,
            Err(status) => return self.refuse(batch, header, status, &body),
        };
        let (kind, submits, receives) = match header.command {
            command::BIND_TRANSMITTER => ("transmitter", true, false),
            command::BIND_RECEIVER => ("receiver", false, true),
            _ => ("transceiver", true, true),
        };
        let status = self.check_bind(&bind);
        if status == status::OK {
            let account = bind.system_id.clone();
            batch.state.bound(self.id, &account, kind, receives);
            self.bound = Bound::Yes { account, submits, receives };
            let own = self.center.options.name.as_str();
            self.respond(header, status, &pdu::bind_body(own, bind.interface_version));
        } else {
            self.respond(header, status, &[]);
        }
        tracing::info!(event = "sim_bind", conn = self.id, system_id = %bind.system_id, kind, status);
        let line = Line::Bind {
            at: &batch.at,
            conn: self.id,
            peer: &self.peer,
            system_id: &bind.system_id,
            bind: kind,
            status,
        };
        self.center.line(&mut batch.lines, &line)
    }

    fn check_bind(&self, bind: &Bind) -> u32 {
        if self.bound != Bound::No {
            return status::ALREADY_BOUND;
        }
        match &self.center.options.login {
            Some(login) if login.system_id != bind.system_id => status::INVALID_SYSTEM_ID,
            Some(login) if login.password != bind.password => status::INVALID_PASSWORD,
            _ => status::OK,
        }
    }

    /// Answers an unbind after everything that is due earlier. The connection may bind again.
    fn unbind(&mut self, batch: &mut Batch<'_>, header: Header) -> io::Result<()> {
        if !matches!(self.bound, Bound::Yes { .. }) {
            return self.refuse(batch, header, status::WRONG_STATE, &[]);
        }
        self.return_mail(batch.state, batch.now.mono);
        self.bound = Bound::No;
        batch.state.unbound(self.id);
        let due = self.answers.last_due().unwrap_or(batch.now.mono).max(batch.now.mono);
        self.answers.put(due, None, pdu::encode(command::UNBIND | command::RESPONSE, 0, header.seq, &[]));
        let line = Line::Unbind { at: &batch.at, conn: self.id, seq: header.seq };
        self.center.line(&mut batch.lines, &line)
    }

    /// query_sm is answered from memory. Messages are on their way as soon as they are taken, so there is never
    /// one to cancel or replace; submit_multi is not offered.
    fn manage(&mut self, batch: &mut Batch<'_>, header: Header, body: Bytes) -> io::Result<()> {
        let status = match (&self.bound, header.command) {
            (Bound::No | Bound::Yes { submits: false, .. }, _) => status::WRONG_STATE,
            (_, command::CANCEL_SM) => status::CANCEL_FAILED,
            (_, command::REPLACE_SM) => status::REPLACE_FAILED,
            (_, command::SUBMIT_MULTI) => status::INVALID_COMMAND_ID,
            (Bound::Yes { account, .. }, _) => match Query::parse(body.clone()) {
                Ok(query) => match batch.state.query(account, &query, batch.now.wall) {
                    Some(answer) => {
                        self.respond(header, status::OK, &answer);
                        return Ok(());
                    }
                    None => status::QUERY_FAILED,
                },
                Err(status) => status,
            },
        };
        self.refuse(batch, header, status, &body)
    }

    fn submit(&mut self, batch: &mut Batch<'_>, header: Header, body: Bytes) -> io::Result<()> {
        let Bound::Yes { account, submits: true, .. } = &self.bound else {
            return self.refuse(batch, header, status::WRONG_STATE, &body);
        };
        let parsed = match header.command {
            command::SUBMIT_SM => Submit::parse_submit_sm(body.clone()),
            _ => Submit::parse_data_sm(body.clone()),
        };
        let submit = match parsed {
            Ok(submit) => submit,
            Err(status) => return self.refuse(batch, header, status, &body),
        };
        let account = account.clone();
        batch.state.received(self.id);
        let verdict = if self.answers.owed() >= MOST_OWED {
            Verdict::Refuse { delay: Duration::ZERO, status: status::QUEUE_FULL }
        } else {
            self.center.judge(batch.state, batch.now.mono)
        };
        match verdict {
            Verdict::Take { delay, ending, cheat } => {
                self.accept(batch, header, &submit, &account, delay, (ending, cheat))
            }
            Verdict::Refuse { delay, status } => {
                batch.state.decided(Some(status));
                let pdu = pdu::encode(header.command | command::RESPONSE, status, header.seq, &[]);
                self.answers.put(batch.now.mono + delay, Some(header.seq), pdu);
                let text = text::decode(&submit);
                self.taken(batch, header, &submit, &text, (None, Some(status)))
            }
            Verdict::HangUp => {
                batch.state.decided(None);
                self.not_taken = Some(header.seq);
                self.close = Some(Close::Fault("hangup"));
                Ok(())
            }
        }
    }

    fn accept(
        &mut self,
        batch: &mut Batch<'_>,
        header: Header,
        submit: &Submit,
        account: &str,
        delay: Duration,
        (ending, cheat): (Ending, Option<Cheat>),
    ) -> io::Result<()> {
        let text = text::decode(submit);
        let copies = match cheat {
            None => 1,
            Some(Cheat::Lose) => 0,
            Some(Cheat::Double) => 2,
        };
        let taking = Taking { submit, text: &text, account, answered: delay, copies };
        let id = self.center.remember(batch.state, &taking, batch.now).to_string();
        let answered = (ending == Ending::Answer).then_some(status::OK);
        batch.state.decided(answered);
        for _ in 0..copies {
            self.taken(batch, header, submit, &text, (Some(&id), answered))?;
        }
        batch.posted |= submit.registered_delivery != 0;
        let due = batch.now.mono + delay;
        match ending {
            Ending::Answer => {
                let command = header.command | command::RESPONSE;
                let pdu = pdu::encode(command, status::OK, header.seq, &pdu::c_string(&id));
                self.answers.put(due, Some(header.seq), pdu);
            }
            Ending::Silence => self.answers.never(header.seq),
            Ending::Garbage => {
                self.answers.never(header.seq);
                let garbage = batch.state.garbage();
                self.answers.put(due, None, garbage);
            }
            Ending::Drop => {
                self.answers.never(header.seq);
                self.close = Some(Close::Fault("drop-after-submit"));
            }
        }
        Ok(())
    }

    /// The line of a message: its id if it was accepted, the status of its answer if it gets one.
    fn taken(
        &self,
        batch: &mut Batch<'_>,
        header: Header,
        submit: &Submit,
        text: &str,
        (message_id, status): (Option<&str>, Option<u32>),
    ) -> io::Result<()> {
        if self.center.log.is_none() {
            return Ok(());
        }
        let taken = Taken {
            at: &batch.at,
            conn: self.id,
            seq: header.seq,
            from: &submit.source.to_text(),
            to: &submit.dest.to_text(),
            text,
            data_coding: submit.data_coding,
            esm_class: submit.esm_class,
            udh: submit.udh().map(hex),
            segment: submit.segment(),
            short_message: hex(&submit.message),
            message_id,
            status,
            registered_delivery: submit.registered_delivery,
            validity_period: &submit.validity_period,
            user_message_reference: submit.user_message_reference,
        };
        let line =
            if header.command == command::SUBMIT_SM { Line::SubmitSm(taken) } else { Line::DataSm(taken) };
        self.center.line(&mut batch.lines, &line)
    }

    /// The client's answer to a deliver_sm; a refused one is tried again later.
    fn settle(&mut self, batch: &mut Batch<'_>, header: Header) -> io::Result<()> {
        let Some(Sent { mail, .. }) = self.mail.remove(&header.seq) else { return Ok(()) };
        let nacked = header.command == command::GENERIC_NACK && header.status == status::OK;
        let status = if nacked { status::INVALID_COMMAND_ID } else { header.status };
        batch.state.mail_answered(status);
        let (message_id, stat) = match &mail.subject {
            Subject::Receipt { message_id, stat } => (Some(message_id.as_str()), Some(stat.as_str())),
            Subject::Reply => (None, None),
        };
        let line = Line::DeliverSm {
            at: &batch.at,
            conn: self.id,
            seq: header.seq,
            from: &mail.from,
            to: &mail.to,
            text: &mail.text,
            message_id,
            stat,
            status,
        };
        self.center.line(&mut batch.lines, &line)?;
        if let (Bound::Yes { account, .. }, true) = (&self.bound, status != status::OK) {
            batch.state.mail.post_again(account, batch.now.mono, mail, Back::Refused(status));
        }
        Ok(())
    }

    /// Gives unanswered mail back, for the next session that receives.
    fn return_mail(&mut self, state: &mut State, now: Instant) {
        let Bound::Yes { account, .. } = &self.bound else { return };
        for sent in std::mem::take(&mut self.mail).into_values() {
            state.mail.post_again(account, now, sent.mail, Back::CutOff);
        }
        state.wake(account);
    }

    fn finish(mut self, why: &Close) {
        let center = Arc::clone(&self.center);
        let now = center.clock.now();
        let mut state = center.lock();
        state.unbound(self.id);
        self.return_mail(&mut state, now.mono);
        state.close(self.id);
        let unanswered = self.answers.unanswered();
        let line = Line::Drop {
            at: &now.wall.to_rfc3339(),
            conn: self.id,
            why: why.word(),
            unanswered: &unanswered,
            not_taken: self.not_taken,
        };
        let mut lines = Vec::new();
        let logged = center.line(&mut lines, &line).and_then(|()| center.write_log(&lines));
        if let Close::Log(e) = why {
            tracing::error!(event = "sim_wire_log_failed", conn = self.id, error = %e, dropped = true);
        } else if let Err(e) = logged {
            tracing::error!(event = "sim_wire_log_failed", conn = self.id, error = %e, dropped = false);
        }
        tracing::info!(
            event = "sim_connection_ended",
            conn = self.id,
            why = why.word(),
            unanswered = unanswered.len()
        );
        if let Close::Broken(e) = why {
            tracing::debug!(event = "sim_connection_broken", conn = self.id, error = %e);
        }
    }
}

impl Close {
    fn word(&self) -> &'static str {
        match self {
            Close::Peer => "closed by the client",
            Close::Broken(_) => "broken",
            Close::Fault(name) => name,
            Close::HungUp => "hung up",
            Close::OutOfStep => "out of step",
            Close::Log(_) => "wire log",
        }
    }
}

fn nack(status: u32, seq: u32) -> Vec<u8> {
    pdu::encode(command::GENERIC_NACK, status, seq, &[])
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}
