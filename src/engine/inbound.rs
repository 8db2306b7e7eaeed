//! Inbound: what a link handed up is stored first, and only then confirmed to the network.
//!
//! A repeat of the network is stored again rather than lost: confirmed twice is harmless, dropped is not.
//! Receipts among it go to [`super::receipts`].

use serde::{Deserialize, Serialize};

use super::core::{Core, LinkIndex, Work};
use super::notice::{Notice, NoticeKind};
use crate::clock::Timestamp;
use crate::id::InboundId;
use crate::link::{Control, Inbound, InboundToken, RawReply};
use crate::message::LinkName;
use crate::store::{StoreError, keys, record};

/// One segment of a reply as it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredReply {
    pub link: LinkName,
    pub received_at: Timestamp,
    /// Addresses as written on the wire.
    pub from: String,
    pub to: String,
    pub raw: Vec<u8>,
    pub text: Option<String>,
    /// Reference, total and number of a concatenated segment.
    pub concat: Option<(u16, u8, u8)>,
}

impl Core {
    pub(super) fn receive(
        &mut self,
        link: LinkIndex,
        token: InboundToken,
        inbound: Inbound,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        match inbound {
            Inbound::Receipt(receipt) => self.receive_receipt(link, receipt, work)?,
            Inbound::Reply(reply) => self.store_reply(link, reply, work),
            Inbound::Poison(_) => {}
        }
        work.controls.push((link, Control::Confirm { token, stored: true }));
        Ok(())
    }

    fn store_reply(&mut self, link: LinkIndex, reply: RawReply, work: &mut Work) {
        let Some(name) = self.links.get(link).map(|seat| seat.facts.name.clone()) else { return };
        let id = InboundId::from_u64(self.counters.ids.next(work.wall()));
        self.counters.inbound += 1;
        tracing::info!(event = "inbound_received", %id, link = %name);
        let stored = StoredReply {
            link: name.clone(),
            received_at: work.wall(),
            from: reply.from,
            to: reply.to,
            raw: reply.raw,
            text: reply.text,
            concat: reply.concat.map(|c| (c.reference, c.total, c.number)),
        };
        work.txn.put(keys::inbound(id), &stored);
        let notice = Notice { at: work.wall(), kind: NoticeKind::InboundReceived { id, link: name } };
        work.txn.batch.events.push(record::encode(&notice));
    }
}
