//! One message as JSON turned into a [`Draft`]: every field checked, all refusals at once.
//!
//! What a field may be is said here and nowhere else; a line of a batch is read by the same function. What
//! depends on the time of the request is the core's to say ([`Draft::untimely`]), after it has looked
//! whether it is a repeat.

use super::fields::Fields;
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::engine::{Draft, Idempotency};
use crate::message::body::BadMsisdn;
use crate::message::{Class, Encoding, LinkName, Msisdn, OnUnknown, Priority, Sender, TokenName};
use crate::sms::national::Language;
use crate::sms::segment::{self, SegmentError};

/// Segments of one message where the caller set no limit: a longer text is more often a mistake.
const DEFAULT_MAX_SEGMENTS: u8 = 10;
const MAX_REF_CHARS: usize = 128;
/// Kept with the message for ever, so it is for references and not for documents.
const MAX_METADATA_BYTES: usize = 4096;
const MAX_LINK_NAME: usize = 64;
/// Characters named in a refusal.
const SHOWN_CHARS: usize = 10;

/// A checked message, and what was not wrong with it but worth saying.
pub struct Parsed {
    pub draft: Draft,
    pub dry_run: bool,
    pub warnings: Vec<String>,
}

/// Reads one message; its text may go by tables of `languages`. `fields` is consumed, so nothing can be left
/// unread.
pub fn parse(
    mut fields: Fields<'_>,
    token: &TokenName,
    idempotency: Option<Idempotency>,
    languages: &[Language],
) -> Result<Parsed, Problem> {
    let to = number(&mut fields, "to");
    let text = text(&mut fields);
    let encoding = encoding(&mut fields);
    let max_segments = max_segments(&mut fields);
    let cost = text.as_deref().and_then(|text| measure(&mut fields, text, encoding, languages, max_segments));
    let send_at = instant(&mut fields, "send_at");
    let valid_until = instant(&mut fields, "valid_until");
    if send_at.is_some() && valid_until.is_some_and(|until| Some(until) <= send_at) {
        fields.refuse("valid_until", "must be after send_at");
    }
    let sender = fields.parsed("sender", |s| Sender::parse(s).map_err(|e| e.to_string()));
    let link = fields.parsed("link", link_name);
    let class = fields.parsed("class", class).unwrap_or_default();
    let priority = priority(&mut fields);
    let on_unknown = fields.parsed("on_unknown", on_unknown);
    let client_ref = fields.parsed("client_ref", client_ref);
    let unique_ref = fields.flag("unique_ref", false);
    if unique_ref && client_ref.is_none() && !fields.is_refused("client_ref") {
        fields.refuse("unique_ref", "needs a client_ref");
    }
    let metadata = metadata(&mut fields);
    let flash = fields.flag("flash", false);
    let receipt = fields.flag("receipt", true);
    let allow_duplicate = fields.flag("allow_duplicate", false);
    let dry_run = fields.flag("dry_run", false);
    fields.finish()?;
    // Each of the three was refused above if it is missing.
    let (Some(to), Some(text), Some((encoding, segment_count))) = (to, text, cost) else {
        return Err(Problem::internal());
    };
    let token = token.clone();
    let draft = Draft {
        to,
        text,
        sender,
        link,
        class,
        priority,
        send_at,
        valid_until,
        encoding,
        segment_count,
        on_unknown,
        flash,
        receipt,
        client_ref,
        unique_ref,
        allow_duplicate,
        metadata,
        token,
        idempotency,
    };
    Ok(Parsed { draft, dry_run, warnings: warnings(to) })
}

fn required<T>(fields: &mut Fields<'_>, name: &str, value: Option<T>) -> Option<T> {
    if value.is_none() && !fields.is_refused(name) {
        fields.refuse(name, "is required");
    }
    value
}

fn number(fields: &mut Fields<'_>, name: &str) -> Option<Msisdn> {
    let to = fields.parsed(name, |text| {
        Msisdn::parse_e164(text).map_err(|why| match why {
            BadMsisdn::NoPlus if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                String::from("must begin with + and the country code; numbers of one country are not read")
            }
            other => other.to_string(),
        })
    });
    required(fields, name, to)
}

fn text(fields: &mut Fields<'_>) -> Option<String> {
    let text = fields.parsed("text", |text| {
        if text.trim().is_empty() {
            return Err(String::from("is empty or only blanks"));
        }
        match text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            Some(c) => Err(format!("holds the control character U+{:04X}", u32::from(c))),
            None => Ok(text.to_owned()),
        }
    });
    required(fields, "text", text)
}

fn encoding(fields: &mut Fields<'_>) -> Option<Encoding> {
    fields
        .parsed("encoding", |text| match text {
            "auto" => Ok(None),
            "gsm7" => Ok(Some(Encoding::Gsm7)),
            "ucs2" => Ok(Some(Encoding::Ucs2)),
            _ => Err(String::from("must be auto, gsm7 or ucs2")),
        })
        .flatten()
}

fn max_segments(fields: &mut Fields<'_>) -> u8 {
    let shape = "a whole number from 1 to 255";
    match fields.take::<u8>("max_segments", shape) {
        Some(0) => {
            fields.refuse("max_segments", format!("must be {shape}"));
            DEFAULT_MAX_SEGMENTS
        }
        Some(n) => n,
        None => DEFAULT_MAX_SEGMENTS,
    }
}

fn measure(
    fields: &mut Fields<'_>,
    text: &str,
    forced: Option<Encoding>,
    languages: &[Language],
    max_segments: u8,
) -> Option<(Encoding, u8)> {
    let encoding = forced.unwrap_or_else(|| segment::choose_among(text, languages));
    let measured = segment::measure(text, encoding).map(|measure| (encoding, measure.segment_count));
    match measured {
        Ok((encoding, count)) if count <= max_segments => Some((encoding, count)),
        Ok((encoding, count)) => {
            let encoding = encoding.as_str();
            fields.refuse(
                "text",
                format!("takes {count} segments in {encoding}; max_segments is {max_segments}"),
            );
            None
        }
        Err(SegmentError::NotGsm7(offending)) => {
            let shown: Vec<String> =
                offending.iter().take(SHOWN_CHARS).map(|c| format!("U+{:04X}", u32::from(*c))).collect();
            let why = format!("gsm7 cannot write {} in text", shown.join(", "));
            fields.refuse("encoding", why);
            None
        }
        Err(error @ SegmentError::TooLong) => {
            fields.refuse("text", error.to_string());
            None
        }
    }
}

fn instant(fields: &mut Fields<'_>, name: &str) -> Option<Timestamp> {
    let why = "must be a time as RFC 3339 writes it, with an offset";
    fields.parsed(name, |text| Timestamp::parse_rfc3339(text).ok_or_else(|| String::from(why)))
}

pub fn link_name(text: &str) -> Result<LinkName, String> {
    if text.is_empty() || text.len() > MAX_LINK_NAME || text.chars().any(char::is_control) {
        return Err(format!("must be the name of a link, 1 to {MAX_LINK_NAME} characters"));
    }
    Ok(LinkName::from(text))
}

fn class(text: &str) -> Result<Class, String> {
    let found = Class::ALL.into_iter().find(|class| class.as_str() == text);
    found.ok_or_else(|| format!("must be one of {}", Class::ALL.map(Class::as_str).join(", ")))
}

fn priority(fields: &mut Fields<'_>) -> Priority {
    let shape = "a whole number from 0 to 9";
    let Some(level) = fields.take::<u8>("priority", shape) else { return Priority::default() };
    Priority::new(level).unwrap_or_else(|| {
        fields.refuse("priority", format!("must be {shape}"));
        Priority::default()
    })
}

fn on_unknown(text: &str) -> Result<OnUnknown, String> {
    match text {
        "hold" => Ok(OnUnknown::Hold),
        "resend" => Ok(OnUnknown::Resend),
        _ => Err(String::from("must be hold or resend")),
    }
}

pub fn client_ref(text: &str) -> Result<String, String> {
    let length = text.chars().count();
    if length == 0 || length > MAX_REF_CHARS || text.chars().any(char::is_control) {
        return Err(format!("must be 1 to {MAX_REF_CHARS} characters, none of them a control character"));
    }
    Ok(text.to_owned())
}

/// Kept as it came; read once, so that nobody is ever handed nesting that no parser takes.
fn metadata(fields: &mut Fields<'_>) -> Option<String> {
    let raw = fields.raw("metadata")?;
    if !raw.starts_with('{') {
        fields.refuse("metadata", "must be an object");
        return None;
    }
    if raw.len() > MAX_METADATA_BYTES {
        fields.refuse("metadata", format!("is larger than {MAX_METADATA_BYTES} bytes"));
        return None;
    }
    if serde_json::from_str::<serde_json::Value>(raw).is_err() {
        fields.refuse("metadata", "is nested too deeply, or a string in it is not Unicode text");
        return None;
    }
    Some(raw.to_owned())
}

/// Doubts about the numbering plan: the number is taken, and the doubt is told.
fn warnings(to: Msisdn) -> Vec<String> {
    let digits = to.digits();
    // ITU-T E.164 country code 1: numbers have 10 digits after it.
    if digits.starts_with('1') && digits.len() != 11 {
        return vec![String::from("to: numbers under +1 have 10 digits after it")];
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(body: Value) -> Result<Parsed, Value> {
        let body = body.to_string();
        let fields = Fields::parse(body.as_bytes()).map_err(|p| p.to_json())?;
        parse(fields, &TokenName::from("crm"), None, &[]).map_err(|p| p.to_json())
    }

    fn refused(extra: (&str, Value)) -> Vec<String> {
        let mut body = json!({"to": "+4915112345678", "text": "hello"});
        body[extra.0] = extra.1;
        let Err(problem) = read(body) else { return Vec::new() };
        assert_eq!(problem["status"], 422);
        let errors = problem["errors"].as_array().unwrap();
        errors.iter().map(|e| e["field"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn what_is_not_said_has_the_defaults_of_the_interface() {
        let parsed = read(json!({"to": "+4915112345678", "text": "hello"})).unwrap_or_else(|p| panic!("{p}"));
        let draft = parsed.draft;
        assert_eq!((draft.class, draft.priority.get(), draft.receipt), (Class::Reminder, 4, true));
        assert_eq!((draft.encoding, draft.segment_count, draft.flash), (Encoding::Gsm7, 1, false));
        assert!(!parsed.dry_run && !draft.unique_ref && !draft.allow_duplicate);
    }

    #[test]
    fn every_field_has_its_limits_and_is_named() {
        for (field, value) in [
            ("to", json!("tel:+4915112345678")),
            ("to", json!("015112345678")),
            ("to", json!("+49151\u{0}2345678")),
            ("to", json!("+٤٩١٥١١٢٣٤٥٦٧٨")),
            ("to", json!(4915112345678u64)),
            ("to", Value::Null),
            ("text", json!("")),
            ("text", json!(" \n ")),
            ("text", json!("a\u{0}b")),
            ("text", json!("a\u{1b}[2J")),
            ("text", json!("x".repeat(10_000))),
            ("text", json!("x".repeat(100_000))),
            ("sender", json!("twelve chars")),
            ("sender", json!("a\r\nb")),
            ("link", json!("")),
            ("class", json!("spam")),
            ("priority", json!(10)),
            ("priority", json!(-1)),
            ("priority", json!(1.5)),
            ("send_at", json!("2026-11-21T14:05:00")),
            ("valid_until", json!("tomorrow")),
            ("encoding", json!("latin1")),
            ("max_segments", json!(0)),
            ("max_segments", json!(256)),
            ("on_unknown", json!("guess")),
            ("flash", json!("yes")),
            ("receipt", json!(1)),
            ("client_ref", json!("")),
            ("client_ref", json!("a\nb")),
            ("client_ref", json!("x".repeat(129))),
            ("unique_ref", json!(true)),
            ("metadata", json!([])),
            ("metadata", json!({"a": "x".repeat(5_000)})),
            ("transliterate", json!(true)),
            ("colour", json!("red")),
        ] {
            assert_eq!(refused((field, value.clone())), [field], "{value}");
        }
    }

    #[test]
    fn a_validity_that_ends_before_its_send_at_is_refused() {
        let ends = |until: &str| {
            let send_at = "2026-11-22T09:00:00Z";
            read(json!({"to": "+4915112345678", "text": "x", "send_at": send_at, "valid_until": until}))
        };
        let problem = ends("2026-11-22T09:00:00Z").err().unwrap();
        assert_eq!(problem["errors"][0]["field"], "valid_until");
        assert!(ends("2026-11-22T09:00:01Z").is_ok());
    }

    #[test]
    fn a_text_forced_into_gsm7_that_it_does_not_fit_is_refused_with_the_characters() {
        let body = json!({"to": "+4915112345678", "text": "Привет", "encoding": "gsm7"});
        let why = read(body).err().unwrap()["errors"][0]["why"].to_string();
        assert!(why.contains("U+041F"), "{why}");
    }

    #[test]
    fn a_doubt_about_the_numbering_plan_is_a_warning_and_no_refusal() {
        let parsed = read(json!({"to": "+12025550", "text": "x"})).unwrap_or_else(|p| panic!("{p}"));
        assert_eq!(parsed.warnings.len(), 1);
        let parsed = read(json!({"to": "+12025550123", "text": "x"})).unwrap_or_else(|p| panic!("{p}"));
        assert_eq!(parsed.warnings, [""; 0]);
    }

    #[test]
    fn all_wrong_fields_are_named_at_once() {
        let body = json!({"to": "x", "text": "", "priority": 99, "nonsense": 1});
        let problem = read(body).err().unwrap();
        assert_eq!(problem["errors"].as_array().unwrap().len(), 4, "{problem}");
    }

    #[test]
    fn all_extension_characters_count_twice() {
        let body = json!({"to": "+4915112345678", "text": "€".repeat(81)});
        let draft = read(body).unwrap_or_else(|p| panic!("{p}")).draft;
        assert_eq!((draft.encoding, draft.segment_count), (Encoding::Gsm7, 2));
    }

    #[test]
    fn a_text_goes_by_a_configured_table_unless_the_caller_names_an_encoding() {
        let text = "Sayın müşterimiz, faturanız ödenmemiştir. ".repeat(3);
        let read = |encoding: &str, languages: &[Language]| {
            let body = json!({"to": "+905301234567", "text": text, "encoding": encoding}).to_string();
            let fields = Fields::parse(body.as_bytes()).unwrap_or_else(|p| panic!("{p:?}"));
            parse(fields, &TokenName::from("crm"), None, languages).map(|p| p.draft)
        };
        let draft = read("auto", &[Language::Turkish]).unwrap_or_else(|p| panic!("{p:?}"));
        assert!(matches!(draft.encoding, Encoding::National(_)), "{:?}", draft.encoding);
        assert_eq!((draft.encoding.as_str(), draft.segment_count), ("gsm7", 1));
        for (encoding, languages) in [("auto", &[][..]), ("ucs2", &[Language::Turkish])] {
            let draft = read(encoding, languages).unwrap_or_else(|p| panic!("{p:?}"));
            assert_eq!((draft.encoding, draft.segment_count), (Encoding::Ucs2, 2));
        }
        assert!(read("gsm7", &[Language::Turkish]).is_err(), "the default alphabet was asked for");
    }

    #[test]
    fn metadata_comes_back_as_it_came() {
        let body = br#"{"to":"+4915112345678","text":"x","metadata":{ "b": 1.0, "a":[2]}}"#;
        let fields = Fields::parse(body).unwrap_or_else(|p| panic!("{p:?}"));
        let parsed = parse(fields, &TokenName::from("crm"), None, &[]).unwrap_or_else(|p| panic!("{p:?}"));
        assert_eq!(parsed.draft.metadata.as_deref(), Some(r#"{ "b": 1.0, "a":[2]}"#));
    }
}
