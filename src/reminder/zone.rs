//! Where somebody may be: a set of IANA time zones, and how it was found.
//!
//! Most numbers carry no place, so a contact has a set of zones and what is lawful must be lawful in all of them
//! ([`super::hours`]). A set is never empty, sorted and without doubles. The rules come from the tz database that
//! is built in: the same plan on every machine, and new rules with a new release. The tables are in
//! `zone/countries.rs`, `zone/nanp.rs` and `zone/places.rs`; settlements of under 5,000 people with a zone of
//! their own (Lord Howe, Eucla, Adak, Noronha, Chatham) are left out of sets, because each would cost a whole
//! country an hour or more: such a contact needs its explicit zone.
//! When a message may go is left to `hours`, when a step is due to `schedule`.

mod countries;
mod nanp;
mod places;

use std::fmt;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Serialize};

use super::name::Country;
use crate::clock::Timestamp;
use crate::message::Msisdn;

/// More than the zones of any country; a longer list is a slip.
const ZONES_MAX: usize = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadZone {
    #[error("must be a zone of the IANA time zone database, as Europe/Berlin")]
    Unknown,
    #[error("must hold 1 to 24 zones")]
    Count,
}

/// One zone of the tz database. Cheap to clone: the rules are parsed once a process.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(TimeZone);

/// 1 to 24 zones, sorted by name, each once; outside and in the store a list of names.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "Vec<Zone>", into = "Vec<Zone>")]
pub struct ZoneSet(Box<[Zone]>);

/// How a set was found, best first; for the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZoneBasis {
    /// The contact's record names it.
    Explicit,
    /// By postcode or region.
    Address,
    /// Postcode or region and area code lie in different zones: all of them (Reg F, comment 6(b)(1)(i)).
    AddressAndAreaCode,
    /// The country has one zone.
    Country,
    /// By the geographic beginning of the number.
    AreaCode,
    /// All zones of the country.
    CountrySet,
    /// Nothing is known of the place: the creditor's or firm's own zone.
    Home,
}

/// What is known of where a number's owner is.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub zone: Option<&'a Zone>,
    pub country: Option<&'a Country>,
    /// Code of the state or province, as `NY`, `US-NY` or `ON`; another text is as good as none.
    pub region: Option<&'a str>,
    pub postcode: Option<&'a str>,
    pub number: Msisdn,
    /// The creditor's zone, else the firm's.
    pub home: &'a Zone,
}

/// The zones of a place and how they were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derived {
    pub zones: ZoneSet,
    pub basis: ZoneBasis,
}

/// Explicit zone, then postcode or region, country with one zone, area code, country's set, home.
///
/// Where an address in the US or Canada and the number's area code share no zone, both count. An unknown
/// area code of a number of which no country is known is the lower 48 states and Canada.
pub fn derive(place: &Place) -> Derived {
    if let Some(zone) = place.zone {
        return Derived { zones: ZoneSet::one(zone.clone()), basis: ZoneBasis::Explicit };
    }
    let found =
        find(place).and_then(|(names, basis)| Some(Derived { zones: ZoneSet::named(&names)?, basis }));
    found.unwrap_or_else(|| Derived { zones: ZoneSet::one(place.home.clone()), basis: ZoneBasis::Home })
}

/// The country of a number by its calling code and, in the NANP, its area code; `None` where several share it.
pub fn country_of(number: Msisdn) -> Option<Country> {
    Country::parse(country_code(number)?).ok()
}

fn country_code(number: Msisdn) -> Option<&'static str> {
    match area_code(number) {
        Some(npa) => nanp::area(npa).map(|area| area.country),
        None => countries::by_calling_code(&number.digits()),
    }
}

/// The three digits after +1.
fn area_code(number: Msisdn) -> Option<u16> {
    let digits = number.digits();
    if digits.len() == 11 && digits.starts_with('1') { digits[1..4].parse().ok() } else { None }
}

type Names = Vec<&'static str>;

fn find(place: &Place) -> Option<(Names, ZoneBasis)> {
    let country = place.country.map(Country::as_str).or_else(|| country_code(place.number));
    let npa = area_code(place.number);
    if let Some(address) = places::zones(country, npa.is_some(), place.region, place.postcode) {
        return Some(with_area_code(address, country, npa));
    }
    if let Some(zone) = country.and_then(countries::single) {
        return Some((vec![zone], ZoneBasis::Country));
    }
    if let Some(zones) = by_number(place.number, country) {
        return Some((zones.to_vec(), ZoneBasis::AreaCode));
    }
    let set = country.and_then(countries::set).or_else(|| npa.map(|_| nanp::LOWER_48_AND_CANADA));
    set.map(|zones| (zones.to_vec(), ZoneBasis::CountrySet))
}

fn with_area_code(address: Names, country: Option<&str>, npa: Option<u16>) -> (Names, ZoneBasis) {
    let nanp = matches!(country, None | Some("US" | "CA"));
    let area = npa.filter(|_| nanp).and_then(nanp::area).map_or(&[][..], |area| area.zones);
    let agrees = area.is_empty() || area.iter().any(|zone| address.contains(zone));
    if agrees {
        return (address, ZoneBasis::Address);
    }
    ([&address[..], area].concat(), ZoneBasis::AddressAndAreaCode)
}

/// The geographic zones of a number, where it is one of the contact's country (or its neighbour in the NANP).
fn by_number(number: Msisdn, country: Option<&str>) -> Option<&'static [&'static str]> {
    if let Some(npa) = area_code(number) {
        let zones = nanp::area(npa).map(|area| area.zones);
        return zones.filter(|_| matches!(country, None | Some("US" | "CA")));
    }
    let same = countries::by_calling_code(&number.digits()) == country;
    places::by_prefix(&number.digits()).filter(|_| same)
}

impl Zone {
    pub const fn utc() -> Zone {
        Zone(TimeZone::UTC)
    }

    /// A name of the tz database in any case, links included.
    ///
    /// # Errors
    /// [`BadZone::Unknown`]
    pub fn parse(name: &str) -> Result<Zone, BadZone> {
        let zone = TimeZoneDatabase::bundled().get(name).map_err(|_| BadZone::Unknown)?;
        if zone.iana_name().is_some() { Ok(Zone(zone)) } else { Err(BadZone::Unknown) }
    }

    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    pub const fn rules(&self) -> &TimeZone {
        &self.0
    }

    /// What clock and calendar show there.
    pub fn local(&self, at: Timestamp) -> jiff::civil::DateTime {
        self.0.to_datetime(to_jiff(at))
    }

    /// The first instant of a local day; where midnight is skipped, the one after the gap.
    pub fn begin_of(&self, date: jiff::civil::Date) -> Timestamp {
        let begins = date.to_zoned(self.0.clone()).and_then(|midnight| midnight.start_of_day());
        // Beyond the last day there is no other.
        begins.map_or(Timestamp::MAX, |begins| from_jiff(begins.timestamp()))
    }
}

impl ZoneSet {
    /// # Errors
    /// [`BadZone::Count`]
    pub fn new(zones: impl IntoIterator<Item = Zone>) -> Result<ZoneSet, BadZone> {
        let mut zones: Vec<Zone> = zones.into_iter().collect();
        zones.sort();
        zones.dedup();
        let fits = (1..=ZONES_MAX).contains(&zones.len());
        if fits { Ok(ZoneSet(zones.into())) } else { Err(BadZone::Count) }
    }

    pub fn one(zone: Zone) -> ZoneSet {
        ZoneSet(Box::new([zone]))
    }

    pub fn zones(&self) -> &[Zone] {
        &self.0
    }

    /// Names of the tables, which all exist (a test holds it).
    fn named(names: &[&str]) -> Option<ZoneSet> {
        ZoneSet::new(names.iter().filter_map(|name| Zone::parse(name).ok())).ok()
    }
}

/// Instants after jiff's last one (a day before ours) are that one.
pub(super) fn to_jiff(at: Timestamp) -> jiff::Timestamp {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX)
}

/// Rounded down to the millisecond; instants before 1970 are 1970.
pub(super) fn from_jiff(at: jiff::Timestamp) -> Timestamp {
    Timestamp::from_millis(u64::try_from(at.as_millisecond()).unwrap_or(0))
}

impl TryFrom<String> for Zone {
    type Error = BadZone;

    fn try_from(name: String) -> Result<Zone, BadZone> {
        Zone::parse(&name)
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> String {
        zone.name().to_owned()
    }
}

impl TryFrom<Vec<Zone>> for ZoneSet {
    type Error = BadZone;

    fn try_from(zones: Vec<Zone>) -> Result<ZoneSet, BadZone> {
        ZoneSet::new(zones)
    }
}

impl From<ZoneSet> for Vec<Zone> {
    fn from(set: ZoneSet) -> Vec<Zone> {
        set.0.into_vec()
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Zone) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl PartialOrd for Zone {
    fn partial_cmp(&self, other: &Zone) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Zone {
    fn cmp(&self, other: &Zone) -> std::cmp::Ordering {
        self.name().cmp(other.name())
    }
}

impl std::hash::Hash for Zone {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for ZoneSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, zone) in self.0.iter().enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { ", " }, zone.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(country: &str, region: &str, postcode: &str, number: &str) -> (String, ZoneBasis) {
        let country = Country::parse(country).ok();
        let some = |text| Some(text).filter(|text: &&str| !text.is_empty());
        let derived = derive(&Place {
            zone: None,
            country: country.as_ref(),
            region: some(region),
            postcode: some(postcode),
            number: Msisdn::parse_e164(number).unwrap(),
            home: &Zone::parse("Europe/Vienna").unwrap(),
        });
        (derived.zones.to_string(), derived.basis)
    }

    #[test]
    fn every_zone_of_every_table_exists() {
        let names = countries::all().chain(nanp::all()).chain(places::all());
        let mut count = 0;
        for name in names {
            assert!(Zone::parse(name).is_ok(), "{name}");
            count += 1;
        }
        assert!(count > 400, "the tables are read");
    }

    #[test]
    fn an_explicit_zone_wins_over_everything() {
        let zone = Zone::parse("asia/tokyo").unwrap();
        let derived = derive(&Place {
            zone: Some(&zone),
            country: Some(&Country::parse("US").unwrap()),
            region: Some("NY"),
            postcode: Some("10001"),
            number: Msisdn::parse_e164("+12125550123").unwrap(),
            home: &Zone::parse("Europe/Vienna").unwrap(),
        });
        assert_eq!((derived.zones.to_string(), derived.basis), ("Asia/Tokyo".into(), ZoneBasis::Explicit));
    }

    #[test]
    fn an_address_is_better_than_an_area_code() {
        let set = ("America/Chicago, America/New_York".to_owned(), ZoneBasis::Address);
        assert_eq!(found("US", "FL", "", "+18505550123"), set, "a state of two zones is both");
        let miami = ("America/New_York".to_owned(), ZoneBasis::Address);
        assert_eq!(
            found("US", "FL", "33101-1234", "+18505550123"),
            miami,
            "a postcode is finer than a state"
        );
        assert_eq!(found("", "US-FL", "33101", "+18505550123"), miami, "the number says which country");
        assert_eq!(found("AU", "", "2000", "+61412345678"), ("Australia/Sydney".into(), ZoneBasis::Address));
        assert_eq!(found("ES", "", "35001", "+34612345678"), ("Atlantic/Canary".into(), ZoneBasis::Address));
        assert_eq!(
            found("CA", "", "v6b 1a1", "+16045550123"),
            ("America/Vancouver".into(), ZoneBasis::Address)
        );
        assert_eq!(
            found("RU", "", "236000", "+79112345678"),
            ("Europe/Kaliningrad".into(), ZoneBasis::Address)
        );
        assert_eq!(found("MX", "ROO", "", "+525512345678"), ("America/Cancun".into(), ZoneBasis::Address));
        assert_eq!(found("BR", "AM", "", "+5592912345678"), {
            ("America/Manaus, America/Rio_Branco".into(), ZoneBasis::Address)
        });
    }

    #[test]
    fn an_address_that_contradicts_the_area_code_counts_with_it() {
        let both = ("America/Los_Angeles, America/New_York".to_owned(), ZoneBasis::AddressAndAreaCode);
        assert_eq!(found("US", "", "90001", "+12125550123"), both);
        assert_eq!(found("US", "CA", "", "+12125550123"), both);
        let zones = "America/Chicago, America/Denver, America/Los_Angeles".to_owned();
        let region = found("US", "TX", "90001", "+12135550123");
        assert_eq!(region, (zones, ZoneBasis::Address), "a postcode that lies in another state");
    }

    #[test]
    fn a_country_of_one_zone_needs_no_more() {
        assert_eq!(found("DE", "", "", "+12125550123"), ("Europe/Berlin".into(), ZoneBasis::Country));
        assert_eq!(found("", "", "", "+4915112345678"), ("Europe/Berlin".into(), ZoneBasis::Country));
        assert_eq!(found("", "", "", "+77012345678"), ("Asia/Almaty".into(), ZoneBasis::Country));
        assert_eq!(found("", "", "", "+18765550123"), ("America/Jamaica".into(), ZoneBasis::Country));
    }

    #[test]
    fn an_area_code_narrows_a_country_of_many_zones() {
        assert_eq!(found("US", "", "", "+12125550123"), ("America/New_York".into(), ZoneBasis::AreaCode));
        assert_eq!(found("", "", "", "+19155550123"), ("America/Denver".into(), ZoneBasis::AreaCode));
        assert_eq!(found("", "", "", "+5568912345678"), ("America/Rio_Branco".into(), ZoneBasis::AreaCode));
        assert_eq!(found("", "", "", "+61731234567"), ("Australia/Brisbane".into(), ZoneBasis::AreaCode));
        let foreign = found("AU", "", "", "+12125550123");
        assert_eq!(foreign.1, ZoneBasis::CountrySet, "another country's area code says nothing");
    }

    #[test]
    fn a_number_without_a_place_is_the_whole_country() {
        let (zones, basis) = found("", "", "", "+61412345678");
        assert_eq!((zones.split(", ").count(), basis), (7, ZoneBasis::CountrySet));
        let (zones, basis) = found("", "", "", "+18005550123");
        assert_eq!(basis, ZoneBasis::CountrySet);
        assert!(zones.contains("America/Los_Angeles") && zones.contains("America/St_Johns"));
        assert!(!zones.contains("Honolulu"));
        assert!(found("US", "", "", "+18005550123").0.contains("Pacific/Honolulu"));
        assert!(found("US", "", "", "+4915112345678").0.contains("America/Anchorage"));
    }

    #[test]
    fn what_has_no_country_is_at_home() {
        assert_eq!(found("", "", "", "+88212345678"), ("Europe/Vienna".into(), ZoneBasis::Home));
    }

    #[test]
    fn a_set_is_kept_as_sorted_names() {
        let set: ZoneSet =
            serde_json::from_str(r#"["europe/berlin", "America/New_York", "Europe/Berlin"]"#).unwrap();
        assert_eq!(serde_json::to_string(&set).unwrap(), r#"["America/New_York","Europe/Berlin"]"#);
        let stored = postcard::to_stdvec(&set).unwrap();
        assert_eq!(postcard::from_bytes::<ZoneSet>(&stored).unwrap(), set);
        for bad in [r#"[]"#, r#"["Europe/Atlantis"]"#, r#"["Etc/Unknown"]"#] {
            assert!(serde_json::from_str::<ZoneSet>(bad).is_err(), "{bad}");
        }
    }
}
