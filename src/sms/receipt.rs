//! Receipts as SMSCs write them: text (SMPP 3.4 appendix B and its wild variants) and TLVs (5.3.2).
//!
//! Invariants: the esm_class alone decides whether something is a receipt, never the look of its text;
//! everything after `text:` is text and no key; a TLV wins over the text; a word or number that is not
//! known is [`Verdict::Unknown`], never failed. Which message a receipt is about is found by reference:
//! [`canonical`] and [`alternatives`] make the index keys, and [`match_reference`] says how two meet.

mod time;

use crate::config::ReceiptId;
use crate::message::{Cause, RawCode, Reason, ReceiptState};

pub use time::ReceiptTime;

/// Octets of a word or an id at most. SMPP allows an id 65; what is longer names nothing of ours.
const MAX_WORD: usize = 255;

/// What kind of receipt the message type of an esm_class announces (SMPP 3.4 5.2.12, bits 2 to 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of the SMSC, or the acknowledgement of a recipient that is a machine.
    Final,
    /// "Intermediate notification": a try failed, the SMSC goes on.
    Intermediate,
}

impl Kind {
    /// `None`: it is a message. So is a user acknowledgement (0x10), whose text a person wrote.
    pub const fn of(esm_class: u8) -> Option<Kind> {
        match esm_class & 0b0011_1100 {
            0x04 | 0x08 => Some(Kind::Final),
            0x20 => Some(Kind::Intermediate),
            _ => None,
        }
    }
}

/// The TLVs that say what the text says, better.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tlvs {
    pub receipted_message_id: Option<String>,
    pub message_state: Option<u8>,
    /// The error number, its last two octets; what it means depends on the network (5.3.2.31).
    pub network_error_code: Option<u16>,
}

/// A receipt, read. What was absent or could not be read is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// As written; never a number, because it may have leading zeros, letters or 40 digits.
    pub id: Option<String>,
    pub sub: Option<u32>,
    pub dlvrd: Option<u32>,
    pub submit: Option<ReceiptTime>,
    pub done: Option<ReceiptTime>,
    /// In capitals.
    pub stat: Option<String>,
    /// As written, `Some("")` when the key stood alone; the number of `network_error_code` where that came.
    pub err: Option<String>,
    pub text: Option<String>,
    pub message_state: Option<u8>,
    pub verdict: Verdict,
}

/// What a receipt says became of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Delivered,
    Failed(Reason),
    Pending,
    Unknown,
}

impl Verdict {
    /// The word of `debug receipt` and the vectors.
    pub const fn as_str(self) -> &'static str {
        match self {
            Verdict::Delivered => "delivered",
            Verdict::Failed(_) => "failed",
            Verdict::Pending => "pending",
            Verdict::Unknown => "unknown",
        }
    }

    /// By the `stat` word, in capitals: those of appendix B, written out, and those of SMSCs seen.
    fn of_stat(stat: &str) -> Verdict {
        match stat {
            "DELIVRD" | "DELIVERED" => Verdict::Delivered,
            "UNDELIV" | "UNDELIVRD" | "UNDELIVERED" | "UNDELIVERABLE" | "FAILED" => {
                Verdict::Failed(Reason::NetworkUndeliverable)
            }
            "EXPIRED" => Verdict::Failed(Reason::NetworkExpired),
            "DELETED" => Verdict::Failed(Reason::NetworkDeleted),
            "REJECTD" | "REJECTED" => Verdict::Failed(Reason::NetworkRejected),
            "ENROUTE" | "ACCEPTD" | "ACCEPTED" | "ACKED" | "BUFFRED" | "BUFFERD" | "BUFFERED"
            | "SCHEDULED" => Verdict::Pending,
            _ => Verdict::Unknown,
        }
    }

    /// By message_state (SMPP 3.4 5.2.28; 0 is SMPP 5.0's SCHEDULED).
    fn of_state(state: u8) -> Verdict {
        match state {
            0 | 1 | 6 => Verdict::Pending,
            2 => Verdict::Delivered,
            3 => Verdict::Failed(Reason::NetworkExpired),
            4 => Verdict::Failed(Reason::NetworkDeleted),
            5 => Verdict::Failed(Reason::NetworkUndeliverable),
            8 => Verdict::Failed(Reason::NetworkRejected),
            _ => Verdict::Unknown,
        }
    }
}

impl Receipt {
    /// What the core is told.
    pub fn state(&self) -> ReceiptState {
        match self.verdict {
            Verdict::Delivered => ReceiptState::Delivered,
            Verdict::Failed(reason) => ReceiptState::Failed(Cause { reason, raw: self.raw() }),
            Verdict::Pending => ReceiptState::Pending,
            Verdict::Unknown => ReceiptState::Unknown,
        }
    }

    /// `stat` and `err` for people. A message_state that decided against `stat` stands beside it.
    pub fn raw(&self) -> Option<RawCode> {
        let stat = match (&self.stat, self.message_state) {
            (Some(stat), Some(state)) if Verdict::of_stat(stat) != Verdict::of_state(state) => {
                format!("{stat}, message_state {state}")
            }
            (Some(stat), _) => stat.clone(),
            (None, Some(state)) => format!("message_state {state}"),
            (None, None) => return None,
        };
        Some(RawCode::Receipt { stat, err: self.err.clone().unwrap_or_default() })
    }
}

/// Reads the receipt of a deliver_sm; `None` when its esm_class says that it is a message.
pub fn parse(esm_class: u8, text: &str, tlvs: &Tlvs) -> Option<Receipt> {
    let kind = Kind::of(esm_class)?;
    let mut receipt = read_text(text);
    if let Some(id) = &tlvs.receipted_message_id {
        receipt.id = word(id).map(str::to_owned).or(receipt.id);
    }
    if let Some(error) = tlvs.network_error_code {
        receipt.err = Some(error.to_string());
    }
    receipt.message_state = tlvs.message_state;
    let verdict = match (tlvs.message_state, &receipt.stat) {
        (Some(state), _) => Verdict::of_state(state),
        (None, Some(stat)) => Verdict::of_stat(stat),
        (None, None) => Verdict::Unknown,
    };
    receipt.verdict = match (kind, verdict) {
        // The SMSC still tries, whatever the word.
        (Kind::Intermediate, Verdict::Failed(_)) => Verdict::Pending,
        (_, verdict) => verdict,
    };
    Some(receipt)
}

fn read_text(text: &str) -> Receipt {
    let fields = Fields::of(text);
    let number = |key| fields.word(key).and_then(|digits| digits.parse().ok());
    let time = |key| fields.value(key).and_then(ReceiptTime::parse);
    Receipt {
        id: fields.word(Key::Id).map(str::to_owned),
        sub: number(Key::Sub),
        dlvrd: number(Key::Dlvrd),
        submit: time(Key::Submit),
        done: time(Key::Done),
        stat: fields.word(Key::Stat).map(str::to_ascii_uppercase),
        err: fields.value(Key::Err).map(|err| word(err).unwrap_or_default().to_owned()),
        text: fields.value(Key::Text).map(str::to_owned),
        message_state: None,
        verdict: Verdict::Unknown,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Id,
    Sub,
    Dlvrd,
    Submit,
    Done,
    Stat,
    Err,
    Text,
}

/// In small letters; they are found in any case.
const KEYS: [(&str, Key); 10] = [
    ("id:", Key::Id),
    ("sub:", Key::Sub),
    ("dlvrd:", Key::Dlvrd),
    ("submit date:", Key::Submit),
    ("submit_date:", Key::Submit),
    ("done date:", Key::Done),
    ("done_date:", Key::Done),
    ("stat:", Key::Stat),
    ("err:", Key::Err),
    ("text:", Key::Text),
];

/// Values by key, in any order; the first of a key counts. A value ends where the next key begins.
struct Fields<'a>([Option<&'a str>; 8]);

impl<'a> Fields<'a> {
    fn of(text: &'a str) -> Fields<'a> {
        let mut values = [None; 8];
        let mut open: Option<(Key, usize)> = None;
        let mut at = 0;
        while at < text.len() {
            let Some((key, length)) = key_at(text, at) else {
                at += 1;
                continue;
            };
            close(&mut values, open, &text[..at]);
            at += length;
            open = Some((key, at));
            if key == Key::Text {
                break;
            }
        }
        close(&mut values, open, text);
        Fields(values)
    }

    fn value(&self, key: Key) -> Option<&'a str> {
        self.0[key as usize]
    }

    /// The first word of a value: what follows it belongs to a key that we do not know.
    fn word(&self, key: Key) -> Option<&'a str> {
        self.value(key).and_then(word)
    }
}

fn close<'a>(values: &mut [Option<&'a str>; 8], open: Option<(Key, usize)>, until: &'a str) {
    if let Some((key, from)) = open {
        values[key as usize].get_or_insert(&until[from..]);
    }
}

/// The key that begins at this octet, and its length. A key stands at the start or after a separator, so
/// that neither `valid:` nor `subid:` is taken for `id:`.
fn key_at(text: &str, at: usize) -> Option<(Key, usize)> {
    let octets = text.as_bytes();
    if at > 0 && !is_separator(octets[at - 1] as char) {
        return None;
    }
    let rest = &octets[at..];
    let starts = |name: &str| rest.get(..name.len()).is_some_and(|b| b.eq_ignore_ascii_case(name.as_bytes()));
    KEYS.iter().find(|(name, _)| starts(name)).map(|(name, key)| (*key, name.len()))
}

/// Between fields: blanks, line ends, and what some SMSCs put in their place.
fn is_separator(c: char) -> bool {
    c.is_ascii_whitespace() || matches!(c, ',' | ';' | '\0')
}

fn word(value: &str) -> Option<&str> {
    value.split(is_separator).find(|word| !word.is_empty()).filter(|word| word.len() <= MAX_WORD)
}

/// How the reference of a receipt meets that of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    AsIs,
    LeadingZeros,
    Case,
    HexDec,
    None,
}

impl Match {
    /// The word of `debug receipt` and the vectors.
    pub const fn as_str(self) -> &'static str {
        match self {
            Match::AsIs => "as-is",
            Match::LeadingZeros => "leading-zeros",
            Match::Case => "case",
            Match::HexDec => "hex-dec",
            Match::None => "none",
        }
    }
}

/// Compares the reference of a submit_sm_resp with that of a receipt: as is, without leading zeros,
/// without regard to case, and last hexadecimal against decimal as far as `mode` allows it. The order
/// matters among many: one that matches [`Match::HexDec`] counts only where no other matches better,
/// because 1028 may be itself as well as 0x404. An empty reference matches nothing.
pub fn match_reference(submitted: &str, received: &str, mode: ReceiptId) -> Match {
    if submitted.is_empty() || received.is_empty() {
        return Match::None;
    }
    let (wanted, found) = (canonical(submitted), canonical(received));
    if submitted == received {
        Match::AsIs
    } else if without_zeros(submitted) == without_zeros(received) {
        Match::LeadingZeros
    } else if wanted == found {
        Match::Case
    } else if alternatives(received, mode).contains(&wanted) {
        Match::HexDec
    } else {
        Match::None
    }
}

/// The form under which references meet that differ only in leading zeros and case: what an index key is
/// made from. "0" stays "0", so that it never meets the empty one.
pub fn canonical(reference: &str) -> String {
    without_zeros(reference).to_ascii_lowercase()
}

/// The other references, in canonical form, that a received one may mean under `mode`: at most two.
pub fn alternatives(received: &str, mode: ReceiptId) -> Vec<String> {
    let (from_decimal, from_hex) = match mode {
        ReceiptId::Same => (false, false),
        ReceiptId::HexToDec => (true, false),
        ReceiptId::DecToHex => (false, true),
        ReceiptId::Auto => (true, true),
    };
    let as_decimal = from_decimal.then(|| number(received, 10)).flatten().map(|id| format!("{id:x}"));
    let as_hex = from_hex.then(|| number(received, 16)).flatten().map(|id| id.to_string());
    let own = canonical(received);
    as_decimal.into_iter().chain(as_hex).filter(|id| *id != own).collect()
}

/// 128 bits hold the 32 hexadecimal digits that the longest ids seen have; longer ones are no numbers.
fn number(text: &str, radix: u32) -> Option<u128> {
    let digits = text.bytes().all(|b| (b as char).is_digit(radix));
    if digits { u128::from_str_radix(text, radix).ok() } else { None }
}

fn without_zeros(reference: &str) -> &str {
    match reference.trim_start_matches('0') {
        "" if !reference.is_empty() => "0",
        rest => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Receipt {
        parse(4, text, &Tlvs::default()).unwrap()
    }

    #[test]
    fn the_esm_class_alone_says_what_is_a_receipt() {
        let text = "id:1 stat:DELIVRD";
        for (esm_class, expected) in [
            (0x00, false),
            (0x40, false),
            (0x04, true),
            (0x44, true),
            (0x08, true),
            (0x10, false),
            (0x20, true),
        ] {
            assert_eq!(parse(esm_class, text, &Tlvs::default()).is_some(), expected, "{esm_class:#x}");
        }
        assert!(parse(4, "hello", &Tlvs::default()).is_some());
    }

    #[test]
    fn a_word_that_is_not_known_is_unknown_and_never_failed() {
        for text in ["id:1 stat:UNKNOWN", "id:1 stat:NOROUTE", "id:1 stat:", "id:1", "", "stat"] {
            assert_eq!(read(text).state(), ReceiptState::Unknown, "{text}");
        }
        for message_state in [7, 9, 200] {
            let tlvs = Tlvs { message_state: Some(message_state), ..Tlvs::default() };
            assert_eq!(parse(4, "stat:DELIVRD", &tlvs).unwrap().state(), ReceiptState::Unknown);
        }
    }

    #[test]
    fn each_failure_has_its_reason() {
        for (stat, message_state, reason) in [
            ("UNDELIV", 5, Reason::NetworkUndeliverable),
            ("EXPIRED", 3, Reason::NetworkExpired),
            ("DELETED", 4, Reason::NetworkDeleted),
            ("REJECTD", 8, Reason::NetworkRejected),
        ] {
            let raw = RawCode::Receipt { stat: stat.into(), err: "027".into() };
            let text = format!("id:1 stat:{stat} err:027");
            assert_eq!(read(&text).state(), ReceiptState::Failed(Cause::new(reason, raw)));
            let tlvs = Tlvs { message_state: Some(message_state), ..Tlvs::default() };
            assert_eq!(parse(4, "", &tlvs).unwrap().verdict, Verdict::Failed(reason));
        }
    }

    #[test]
    fn an_intermediate_notification_never_fails_a_message() {
        assert_eq!(
            parse(0x20, "id:1 stat:UNDELIV", &Tlvs::default()).unwrap().state(),
            ReceiptState::Pending
        );
    }

    #[test]
    fn tlvs_win_and_a_contradiction_is_shown() {
        let tlvs = Tlvs {
            receipted_message_id: Some("404".into()),
            message_state: Some(5),
            network_error_code: Some(258),
        };
        let receipt = parse(4, "id:1028 stat:DELIVRD err:000", &tlvs).unwrap();
        assert_eq!(receipt.id.as_deref(), Some("404"));
        let raw = RawCode::Receipt { stat: "DELIVRD, message_state 5".into(), err: "258".into() };
        assert_eq!(receipt.state(), ReceiptState::Failed(Cause::new(Reason::NetworkUndeliverable, raw)));
    }

    #[test]
    fn an_empty_tlv_id_leaves_the_one_of_the_text() {
        let tlvs = Tlvs { receipted_message_id: Some(String::new()), ..Tlvs::default() };
        assert_eq!(parse(4, "id:7", &tlvs).unwrap().id.as_deref(), Some("7"));
    }

    #[test]
    fn keys_are_whole_words_and_unknown_ones_end_a_value() {
        let receipt = read("subid:9 id:42 mcc:262 stat:DELIVRD netcode:7 err:5");
        assert_eq!(receipt.id.as_deref(), Some("42"));
        assert_eq!(receipt.stat.as_deref(), Some("DELIVRD"));
        assert_eq!(receipt.err.as_deref(), Some("5"));
        assert_eq!(receipt.sub, None);
    }

    #[test]
    fn fields_may_stand_on_lines_of_their_own_or_between_commas() {
        for text in [
            "id:42\r\nsub:001\r\nstat:DELIVRD\r\n",
            "id:42,sub:001,stat:DELIVRD",
            "id: 42 sub: 1 stat: delivrd\0",
        ] {
            let receipt = read(text);
            assert_eq!(receipt.id.as_deref(), Some("42"), "{text:?}");
            assert_eq!(receipt.sub, Some(1), "{text:?}");
            assert_eq!(receipt.verdict, Verdict::Delivered, "{text:?}");
        }
    }

    #[test]
    fn everything_after_text_is_text() {
        let receipt = read("id:1 stat:DELIVRD text:grün stat:UNDELIV\nid:2 text:x");
        assert_eq!(receipt.text.as_deref(), Some("grün stat:UNDELIV\nid:2 text:x"));
        assert_eq!((receipt.id.as_deref(), receipt.verdict), (Some("1"), Verdict::Delivered));
    }

    #[test]
    fn a_word_beyond_its_limit_is_none() {
        assert_eq!(read(&format!("id:{} stat:DELIVRD", "9".repeat(256))).id, None);
        assert!(read(&format!("id:{} stat:DELIVRD", "9".repeat(255))).id.is_some());
    }

    #[test]
    fn references_meet_in_the_order_of_certainty() {
        for (submitted, received, expected) in [
            ("404", "404", Match::AsIs),
            ("00404", "404", Match::LeadingZeros),
            ("3A9F", "3a9f", Match::Case),
            ("003A9F", "3a9f", Match::Case),
            ("404", "1028", Match::HexDec),
            ("1028", "404", Match::HexDec),
            ("1028", "0404", Match::HexDec),
            ("404", "405", Match::None),
            ("", "", Match::None),
            ("0", "", Match::None),
            ("000", "0", Match::LeadingZeros),
            ("+404", "1028", Match::None),
        ] {
            assert_eq!(
                match_reference(submitted, received, ReceiptId::Auto),
                expected,
                "{submitted} {received}"
            );
        }
    }

    #[test]
    fn hexadecimal_meets_decimal_only_in_the_direction_configured() {
        for (mode, submitted_hex, submitted_decimal) in [
            (ReceiptId::Same, Match::None, Match::None),
            (ReceiptId::HexToDec, Match::HexDec, Match::None),
            (ReceiptId::DecToHex, Match::None, Match::HexDec),
        ] {
            assert_eq!(match_reference("404", "1028", mode), submitted_hex, "{mode:?}");
            assert_eq!(match_reference("1028", "404", mode), submitted_decimal, "{mode:?}");
        }
    }

    #[test]
    fn the_canonical_form_of_zeros_is_not_that_of_nothing() {
        assert_eq!(["000", "", "00aF", "A00"].map(canonical), ["0", "", "af", "a00"]);
    }

    #[test]
    fn alternatives_are_canonical_and_leave_out_the_reference_itself() {
        assert_eq!(alternatives("0010", ReceiptId::Auto), ["a", "16"]);
        assert_eq!(alternatives("7", ReceiptId::Auto), Vec::<String>::new());
        assert_eq!(alternatives("node@7", ReceiptId::Auto), Vec::<String>::new());
        assert_eq!(alternatives(&"9".repeat(60), ReceiptId::Auto), Vec::<String>::new());
    }
}
