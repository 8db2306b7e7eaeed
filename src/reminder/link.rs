//! Payment links: the firm's own URL, one token a recipient, and what a visit to it means.
//!
//! A target is checked where it is saved: https, a host the creditor has listed, nothing hidden in it. Only the
//! token changes from text to text. Who keeps tokens, lets them expire and answers visits is the engine and the
//! redirect listener.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::reminder::template::Field;

/// Octets of a target: with the token it must leave room for a text.
const TARGET_MAX: usize = 300;
/// Listed hosts of a creditor.
pub const HOSTS_MAX: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLink {
    #[error("must begin with https://")]
    Scheme,
    #[error("must hold only printable ASCII without blanks, quotes, \\, < and >")]
    Character,
    #[error("must be at most {TARGET_MAX} characters")]
    TooLong,
    #[error("names no host, or one with a user, an address in brackets or an empty label")]
    Host,
    #[error("the host is not among the creditor's link_hosts")]
    UnknownHost,
    #[error("braces may only be {{token}}, behind the host")]
    Braces,
    #[error("must be a host as pay.firm.example, *.firm.example or http://pay.firm.example:8080")]
    Listed,
    #[error("must be 12 characters of base32")]
    Token,
}

/// A host that a creditor's links may lead to. `pay.firm.example` is that host and no other;
/// `*.firm.example` every host below it, not itself. https, unless the entry begins with `http://`; the usual
/// port, unless it names one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LinkHost {
    is_secure: bool,
    below: bool,
    host: String,
    port: Option<u16>,
}

impl LinkHost {
    /// # Errors
    /// [`BadLink::Listed`]
    pub fn parse(text: &str) -> Result<LinkHost, BadLink> {
        let bare = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).unwrap_or(text);
        let (below, name) = match bare.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, bare),
        };
        let (host, port) = host_and_port(name).ok_or(BadLink::Listed)?;
        // `*.com` would list half of the net.
        if below && !host.contains('.') {
            return Err(BadLink::Listed);
        }
        Ok(LinkHost { is_secure: !text.starts_with("http://"), below, host, port })
    }

    fn admits(&self, is_secure: bool, host: &str, port: Option<u16>) -> bool {
        let named = if self.below {
            host.strip_suffix(&self.host).is_some_and(|label| label.len() > 1 && label.ends_with('.'))
        } else {
            host == self.host
        };
        named && port == self.port && is_secure == self.is_secure
    }
}

impl TryFrom<String> for LinkHost {
    type Error = BadLink;

    fn try_from(text: String) -> Result<LinkHost, BadLink> {
        LinkHost::parse(&text)
    }
}

impl From<LinkHost> for String {
    fn from(entry: LinkHost) -> String {
        entry.to_string()
    }
}

impl fmt::Display for LinkHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "" } else { "http://" };
        let below = if self.below { "*." } else { "" };
        write!(f, "{scheme}{below}{}", self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Where an obligation or a creditor wants its debtors to pay: pieces of a URL, between which the token goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pieces: Vec<String>,
}

impl Target {
    /// # Errors
    /// [`BadLink`], the first thing that is wrong.
    pub fn parse(text: &str, hosts: &[LinkHost]) -> Result<Target, BadLink> {
        if text.len() > TARGET_MAX {
            return Err(BadLink::TooLong);
        }
        let (is_secure, rest) = scheme(text).ok_or(BadLink::Scheme)?;
        let pieces = pieces(text)?;
        let strange = |b: u8| {
            !b.is_ascii_graphic() || matches!(b, b'"' | b'\'' | b'\\' | b'<' | b'>' | b'`' | b'^' | b'|')
        };
        if pieces.iter().any(|piece| piece.bytes().any(strange)) {
            return Err(BadLink::Character);
        }
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        if authority.contains(['{', '}']) {
            return Err(BadLink::Braces);
        }
        let (host, port) = host_and_port(authority).ok_or(BadLink::Host)?;
        if !hosts.iter().any(|entry| entry.admits(is_secure, &host, port)) {
            return Err(BadLink::UnknownHost);
        }
        Ok(Target { pieces })
    }

    /// Whether each recipient gets a link of their own, so that visits can be told apart.
    pub fn has_token(&self) -> bool {
        self.pieces.len() > 1
    }

    /// The link of one recipient, as the field `link` takes it.
    pub fn for_recipient(&self, token: Token) -> Field {
        Field::Link(self.pieces.join(&token.to_string()))
    }
}

fn scheme(text: &str) -> Option<(bool, &str)> {
    let secure = text.strip_prefix("https://").map(|rest| (true, rest));
    secure.or_else(|| text.strip_prefix("http://").map(|rest| (false, rest)))
}

/// Cuts at `{token}`, `{{token}}` and `{{ token }}`; any other brace is a mistake.
fn pieces(text: &str) -> Result<Vec<String>, BadLink> {
    let marked = text.replace("{{ token }}", "{token}").replace("{{token}}", "{token}");
    let pieces: Vec<String> = marked.split("{token}").map(str::to_owned).collect();
    if pieces.iter().any(|piece| piece.contains(['{', '}'])) { Err(BadLink::Braces) } else { Ok(pieces) }
}

/// Lower case, at least one label, letters, digits and hyphens only: no user, no brackets, no Unicode.
fn host_and_port(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let port = match port {
        None => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
        Some(_) => return None,
    };
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (host.len() <= 253 && host.split('.').all(label)).then(|| (host.to_ascii_lowercase(), port))
}

/// One recipient's mark in a link: 60 random bits, 12 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(u64);

/// Bits of a token: guessing one of a million live tokens takes 10^12 tries.
const TOKEN_BITS: u32 = 60;
const TOKEN_CHARS: usize = 12;

/// Crockford's base32: no two characters look alike, and GSM 7-bit holds each in one septet.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl Token {
    /// From random octets; the caller owns where they come from.
    pub const fn from_random(octets: [u8; 8]) -> Token {
        Token(u64::from_be_bytes(octets) >> (u64::BITS - TOKEN_BITS))
    }

    /// Reads what a person may have typed: either case, `o` for `0`, `i` and `l` for `1`.
    ///
    /// # Errors
    /// [`BadLink::Token`]
    pub fn parse(text: &str) -> Result<Token, BadLink> {
        if text.len() != TOKEN_CHARS {
            return Err(BadLink::Token);
        }
        let digit = |b: u8| {
            let b = match b.to_ascii_lowercase() {
                b'o' => b'0',
                b'i' | b'l' => b'1',
                other => other,
            };
            ALPHABET.iter().position(|known| *known == b)
        };
        let mut raw = 0;
        for b in text.bytes() {
            raw = raw << 5 | digit(b).ok_or(BadLink::Token)? as u64;
        }
        Ok(Token(raw))
    }

    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |place: usize| char::from(ALPHABET[(self.0 >> (5 * place)) as usize % 32]);
        (0..TOKEN_CHARS).rev().try_for_each(|place| write!(f, "{}", digit(place)))
    }
}

/// Who holds a token may see a debt: it is never printed whole by accident.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Serialize for Token {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Token, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            return Token::parse(&text).map_err(serde::de::Error::custom);
        }
        let raw = u64::deserialize(deserializer)?;
        if raw >> TOKEN_BITS == 0 { Ok(Token(raw)) } else { Err(serde::de::Error::custom(BadLink::Token)) }
    }
}

/// One visit to a link, as the listener or the firm's own site saw it.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    pub method: &'a str,
    pub agent: &'a str,
    /// Since the text was accepted by the network; `None` while that is not known.
    pub since_acceptance_seconds: Option<i64>,
    /// Since the last visit that counted as a person's.
    pub since_human_seconds: Option<i64>,
}

/// What a visit counts as. Every visit is a fetch; only some are a person's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Click {
    Human,
    Fetch(Machine),
}

/// Why a visit is not taken for a person's. Append only: stored by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Machine {
    /// Anything but GET.
    Method,
    /// The agent says what it is, or nothing.
    Scanner,
    /// Nobody reads so fast; or the text was not accepted yet.
    TooSoon,
    /// The same person again.
    Repeat,
}

/// Carriers and telephones look at a link before its reader does.
const TOO_SOON_SECONDS: i64 = 3;
/// A person who comes back within this is counted once.
pub const REPEAT_SECONDS: i64 = 30 * 60;

impl Click {
    /// The counting rule: GET, no known scanner, not within 3 s of acceptance, once in 30 min a token.
    pub fn of(visit: Visit) -> Click {
        if visit.method != "GET" {
            return Click::Fetch(Machine::Method);
        }
        if is_scanner(visit.agent) {
            return Click::Fetch(Machine::Scanner);
        }
        if visit.since_acceptance_seconds.is_none_or(|since| since < TOO_SOON_SECONDS) {
            return Click::Fetch(Machine::TooSoon);
        }
        // A clock that went back gives a negative distance: it is near, too.
        if visit.since_human_seconds.is_some_and(|since| since < REPEAT_SECONDS) {
            return Click::Fetch(Machine::Repeat);
        }
        Click::Human
    }
}

/// Words that programs have in their agent and browsers have not.
const SCANNERS: [&str; 40] = [
    "bot",
    "crawl",
    "spider",
    "preview",
    "scan",
    "monitor",
    "fetch",
    "facebookexternalhit",
    "facebot",
    "whatsapp",
    "telegram",
    "slack",
    "discord",
    "skypeuri",
    "viber",
    "linkedin",
    "twitter",
    "pinterest",
    "embedly",
    "curl",
    "wget",
    "python",
    "go-http",
    "java/",
    "okhttp",
    "libwww",
    "httpclient",
    "node",
    "axios",
    "headless",
    "phantom",
    "proofpoint",
    "mimecast",
    "barracuda",
    "safebrowsing",
    "safelinks",
    "virustotal",
    "urlscan",
    "google-safety",
    "cloudmark",
];

/// Whether an agent is known to be no person's browser. None at all is not one either.
pub fn is_scanner(agent: &str) -> bool {
    // Longer agents are nobody's, and this bounds the work.
    let folded: String = agent.chars().take(512).flat_map(char::to_lowercase).collect();
    // A make of telephones.
    let folded = folded.replace("cubot", "");
    !folded.starts_with("mozilla/") && !folded.starts_with("opera/")
        || SCANNERS.iter().any(|word| folded.contains(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hosts() -> Vec<LinkHost> {
        ["pay.firm.example", "*.shop.example", "http://intranet.firm.example:8080"]
            .map(|entry| LinkHost::parse(entry).unwrap())
            .into()
    }

    fn link(target: &str) -> Result<String, BadLink> {
        let target = Target::parse(target, &hosts())?;
        match target.for_recipient(Token(1)) {
            Field::Link(link) => Ok(link),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_token_goes_where_the_target_says_and_nothing_else_changes() {
        for written in ["{token}", "{{token}}", "{{ token }}"] {
            let made = link(&format!("https://pay.firm.example/i/{written}?a=1")).unwrap();
            assert_eq!(made, "https://pay.firm.example/i/000000000001?a=1");
        }
        let plain = Target::parse("https://pay.firm.example/i?inv=7#x", &hosts()).unwrap();
        assert!(!plain.has_token());
        assert_eq!(plain.for_recipient(Token(1)), Field::Link("https://pay.firm.example/i?inv=7#x".into()));
    }

    #[test]
    fn only_listed_hosts_are_linked_to() {
        for good in [
            "https://PAY.firm.example/x",
            "https://a.shop.example",
            "https://a.b.shop.example/x",
            "http://intranet.firm.example:8080/x",
        ] {
            assert!(link(good).is_ok(), "{good}");
        }
        for bad in [
            "https://firm.example/x",
            "https://pay.firm.example.evil.example/x",
            "https://evilpay.firm.example/x",
            "https://shop.example/x",
            "https://evilshop.example/x",
            "http://pay.firm.example/x",
            "https://pay.firm.example:8443/x",
            "https://intranet.firm.example:8080/x",
            "https://sub.pay.firm.example/x",
        ] {
            assert_eq!(link(bad), Err(BadLink::UnknownHost), "{bad}");
        }
    }

    #[test]
    fn nothing_is_hidden_in_a_target() {
        for (bad, why) in [
            ("ftp://pay.firm.example", BadLink::Scheme),
            ("javascript:alert(1)", BadLink::Scheme),
            ("//pay.firm.example/x", BadLink::Scheme),
            ("https://pay.firm.example@evil.example/", BadLink::Host),
            ("https://user:pay.firm.example/", BadLink::Host),
            ("https://[::1]/x", BadLink::Host),
            ("https:///x", BadLink::Host),
            ("https://a..b/x", BadLink::Host),
            ("https://pay.firm.example\\@evil.example", BadLink::Character),
            ("https://pay.firm.example/ x", BadLink::Character),
            ("https://pay.firm.example/ü", BadLink::Character),
            ("https://pay.firm.example/{tokens}", BadLink::Braces),
            ("https://{token}.firm.example/", BadLink::Braces),
            ("https://pay.firm.example/{{{token}}}", BadLink::Braces),
        ] {
            assert_eq!(link(bad), Err(why), "{bad}");
        }
        assert_eq!(
            link(&format!("https://pay.firm.example/{}", "a".repeat(TARGET_MAX))),
            Err(BadLink::TooLong)
        );
    }

    #[test]
    fn a_listed_host_reads_back_as_written() {
        for entry in ["pay.firm.example", "*.firm.example", "http://10.0.0.5:8080", "localhost"] {
            assert_eq!(LinkHost::parse(entry).unwrap().to_string(), entry);
        }
        for bad in ["", "*.com", "*", "a/b", "a b", "a:x", "a@b", "ü.example", "a:99999"] {
            assert_eq!(LinkHost::parse(bad), Err(BadLink::Listed), "{bad}");
        }
    }

    #[test]
    fn a_token_is_typed_back_by_a_person() {
        let token = Token::from_random([0xFF, 0, 0xAB, 3, 4, 5, 6, 0x7F]);
        let text = token.to_string();
        assert_eq!(text.len(), TOKEN_CHARS);
        assert_eq!(Token::parse(&text.to_uppercase()), Ok(token));
        assert_eq!(Token::parse("OOOOOOOOOOIL"), Token::parse("000000000011"));
        for bad in ["", "00000000000", "0000000000000", "00000000000u", "00000000000é"] {
            assert_eq!(Token::parse(bad), Err(BadLink::Token), "{bad}");
        }
        assert_eq!(format!("{token:?}"), "Token(..)");
        assert!(postcard::from_bytes::<Token>(&postcard::to_stdvec(&u64::MAX).unwrap()).is_err());
    }

    const BROWSER: &str =
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1";

    fn click(method: &str, agent: &str, accepted: Option<i64>, human: Option<i64>) -> Click {
        Click::of(Visit { method, agent, since_acceptance_seconds: accepted, since_human_seconds: human })
    }

    #[test]
    fn only_a_persons_first_visit_in_half_an_hour_is_a_click() {
        assert_eq!(click("GET", BROWSER, Some(3), None), Click::Human);
        assert_eq!(click("GET", BROWSER, Some(99_999), Some(1800)), Click::Human);
        assert_eq!(click("GET", BROWSER, Some(99_999), Some(1799)), Click::Fetch(Machine::Repeat));
        assert_eq!(click("GET", BROWSER, Some(2), None), Click::Fetch(Machine::TooSoon));
        assert_eq!(click("GET", BROWSER, None, None), Click::Fetch(Machine::TooSoon));
        assert_eq!(click("HEAD", BROWSER, Some(9), None), Click::Fetch(Machine::Method));
        assert_eq!(click("GET", "WhatsApp/2.23", Some(9), None), Click::Fetch(Machine::Scanner));
    }

    #[test]
    fn scanners_are_known_by_their_agents_and_browsers_are_not_taken_for_one() {
        for agent in [
            "",
            "curl/8",
            "Mozilla/5.0 (compatible; Googlebot/2.1)",
            "facebookexternalhit/1.1",
            "Mozilla/5.0 HeadlessChrome/1",
            "python-requests/2",
        ] {
            assert!(is_scanner(agent), "{agent}");
        }
        for agent in [
            BROWSER,
            "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0 Mobile Safari/537.36",
            "Mozilla/5.0 (Linux; Android 12; CUBOT NOTE 30) Chrome/124.0 Mobile",
            "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0",
        ] {
            assert!(!is_scanner(agent), "{agent}");
        }
    }

    proptest! {
        #[test]
        fn every_token_reads_back(octets in any::<[u8; 8]>()) {
            let token = Token::from_random(octets);
            prop_assert_eq!(Token::parse(&token.to_string()), Ok(token));
            let json = serde_json::to_string(&token).unwrap();
            prop_assert_eq!(serde_json::from_str::<Token>(&json).unwrap(), token);
            prop_assert_eq!(postcard::from_bytes::<Token>(&postcard::to_stdvec(&token).unwrap()).unwrap(), token);
        }

        #[test]
        fn whatever_is_a_target_leads_to_a_listed_host(text in "https?://[a-z.@:/\\\\{}#?%]{0,12}(pay\\.firm\\.example)?[a-z.@:/\\\\{}#?]{0,12}") {
            if let Ok(link) = link(&text) {
                let authority = link.split('/').nth(2).unwrap_or("").split(['?', '#']).next().unwrap_or("");
                let listed = authority == "pay.firm.example" || authority.ends_with(".shop.example") || authority == "intranet.firm.example:8080";
                prop_assert!(listed, "{} -> {}", text, authority);
            }
        }
    }
}
