//! Zones by postcode, by region and by the beginning of a number, in countries of several zones. Data only.
//!
//! US postcodes are three-digit prefixes (USPS sectional centres), Canadian ones letters and districts, the others
//! leading digits. A row with two zones lies across their border. What the tables do not know is `None`, and the
//! caller goes on to the next source.

const ET: &str = "America/New_York";
const CT: &str = "America/Chicago";
const MT: &str = "America/Denver";
const AZ: &str = "America/Phoenix";
const PT: &str = "America/Los_Angeles";

type Zones = &'static [&'static str];

/// Of an address; where postcode and region contradict each other (no zone in common), those of both.
///
/// Without a country, an address of a number in the NANP is looked for in the US and Canada.
pub fn zones(
    country: Option<&str>,
    nanp: bool,
    region: Option<&str>,
    postcode: Option<&str>,
) -> Option<Vec<&'static str>> {
    let tried: &[&str] = match country {
        Some(ref country) => std::slice::from_ref(country),
        None if nanp => &["US", "CA"],
        None => &[],
    };
    let first = |find: &dyn Fn(&str) -> Option<Zones>| tried.iter().find_map(|country| find(country));
    let by_postcode = postcode.and_then(|code| first(&|country| of_postcode(country, code)));
    let by_region = region.and_then(|code| first(&|country| of_region(country, code)));
    match (by_postcode, by_region) {
        (Some(a), Some(b)) if !a.iter().any(|zone| b.contains(zone)) => Some([a, b].concat()),
        (Some(zones), _) | (None, Some(zones)) => Some(zones.to_vec()),
        (None, None) => None,
    }
}

/// Of a number's digits, calling code first, outside the NANP: the longest prefix that is known.
pub fn by_prefix(digits: &str) -> Option<Zones> {
    longest(PREFIXES, digits)
}

#[cfg(test)]
pub fn all() -> impl Iterator<Item = &'static str> {
    let regions =
        [US_STATES, CA_PROVINCES, AU_STATES, BR_STATES, MX_STATES, CL_REGIONS, ES_REGIONS, PT_REGIONS];
    let keyed = [PREFIXES, CA_POSTCODES, AU_POSTCODES];
    let ranges = [US_POSTCODES, BR_POSTCODES, MX_POSTCODES, RU_POSTCODES, ES_POSTCODES, PT_POSTCODES];
    let of_region = regions.into_iter().flatten().flat_map(|(_, zones)| zones.iter());
    let of_key = keyed.into_iter().flatten().flat_map(|(_, zones)| zones.iter());
    let of_range = ranges.into_iter().flatten().flat_map(|(_, _, zones)| zones.iter());
    of_region.chain(of_key).chain(of_range).copied()
}

fn of_region(country: &str, region: &str) -> Option<Zones> {
    let code = region.trim().to_ascii_uppercase();
    let code = code.strip_prefix(country).and_then(|rest| rest.strip_prefix('-')).unwrap_or(&code);
    let table = match country {
        "US" => US_STATES,
        "CA" => CA_PROVINCES,
        "AU" => AU_STATES,
        "BR" => BR_STATES,
        "MX" => MX_STATES,
        "CL" => CL_REGIONS,
        "ES" => ES_REGIONS,
        "PT" => PT_REGIONS,
        _ => return None,
    };
    table.iter().find(|(codes, _)| codes.split(' ').any(|known| known == code)).map(|(_, zones)| *zones)
}

fn of_postcode(country: &str, postcode: &str) -> Option<Zones> {
    let code: String = postcode.chars().filter(char::is_ascii_alphanumeric).collect();
    match country {
        "CA" => longest(CA_POSTCODES, &code.to_ascii_uppercase()).filter(|_| !code.starts_with(is_digit)),
        "AU" if code.len() == 4 => longest(AU_POSTCODES, &code),
        "US" if matches!(code.len(), 5 | 9) => ranged(US_POSTCODES, &code, 3),
        "BR" if code.len() == 8 => ranged(BR_POSTCODES, &code, 3),
        "MX" if code.len() == 5 => ranged(MX_POSTCODES, &code, 2),
        "RU" if code.len() == 6 => ranged(RU_POSTCODES, &code, 3),
        "ES" if code.len() == 5 => ranged(ES_POSTCODES, &code, 2),
        "PT" if matches!(code.len(), 4 | 7) => ranged(PT_POSTCODES, &code, 3),
        _ => None,
    }
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

fn longest(table: &'static [(&'static str, Zones)], text: &str) -> Option<Zones> {
    let matching = table.iter().filter(|(prefix, _)| text.starts_with(prefix));
    matching.max_by_key(|(prefix, _)| prefix.len()).map(|(_, zones)| *zones)
}

/// The narrowest row that holds the first `digits` digits.
fn ranged(table: &'static [(u16, u16, Zones)], code: &str, digits: usize) -> Option<Zones> {
    let prefix: u16 = code.get(..digits)?.parse().ok()?;
    let matching = table.iter().filter(|(from, to, _)| (*from..=*to).contains(&prefix));
    matching.min_by_key(|(from, to, _)| to - from).map(|(_, _, zones)| *zones)
}

const US_STATES: &[(&str, Zones)] = &[
    ("CT DC DE GA MA MD ME NC NH NJ NY OH PA RI SC VA VT WV", &[ET]),
    ("FL IN KY MI TN", &[ET, CT]),
    ("AL AR IA IL LA MN MO MS OK WI", &[CT]),
    ("KS ND NE SD TX", &[CT, MT]),
    ("CO MT NM UT WY", &[MT]),
    ("AZ", &[AZ, MT]),
    ("ID NV OR", &[MT, PT]),
    ("CA WA", &[PT]),
    ("AK", &["America/Anchorage"]),
    ("HI", &["Pacific/Honolulu"]),
    ("PR VI", &["America/Puerto_Rico"]),
    ("GU MP", &["Pacific/Guam"]),
    ("AS", &["Pacific/Pago_Pago"]),
];

/// 090-098, 340 and 962-966 are the forces' post: anywhere.
const US_POSTCODES: &[(u16, u16, Zones)] = &[
    (5, 5, &[ET]),
    (6, 9, &["America/Puerto_Rico"]),
    (10, 89, &[ET]),
    (100, 339, &[ET]),
    (324, 325, &[ET, CT]),
    (341, 349, &[ET]),
    (350, 369, &[CT]),
    (370, 372, &[CT]),
    (373, 373, &[ET, CT]),
    (374, 376, &[ET]),
    (377, 378, &[ET, CT]),
    (379, 379, &[ET]),
    (380, 397, &[CT]),
    (398, 399, &[ET]),
    (400, 418, &[ET]),
    (401, 401, &[ET, CT]),
    (420, 424, &[CT]),
    (425, 427, &[ET, CT]),
    (430, 462, &[ET]),
    (463, 464, &[CT]),
    (465, 465, &[ET, CT]),
    (466, 474, &[ET]),
    (475, 475, &[ET, CT]),
    (476, 477, &[CT]),
    (478, 478, &[ET]),
    (479, 479, &[ET, CT]),
    (480, 497, &[ET]),
    (498, 499, &[ET, CT]),
    (500, 567, &[CT]),
    (570, 574, &[CT]),
    (575, 576, &[CT, MT]),
    (577, 577, &[MT]),
    (580, 584, &[CT]),
    (585, 588, &[CT, MT]),
    (590, 599, &[MT]),
    (600, 676, &[CT]),
    (677, 678, &[CT, MT]),
    (679, 689, &[CT]),
    (690, 692, &[CT, MT]),
    (693, 693, &[MT]),
    (700, 797, &[CT]),
    (798, 798, &[CT, MT]),
    (799, 831, &[MT]),
    (832, 834, &[MT]),
    (835, 835, &[MT, PT]),
    (836, 837, &[MT]),
    (838, 838, &[PT]),
    (840, 847, &[MT]),
    (850, 859, &[AZ]),
    (860, 860, &[AZ, MT]),
    (863, 864, &[AZ]),
    (865, 865, &[AZ, MT]),
    (870, 884, &[MT]),
    (885, 885, &[MT]),
    (889, 897, &[PT]),
    (898, 898, &[MT, PT]),
    (900, 961, &[PT]),
    (967, 968, &["Pacific/Honolulu"]),
    (969, 969, &["Pacific/Guam", "Pacific/Palau", "Pacific/Majuro", "Pacific/Chuuk"]),
    (970, 978, &[PT]),
    (979, 979, &[MT, PT]),
    (980, 994, &[PT]),
    (995, 999, &["America/Anchorage"]),
];

const CA_PROVINCES: &[(&str, Zones)] = &[
    ("AB", &["America/Edmonton"]),
    ("BC", &["America/Edmonton", "America/Vancouver"]),
    ("MB", &["America/Winnipeg"]),
    ("NB NS PE", &["America/Halifax"]),
    ("NL", &["America/Halifax", "America/St_Johns"]),
    ("NT", &["America/Edmonton"]),
    ("NU", &["America/Edmonton", "America/Winnipeg", "America/Toronto"]),
    ("ON", &["America/Toronto", "America/Winnipeg"]),
    ("QC", &["America/Halifax", "America/Toronto"]),
    ("SK", &["America/Edmonton", "America/Regina"]),
    ("YT", &["America/Whitehorse"]),
];

const CA_POSTCODES: &[(&str, Zones)] = &[
    ("A", &["America/St_Johns"]),
    ("A0", &["America/Halifax", "America/St_Johns"]),
    ("A2V", &["America/Halifax"]),
    ("B", &["America/Halifax"]),
    ("C", &["America/Halifax"]),
    ("E", &["America/Halifax"]),
    ("G", &["America/Toronto"]),
    ("G0G", &["America/Halifax", "America/Toronto"]),
    ("G4T", &["America/Halifax"]),
    ("H", &["America/Toronto"]),
    ("J", &["America/Toronto"]),
    ("K", &["America/Toronto"]),
    ("L", &["America/Toronto"]),
    ("M", &["America/Toronto"]),
    ("N", &["America/Toronto"]),
    ("P", &["America/Toronto"]),
    ("P0", &["America/Toronto", "America/Winnipeg"]),
    ("P8", &["America/Toronto", "America/Winnipeg"]),
    ("P9", &["America/Winnipeg"]),
    ("R", &["America/Winnipeg"]),
    ("S", &["America/Regina"]),
    ("S0", &["America/Edmonton", "America/Regina"]),
    ("S9V", &["America/Edmonton"]),
    ("T", &["America/Edmonton"]),
    ("V", &["America/Vancouver"]),
    ("V0", &["America/Edmonton", "America/Vancouver"]),
    ("V1C", &["America/Edmonton", "America/Vancouver"]),
    ("V1G", &["America/Edmonton", "America/Vancouver"]),
    ("V1J", &["America/Edmonton", "America/Vancouver"]),
    ("X0A", &["America/Toronto"]),
    ("X0B", &["America/Edmonton"]),
    ("X0C", &["America/Toronto", "America/Winnipeg"]),
    ("X0", &["America/Edmonton", "America/Winnipeg", "America/Toronto"]),
    ("X1", &["America/Edmonton"]),
    ("Y", &["America/Whitehorse"]),
];

const AU_STATES: &[(&str, Zones)] = &[
    ("ACT", &["Australia/Sydney"]),
    ("NSW", &["Australia/Broken_Hill", "Australia/Sydney"]),
    ("NT", &["Australia/Darwin"]),
    ("QLD", &["Australia/Brisbane"]),
    ("SA", &["Australia/Adelaide"]),
    ("TAS", &["Australia/Hobart"]),
    ("VIC", &["Australia/Melbourne"]),
    ("WA", &["Australia/Perth"]),
];

const AU_POSTCODES: &[(&str, Zones)] = &[
    ("02", &["Australia/Sydney"]),
    ("08", &["Australia/Darwin"]),
    ("09", &["Australia/Darwin"]),
    ("1", &["Australia/Sydney"]),
    ("2", &["Australia/Sydney"]),
    ("2880", &["Australia/Broken_Hill"]),
    ("2898", &["Australia/Lord_Howe"]),
    ("3", &["Australia/Melbourne"]),
    ("4", &["Australia/Brisbane"]),
    ("5", &["Australia/Adelaide"]),
    ("6", &["Australia/Perth"]),
    ("6443", &["Australia/Eucla", "Australia/Perth"]),
    ("7", &["Australia/Hobart"]),
    ("8", &["Australia/Melbourne"]),
    ("9", &["Australia/Brisbane"]),
];

const BR_STATES: &[(&str, Zones)] = &[
    ("AC", &["America/Rio_Branco"]),
    ("AM", &["America/Manaus", "America/Rio_Branco"]),
    ("MS MT RO RR", &["America/Manaus"]),
    ("AL AP BA CE DF ES GO MA MG PA PB PE PI PR RJ RN RS SC SE SP TO", &["America/Sao_Paulo"]),
];

const BR_POSTCODES: &[(u16, u16, Zones)] = &[
    (10, 689, &["America/Sao_Paulo"]),
    (690, 698, &["America/Manaus", "America/Rio_Branco"]),
    (693, 693, &["America/Manaus"]),
    (699, 699, &["America/Rio_Branco"]),
    (700, 767, &["America/Sao_Paulo"]),
    (768, 769, &["America/Manaus"]),
    (770, 779, &["America/Sao_Paulo"]),
    (780, 799, &["America/Manaus"]),
    (800, 999, &["America/Sao_Paulo"]),
];

const MX_STATES: &[(&str, Zones)] = &[
    ("BCN", &["America/Tijuana"]),
    ("BCS SIN", &["America/Mazatlan"]),
    ("SON", &["America/Hermosillo"]),
    ("NAY", &["America/Mazatlan", "America/Mexico_City"]),
    ("CHH", &["America/Mexico_City", "America/Ciudad_Juarez", "America/Ojinaga"]),
    ("COA NLE TAM", &["America/Mexico_City", "America/Matamoros"]),
    ("ROO", &["America/Cancun"]),
    (
        "AGU CAM CHP CMX COL DUR GRO GUA HID JAL MEX MIC MOR OAX PUE QUE SLP TAB TLA VER YUC ZAC",
        &["America/Mexico_City"],
    ),
];

const MX_POSTCODES: &[(u16, u16, Zones)] = &[
    (0, 99, &["America/Mexico_City"]),
    (21, 22, &["America/Tijuana"]),
    (23, 23, &["America/Mazatlan"]),
    (25, 27, &["America/Mexico_City", "America/Matamoros"]),
    (31, 33, &["America/Mexico_City", "America/Ciudad_Juarez", "America/Ojinaga"]),
    (63, 63, &["America/Mazatlan", "America/Mexico_City"]),
    (64, 67, &["America/Mexico_City", "America/Matamoros"]),
    (77, 77, &["America/Cancun"]),
    (80, 82, &["America/Mazatlan"]),
    (83, 85, &["America/Hermosillo"]),
    (87, 89, &["America/Mexico_City", "America/Matamoros"]),
];

const CL_REGIONS: &[(&str, Zones)] = &[
    ("AI", &["America/Coyhaique"]),
    ("MA", &["America/Punta_Arenas"]),
    ("VS", &["America/Santiago", "Pacific/Easter"]),
    ("AN AP AR AT BI CO LI LL LR ML NB RM TA", &["America/Santiago"]),
];

const ES_REGIONS: &[(&str, Zones)] = &[
    ("CN GC TF", &["Atlantic/Canary"]),
    ("AN AR AS CB CE CL CM CT EX GA IB MC MD ML NC PV RI VC", &["Europe/Madrid"]),
];

const ES_POSTCODES: &[(u16, u16, Zones)] =
    &[(1, 52, &["Europe/Madrid"]), (35, 35, &["Atlantic/Canary"]), (38, 38, &["Atlantic/Canary"])];

const PT_REGIONS: &[(&str, Zones)] = &[
    ("20", &["Atlantic/Azores"]),
    ("01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 30", &["Europe/Lisbon"]),
];

const PT_POSTCODES: &[(u16, u16, Zones)] =
    &[(100, 949, &["Europe/Lisbon"]), (950, 999, &["Atlantic/Azores"])];

const RU_POSTCODES: &[(u16, u16, Zones)] = &[
    (101, 409, &["Europe/Moscow"]),
    (236, 238, &["Europe/Kaliningrad"]),
    (410, 416, &["Europe/Samara"]),
    (420, 425, &["Europe/Moscow"]),
    (426, 427, &["Europe/Samara"]),
    (428, 431, &["Europe/Moscow"]),
    (432, 433, &["Europe/Samara"]),
    (440, 442, &["Europe/Moscow"]),
    (443, 446, &["Europe/Samara"]),
    (450, 462, &["Asia/Yekaterinburg"]),
    (600, 613, &["Europe/Moscow"]),
    (614, 629, &["Asia/Yekaterinburg"]),
    (640, 641, &["Asia/Yekaterinburg"]),
    (644, 646, &["Asia/Omsk"]),
    (630, 636, &["Asia/Krasnoyarsk"]),
    (647, 663, &["Asia/Krasnoyarsk"]),
    (664, 666, &["Asia/Irkutsk"]),
    (667, 668, &["Asia/Krasnoyarsk"]),
    (669, 671, &["Asia/Irkutsk"]),
    (672, 676, &["Asia/Yakutsk"]),
    (677, 678, &["Asia/Yakutsk", "Asia/Vladivostok", "Asia/Magadan"]),
    (679, 682, &["Asia/Vladivostok"]),
    (685, 686, &["Asia/Magadan"]),
    (683, 684, &["Asia/Kamchatka"]),
    (688, 689, &["Asia/Kamchatka"]),
    (690, 692, &["Asia/Vladivostok"]),
    (693, 694, &["Asia/Magadan"]),
];

/// Digits with the calling code. Mobile numbers of Brazil and Mexico carry their area.
const PREFIXES: &[(&str, Zones)] = &[
    ("349", &["Europe/Madrid"]),
    ("34822", &["Atlantic/Canary"]),
    ("34828", &["Atlantic/Canary"]),
    ("34922", &["Atlantic/Canary"]),
    ("34928", &["Atlantic/Canary"]),
    ("3512", &["Europe/Lisbon"]),
    ("351292", &["Atlantic/Azores"]),
    ("351295", &["Atlantic/Azores"]),
    ("351296", &["Atlantic/Azores"]),
    ("5233", &["America/Mexico_City"]),
    ("5255", &["America/Mexico_City"]),
    ("5256", &["America/Mexico_City"]),
    ("5281", &["America/Mexico_City"]),
    ("52656", &["America/Ciudad_Juarez"]),
    ("52662", &["America/Hermosillo"]),
    ("52664", &["America/Tijuana"]),
    ("52686", &["America/Tijuana"]),
    ("52983", &["America/Cancun"]),
    ("52984", &["America/Cancun"]),
    ("52998", &["America/Cancun"]),
    ("55", &["America/Sao_Paulo"]),
    ("5565", &["America/Manaus"]),
    ("5566", &["America/Manaus"]),
    ("5567", &["America/Manaus"]),
    ("5568", &["America/Rio_Branco"]),
    ("5569", &["America/Manaus"]),
    ("5592", &["America/Manaus"]),
    ("5595", &["America/Manaus"]),
    ("5597", &["America/Manaus", "America/Rio_Branco"]),
    ("562", &["America/Santiago"]),
    ("5661", &["America/Punta_Arenas"]),
    ("5667", &["America/Coyhaique"]),
    ("612", &["Australia/Sydney"]),
    ("613", &["Australia/Hobart", "Australia/Melbourne"]),
    ("617", &["Australia/Brisbane"]),
    ("618", &["Australia/Adelaide", "Australia/Broken_Hill", "Australia/Darwin", "Australia/Perth"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_row_of_a_postcode_counts() {
        for (country, code, zones) in [
            ("US", "32501", &[ET, CT][..]),
            ("US", "33101", &[ET]),
            ("US", "79901", &[MT]),
            ("US", "00501", &[ET]),
            ("US", "96701", &["Pacific/Honolulu"]),
            ("MX", "22000", &["America/Tijuana"]),
            ("CA", "S9V 0A1", &["America/Edmonton"]),
            ("RU", "443001", &["Europe/Samara"]),
            ("PT", "9500-001", &["Atlantic/Azores"]),
        ] {
            assert_eq!(of_postcode(country, code), Some(zones), "{code}");
        }
    }

    #[test]
    fn what_is_no_postcode_of_the_country_is_unknown() {
        for (country, code) in
            [("US", "1234"), ("US", "09012"), ("US", "ABCDE"), ("CA", "10001"), ("DE", "10115")]
        {
            assert_eq!(of_postcode(country, code), None, "{code}");
        }
        assert_eq!(of_postcode("US", "ÄÖÜ"), None);
    }

    #[test]
    fn every_region_stands_once_in_its_country() {
        for table in [US_STATES, CA_PROVINCES, AU_STATES, BR_STATES, MX_STATES, CL_REGIONS, ES_REGIONS] {
            let mut codes: Vec<&str> = table.iter().flat_map(|(codes, _)| codes.split(' ')).collect();
            let count = codes.len();
            codes.sort_unstable();
            codes.dedup();
            assert_eq!(codes.len(), count);
        }
        assert_eq!(US_STATES.iter().take(10).flat_map(|(codes, _)| codes.split(' ')).count(), 51);
    }
}
