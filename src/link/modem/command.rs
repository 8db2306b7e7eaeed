//! One command, how long its answer may take (modem.md 3.3), and the answer.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use super::errors::Fault;
use super::lines::Expect;

/// Answered at once by a modem that is alive.
pub const SHORT: Duration = Duration::from_secs(5);
/// AT, while nobody knows whether anyone listens.
pub const ATTENTION: Duration = Duration::from_millis(500);
/// The SIM is asked.
pub const SIM: Duration = Duration::from_secs(10);
/// The radio is switched on.
pub const RADIO: Duration = Duration::from_secs(20);
/// A PIN is checked and the SIM read.
pub const PIN: Duration = Duration::from_secs(30);
/// A listing may pause this long between two lines.
pub const LISTING: Duration = Duration::from_secs(30);
/// AT+CMGS to the prompt.
pub const PROMPT: Duration = Duration::from_secs(5);
/// The PDU to its answer; then the message is unknown.
pub const SUBMIT: Duration = Duration::from_secs(120);
/// How long after that an answer is still known for what it is.
pub const LATE: Duration = Duration::from_secs(300);

/// A command line without its end.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    pub text: Cow<'static, str>,
    pub expect: Expect,
    pub limit: Duration,
}

impl Command {
    pub fn new(text: impl Into<Cow<'static, str>>, expect: Expect, limit: Duration) -> Command {
        Command { text: text.into(), expect, limit }
    }

    /// One that is answered by OK alone.
    pub fn plain(text: impl Into<Cow<'static, str>>) -> Command {
        Command::new(text, Expect::Final, SHORT)
    }

    /// One that is answered by lines of this name.
    pub fn query(text: impl Into<Cow<'static, str>>, prefix: &'static str) -> Command {
        Command::new(text, Expect::Prefixed(prefix), SHORT)
    }

    pub fn within(self, limit: Duration) -> Command {
        Command { limit, ..self }
    }
}

/// The command for people: the PIN is in one of them.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.text.starts_with("AT+CPIN=") { "AT+CPIN=" } else { &self.text })
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One line of an answer, and the body it had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    pub head: String,
    pub body: Option<String>,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Ok(Vec<Info>),
    Failed(Fault),
    /// Not within its limit.
    Silent,
}

impl Answer {
    /// The first line without its name and blanks; `None` where there is none.
    pub fn value(&self, prefix: &str) -> Option<&str> {
        let Answer::Ok(lines) = self else { return None };
        let line = lines.first()?.head.as_str();
        Some(line.strip_prefix(prefix).unwrap_or(line).trim())
    }
}

/// The comma-separated fields of a line's value, without quotes.
pub fn fields(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(|field| field.trim().trim_matches('"'))
}
