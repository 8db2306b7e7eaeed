//! The national language tables of 3GPP TS 23.038 annex A.2 and A.3, as runs of characters from a septet on.
//!
//! Turkish and Portuguese say where they leave the default alphabet, the single shift tables of Turkish,
//! Spanish and Portuguese what they add to its extension; the others share a part and add their own. A test
//! holds every place against the vectors.

/// The septet of the first character, and the characters from there on.
pub type Runs = &'static [(u8, &'static str)];

/// What the locking shift tables of A.3.4 to A.3.13 share.
pub const INDIC_LOCKING: Runs = &[
    (0x0A, "\n"),
    (0x0D, "\r"),
    (0x20, " !"),
    (0x28, ")("),
    (0x2C, ","),
    (0x2E, "."),
    (0x30, "0123456789:;"),
    (0x3F, "?"),
    (0x61, "abcdefghijklmnopqrstuvwxyz"),
];

/// What the single shift tables of A.2.4 to A.2.13 share.
pub const INDIC_SINGLE: Runs = &[
    (0x00, "@£$¥¿\"¤%&'\u{0C}*+"),
    (0x0E, "-/<=>¡^¡_#*"),
    (0x28, "{}"),
    (0x2F, "\\"),
    (0x3C, "[~]"),
    (0x40, "|ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
];

pub const TURKISH_LOCKING: Runs =
    &[(0x04, "€"), (0x07, "ı"), (0x0B, "Ğğ"), (0x1C, "Şş"), (0x40, "İ"), (0x60, "ç")];

pub const TURKISH_SINGLE: Runs =
    &[(0x47, "Ğ"), (0x49, "İ"), (0x53, "Ş"), (0x63, "ç"), (0x67, "ğ"), (0x69, "ı"), (0x73, "ş")];

pub const SPANISH_SINGLE: Runs = &[
    (0x09, "ç"),
    (0x41, "Á"),
    (0x49, "Í"),
    (0x4F, "Ó"),
    (0x55, "Ú"),
    (0x61, "á"),
    (0x69, "í"),
    (0x6F, "ó"),
    (0x75, "ú"),
];

pub const PORTUGUESE_LOCKING: Runs = &[
    (0x04, "ê"),
    (0x06, "úíóç"),
    (0x0B, "Ôô"),
    (0x0E, "Áá"),
    (0x12, "ªÇÀ∞^\\€Ó|"),
    (0x1C, "ÂâÊ"),
    (0x24, "º"),
    (0x40, "Í"),
    (0x5B, "ÃÕÚ"),
    (0x60, "~"),
    (0x7B, "ãõ`"),
];

pub const PORTUGUESE_SINGLE: Runs = &[
    (0x05, "ê"),
    (0x09, "ç"),
    (0x0B, "Ôô"),
    (0x0E, "Áá"),
    (0x12, "ΦΓ"),
    (0x15, "ΩΠΨΣΘ"),
    (0x1F, "Ê"),
    (0x41, "À"),
    (0x49, "Í"),
    (0x4F, "Ó"),
    (0x55, "Ú"),
    (0x5B, "ÃÕ"),
    (0x61, "Â"),
    (0x69, "í"),
    (0x6F, "ó"),
    (0x75, "ú"),
    (0x7B, "ãõ"),
    (0x7F, "â"),
];

pub const BENGALI_LOCKING: Runs = &[
    (0x00, "\u{0981}\u{0982}\u{0983}\u{0985}\u{0986}\u{0987}\u{0988}\u{0989}\u{098A}\u{098B}"),
    (0x0B, "\u{098C}"),
    (0x0F, "\u{098F}\u{0990}"),
    (0x13, "\u{0993}\u{0994}\u{0995}\u{0996}\u{0997}\u{0998}\u{0999}\u{099A}"),
    (0x1C, "\u{099B}\u{099C}\u{099D}\u{099E}"),
    (0x22, "\u{099F}\u{09A0}\u{09A1}\u{09A2}\u{09A3}\u{09A4}"),
    (0x2A, "\u{09A5}\u{09A6}"),
    (0x2D, "\u{09A7}"),
    (0x2F, "\u{09A8}"),
    (0x3D, "\u{09AA}\u{09AB}"),
    (0x40, "\u{09AC}\u{09AD}\u{09AE}\u{09AF}\u{09B0}"),
    (0x46, "\u{09B2}"),
    (0x4A, "\u{09B6}\u{09B7}\u{09B8}\u{09B9}\u{09BC}\u{09BD}\u{09BE}\u{09BF}\u{09C0}\u{09C1}"),
    (0x54, "\u{09C2}\u{09C3}\u{09C4}"),
    (0x59, "\u{09C7}\u{09C8}"),
    (0x5D, "\u{09CB}\u{09CC}\u{09CD}\u{09CE}"),
    (0x7B, "\u{09D7}\u{09DC}\u{09DD}\u{09F0}\u{09F1}"),
];

pub const BENGALI_SINGLE: Runs = &[
    (0x19, "\u{09E6}\u{09E7}"),
    (0x1C, "\u{09E8}\u{09E9}\u{09EA}\u{09EB}\u{09EC}\u{09ED}\u{09EE}\u{09EF}\u{09DF}\u{09E0}"),
    (0x26, "\u{09E1}\u{09E2}"),
    (0x2A, "\u{09E3}\u{09F2}\u{09F3}\u{09F4}\u{09F5}"),
    (0x30, "\u{09F6}\u{09F7}\u{09F8}\u{09F9}\u{09FA}"),
    (0x65, "€"),
];

pub const GUJARATI_LOCKING: Runs = &[
    (0x00, "\u{0A81}\u{0A82}\u{0A83}\u{0A85}\u{0A86}\u{0A87}\u{0A88}\u{0A89}\u{0A8A}\u{0A8B}"),
    (0x0B, "\u{0A8C}\u{0A8D}"),
    (0x0F, "\u{0A8F}\u{0A90}\u{0A91}"),
    (0x13, "\u{0A93}\u{0A94}\u{0A95}\u{0A96}\u{0A97}\u{0A98}\u{0A99}\u{0A9A}"),
    (0x1C, "\u{0A9B}\u{0A9C}\u{0A9D}\u{0A9E}"),
    (0x22, "\u{0A9F}\u{0AA0}\u{0AA1}\u{0AA2}\u{0AA3}\u{0AA4}"),
    (0x2A, "\u{0AA5}\u{0AA6}"),
    (0x2D, "\u{0AA7}"),
    (0x2F, "\u{0AA8}"),
    (0x3D, "\u{0AAA}\u{0AAB}"),
    (0x40, "\u{0AAC}\u{0AAD}\u{0AAE}\u{0AAF}\u{0AB0}"),
    (0x46, "\u{0AB2}\u{0AB3}"),
    (0x49, "\u{0AB5}\u{0AB6}\u{0AB7}\u{0AB8}\u{0AB9}\u{0ABC}\u{0ABD}\u{0ABE}\u{0ABF}\u{0AC0}"),
    (0x53, "\u{0AC1}\u{0AC2}\u{0AC3}\u{0AC4}\u{0AC5}"),
    (0x59, "\u{0AC7}\u{0AC8}\u{0AC9}"),
    (0x5D, "\u{0ACB}\u{0ACC}\u{0ACD}\u{0AD0}"),
    (0x7B, "\u{0AE0}\u{0AE1}\u{0AE2}\u{0AE3}\u{0AF1}"),
];

pub const GUJARATI_SINGLE: Runs = &[
    (0x19, "\u{0964}\u{0965}"),
    (0x1C, "\u{0AE6}\u{0AE7}\u{0AE8}\u{0AE9}\u{0AEA}\u{0AEB}\u{0AEC}\u{0AED}\u{0AEE}\u{0AEF}"),
    (0x65, "€"),
];

pub const HINDI_LOCKING: Runs = &[
    (0x00, "\u{0901}\u{0902}\u{0903}\u{0905}\u{0906}\u{0907}\u{0908}\u{0909}\u{090A}\u{090B}"),
    (0x0B, "\u{090C}\u{090D}"),
    (0x0E, "\u{090E}\u{090F}\u{0910}\u{0911}\u{0912}\u{0913}\u{0914}\u{0915}\u{0916}\u{0917}"),
    (0x18, "\u{0918}\u{0919}\u{091A}"),
    (0x1C, "\u{091B}\u{091C}\u{091D}\u{091E}"),
    (0x22, "\u{091F}\u{0920}\u{0921}\u{0922}\u{0923}\u{0924}"),
    (0x2A, "\u{0925}\u{0926}"),
    (0x2D, "\u{0927}"),
    (0x2F, "\u{0928}"),
    (0x3C, "\u{0929}\u{092A}\u{092B}"),
    (0x40, "\u{092C}\u{092D}\u{092E}\u{092F}\u{0930}\u{0931}\u{0932}\u{0933}\u{0934}\u{0935}"),
    (0x4A, "\u{0936}\u{0937}\u{0938}\u{0939}\u{093C}\u{093D}\u{093E}\u{093F}\u{0940}\u{0941}"),
    (0x54, "\u{0942}\u{0943}\u{0944}\u{0945}\u{0946}\u{0947}\u{0948}\u{0949}\u{094A}\u{094B}"),
    (0x5E, "\u{094C}\u{094D}\u{0950}"),
    (0x7B, "\u{0972}\u{097B}\u{097C}\u{097E}\u{097F}"),
];

pub const HINDI_SINGLE: Runs = &[
    (0x19, "\u{0964}\u{0965}"),
    (0x1C, "\u{0966}\u{0967}\u{0968}\u{0969}\u{096A}\u{096B}\u{096C}\u{096D}\u{096E}\u{096F}"),
    (0x26, "\u{0951}\u{0952}"),
    (0x2A, "\u{0953}\u{0954}\u{0958}\u{0959}\u{095A}"),
    (0x30, "\u{095B}\u{095C}\u{095D}\u{095E}\u{095F}\u{0960}\u{0961}\u{0962}\u{0963}\u{0970}"),
    (0x3A, "\u{0971}"),
    (0x65, "€"),
];

pub const KANNADA_LOCKING: Runs = &[
    (0x01, "\u{0C82}\u{0C83}\u{0C85}\u{0C86}\u{0C87}\u{0C88}\u{0C89}\u{0C8A}\u{0C8B}"),
    (0x0B, "\u{0C8C}"),
    (0x0E, "\u{0C8E}\u{0C8F}\u{0C90}"),
    (0x12, "\u{0C92}\u{0C93}\u{0C94}\u{0C95}\u{0C96}\u{0C97}\u{0C98}\u{0C99}\u{0C9A}"),
    (0x1C, "\u{0C9B}\u{0C9C}\u{0C9D}\u{0C9E}"),
    (0x22, "\u{0C9F}\u{0CA0}\u{0CAA}\u{0CA2}\u{0CA3}\u{0CA4}"),
    (0x2A, "\u{0CA5}\u{0CA6}"),
    (0x2D, "\u{0CA7}"),
    (0x2F, "\u{0CA8}"),
    (0x3D, "\u{0CAA}\u{0CAB}"),
    (0x40, "\u{0CAC}\u{0CAD}\u{0CAE}\u{0CAF}\u{0CB0}\u{0CB1}\u{0CB2}\u{0CB3}"),
    (0x49, "\u{0CB5}\u{0CB6}\u{0CB7}\u{0CB8}\u{0CB9}\u{0CBC}\u{0CBD}\u{0CBE}\u{0CBF}\u{0CC0}"),
    (0x53, "\u{0CC1}\u{0CC2}\u{0CC3}\u{0CC4}"),
    (0x58, "\u{0CC6}\u{0CC7}\u{0CC8}"),
    (0x5C, "\u{0CCA}\u{0CCB}\u{0CCC}\u{0CCD}\u{0CD5}"),
    (0x7B, "\u{0CD6}\u{0CE0}\u{0CE1}\u{0CE2}\u{0CE3}"),
];

pub const KANNADA_SINGLE: Runs = &[
    (0x19, "\u{0964}\u{0965}"),
    (0x1C, "\u{0CE6}\u{0CE7}\u{0CE8}\u{0CE9}\u{0CEA}\u{0CEB}\u{0CEC}\u{0CED}\u{0CEE}\u{0CEF}"),
    (0x26, "\u{0CDE}\u{0CF1}"),
    (0x2A, "\u{0CF2}"),
    (0x65, "€"),
];

pub const MALAYALAM_LOCKING: Runs = &[
    (0x01, "\u{0D02}\u{0D03}\u{0D05}\u{0D06}\u{0D07}\u{0D08}\u{0D09}\u{0D0A}\u{0D0B}"),
    (0x0B, "\u{0D0C}"),
    (0x0E, "\u{0D0E}\u{0D0F}\u{0D10}"),
    (0x12, "\u{0D12}\u{0D13}\u{0D14}\u{0D15}\u{0D16}\u{0D17}\u{0D18}\u{0D19}\u{0D1A}"),
    (0x1C, "\u{0D1B}\u{0D1C}\u{0D1D}\u{0D1E}"),
    (0x22, "\u{0D1F}\u{0D20}\u{0D21}\u{0D22}\u{0D23}\u{0D24}"),
    (0x2A, "\u{0D25}\u{0D26}"),
    (0x2D, "\u{0D27}"),
    (0x2F, "\u{0D28}"),
    (0x3D, "\u{0D2A}\u{0D2B}"),
    (0x40, "\u{0D2C}\u{0D2D}\u{0D2E}\u{0D2F}\u{0D30}\u{0D31}\u{0D32}\u{0D33}\u{0D34}\u{0D35}"),
    (0x4A, "\u{0D36}\u{0D37}\u{0D38}\u{0D39}"),
    (0x4F, "\u{0D3D}\u{0D3E}\u{0D3F}\u{0D40}\u{0D41}\u{0D42}\u{0D43}\u{0D44}"),
    (0x58, "\u{0D46}\u{0D47}\u{0D48}"),
    (0x5C, "\u{0D4A}\u{0D4B}\u{0D4C}\u{0D4D}\u{0D57}"),
    (0x7B, "\u{0D60}\u{0D61}\u{0D62}\u{0D63}\u{0D79}"),
];

pub const MALAYALAM_SINGLE: Runs = &[
    (0x19, "\u{0964}\u{0965}"),
    (0x1C, "\u{0D66}\u{0D67}\u{0D68}\u{0D69}\u{0D6A}\u{0D6B}\u{0D6C}\u{0D6D}\u{0D6E}\u{0D6F}"),
    (0x26, "\u{0D70}\u{0D71}"),
    (0x2A, "\u{0D72}\u{0D73}\u{0D74}\u{0D75}\u{0D7A}"),
    (0x30, "\u{0D7B}\u{0D7C}\u{0D7D}\u{0D7E}\u{0D7F}"),
    (0x65, "€"),
];

pub const ORIYA_LOCKING: Runs = &[
    (0x00, "\u{0B01}\u{0B02}\u{0B03}\u{0B05}\u{0B06}\u{0B07}\u{0B08}\u{0B09}\u{0B0A}\u{0B0B}"),
    (0x0B, "\u{0B0C}"),
    (0x0F, "\u{0B0F}\u{0B10}"),
    (0x13, "\u{0B13}\u{0B14}\u{0B15}\u{0B16}\u{0B17}\u{0B18}\u{0B19}\u{0B1A}"),
    (0x1C, "\u{0B1B}\u{0B1C}\u{0B1D}\u{0B1E}"),
    (0x22, "\u{0B1F}\u{0B20}\u{0B21}\u{0B22}\u{0B23}\u{0B24}"),
    (0x2A, "\u{0B25}\u{0B26}"),
    (0x2D, "\u{0B27}"),
    (0x2F, "\u{0B28}"),
    (0x3D, "\u{0B2A}\u{0B2B}"),
    (0x40, "\u{0B2C}\u{0B2D}\u{0B2E}\u{0B2F}\u{0B30}"),
    (0x46, "\u{0B32}\u{0B33}"),
    (0x49, "\u{0B35}\u{0B36}\u{0B37}\u{0B38}\u{0B39}\u{0B3C}\u{0B3D}\u{0B3E}\u{0B3F}\u{0B40}"),
    (0x53, "\u{0B41}\u{0B42}\u{0B43}\u{0B44}"),
    (0x59, "\u{0B47}\u{0B48}"),
    (0x5D, "\u{0B4B}\u{0B4C}\u{0B4D}\u{0B56}"),
    (0x7B, "\u{0B57}\u{0B60}\u{0B61}\u{0B62}\u{0B63}"),
];

pub const ORIYA_SINGLE: Runs = &[
    (0x19, "\u{0964}\u{0965}"),
    (0x1C, "\u{0B66}\u{0B67}\u{0B68}\u{0B69}\u{0B6A}\u{0B6B}\u{0B6C}\u{0B6D}\u{0B6E}\u{0B6F}"),
    (0x26, "\u{0B5C}\u{0B5D}"),
    (0x2A, "\u{0B5F}\u{0B70}\u{0B71}"),
    (0x65, "€"),
];

pub const PUNJABI_LOCKING: Runs = &[
    (0x00, "\u{0A01}\u{0A02}\u{0A03}\u{0A05}\u{0A06}\u{0A07}\u{0A08}\u{0A09}\u{0A0A}"),
    (0x0F, "\u{0A0F}\u{0A10}"),
    (0x13, "\u{0A13}\u{0A14}\u{0A15}\u{0A16}\u{0A17}\u{0A18}\u{0A19}\u{0A1A}"),
    (0x1C, "\u{0A1B}\u{0A1C}\u{0A1D}\u{0A1E}"),
    (0x22, "\u{0A1F}\u{0A20}\u{0A21}\u{0A22}\u{0A23}\u{0A24}"),
    (0x2A, "\u{0A25}\u{0A26}"),
    (0x2D, "\u{0A27}"),
    (0x2F, "\u{0A28}"),
    (0x3D, "\u{0A2A}\u{0A2B}"),
    (0x40, "\u{0A2C}\u{0A2D}\u{0A2E}\u{0A2F}\u{0A30}"),
    (0x46, "\u{0A32}\u{0A33}"),
    (0x49, "\u{0A35}\u{0A36}"),
    (0x4C, "\u{0A38}\u{0A39}\u{0A3C}"),
    (0x50, "\u{0A3E}\u{0A3F}\u{0A40}\u{0A41}\u{0A42}"),
    (0x59, "\u{0A47}\u{0A48}"),
    (0x5D, "\u{0A4B}\u{0A4C}\u{0A4D}\u{0A51}"),
    (0x7B, "\u{0A70}\u{0A71}\u{0A72}\u{0A73}\u{0A74}"),
];

pub const PUNJABI_SINGLE: Runs = &[
    (0x19, "\u{0964}\u{0965}"),
    (0x1C, "\u{0A66}\u{0A67}\u{0A68}\u{0A69}\u{0A6A}\u{0A6B}\u{0A6C}\u{0A6D}\u{0A6E}\u{0A6F}"),
    (0x26, "\u{0A59}\u{0A5A}"),
    (0x2A, "\u{0A5B}\u{0A5C}\u{0A5E}\u{0A75}"),
    (0x65, "€"),
];

pub const TAMIL_LOCKING: Runs = &[
    (0x01, "\u{0B82}\u{0B83}\u{0B85}\u{0B86}\u{0B87}\u{0B88}\u{0B89}\u{0B8A}"),
    (0x0E, "\u{0B8E}\u{0B8F}\u{0B90}"),
    (0x12, "\u{0B92}\u{0B93}\u{0B94}\u{0B95}"),
    (0x19, "\u{0B99}\u{0B9A}"),
    (0x1D, "\u{0B9C}"),
    (0x1F, "\u{0B9E}"),
    (0x22, "\u{0B9F}"),
    (0x26, "\u{0BA3}\u{0BA4}"),
    (0x2F, "\u{0BA8}"),
    (0x3C, "\u{0BA9}\u{0BAA}"),
    (0x42, "\u{0BAE}\u{0BAF}\u{0BB0}\u{0BB1}\u{0BB2}\u{0BB3}\u{0BB4}\u{0BB5}\u{0BB6}\u{0BB7}"),
    (0x4C, "\u{0BB8}\u{0BB9}"),
    (0x50, "\u{0BBE}\u{0BBF}\u{0BC0}\u{0BC1}\u{0BC2}"),
    (0x58, "\u{0BC6}\u{0BC7}\u{0BC8}"),
    (0x5C, "\u{0BCA}\u{0BCB}\u{0BCC}\u{0BCD}\u{0BD0}"),
    (0x7B, "\u{0BD7}\u{0BF0}\u{0BF1}\u{0BF2}\u{0BF9}"),
];

pub const TAMIL_SINGLE: Runs = &[
    (0x19, "\u{0964}\u{0965}"),
    (0x1C, "\u{0BE6}\u{0BE7}\u{0BE8}\u{0BE9}\u{0BEA}\u{0BEB}\u{0BEC}\u{0BED}\u{0BEE}\u{0BEF}"),
    (0x26, "\u{0BF3}\u{0BF4}"),
    (0x2A, "\u{0BF5}\u{0BF6}\u{0BF7}\u{0BF8}\u{0BFA}"),
    (0x65, "€"),
];

pub const TELUGU_LOCKING: Runs = &[
    (0x00, "\u{0C01}\u{0C02}\u{0C03}\u{0C05}\u{0C06}\u{0C07}\u{0C08}\u{0C09}\u{0C0A}\u{0C0B}"),
    (0x0B, "\u{0C0C}"),
    (0x0E, "\u{0C0E}\u{0C0F}\u{0C10}"),
    (0x12, "\u{0C12}\u{0C13}\u{0C14}\u{0C15}\u{0C16}\u{0C17}\u{0C18}\u{0C19}\u{0C1A}"),
    (0x1C, "\u{0C1B}\u{0C1C}\u{0C1D}\u{0C1E}"),
    (0x22, "\u{0C1F}\u{0C20}\u{0C21}\u{0C22}\u{0C23}\u{0C24}"),
    (0x2A, "\u{0C25}\u{0C26}"),
    (0x2D, "\u{0C27}"),
    (0x2F, "\u{0C28}"),
    (0x3D, "\u{0C2A}\u{0C2B}"),
    (0x40, "\u{0C2C}\u{0C2D}\u{0C2E}\u{0C2F}\u{0C30}\u{0C31}\u{0C32}\u{0C33}"),
    (0x49, "\u{0C35}\u{0C36}\u{0C37}\u{0C38}\u{0C39}"),
    (0x4F, "\u{0C3D}\u{0C3E}\u{0C3F}\u{0C40}\u{0C41}\u{0C42}\u{0C43}\u{0C44}"),
    (0x58, "\u{0C46}\u{0C47}\u{0C48}"),
    (0x5C, "\u{0C4A}\u{0C4B}\u{0C4C}\u{0C4D}\u{0C55}"),
    (0x7B, "\u{0C56}\u{0C60}\u{0C61}\u{0C62}\u{0C63}"),
];

pub const TELUGU_SINGLE: Runs = &[
    (0x1C, "\u{0C66}\u{0C67}\u{0C68}\u{0C69}\u{0C6A}\u{0C6B}\u{0C6C}\u{0C6D}\u{0C6E}\u{0C6F}"),
    (0x26, "\u{0C58}\u{0C59}"),
    (0x2A, "\u{0C78}\u{0C79}\u{0C7A}\u{0C7B}\u{0C7C}"),
    (0x30, "\u{0C7D}\u{0C7E}\u{0C7F}"),
];

pub const URDU_LOCKING: Runs = &[
    (0x00, "\u{0627}\u{0622}\u{0628}\u{067B}\u{0680}\u{067E}\u{06A6}\u{062A}\u{06C2}\u{067F}"),
    (0x0B, "\u{0679}\u{067D}"),
    (0x0E, "\u{067A}\u{067C}\u{062B}\u{062C}\u{0681}\u{0684}\u{0683}\u{0685}\u{0686}\u{0687}"),
    (0x18, "\u{062D}\u{062E}\u{062F}"),
    (0x1C, "\u{068C}\u{0688}\u{0689}\u{068A}"),
    (0x22, "\u{068F}\u{068D}\u{0630}\u{0631}\u{0691}\u{0693}"),
    (0x2A, "\u{0699}\u{0632}"),
    (0x2D, "\u{0696}"),
    (0x2F, "\u{0698}"),
    (0x3C, "\u{069A}\u{0633}\u{0634}"),
    (0x40, "\u{0635}\u{0636}\u{0637}\u{0638}\u{0639}\u{0641}\u{0642}\u{06A9}\u{06AA}\u{06AB}"),
    (0x4A, "\u{06AF}\u{06B3}\u{06B1}\u{0644}\u{0645}\u{0646}\u{06BA}\u{06BB}\u{06BC}\u{0648}"),
    (0x54, "\u{06C4}\u{06D5}\u{06C1}\u{06BE}\u{0621}\u{06CC}\u{06D0}\u{06D2}\u{064D}\u{0650}"),
    (0x5E, "\u{064F}\u{0657}\u{0654}"),
    (0x7B, "\u{0655}\u{0651}\u{0653}\u{0656}\u{0670}"),
];

pub const URDU_SINGLE: Runs = &[
    (0x19, "\u{0600}\u{0601}"),
    (0x1C, "\u{06F0}\u{06F1}\u{06F2}\u{06F3}\u{06F4}\u{06F5}\u{06F6}\u{06F7}\u{06F8}\u{06F9}"),
    (0x26, "\u{060C}\u{060D}"),
    (0x2A, "\u{060E}\u{060F}\u{0610}\u{0611}\u{0612}"),
    (0x30, "\u{0613}\u{0614}\u{061B}\u{061F}\u{0640}\u{0652}\u{0658}\u{066B}\u{066C}\u{0672}"),
    (0x3A, "\u{0673}\u{06CD}"),
    (0x3F, "\u{06D4}"),
    (0x65, "€"),
];
