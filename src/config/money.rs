//! `[payments]` and `[redirect]`: where bank files come in, and the short way of payment links. Pure.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::check::{DAY, Problem, span};
use super::raw::Section;
use super::value::{self, Bad};
use super::{Payments, Redirect};

/// A day at least, or nobody comes to pay; two years at most, as long as claims live.
const REDIRECT_EXPIRES: RangeInclusive<Duration> = DAY..=Duration::from_secs(731 * 86_400);
/// It stands in every text.
const REDIRECT_BASE_MAX: usize = 60;

pub(super) fn payments(mut section: Section<'_>, problems: &mut Vec<Problem>) -> Payments {
    let drop = section.text("drop", None, |text| match text {
        "" => Ok(None),
        text if text.contains('\0') => Err(Bad::new("names no directory", "write a path, or \"\"")),
        text => Ok(Some(PathBuf::from(text))),
    });
    problems.extend(section.end(&[]));
    Payments { drop }
}

pub(super) fn redirect(mut section: Section<'_>, problems: &mut Vec<Problem>) -> Redirect {
    let redirect = Redirect {
        listen: section.texts("listen", Vec::new(), value::listen),
        base: section.text("base", String::new(), redirect_base),
        clicks: section.switch("clicks", true),
        expires: span(&mut section, "expires", 90 * DAY, REDIRECT_EXPIRES),
    };
    if redirect.listen.is_empty() != redirect.base.is_empty() {
        let remedy =
            "set both, or neither: the address to listen on, and what stands before /p/TOKEN in texts";
        section.refuse_value("base", Bad::new("goes with listen", remedy));
    }
    problems.extend(section.end(&[]));
    redirect
}

/// `https://HOST`, and a path if it must be.
fn redirect_base(text: &str) -> Result<String, Bad> {
    let rest = text.strip_prefix("https://").unwrap_or_default();
    let is_plain = rest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'/' | b':'));
    let fits = !rest.is_empty() && rest.len() <= REDIRECT_BASE_MAX && is_plain && !rest.ends_with('/');
    if text.is_empty() || fits {
        return Ok(text.to_owned());
    }
    Err(Bad::new(format!("{text:?} is no base of links"), "write it as \"https://pay.firm.example\""))
}
