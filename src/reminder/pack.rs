//! What a law, a carrier or a custom asks of reminders, as data: `[[pack]]` of `config/reminders/packs.toml`.
//!
//! A pack only ever forbids, so packs that apply together are as strict as the strictest of them
//! ([`super::rules`]). Numbers are the firm's to change; the shipped ones are help and no legal advice.

use std::collections::BTreeMap;

use jiff::civil::Time;
use serde::{Deserialize, Serialize};

use super::caps::Cap;
use super::creditor::SenderRole;
use super::hours::{DayHours, WeekHours, parse_time, show_time};
use super::name::{Country, Key, Language};

/// The pack that every choice of packs must find: without it nothing goes.
pub const BASE: &str = "base";
/// Title, source, regions: one line each.
const LINE_MAX: usize = 300;
/// Two segments: a disclosure that takes more leaves no room for the reminder.
const DISCLOSURE_MAX: usize = 300;
/// No law has more rules of one kind.
const LIST_MAX: usize = 64;
/// Countries of ISO 3166-1.
const COUNTRIES_MAX: usize = 250;
/// The packs as shipped.
const SHIPPED: &str = include_str!("../../config/reminders/packs.toml");

/// One pack as set up; keyed by `key`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    pub key: Key,
    pub title: String,
    /// The law or the custom, in few words.
    pub source: String,
    /// To whom it applies by itself; `None`: only to creditors that name it.
    #[serde(default)]
    pub applies: Option<Applies>,
    /// Local hours in which a text may be sent; `None`: those of the other packs.
    #[serde(default)]
    pub hours: Option<WeekHours>,
    /// Local time of day until which a text may arrive.
    #[serde(default)]
    pub validity_ends: Option<Until>,
    #[serde(default)]
    pub caps: Vec<Cap>,
    #[serde(default)]
    pub footer: Option<Footer>,
    /// What a text must say of the sender, by language; a language that is not here cannot be written in.
    #[serde(default)]
    pub disclosure: BTreeMap<Language, Disclosure>,
    #[serde(default)]
    pub consent: ConsentRule,
    /// How old the last sign may be that the number still is the person's.
    #[serde(default)]
    pub basis_max_age: Option<Days>,
    #[serde(default)]
    pub duties: Vec<Duty>,
    /// Classes of carrier routes that refuse such texts.
    #[serde(default)]
    pub forbidden_routes: Vec<Key>,
    /// How long evidence is to be kept after the last activity.
    #[serde(default)]
    pub retention: Option<Days>,
}

/// Whom a pack binds by itself. What is left out does not matter; with nothing in it, everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applies {
    #[serde(default)]
    pub sender_role: Option<SenderRole>,
    #[serde(default)]
    pub countries: Vec<Country>,
    /// In any spelling that the firm's records use; small and capital letters are the same.
    #[serde(default)]
    pub regions: Vec<String>,
}

/// Where a contact lives, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Residence<'a> {
    /// The contact's, else the number's; one that is not known may be any.
    pub country: Option<&'a Country>,
    pub region: Option<&'a str>,
}

/// What a pack asks about consent, the least first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentRule {
    #[default]
    None,
    /// A yes, shown or not.
    Any,
    /// A yes that can be shown.
    Proof,
}

/// Which reminders say how to opt out, counted by contact and creditor from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Footer {
    Always,
    /// The first, and each whose number the other number divides.
    FirstAndEvery(u8),
}

/// What must be said of the sender: the first time, and later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disclosure {
    pub initial: String,
    pub subsequent: String,
}

/// What a pack demands beyond numbers. Append only: stored by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duty {
    /// Nobody is texted on a holiday of the creditor's calendar.
    ClosedOnHolidays,
    /// Whoever is represented by an attorney is not texted.
    AttorneyHalt,
    /// A letter or mail with all that the law names must have gone first.
    InitialNotice,
    /// Names keep their letters, whatever that costs.
    KeepNames,
    /// A text that is missing in the contact's language is not sent in another.
    OwnLanguage,
}

/// From midnight until a local time of day, `21:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Until(DayHours);

/// Whole days, `60d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Days(u16);

/// Why a pack is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPack {
    #[error("footer must be \"always\" or \"first and every N\", N 2 to 99")]
    Footer,
    #[error("must be a time of day after midnight, as 21:00")]
    Until,
    #[error("must be days, as 60d, at most 9999d")]
    Days,
    #[error("{0} must be 1 to 300 characters of one line")]
    Line(&'static str),
    #[error("{0} has more entries than a pack may have")]
    TooMany(&'static str),
    #[error("regions need countries: many countries have regions of one name")]
    RegionsAlone,
    #[error("base must apply to everybody and have hours")]
    Base,
}

impl Pack {
    /// The packs that come with the program.
    ///
    /// # Errors
    /// What is wrong with the file; a test holds that nothing is.
    pub fn shipped() -> Result<Vec<Pack>, toml::de::Error> {
        #[derive(Deserialize)]
        struct File {
            pack: Vec<Pack>,
        }
        toml::from_str(SHIPPED).map(|file: File| file.pack)
    }

    /// # Errors
    /// [`BadPack`]: what its form allows and its meaning does not.
    pub fn check(&self) -> Result<(), BadPack> {
        check_line("title", &self.title, LINE_MAX)?;
        check_line("source", &self.source, LINE_MAX)?;
        for text in self.disclosure.values().flat_map(|d| [&d.initial, &d.subsequent]) {
            check_line("disclosure", text, DISCLOSURE_MAX)?;
        }
        for (name, count) in [
            ("caps", self.caps.len()),
            ("duties", self.duties.len()),
            ("forbidden_routes", self.forbidden_routes.len()),
            ("disclosure", self.disclosure.len()),
        ] {
            if count > LIST_MAX {
                return Err(BadPack::TooMany(name));
            }
        }
        if let Some(applies) = &self.applies {
            applies.check()?;
        }
        let everybody = self.applies.as_ref() == Some(&Applies::default()) && self.hours.is_some();
        if self.key.as_str() == BASE && !everybody { Err(BadPack::Base) } else { Ok(()) }
    }

    /// It binds this creditor's texts to that place, named or not.
    pub fn applies_to(&self, role: SenderRole, home: Residence) -> bool {
        self.applies.as_ref().is_some_and(|applies| applies.fits(role, home))
    }

    pub fn has(&self, duty: Duty) -> bool {
        self.duties.contains(&duty)
    }
}

impl Applies {
    fn check(&self) -> Result<(), BadPack> {
        for region in &self.regions {
            check_line("regions", region, LINE_MAX)?;
        }
        if self.regions.len() > LIST_MAX {
            return Err(BadPack::TooMany("regions"));
        }
        if self.countries.len() > COUNTRIES_MAX {
            return Err(BadPack::TooMany("countries"));
        }
        let alone = self.countries.is_empty() && !self.regions.is_empty();
        if alone { Err(BadPack::RegionsAlone) } else { Ok(()) }
    }

    /// A place that is not known may be any.
    fn fits(&self, role: SenderRole, home: Residence) -> bool {
        let in_country = match home.country {
            _ if self.countries.is_empty() => true,
            None => true,
            Some(country) => self.countries.contains(country),
        };
        let in_region = match home.region {
            _ if self.regions.is_empty() => true,
            None => true,
            Some(region) => self.regions.iter().any(|own| same_word(own, region)),
        };
        self.sender_role.is_none_or(|own| own == role) && in_country && in_region
    }
}

impl Footer {
    /// `number` from 1: which reminder of this contact and creditor it is.
    pub fn is_due(self, number: u32) -> bool {
        match self {
            Footer::Always => true,
            Footer::FirstAndEvery(n) => number <= 1 || number.is_multiple_of(u32::from(n)),
        }
    }
}

impl TryFrom<String> for Footer {
    type Error = BadPack;

    fn try_from(text: String) -> Result<Footer, BadPack> {
        if text == "always" {
            return Ok(Footer::Always);
        }
        let n = text.strip_prefix("first and every ").and_then(|n| n.parse().ok());
        n.filter(|n| (2..=99).contains(n)).map(Footer::FirstAndEvery).ok_or(BadPack::Footer)
    }
}

impl From<Footer> for String {
    fn from(footer: Footer) -> String {
        match footer {
            Footer::Always => String::from("always"),
            Footer::FirstAndEvery(n) => format!("first and every {n}"),
        }
    }
}

impl Until {
    pub const fn hours(self) -> WeekHours {
        WeekHours::daily(self.0)
    }
}

impl TryFrom<String> for Until {
    type Error = BadPack;

    fn try_from(text: String) -> Result<Until, BadPack> {
        let hours = parse_time(&text).and_then(|to| DayHours::new(Time::MIN, to));
        hours.map(Until).map_err(|_| BadPack::Until)
    }
}

impl From<Until> for String {
    fn from(until: Until) -> String {
        show_time(until.0.to())
    }
}

impl Days {
    pub const fn get(self) -> u16 {
        self.0
    }

    pub fn as_duration(self) -> std::time::Duration {
        std::time::Duration::from_secs(u64::from(self.0) * 24 * 60 * 60)
    }
}

impl TryFrom<String> for Days {
    type Error = BadPack;

    fn try_from(text: String) -> Result<Days, BadPack> {
        let digits = text.strip_suffix('d').filter(|n| n.len() <= 4 && n.bytes().all(|b| b.is_ascii_digit()));
        digits.and_then(|n| n.parse().ok()).map(Days).ok_or(BadPack::Days)
    }
}

impl From<Days> for String {
    fn from(days: Days) -> String {
        format!("{}d", days.0)
    }
}

fn same_word(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

fn check_line(name: &'static str, text: &str, max: usize) -> Result<(), BadPack> {
    let fits = (1..=max).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(BadPack::Line(name)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped(key: &str) -> Pack {
        Pack::shipped().unwrap().into_iter().find(|pack| pack.key.as_str() == key).unwrap()
    }

    fn applies(key: &str, role: SenderRole, country: &str, region: Option<&str>) -> bool {
        let country = Country::parse(country).unwrap();
        shipped(key).applies_to(role, Residence { country: Some(&country), region })
    }

    #[test]
    fn the_shipped_packs_are_all_there_and_sound() {
        let packs = Pack::shipped().unwrap();
        let keys: Vec<&str> = packs.iter().map(|pack| pack.key.as_str()).collect();
        let all = [
            "base",
            "us-first-party",
            "us-fdcpa",
            "us-ma",
            "us-wa",
            "us-fl",
            "uk-conc",
            "de",
            "de-inkasso",
            "it",
            "eu",
        ];
        assert_eq!(keys, all);
        for pack in &packs {
            assert_eq!(pack.check(), Ok(()), "{}", pack.key);
        }
    }

    #[test]
    fn packs_find_those_whom_they_bind() {
        use SenderRole::{FirstParty, ThirdParty};
        assert!(applies("base", FirstParty, "VN", None));
        assert!(applies("us-first-party", FirstParty, "US", Some("NY")));
        assert!(!applies("us-first-party", ThirdParty, "US", Some("NY")));
        assert!(applies("us-fdcpa", ThirdParty, "US", None) && !applies("us-fdcpa", ThirdParty, "CA", None));
        assert!(applies("us-ma", FirstParty, "US", Some(" massachusetts")), "creditors too");
        assert!(!applies("us-ma", FirstParty, "US", Some("NY")));
        assert!(!applies("us-wa", FirstParty, "US", Some("WA")), "collection agencies only");
        assert!(
            applies("de-inkasso", ThirdParty, "DE", None) && !applies("de-inkasso", FirstParty, "DE", None)
        );
        assert!(applies("eu", FirstParty, "IT", None) && applies("it", FirstParty, "IT", None));
    }

    #[test]
    fn a_place_that_is_not_known_may_be_any() {
        assert!(applies("us-ma", SenderRole::FirstParty, "US", None));
        assert!(!applies("us-ma", SenderRole::FirstParty, "DE", None));
        let nowhere = Residence::default();
        assert!(
            shipped("us-ma").applies_to(SenderRole::FirstParty, nowhere),
            "a number of which nothing is known"
        );
        assert!(!shipped("us-wa").applies_to(SenderRole::FirstParty, nowhere));
    }

    #[test]
    fn a_pack_that_only_creditors_name_applies_to_nobody_by_itself() {
        let pack = Pack { applies: None, ..shipped("base") };
        assert!(!pack.applies_to(SenderRole::FirstParty, Residence::default()));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let base = shipped("base");
        let regions = Applies { regions: vec!["MA".to_owned()], ..Applies::default() };
        for (bad, why) in [
            (Pack { title: String::new(), ..base.clone() }, BadPack::Line("title")),
            (Pack { source: "a\nb".to_owned(), ..base.clone() }, BadPack::Line("source")),
            (Pack { duties: vec![Duty::OwnLanguage; 65], ..base.clone() }, BadPack::TooMany("duties")),
            (Pack { applies: Some(regions), ..base.clone() }, BadPack::RegionsAlone),
            (Pack { applies: None, ..base.clone() }, BadPack::Base),
            (Pack { hours: None, ..base.clone() }, BadPack::Base),
        ] {
            assert_eq!(bad.check(), Err(why));
        }
        assert!(toml::from_str::<Pack>("key = 'a'\ntitle = 'a'\nsource = 'a'\nhour = 1").is_err());
    }

    #[test]
    fn footers_and_times_read_back_what_they_show() {
        for text in ["always", "first and every 3"] {
            assert_eq!(String::from(Footer::try_from(text.to_owned()).unwrap()), text);
        }
        for bad in ["", "first and every 1", "first and every 100", "every 3", "first and every -3"] {
            assert_eq!(Footer::try_from(bad.to_owned()), Err(BadPack::Footer), "{bad}");
        }
        assert_eq!(String::from(Until::try_from("21:00".to_owned()).unwrap()), "21:00");
        assert_eq!(Until::try_from("00:00".to_owned()), Err(BadPack::Until));
        assert_eq!(String::from(Days::try_from("60d".to_owned()).unwrap()), "60d");
        for bad in ["", "60", "-1d", "10000d", "2 d"] {
            assert_eq!(Days::try_from(bad.to_owned()), Err(BadPack::Days), "{bad}");
        }
    }

    #[test]
    fn the_first_and_every_third_reminder_say_how_to_opt_out() {
        let third = Footer::FirstAndEvery(3);
        let due: Vec<u32> = (1..=9).filter(|&number| third.is_due(number)).collect();
        assert_eq!(due, [1, 3, 6, 9]);
        assert!((1..=9).all(|number| Footer::Always.is_due(number)));
    }

    #[test]
    fn one_form_serves_files_the_outside_and_the_store() {
        for pack in Pack::shipped().unwrap() {
            let stored = postcard::to_stdvec(&pack).unwrap();
            assert_eq!(postcard::from_bytes::<Pack>(&stored).unwrap(), pack);
            let json = serde_json::to_string(&pack).unwrap();
            assert_eq!(serde_json::from_str::<Pack>(&json).unwrap(), pack);
            let toml = toml::to_string(&pack).unwrap();
            assert_eq!(toml::from_str::<Pack>(&toml).unwrap(), pack);
        }
    }
}
