//! The time of a link without a session: connecting, waiting, parked.
//!
//! Invariant: whatever is submitted meanwhile comes back unwritten at once, and control is heard.

use std::future::Future;
use std::time::Duration;

use super::{Connect, Driver, send_first};
use crate::link::{Control, Submission};

/// What ended a time without a session.
pub(super) enum Idle<T> {
    Done(T),
    Restart,
    Stop,
}

/// What ended a wait for the next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    Over,
    /// The peer is another than the last try met.
    Changed,
}

enum Woken {
    Control(Option<Control>),
    Submitted(Option<Vec<Submission>>),
    Room,
}

impl Driver {
    /// Waits without a connection.
    pub(super) async fn pause<C: Connect>(&mut self, wait: Duration, connect: &mut C) -> Idle<Pause> {
        let clock = self.clock.clone();
        let over = async move {
            tokio::select! {
                biased;
                () = connect.changed() => Pause::Changed,
                () = clock.sleep(wait) => Pause::Over,
            }
        };
        self.idle(over).await
    }

    /// Does `work` while no session is up: submissions come back unwritten at once.
    pub(super) async fn idle<T>(&mut self, work: impl Future<Output = T>) -> Idle<T> {
        let mut work = std::pin::pin!(work);
        loop {
            self.flush();
            let woken = tokio::select! {
                biased;
                control = self.end.control.recv() => Woken::Control(control),
                submissions = self.end.submissions.recv() => Woken::Submitted(submissions),
                done = &mut work => return Idle::Done(done),
                permit = self.end.outcomes.reserve(), if !self.pending.is_empty() => {
                    send_first(permit, &mut self.pending, &self.end.bell);
                    Woken::Room
                }
            };
            match woken {
                Woken::Control(None | Some(Control::Stop)) | Woken::Submitted(None) => return Idle::Stop,
                Woken::Control(Some(Control::Restart)) => return Idle::Restart,
                Woken::Submitted(Some(submissions)) => submissions.iter().for_each(|s| self.unwritten(s)),
                // The session that wanted it is gone.
                Woken::Control(Some(Control::Confirm { .. })) => self.confirmed(),
                // A recall finds nothing unwritten.
                Woken::Control(Some(_)) | Woken::Room => {}
            }
        }
    }
}
