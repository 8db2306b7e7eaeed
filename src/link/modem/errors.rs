//! What an error answer means for the message it was given to, as data by (vendor, code).
//!
//! CMS errors are of 3GPP TS 27.005 section 3.2.5, CME errors of 27.007 section 9.2; from 512 on a code means what
//! its vendor says, and vendors contradict each other. What the table does not know is tried again a few times
//! and shown with its number. Codes that leave open whether the message went out are unknown, never refused.

use std::fmt;

use crate::config::Vendor;
use crate::message::{Cause, RawCode, Reason};
use crate::retry::RetryClass;

/// An error answer as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    Cms(u16),
    Cme(u16),
    /// ERROR and what stands for it: no code was given.
    Plain,
}

/// Words that modems write instead of a code although CMEE=1 asks for one.
const WORDS: &[(&str, u16)] = &[
    ("simnotinserted", 10),
    ("simpinrequired", 11),
    ("simpukrequired", 12),
    ("simfailure", 13),
    ("simbusy", 14),
    ("simwrong", 15),
    ("incorrectpassword", 16),
    ("memoryfull", 20),
    ("invalidindex", 21),
    ("notfound", 22),
    ("nonetworkservice", 30),
    ("networktimeout", 31),
    ("operationnotallowed", 3),
    ("operationnotsupported", 4),
];
/// Other ways to say ERROR (modem.md 3.1).
const PLAIN: &[&str] = &["ERROR", "COMMAND NOT SUPPORT", "NOT FOND ^,NOT CUSTOM AT", "TOO MANY PARAMETERS"];

impl Fault {
    /// `None`: the line is no error answer.
    pub fn read(line: &str) -> Option<Fault> {
        if PLAIN.contains(&line) || line.starts_with("MODEM ERROR:") {
            return Some(Fault::Plain);
        }
        if let Some(code) = line.strip_prefix("+CMS ERROR") {
            return Some(code_of(code).map_or(Fault::Plain, Fault::Cms));
        }
        let code = line.strip_prefix("+CME ERROR")?;
        Some(code_of(code).map_or(Fault::Plain, Fault::Cme))
    }

    pub fn raw(&self) -> Option<RawCode> {
        match self {
            Fault::Cms(code) => Some(RawCode::Cms(*code)),
            Fault::Cme(code) => Some(RawCode::Cme(*code)),
            Fault::Plain => None,
        }
    }

    /// The SIM or the modem is not ready yet: the same command may pass in a moment.
    pub fn is_busy(&self, vendor: Vendor) -> bool {
        meaning(self, vendor) == Meaning::Busy
    }

    /// "Invalid parameter", by the modem itself: its octets are no message, whether they were ours or not.
    pub fn disputes_octets(&self) -> bool {
        matches!(self, Fault::Cms(304 | 305))
    }

    /// The place in the memory holds nothing.
    pub fn is_empty_place(&self) -> bool {
        matches!(self, Fault::Cms(321) | Fault::Cme(21 | 22))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.raw() {
            Some(raw) => write!(f, "{raw}"),
            None => f.write_str("ERROR"),
        }
    }
}

/// Quotes and blanks vary, and some write words.
fn code_of(rest: &str) -> Option<u16> {
    let plain: String = rest.chars().filter(char::is_ascii_alphanumeric).collect();
    let word = plain.to_ascii_lowercase();
    plain.parse().ok().or_else(|| WORDS.iter().find(|(name, _)| *name == word).map(|(_, code)| *code))
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// This message will never pass.
    Permanent(Reason),
    /// This message later.
    Temporary(Reason),
    /// The SIM may be barred or without credit: not sent, and a streak of it parks the link.
    Suspect,
    /// The SIM is missing, locked or broken: not sent, and the modem is set up anew.
    SimState,
    /// Ours to mend, and no message passes until it is.
    Settings(Reason),
    /// The same command again in a moment.
    Busy,
    /// It may have gone out.
    Unknown,
}

/// One row: the vendor it holds for (`None`: all), codes from and to, what they mean.
type Row = (Option<Vendor>, u16, u16, Meaning);

use Meaning::{Busy, Permanent, SimState, Suspect, Temporary, Unknown};

const REJECTED: Meaning = Permanent(Reason::NetworkRefused);
const BAD_NUMBER: Meaning = Permanent(Reason::NetworkBadNumber);
const BAD_REQUEST: Meaning = Permanent(Reason::ModemBadRequest);
const NETWORK: Meaning = Temporary(Reason::NetworkTemporary);
const UNREACHABLE: Meaning = Temporary(Reason::NetworkUnreachable);
const MODEM: Meaning = Temporary(Reason::ModemFault);
const STORAGE: Meaning = Temporary(Reason::ModemStorage);

/// The first row that fits counts, so a vendor's own stand before the others.
const CMS: &[Row] = &[
    (Some(Vendor::Sierra), 512, 512, NETWORK),
    (Some(Vendor::Sierra), 513, 513, Unknown),
    (Some(Vendor::Sierra), 514, 514, NETWORK),
    (Some(Vendor::Sierra), 515, 515, Busy),
    (Some(Vendor::Cinterion), 512, 512, MODEM),
    (Some(Vendor::Cinterion), 513, 513, STORAGE),
    (Some(Vendor::Cinterion), 514, 514, BAD_REQUEST),
    (Some(Vendor::Cinterion), 515, 515, BAD_NUMBER),
    (Some(Vendor::Cinterion), 516, 520, BAD_REQUEST),
    (Some(Vendor::Cinterion), 521, 521, Unknown),
    (Some(Vendor::Cinterion), 522, 522, Busy),
    (Some(Vendor::Cinterion), 532, 532, Busy),
    (Some(Vendor::Cinterion), 535, 535, Busy),
    (Some(Vendor::Cinterion), 538, 538, BAD_REQUEST),
    (Some(Vendor::Cinterion), 549, 554, BAD_REQUEST),
    (Some(Vendor::Cinterion), 615, 616, NETWORK),
    (None, 512, 512, NETWORK),
    // Some vendor says that it may have gone out, and whose word this is nobody knows.
    (None, 513, 513, Unknown),
    (None, 521, 521, Unknown),
    (None, 515, 515, Busy),
    (None, 532, 532, Busy),
    (None, 1, 1, BAD_NUMBER),
    (None, 8, 8, Suspect),
    (None, 10, 10, Suspect),
    (None, 21, 21, UNREACHABLE),
    (None, 22, 22, UNREACHABLE),
    (None, 27, 27, UNREACHABLE),
    (None, 28, 28, BAD_NUMBER),
    (None, 29, 29, Suspect),
    (None, 30, 30, BAD_NUMBER),
    (None, 38, 38, NETWORK),
    (None, 41, 42, NETWORK),
    (None, 47, 47, NETWORK),
    (None, 50, 50, Suspect),
    (None, 69, 69, Suspect),
    (None, 81, 81, NETWORK),
    (None, 95, 97, BAD_REQUEST),
    (None, 98, 98, NETWORK),
    (None, 99, 99, BAD_REQUEST),
    (None, 111, 111, NETWORK),
    (None, 127, 127, NETWORK),
    (None, 128, 130, BAD_REQUEST),
    (None, 143, 145, BAD_REQUEST),
    (None, 159, 161, BAD_REQUEST),
    (None, 175, 176, BAD_REQUEST),
    (None, 192, 192, NETWORK),
    (None, 193, 193, Suspect),
    (None, 194, 194, NETWORK),
    (None, 195, 195, BAD_NUMBER),
    (None, 196, 196, REJECTED),
    // "Duplicate": the SMSC still holds one like it, which may be this one, or an earlier one.
    (None, 197, 197, Unknown),
    (None, 198, 199, BAD_REQUEST),
    (None, 208, 209, STORAGE),
    (None, 210, 210, MODEM),
    (None, 211, 211, UNREACHABLE),
    (None, 212, 212, Busy),
    (None, 213, 213, MODEM),
    (None, 255, 255, Unknown),
    (None, 300, 300, Unknown),
    (None, 301, 301, Busy),
    (None, 302, 302, MODEM),
    (None, 303, 305, BAD_REQUEST),
    (None, 310, 313, SimState),
    (None, 314, 314, Busy),
    (None, 315, 318, SimState),
    (None, 320, 320, STORAGE),
    (None, 321, 321, MODEM),
    (None, 322, 322, STORAGE),
    (None, 330, 330, Meaning::Settings(Reason::ModemNoServiceCentre)),
    (None, 331, 331, Temporary(Reason::ModemNoNetwork)),
    (None, 332, 332, Unknown),
    (None, 500, 500, Unknown),
];

const CME: &[Row] = &[
    (None, 0, 0, Unknown),
    (None, 3, 4, MODEM),
    (None, 10, 13, SimState),
    (None, 14, 14, Busy),
    (None, 15, 16, SimState),
    (None, 20, 20, STORAGE),
    (None, 21, 22, MODEM),
    (None, 23, 23, STORAGE),
    (None, 30, 30, Temporary(Reason::ModemNoNetwork)),
    (None, 31, 31, Unknown),
    (None, 32, 32, Temporary(Reason::ModemNoNetwork)),
    (None, 100, 100, Unknown),
    (None, 256, 256, Busy),
    (None, 258, 258, Busy),
    (None, 262, 262, SimState),
    (None, 515, 515, Busy),
    (None, 772, 772, SimState),
];

/// What a fault says of a message whose octets the modem has.
pub fn meaning(fault: &Fault, vendor: Vendor) -> Meaning {
    let (table, code) = match fault {
        Fault::Plain => return Unknown,
        Fault::Cms(code) => (CMS, *code),
        Fault::Cme(code) => (CME, *code),
    };
    let fits = |row: &&Row| row.0.is_none_or(|of| of == vendor) && (row.1..=row.2).contains(&code);
    table.iter().find(fits).map_or(Temporary(Reason::ModemUnknownCode), |row| row.3)
}

/// The same before the modem had any octet of it: then nothing can have gone out.
pub fn meaning_before(fault: &Fault, vendor: Vendor) -> Meaning {
    match meaning(fault, vendor) {
        Unknown => MODEM,
        other => other,
    }
}

/// A refusal with the modem's own number.
pub fn cause(reason: Reason, fault: &Fault) -> Cause {
    Cause { reason, raw: fault.raw() }
}

/// The refusal of [`Meaning::Permanent`], [`Meaning::Temporary`] and [`Meaning::Settings`]; `None` for what is none.
pub fn refusal(meaning: Meaning, fault: &Fault) -> Option<(Cause, RetryClass)> {
    match meaning {
        Permanent(reason) => Some((cause(reason, fault), RetryClass::Permanent)),
        Temporary(reason) => Some((cause(reason, fault), RetryClass::Temporary)),
        Meaning::Settings(reason) => Some((cause(reason, fault), RetryClass::Park)),
        Suspect | SimState | Busy | Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: u16) -> Meaning {
        meaning(&Fault::Cms(code), Vendor::Generic)
    }

    #[test]
    fn errors_are_read_however_they_are_written() {
        for (line, wanted) in [
            ("+CMS ERROR: 38", Fault::Cms(38)),
            ("+CMS ERROR:38", Fault::Cms(38)),
            ("+CMS ERROR: \"38\"", Fault::Cms(38)),
            ("+CME ERROR: SIM busy", Fault::Cme(14)),
            ("+CME ERROR: incorrect password", Fault::Cme(16)),
            ("+CME ERROR: something new", Fault::Plain),
            ("+CMS ERROR: 99999", Fault::Plain),
            ("ERROR", Fault::Plain),
            ("COMMAND NOT SUPPORT", Fault::Plain),
            ("MODEM ERROR: 4", Fault::Plain),
        ] {
            assert_eq!(Fault::read(line), Some(wanted), "{line}");
        }
        for line in ["OK", "+CMGS: 5", "ERRORS", "+CMSERROR"] {
            assert_eq!(Fault::read(line), None, "{line}");
        }
    }

    #[test]
    fn every_class_of_the_hostile_table_is_told_apart() {
        for temporary in [27, 38, 41, 42, 47, 331] {
            assert!(matches!(of(temporary), Temporary(_)), "{temporary}");
        }
        for permanent in [1, 28, 30, 304] {
            assert!(matches!(of(permanent), Permanent(_)), "{permanent}");
        }
        for unknown in [255, 332, 500] {
            assert_eq!(of(unknown), Unknown, "{unknown}");
        }
        for suspect in [8, 10, 29, 50] {
            assert_eq!(of(suspect), Suspect, "{suspect}");
        }
        for sim in [310, 311, 312, 313, 315, 316, 317, 318] {
            assert_eq!(of(sim), SimState, "{sim}");
        }
        for storage in [320, 322] {
            assert_eq!(of(storage), STORAGE, "{storage}");
        }
        assert_eq!(of(314), Busy);
        assert_eq!(of(330), Meaning::Settings(Reason::ModemNoServiceCentre));
        assert_eq!(of(517), Temporary(Reason::ModemUnknownCode));
        assert_eq!(meaning(&Fault::Plain, Vendor::Generic), Unknown);
    }

    #[test]
    fn a_code_of_a_vendor_means_what_that_vendor_says() {
        assert_eq!(meaning(&Fault::Cms(515), Vendor::Sierra), Busy);
        assert_eq!(meaning(&Fault::Cms(515), Vendor::Cinterion), BAD_NUMBER);
        assert_eq!(meaning(&Fault::Cms(513), Vendor::Sierra), Unknown);
        assert_eq!(meaning(&Fault::Cms(513), Vendor::Cinterion), STORAGE);
        assert_eq!(meaning(&Fault::Cms(513), Vendor::Huawei), Unknown, "what some vendor leaves open");
    }

    #[test]
    fn before_the_prompt_nothing_is_unknown() {
        for code in 0..1024 {
            for vendor in [Vendor::Generic, Vendor::Sierra, Vendor::Cinterion] {
                assert_ne!(meaning_before(&Fault::Cms(code), vendor), Unknown);
                assert_ne!(meaning_before(&Fault::Cme(code), vendor), Unknown);
            }
        }
        assert_ne!(meaning_before(&Fault::Plain, Vendor::Generic), Unknown);
    }
}
