//! Whole files of cases and payments, good and bad.

use std::io::Read;

use proptest::prelude::*;

use super::*;
use crate::reminder::consent::ConsentKind;
use crate::reminder::contact::ContactKind;

const HEADER: &str = "external_id,creditor,phone,amount,currency,due_date";
const ROW: &str = "R-1,acme,+4915112345678,120.50,EUR,2026-03-09";

fn read<T: Record>(file: &[u8], mapping: &Mapping) -> Result<Vec<Row<T>>, FileError> {
    Rows::<_, T>::open(file, mapping)?.collect()
}

fn cases(file: &str) -> Vec<Row<Case>> {
    read(file.as_bytes(), &Mapping::default()).unwrap()
}

fn mapping(json: &str) -> Mapping {
    serde_json::from_str(json).unwrap()
}

/// Row, column, and the beginning of why.
fn errors(rows: &[Row<Case>]) -> Vec<(u64, String, String)> {
    let all = rows.iter().filter_map(|row| row.read.as_ref().err()).flatten();
    all.map(|error| (error.row, error.column.clone(), error.why.clone())).collect()
}

fn refused(file: &str, mapping: &Mapping) -> String {
    let Err(error) = read::<Case>(file.as_bytes(), mapping) else { panic!("{file:?} is taken") };
    error.to_string()
}

#[test]
fn a_row_with_every_column_becomes_a_case() {
    let file = "external_id;creditor;phone;amount;currency;due_date;account;contact;first_name;last_name;company;\
        kind;language;country;region;postcode;timezone;phone2;min_due;description;link;sequence;case_manager;\
        consent;consent_source;consent_at;custom.plate\n\
        R-1;acme;+49 151 12345678;120.50;EUR;2026-03-09;A-7;C-3;Jo;=Doe;\"D; Sons\";b2b;de;DE;BY;80331;\
        Europe/Berlin;+4915112345679;20;Invoice 1;https://pay.example/1;standard;mia;given;form 3;2025-01-01;M-X 1\n";
    let rows = cases(file);
    let case = rows[0].read.as_ref().unwrap();
    assert_eq!(rows[0].row, 2);
    assert_eq!((case.account.as_str(), case.contact.as_str()), ("A-7", "C-3"));
    assert_eq!(case.last_name.as_deref(), Some("=Doe"), "what looks like a formula is what they are called");
    assert_eq!(case.company.as_deref(), Some("D; Sons"));
    assert_eq!((case.kind, case.min_due.unwrap().value()), (Some(ContactKind::B2b), "20.00".to_owned()));
    let consent = case.consent.as_ref().unwrap();
    assert_eq!((consent.kind, consent.source.as_deref()), (ConsentKind::Given, Some("form 3")));
    assert_eq!(consent.at.unwrap().to_rfc3339(), "2025-01-01T00:00:00.000Z");
    assert_eq!(case.custom["plate"], "M-X 1");
}

#[test]
fn what_the_file_does_not_say_follows_from_what_it_says() {
    let rows = cases(&format!("{HEADER}\n{ROW}"));
    let case = rows[0].read.as_ref().unwrap();
    assert_eq!((case.contact.as_str(), case.account.as_str()), ("+4915112345678", "+4915112345678"));
    let rows = cases(&format!("{HEADER},account\n{ROW},A-7"));
    assert_eq!(rows[0].read.as_ref().unwrap().contact.as_str(), "A-7");
    let rows = cases(&format!("{HEADER},contact\n{ROW},C-3"));
    assert_eq!(rows[0].read.as_ref().unwrap().account.as_str(), "C-3");
}

#[test]
fn all_errors_of_a_row_are_told_at_once_and_the_others_are_read() {
    let rows = cases(&format!(
        "{HEADER},language,link\n{ROW},de,\n,acme!,4.47701E+11,1,EUR,2026-02-30,german,ftp://x\n\
         R-3,acme,+4915112345678,\"1,234.50\",EUR,2026-03-09,,\n"
    ));
    assert!(rows[0].read.is_ok());
    let told = errors(&rows);
    let columns: Vec<_> = told.iter().map(|(row, column, _)| (*row, column.as_str())).collect();
    assert_eq!(
        columns,
        [
            (3, "external_id"),
            (3, "creditor"),
            (3, "phone"),
            (3, "due_date"),
            (3, "language"),
            (3, "link"),
            (4, "amount")
        ]
    );
    assert!(told[2].2.contains("spreadsheet rounded") && told[3].2.contains("no day"), "{told:?}");
    assert!(told[6].2.contains("both a comma and a point"), "{told:?}");
}

#[test]
fn a_row_has_the_number_a_spreadsheet_shows() {
    for end in ["\n", "\r\n", "\r"] {
        let file = format!("{HEADER},description\n\n{ROW},\"a\nb\n\nc\"\n,,,,,,\nR-2,short\nR-3\n");
        let rows = cases(&file.replace('\n', end));
        let told: Vec<_> = rows.iter().map(|row| (row.row, row.read.is_ok())).collect();
        assert_eq!(told, [(3, true), (5, false), (6, false)], "{end:?}");
        assert_eq!(rows[0].read.as_ref().unwrap().description.as_deref(), Some("a b c"));
        assert_eq!(errors(&rows)[0].2, "has 2 cells, the header has 7");
    }
}

#[test]
fn the_second_row_with_an_id_is_refused_and_names_the_first() {
    let rows = cases(&format!("{HEADER}\n{ROW}\nR-2{}\n{ROW}\n", &ROW[3..]));
    assert_eq!(errors(&rows), [(4, "external_id".into(), "row 2 has \"R-1\" too".into())]);
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_name() {
    assert!(cases(&format!("\u{FEFF}{HEADER}\n{ROW}"))[0].read.is_ok());
    let file = HEADER.replace(',', ";") + "\n" + &ROW.replace(',', ";");
    assert!(cases(&format!("\u{FEFF}{file}"))[0].read.is_ok());
}

#[test]
fn a_file_that_is_no_such_file_is_refused_with_what_to_do() {
    let ours = Mapping::default();
    for (file, wanted) in [
        (String::new(), "empty"),
        ("\n\n".to_owned(), "empty"),
        (format!("{HEADER},shoe_size\n"), "\"shoe_size\" is not known"),
        (format!("{HEADER},phone\n"), "\"phone\" comes twice"),
        (format!("{HEADER},custom.a,custom.a\n"), "\"custom.a\" comes twice"),
        (format!("{HEADER},custom.A b\n"), "\"custom.A b\" is not known"),
        ("external_id,creditor,phone,amount,currency\n".to_owned(), "\"due_date\" is missing"),
        (format!("{HEADER}{}", ",".repeat(300)), "more than 256 columns"),
        (format!("{HEADER},description\n{ROW},\"{}", "x\n".repeat(200_000)), "row 2 is longer than"),
    ] {
        let told = refused(&file, &ours);
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
}

#[test]
fn a_file_in_another_encoding_is_told_by_its_row() {
    let mut latin = format!("{HEADER},last_name\n{ROW},Doe\n{ROW},M").into_bytes();
    latin.extend([0xFC, b'\n']);
    let rows: Vec<_> = Rows::<_, Case>::open(&latin[..], &Mapping::default()).unwrap().collect();
    assert!(matches!(rows[..], [Ok(_), Err(FileError::NotUtf8 { row: 3 })]), "{rows:?}");
    let wide: Vec<u8> = format!("\u{FEFF}{HEADER}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(matches!(read::<Case>(&wide, &Mapping::default()), Err(FileError::Utf16)));
}

#[test]
fn a_mapping_reads_a_firms_own_file() {
    let mapping = mapping(
        r#"{"columns": {"Rechnung": "external_id", "Handy": "phone", "Betrag": "amount", "Fällig": "due_date",
            "Kennzeichen": "custom.plate"}, "ignore": ["Filiale"], "dates": "DD.MM.YYYY", "amounts": "1.234,50",
            "country": "DE", "defaults": {"creditor": "acme", "currency": "EUR", "language": "de"}}"#,
    );
    let file = "Rechnung;Handy;Betrag;Fällig;Filiale;Kennzeichen\nR-1;0151 12345678;1.120,5;9.3.2026;Süd;M-X 1\n\
        R-2;15112345678;1;31.4.2026;;\n";
    let rows: Vec<Row<Case>> = read(file.as_bytes(), &mapping).unwrap();
    let case = rows[0].read.as_ref().unwrap();
    assert_eq!((case.phone.to_e164().as_str(), case.amount.value().as_str()), ("+4915112345678", "1120.50"));
    assert_eq!((case.due_date.to_string().as_str(), case.custom["plate"].as_str()), ("2026-03-09", "M-X 1"));
    let columns: Vec<_> = errors(&rows).into_iter().map(|(_, column, _)| column).collect();
    assert_eq!(columns, ["Handy", "Fällig"], "errors name the firm's own columns");
}

#[test]
fn a_mapping_that_cannot_be_is_refused() {
    for (json, wanted) in [
        (r#"{"columns": {"a": "phone", "b": "phone"}}"#, "two columns"),
        (r#"{"columns": {"a": "phone"}, "ignore": ["a"]}"#, "both renamed and ignored"),
        (r#"{"columns": {"a": "fone"}}"#, "\"fone\" is no column"),
        (r#"{"defaults": {"phone": "+4915112345678"}}"#, "may have a default"),
        (r#"{"defaults": {"fone": "1"}}"#, "\"fone\" is no column"),
        (r#"{"country": "VN"}"#, "need their plus"),
    ] {
        let told = refused(&format!("{HEADER}\n"), &mapping(json));
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    assert!(serde_json::from_str::<Mapping>(r#"{"delimeter": ";"}"#).is_err());
}

#[test]
fn a_mapping_is_stored_and_read_back() {
    let mapping = mapping(r#"{"dates": "MM/DD/YYYY", "delimiter": ";", "ignore": ["x"], "country": "US"}"#);
    let stored = postcard::to_stdvec(&mapping).unwrap();
    assert_eq!(postcard::from_bytes::<Mapping>(&stored).unwrap(), mapping);
    assert_eq!(serde_json::from_str::<Mapping>(&serde_json::to_string(&mapping).unwrap()).unwrap(), mapping);
}

#[test]
fn a_case_has_one_hash_however_the_file_wrote_it_and_another_when_it_changes() {
    let hash = |file: &str| cases(file)[0].read.as_ref().unwrap().hash();
    let first = hash(&format!("{HEADER}\n{ROW}"));
    let other =
        "due_date;currency;amount;phone;creditor;external_id\n2026-03-09;EUR;120.5;+49 151 12345678;acme;R-1";
    assert_eq!(hash(other), first);
    assert_ne!(hash(&format!("{HEADER}\n{}", ROW.replace("03-09", "03-10"))), first);
    assert_ne!(hash(&format!("{HEADER},custom.a\n{ROW},1")), first);
    assert_eq!(hash(&format!("{HEADER},custom.a\n{ROW},")), first, "an empty cell says nothing");
}

#[test]
fn a_consent_without_a_time_is_no_more_than_a_yes() {
    let rows = cases(&format!("{HEADER},consent\n{ROW},yes\nR-2{0},given\nR-3{0},no\n", &ROW[3..]));
    assert_eq!(rows[0].read.as_ref().unwrap().consent.as_ref().unwrap().kind, ConsentKind::Imported);
    let columns: Vec<_> = errors(&rows).into_iter().map(|(row, column, _)| (row, column)).collect();
    assert_eq!(columns, [(3, "consent_at".to_owned()), (4, "consent".to_owned())]);
}

#[test]
fn payments_are_read_as_rows_of_their_own() {
    let file = "external_id,obligation,amount,currency,at,reversed\n\
        P-1,R-1,20,EUR,2026-03-10T12:00:00+01:00,\nP-2,R-1,20.00,EUR,2026-03-11,yes\nP-1,R-2,1,EUR,2026-03-11,\nP-1,R-1,20,EUR,2026-03-12,1\n";
    let rows: Vec<Row<Payment>> = read(file.as_bytes(), &Mapping::default()).unwrap();
    let first = rows[0].read.as_ref().unwrap();
    assert_eq!((first.obligation.as_str(), first.reversed), ("R-1", false));
    assert_eq!(first.at.to_rfc3339(), "2026-03-10T11:00:00.000Z");
    assert!(rows[1].read.as_ref().unwrap().reversed);
    assert!(rows[2].read.is_err(), "one payment comes once");
    assert!(rows[3].read.as_ref().unwrap().reversed, "and may be taken back in the same file");
    let custom = "external_id,obligation,amount,currency,at,custom.a\n";
    assert!(matches!(
        read::<Payment>(custom.as_bytes(), &Mapping::default()),
        Err(FileError::UnknownColumn(_))
    ));
}

/// Gives a few octets at a time, and never ends.
struct Endless(u8);

impl Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        out.fill(self.0);
        Ok(out.len())
    }
}

#[test]
fn a_record_without_end_ends_the_reading() {
    for filler in [b'x', b'"', b','] {
        let header = format!("{HEADER},description\n{ROW},\"");
        let mut rows =
            Rows::<_, Case>::open(header.as_bytes().chain(Endless(filler)), &Mapping::default()).unwrap();
        let last = rows.by_ref().take(3).find(Result::is_err);
        assert!(matches!(last, Some(Err(FileError::TooLong { .. }))), "{last:?}");
        assert!(rows.next().is_none());
    }
    assert!(Rows::<_, Case>::open(Endless(b'x'), &Mapping::default()).is_err());
}

proptest! {
    #[test]
    fn any_octets_are_read_without_a_panic(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
        let mut file = format!("{HEADER},custom.a\n").into_bytes();
        file.extend(&octets);
        for bytes in [&octets, &file] {
            if let Ok(rows) = Rows::<_, Case>::open(&bytes[..], &Mapping::default()) {
                prop_assert!(rows.count() <= bytes.len());
            }
        }
    }

    #[test]
    fn any_cells_are_a_case_or_have_reasons(cells in proptest::collection::vec("[-0-9a-zA-Z+.,;'\"\n ]{0,12}", 6)) {
        let row: Vec<String> = cells.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect();
        for row in cases(&format!("{HEADER}\n{}\n", row.join(","))) {
            prop_assert!(row.read.is_ok() || !row.read.unwrap_err().is_empty());
        }
    }
}
