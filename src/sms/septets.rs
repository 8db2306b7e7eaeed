//! Septets packed into octets (3GPP TS 23.038 section 6.1.2.1), with the fill bits that bring the text
//! behind a header to a septet's border (3GPP TS 23.040 section 9.2.3.24).
//!
//! ```text
//! octet      0                1                2
//! bits  7 6 5 4 3 2 1 0  7 6 5 4 3 2 1 0  ...
//!       b a a a a a a a  c c b b b b b b       septets a, b, c; the lowest bits first
//! ```

/// Bits between a header of `header_octets` and the first septet, 0 to 6.
pub const fn fill_bits(header_octets: usize) -> usize {
    (7 - header_octets * 8 % 7) % 7
}

/// Septets that a header and its fill bits take.
pub const fn header_septets(header_octets: usize) -> usize {
    (header_octets * 8).div_ceil(7)
}

/// Octets that so many septets take.
pub const fn octets(septets: usize) -> usize {
    (septets * 7).div_ceil(8)
}

/// Packs septets, given one an octet, behind `fill` zero bits. Unused bits at the end are zero.
pub fn pack(septets: &[u8], fill: usize) -> Vec<u8> {
    let mut packed = vec![0; (fill + septets.len() * 7).div_ceil(8)];
    for (at, septet) in septets.iter().enumerate() {
        let bit = fill + at * 7;
        let pair = u16::from(septet & 0x7F) << (bit % 8);
        packed[bit / 8] |= pair as u8;
        if let Some(next) = packed.get_mut(bit / 8 + 1) {
            *next |= (pair >> 8) as u8;
        }
    }
    packed
}

/// Unpacks `count` septets, one an octet, from behind `fill` bits; fewer where the octets hold no more.
pub fn unpack(packed: &[u8], fill: usize, count: usize) -> Vec<u8> {
    let there = (packed.len() * 8).saturating_sub(fill) / 7;
    let octet = |at: usize| packed.get(at).copied().map_or(0, u16::from);
    let septet = |at: usize| {
        let bit = fill + at * 7;
        let pair = octet(bit / 8) | octet(bit / 8 + 1) << 8;
        (pair >> (bit % 8)) as u8 & 0x7F
    };
    (0..count.min(there)).map(septet).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn eight_septets_take_seven_octets() {
        let packed = pack(b"12345678", 0);
        assert_eq!(packed, [0x31, 0xD9, 0x8C, 0x56, 0xB3, 0xDD, 0x70]);
        assert_eq!(unpack(&packed, 0, 8), b"12345678");
    }

    #[test]
    fn the_text_behind_a_header_starts_at_a_septet() {
        assert_eq!([5, 6, 7, 11].map(|udhl| fill_bits(udhl + 1)), [1, 0, 6, 2]);
        assert_eq!([5, 6, 7, 11].map(|udhl| header_septets(udhl + 1)), [7, 8, 10, 14]);
        assert_eq!(pack(b"tail", 1), [0xE8, 0xE1, 0x34, 0x1B]);
    }

    #[test]
    fn no_septet_is_made_of_bits_that_are_not_there() {
        assert_eq!(unpack(&[0x31], 0, 200), b"1");
        assert_eq!(unpack(&[], 6, 3), b"");
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(septets in proptest::collection::vec(0..128_u8, 0..200), fill in 0..7_usize) {
            let packed = pack(&septets, fill);
            prop_assert_eq!(unpack(&packed, fill, septets.len()), septets);
        }
    }
}
