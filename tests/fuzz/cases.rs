//! Any octets as a CSV of cases and of payments: no panic, no more rows than lines, and every refused row says why.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nudged::reminder::import::{Case, Mapping, Payment, Record, Rows};

fuzz_target!(|octets: &[u8]| {
    hold::<Case>(octets);
    hold::<Payment>(octets);
});

fn hold<T: Record>(octets: &[u8]) {
    let Ok(rows) = Rows::<_, T>::open(octets, &Mapping::default()) else { return };
    for (at, row) in rows.enumerate() {
        assert!(at <= octets.len());
        let Ok(row) = row else { return };
        assert!(row.row > 1);
        assert!(row.read.err().is_none_or(|errors| !errors.is_empty()));
    }
}
