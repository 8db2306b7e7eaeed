//! `[[webhook]]`: whom to tell of events, by which address and with which key. Pure.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::check::{Problem, Readers};
use super::event::Pattern;
use super::raw::Section;
use super::value::{self, Bad};
use super::{Secret, Webhook};

/// Servers and proxies refuse request lines that are longer.
const URL_MAX: usize = 2_000;
/// Standard Webhooks 1.0: 24 to 64 octets.
const KEY_OCTETS: std::ops::RangeInclusive<usize> = 24..=64;
/// RFC 9110 4.2.1; that of `https:` is as good for the check of the form.
const PORT: u16 = 80;
/// The new one and the one before it.
const KEYS_MOST: usize = 2;
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

/// Whom an endpoint's certificate must come from: the file as named, and what it holds, one at least.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorities {
    pub file: String,
    certificates: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// # Errors
    /// Why the text is no list of certificates in PEM (RFC 7468) that others can be issued by.
    fn parse(file: &str, text: &[u8]) -> Result<Authorities, String> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
        let certificates = certificates.map_err(|error| format!("{file} is not PEM: {error}"))?;
        if certificates.is_empty() {
            return Err(format!("{file} holds no certificate"));
        }
        let mut roots = RootCertStore::empty();
        for (at, certificate) in (1..).zip(&certificates) {
            let added = roots.add(certificate.clone());
            added.map_err(|error| format!("certificate {at} of {file} cannot be used: {error}"))?;
        }
        Ok(Authorities { file: file.to_owned(), certificates })
    }

    /// All of them: each was tried when it was parsed.
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.certificates.iter().cloned());
        roots
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorities({:?}, {} certificates)", self.file, self.certificates.len())
    }
}

pub(super) fn hooks(
    sections: Vec<Section<'_>>,
    readers: Readers<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<Webhook> {
    let mut hooks: Vec<Webhook> = Vec::new();
    for (at, mut section) in sections.into_iter().enumerate() {
        if at == MOST {
            section.refuse_value("name", Bad::new(format!("is one more than {MOST}"), "remove some"));
        }
        let hook = hook(&mut section, readers);
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

fn hook(section: &mut Section<'_>, readers: Readers<'_>) -> Option<Webhook> {
    let name = section.required("name", "\"crm\"", |text| value::name(text).map(|name| name.as_str().into()));
    let url = section.required("url", "\"https://crm.example.net/nudged\"", url);
    let keys = section.required("secret_file", "\"crm.whsec\"", |file| keys(file, readers));
    let authorities = section.text("tls_ca_file", None, |file| authorities(file, readers));
    let events = section.texts("events", Vec::new(), Pattern::parse);
    let include_text = section.switch("include_text", false);
    if authorities.is_some() && url.as_ref().is_some_and(|url| !url.starts_with(HTTPS)) {
        let remedy = "write https:// in url, or remove tls_ca_file";
        section.refuse_value("tls_ca_file", Bad::new("does nothing for an address without TLS", remedy));
    }
    if section.is_absent("events") || section.is_empty_list("events") {
        let remedy = "add events = [\"message.*\", \"inbound.*\"], or [\"*\"]";
        section.refuse_value("events", Bad::new("names nothing", remedy));
    }
    Some(Webhook { name: name?, url: url?, keys: keys?, authorities, events, include_text })
}

const HTTPS: &str = "https://";

/// A webhook leads to a machine that the firm named in the file, so private addresses are as good as others.
fn url(text: &str) -> Result<String, Bad> {
    let bad = |why: &str| Bad::new(format!("{text:?} {why}"), "write https://HOST:PORT/PATH, nothing more");
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix(HTTPS));
    let rest = rest.ok_or_else(|| bad("is not an address of HTTP"))?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if authority.contains('@') {
        // Not shown back: it holds a password.
        let remedy = "leave it out; what is posted is signed with the key in secret_file";
        return Err(Bad::new("has a user or password in it", remedy));
    }
    let has_port = authority.rfind(':').is_some_and(|at| !authority[at..].contains(']'));
    let address = if has_port { authority.to_owned() } else { format!("{authority}:{PORT}") };
    value::address(&address).map_err(|_| bad("names no host"))?;
    let is_plain = path.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if text.len() > URL_MAX || !is_plain || text.parse::<hyper::Uri>().is_err() {
        return Err(bad("is too long, has a fragment, or has letters that must be escaped"));
    }
    Ok(text.to_owned())
}

/// One a line: two while a key is being changed.
fn keys(file: &str, readers: Readers<'_>) -> Result<Vec<SigningKey>, Bad> {
    let remedy = "name a file that holds the key, whsec_ and base64, readable by its owner only; while it is \
                  changed the new one and in the next line the one before";
    let secret = (readers.secret)(file).map_err(|why| Bad::new(why, remedy))?;
    if secret == Secret::unread() {
        return Ok(Vec::new());
    }
    let lines: Vec<&str> = secret.expose().lines().collect();
    if lines.len() > KEYS_MOST {
        return Err(Bad::new(
            format!("the file has {} lines, more than {KEYS_MOST} keys", lines.len()),
            remedy,
        ));
    }
    let keys: Option<Vec<SigningKey>> = lines.into_iter().map(SigningKey::parse).collect();
    keys.ok_or_else(|| {
        let (least, most) = (KEY_OCTETS.start(), KEY_OCTETS.end());
        Bad::new(format!("the key is not whsec_ and base64 of {least} to {most} octets"), remedy)
    })
}

fn authorities(file: &str, readers: Readers<'_>) -> Result<Option<Authorities>, Bad> {
    if file.is_empty() {
        return Ok(None);
    }
    let remedy = "name a file with the certificate of the firm's own authority in PEM, or remove the key to trust \
                  whom this machine trusts";
    let parsed = match (readers.certificates)(file).map_err(|why| Bad::new(why, remedy))? {
        Some(text) => Authorities::parse(file, &text),
        None => Ok(Authorities { file: file.to_owned(), certificates: Vec::new() }),
    };
    parsed.map(Some).map_err(|why| Bad::new(why, remedy))
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
            "https://crm.example.net/hook",
            "https://[::1]:8443",
        ] {
            assert_eq!(url(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "ftp://crm/x",
            "https://",
            "https://crm:0/",
            "HTTP://crm/x",
            "http://crm/<a>",
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
