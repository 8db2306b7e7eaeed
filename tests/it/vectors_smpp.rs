//! The SMPP vectors: what independent decoders agree on, `nudged debug smpp` says too.

use nudged::link::smpp::describe::describe;
use serde_json::Value;

const VECTORS: &str = include_str!("../vectors/smpp-dev.tsv");

fn rows() -> impl Iterator<Item = (&'static str, &'static str, Value)> {
    VECTORS.lines().skip(1).map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        (columns[0], columns[1], serde_json::from_str(columns[2]).unwrap())
    })
}

#[test]
fn every_vector_is_described_as_the_decoders_agree() {
    let mut seen = 0;
    for (id, hex, expected) in rows() {
        let described = describe(hex);
        seen += 1;
        if expected["valid"] == true {
            assert_eq!(described, expected, "{id}");
            continue;
        }
        let expect = expected["expect"].as_str().unwrap();
        let either = expect.contains("accept or") || expect.contains("ignore the TLV or");
        assert!(either || described["valid"] == false, "{id}: {described}");
        if described["valid"] == false {
            assert!(described["error"].is_string(), "{id}: {described}");
        }
    }
    assert_eq!(seen, 47);
}

#[test]
fn what_is_no_hexadecimal_pdu_is_invalid() {
    for line in ["", "0", "zz", "0000", "00000010800000150000000000000028ff", "ü"] {
        assert_eq!(describe(line)["valid"], false, "{line:?}");
    }
}
