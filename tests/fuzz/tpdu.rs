//! Any octets as each kind of TPDU: no panic, and what is read encodes to the same value again.

#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use nudged::sms::tpdu::{self, Deliver, StatusReport, Submit, TpduError};

fuzz_target!(|octets: &[u8]| {
    hold(octets, Submit::decode, Submit::encode);
    hold(octets, Deliver::decode, Deliver::encode);
    hold(octets, StatusReport::decode, StatusReport::encode);
    if let Ok((sca, rest)) = tpdu::split_sca(octets) {
        let mut again = tpdu::encode_sca(sca.as_ref()).expect("an SCA that was read can be written");
        again.extend(rest);
        assert_eq!(tpdu::split_sca(&again), Ok((sca, rest)));
    }
    if let Ok(deliver) = Deliver::decode(octets) {
        let at = deliver.sent_at.to_timestamp();
        assert_eq!(at.is_some(), deliver.sent_at.to_string().contains('T'));
        assert!(deliver.data.concat().is_none_or(|c| (1..=c.total).contains(&c.number)));
        std::hint::black_box(deliver.data.ports());
    }
});

fn hold<T: PartialEq + Debug>(
    octets: &[u8],
    decode: fn(&[u8]) -> Result<T, TpduError>,
    encode: fn(&T) -> Result<Vec<u8>, TpduError>,
) {
    let Ok(read) = decode(octets) else { return };
    match encode(&read) {
        Ok(again) => assert_eq!(decode(&again), Ok(read)),
        // What could not be read was replaced by a character, which is longer or is in no alphabet.
        Err(_) => assert!(format!("{read:?}").contains('\u{FFFD}'), "{read:?} cannot be written again"),
    }
}
