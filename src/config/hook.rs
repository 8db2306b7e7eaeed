//! `[[webhook]]`: whom to tell of events, by which address and with which key. Pure.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::check::{Problem, Secrets};
use super::event::Pattern;
use super::raw::Section;
use super::value::{self, Bad};
use super::{Secret, Webhook};

/// Servers and proxies refuse request lines that are longer.
const URL_MAX: usize = 2_000;
/// Standard Webhooks 1.0: 24 to 64 octets.
const KEY_OCTETS: std::ops::RangeInclusive<usize> = 24..=64;
/// RFC 9110 4.2.1.
const PORT: u16 = 80;
const KEY_PREFIX: &str = "whsec_";
/// Each costs a task and a place in the journal that it holds.
const MOST: usize = 32;

/// The key that signs what an endpoint gets: never shown, never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(Vec<u8>);

impl SigningKey {
    /// `whsec_` and base64.
    pub fn parse(text: &str) -> Option<SigningKey> {
        let octets = STANDARD.decode(text.strip_prefix(KEY_PREFIX)?).ok()?;
        KEY_OCTETS.contains(&octets.len()).then_some(SigningKey(octets))
    }

    /// The one way to the octets, so that every use can be found.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

pub(super) fn hooks(
    sections: Vec<Section<'_>>,
    secrets: Secrets<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<Webhook> {
    let mut hooks: Vec<Webhook> = Vec::new();
    for (at, mut section) in sections.into_iter().enumerate() {
        if at == MOST {
            section.refuse_value("name", Bad::new(format!("is one more than {MOST}"), "remove some"));
        }
        let hook = hook(&mut section, secrets);
        if let Some(hook) = hook {
            if hooks.iter().any(|other| other.name == hook.name) {
                let why = format!("{:?} names another webhook too", hook.name.as_str());
                section.refuse_value("name", Bad::new(why, "give each webhook a name of its own"));
            }
            hooks.push(hook);
        }
        problems.extend(section.end(&[]));
    }
    hooks
}

fn hook(section: &mut Section<'_>, secrets: Secrets<'_>) -> Option<Webhook> {
    let name = section.required("name", "\"crm\"", |text| value::name(text).map(|name| name.as_str().into()));
    let url = section.required("url", "\"http://127.0.0.1:9000/nudged\"", url);
    let key = section.required("secret_file", "\"crm.whsec\"", |file| key(file, secrets));
    let events = section.texts("events", Vec::new(), Pattern::parse);
    let include_text = section.switch("include_text", false);
    if section.is_absent("events") || section.is_empty_list("events") {
        let remedy = "add events = [\"message.*\", \"inbound.*\"], or [\"*\"]";
        section.refuse_value("events", Bad::new("names nothing", remedy));
    }
    Some(Webhook { name: name?, url: url?, key: key?, events, include_text })
}

/// A webhook leads to a machine that the firm named in the file, so private addresses are as good as others.
fn url(text: &str) -> Result<String, Bad> {
    let bad = |why: &str| Bad::new(format!("{text:?} {why}"), "write http://HOST:PORT/PATH, nothing more");
    if text.starts_with("https://") {
        let remedy = "write http:// and have a proxy on this machine speak TLS";
        return Err(Bad::new("https: is not supported by this version", remedy));
    }
    let rest = text.strip_prefix("http://").ok_or_else(|| bad("is not an address of HTTP"))?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if authority.contains('@') {
        // Not shown back: it holds a password.
        let remedy = "leave it out; what is posted is signed with the key in secret_file";
        return Err(Bad::new("has a user or password in it", remedy));
    }
    let has_port = authority.rfind(':').is_some_and(|at| !authority[at..].contains(']'));
    let address = if has_port { authority.to_owned() } else { format!("{authority}:{PORT}") };
    value::address(&address).map_err(|_| bad("names no host"))?;
    if text.len() > URL_MAX || !path.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        return Err(bad("is too long, has a fragment, or has letters that must be escaped"));
    }
    Ok(text.to_owned())
}

fn key(file: &str, secrets: Secrets<'_>) -> Result<SigningKey, Bad> {
    let remedy = "name a file that holds the key alone, whsec_ and base64, readable by its owner only";
    let secret = secrets(file).map_err(|why| Bad::new(why, remedy))?;
    match SigningKey::parse(secret.expose()) {
        Some(key) => Ok(key),
        None if secret == Secret::unread() => Ok(SigningKey(Vec::new())),
        None => {
            let (least, most) = (KEY_OCTETS.start(), KEY_OCTETS.end());
            Err(Bad::new(format!("the key is not whsec_ and base64 of {least} to {most} octets"), remedy))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_http_and_nothing_more() {
        for good in [
            "http://127.0.0.1:9000/nudged",
            "http://crm",
            "http://crm.example.net/hook?firm=1",
            "http://[::1]:80/",
            "http://[::1]",
        ] {
            assert_eq!(url(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "ftp://crm/x",
            "https://crm/x",
            "HTTP://crm/x",
            "http://",
            "http:///x",
            "http://crm:0/",
            "http://crm:x/",
            "http://crm/a b",
            "http://crm/ü",
            "http://crm/#a",
            "http://a\nb/",
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
        let with_password = url("http://user:geheim@crm/").unwrap_err();
        assert!(!with_password.why.contains("geheim") && with_password.why.contains("password"));
    }

    #[test]
    fn a_key_is_whsec_and_base64_of_the_right_length() {
        let text = |octets: usize| format!("whsec_{}", STANDARD.encode(vec![7; octets]));
        assert_eq!(SigningKey::parse(&text(24)).unwrap().expose(), [7; 24]);
        for bad in [text(23), text(65), STANDARD.encode([7; 24]), String::from("whsec_%"), String::new()] {
            assert_eq!(SigningKey::parse(&bad), None);
        }
    }
}
