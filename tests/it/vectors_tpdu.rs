//! TPDUs and the national tables, held against the vectors through `nudged debug` and the functions below it.

#![expect(clippy::unwrap_used, reason = "tests, and the functions that read the vectors for them")]

use std::fs;

use nudged::cli::debug::{self, What};
use nudged::sms::hex;
use nudged::sms::national::{Language, Tables};
use nudged::sms::tpdu::{Deliver, Kind, StatusReport, Submit, TpduError};
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
        // Some characters have two places; the first, or the shorter, is written.
        let written = tables.encode(&text).unwrap();
        assert_eq!(tables.decode(&written), text, "{} {}", row[0], row[1]);
        assert!(written.len() <= septets.len());
    }
}
