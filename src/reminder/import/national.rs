//! Mobile numbers as people of a country write them among themselves.
//!
//! Only mobile ranges of the countries below (ITU-T E.164 country codes, each country's own numbering plan): a
//! text to a land line is lost, and a number that does not fit is refused, never mended.

use super::super::name::Country;
use crate::message::Msisdn;

struct Plan {
    country: &'static str,
    code: &'static str,
    /// Dialled before the number inside the country and dropped outside.
    trunk: &'static str,
    /// What a mobile number begins with, without the trunk prefix.
    mobile: &'static [&'static str],
    /// Fewest and most digits without the trunk prefix.
    digits: (usize, usize),
}

const PLANS: [Plan; 14] = [
    Plan { country: "AT", code: "43", trunk: "0", mobile: &["6"], digits: (10, 13) },
    Plan { country: "BE", code: "32", trunk: "0", mobile: &["4"], digits: (9, 9) },
    Plan { country: "CA", code: "1", trunk: "", mobile: NANP, digits: (10, 10) },
    Plan { country: "CH", code: "41", trunk: "0", mobile: &["7"], digits: (9, 9) },
    Plan { country: "DE", code: "49", trunk: "0", mobile: &["15", "16", "17"], digits: (10, 11) },
    Plan { country: "ES", code: "34", trunk: "", mobile: &["6", "7"], digits: (9, 9) },
    Plan { country: "FR", code: "33", trunk: "0", mobile: &["6", "7"], digits: (9, 9) },
    Plan { country: "GB", code: "44", trunk: "0", mobile: &["7"], digits: (10, 10) },
    Plan { country: "IE", code: "353", trunk: "0", mobile: &["8"], digits: (9, 9) },
    Plan { country: "IT", code: "39", trunk: "", mobile: &["3"], digits: (9, 10) },
    Plan { country: "NL", code: "31", trunk: "0", mobile: &["6"], digits: (9, 9) },
    Plan { country: "PL", code: "48", trunk: "", mobile: &["4", "5", "6", "7", "8"], digits: (9, 9) },
    Plan { country: "PT", code: "351", trunk: "", mobile: &["9"], digits: (9, 9) },
    Plan { country: "US", code: "1", trunk: "", mobile: NANP, digits: (10, 10) },
];

/// Area codes of North America begin with 2-9; mobile numbers have no range of their own there.
const NANP: &[&str] = &["2", "3", "4", "5", "6", "7", "8", "9"];

pub fn is_known(country: &Country) -> bool {
    plan(country).is_some()
}

/// The number that these digits are in that country; `None` for whatever is not certainly a mobile number of it.
pub fn number(digits: &str, country: &Country) -> Option<Msisdn> {
    let plan = plan(country)?;
    let national = digits.strip_prefix(plan.trunk)?;
    let fits = (plan.digits.0..=plan.digits.1).contains(&national.len())
        && plan.mobile.iter().any(|range| national.starts_with(range));
    if fits { Msisdn::parse_digits(&format!("{}{national}", plan.code)).ok() } else { None }
}

fn plan(country: &Country) -> Option<&'static Plan> {
    PLANS.iter().find(|plan| plan.country == country.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mobile_number_of_the_country_gets_its_code_and_nothing_else_does() {
        for (country, digits, wanted) in [
            ("DE", "015112345678", Some("+4915112345678")),
            ("DE", "15112345678", None),
            ("DE", "4915112345678", None),
            ("DE", "03012345678", None),
            ("GB", "07700900123", Some("+447700900123")),
            ("IT", "3471234567", Some("+393471234567")),
            ("ES", "612345678", Some("+34612345678")),
            ("ES", "0612345678", None),
            ("US", "2125550123", Some("+12125550123")),
            ("US", "12125550123", None),
            ("PT", "912345678", Some("+351912345678")),
        ] {
            let country = Country::parse(country).unwrap();
            assert_eq!(number(digits, &country).map(Msisdn::to_e164).as_deref(), wanted, "{digits}");
        }
    }
}
