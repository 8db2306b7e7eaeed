//! TP-DCS: how the user data is written and what the phone is to do with it (3GPP TS 23.038 section 4).

/// How user data is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alphabet {
    Gsm7,
    Octets,
    Ucs2,
    /// By 3GPP TS 23.042, in whatever alphabet: nobody reads it, it stays octets.
    Compressed,
}

/// One TP-DCS as it is to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coding {
    pub alphabet: Alphabet,
    /// Message class 0 to 3, where the octet names one; 0 is shown at once and not kept.
    pub class: Option<u8>,
}

/// General group, without class.
pub const GSM7: u8 = 0x00;
pub const OCTETS: u8 = 0x04;
pub const UCS2: u8 = 0x08;
/// General group: bits 1 and 0 have a meaning, here class 0.
pub const CLASS_0: u8 = 0x10;

/// Reads any octet. A reserved coding is the default alphabet, as section 4 asks.
pub const fn read(dcs: u8) -> Coding {
    match dcs >> 4 {
        // 00xx is the general group; 01xx, for automatic deletion, is coded exactly the same.
        0x0..=0x7 => Coding {
            alphabet: if dcs & 0x20 == 0 { general(dcs) } else { Alphabet::Compressed },
            class: if dcs & 0x10 == 0 { None } else { Some(dcs & 0x03) },
        },
        // Message waiting, store, in UCS-2; 0xC and 0xD are the same in the default alphabet.
        0xE => Coding { alphabet: Alphabet::Ucs2, class: None },
        0xF => Coding {
            alphabet: if dcs & 0x04 == 0 { Alphabet::Gsm7 } else { Alphabet::Octets },
            class: Some(dcs & 0x03),
        },
        _ => Coding { alphabet: Alphabet::Gsm7, class: None },
    }
}

const fn general(dcs: u8) -> Alphabet {
    match dcs & 0x0C {
        OCTETS => Alphabet::Octets,
        UCS2 => Alphabet::Ucs2,
        _ => Alphabet::Gsm7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_has_its_alphabet_and_class() {
        use Alphabet::{Compressed, Gsm7, Octets, Ucs2};
        for (dcs, alphabet, class) in [
            (0x00, Gsm7, None),
            (0x03, Gsm7, None),
            (0x04, Octets, None),
            (0x08, Ucs2, None),
            (0x0C, Gsm7, None),
            (0x10, Gsm7, Some(0)),
            (0x19, Ucs2, Some(1)),
            (0x20, Compressed, None),
            (0x3A, Compressed, Some(2)),
            (0x44, Octets, None),
            (0x5B, Ucs2, Some(3)),
            (0x84, Gsm7, None),
            (0xC8, Gsm7, None),
            (0xD0, Gsm7, None),
            (0xE0, Ucs2, None),
            (0xF2, Gsm7, Some(2)),
            (0xF5, Octets, Some(1)),
        ] {
            assert_eq!(read(dcs), Coding { alphabet, class }, "{dcs:#04x}");
        }
    }
}
