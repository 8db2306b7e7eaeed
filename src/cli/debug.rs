//! `nudged debug`: what a text, a receipt or a PDU means, one input a line, one JSON object a line.
//!
//! It calls what the links call, with the field names of the vectors, so that it can be held against
//! other decoders. A line that cannot be decoded is answered with `valid: false` and the next one read.

use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;

use clap::builder::PossibleValue;
use serde_json::{Map, Value, json};

use crate::config::ReceiptId;
use crate::link::smpp::describe::describe;
use crate::message::Encoding;
use crate::sms::receipt::{self, Tlvs};
use crate::sms::segment;
use crate::sms::tpdu::{self, Kind};

/// Octets of a line at most: sixteen times the longest PDU, far above any text.
const MAX_LINE: usize = 1024 * 1024;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    pub what: What,
}

/// What each line of standard input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Subcommand)]
pub enum What {
    /// A text: raw, a JSON string, or {"text": .., "encoding": "auto"|"gsm7"|"ucs2"}
    Segments,
    /// A receipt: raw text, or {"text": .., "esm_class": 4, "tlvs": {..}, "resp_id": ..}
    Receipt,
    /// An SMPP PDU in hexadecimal
    Smpp,
    /// A TPDU in hexadecimal, without the SMSC's address
    Tpdu { kind: Kind },
}

impl clap::ValueEnum for Kind {
    fn value_variants<'a>() -> &'a [Kind] {
        &[Kind::Submit, Kind::Deliver, Kind::StatusReport]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Kind::Submit => "submit",
            Kind::Deliver => "deliver",
            Kind::StatusReport => "status-report",
        }))
    }
}

pub fn run(args: Args) -> ExitCode {
    match answer(args.what, io::stdin().lock(), io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our answers has had enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nudged: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Answers every line of `input`, each before the next is read.
///
/// # Errors
/// Those of reading and writing only.
pub fn answer(what: What, mut input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    while let Some(line) = next_line(&mut input)? {
        let decoded = line.and_then(|line| match what {
            What::Segments => segments(&line),
            What::Receipt => receipt(&line),
            What::Smpp => Ok(describe(&line)),
            What::Tpdu { kind } => tpdu::describe::describe(kind, &line),
        });
        let shown = decoded.unwrap_or_else(|error| json!({"valid": false, "error": error}));
        writeln!(output, "{shown}")?;
        output.flush()?;
    }
    Ok(())
}

/// `None` at the end of the input; otherwise the line without its end, or why it is none.
fn next_line(input: &mut impl BufRead) -> io::Result<Option<Result<String, String>>> {
    let mut octets = Vec::new();
    if input.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut octets)? == 0 {
        return Ok(None);
    }
    if octets.len() > MAX_LINE && !octets.ends_with(b"\n") {
        input.skip_until(b'\n')?;
        return Ok(Some(Err(format!("line is longer than {MAX_LINE} octets"))));
    }
    let line = octets.strip_suffix(b"\n").unwrap_or(&octets);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Ok(Some(String::from_utf8(line.to_vec()).map_err(|error| error.to_string())))
}

fn segments(line: &str) -> Result<Value, String> {
    let (text, forced) = match Input::of(line)? {
        Input::Text(text) => (text, None),
        Input::Object(object) => (text_of(&object)?, forced_encoding(&object)?),
    };
    let encoding = segment::encoding_for(&text, forced).map_err(|error| error.to_string())?;
    let segments = segment::split(&text, encoding).map_err(|error| error.to_string())?;
    let parts: Vec<&str> = segments.iter().map(|segment| segment.text.as_str()).collect();
    let units: Vec<u16> = segments.iter().map(|segment| segment.units).collect();
    Ok(json!({"encoding": encoding.as_str(), "count": segments.len(), "parts": parts, "units": units}))
}

fn forced_encoding(object: &Map<String, Value>) -> Result<Option<Encoding>, String> {
    match object.get("encoding").map(Value::as_str) {
        None | Some(Some("auto")) => Ok(None),
        Some(Some("gsm7")) => Ok(Some(Encoding::Gsm7)),
        Some(Some("ucs2")) => Ok(Some(Encoding::Ucs2)),
        Some(_) => Err(String::from("encoding: must be \"auto\", \"gsm7\" or \"ucs2\"")),
    }
}

/// The esm_class of a receipt, where the line names none.
const RECEIPT_CLASS: u8 = 0x04;

fn receipt(line: &str) -> Result<Value, String> {
    let (esm_class, text, tlvs, submitted) = match Input::of(line)? {
        Input::Text(text) => (RECEIPT_CLASS, text, Tlvs::default(), None),
        Input::Object(object) => {
            (esm_class(&object)?, text_of(&object)?, tlvs_of(&object)?, submitted(&object)?)
        }
    };
    let Some(receipt) = receipt::parse(esm_class, &text, &tlvs) else {
        return Ok(json!({"receipt": false}));
    };
    let mut shown = json!({
        "receipt": true,
        "id": receipt.id,
        "sub": receipt.sub,
        "dlvrd": receipt.dlvrd,
        "submit": receipt.submit.map(|at| at.to_string()),
        "done": receipt.done.map(|at| at.to_string()),
        "stat": receipt.stat,
        "err": receipt.err,
        "text": receipt.text,
        "outcome": receipt.verdict.as_str(),
    });
    if let Some(submitted) = submitted {
        let received = receipt.id.as_deref().unwrap_or_default();
        shown["match"] = receipt::match_reference(&submitted, received, ReceiptId::Auto).as_str().into();
    }
    Ok(shown)
}

fn esm_class(object: &Map<String, Value>) -> Result<u8, String> {
    match object.get("esm_class") {
        None | Some(Value::Null) => Ok(RECEIPT_CLASS),
        Some(value) => octet(value).ok_or_else(|| String::from("esm_class: must be 0 to 255")),
    }
}

fn submitted(object: &Map<String, Value>) -> Result<Option<String>, String> {
    match object.get("resp_id") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id)) => Ok(Some(id.clone())),
        Some(_) => Err(String::from("resp_id: must be a string")),
    }
}

fn tlvs_of(object: &Map<String, Value>) -> Result<Tlvs, String> {
    let tlvs = match (object.get("tlvs"), object.get("tlvs_json")) {
        (Some(tlvs), _) => tlvs.clone(),
        (None, Some(column)) => parsed_column("tlvs_json", column)?,
        (None, None) => return Ok(Tlvs::default()),
    };
    let Value::Object(tlvs) = tlvs else {
        return Err(String::from("tlvs: must be an object"));
    };
    let read = |name: &str| tlvs.get(name).filter(|value| !value.is_null());
    let wrong = |name: &str, form: &str| format!("tlvs.{name}: must be {form}");
    let id = read("receipted_message_id")
        .map(|id| id.as_str().map(str::to_owned).ok_or_else(|| wrong("receipted_message_id", "a string")));
    let state =
        read("message_state").map(|state| octet(state).ok_or_else(|| wrong("message_state", "0 to 255")));
    let error = read("network_error_code")
        .map(|code| network_error(code).ok_or_else(|| wrong("network_error_code", "6 hexadecimal digits")));
    Ok(Tlvs {
        receipted_message_id: id.transpose()?,
        message_state: state.transpose()?,
        network_error_code: error.transpose()?,
    })
}

/// A number, also where a table's column made a string of it.
fn octet(value: &Value) -> Option<u8> {
    match value {
        Value::String(digits) => digits.parse().ok(),
        number => u8::try_from(number.as_u64()?).ok(),
    }
}

/// The error number of the TLV's three octets; the first names the kind of network.
fn network_error(value: &Value) -> Option<u16> {
    let digits =
        value.as_str().filter(|text| text.len() == 6 && text.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u16::from_str_radix(&digits[2..], 16).ok()
}

enum Input {
    Text(String),
    Object(Map<String, Value>),
}

impl Input {
    /// A line that opens like a JSON string or object must be one; every other is the text itself.
    fn of(line: &str) -> Result<Input, String> {
        let opens_object =
            line.trim_start().strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with('"'));
        if !opens_object && !line.trim_start().starts_with('"') {
            return Ok(Input::Text(line.to_owned()));
        }
        match serde_json::from_str(line).map_err(|error| format!("not JSON: {error}"))? {
            Value::String(text) => Ok(Input::Text(text)),
            Value::Object(object) => Ok(Input::Object(object)),
            _ => Err(String::from("must be a JSON string or object")),
        }
    }
}

/// `text`, or the vectors' column `text_json`: a JSON string within a string.
fn text_of(object: &Map<String, Value>) -> Result<String, String> {
    let text = match (object.get("text"), object.get("text_json")) {
        (Some(text), _) => text.clone(),
        (None, Some(column)) => parsed_column("text_json", column)?,
        (None, None) => return Err(String::from("text: is missing")),
    };
    match text {
        Value::String(text) => Ok(text),
        _ => Err(String::from("text: must be a string")),
    }
}

fn parsed_column(name: &str, column: &Value) -> Result<Value, String> {
    let text = column.as_str().ok_or_else(|| format!("{name}: must be a string"))?;
    serde_json::from_str(text).map_err(|error| format!("{name}: not JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(what: What, input: &[u8]) -> Vec<Value> {
        let mut output = Vec::new();
        answer(what, input, &mut output).unwrap();
        let output = String::from_utf8(output).unwrap();
        output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn segments_takes_raw_text_a_string_and_an_object() {
        let expected = json!({"encoding": "gsm7", "count": 1, "parts": ["5 €"], "units": [4]});
        let input = "5 €\n\"5 \\u20ac\"\r\n{\"text\": \"5 €\"}\n{ \"text\": \"5 €\", \"encoding\": \"auto\"}";
        assert_eq!(answers(What::Segments, input.as_bytes()), vec![expected; 4]);
    }

    #[test]
    fn braces_alone_are_text() {
        assert_eq!(answers(What::Segments, b"{}{}\n")[0]["units"], json!([8]));
    }

    #[test]
    fn a_forced_encoding_is_obeyed_or_refused() {
        let input = "{\"text\": \"a\", \"encoding\": \"ucs2\"}\n{\"text\": \"ł\", \"encoding\": \"gsm7\"}\n";
        let answers = answers(What::Segments, input.as_bytes());
        assert_eq!(answers[0]["encoding"], "ucs2");
        assert_eq!(
            answers[1],
            json!({"valid": false, "error": "not in the GSM 7-bit alphabet: 'ł' (U+0142)"})
        );
    }

    #[test]
    fn a_line_that_cannot_be_decoded_is_answered_and_the_next_one_read() {
        let long = "x".repeat(MAX_LINE + 1);
        for bad in [&b"\"\\ud83d\""[..], b"\"open", b"{\"text\": 5}", b"{\"a\": 1}", b"\xFF", long.as_bytes()]
        {
            let input = [bad, b"\nok\n"].concat();
            let answers = answers(What::Segments, &input);
            assert_eq!(answers.len(), 2);
            assert_eq!(answers[0]["valid"], false);
            assert!(answers[0]["error"].is_string());
            assert_eq!(answers[1]["parts"], json!(["ok"]));
        }
    }

    #[test]
    fn an_empty_input_has_no_answers_and_an_empty_line_has_one() {
        assert_eq!(answers(What::Segments, b""), Vec::<Value>::new());
        assert_eq!(answers(What::Segments, b"\n")[0]["count"], 1);
    }

    #[test]
    fn a_raw_receipt_has_no_match_and_one_with_a_resp_id_has() {
        let raw = answers(What::Receipt, b"id:7 stat:DELIVRD err:000\n");
        assert_eq!(raw[0]["outcome"], "delivered");
        assert_eq!(raw[0].get("match"), None);
        let object = answers(What::Receipt, b"{\"text\": \"id:7 stat:DELIVRD\", \"resp_id\": \"007\"}\n");
        assert_eq!(object[0]["match"], "leading-zeros");
    }

    #[test]
    fn a_receipt_takes_the_columns_of_the_vectors_as_strings() {
        let line = json!({
            "esm_class": "4", "text_json": "\"id:1 stat:DELIVRD\"", "resp_id": "1",
            "tlvs_json": "{\"message_state\": 5, \"network_error_code\": \"030102\"}",
        });
        let answer = &answers(What::Receipt, line.to_string().as_bytes())[0];
        assert_eq!(answer["outcome"], "failed");
        assert_eq!(answer["err"], "258");
    }

    #[test]
    fn a_tpdu_is_read_as_the_kind_asked_for_and_its_fault_is_named() {
        let deliver = What::Tpdu { kind: Kind::Deliver };
        let input = b"040c9144770009103200006211124150904002ef35\n04\n0G\n010\n01000C91447700091032000000\n";
        let answers = answers(deliver, input);
        assert_eq!(answers[0]["text"], "ok");
        for (answer, fault) in answers[1..].iter().zip(["TP-OA", "hexadecimal", "hexadecimal", "TP-MTI"]) {
            assert_eq!(answer["valid"], false);
            assert!(answer["error"].as_str().unwrap().contains(fault), "{answer}");
        }
    }

    #[test]
    fn a_wrong_tlv_is_named() {
        for (tlvs, named) in [
            (json!({"message_state": 256}), "message_state"),
            (json!({"receipted_message_id": 7}), "receipted_message_id"),
            (json!({"network_error_code": "+30102"}), "network_error_code"),
            (json!([]), "tlvs"),
        ] {
            let line = json!({"text": "", "tlvs": tlvs}).to_string();
            let answer = &answers(What::Receipt, line.as_bytes())[0];
            assert!(answer["error"].as_str().unwrap().contains(named), "{answer}");
        }
    }
}
