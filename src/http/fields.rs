//! A JSON object taken apart field by field, so that every wrong field is named in one answer.
//!
//! The body is split once into names and raw values, which validates it without recursion, whatever its
//! nesting. Each field is then read by its own type. What nobody read is an unknown field; a name that
//! stands twice is refused, because two readers could take different ones.

use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::problem::{FieldError, Problem};

/// Names in one object at most; ours has 18.
const MAX_FIELDS: usize = 64;
/// Characters of an unknown name that are shown back.
const NAME_SHOWN: usize = 40;

/// The fields of one object, and what is wrong with them so far.
pub struct Fields<'a> {
    rest: Vec<(String, &'a RawValue)>,
    errors: Vec<FieldError>,
    /// A string in it is no Unicode text, so it is no JSON that could be kept.
    malformed: bool,
}

impl<'a> Fields<'a> {
    pub fn parse(body: &'a [u8]) -> Result<Fields<'a>, Problem> {
        let text = std::str::from_utf8(body).map_err(|e| not_utf8(body, e.valid_up_to()))?;
        Fields::parse_text(text)
    }

    pub fn parse_text(text: &'a str) -> Result<Fields<'a>, Problem> {
        let mut json = serde_json::Deserializer::from_str(text);
        let Members(mut members) = json
            .deserialize_map(MembersVisitor)
            .and_then(|members| json.end().map(|()| members))
            .map_err(|error| not_json(text, &error))?;
        let mut errors = Vec::new();
        // Sorted, so that two bodies that say the same have the same digest.
        members.sort_by(|a, b| a.0.cmp(&b.0));
        for pair in members.windows(2) {
            if pair[0].0 == pair[1].0 {
                errors.push(FieldError::new(shown(&pair[0].0), "stands more than once"));
            }
        }
        members.dedup_by(|a, b| a.0 == b.0);
        Ok(Fields { rest: members, errors, malformed: false })
    }

    /// For those who read the body by a type of their own: refuses names that stand twice.
    pub fn check_once(self) -> Result<(), Problem> {
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::fields(self.errors)) }
    }

    /// First 16 bytes of BLAKE3 over names and compacted values in order of name: equal for bodies that
    /// differ only in blanks or order.
    pub fn digest(&self) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new();
        for (name, raw) in &self.rest {
            hasher.update(&(name.len() as u64).to_be_bytes());
            hasher.update(name.as_bytes());
            match serde_json::from_str::<serde_json::Value>(raw.get()) {
                Ok(value) => hasher.update(value.to_string().as_bytes()),
                Err(_) => hasher.update(raw.get().as_bytes()),
            };
        }
        first_16(&hasher.finalize())
    }

    /// The raw value of a field; `null` counts as absent.
    pub fn raw(&mut self, name: &str) -> Option<&'a str> {
        let at = self.rest.iter().position(|(n, _)| n == name)?;
        let (_, raw) = self.rest.remove(at);
        Some(raw.get()).filter(|text| *text != "null")
    }

    /// Reads a field; `shape` says what it should have been.
    pub fn take<T: DeserializeOwned>(&mut self, name: &str, shape: &str) -> Option<T> {
        let raw = self.raw(name)?;
        match serde_json::from_str(raw) {
            Ok(value) => Some(value),
            Err(error) if error.is_data() => {
                self.refuse(name, format!("must be {shape}"));
                None
            }
            Err(error) => {
                self.malformed = true;
                self.refuse(name, format!("cannot be read: {}", reason(&error)));
                None
            }
        }
    }

    pub fn text(&mut self, name: &str) -> Option<String> {
        self.take(name, "a string")
    }

    pub fn flag(&mut self, name: &str, default: bool) -> bool {
        self.take(name, "true or false").unwrap_or(default)
    }

    /// A string turned into what it stands for, or refused with why.
    pub fn parsed<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(name)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(why) => {
                self.refuse(name, why);
                None
            }
        }
    }

    pub fn refuse(&mut self, name: &str, why: impl Into<String>) {
        self.errors.push(FieldError::new(name, why));
    }

    /// Whether something was already said against the field.
    pub fn is_refused(&self, name: &str) -> bool {
        self.errors.iter().any(|e| e.field == name)
    }

    /// What is left is unknown; `Ok` only when nothing at all was refused.
    pub fn finish(mut self) -> Result<(), Problem> {
        for (name, _) in &self.rest {
            self.errors.push(FieldError::new(shown(name), "is not a field of this request"));
        }
        if self.errors.is_empty() {
            return Ok(());
        }
        if self.malformed {
            let detail = "A string in the body is not Unicode text.";
            return Err(Problem::bad_request("not_unicode", detail).with_errors(self.errors));
        }
        Err(Problem::fields(self.errors))
    }
}

/// First half of a BLAKE3 hash, the form in which keys and bodies are remembered.
pub fn first_16(hash: &blake3::Hash) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash.as_bytes()[..16]);
    half
}

struct Members<'a>(Vec<(String, &'a RawValue)>);

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::with_capacity(16);
        while let Some(member) = map.next_entry::<String, &'de RawValue>()? {
            if members.len() == MAX_FIELDS {
                return Err(serde::de::Error::custom("more fields than any request has"));
            }
            members.push(member);
        }
        Ok(Members(members))
    }
}

fn shown(name: &str) -> String {
    name.chars().take(NAME_SHOWN).flat_map(char::escape_default).collect()
}

/// serde_json's sentence without its position, which counts inside the field.
pub fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

fn not_json(text: &str, error: &serde_json::Error) -> Problem {
    if text.starts_with('\u{FEFF}') {
        return Problem::bad_request("not_json", "The body begins with a byte order mark; JSON has none.");
    }
    if error.is_data() {
        let place = format!("line {}, column {}", error.line(), error.column());
        return Problem::bad_request("not_json", format!("The body must be a JSON object ({place})."));
    }
    Problem::bad_request("not_json", format!("The body is not JSON: {error}."))
}

/// Names the fields that hold the bytes, where the body is otherwise readable.
fn not_utf8(body: &[u8], at: usize) -> Problem {
    let lossy = String::from_utf8_lossy(body);
    let named = |fields: &Fields<'_>| -> Vec<FieldError> {
        let broken = fields.rest.iter().filter(|(name, raw)| (name.clone() + raw.get()).contains('\u{FFFD}'));
        broken.map(|(name, _)| FieldError::new(shown(name), "is not UTF-8")).collect()
    };
    let errors = Fields::parse_text(&lossy).map(|fields| named(&fields)).unwrap_or_default();
    Problem::bad_request("not_utf8", format!("The body is not UTF-8 at byte {at}.")).with_errors(errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &[u8]) -> serde_json::Value {
        Fields::parse(body).map(|f| f.finish()).map_or_else(|p| p.to_json(), |r| r.unwrap_err().to_json())
    }

    #[test]
    fn what_is_not_an_object_is_not_json_whatever_its_depth() {
        let deep = "[".repeat(100_000);
        let inside = format!("{{\"metadata\":{}", "[".repeat(100_000));
        let bodies: [&[u8]; 7] = [b"", b"null", b"[]", b"{", b"{} x", deep.as_bytes(), inside.as_bytes()];
        for body in bodies {
            assert_eq!(code(body)["code"], "not_json", "{:?}", &body[..body.len().min(9)]);
        }
        assert_eq!(code("\u{FEFF}{}".as_bytes())["code"], "not_json");
    }

    #[test]
    fn bytes_that_are_not_utf8_name_their_field() {
        let json = code(b"{\"to\":\"+49\",\"text\":\"\xff\"}");
        assert_eq!((&json["code"], &json["errors"][0]["field"]), (&"not_utf8".into(), &"text".into()));
    }

    #[test]
    fn a_lone_surrogate_names_its_field() {
        let mut fields = Fields::parse(br#"{"text":"\ud83d"}"#).unwrap();
        assert_eq!(fields.text("text"), None);
        let json = fields.finish().unwrap_err().to_json();
        assert_eq!((&json["status"], &json["errors"][0]["field"]), (&400.into(), &"text".into()));
    }

    #[test]
    fn repeated_and_unknown_names_are_all_refused_at_once() {
        let mut fields = Fields::parse(br#"{"to":"a","to":"b","colour":1,"flash":"x"}"#).unwrap();
        fields.text("to");
        fields.flag("flash", false);
        let json = fields.finish().unwrap_err().to_json();
        let mut names: Vec<_> =
            json["errors"].as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, ["colour", "flash", "to"]);
    }

    #[test]
    fn the_digest_does_not_see_blanks_and_order_but_sees_values() {
        let digest = |body: &[u8]| Fields::parse(body).unwrap().digest();
        assert_eq!(digest(br#"{"a":1,"b":"x"}"#), digest(b"{ \"b\": \"\\u0078\",\n \"a\": 1 }"));
        assert_ne!(digest(br#"{"a":1,"b":"x"}"#), digest(br#"{"a":1,"b":"y"}"#));
    }
}
