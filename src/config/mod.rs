//! The checked configuration: newtypes only, nothing left to doubt. Floor 0, no files.
//!
//! [`raw`] is the TOML as written, [`value`] the forms of single values; [`check`] turns both into this and
//! reports all problems at once, [`effective`] is the way back. What is in here has a reader; a key without
//! one is refused, not ignored (`tests/tidy.rs`).

pub mod check;
pub mod effective;
pub mod event;
mod hook;
mod money;
pub mod raw;
pub mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::message::{Class, HookName, LinkName, Msisdn, OnUnknown, Sender};
use crate::pace::Rate;
use crate::quota::Quota;
use crate::reminder::name::Key;
use crate::reminder::zone::Zone;
use crate::retry::RetryClass;
use crate::sms::national::Language;

pub use check::{Problem, Readers, check, check_with};
pub use effective::effective;
pub use event::{EventName, Pattern};
pub use hook::{Authorities, SigningKey};

/// Everything a daemon is told, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub state_dir: PathBuf,
    /// Of the firm: of contacts of whom nothing tells where they are.
    pub timezone: Zone,
    pub http: Http,
    pub queue: Queue,
    pub inbound: Inbound,
    pub payments: Payments,
    pub redirect: Redirect,
    pub modems: Vec<Modem>,
    pub smpp: Vec<Smpp>,
    pub routes: Vec<Route>,
    pub webhooks: Vec<Webhook>,
}

/// `[http]`: where the API and the status page are.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    pub listen: Vec<Listen>,
    /// Something in front speaks TLS for us, so plain HTTP beyond loopback is meant.
    pub trusted_proxy: bool,
}

/// One address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// `[queue]`: what holds for every message unless the message says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Queue {
    pub validity: Duration,
    /// Wait before each further try; its length + 1 is the number of tries.
    pub retry: Vec<Duration>,
    pub on_unknown: OnUnknown,
    pub max_queued: u64,
    /// Bytes.
    pub min_free: u64,
    pub retention: Duration,
    /// Zero: off.
    pub duplicate_window: Duration,
    /// Languages whose tables a text may be written by where that takes fewer segments than UCS-2.
    pub national_tables: Vec<Language>,
}

/// `[inbound]`: what becomes of replies.
#[derive(Clone, Debug, PartialEq)]
pub struct Inbound {
    /// Confirms an opt-out; empty: a built-in text in the language of the reply.
    pub stop_reply: String,
    /// An incomplete long reply is shown after it.
    pub concat_timeout: Duration,
}

/// `[payments]`: how money is told of besides the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payments {
    /// The folder that bank files are dropped into; `None`: no folder is watched.
    pub drop: Option<PathBuf>,
}

/// `[redirect]`: payment links that go by this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Empty: no such listener.
    pub listen: Vec<Listen>,
    /// What texts carry before `/p/TOKEN`; empty: the firm's own links.
    pub base: String,
    /// Whether visits are counted.
    pub clicks: bool,
    /// How long a link leads anywhere after its last text.
    pub expires: Duration,
}

/// One modem.
#[derive(Clone, Debug, PartialEq)]
pub struct Modem {
    pub name: LinkName,
    pub port: Port,
    /// Bits a second of a serial device.
    pub baud: u32,
    /// `None`: a SIM that asks for one parks the link.
    pub pin: Option<Secret>,
    /// Service centre; `None`: the SIM's.
    pub smsc: Option<Msisdn>,
    pub vendor: Vendor,
    /// `None`: unlimited.
    pub rate: Option<Rate>,
    /// Segments.
    pub quota: Vec<Quota>,
    /// Different numbers; `None`: any.
    pub recipients: Option<Quota>,
    /// How long a number waits for the SIM it knows.
    pub sticky: Duration,
    /// Status reports are asked for where the message wants a receipt.
    pub receipts: bool,
    /// What packs call its kind of route, as `us_p2p`; they forbid some of them to some texts.
    pub route_class: Option<Key>,
}

/// Where a modem is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// A tty, or a link to one.
    Device(PathBuf),
    /// `host:port` of a terminal server or an Ethernet modem; resolved at every connect.
    Tcp(String),
}

/// Whose dialect of AT a modem speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vendor {
    /// By what it answers to AT+CGMI.
    #[default]
    Auto,
    Generic,
    Huawei,
    Zte,
    Simcom,
    Quectel,
    Telit,
    Cinterion,
    Sierra,
}

/// One bind.
#[derive(Clone, Debug, PartialEq)]
pub struct Smpp {
    pub name: LinkName,
    pub account: LinkName,
    /// `host:port`; resolved at every connect.
    pub address: String,
    pub system_id: String,
    pub password: Secret,
    pub system_type: String,
    /// Segments unanswered at most, 1 to 1000.
    pub window: u16,
    /// `None`: unlimited.
    pub rate: Option<Rate>,
    /// Segments.
    pub quota: Vec<Quota>,
    /// Source address where the message names none.
    pub sender: Option<Sender>,
    pub source: Numbering,
    pub dest: Numbering,
    pub alphabet: Alphabet,
    pub long: Long,
    pub receipt_id: ReceiptId,
    pub enquire_link: Duration,
    pub response_timeout: Duration,
    /// What a command_status means here, over the built-in table.
    pub status: BTreeMap<u32, RetryClass>,
    /// What packs call its kind of route, as `us_a2p`; they forbid some of them to some texts.
    pub route_class: Option<Key>,
}

/// TON and NPI that override the automatic choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbering {
    pub ton: Option<u8>,
    pub npi: Option<u8>,
}

/// What data_coding 0 means to this SMSC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alphabet {
    #[default]
    Gsm,
    Latin1,
    Ascii,
}

/// How a long message is said to belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Long {
    /// UDH in short_message, esm_class 0x40.
    #[default]
    Udh,
    /// sar_* TLVs.
    Sar,
}

/// How the id of a receipt relates to the id of the submit_sm_resp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReceiptId {
    /// As written; then, where exactly one awaited message fits, hexadecimal against decimal.
    #[default]
    Auto,
    Same,
    /// submit_sm_resp hexadecimal, receipt decimal.
    HexToDec,
    /// submit_sm_resp decimal, receipt hexadecimal.
    DecToHex,
}

/// First match wins. A message that fits none goes by every link that is up, least loaded first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Route {
    /// Number prefixes in E.164; empty: any.
    pub to: Vec<String>,
    pub class: Vec<Class>,
    pub sender: Vec<Sender>,
    pub token: Vec<crate::message::TokenName>,
    pub via: Vec<LinkName>,
    pub policy: Policy,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub enum Policy {
    /// The first link of `via` that is up.
    #[default]
    Failover,
    /// All that are up, least loaded first.
    Balance,
}

/// One endpoint that is told of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    pub name: HookName,
    /// `http:` or `https:`, without user or password.
    pub url: String,
    /// What is posted is signed with each, the newest first.
    pub keys: Vec<SigningKey>,
    /// Whom its certificate must come from; `None`: anybody this machine trusts.
    pub authorities: Option<Authorities>,
    /// What one of these fits is posted.
    pub events: Vec<Pattern>,
    /// Numbers, texts and `metadata` are posted too.
    pub include_text: bool,
}

impl Webhook {
    pub fn takes(&self, name: EventName) -> bool {
        self.events.iter().any(|pattern| pattern.fits(name))
    }
}

/// A password or token: never shown, never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// Stands for one that this program may not read and does not need; no file holds an empty one.
    pub fn unread() -> Secret {
        Secret(String::new())
    }

    /// The one way to the text, so that every use can be found.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}
