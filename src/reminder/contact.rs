//! A person or firm that owes: names, where they are, their numbers, and when they wish to be texted.

use std::collections::BTreeMap;

use jiff::civil::{Time, Weekday};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::hours::{self, BadHours, WeekHours};
use super::name::{Country, ExternalId, Language};
use super::zone::Zone;
use crate::message::Msisdn;

/// Numbers of one contact at most.
pub const PHONES_MAX: usize = 8;
/// Fields of the firm's own at most, and characters of one.
pub const CUSTOM_MAX: usize = 32;
const TEXT_MAX: usize = 200;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContactKind {
    #[default]
    Consumer,
    B2b,
}

/// A contact as the outside gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    pub external_id: ExternalId,
    #[serde(default)]
    pub first_name: Option<String>,
    #[serde(default)]
    pub last_name: Option<String>,
    #[serde(default)]
    pub company: Option<String>,
    #[serde(default)]
    pub kind: ContactKind,
    #[serde(default)]
    pub language: Option<Language>,
    #[serde(default)]
    pub country: Option<Country>,
    #[serde(default)]
    pub region: Option<String>,
    #[serde(default)]
    pub postcode: Option<String>,
    #[serde(default)]
    pub timezone: Option<Zone>,
    pub phones: Vec<ContactPhone>,
    /// No text before this time of day, where they live.
    #[serde(default)]
    pub not_before: Option<DayTime>,
    #[serde(default)]
    pub not_after: Option<DayTime>,
    /// Texts on these days only; none named: any.
    #[serde(default)]
    pub days: Vec<Day>,
    #[serde(default)]
    pub custom: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContactPhone {
    #[serde(with = "e164")]
    pub number: Msisdn,
    #[serde(default)]
    pub primary: bool,
    /// Known to be theirs.
    #[serde(default)]
    pub verified: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadContact {
    #[error("must hold 1 to {PHONES_MAX} numbers")]
    Phones,
    #[error("names a number twice")]
    Twice,
    #[error("names two primary numbers")]
    Primary,
    #[error("must be at most {TEXT_MAX} characters")]
    TooLong,
    #[error("must hold at most {CUSTOM_MAX} fields")]
    Custom,
    #[error(transparent)]
    Hours(#[from] BadHours),
}

impl Contact {
    /// What the types cannot hold: the field, and why.
    ///
    /// # Errors
    /// The first fault.
    pub fn check(&self) -> Result<(), (&'static str, BadContact)> {
        let mut seen = std::collections::BTreeSet::new();
        if self.phones.is_empty() || self.phones.len() > PHONES_MAX {
            return Err(("phones", BadContact::Phones));
        }
        if !self.phones.iter().all(|phone| seen.insert(phone.number)) {
            return Err(("phones", BadContact::Twice));
        }
        if self.phones.iter().filter(|phone| phone.primary).count() > 1 {
            return Err(("phones", BadContact::Primary));
        }
        let long = |text: &Option<String>| text.as_ref().is_some_and(|t| t.chars().count() > TEXT_MAX);
        let texts = [
            ("first_name", &self.first_name),
            ("last_name", &self.last_name),
            ("company", &self.company),
            ("region", &self.region),
            ("postcode", &self.postcode),
        ];
        if let Some((field, _)) = texts.into_iter().find(|(_, text)| long(text)) {
            return Err((field, BadContact::TooLong));
        }
        if self.custom.len() > CUSTOM_MAX {
            return Err(("custom", BadContact::Custom));
        }
        if self.custom.values().any(|value| value.chars().count() > TEXT_MAX) {
            return Err(("custom", BadContact::TooLong));
        }
        self.wishes().map(|_| ()).map_err(|bad| ("not_before", bad.into()))
    }

    /// The number to try first.
    pub fn best_number(&self) -> Option<Msisdn> {
        let primary = self.phones.iter().find(|phone| phone.primary);
        primary.or(self.phones.first()).map(|phone| phone.number)
    }

    /// Numbers in the order in which they are tried.
    pub fn numbers(&self) -> impl Iterator<Item = Msisdn> {
        let first = self.best_number();
        let others = self.phones.iter().map(|phone| phone.number).filter(move |n| Some(*n) != first);
        first.into_iter().chain(others)
    }

    /// When they wish to be texted.
    ///
    /// # Errors
    /// [`BadHours::Order`]
    pub fn wishes(&self) -> Result<WeekHours, BadHours> {
        let days: Vec<Weekday> = self.days.iter().map(|day| day.0).collect();
        WeekHours::wish(self.not_before.map(|t| t.0), self.not_after.map(|t| t.0), &days)
    }
}

/// A time of day, as `10:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DayTime(pub Time);

impl TryFrom<String> for DayTime {
    type Error = BadHours;

    fn try_from(text: String) -> Result<DayTime, BadHours> {
        hours::parse_time(&text).map(DayTime)
    }
}

impl From<DayTime> for String {
    fn from(time: DayTime) -> String {
        hours::show_time(time.0)
    }
}

/// A day of the week, as `mon`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(pub Weekday);

impl TryFrom<String> for Day {
    type Error = BadHours;

    fn try_from(text: String) -> Result<Day, BadHours> {
        hours::parse_weekday(&text).map(Day)
    }
}

impl From<Day> for String {
    fn from(day: Day) -> String {
        hours::weekday_name(day.0).to_owned()
    }
}

/// A number as `+` and digits outside, as itself in the store.
pub mod e164 {
    use super::{Deserialize, Deserializer, Msisdn, Serialize, Serializer, de};

    pub fn serialize<S: Serializer>(number: &Msisdn, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(&number.to_e164());
        }
        number.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Msisdn, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            return Msisdn::parse_e164(&text).map_err(de::Error::custom);
        }
        Msisdn::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"external_id":"c-1","last_name":"Muster","not_before":"10:00","days":["mon","fri"],
        "phones":[{"number":"+4915112345678"},{"number":"+4915112345679","primary":true}]}"#;

    fn contact() -> Contact {
        serde_json::from_str(JSON).unwrap()
    }

    #[test]
    fn the_primary_number_is_tried_first() {
        let numbers: Vec<u64> = contact().numbers().map(Msisdn::as_u64).collect();
        assert_eq!(numbers, [4_915_112_345_679, 4_915_112_345_678]);
    }

    #[test]
    fn a_contact_is_stored_and_read_back() {
        let bytes = postcard::to_stdvec(&contact()).unwrap();
        assert_eq!(postcard::from_bytes::<Contact>(&bytes).unwrap(), contact());
        assert!(serde_json::to_string(&contact()).unwrap().contains(r#""number":"+4915112345678""#));
    }

    #[test]
    fn what_no_type_can_hold_is_named_with_its_field() {
        assert_eq!(contact().check(), Ok(()));
        let spoilt = |spoil: &dyn Fn(&mut Contact)| {
            let mut contact = contact();
            spoil(&mut contact);
            contact.check().unwrap_err().0
        };
        assert_eq!(spoilt(&|c| c.phones.clear()), "phones");
        assert_eq!(spoilt(&|c| c.phones[0].primary = true), "phones");
        assert_eq!(spoilt(&|c| c.phones[0].number = c.phones[1].number), "phones");
        assert_eq!(spoilt(&|c| c.company = Some("x".repeat(201))), "company");
        assert_eq!(spoilt(&|c| c.not_after = c.not_before), "not_before");
    }
}
