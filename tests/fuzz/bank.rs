//! Any octets as a bank file: no panic, amounts above zero, texts bounded, and the same ids the second time.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nudged::reminder::bank;

fuzz_target!(|octets: &[u8]| {
    let Ok(entries) = bank::read(octets) else { return };
    for entry in &entries {
        assert!(entry.amount.is_positive(), "{entry:?}");
        assert!(entry.remittance.len() <= 8_000);
    }
    assert_eq!(bank::read(octets), Ok(entries));
});
