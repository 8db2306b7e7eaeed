//! TPDUs and the national tables, held against the vectors through `nudged debug` and the functions below it.

#![expect(clippy::unwrap_used, reason = "tests, and the functions that read the vectors for them")]

use std::fs;

use nudged::cli::debug::{self, What};
use nudged::config::Numbering;
use nudged::message::{Encoding, Msisdn};
use nudged::sms::national::{Language, Tables};
use nudged::sms::segment::{self, Concat};
use nudged::sms::tpdu::{self, Deliver, Kind, StatusReport, Submit, TpduError, UserData};
use nudged::sms::{address, hex};
use proptest::prelude::*;
use serde_json::Value;

/// Of these the decoded value is written with other octets than it came with, and why.
const NOT_CANONICAL: [(&str, &str); 2] = [
    ("D33", "an undefined escape is shown, and written, as the character of the main table"),
    ("R26", "TP-PI says that nothing follows; it is left out then"),
];

/// The rows of a vector file, without its header.
fn rows(file: &str) -> Vec<Vec<String>> {
    let path = format!("{}/tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(&path).unwrap();
    table.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

fn kind(name: &str) -> Kind {
    clap::ValueEnum::from_str(name, false).unwrap()
}

/// What `nudged debug tpdu` answers to one line.
fn debug(kind: Kind, line: &str) -> Value {
    let mut output = Vec::new();
    debug::answer(What::Tpdu { kind }, line.as_bytes(), &mut output).unwrap();
    serde_json::from_slice(&output).unwrap()
}

fn written_again(kind: Kind, octets: &[u8]) -> Result<Vec<u8>, TpduError> {
    match kind {
        Kind::Submit => Submit::decode(octets)?.encode(),
        Kind::Deliver => Deliver::decode(octets)?.encode(),
        Kind::StatusReport => StatusReport::decode(octets)?.encode(),
    }
}

#[test]
fn every_field_of_the_tpdu_vectors_is_read_alike() {
    let rows = rows("tpdu-dev.tsv");
    assert_eq!(rows.len(), 77);
    for row in rows {
        let expected: Value = serde_json::from_str(&row[3]).unwrap();
        assert_eq!(debug(kind(&row[1]), &row[2]), expected, "{}: {}", row[0], row[5]);
    }
}

#[test]
fn every_tpdu_of_the_vectors_is_written_again_as_it_came() {
    for row in rows("tpdu-dev.tsv") {
        let octets = hex::decode(&row[2]).unwrap();
        let again = hex::encode(&written_again(kind(&row[1]), &octets).unwrap());
        let canonical = NOT_CANONICAL.iter().all(|(id, _)| *id != row[0]);
        assert_eq!(again == row[2], canonical, "{}: {again}", row[0]);
    }
}

#[test]
fn a_tpdu_of_the_vectors_that_ends_early_is_an_error_and_no_panic() {
    for row in rows("tpdu-dev.tsv") {
        let octets = hex::decode(&row[2]).unwrap();
        // A status report may end before its parameters.
        let whole = if row[0] == "R26" { octets.len() - 1 } else { octets.len() };
        for end in 0..whole {
            assert!(written_again(kind(&row[1]), &octets[..end]).is_err(), "{} {end}", row[0]);
        }
    }
}

#[test]
fn every_row_of_the_national_tables_is_read_and_written_alike() {
    let rows: Vec<_> = rows("gsm0338.tsv").into_iter().filter(|row| row[0].contains('-')).collect();
    assert_eq!(rows.len(), 2431 - 138);
    for row in rows {
        let (table, id) = row[0].split_once('-').unwrap();
        let language = Language::from_id(id.parse().unwrap());
        let tables = match table {
            "lock" => Tables { locking: language, single: None },
            _ => Tables { locking: None, single: language },
        };
        let septets = hex::decode(&row[1]).unwrap();
        let code = u32::from_str_radix(row[2].trim_start_matches("U+"), 16).unwrap();
        let text = char::from_u32(code).unwrap().to_string();
        assert_eq!(tables.decode(&septets), text, "{} {}", row[0], row[1]);
        // A character with several places is written at the shortest, the first of those.
        let written = tables.encode(&text).unwrap();
        let first = || hex::encode(&written) <= hex::encode(&septets);
        assert_eq!(tables.decode(&written), text, "{} {}", row[0], row[1]);
        assert!(written.len() < septets.len() || first(), "{} {}", row[0], row[1]);
    }
}

#[test]
fn no_national_table_holds_more_than_the_vectors() {
    let rows = rows("gsm0338.tsv");
    for language in Language::ALL {
        let single = Tables { locking: None, single: Some(language) };
        let locking = Tables { locking: Some(language), single: None };
        let named = |table: &str, septets: &[u8]| {
            let table = format!("{table}-{}", language.id());
            rows.iter().any(|row| row[0] == table && row[1].eq_ignore_ascii_case(&hex::encode(septets)))
        };
        for septet in (0..0x80).filter(|septet| *septet != 0x1B) {
            let shown = single.decode(&[0x1B, septet]);
            assert!(
                named("shift", &[0x1B, septet]) || shown == single.decode(&[septet]),
                "{language:?} {septet:x}"
            );
            let unreadable = locking.decode(&[septet]) == "\u{FFFD}";
            assert!(
                named("lock", &[septet]) || !language.has_locking() || unreadable,
                "{language:?} {septet:x}"
            );
        }
    }
}

/// Texts of the default alphabet, of languages that have tables, and of none.
fn any_text() -> impl Strategy<Value = String> {
    let turkish = proptest::sample::select("şığİçö€ ".chars().collect::<Vec<char>>());
    let hindi = proptest::char::range('\u{0905}', '\u{0939}');
    let mixed = prop_oneof![
        8 => proptest::char::range('a', 'z'),
        4 => turkish,
        1 => proptest::sample::select(vec!['ж', '😀', 'ã', '[', '\n']),
    ];
    let national = prop_oneof![hindi, proptest::char::range('a', 'z')];
    prop_oneof![
        proptest::collection::vec(mixed, 0..300).prop_map(String::from_iter),
        proptest::collection::vec(national, 0..300).prop_map(String::from_iter),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_segment_of_any_text_goes_over_the_air_and_back(text in any_text(), configured in any::<bool>()) {
        let languages = [Language::Turkish, Language::Portuguese, Language::Hindi];
        let encoding = segment::choose_among(&text, if configured { &languages } else { &[] });
        let segments = segment::split(&text, encoding).unwrap();
        prop_assert!(configured || !matches!(encoding, Encoding::National(_)));
        let ucs2 = segment::split(&text, Encoding::Ucs2).unwrap().len();
        prop_assert!(segments.len() < ucs2 || encoding.as_str() == segment::choose(&text).as_str());
        let total = segments.len() as u8;
        let mut joined = String::new();
        for (at, segment) in segments.iter().enumerate() {
            let concat = (total > 1).then_some(Concat { reference: 7, total, number: at as u8 + 1 });
            let submit = Submit {
                reject_duplicates: false,
                reply_path: false,
                status_report: true,
                reference: 0,
                to: address::destination(Msisdn::parse_e164("+905301234567").unwrap(), Numbering::default()),
                pid: 0,
                dcs: tpdu::coding(encoding, false),
                validity: None,
                data: UserData::segment(&segment.text, encoding, concat),
            };
            let read = Submit::decode(&submit.encode().unwrap()).unwrap();
            prop_assert_eq!(read.data.concat(), concat);
            joined += read.data.text().unwrap();
        }
        prop_assert_eq!(joined, text);
    }
}
