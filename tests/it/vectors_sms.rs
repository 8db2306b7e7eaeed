//! The alphabet, the segments and the receipts, held against the vectors through `nudged debug`, and
//! against any text at all.

#![expect(clippy::unwrap_used, reason = "tests, and the functions that read the vectors for them")]

use std::fs;

use nudged::cli::debug::{self, What};
use nudged::config::ReceiptId;
use nudged::message::Encoding;
use nudged::sms::receipt::{self, Match, Tlvs};
use nudged::sms::{alphabet, segment};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The rows of a vector file, without its header.
fn rows(file: &str) -> Vec<Vec<String>> {
    let path = format!("{}/tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(&path).unwrap();
    table.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

fn json_of(column: &str) -> Value {
    serde_json::from_str(column).unwrap()
}

/// What `nudged debug` answers to one line.
fn debug(what: What, line: &str) -> Value {
    let mut output = Vec::new();
    debug::answer(what, line.as_bytes(), &mut output).unwrap();
    serde_json::from_slice(&output).unwrap()
}

#[test]
fn every_row_of_the_segmentation_vectors_is_split_alike() {
    let rows = rows("segmentation-dev.tsv");
    assert_eq!(rows.len(), 33);
    for row in rows {
        let expected = json!({
            "encoding": row[2],
            "count": json_of(&row[3]),
            "parts": json_of(&row[4]),
            "units": json_of(&row[5]),
        });
        assert_eq!(debug(What::Segments, &row[1]), expected, "{}: {}", row[0], row[7]);
    }
}

#[test]
fn every_field_of_the_receipt_vectors_is_read_alike() {
    let rows = rows("dlr-dev.tsv");
    assert_eq!(rows.len(), 32);
    for row in rows {
        let line = json!({
            "esm_class": json_of(&row[1]),
            "tlvs": json_of(&row[2]),
            "text": json_of(&row[3]),
            "resp_id": row[4],
        });
        assert_eq!(debug(What::Receipt, &line.to_string()), json_of(&row[5]), "{}: {}", row[0], row[6]);
    }
}

#[test]
fn the_default_and_extension_tables_are_those_of_the_vectors() {
    let rows: Vec<_> =
        rows("gsm0338.tsv").into_iter().filter(|r| r[0] == "default" || r[0] == "ext").collect();
    assert_eq!(rows.len(), 138);
    // The escape is no character: alone it shows a blank, and nothing is written with it.
    for row in rows.iter().filter(|row| row[1] != "1b") {
        let code = u32::from_str_radix(row[2].trim_start_matches("U+"), 16).unwrap();
        let text = char::from_u32(code).unwrap().to_string();
        let septets: Vec<u8> = (0..row[1].len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&row[1][at..at + 2], 16).unwrap())
            .collect();
        assert_eq!(alphabet::decode_gsm7(&septets), text, "{} {}", row[0], row[1]);
        assert_eq!(alphabet::encode_gsm7(&text).unwrap(), septets, "{} {}", row[0], row[1]);
    }
}

#[test]
fn no_character_outside_the_vectors_tables_is_encoded() {
    let encodable = (0..=0x10_FFFF).filter_map(char::from_u32).filter(|c| alphabet::septets(*c).is_some());
    assert_eq!(encodable.count(), 137);
}

/// Texts that mix the alphabet, its extension, the BMP and what needs a surrogate pair.
fn any_text() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        8 => proptest::char::range('a', 'z'),
        3 => proptest::sample::select(vec!['€', '[', '~', '\u{0C}', '@', 'Δ', '\n', 'Ç']),
        1 => any::<char>(),
    ];
    let gsm = prop_oneof![
        4 => proptest::char::range('a', 'z'),
        3 => proptest::sample::select(vec!['€', '[', '~', '\u{0C}', '@', 'Δ', '\n', 'Ç']),
    ];
    prop_oneof![
        proptest::collection::vec(character, 0..500).prop_map(String::from_iter),
        proptest::collection::vec(gsm, 0..900).prop_map(String::from_iter),
    ]
}

fn any_mode() -> impl Strategy<Value = ReceiptId> {
    proptest::sample::select(vec![ReceiptId::Auto, ReceiptId::Same, ReceiptId::HexToDec, ReceiptId::DecToHex])
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_to_the_same_text(text in any_text()) {
        prop_assert_eq!(&alphabet::decode_ucs2(&alphabet::encode_ucs2(&text)), &text);
        match alphabet::encode_gsm7(&text) {
            Ok(octets) => prop_assert_eq!(alphabet::decode_gsm7(&octets), text),
            Err(error) => prop_assert_eq!(text.chars().nth(error.position), Some(error.character)),
        }
    }

    #[test]
    fn latin1_and_ascii_keep_what_they_take(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(alphabet::encode_latin1(&alphabet::decode_latin1(&octets)), Ok(octets.clone()));
        let ascii: Vec<u8> = octets.iter().map(|octet| octet & 0x7F).collect();
        prop_assert_eq!(alphabet::encode_ascii(&alphabet::decode_ascii(&ascii)), Ok(ascii));
    }

    #[test]
    fn any_octets_are_decoded_and_encode_again_where_readable(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let text = alphabet::decode_gsm7(&octets);
        prop_assert_eq!(text.contains('\u{FFFD}'), alphabet::encode_gsm7(&text).is_err());
        prop_assert!(alphabet::decode_ucs2(&octets).encode_utf16().count() <= octets.len().div_ceil(2));
    }

    #[test]
    fn segments_joined_are_the_text_and_none_is_over_its_limit(text in any_text()) {
        let encoding = segment::choose(&text);
        let segments = segment::split(&text, encoding).unwrap();
        let joined: String = segments.iter().map(|segment| segment.text.as_str()).collect();
        prop_assert_eq!(&joined, &text);
        let limit = match (encoding, segments.len()) {
            (Encoding::Gsm7, 1) => 160,
            (Encoding::Gsm7, _) => 153,
            (_, 1) => 70,
            (_, _) => 67,
        };
        for segment in &segments {
            let units = match encoding {
                Encoding::Gsm7 => alphabet::encode_gsm7(&segment.text).unwrap().len(),
                _ => alphabet::encode_ucs2(&segment.text).len() / 2,
            };
            prop_assert!(units <= limit);
            prop_assert_eq!(usize::from(segment.units), units);
            prop_assert!(!segment.text.is_empty() || text.is_empty());
        }
    }

    #[test]
    fn measuring_and_splitting_agree(text in any_text()) {
        for encoding in [Encoding::Gsm7, Encoding::Ucs2] {
            let split = segment::split(&text, encoding);
            let measure = segment::measure(&text, encoding);
            prop_assert_eq!(split.as_ref().err(), measure.as_ref().err());
            if let (Ok(segments), Ok(measure)) = (split, measure) {
                prop_assert_eq!(segments.len(), usize::from(measure.segment_count));
                prop_assert_eq!(segments.iter().map(|s| u32::from(s.units)).sum::<u32>(), measure.units);
            }
        }
    }

    #[test]
    fn a_text_goes_as_gsm7_unless_a_character_forces_ucs2(text in any_text()) {
        let forced = segment::forcing_ucs2(&text);
        prop_assert_eq!(segment::choose(&text) == Encoding::Ucs2, !forced.is_empty());
        prop_assert!(forced.iter().all(|c| text.contains(*c)));
    }

    #[test]
    fn no_receipt_text_makes_the_parser_panic_or_a_reply_a_receipt(text in ".*", esm_class in any::<u8>()) {
        let message_type = esm_class >> 2 & 0x0F;
        let parsed = receipt::parse(esm_class, &text, &Tlvs::default());
        prop_assert_eq!(parsed.is_some(), matches!(message_type, 1 | 2 | 8));
    }

    #[test]
    fn receipts_of_scrambled_fields_are_read_without_a_panic(
        text in "((id|sub|dlvrd|submit date|done date|stat|err|text|Stat|é)?[: ,\u{0}]{0,2}[0-9A-Zéx+-]{0,16} ?){0,12}",
    ) {
        let parsed = receipt::parse(4, &text, &Tlvs::default()).unwrap();
        if let Some(id) = parsed.id {
            prop_assert!(text.contains(&id));
        }
    }

    #[test]
    fn a_plain_receipt_is_read_back(id in "[0-9A-Za-z@._-]{1,65}", sub in 0..1000_u32, words in ".*") {
        let text = format!("id:{id} sub:{sub:03} dlvrd:{sub:03} stat:DELIVRD err:000 text:{words}");
        let parsed = receipt::parse(4, &text, &Tlvs::default()).unwrap();
        prop_assert_eq!(parsed.id, Some(id));
        prop_assert_eq!((parsed.sub, parsed.dlvrd), (Some(sub), Some(sub)));
        prop_assert_eq!(parsed.text, Some(words));
    }

    #[test]
    fn an_index_by_canonical_and_alternatives_finds_exactly_what_matches(
        submitted in "[0-9a-fA-F]{1,6}", received in "[0-9a-fA-F]{1,6}", mode in any_mode(),
    ) {
        let key = receipt::canonical(&submitted);
        let expected = match receipt::match_reference(&submitted, &received, mode) {
            Match::AsIs | Match::LeadingZeros | Match::Case => key == receipt::canonical(&received),
            Match::HexDec => receipt::alternatives(&received, mode).contains(&key),
            Match::None => key != receipt::canonical(&received) && !receipt::alternatives(&received, mode).contains(&key),
        };
        prop_assert!(expected);
    }

    #[test]
    fn a_hexadecimal_reference_meets_its_decimal_form(id in any::<u64>(), mode in any_mode()) {
        let (hex, decimal) = (format!("{id:08X}"), id.to_string());
        prop_assume!(receipt::canonical(&hex) != receipt::canonical(&decimal));
        let allowed = |yes| if yes { Match::HexDec } else { Match::None };
        let to_decimal = matches!(mode, ReceiptId::Auto | ReceiptId::HexToDec);
        let to_hex = matches!(mode, ReceiptId::Auto | ReceiptId::DecToHex);
        prop_assert_eq!(receipt::match_reference(&hex, &decimal, mode), allowed(to_decimal));
        prop_assert_eq!(receipt::match_reference(&decimal, &hex, mode), allowed(to_hex));
    }
}
