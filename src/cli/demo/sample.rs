//! The demo's messages: numbers and texts that are each used once, of every kind the API takes. Pure.

use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::Timestamp;

/// What the client does with a message beyond posting it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    Plain,
    /// Posted a second time under the same Idempotency-Key, as after an answer that got lost.
    Repeated,
    /// Due in an hour.
    Later,
    /// Due in an hour, and taken back.
    Canceled,
}

/// The `n`-th message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    pub to: String,
    pub text: String,
    pub course: Course,
    /// The request's body.
    pub body: Value,
}

/// From the request to `send_at` of a message that is scheduled for soon.
const SOON: Duration = Duration::from_secs(2);
const LATER: Duration = Duration::from_secs(3_600);
/// Numbers of the first go by one carrier, of the second by the other, of the third by whichever is up.
const PREFIXES: [&str; 3] = ["+4915100", "+4366400", "+4179000"];
/// Every so many goes by a modem instead, in turns: they are slow.
const BY_MODEM: u32 = 10;
const MODEM_PREFIXES: [&str; 2] = ["+4477009", "+3538610"];

/// `n` makes number and text unique; `now` is what `send_at` counts from.
pub fn sample(n: u32, now: Timestamp) -> Sample {
    let prefix = match n % BY_MODEM {
        2 => MODEM_PREFIXES[(n / BY_MODEM) as usize % MODEM_PREFIXES.len()],
        _ => PREFIXES[n as usize % PREFIXES.len()],
    };
    let to = format!("{prefix}{n:06}");
    let text = text(n);
    let course = match n % 100 {
        45 => Course::Canceled,
        95 => Course::Later,
        7 | 27 | 47 | 67 | 87 => Course::Repeated,
        _ => Course::Plain,
    };
    let mut body = json!({
        "to": to,
        "text": text,
        "priority": priority(n),
        "class": if n % 13 == 4 { "otp" } else { "reminder" },
        "receipt": !n.is_multiple_of(11),
        "client_ref": format!("demo-{n}"),
    });
    let wait = match course {
        Course::Later | Course::Canceled => Some(LATER),
        Course::Plain | Course::Repeated => (n % 50 == 20).then_some(SOON),
    };
    if let Some(wait) = wait {
        body["send_at"] = now.saturating_add(wait).to_rfc3339().into();
    }
    Sample { to, text, course, body }
}

fn priority(n: u32) -> u8 {
    match n % 10 {
        0 => 9,
        5 => 1,
        _ => 4,
    }
}

/// Short and long, in GSM 7-bit and in UCS-2.
fn text(n: u32) -> String {
    let invoice = format!("Invoice {n:06}: {}.{:02} € are due.", 20 + n % 900, n % 100);
    match n % 10 {
        3 => format!("{invoice} {}", "If you have paid already, please forget this reminder. ".repeat(6)),
        6 => format!("{invoice} Zapłać proszę, спасибо, 谢谢"),
        9 => format!("{invoice} {}", "Счёт ждёт оплаты. ".repeat(6)),
        _ => format!("{invoice} Thank you."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sms::segment::{encoding_for, measure};
    use std::collections::HashSet;

    fn samples() -> Vec<Sample> {
        (0..300).map(|n| sample(n, Timestamp::from_millis(0))).collect()
    }

    #[test]
    fn no_number_and_no_text_is_used_twice() {
        let numbers: HashSet<String> = samples().into_iter().map(|sample| sample.to).collect();
        let texts: HashSet<String> = samples().into_iter().map(|sample| sample.text).collect();
        assert_eq!((numbers.len(), texts.len()), (300, 300));
    }

    #[test]
    fn there_are_long_and_short_ones_in_both_alphabets_and_every_course() {
        let kinds: HashSet<(&str, bool)> = samples()
            .iter()
            .map(|sample| {
                let encoding = encoding_for(&sample.text, None).unwrap();
                (encoding.as_str(), measure(&sample.text, encoding).unwrap().segment_count > 1)
            })
            .collect();
        assert_eq!(kinds.len(), 4, "{kinds:?}");
        for course in [Course::Plain, Course::Repeated, Course::Later, Course::Canceled] {
            assert!(samples().iter().any(|sample| sample.course == course), "{course:?}");
        }
    }
}
