//! The time of a link with a session: one loop that reads, writes, keeps deadlines and listens to the core.
//!
//! What holds for all of it stands in the header of `mod.rs`.

use std::io;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Driver, Life, send_first};
use crate::clock::Now;
use crate::link::session::{Close, Session, SessionEvent};
use crate::link::{
    Connection, Control, LinkEvent, LinkStatus, ModemStatus, Outcome, SUBMIT_BUCKETS, Submission,
};

/// A session that was up this long was a good one: back-off begins anew.
const STABLE: Duration = Duration::from_secs(60);
/// A write that moves no byte for this long has lost its peer.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// How long last bytes (an unbind) may take once a session is over.
const LAST_WRITE_LIMIT: Duration = Duration::from_secs(2);
/// A session that is over says goodbye in one batch, and then is asked once more.
const LAST_BATCHES: usize = 4;
/// How long a connection that takes no more bytes is still read.
const LAST_READ_LIMIT: Duration = Duration::from_secs(1);
/// Room for one read: several hundred responses.
const READ_BUFFER: usize = 32 * 1024;

/// A session on its stream.
pub(super) struct Live<'a, S, R, W> {
    driver: &'a mut Driver,
    session: S,
    reader: R,
    writer: W,
    input: BytesMut,
    /// The batch being written; the next one is asked for when it is gone.
    output: Bytes,
    /// When the write must have moved; `None` while nothing is written.
    write_until: Option<Instant>,
    standing: Standing,
    /// When it was up for the first time.
    up_since: Option<Instant>,
    parked: Option<String>,
    finished: Option<String>,
    /// How this life ends when the session does, if it was told to.
    leaving: Option<Life>,
    /// A channel of the core is closed: nothing more comes from it.
    core_gone: bool,
}

/// What the core believes of this session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Fresh,
    Up,
    /// The session said so itself, and lives: a modem without a network.
    Down,
}

/// What one wait brought.
enum Woken {
    Read(io::Result<usize>),
    Written(io::Result<usize>),
    Timer,
    Control(Option<Control>),
    Submitted(Option<Vec<Submission>>),
    Room,
}

impl<S, R, W> Live<'_, S, R, W>
where
    S: Session,
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    pub(super) fn new(driver: &mut Driver, session: S, reader: R, writer: W) -> Live<'_, S, R, W> {
        Live {
            driver,
            session,
            reader,
            writer,
            input: BytesMut::with_capacity(READ_BUFFER),
            output: Bytes::new(),
            write_until: None,
            standing: Standing::Fresh,
            up_since: None,
            parked: None,
            finished: None,
            leaving: None,
            core_gone: false,
        }
    }

    pub(super) async fn drive(mut self) -> Life {
        let why = loop {
            self.drain_channels();
            self.take_events();
            if self.finished.is_some() {
                break Close::Stopping;
            }
            self.fill_output();
            // What it says of the bytes that are written now, and of those that go next.
            self.take_events();
            if self.finished.is_some() {
                break Close::Stopping;
            }
            self.publish();
            let woken = self.wait().await;
            if let Some(close) = self.handle(woken) {
                break close;
            }
        };
        self.close(why).await
    }

    /// Control too, before more is written: a recall must find its segment unwritten.
    fn drain_channels(&mut self) {
        while let Ok(control) = self.driver.end.control.try_recv() {
            self.control(control);
        }
        self.take_submissions();
    }

    fn take_submissions(&mut self) {
        while let Ok(submissions) = self.driver.end.submissions.try_recv() {
            self.submit(submissions);
        }
    }

    fn submit(&mut self, submissions: Vec<Submission>) {
        let now = self.now();
        submissions.into_iter().for_each(|submission| self.session.submit(submission, now));
    }

    fn fill_output(&mut self) {
        if self.output.is_empty() {
            let now = self.now();
            self.output = self.session.poll_output(now).unwrap_or_default();
            self.write_until = (!self.output.is_empty()).then(|| now + WRITE_LIMIT);
        }
    }

    async fn wait(&mut self) -> Woken {
        let deadline = [self.session.poll_timeout(), self.write_until].into_iter().flatten().min();
        let clock = &self.driver.clock;
        let timer = async {
            match deadline {
                Some(deadline) => clock.sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let listening = !self.core_gone;
        let end = &mut self.driver.end;
        let pending = &mut self.driver.pending;
        // A read of a quarter of the buffer at least: less would cost a system call for every few responses.
        self.input.reserve(READ_BUFFER / 4);
        tokio::select! {
            control = end.control.recv(), if listening => Woken::Control(control),
            read = self.reader.read_buf(&mut self.input) => Woken::Read(read),
            written = self.writer.write(&self.output), if !self.output.is_empty() => Woken::Written(written),
            submissions = end.submissions.recv(), if listening => Woken::Submitted(submissions),
            permit = end.outcomes.reserve(), if !pending.is_empty() => {
                send_first(permit, pending, &end.bell);
                Woken::Room
            }
            () = timer => Woken::Timer,
        }
    }

    /// `Some`: the connection is over.
    fn handle(&mut self, woken: Woken) -> Option<Close> {
        let now = self.now();
        match woken {
            Woken::Read(Ok(0)) => return Some(Close::Eof),
            Woken::Read(Ok(_)) => {
                self.session.handle_input(&self.input, now);
                self.input.clear();
            }
            Woken::Written(Ok(count)) if count > 0 => {
                self.output.advance(count);
                self.write_until = (!self.output.is_empty()).then(|| now + WRITE_LIMIT);
            }
            Woken::Written(Ok(_)) => return Some(Close::Io("the stream takes no more bytes".into())),
            Woken::Read(Err(error)) | Woken::Written(Err(error)) => {
                return Some(Close::Io(error.to_string()));
            }
            Woken::Timer => {
                if self.write_until.is_some_and(|until| now >= until) {
                    return Some(Close::WriteStalled);
                }
                self.session.handle_timeout(now);
            }
            Woken::Control(Some(control)) => self.control(control),
            Woken::Submitted(Some(submissions)) => self.submit(submissions),
            Woken::Control(None) | Woken::Submitted(None) => {
                self.core_gone = true;
                self.leave(Life::Stop);
            }
            Woken::Room => {}
        }
        None
    }

    /// What was handed over before it comes first, so that a recall reaches it.
    fn control(&mut self, control: Control) {
        self.take_submissions();
        let now = self.now();
        match control {
            Control::Recall(id) => self.session.recall(id, now),
            Control::RecallAll => self.session.recall_all(now),
            Control::Confirm { token, stored } => {
                self.driver.confirmed();
                match stored {
                    true => self.session.confirm(token, now),
                    false => self.session.refuse(token, now),
                }
            }
            Control::Restart => self.leave(Life::Restart),
            Control::Stop => self.leave(Life::Stop),
        }
    }

    fn leave(&mut self, how: Life) {
        if self.leaving != Some(Life::Stop) {
            self.leaving = Some(how);
        }
        let now = self.now();
        self.session.stop(now);
    }

    fn take_events(&mut self) {
        if let Some(first) = self.session.poll_event() {
            let mut status = self.driver.end.status.borrow().clone();
            self.take_event(first, &mut status);
            while let Some(event) = self.session.poll_event() {
                self.take_event(event, &mut status);
            }
            self.driver.end.status.send_if_modified(|published| {
                let changed = *published != status;
                *published = status;
                changed
            });
        }
        self.driver.flush();
    }

    fn publish(&self) {
        let (in_flight, pace) = (self.session.in_flight(), self.session.pace());
        self.driver.end.status.send_if_modified(|status| {
            let changed = (status.in_flight, status.pace) != (in_flight, pace);
            (status.in_flight, status.pace) = (in_flight, pace);
            changed
        });
    }

    fn take_event(&mut self, event: SessionEvent, status: &mut LinkStatus) {
        let now = self.driver.clock.now();
        match event {
            SessionEvent::Link(LinkEvent::Parked { reason }) => {
                self.parked.get_or_insert(reason);
            }
            SessionEvent::Link(LinkEvent::Up) => self.is_up(now, status),
            SessionEvent::Link(LinkEvent::Down { reason }) => self.is_down(reason, now, status),
            SessionEvent::Link(event) => {
                if matches!(event, LinkEvent::Outcome { outcome: Outcome::Accepted { .. }, .. }) {
                    status.submitted_total += 1;
                }
                self.driver.pending.push_back(event);
            }
            SessionEvent::Inbound { token, inbound } => {
                if !self.driver.hand_up(token, inbound) {
                    self.session.refuse(token, now.mono);
                }
            }
            SessionEvent::Finished { reason } => {
                self.finished.get_or_insert(reason);
            }
            SessionEvent::Throttled => status.throttled_total += 1,
            SessionEvent::Answered { after } => observe(after, status),
            SessionEvent::Modem(modem) => status.modem = Some(*modem),
        }
    }

    fn is_up(&mut self, now: Now, status: &mut LinkStatus) {
        if self.standing == Standing::Up {
            return;
        }
        self.standing = Standing::Up;
        if self.up_since.is_none() {
            self.up_since = Some(now.mono);
            status.sessions_total += 1;
        }
        (status.connection, status.since, status.reason) = (Connection::Up, now.wall, None);
        tracing::info!(event = "link_up", link = %self.driver.end.facts.name);
        self.driver.pending.push_back(LinkEvent::Up);
    }

    fn is_down(&mut self, reason: String, now: Now, status: &mut LinkStatus) {
        if status.connection != Connection::Down {
            (status.connection, status.since) = (Connection::Down, now.wall);
        }
        status.reason = Some(reason.clone());
        if self.standing != Standing::Down {
            self.standing = Standing::Down;
            let name = &self.driver.end.facts.name;
            tracing::warn!(event = "link_down", link = %name, reason = %reason.escape_debug());
            self.driver.pending.push_back(LinkEvent::Down { reason });
        }
    }

    /// Writes the last bytes, gives every submission its outcome, and says that the link is down.
    async fn close(mut self, why: Close) -> Life {
        match why {
            Close::Stopping => self.write_last().await,
            Close::Io(_) => self.read_rest().await,
            Close::Eof | Close::WriteStalled => {}
        }
        let reason = self.finished.take().unwrap_or_else(|| words(&why));
        let now = self.now();
        self.session.handle_close(why, now);
        self.take_events();
        let name = &self.driver.end.facts.name;
        let parked = self.parked.take();
        let (connection, reason, event) = match parked {
            Some(reason) => (Connection::Parked, reason.clone(), LinkEvent::Parked { reason }),
            None => (Connection::Down, reason.clone(), LinkEvent::Down { reason }),
        };
        let reason_shown = reason.escape_debug();
        match &self.leaving {
            Some(_) => tracing::info!(event = "session_over", link = %name, reason = %reason_shown),
            None => {
                tracing::warn!(event = "session_over", link = %name, state = ?connection, reason = %reason_shown)
            }
        }
        if self.standing != Standing::Down || connection == Connection::Parked {
            self.driver.pending.push_back(event);
        }
        self.driver.connection(connection, Some(reason));
        self.driver
            .end
            .status
            .send_if_modified(|status| status.modem.as_mut().map(ModemStatus::leave).is_some());
        self.driver.flush();
        let was_stable = self.up_since.is_some_and(|since| now >= since + STABLE);
        self.leaving.unwrap_or(Life::Ended { was_stable, parked: connection == Connection::Parked })
    }

    /// A write can fail before the last answers are read: each one read here is one unknown less.
    async fn read_rest(&mut self) {
        let clock = self.driver.clock.clone();
        let (session, reader, input) = (&mut self.session, &mut self.reader, &mut self.input);
        let rest = clock.within(LAST_READ_LIMIT, async {
            loop {
                input.clear();
                match reader.read_buf(input).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => session.handle_input(input, clock.now().mono),
                }
            }
        });
        if rest.await.is_none() {
            tracing::debug!(event = "peer_goes_on", link = %self.driver.end.facts.name);
        }
    }

    async fn write_last(&mut self) {
        let clock = self.driver.clock.clone();
        let (session, writer, output) = (&mut self.session, &mut self.writer, &self.output);
        let written = clock.within(LAST_WRITE_LIMIT, async {
            writer.write_all(output).await?;
            // Asked again only when all is written, as ever: that is how it knows.
            for _ in 0..LAST_BATCHES {
                let Some(last) = session.poll_output(clock.now().mono) else { break };
                writer.write_all(&last).await?;
            }
            writer.shutdown().await
        });
        if let Some(Err(error)) = written.await {
            tracing::debug!(event = "last_bytes_not_written", link = %self.driver.end.facts.name, %error);
        }
    }

    fn now(&self) -> Instant {
        self.driver.clock.now().mono
    }
}

fn words(why: &Close) -> String {
    match why {
        Close::Eof => "the peer closed the connection".into(),
        Close::Io(error) => error.clone(),
        Close::WriteStalled => "the peer stopped reading".into(),
        Close::Stopping => "stopped".into(),
    }
}

fn observe(after: Duration, status: &mut LinkStatus) {
    let seconds = after.as_secs_f64();
    status.submit_sum += after;
    for (count, bound) in status.submit_buckets.iter_mut().zip(SUBMIT_BUCKETS) {
        if seconds <= bound {
            *count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_histogram_is_cumulative() {
        let mut status = LinkStatus::new(crate::clock::Timestamp::MIN);
        observe(Duration::from_millis(10), &mut status);
        observe(Duration::from_secs(30), &mut status);
        assert_eq!(status.submit_buckets, [0, 1, 1, 1, 1, 1, 1, 2]);
        assert_eq!(status.submit_sum, Duration::from_millis(30_010));
    }
}
