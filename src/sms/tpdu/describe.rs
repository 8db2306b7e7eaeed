//! A TPDU as `nudged debug tpdu` shows it: one JSON object with the field names of the vectors.

use serde_json::{Map, Value, json};

use super::messages::HEADED;
use super::validity::{Enhanced, enhanced, single_shot};
use super::{
    Address, Content, Deliver, Kind, ServiceTime, StatusReport, Submit, TpduError, UserData, Validity,
};
use crate::sms::address::TON_INTERNATIONAL;
use crate::sms::dcs::{self, Alphabet};
use crate::sms::hex;

/// Decodes one line of hexadecimal digits, without SCA.
///
/// # Errors
/// Why the line is no such TPDU, for people.
pub fn describe(kind: Kind, line: &str) -> Result<Value, String> {
    let octets = hex::decode(line.trim()).map_err(|error| error.to_string())?;
    let shown = match kind {
        Kind::Submit => submit(&octets),
        Kind::Deliver => deliver(&octets),
        Kind::StatusReport => status_report(&octets),
    };
    shown.map(Value::Object).map_err(|error| error.to_string())
}

type Shown = Map<String, Value>;

fn put(shown: &mut Shown, name: &str, value: impl Into<Value>) {
    shown.insert(name.to_owned(), value.into());
}

fn submit(octets: &[u8]) -> Result<Shown, TpduError> {
    let (submit, length) = Submit::decode_counted(octets)?;
    let mut shown = Shown::new();
    put(&mut shown, "mr", submit.reference);
    put(&mut shown, "rd", submit.reject_duplicates);
    put(&mut shown, "rp", submit.reply_path);
    put(&mut shown, "srr", submit.status_report);
    put(&mut shown, "pid", submit.pid);
    put(&mut shown, "dcs", submit.dcs);
    show_address(&mut shown, &submit.to);
    show_validity(&mut shown, submit.validity);
    show_data(&mut shown, octets, submit.dcs, &submit.data, length);
    Ok(shown)
}

fn deliver(octets: &[u8]) -> Result<Shown, TpduError> {
    let (deliver, length) = Deliver::decode_counted(octets)?;
    let mut shown = Shown::new();
    put(&mut shown, "mms", deliver.more);
    put(&mut shown, "rp", deliver.reply_path);
    put(&mut shown, "sri", deliver.status_report);
    put(&mut shown, "pid", deliver.pid);
    put(&mut shown, "dcs", deliver.dcs);
    put(&mut shown, "scts", time(deliver.sent_at));
    show_address(&mut shown, &deliver.from);
    show_data(&mut shown, octets, deliver.dcs, &deliver.data, length);
    Ok(shown)
}

fn status_report(octets: &[u8]) -> Result<Shown, TpduError> {
    let (report, length) = StatusReport::decode_counted(octets)?;
    let mut shown = Shown::new();
    put(&mut shown, "mr", report.reference);
    put(&mut shown, "mms", report.more);
    put(&mut shown, "srq", report.qualifier);
    put(&mut shown, "scts", time(report.sent_at));
    put(&mut shown, "dt", time(report.discharged_at));
    put(&mut shown, "status", report.status);
    put(&mut shown, "status_class", status_class(report.status));
    show_address(&mut shown, &report.recipient);
    if let Some(pid) = report.pid {
        put(&mut shown, "pid", pid);
    }
    if let Some(dcs) = report.dcs {
        put(&mut shown, "dcs", dcs);
    }
    if let (Some(data), Some(length)) = (&report.data, length) {
        show_data(&mut shown, octets, report.dcs.unwrap_or(dcs::GSM7), data, length);
    }
    Ok(shown)
}

/// Section 9.2.3.15, by its ranges.
const fn status_class(status: u8) -> &'static str {
    match status {
        0x00..=0x1F => "delivered",
        0x20..=0x3F => "still-trying",
        0x40..=0x5F => "permanent-failure",
        0x60..=0x7F => "temporary-failure-ended",
        0x80..=0xFF => "reserved",
    }
}

/// `null` for what is no time.
fn time(time: ServiceTime) -> Value {
    time.to_timestamp().map_or(Value::Null, |_| time.to_string().into())
}

fn show_address(shown: &mut Shown, address: &Address) {
    let plus = if address.ton == TON_INTERNATIONAL && !address.text.is_empty() { "+" } else { "" };
    put(shown, "number", format!("{plus}{}", address.text));
    put(shown, "ton", address.ton);
    put(shown, "npi", address.npi);
}

fn show_validity(shown: &mut Shown, validity: Option<Validity>) {
    let format = match validity {
        None => "none",
        Some(Validity::Relative(_)) => "relative",
        Some(Validity::Absolute(_)) => "absolute",
        Some(Validity::Enhanced(_)) => "enhanced",
    };
    put(shown, "vpf", format);
    if let Some(Validity::Absolute(at)) = validity {
        put(shown, "vp", time(at));
    }
    if let Some(Validity::Enhanced(octets)) = validity {
        put(shown, "vp_single_shot", single_shot(octets));
        if let Enhanced::Seconds(seconds) = enhanced(octets) {
            return put(shown, "vp_seconds", seconds);
        }
    }
    if let Some(minutes) = validity.and_then(Validity::minutes) {
        put(shown, "vp_minutes", minutes);
    }
}

fn show_data(shown: &mut Shown, octets: &[u8], dcs: u8, data: &UserData, length: u8) {
    let coding = dcs::read(dcs);
    put(shown, "udhi", octets.first().is_some_and(|first| first & HEADED != 0));
    put(shown, "udl", length);
    put(shown, "alphabet", alphabet(coding.alphabet));
    if let Some(class) = coding.class {
        put(shown, "class", class);
    }
    if let (Some(concat), Some(bits)) = (data.concat(), data.concat_bits()) {
        put(shown, "concat", json!([concat.reference, concat.total, concat.number]));
        put(shown, "concat_bits", bits);
    }
    if let Some((to, from)) = data.ports() {
        put(shown, "ports", json!([to, from]));
    }
    match &data.content {
        Content::Text(text) => put(shown, "text", text.as_str()),
        Content::Octets(octets) => put(shown, "data_hex", hex::encode(octets).to_lowercase()),
    }
}

const fn alphabet(alphabet: Alphabet) -> &'static str {
    match alphabet {
        Alphabet::Gsm7 => "gsm7",
        Alphabet::Octets => "8bit",
        Alphabet::Ucs2 => "ucs2",
        Alphabet::Compressed => "compressed",
    }
}
