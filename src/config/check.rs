//! From the file's text to a [`Config`] or to everything that is wrong with it, at once. Pure.
//!
//! Invariants: a `Config` that comes out of here needs no further doubt; every limit below has its reason
//! beside it; no fault hides another. Secrets are read through a function that the caller gives, because
//! this floor opens no files.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::raw::{self, Section};
use super::value::{self, Bad};
use super::{
    Alphabet, Config, Http, Inbound, Listen, Long, Modem, Numbering, Policy, Port, Queue, ReceiptId, Route,
    Secret, Smpp, Vendor,
};
use super::{hook, money};
use crate::message::{LinkName, Msisdn};
use crate::pace::Rate;
use crate::quota::{Period, Quota};
use crate::reminder::name::Key;
use crate::reminder::zone::Zone;
use crate::sms::segment;

/// One thing that is wrong with the configuration. `Display` is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// From 1; `None` where the fault has no place, such as a file that cannot be read.
    pub line: Option<usize>,
    /// The key with its table, `smpp[2].window`; empty for faults of the file as a whole.
    pub key: String,
    pub why: String,
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        let one_line = format!("{}; {}", self.why, self.remedy);
        one_line.chars().try_for_each(|c| match c {
            c if c.is_control() => write!(f, "{}", c.escape_default()),
            c => write!(f, "{c}"),
        })
    }
}

impl std::error::Error for Problem {}

/// Keys of the contract that nothing reads yet; silence about them would be a promise not kept.
const LATER: [&str; 7] = ["country", "alert", "smpp_server", "kannel", "spool", "mail", "alertmanager"];
const LATER_HTTP: [&str; 1] = ["tls"];
const LATER_QUEUE: [&str; 1] = ["normal_per_hour"];
const LATER_MODEM: [&str; 9] = [
    "imei",
    "iccid",
    "imsi",
    "usb_path",
    "auto",
    "ussd_balance",
    "balance_regex",
    "balance_every",
    "balance_min",
];
const LATER_SMPP: [&str; 6] = ["tls", "tls_ca_file", "tls_name", "bind", "version", "instances"];

const MINUTE: Duration = Duration::from_secs(60);
pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// Shorter than a bind and a few retries, a message would expire before it had a chance; carriers keep
/// none for longer than two weeks, and a month-old reminder does harm.
const VALIDITY: RangeInclusive<Duration> = MINUTE..=Duration::from_secs(30 * 86_400);
/// A week at least, as long as an `Idempotency-Key` is kept, so that a repeat, a receipt and a person's
/// question still find the message; ten years at most.
const RETENTION: RangeInclusive<Duration> =
    Duration::from_secs(7 * 86_400)..=Duration::from_secs(3_653 * 86_400);
/// Zero switches it off.
const DUPLICATE_WINDOW: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(30 * 86_400);
/// A wait below a tenth of a second hammers the carrier; one above a week outlives most validities.
const RETRY_WAIT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(7 * 86_400);
/// Attempts are counted in a stored record that is bounded.
const RETRY_MAX: usize = 15;
/// One message is the least that makes sense; a hundred million is beyond what was ever measured.
const MAX_QUEUED: RangeInclusive<u64> = 1..=100_000_000;
/// The journal needs some room to say that it has none; a TiB is a slip of the hand.
const MIN_FREE: RangeInclusive<u64> = (1 << 20)..=(1 << 40);
/// From the slowest a GSM modem has (V.250 section 6.2.10) to the fastest a UART bridge does.
const BAUD: RangeInclusive<u64> = 300..=4_000_000;
/// What a network and a SIM bear for long without suspicion.
const MODEM_RATE: Rate = Rate { segments: 10, per: MINUTE };
/// What consumer contracts call normal use.
const MODEM_QUOTA: Quota = Quota { count: 500, per: Period::Day };
const MODEM_RECIPIENTS: Quota = Quota { count: 250, per: Period::Month };
/// Longer than a queue of an evening; a day is as long as a reminder can wait.
const STICKY: RangeInclusive<Duration> = Duration::ZERO..=DAY;
/// Digits of a PIN (3GPP TS 31.101 section 9.5.1).
const PIN: RangeInclusive<usize> = 4..=8;
/// Segments unanswered bound the damage of a crash; carriers grant from 1 to a few hundred.
const WINDOW: RangeInclusive<u64> = 1..=1_000;
/// Firewalls drop what is silent for minutes; a second is the least that is not a flood.
const ENQUIRE_LINK: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);
/// A tenth of a second on a lab's loopback; nobody waits longer than ten minutes for an answer.
const RESPONSE_TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(600);
/// SMPP 3.4 5.2.5.
const TON: RangeInclusive<u64> = 0..=6;
/// SMPP 3.4 5.2.6.
const NPI: RangeInclusive<u64> = 0..=18;
/// SMPP 3.4 4.1.1 with the end: 16, 9 and 13 octets.
const SYSTEM_ID_MAX: usize = 15;
const PASSWORD_MAX: usize = 8;
const SYSTEM_TYPE_MAX: usize = 12;

/// Networks hand the rest of a long reply over within minutes; a day is as long as a person may wait to see it.
const CONCAT_TIMEOUT: RangeInclusive<Duration> = MINUTE..=DAY;
/// A confirmation of more segments is a letter.
const STOP_REPLY_SEGMENTS: u8 = 3;

pub(super) const VENDORS: [(&str, Vendor); 9] = [
    ("auto", Vendor::Auto),
    ("generic", Vendor::Generic),
    ("huawei", Vendor::Huawei),
    ("zte", Vendor::Zte),
    ("simcom", Vendor::Simcom),
    ("quectel", Vendor::Quectel),
    ("telit", Vendor::Telit),
    ("cinterion", Vendor::Cinterion),
    ("sierra", Vendor::Sierra),
];
pub(super) const ALPHABETS: [(&str, Alphabet); 3] =
    [("gsm", Alphabet::Gsm), ("latin1", Alphabet::Latin1), ("ascii", Alphabet::Ascii)];
pub(super) const LONGS: [(&str, Long); 2] = [("udh", Long::Udh), ("sar", Long::Sar)];
pub(super) const RECEIPT_IDS: [(&str, ReceiptId); 4] = [
    ("auto", ReceiptId::Auto),
    ("same", ReceiptId::Same),
    ("hex-to-dec", ReceiptId::HexToDec),
    ("dec-to-hex", ReceiptId::DecToHex),
];
pub(super) const POLICIES: [(&str, Policy); 2] =
    [("failover", Policy::Failover), ("balance", Policy::Balance)];

/// How a `*_file` key becomes its secret: takes what the key says, gives the secret or why not.
pub type Secrets<'s> = &'s dyn Fn(&str) -> Result<Secret, String>;

/// How a key that names a file of certificates becomes what the file holds: `None` where that is not needed.
pub type Certificates<'c> = &'c dyn Fn(&str) -> Result<Option<Vec<u8>>, String>;

/// How keys that name files become what these hold.
#[derive(Clone, Copy)]
pub struct Readers<'r> {
    pub secret: Secrets<'r>,
    pub certificates: Certificates<'r>,
}

/// As [`check_with`], for those who post to no webhook: certificates are not read.
pub fn check(text: &str, secrets: Secrets<'_>) -> Result<Config, Vec<Problem>> {
    check_with(text, Readers { secret: secrets, certificates: &|_| Ok(None) })
}

/// Reads the text of a configuration file. All problems are reported at once, in the order of their lines.
pub fn check_with(text: &str, readers: Readers<'_>) -> Result<Config, Vec<Problem>> {
    let secrets = readers.secret;
    let parsed = raw::parse(text)?;
    let mut top = Section::top(text, &parsed);
    let mut problems = Vec::new();
    let state_dir = top.text("state_dir", PathBuf::from("/var/lib/nudged"), state_dir);
    let timezone = top.text("timezone", Zone::utc(), timezone);
    let http = http(top.table("http"), &mut problems);
    let queue = queue(top.table("queue"), &mut problems);
    let inbound = inbound(top.table("inbound"), &mut problems);
    let payments = money::payments(top.table("payments"), &mut problems);
    let redirect = money::redirect(top.table("redirect"), &mut problems);
    let mut names = Vec::new();
    let modems = modems(top.tables("modem"), secrets, &mut names, &mut problems);
    let of_modems = names.clone();
    let national = !queue.national_tables.is_empty();
    let smpp = links(top.tables("smpp"), &LATER_SMPP, &mut names, &mut problems, |section, name| {
        let link = smpp(section, name, &of_modems, secrets);
        if national && link.as_ref().is_some_and(|link| link.alphabet != Alphabet::Gsm) {
            // In another alphabet the septets of the tables mean nothing.
            let remedy = "write \"gsm\", or remove national_tables";
            section.refuse_value("alphabet", Bad::new("does not go with queue.national_tables", remedy));
        }
        link
    });
    let mut routes = Vec::new();
    for section in top.tables("route") {
        routes.push(route(section, &names, &mut problems));
    }
    let webhooks = hook::hooks(top.tables("webhook"), readers, &mut problems);
    problems.extend(top.end(&LATER));
    if problems.is_empty() {
        return Ok(Config {
            state_dir,
            timezone,
            http,
            queue,
            inbound,
            payments,
            redirect,
            modems,
            smpp,
            routes,
            webhooks,
        });
    }
    problems.sort_by(|a, b| (a.line, &a.key).cmp(&(b.line, &b.key)));
    Err(problems)
}

fn state_dir(text: &str) -> Result<PathBuf, Bad> {
    if text.is_empty() || text.contains('\0') {
        return Err(Bad::new("names no directory", "write a path, such as \"/var/lib/nudged\""));
    }
    Ok(PathBuf::from(text))
}

fn timezone(text: &str) -> Result<Zone, Bad> {
    Zone::parse(text).map_err(|bad| Bad::new(bad.to_string(), "write a zone as \"Europe/Berlin\""))
}

fn http(mut section: Section<'_>, problems: &mut Vec<Problem>) -> Http {
    let listen = section.texts("listen", vec![Listen::Tcp(([127, 0, 0, 1], 8025).into())], value::listen);
    let trusted_proxy = section.switch("trusted_proxy", false);
    if section.is_empty_list("listen") {
        let remedy = "name at least one address, such as \"127.0.0.1:8025\"";
        section.refuse_value("listen", Bad::new("is empty", remedy));
    }
    if let Some(bad) = listen_fault(&listen, trusted_proxy) {
        section.refuse_value("listen", bad);
    }
    problems.extend(section.end(&LATER_HTTP));
    Http { listen, trusted_proxy }
}

fn listen_fault(listen: &[Listen], trusted_proxy: bool) -> Option<Bad> {
    // Port 0 asks for any free port, so two of them do not collide.
    let fixed = |at: &Listen| !matches!(at, Listen::Tcp(address) if address.port() == 0);
    if let Some((_, twice)) = listen.iter().enumerate().find(|(i, at)| fixed(at) && listen[..*i].contains(at))
    {
        return Some(Bad::new(format!("{} is named twice", value::show_listen(twice)), "remove one"));
    }
    let open = listen.iter().find(|at| matches!(at, Listen::Tcp(address) if !address.ip().is_loopback()));
    match open {
        Some(at) if !trusted_proxy => Some(Bad::new(
            format!("{} is beyond loopback and the API speaks plain HTTP", value::show_listen(at)),
            "listen on 127.0.0.1, or set trusted_proxy = true where a proxy in front speaks TLS",
        )),
        _ => None,
    }
}

fn inbound(mut section: Section<'_>, problems: &mut Vec<Problem>) -> Inbound {
    let inbound = Inbound {
        stop_reply: section.text("stop_reply", String::new(), stop_reply),
        concat_timeout: span(&mut section, "concat_timeout", Duration::from_secs(7_200), CONCAT_TIMEOUT),
    };
    problems.extend(section.end(&[]));
    inbound
}

fn stop_reply(text: &str) -> Result<String, Bad> {
    let remedy = format!("write at most {STOP_REPLY_SEGMENTS} segments of text, or nothing");
    match segment::measure(text, segment::choose(text)) {
        Ok(measure) if measure.segment_count <= STOP_REPLY_SEGMENTS => Ok(text.to_owned()),
        Ok(measure) => Err(Bad::new(format!("has {} segments", measure.segment_count), remedy)),
        Err(error) => Err(Bad::new(error.to_string(), remedy)),
    }
}

fn queue(mut section: Section<'_>, problems: &mut Vec<Problem>) -> Queue {
    let plan = [30, 120, 600, 3_600].map(Duration::from_secs).to_vec();
    let queue = Queue {
        validity: span(&mut section, "validity", 2 * DAY, VALIDITY),
        retry: section.texts("retry", plan, |text| within(text, &RETRY_WAIT)),
        on_unknown: section
            .text("on_unknown", Default::default(), |text| value::word(text, &value::ON_UNKNOWN)),
        max_queued: section.number("max_queued", 2_000_000, MAX_QUEUED),
        min_free: section.text("min_free", 256 << 20, min_free),
        retention: span(&mut section, "retention", 180 * DAY, RETENTION),
        duplicate_window: span(&mut section, "duplicate_window", DAY, DUPLICATE_WINDOW),
        national_tables: section
            .texts("national_tables", Vec::new(), |text| value::word(text, &value::LANGUAGES)),
    };
    let named = &queue.national_tables;
    if let Some((_, twice)) = named.iter().enumerate().find(|(i, language)| named[..*i].contains(language)) {
        let why = format!("{:?} is named twice", value::show_word(*twice, &value::LANGUAGES));
        section.refuse_value("national_tables", Bad::new(why, "remove one"));
    }
    if queue.retry.len() > RETRY_MAX {
        let why = format!("has {} waits", queue.retry.len());
        section.refuse_value("retry", Bad::new(why, format!("name at most {RETRY_MAX}")));
    }
    for (key, least) in [("validity", queue.validity), ("duplicate_window", queue.duplicate_window)] {
        if queue.retention < least {
            let why = format!("is shorter than {key}");
            section
                .refuse_value("retention", Bad::new(why, format!("keep messages as long as {key} at least")));
        }
    }
    problems.extend(section.end(&LATER_QUEUE));
    queue
}

fn min_free(text: &str) -> Result<u64, Bad> {
    let bytes = value::size(text)?;
    if MIN_FREE.contains(&bytes) {
        return Ok(bytes);
    }
    let (least, most) = (value::show_size(*MIN_FREE.start()), value::show_size(*MIN_FREE.end()));
    Err(Bad::new(format!("{text} is out of range"), format!("write {least} to {most}")))
}

pub(super) fn span(
    section: &mut Section<'_>,
    key: &'static str,
    default: Duration,
    range: RangeInclusive<Duration>,
) -> Duration {
    section.text(key, default, |text| within(text, &range))
}

fn within(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, Bad> {
    let duration = value::duration(text)?;
    if range.contains(&duration) {
        return Ok(duration);
    }
    let (least, most) = (value::show_duration(*range.start()), value::show_duration(*range.end()));
    Err(Bad::new(format!("{text} is out of range"), format!("write {least} to {most}")))
}

/// Links of one kind; `read` gives `None` where it reported why. `names` are those of all kinds: routes may
/// name a link whose name could be read, whatever else is wrong with it.
fn links<L>(
    sections: Vec<Section<'_>>,
    later: &[&'static str],
    names: &mut Vec<LinkName>,
    problems: &mut Vec<Problem>,
    mut read: impl FnMut(&mut Section<'_>, LinkName) -> Option<L>,
) -> Vec<L> {
    let mut links = Vec::new();
    for mut section in sections {
        let name = section.required("name", "\"carrier\"", value::name);
        if let Some(name) = &name
            && names.contains(name)
        {
            let why = format!("{:?} names another link too", name.as_str());
            section.refuse_value("name", Bad::new(why, "give each link a name of its own"));
        }
        // A stand-in lets the rest of a nameless link be checked; it never leaves, for its problem is noted.
        links.extend(read(&mut section, name.clone().unwrap_or_else(|| "unnamed".into())));
        names.extend(name);
        problems.extend(section.end(later));
    }
    links
}

fn modems(
    sections: Vec<Section<'_>>,
    secrets: Secrets<'_>,
    names: &mut Vec<LinkName>,
    problems: &mut Vec<Problem>,
) -> Vec<Modem> {
    let mut ports: Vec<Port> = Vec::new();
    links(sections, &LATER_MODEM, names, problems, |section, name| {
        let port = section.required("port", "\"/dev/serial/by-id/...\"", value::port);
        if port.as_ref().is_some_and(|port| ports.contains(port)) {
            section.refuse_value("port", Bad::new("is another modem's too", "give each modem its own port"));
        }
        ports.extend(port.clone());
        let rest = Modem {
            name,
            port: Port::Tcp(String::new()),
            baud: small(section.number("baud", 115_200, BAUD)),
            pin: section.text("pin_file", None, |file| pin(file, secrets)),
            smsc: section.text("smsc", None, smsc),
            vendor: section.text("vendor", Vendor::Auto, |text| value::word(text, &VENDORS)),
            rate: section.text("rate", Some(MODEM_RATE), value::rate),
            quota: quotas(section, vec![MODEM_QUOTA]),
            recipients: section.text("recipients", Some(MODEM_RECIPIENTS), value::maybe_quota),
            sticky: span(section, "sticky", Duration::from_secs(1_800), STICKY),
            receipts: section.switch("receipts", true),
            route_class: section.text("route_class", None, route_class),
        };
        Some(Modem { port: port?, ..rest })
    })
}

/// One a period at most: of two the lower counts anyway.
fn quotas(section: &mut Section<'_>, default: Vec<Quota>) -> Vec<Quota> {
    let quotas = section.texts("quota", default, value::quota);
    let twice = quotas.iter().enumerate().find(|(i, quota)| quotas[..*i].iter().any(|q| q.per == quota.per));
    if let Some((_, quota)) = twice {
        let why = format!("names two for a {}", quota.per.as_str());
        section.refuse_value("quota", Bad::new(why, "keep the lower"));
    }
    quotas
}

/// Empty: none.
fn route_class(text: &str) -> Result<Option<Key>, Bad> {
    if text.is_empty() {
        return Ok(None);
    }
    let remedy = "write it as the packs do in forbidden_routes, such as \"us_a2p\", or \"\"";
    Key::parse(text).map(Some).map_err(|why| Bad::new(format!("{text:?} is no class: it {why}"), remedy))
}

/// Empty: none.
fn pin(file: &str, secrets: Secrets<'_>) -> Result<Option<Secret>, Bad> {
    if file.is_empty() {
        return Ok(None);
    }
    let remedy = "name a file that holds the PIN alone, readable by its owner only";
    let secret = secrets(file).map_err(|why| Bad::new(why, remedy))?;
    let digits = secret.expose();
    if secret == Secret::unread() {
        return Ok(Some(secret));
    }
    if PIN.contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(Some(secret));
    }
    Err(Bad::new(format!("the PIN is not {} to {} digits", PIN.start(), PIN.end()), remedy))
}

/// Empty: the SIM's.
fn smsc(text: &str) -> Result<Option<Msisdn>, Bad> {
    if text.is_empty() {
        return Ok(None);
    }
    let remedy = "write + and the digits of the service centre, or leave it to the SIM with \"\"";
    Msisdn::parse_e164(text).map(Some).map_err(|_| Bad::new(format!("{text:?} is not a number"), remedy))
}

fn smpp(
    section: &mut Section<'_>,
    name: LinkName,
    modems: &[LinkName],
    secrets: Secrets<'_>,
) -> Option<Smpp> {
    let account = section.text("account", name.clone(), |text| match text {
        "" => Ok(name.clone()),
        other => value::name(other).and_then(|account| unlike_modems(account, modems)),
    });
    let address = section.required("address", "\"smsc.example.net:2775\"", value::address);
    let system_id = section.required("system_id", "\"acme\"", system_id);
    let password = section.required("password_file", "\"carrier.pw\"", |file| password(file, secrets));
    let rest = Smpp {
        name,
        account,
        address: String::new(),
        system_id: String::new(),
        password: Secret::new(String::new()),
        system_type: section
            .text("system_type", String::new(), |text| value::c_octets(text, SYSTEM_TYPE_MAX)),
        window: small(section.number("window", 64, WINDOW)),
        rate: section.text("rate", None, value::rate),
        quota: quotas(section, Vec::new()),
        sender: section.text("sender", None, value::sender),
        source: numbering(section, "source_ton", "source_npi"),
        dest: numbering(section, "dest_ton", "dest_npi"),
        alphabet: section.text("alphabet", Alphabet::Gsm, |text| value::word(text, &ALPHABETS)),
        long: section.text("long", Long::Udh, long),
        receipt_id: section.text("receipt_id", ReceiptId::Auto, |text| value::word(text, &RECEIPT_IDS)),
        enquire_link: span(section, "enquire_link", Duration::from_secs(30), ENQUIRE_LINK),
        response_timeout: span(section, "response_timeout", MINUTE, RESPONSE_TIMEOUT),
        status: section.pairs("status", status).into_iter().collect(),
        route_class: section.text("route_class", None, route_class),
    };
    Some(Smpp { address: address?, system_id: system_id?, password: password?, ..rest })
}

/// A modem is an account of its own: its references and receipts mean nothing to a carrier.
fn unlike_modems(account: LinkName, modems: &[LinkName]) -> Result<LinkName, Bad> {
    if modems.contains(&account) {
        return Err(Bad::new(
            format!("{:?} names a modem", account.as_str()),
            "name an account of a carrier",
        ));
    }
    Ok(account)
}

/// Numbers that their range has bounded already.
fn small<T: TryFrom<u64> + Default>(number: u64) -> T {
    T::try_from(number).unwrap_or_default()
}

fn numbering(section: &mut Section<'_>, ton: &'static str, npi: &'static str) -> Numbering {
    Numbering { ton: section.auto_number(ton, TON).map(small), npi: section.auto_number(npi, NPI).map(small) }
}

fn system_id(text: &str) -> Result<String, Bad> {
    if text.is_empty() {
        return Err(Bad::new("is empty", "write the system_id the carrier gave"));
    }
    value::c_octets(text, SYSTEM_ID_MAX)
}

fn password(file: &str, secrets: Secrets<'_>) -> Result<Secret, Bad> {
    let remedy = "name a file that holds the password alone, readable by its owner only";
    let secret = secrets(file).map_err(|why| Bad::new(why, remedy))?;
    // The text of the fault must not quote the password, and `c_octets` quotes nothing.
    value::c_octets(secret.expose(), PASSWORD_MAX)
        .map_err(|bad| Bad::new(format!("the password {}", bad.why), bad.remedy))?;
    Ok(secret)
}

fn long(text: &str) -> Result<Long, Bad> {
    if text == "payload" {
        return Err(Bad::new("\"payload\" is not supported by this version", "write \"udh\" or \"sar\""));
    }
    value::word(text, &LONGS)
}

fn status(code: &str, class: &str) -> Result<(u32, crate::retry::RetryClass), Bad> {
    Ok((value::command_status(code)?, value::word(class, &value::RETRY_CLASSES)?))
}

fn route(mut section: Section<'_>, links: &[LinkName], problems: &mut Vec<Problem>) -> Route {
    let route = Route {
        to: section.texts("to", Vec::new(), value::prefix),
        class: section.texts("class", Vec::new(), |text| value::word(text, &value::CLASSES)),
        sender: section.texts("sender", Vec::new(), value::route_sender),
        token: section.texts("token", Vec::new(), value::token_name),
        via: section.texts("via", Vec::new(), |text| value::name(text).and_then(|name| known(name, links))),
        policy: section.text("policy", Policy::Failover, |text| value::word(text, &POLICIES)),
    };
    let twice = route.via.iter().enumerate().find(|(i, name)| route.via[..*i].contains(name));
    if let Some((_, name)) = twice {
        section.refuse_value("via", Bad::new(format!("{:?} is named twice", name.as_str()), "remove one"));
    }
    if section.is_absent("via") || section.is_empty_list("via") {
        section.refuse_value("via", Bad::new("names nothing", "add via = [\"carrier\"], the names of links"));
    }
    problems.extend(section.end(&[]));
    route
}

fn known(name: LinkName, links: &[LinkName]) -> Result<LinkName, Bad> {
    if links.contains(&name) {
        return Ok(name);
    }
    let names: Vec<&str> = links.iter().map(LinkName::as_str).collect();
    let remedy = if names.is_empty() {
        String::from("add a [[modem]] or [[smpp]] of that name")
    } else {
        format!("name one of: {}", names.join(", "))
    };
    Err(Bad::new(format!("no link is named {:?}", name.as_str()), remedy))
}
