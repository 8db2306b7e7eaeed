//! From the SMSC to the client: stored and announced, or handed on at once and acknowledged, as +CNMI and +CSMS say
//! (27.005 sections 3.2.1 and 3.4.1, 3.4.4).
//!
//! Invariant: what has no room stays with the SMSC, in order, until there is; nothing is dropped but reports
//! nobody asked for (+CNMI ds=0).

use super::device::{Device, Due};
use super::network::{ACKNOWLEDGED_WITHIN, AGAIN_AFTER, Inbound, Subject};
use super::storage::{Name, Stat, Stored};
use crate::clock::Now;
use crate::sim::wire::{Came, Line, hex};

/// How far the SMSC looks behind a message that cannot be taken.
const LOOKS_BEHIND: usize = 32;
/// Indications that +CNMI mode 0 keeps; the oldest goes first.
const MOST_BUFFERED: usize = 100;
/// What fills a storage: a message of long ago, already read.
const OLD: &[u8] = &[
    0x00, 0x04, 0x04, 0x91, 0x21, 0x43, 0x00, 0x00, 0x02, 0x10, 0x10, 0x00, 0x00, 0x00, 0x00, 0x02, 0x6F,
    0x36,
];

/// Where its TP-SCTS has the hour and the minute.
const OLD_TIME: [usize; 2] = [11, 12];

/// One of each minute, so that no two are the same message.
fn old(minute: u8) -> Stored {
    let mut pdu = OLD.to_vec();
    for (place, number) in OLD_TIME.into_iter().zip([minute / 60, minute % 60]) {
        pdu[place] = ((number % 10) << 4) | (number / 10);
    }
    Stored { stat: Stat::Read, id: 0, pdu, octets: OLD.len() - 1 }
}

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// +CMT or +CDS.
    Direct,
    Store {
        into: Name,
        announced: bool,
    },
    Discard,
    /// The SMSC keeps it.
    Wait,
}

impl Device {
    /// Whether the network is there.
    pub fn on_air(&self) -> bool {
        let settings = &self.settings;
        self.sim.is_ready()
            && settings.cfun == 1
            && !settings.deregistered
            && matches!(settings.registration, 1 | 5..=7)
    }

    /// Takes from the SMSC what can be taken.
    pub fn take_messages(&mut self, now: Now) {
        if self.phase == super::device::Phase::Booting || !self.on_air() {
            return;
        }
        let mut place = 0;
        while place < self.held.len().min(LOOKS_BEHIND) {
            let Some(inbound) = self.held.remove(place) else { break };
            if let Some(refused) = self.offer(inbound, now) {
                self.held.insert(place, refused);
                place += 1;
            }
        }
    }

    /// Gives back what cannot be taken now.
    fn offer(&mut self, inbound: Inbound, now: Now) -> Option<Inbound> {
        match self.way(&inbound) {
            Way::Wait => Some(inbound),
            Way::Discard => {
                self.stats.reports_discarded += 1;
                None
            }
            Way::Direct => {
                self.hand_on(inbound, now);
                None
            }
            Way::Store { into, announced } => self.store(inbound, into, announced, now),
        }
    }

    fn way(&self, inbound: &Inbound) -> Way {
        let cnmi = self.settings.cnmi;
        let into = self.settings.cpms[2];
        let way = match &inbound.subject {
            Subject::Report { .. } => match cnmi.ds {
                1 => Way::Direct,
                2 if inbound.trap => Way::Store { into: Name::Sr, announced: true },
                2 => Way::Store { into: self.persona.reports.unwrap_or(into), announced: true },
                _ => Way::Discard,
            },
            Subject::Deliver { class, .. } => match (cnmi.mt, class) {
                (2 | 3, Some(2)) => Way::Store { into: Name::Sm, announced: true },
                (2, _) | (3, Some(3)) => Way::Direct,
                (mt, _) => Way::Store { into, announced: mt != 0 },
            },
        };
        let blocked = cnmi.mode == 0 || self.unacknowledged.is_some() || !self.is_quiet();
        if way == Way::Direct && blocked { Way::Wait } else { way }
    }

    fn hand_on(&mut self, inbound: Inbound, now: Now) {
        let pdu = crate::sms::hex::encode(&inbound.pdu);
        let line = match inbound.subject {
            Subject::Deliver { .. } => format!("+CMT: ,{}\r\n{pdu}", inbound.octets),
            Subject::Report { .. } => format!("+CDS: {}\r\n{pdu}", inbound.octets),
        };
        self.came(&inbound, "routed", now);
        self.urc(line);
        if self.settings.csms == 1 {
            self.unacknowledged = Some((inbound, now.mono + ACKNOWLEDGED_WITHIN));
        } else {
            self.taken(inbound.id, "routed", now);
        }
    }

    fn store(&mut self, inbound: Inbound, into: Name, announced: bool, now: Now) -> Option<Inbound> {
        let stored =
            Stored { stat: Stat::Unread, id: inbound.id, pdu: inbound.pdu.clone(), octets: inbound.octets };
        let Some(index) = self.storages.of(into).store(&stored) else {
            self.tell_full(into);
            return Some(inbound);
        };
        self.came(&inbound, &format!("stored {into} {index}"), now);
        if announced {
            let line = match inbound.subject {
                Subject::Deliver { .. } => format!("+CMTI: \"{into}\",{index}"),
                Subject::Report { .. } if inbound.trap => "+CDSI: \"SM\",0".to_owned(),
                Subject::Report { .. } => format!("+CDSI: \"{into}\",{index}"),
            };
            self.indicate(line);
        }
        None
    }

    /// An indication of +CNMI: kept back in mode 0.
    fn indicate(&mut self, line: String) {
        if self.settings.cnmi.mode != 0 {
            self.urc(line);
            return;
        }
        if self.buffered.len() >= MOST_BUFFERED {
            self.buffered.pop_front();
        }
        self.buffered.push_back(line);
    }

    /// Once, until there is room again.
    fn tell_full(&mut self, storage: Name) {
        if self.full_told {
            return;
        }
        self.full_told = true;
        if let Some(line) = self.persona.full {
            self.urc(line.replace("{}", &storage.to_string()));
        }
    }

    /// What was not acknowledged in time switches the handing on off and comes again later.
    pub fn give_up_waiting(&mut self, now: Now) {
        if let Some((inbound, _)) = self.unacknowledged.take_if(|(_, until)| *until <= now.mono) {
            self.settings.cnmi.mt = 0;
            self.settings.cnmi.ds = 0;
            self.stats.unacknowledged += 1;
            self.plan_for(now.mono + AGAIN_AFTER, Due::Arrive(Box::new(inbound)));
        }
    }

    /// +CNMA: false where nothing waits for it.
    pub fn acknowledge(&mut self, accepted: bool, now: Now) -> bool {
        let Some((inbound, _)) = self.unacknowledged.take() else { return false };
        if accepted {
            self.taken(inbound.id, "acknowledged", now);
        } else {
            self.plan_for(now.mono + AGAIN_AFTER, Due::Arrive(Box::new(inbound)));
        }
        true
    }

    /// Old messages in every free slot, and the news of it.
    pub fn fill(&mut self, storage: Name, now: Now) {
        let mut minute = 0;
        while self.storages.of(storage).store(&old(minute)).is_some() {
            minute += 1;
        }
        self.tell_full(storage);
        self.take_messages(now);
    }

    /// Stores something that nobody is told of.
    pub fn keep(&mut self, storage: Name, mut inbound: Inbound, now: Now) -> bool {
        self.last_id += 1;
        inbound.id = self.last_id;
        self.store(inbound, storage, false, now).is_none()
    }

    fn came(&mut self, inbound: &Inbound, how: &str, now: Now) {
        self.stats.delivered += 1;
        let (from, text, report) = match &inbound.subject {
            Subject::Deliver { from, text, .. } => (from.as_str(), text.as_str(), None),
            Subject::Report { to, reference, status } => (to.as_str(), "", Some((*reference, *status))),
        };
        let at = now.wall.to_rfc3339();
        let pdu = hex(&inbound.pdu);
        let line =
            Line::SmsDeliver(Came { at: &at, conn: self.conn, id: inbound.id, how, from, text, report, pdu });
        self.log(&line);
    }

    /// The client is done with what came under `id`.
    pub fn taken(&mut self, id: u64, how: &str, now: Now) {
        if id == 0 {
            return;
        }
        self.stats.taken += 1;
        let at = now.wall.to_rfc3339();
        self.log(&Line::SmsTaken { at: &at, conn: self.conn, id, how });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sms::tpdu::Deliver;

    #[test]
    fn what_fills_a_storage_is_a_message() {
        let told = |minute| {
            let deliver = Deliver::decode(&old(minute).pdu[1..]).unwrap();
            (deliver.data.text().map(str::to_owned), deliver.sent_at.to_timestamp())
        };
        let (text, first) = told(0);
        assert_eq!((text.as_deref(), told(99).0), (Some("ol"), text.clone()));
        let minutes = first.map(|at| at.saturating_add(std::time::Duration::from_secs(99 * 60)));
        assert!(minutes.is_some() && told(99).1 == minutes);
    }
}
