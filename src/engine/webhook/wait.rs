//! How long a webhook waits after a post that was not taken. Pure.
//!
//! The wait grows with the tries, is up to a quarter longer by a share that the try itself gives, so that the
//! webhooks of one endpoint do not come back in one moment, and is as long as a `Retry-After` asks for where that is
//! longer still, within [`RETRY_AFTER_MOST`]. An endpoint can never shorten it.

use std::time::{Duration, UNIX_EPOCH};

use crate::clock::Timestamp;
use crate::message::HookName;

/// Waits after the first, second, ... post that was not taken; the last one for all further.
const DELAYS: [Duration; 8] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
    Duration::from_secs(1_800),
    Duration::from_secs(3_600),
    Duration::from_secs(7_200),
    Duration::from_secs(14_400),
];
/// The most that is added to a delay is this part of it.
const JITTER_PART: u32 = 4;
/// Whatever an endpoint asks for, an event is tried four times in its day.
pub const RETRY_AFTER_MOST: Duration = Duration::from_secs(6 * 3_600);

/// The wait after the `tries`-th post in a row (1 is the first) that was not taken, the last of them of event `id`;
/// `asked` is what the endpoint asked for. The same every time it is reckoned.
pub fn wait(hook: &HookName, id: &str, tries: u32, asked: Option<Duration>) -> Duration {
    let at = usize::try_from(tries.saturating_sub(1)).unwrap_or(usize::MAX);
    let delay = DELAYS[at.min(DELAYS.len() - 1)];
    let own = delay + share(hook, id, tries, delay / JITTER_PART);
    own.max(asked.unwrap_or_default().min(RETRY_AFTER_MOST))
}

/// Between nothing and `most`.
fn share(hook: &HookName, id: &str, tries: u32, most: Duration) -> Duration {
    let hash = blake3::hash(format!("{hook} {id} {tries}").as_bytes());
    let drawn = hash.as_bytes().first_chunk().map_or(0, |first| u32::from_be_bytes(*first));
    let millis = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    // The longest delay in milliseconds has 24 bits.
    Duration::from_millis(millis.saturating_mul(u64::from(drawn)) >> 32)
}

/// What a `Retry-After` asks for, seconds or a date (RFC 9110 10.2.3): none for a date that is past; `None` where it
/// is neither.
pub fn asked(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // Only too many digits do not fit.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let since_epoch = date.duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(Timestamp::MIN.saturating_add(since_epoch).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(tries: u32) -> Duration {
        wait(&"crm".into(), "evt_0000000000007", tries, None)
    }

    #[test]
    fn waits_grow_to_four_hours_and_are_at_most_a_quarter_longer() {
        for (tries, secs) in
            [(1, 5), (2, 30), (3, 120), (4, 600), (5, 1_800), (7, 7_200), (8, 14_400), (99, 14_400)]
        {
            for n in 0..200 {
                let wait = wait(&"crm".into(), &format!("evt_{n}"), tries, None);
                let delay = Duration::from_secs(secs);
                assert!(wait >= delay && wait < delay + delay / 4, "{wait:?} after try {tries}");
            }
        }
        assert!(plain(0) >= DELAYS[0] && plain(u32::MAX) >= DELAYS[7]);
    }

    #[test]
    fn a_wait_is_the_same_when_reckoned_again_and_another_for_another_webhook_event_or_try() {
        assert_eq!(plain(8), plain(8));
        let others = [
            wait(&"crm2".into(), "evt_0000000000007", 8, None),
            wait(&"crm".into(), "evt_0000000000008", 8, None),
            plain(9),
        ];
        assert!(!others.contains(&plain(8)), "{others:?}");
        let all: std::collections::BTreeSet<Duration> =
            (0..100).map(|n| wait(&"crm".into(), &format!("evt_{n}"), 8, None)).collect();
        assert!(all.len() > 95, "they are spread");
    }

    #[test]
    fn an_endpoint_can_lengthen_a_wait_within_the_bound_and_never_shorten_it() {
        let after = |tries, secs| wait(&"crm".into(), "evt_1", tries, Some(Duration::from_secs(secs)));
        assert_eq!(after(1, 60), Duration::from_secs(60));
        assert_eq!(after(8, 60), wait(&"crm".into(), "evt_1", 8, None));
        assert_eq!(after(1, 0), wait(&"crm".into(), "evt_1", 1, None));
        assert_eq!(after(1, u64::MAX), RETRY_AFTER_MOST);
    }

    #[test]
    fn a_retry_after_is_seconds_or_a_date_in_any_of_its_three_forms() {
        let now = Timestamp::parse_rfc3339("1994-11-06T08:48:37Z").unwrap();
        let minute = Some(Duration::from_secs(60));
        for (value, wait) in [
            ("60", minute),
            (" 60 ", minute),
            ("Sun, 06 Nov 1994 08:49:37 GMT", minute),
            ("Sunday, 06-Nov-94 08:49:37 GMT", minute),
            ("Sun Nov  6 08:49:37 1994", minute),
            ("Sun, 06 Nov 1994 08:40:00 GMT", Some(Duration::ZERO)),
            ("99999999999999999999999", Some(Duration::from_secs(u64::MAX))),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("Sun, 99 Nov 1994 08:49:37 GMT", None),
        ] {
            assert_eq!(asked(value, now), wait, "{value}");
        }
    }
}
