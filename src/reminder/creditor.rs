//! On whose behalf reminders go: the firm itself, or the firms it collects for.

use serde::{Deserialize, Serialize};

use super::link::LinkHost;
use super::name::{Key, Language};
use super::zone::Zone;

/// Whether the sender asks for its own money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SenderRole {
    FirstParty,
    /// A collector: other law, and routes that refuse it.
    ThirdParty,
}

/// A creditor as set up; keyed by `key`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Creditor {
    pub key: Key,
    /// Appears in every text.
    pub name: String,
    #[serde(default)]
    pub short_name: Option<String>,
    pub sender_role: SenderRole,
    /// Packs that apply besides those that apply by themselves.
    #[serde(default)]
    pub packs: Vec<Key>,
    /// Of texts to contacts of whom none is known.
    #[serde(default)]
    pub language: Option<Language>,
    /// Of contacts of whom nothing else tells.
    #[serde(default)]
    pub timezone: Option<Zone>,
    #[serde(default)]
    pub calendar: Option<Key>,
    /// Where people can call, as it is to be written.
    #[serde(default)]
    pub phone: Option<String>,
    /// The answer to HELP; the template `help` where there is none.
    #[serde(default)]
    pub help_text: Option<String>,
    /// Hosts that payment links may name.
    #[serde(default)]
    pub link_hosts: Vec<LinkHost>,
    /// Sender address of its texts, where links allow one.
    #[serde(default)]
    pub sender: Option<String>,
    /// The class of carrier route that its texts take, as `us_a2p`; packs forbid some to some.
    #[serde(default)]
    pub route_class: Option<String>,
}

impl Creditor {
    pub fn short(&self) -> &str {
        self.short_name.as_deref().unwrap_or(&self.name)
    }
}
