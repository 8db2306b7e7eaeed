//! A message from its Ctrl-Z to its final result (27.005 section 4.3), and what the network does with it.

use std::time::Duration;

use super::answer::Failure;
use super::device::{BACK_AFTER, Device, Due, Phase};
use super::network::{self, FAILED, MIXED, REPLY_AFTER, REPORT_AFTER, Unwritable};
use crate::clock::{Now, Timestamp};
use crate::sim::fault::Kind;
use crate::sim::smsc::Receipts;
use crate::sim::wire::{self, Line, Sent, hex};
use crate::sms::address::Address;
use crate::sms::tpdu::{Submit, split_sca};

/// A slow answer takes this many times the service time, and at least [`SLOW_LEAST`].
const SLOW_FACTOR: u32 = 10;
const SLOW_LEAST: Duration = Duration::from_secs(1);
/// Messages that `POST /receipt` can still name.
const MOST_KEPT: usize = 1_000;
/// CMS errors of the faults (3GPP TS 24.011 annex E): unidentified subscriber, SC busy; unknown error.
const UNIDENTIFIED: u32 = 28;
const SC_BUSY: u32 = 192;
const UNKNOWN: u32 = 500;
/// Octets of noise.
const NOISE: usize = 24;
/// Characters of a refused PDU that its line shows.
const SHOWN: usize = 1_024;

/// A message whose final result is still to come.
#[derive(Debug)]
pub struct Awaited {
    reference: u8,
    ending: Ending,
    /// Unsolicited lines around the answer.
    flood: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Accept,
    Refuse(u32),
    /// The network has it, the answer says otherwise.
    Deny(u32),
    Garbage,
    /// No answer, or none while anybody waits for it.
    Silence,
}

impl Ending {
    fn of(fault: Option<Kind>, busy: u16) -> Ending {
        match fault {
            Some(Kind::Reject(status)) => Ending::Refuse(status.unwrap_or(UNIDENTIFIED)),
            Some(Kind::Throttle) => Ending::Refuse(busy.into()),
            Some(Kind::QueueFull) => Ending::Refuse(SC_BUSY),
            Some(Kind::Cms500) => Ending::Deny(UNKNOWN),
            Some(Kind::Garbage) => Ending::Garbage,
            Some(Kind::NoAnswer | Kind::Late(_) | Kind::DropAfterSubmit | Kind::Reboot | Kind::Hangup) => {
                Ending::Silence
            }
            Some(Kind::SimFull | Kind::UrcFlood | Kind::Slow | Kind::CdsiTrap | Kind::NoPrompt) | None => {
                Ending::Accept
            }
        }
    }

    fn status(self) -> Option<u32> {
        match self {
            Ending::Accept => Some(0),
            Ending::Refuse(status) | Ending::Deny(status) => Some(status),
            Ending::Garbage | Ending::Silence => None,
        }
    }
}

/// A message that was sent, for reports asked for later.
#[derive(Debug)]
pub struct Kept {
    pub reference: u8,
    pub to: Address,
    pub at: Timestamp,
}

impl Device {
    /// Takes the PDU that Ctrl-Z ends.
    pub fn submit(&mut self, octets: usize, digits: &[u8], now: Now) {
        match self.read(octets, digits) {
            Ok((pdu, submit)) => self.take_submit(&pdu, &submit, now),
            Err(why) => {
                self.stats.refused += 1;
                self.log_refused(octets, digits, why, now);
                let failed = self.settings.style.failed(why);
                self.say(&failed);
            }
        }
    }

    /// SCA and TPDU as octets, and the message.
    fn read(&self, octets: usize, digits: &[u8]) -> Result<(Vec<u8>, Submit), Failure> {
        let pdu = crate::sms::hex::decode(digits).map_err(|_| Failure::SMS_BAD_PDU)?;
        let (centre, tpdu) = split_sca(&pdu).map_err(|_| Failure::SMS_BAD_PDU)?;
        if tpdu.len() != octets {
            return Err(Failure::SMS_BAD_PDU);
        }
        let submit = Submit::decode(tpdu).map_err(|_| Failure::SMS_BAD_PDU)?;
        if submit.to.text.is_empty() {
            return Err(Failure::SMS_BAD_PDU);
        }
        if centre.is_none() && self.settings.csca.is_empty() {
            return Err(Failure::NO_SERVICE_CENTRE);
        }
        if !self.on_air() {
            return Err(Failure::NO_NETWORK);
        }
        Ok((pdu, submit))
    }

    fn take_submit(&mut self, pdu: &[u8], submit: &Submit, now: Now) {
        let fault = self.drawn.take().flatten();
        if fault == Some(Kind::Hangup) {
            self.pull(now, true, Some(BACK_AFTER));
            return;
        }
        self.last_reference = self.last_reference.wrapping_add(1);
        let reference = self.last_reference;
        let ending = Ending::of(fault, self.persona.busy);
        let mut service = self.chance.within(self.options.service_time);
        if fault == Some(Kind::Slow) {
            service = (service * SLOW_FACTOR).max(SLOW_LEAST);
        }
        self.stats.message(ending.status());
        self.log_submit(pdu, submit, reference, ending, now);
        if !matches!(ending, Ending::Refuse(_)) {
            self.carry(submit, reference, service, fault == Some(Kind::CdsiTrap), now);
        }
        match fault {
            Some(Kind::DropAfterSubmit) => self.pull(now, false, Some(BACK_AFTER)),
            Some(Kind::Reboot) => self.reboot(now),
            Some(Kind::NoAnswer) => {}
            Some(Kind::Late(after)) => self.plan_for(now.mono + after, Due::Late { reference }),
            other => {
                if other == Some(Kind::SimFull) {
                    self.fill(self.settings.cpms[2], now);
                }
                let flood = other == Some(Kind::UrcFlood);
                if flood {
                    self.flood();
                }
                self.phase = Phase::Sending;
                self.stats.in_flight = 1;
                self.stats.most_in_flight = 1;
                self.plan_for(now.mono + service, Due::Answer(Awaited { reference, ending, flood }));
            }
        }
    }

    /// The final result of the message on its way.
    pub fn answer_message(&mut self, awaited: Awaited, now: Now) {
        self.phase = Phase::Ready;
        self.stats.in_flight = 0;
        let style = self.settings.style;
        match awaited.ending {
            Ending::Accept => {
                self.stats.answered += 1;
                self.inform(&format!("+CMGS: {}", awaited.reference));
                self.say(&style.ok());
            }
            Ending::Refuse(status) | Ending::Deny(status) => {
                self.stats.answered += 1;
                // Codes beyond 16 bits do not exist; the control API may name one.
                let status = u16::try_from(status).unwrap_or(u16::MAX);
                self.say(&style.failed(Failure::Cms(status)));
            }
            Ending::Garbage => {
                let noise: Vec<u8> = (0..NOISE).map(|_| self.chance.below(256) as u8).collect();
                self.say_octets(&noise);
            }
            Ending::Silence => {}
        }
        if awaited.flood {
            self.flood();
        }
        self.take_messages(now);
    }

    /// What the network does with a message it has: a report, an answering phone.
    fn carry(&mut self, submit: &Submit, reference: u8, service: Duration, trap: bool, now: Now) {
        if self.kept.len() >= MOST_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(Kept { reference, to: submit.to.clone(), at: now.wall });
        if submit.status_report {
            for (place, status) in self.statuses().iter().enumerate() {
                let after = service + REPORT_AFTER * (place as u32 + 1);
                let told = self.report(reference, *status, after, trap, now);
                self.warn_unless(told);
            }
        }
        let concat = submit.data.concat();
        if let Some(text) = self.options.reply.clone()
            && concat.is_none_or(|concat| concat.number == concat.total)
        {
            let told = self.reply(&network::number(&submit.to), &text, service + REPLY_AFTER, now);
            self.warn_unless(told.map(drop));
        }
    }

    fn warn_unless(&self, told: Result<(), Unwritable>) {
        if let Err(why) = told {
            tracing::warn!(event = "sim_inbound_not_sent", %why);
        }
    }

    /// The TP-ST of the reports of the message just taken.
    fn statuses(&self) -> &'static [u8] {
        match self.options.receipts {
            Receipts::None => &[],
            Receipts::Delivered => &[0x00],
            Receipts::Failed => &[FAILED],
            Receipts::Mixed => MIXED[(self.stats.received.saturating_sub(1) % MIXED.len() as u64) as usize],
        }
    }

    /// Sends a report for the last message with this TP-MR.
    pub fn report(
        &mut self,
        reference: u8,
        status: u8,
        after: Duration,
        trap: bool,
        now: Now,
    ) -> Result<(), Unwritable> {
        let kept = self.kept.iter().rev().find(|kept| kept.reference == reference);
        let kept = kept.ok_or(Unwritable::UnknownReference)?;
        let mut report =
            network::report(&kept.to, reference, status, kept.at, now.wall.saturating_add(after))?;
        report.trap = trap;
        self.arrive(report, after, now)?;
        Ok(())
    }

    /// Sends a text from a phone; how many segments it takes.
    pub fn reply(&mut self, from: &str, text: &str, after: Duration, now: Now) -> Result<usize, Unwritable> {
        let reference = self.chance.below(256) as u8;
        let delivers = network::delivers(from, text, reference, now.wall.saturating_add(after))?;
        let segments = delivers.len();
        for deliver in delivers {
            self.arrive(deliver, after, now)?;
        }
        Ok(segments)
    }

    fn log_submit(&mut self, pdu: &[u8], submit: &Submit, reference: u8, ending: Ending, now: Now) {
        let (at, from, to) =
            (now.wall.to_rfc3339(), self.options.number.clone(), network::number(&submit.to));
        let concat = submit.data.concat();
        let elements = submit.data.header.iter();
        let header: Vec<u8> = elements
            .flat_map(|element| [&[element.id, element.value.len() as u8][..], &element.value].concat())
            .collect();
        let line = Line::SmsSubmit(Sent {
            at: &at,
            conn: self.conn,
            seq: self.stats.received,
            from: &from,
            to: &to,
            text: submit.data.text().unwrap_or_default(),
            dcs: submit.dcs,
            pid: submit.pid,
            udh: (!header.is_empty()).then(|| hex(&[&[header.len() as u8], &header[..]].concat())),
            segment: concat.map(|concat| wire::Segment {
                reference: concat.reference,
                total: concat.total,
                number: concat.number,
            }),
            pdu: hex(pdu),
            reference,
            status_report: submit.status_report,
            status: ending.status(),
            sent: !matches!(ending, Ending::Refuse(_)),
        });
        self.log(&line);
    }

    fn log_refused(&mut self, octets: usize, digits: &[u8], why: Failure, now: Now) {
        let Failure::Cms(status) = why else { return };
        let at = now.wall.to_rfc3339();
        let line = Line::Refused {
            at: &at,
            conn: self.conn,
            seq: 0,
            command: format!("+CMGS={octets}"),
            status: status.into(),
            body: String::from_utf8_lossy(&digits[..digits.len().min(SHOWN)]).into_owned(),
        };
        self.log(&line);
    }
}
