//! A menu: what the digits of an answer to one of our texts do.
//!
//! It belongs to the message it was sent with, not to the number: who answers, when and how often is the engine's
//! to keep; which digit an answer names is told by [`super::reply::menu`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::name::{BadName, Key};
use crate::config::value::{duration, show_duration};

/// Characters of a label: nine of them must fit a text.
const LABEL_MAX: usize = 60;
/// An answer that comes later is about something else.
const TTL_MAX: Duration = Duration::from_secs(30 * 86_400);
/// A shorter time no person answers in.
const TTL_MIN: Duration = Duration::from_secs(60);
/// Longer pauses end by hand.
const PAUSE_MAX: Duration = Duration::from_secs(366 * 86_400);
/// As long as a menu stands open where it does not say.
const TTL: Duration = Duration::from_secs(72 * 3_600);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Menu {
    key: Key,
    options: Vec<Choice>,
    ttl: Duration,
}

/// One line of a menu.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// 1 to 9.
    pub digit: u8,
    /// What the text may say of it; empty where the template says it itself.
    #[serde(default)]
    pub label: String,
    #[serde(rename = "do")]
    pub act: Do,
}

/// What an answer does, written `task:callback`, `pay`, `plan`, `reply:help`, `webhook:event` or `pause:72h`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Do {
    Task(Key),
    Pay,
    Plan,
    /// The template that answers.
    Reply(Key),
    Webhook(Key),
    Pause(Duration),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMenu {
    #[error("a menu must have 1 to 9 options")]
    Options,
    #[error("the digit {0} must be 1 to 9 and come once")]
    Digit(u8),
    #[error("a label must have at most {LABEL_MAX} characters and no control characters")]
    Label,
    #[error("ttl must be a duration from 1m to 30d, as 72h")]
    Ttl,
    #[error("do must be task:KIND, pay, plan, reply:TEMPLATE, webhook:EVENT or pause:DURATION")]
    Do,
    #[error("a pause must be from 1m to 366d")]
    Pause,
    #[error("what stands behind the colon {0}")]
    Name(#[from] BadName),
}

/// The form for people and the store.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    key: Key,
    options: Vec<Choice>,
    #[serde(default = "usual_ttl")]
    ttl: String,
}

fn usual_ttl() -> String {
    show_duration(TTL)
}

impl Menu {
    /// # Errors
    /// [`BadMenu`], the first that is found.
    pub fn new(key: Key, options: Vec<Choice>, ttl: Duration) -> Result<Menu, BadMenu> {
        if !(1..=9).contains(&options.len()) {
            return Err(BadMenu::Options);
        }
        for (at, option) in options.iter().enumerate() {
            let twice = options[..at].iter().any(|other| other.digit == option.digit);
            if twice || !(1..=9).contains(&option.digit) {
                return Err(BadMenu::Digit(option.digit));
            }
            if option.label.chars().count() > LABEL_MAX || option.label.chars().any(char::is_control) {
                return Err(BadMenu::Label);
            }
        }
        if !(TTL_MIN..=TTL_MAX).contains(&ttl) {
            return Err(BadMenu::Ttl);
        }
        Ok(Menu { key, options, ttl })
    }

    pub fn key(&self) -> &Key {
        &self.key
    }

    pub fn options(&self) -> &[Choice] {
        &self.options
    }

    /// How long after it was sent an answer counts.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// The digits an answer may name.
    pub fn digits(&self) -> Vec<u8> {
        self.options.iter().map(|option| option.digit).collect()
    }

    /// Of all that its options say and do: another digest, another question.
    pub fn digest(&self) -> u64 {
        let mut hasher = blake3::Hasher::new();
        for option in &self.options {
            let act = String::from(option.act.clone());
            for field in [&[option.digit], option.label.as_bytes(), act.as_bytes()] {
                hasher.update(&(field.len() as u64).to_be_bytes()).update(field);
            }
        }
        let mut octets = [0; 8];
        octets.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        u64::from_be_bytes(octets)
    }

    pub fn choice(&self, digit: u8) -> Option<&Choice> {
        self.options.iter().find(|option| option.digit == digit)
    }
}

impl TryFrom<Written> for Menu {
    type Error = BadMenu;

    fn try_from(written: Written) -> Result<Menu, BadMenu> {
        let ttl = duration(&written.ttl).map_err(|_| BadMenu::Ttl)?;
        Menu::new(written.key, written.options, ttl)
    }
}

impl From<Menu> for Written {
    fn from(menu: Menu) -> Written {
        Written { key: menu.key, options: menu.options, ttl: show_duration(menu.ttl) }
    }
}

impl TryFrom<String> for Do {
    type Error = BadMenu;

    fn try_from(text: String) -> Result<Do, BadMenu> {
        let (verb, rest) = match text.split_once(':') {
            Some((verb, rest)) => (verb, Some(rest)),
            None => (text.as_str(), None),
        };
        match (verb, rest) {
            ("pay", None) => Ok(Do::Pay),
            ("plan", None) => Ok(Do::Plan),
            ("task", Some(kind)) => Ok(Do::Task(Key::parse(kind)?)),
            ("reply", Some(template)) => Ok(Do::Reply(Key::parse(template)?)),
            ("webhook", Some(event)) => Ok(Do::Webhook(Key::parse(event)?)),
            ("pause", Some(length)) => {
                let length = duration(length).map_err(|_| BadMenu::Pause)?;
                if (TTL_MIN..=PAUSE_MAX).contains(&length) {
                    Ok(Do::Pause(length))
                } else {
                    Err(BadMenu::Pause)
                }
            }
            _ => Err(BadMenu::Do),
        }
    }
}

impl From<Do> for String {
    fn from(act: Do) -> String {
        match act {
            Do::Task(kind) => format!("task:{kind}"),
            Do::Pay => String::from("pay"),
            Do::Plan => String::from("plan"),
            Do::Reply(template) => format!("reply:{template}"),
            Do::Webhook(event) => format!("webhook:{event}"),
            Do::Pause(length) => format!("pause:{}", show_duration(length)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn menu(json: &str) -> Result<Menu, String> {
        serde_json::from_str(json).map_err(|why| why.to_string())
    }

    #[test]
    fn a_menu_is_shown_and_stored_as_it_was_read() {
        let json = r#"{"key":"help","options":[{"digit":1,"label":"Call me","do":"task:callback"},
            {"digit":2,"label":"","do":"pay"},{"digit":3,"label":"","do":"pause:3d"},
            {"digit":9,"label":"","do":"webhook:menu.nine"}],"ttl":"48h"}"#;
        let read = menu(json).unwrap();
        assert_eq!((read.digits(), read.ttl()), (vec![1, 2, 3, 9], Duration::from_secs(48 * 3_600)));
        assert_eq!(read.choice(3).unwrap().act, Do::Pause(Duration::from_secs(3 * 86_400)));
        assert_eq!(menu(&serde_json::to_string(&read).unwrap()).unwrap(), read);
        let stored = postcard::to_stdvec(&read).unwrap();
        assert_eq!(postcard::from_bytes::<Menu>(&stored).unwrap(), read);
        let usual = menu(r#"{"key":"help","options":[{"digit":1,"do":"plan"}]}"#).unwrap();
        assert_eq!(usual.ttl(), TTL);
    }

    #[test]
    fn what_is_no_menu_says_why() {
        for (options, ttl, wanted) in [
            ("", "72h", "1 to 9 options"),
            (r#"{"digit":0,"do":"pay"}"#, "72h", "the digit 0"),
            (r#"{"digit":1,"do":"pay"},{"digit":1,"do":"plan"}"#, "72h", "the digit 1"),
            (r#"{"digit":1,"do":"pay"}"#, "31d", "ttl must be"),
            (r#"{"digit":1,"do":"pay"}"#, "soon", "ttl must be"),
            (r#"{"digit":1,"do":"pay:2"}"#, "72h", "do must be"),
            (r#"{"digit":1,"do":"task"}"#, "72h", "do must be"),
            (r#"{"digit":1,"do":"task:"}"#, "72h", "must be 1-64"),
            (r#"{"digit":1,"do":"pause:0s"}"#, "72h", "a pause must be"),
            (r#"{"digit":1,"do":"pay","lable":"x"}"#, "72h", "unknown field"),
            (r#"{"digit":1,"do":"pay","label":"a\u0007"}"#, "72h", "a label must"),
        ] {
            let told = menu(&format!(r#"{{"key":"m","options":[{options}],"ttl":"{ttl}"}}"#)).unwrap_err();
            assert!(told.contains(wanted), "{wanted}: {told}");
        }
    }
}
