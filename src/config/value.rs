//! The written forms of single values: durations, rates, sizes, addresses, and back. Pure.
//!
//! Each form is read by one function that takes the text and gives the checked value or a [`Bad`]: what
//! is wrong with it and how it is mended. Where and under which key it stood, `raw` and `check` add.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::{Listen, Port};
use crate::message::{Class, LinkName, OnUnknown, Sender, TokenName};
use crate::pace::Rate;
use crate::quota::{Period, Quota};
use crate::retry::RetryClass;
use crate::sms::national::Language;

/// What is wrong with a value, and how it is mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    pub why: String,
    pub remedy: String,
}

impl Bad {
    pub fn new(why: impl Into<String>, remedy: impl Into<String>) -> Bad {
        Bad { why: why.into(), remedy: remedy.into() }
    }
}

/// A link's name is the label of metrics and part of paths and keys; longer ones help nobody.
const NAME_MAX: usize = 32;
/// As long as `nudged token add` takes them.
const TOKEN_NAME_MAX: usize = 64;
/// `sun_path` of unix(7) is 108 octets with its end.
const UNIX_PATH_MAX: usize = 107;
/// No carrier sells more; beyond it a figure is a slip of the hand.
const RATE_MAX: u32 = 100_000;
/// RFC 1035 2.3.4: 255 octets on the wire are 253 written.
const HOST_MAX: usize = 253;
/// More than the fastest link sends in a month.
const QUOTA_MAX: u32 = 1_000_000_000;

const DURATION_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZE_UNITS: [(&str, u64); 5] =
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
const RATE_UNITS: [(&str, u64); 3] = [("s", 1), ("min", 60), ("h", 3_600)];

const PERIODS: [Period; 4] = [Period::Minute, Period::Hour, Period::Day, Period::Month];

/// A whole number and ms, s, m, h or d.
pub fn duration(text: &str) -> Result<Duration, Bad> {
    scaled(text, &DURATION_UNITS).map(Duration::from_millis).ok_or_else(|| {
        Bad::new(
            format!("{text:?} is not a duration"),
            "write a whole number and ms, s, m, h or d, such as \"30s\" or \"48h\"",
        )
    })
}

/// A whole number and B, KiB, MiB, GiB or TiB; the result is in bytes.
pub fn size(text: &str) -> Result<u64, Bad> {
    scaled(text, &SIZE_UNITS).ok_or_else(|| {
        Bad::new(
            format!("{text:?} is not a size"),
            "write a whole number and B, KiB, MiB, GiB or TiB, such as \"256MiB\"",
        )
    })
}

/// `"50/s"`, `"12/min"`, `"1000/h"`, or `"unlimited"` as `None`.
pub fn rate(text: &str) -> Result<Option<Rate>, Bad> {
    if text == "unlimited" {
        return Ok(None);
    }
    let bad = || {
        Bad::new(
            format!("{text:?} is not a rate"),
            format!("write 1 to {RATE_MAX} and /s, /min or /h, such as \"50/s\", or \"unlimited\""),
        )
    };
    let (count, unit) = text.split_once('/').ok_or_else(bad)?;
    let segments = whole(count).and_then(|n| u32::try_from(n).ok()).ok_or_else(bad)?;
    let (_, seconds) = RATE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(bad)?;
    if !(1..=RATE_MAX).contains(&segments) {
        return Err(bad());
    }
    Ok(Some(Rate { segments, per: Duration::from_secs(*seconds) }))
}

/// `"60/hour"`, `"500/day"`, `"10000/month"`; the period is the clock's minute or hour, or the firm's day or month.
pub fn quota(text: &str) -> Result<Quota, Bad> {
    let bad = || {
        Bad::new(
            format!("{text:?} is not a quota"),
            format!("write 1 to {QUOTA_MAX} and /min, /hour, /day or /month, such as \"500/day\""),
        )
    };
    let (count, period) = text.split_once('/').ok_or_else(bad)?;
    let count = whole(count).and_then(|n| u32::try_from(n).ok()).ok_or_else(bad)?;
    let per = PERIODS.into_iter().find(|per| per.as_str() == period).ok_or_else(bad)?;
    if (1..=QUOTA_MAX).contains(&count) { Ok(Quota { count, per }) } else { Err(bad()) }
}

/// A quota, or `"unlimited"` as `None`.
pub fn maybe_quota(text: &str) -> Result<Option<Quota>, Bad> {
    if text == "unlimited" {
        return Ok(None);
    }
    quota(text).map(Some).map_err(|bad| Bad { remedy: format!("{}, or \"unlimited\"", bad.remedy), ..bad })
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at(digits);
    let (_, scale) = units.iter().find(|(name, _)| *name == unit)?;
    whole(count)?.checked_mul(*scale)
}

fn whole(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// The shortest form that [`duration`] reads back to the same.
pub fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 { String::from("0s") } else { show_scaled(millis, &DURATION_UNITS) }
}

pub fn show_size(bytes: u64) -> String {
    show_scaled(bytes, &SIZE_UNITS)
}

pub fn show_rate(rate: Option<Rate>) -> String {
    let Some(rate) = rate else { return String::from("unlimited") };
    let unit = RATE_UNITS.iter().find(|(_, seconds)| *seconds == rate.per.as_secs());
    unit.map_or_else(
        || format!("{}/{:?}", rate.segments, rate.per),
        |(u, _)| format!("{}/{u}", rate.segments),
    )
}

pub fn show_quota(quota: Option<Quota>) -> String {
    quota.map_or_else(|| String::from("unlimited"), |quota| format!("{}/{}", quota.count, quota.per.as_str()))
}

fn show_scaled(value: u64, units: &[(&str, u64)]) -> String {
    let unit = units.iter().rev().find(|(_, scale)| value != 0 && value.is_multiple_of(*scale));
    unit.map_or_else(|| value.to_string() + units[0].0, |(name, scale)| format!("{}{name}", value / scale))
}

/// 1 to 32 of a-z A-Z 0-9 . _ -
pub fn name(text: &str) -> Result<LinkName, Bad> {
    named(text, NAME_MAX).map(LinkName::from)
}

/// 1 to 64 of a-z A-Z 0-9 . _ -
pub fn token_name(text: &str) -> Result<TokenName, Bad> {
    named(text, TOKEN_NAME_MAX).map(TokenName::from)
}

fn named(text: &str, max: usize) -> Result<&str, Bad> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if (1..=max).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(text)
    } else {
        Err(Bad::new(format!("{text:?} is not a name"), format!("use 1 to {max} of a-z A-Z 0-9 . _ -")))
    }
}

/// `IP:PORT`, or `unix:` and an absolute path.
pub fn listen(text: &str) -> Result<Listen, Bad> {
    if let Some(path) = text.strip_prefix("unix:") {
        if path.starts_with('/') && path.len() <= UNIX_PATH_MAX && !path.contains('\0') {
            return Ok(Listen::Unix(PathBuf::from(path)));
        }
        return Err(Bad::new(
            format!("{text:?} names no socket"),
            format!("write unix: and an absolute path of at most {UNIX_PATH_MAX} octets"),
        ));
    }
    text.parse::<SocketAddr>().map(Listen::Tcp).map_err(|_| {
        Bad::new(
            format!("{text:?} is not an address to listen on"),
            "write IP:PORT, such as \"127.0.0.1:8025\" or \"[::1]:8025\", or \"unix:/run/nudged/http.sock\"",
        )
    })
}

pub fn show_listen(listen: &Listen) -> String {
    match listen {
        Listen::Tcp(address) => address.to_string(),
        Listen::Unix(path) => format!("unix:{}", path.display()),
    }
}

/// `tcp:HOST:PORT`, or a path. A word without a slash is no path here: it would be a slip for one in /dev.
pub fn port(text: &str) -> Result<Port, Bad> {
    if let Some(at) = text.strip_prefix("tcp:") {
        return address(at).map(Port::Tcp);
    }
    if text.contains('/') && !text.contains('\0') {
        return Ok(Port::Device(PathBuf::from(text)));
    }
    Err(Bad::new(
        format!("{text:?} is not a port"),
        "write a path, such as \"/dev/serial/by-id/...\" or \"./modem1\", or \"tcp:HOST:PORT\"",
    ))
}

pub fn show_port(port: &Port) -> String {
    match port {
        Port::Device(path) => path.display().to_string(),
        Port::Tcp(address) => format!("tcp:{address}"),
    }
}

/// `HOST:PORT`, the host a name, an IPv4 address or an IPv6 address in brackets.
pub fn address(text: &str) -> Result<String, Bad> {
    let bad = || {
        Bad::new(
            format!("{text:?} is not HOST:PORT"),
            "write a host and a port, such as \"smsc.example.net:2775\" or \"[2001:db8::1]:2775\"",
        )
    };
    let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
    let port_fits = whole(port).is_some_and(|port| (1..=65_535).contains(&port));
    let host_fits = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            (1..=HOST_MAX).contains(&host.len())
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        }
    };
    if port_fits && host_fits { Ok(text.to_owned()) } else { Err(bad()) }
}

/// A C-Octet String (SMPP 3.4 3.1): printable ASCII, at most `max` octets without its end.
pub fn c_octets(text: &str, max: usize) -> Result<String, Bad> {
    if !text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return Err(Bad::new("holds what is not printable ASCII", "use printable ASCII only"));
    }
    if text.len() > max {
        return Err(Bad::new(
            format!("has {} octets, SMPP 3.4 carries at most {max}", text.len()),
            "ask the carrier for the SMPP 3.4 credentials",
        ));
    }
    Ok(text.to_owned())
}

/// Empty as `None`.
pub fn sender(text: &str) -> Result<Option<Sender>, Bad> {
    if text.is_empty() { Ok(None) } else { route_sender(text).map(Some) }
}

pub fn route_sender(text: &str) -> Result<Sender, Bad> {
    Sender::parse(text).map_err(|why| Bad::new(format!("{text:?} is not a sender"), format!("it {why}")))
}

/// `+` and 1 to 15 digits; empty stands for no prefix and is refused, because the key can be left out.
pub fn prefix(text: &str) -> Result<String, Bad> {
    let digits = text.strip_prefix('+').unwrap_or("");
    let fits = (1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if fits && !digits.starts_with('0') {
        Ok(text.to_owned())
    } else {
        Err(Bad::new(
            format!("{text:?} is not a number prefix"),
            "write + and 1 to 15 digits, such as \"+49\"",
        ))
    }
}

/// One word of a fixed set.
pub fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, Bad> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let all: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        Bad::new(format!("{text:?} is not one of its words"), format!("write {}", all.join(" or ")))
    })
}

/// The word of a value; every table here has one for each.
pub fn show_word<T: Copy + PartialEq>(value: T, words: &[(&'static str, T)]) -> &'static str {
    words.iter().find(|(_, v)| *v == value).map_or("", |(word, _)| word)
}

pub const CLASSES: [(&str, Class); 4] =
    [("reminder", Class::Reminder), ("otp", Class::Otp), ("alert", Class::Alert), ("reply", Class::Reply)];
/// The languages that have tables (3GPP TS 23.038 section 6.2.1.2.4).
pub const LANGUAGES: [(&str, Language); 13] = [
    ("turkish", Language::Turkish),
    ("spanish", Language::Spanish),
    ("portuguese", Language::Portuguese),
    ("bengali", Language::Bengali),
    ("gujarati", Language::Gujarati),
    ("hindi", Language::Hindi),
    ("kannada", Language::Kannada),
    ("malayalam", Language::Malayalam),
    ("oriya", Language::Oriya),
    ("punjabi", Language::Punjabi),
    ("tamil", Language::Tamil),
    ("telugu", Language::Telugu),
    ("urdu", Language::Urdu),
];
pub const ON_UNKNOWN: [(&str, OnUnknown); 2] = [("hold", OnUnknown::Hold), ("resend", OnUnknown::Resend)];
pub const RETRY_CLASSES: [(&str, RetryClass); 4] = [
    ("temporary", RetryClass::Temporary),
    ("permanent", RetryClass::Permanent),
    ("park", RetryClass::Park),
    ("opted-out", RetryClass::OptedOut),
];

/// A command_status (SMPP 3.4 5.1.3) in hexadecimal with 0x or in decimal; 0 is success and has no say.
pub fn command_status(text: &str) -> Result<u32, Bad> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => u32::from_str_radix(hex, 16).ok(),
        Some(_) => None,
        None => whole(text).and_then(|n| u32::try_from(n).ok()),
    };
    parsed.filter(|status| *status != 0).ok_or_else(|| {
        Bad::new(
            format!("{text:?} is not a command_status that refuses"),
            "write it as \"0x45\" or \"69\", other than 0",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_back_what_they_show() {
        for (text, millis) in
            [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("24h", 86_400_000), ("7d", 604_800_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
            let shown = show_duration(Duration::from_millis(millis));
            assert_eq!(duration(&shown), Ok(Duration::from_millis(millis)), "{shown}");
        }
        assert_eq!(show_duration(Duration::ZERO), "0s");
        assert_eq!(show_duration(Duration::from_secs(90)), "90s");
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for bad in ["", "5", "s", "-5s", "1.5h", "5 s", "5S", "5m30s", "99999999999999999999d", "٣s", "5µs"]
        {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
        assert!(duration("213503982335d").is_err(), "more milliseconds than 64 bits hold");
    }

    #[test]
    fn rates_count_segments_in_a_second_minute_or_hour() {
        let rate_of = |segments, secs| Ok(Some(Rate { segments, per: Duration::from_secs(secs) }));
        assert_eq!(rate("50/s"), rate_of(50, 1));
        assert_eq!(rate("12/min"), rate_of(12, 60));
        assert_eq!(rate("1000/h"), rate_of(1000, 3600));
        assert_eq!(rate("unlimited"), Ok(None));
        for bad in ["", "50", "0/s", "/s", "50/day", "50 /s", "100001/s", "-1/s", "99999999999/s"] {
            assert!(rate(bad).is_err(), "{bad:?}");
        }
        for text in ["50/s", "12/min", "1000/h", "unlimited"] {
            assert_eq!(show_rate(rate(text).unwrap()), text);
        }
    }

    #[test]
    fn sizes_are_binary() {
        assert_eq!(size("256MiB"), Ok(256 << 20));
        assert_eq!(show_size(256 << 20), "256MiB");
        assert_eq!(show_size(1000), "1000B");
        for bad in ["", "256", "256MB", "1.5GiB", "99999999999TiB"] {
            assert!(size(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn quotas_name_a_count_and_a_period_and_read_back() {
        for good in ["1/min", "60/hour", "500/day", "10000/month"] {
            assert_eq!(quota(good).map(|quota| show_quota(Some(quota))), Ok(good.to_owned()));
        }
        for bad in
            ["", "500", "0/day", "5/week", "-1/day", "1.5/day", "4294967296/day", "unlimited", "5/day/day"]
        {
            assert!(quota(bad).is_err(), "{bad:?}");
        }
        assert_eq!(maybe_quota("unlimited"), Ok(None));
        assert!(maybe_quota("").unwrap_err().remedy.contains("unlimited"));
    }

    #[test]
    fn addresses_need_a_host_and_a_port() {
        for good in ["smsc.example.net:2775", "10.0.0.1:1", "[2001:db8::1]:65535", "localhost:2775"] {
            assert_eq!(address(good), Ok(good.to_owned()));
        }
        for bad in
            ["", "smsc", "smsc:", ":2775", "smsc:0", "smsc:65536", "a b:1", "::1:2775", "[x]:1", "h:+1"]
        {
            assert!(address(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn command_statuses_are_hexadecimal_or_decimal_and_never_success() {
        assert_eq!(command_status("0x45"), Ok(0x45));
        assert_eq!(command_status("1041"), Ok(1041));
        for bad in ["", "0", "0x0", "0x", "0x1ffffffff", "x45", "-1", "0x+5"] {
            assert!(command_status(bad).is_err(), "{bad:?}");
        }
    }
}
