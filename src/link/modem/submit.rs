//! A segment as the lines that send it: AT+CMGS and the PDU (3GPP TS 27.005 section 4.3, 23.040 section 9.2.2.2).
//!
//! The sender is the SIM's; another cannot be asked for. The modem counts TP-MR itself.

use crate::config::{Modem, Numbering};
use crate::id::MessageId;
use crate::link::Submission;
use crate::sms::tpdu::{Submit, TpduError, UserData, Validity, coding, encode_sca};
use crate::sms::{address, hex};

/// A segment that waits or is being sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Item {
    pub id: MessageId,
    pub index: u8,
    pub lease: u64,
    /// SMSC and TPDU in hexadecimal.
    pub pdu: String,
    /// Octets of the TPDU alone.
    pub length: usize,
    /// How often the modem was too busy for it.
    pub busy: u8,
    /// The modem found fault with its octets, which may have been damaged on the line.
    pub disputed: bool,
    /// It was asked back while it was on its way: it is not written again.
    pub recalled: bool,
}

/// Writes the PDU of a segment.
///
/// # Errors
/// The text is not in the alphabet, or too long for one segment.
pub fn encode(submission: &Submission, config: &Modem) -> Result<Item, TpduError> {
    let submit = Submit {
        reject_duplicates: false,
        reply_path: false,
        status_report: submission.receipt && config.receipts,
        reference: 0,
        to: address::destination(submission.to, Numbering::default()),
        pid: 0,
        dcs: coding(submission.encoding, submission.flash),
        validity: Some(Validity::relative(submission.validity)),
        data: UserData::segment(&submission.text, submission.encoding, submission.concat),
    };
    let tpdu = submit.encode()?;
    // The SIM's own service centre, or the one that AT+CSCA was told.
    let mut octets = encode_sca(None)?;
    octets.extend(&tpdu);
    let Submission { id, index, lease, .. } = *submission;
    Ok(Item {
        id,
        index,
        lease,
        pdu: hex::encode(&octets),
        length: tpdu.len(),
        busy: 0,
        disputed: false,
        recalled: false,
    })
}

/// Without the PDU: it holds number and text.
impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Item").field("id", &self.id).field("index", &self.index).finish_non_exhaustive()
    }
}
