//! Area codes of the North American Numbering Plan: country and zones. Data only.
//!
//! A code that covers a border of zones has both. Codes without a place (800, 5XX) and codes that are too new for
//! the table are not found, and the caller takes a wider set. Pacific, Mountain, Central and Eastern stand for all
//! zones with the same clock today.

const ET: &str = "America/New_York";
const CT: &str = "America/Chicago";
const MT: &str = "America/Denver";
const AZ: &str = "America/Phoenix";
const PT: &str = "America/Los_Angeles";
const CA_ET: &str = "America/Toronto";
const CA_CT: &str = "America/Winnipeg";
const CA_MT: &str = "America/Edmonton";
const CA_PT: &str = "America/Vancouver";
const CA_AT: &str = "America/Halifax";

/// What an area code says.
#[derive(Clone, Copy, Debug)]
pub struct Area {
    pub country: &'static str,
    /// Empty outside the US and Canada, where the country has one zone.
    pub zones: &'static [&'static str],
}

pub const LOWER_48_AND_CANADA: &[&str] = &[
    ET,
    CT,
    MT,
    AZ,
    PT,
    CA_ET,
    CA_CT,
    "America/Regina",
    CA_MT,
    CA_PT,
    "America/Whitehorse",
    CA_AT,
    "America/St_Johns",
];

pub fn area(code: u16) -> Option<Area> {
    let row = |rows: &'static [Row], country| {
        let (zones, _) = rows.iter().find(|(_, codes)| codes.contains(&code))?;
        Some(Area { country, zones })
    };
    let other = || OTHER.iter().find(|(_, codes)| codes.contains(&code));
    row(US, "US")
        .or_else(|| row(CA, "CA"))
        .or_else(|| other().map(|(country, _)| Area { country, zones: &[] }))
}

#[cfg(test)]
pub fn all() -> impl Iterator<Item = &'static str> {
    let rows = US.iter().chain(CA).flat_map(|(zones, _)| zones.iter());
    rows.chain(LOWER_48_AND_CANADA).copied()
}

type Row = (&'static [&'static str], &'static [u16]);

const US: &[Row] = &[
    (
        &[ET],
        &[
            201, 202, 203, 207, 212, 215, 216, 220, 223, 227, 229, 234, 239, 240, 248, 252, 260, 267, 269,
            272, 276, 283, 301, 302, 304, 305, 313, 315, 317, 321, 324, 326, 329, 330, 332, 336, 339, 347,
            351, 352, 363, 380, 386, 401, 404, 407, 410, 412, 413, 419, 434, 436, 440, 443, 445, 463, 470,
            472, 475, 478, 484, 502, 508, 513, 516, 517, 518, 540, 551, 561, 567, 570, 571, 582, 585, 586,
            603, 606, 607, 609, 610, 614, 616, 617, 624, 631, 640, 645, 646, 656, 667, 678, 679, 680, 681,
            686, 689, 703, 704, 706, 716, 717, 718, 724, 727, 728, 732, 734, 740, 743, 754, 757, 762, 765,
            770, 771, 772, 774, 781, 786, 802, 803, 804, 810, 813, 814, 821, 826, 828, 835, 838, 839, 843,
            845, 848, 854, 856, 857, 859, 860, 862, 863, 864, 865, 878, 904, 908, 910, 912, 914, 917, 919,
            929, 934, 937, 941, 943, 947, 948, 954, 959, 973, 978, 980, 984, 989,
        ],
    ),
    (&[ET, CT], &[219, 231, 270, 364, 423, 448, 574, 812, 850, 906, 930]),
    (
        &[CT],
        &[
            205, 210, 214, 217, 218, 224, 225, 228, 235, 251, 254, 256, 262, 274, 281, 309, 312, 314, 316,
            318, 319, 320, 325, 327, 331, 334, 337, 346, 353, 361, 402, 405, 409, 414, 417, 430, 432, 447,
            457, 464, 469, 471, 479, 501, 504, 507, 512, 515, 531, 534, 539, 557, 563, 572, 573, 580, 601,
            608, 612, 615, 618, 621, 629, 630, 636, 641, 651, 659, 660, 662, 682, 708, 712, 713, 715, 726,
            730, 731, 737, 763, 769, 773, 779, 806, 815, 816, 817, 830, 832, 847, 861, 870, 872, 901, 903,
            913, 918, 920, 924, 931, 936, 938, 940, 945, 952, 956, 972, 975, 979, 985,
        ],
    ),
    (&[CT, MT], &[308, 605, 620, 701, 785]),
    (&[MT], &[303, 307, 385, 406, 435, 505, 575, 719, 720, 748, 801, 915, 970, 983]),
    (&[AZ], &[480, 520, 602, 623]),
    (&[AZ, MT], &[928]),
    (&[MT, PT], &[208, 458, 541, 775, 986]),
    (
        &[PT],
        &[
            206, 209, 213, 253, 279, 310, 323, 341, 350, 357, 360, 369, 408, 415, 424, 425, 442, 503, 509,
            510, 530, 559, 562, 564, 619, 626, 628, 650, 657, 661, 669, 702, 707, 714, 725, 738, 747, 760,
            805, 818, 820, 831, 837, 840, 858, 909, 916, 925, 949, 951, 971,
        ],
    ),
    (&["America/Anchorage"], &[907]),
    (&["Pacific/Honolulu"], &[808]),
];

const CA: &[Row] = &[
    (
        &[CA_ET],
        &[
            226, 249, 263, 289, 343, 354, 365, 382, 416, 437, 438, 450, 468, 514, 519, 548, 579, 613, 647,
            683, 705, 742, 753, 819, 873, 905, 942,
        ],
    ),
    // The north-west of Ontario keeps Central time.
    (&[CA_ET, CA_CT], &[807]),
    // Eastern Quebec with the Magdalen Islands.
    (&[CA_ET, CA_AT], &[367, 418, 581]),
    (&[CA_AT], &[428, 506, 782, 902]),
    // Labrador keeps Atlantic time.
    (&["America/St_Johns", CA_AT], &[709, 879]),
    (&[CA_CT], &[204, 431, 584]),
    // Lloydminster keeps Alberta's time.
    (&["America/Regina", CA_MT], &[306, 474, 639]),
    (&[CA_MT], &[368, 403, 587, 780, 825]),
    (&[CA_PT], &[604]),
    // The Kootenays and the Peace River keep Mountain time.
    (&[CA_PT, CA_MT], &[236, 250, 257, 672, 778]),
    (&["America/Whitehorse", CA_MT, CA_CT, CA_ET], &[867]),
];

const OTHER: &[(&str, &[u16])] = &[
    ("AG", &[268]),
    ("AI", &[264]),
    ("AS", &[684]),
    ("BB", &[246]),
    ("BM", &[441]),
    ("BS", &[242]),
    ("DM", &[767]),
    ("DO", &[809, 829, 849]),
    ("GD", &[473]),
    ("GU", &[671]),
    ("JM", &[658, 876]),
    ("KN", &[869]),
    ("KY", &[345]),
    ("LC", &[758]),
    ("MP", &[670]),
    ("MS", &[664]),
    ("PR", &[787, 939]),
    ("SX", &[721]),
    ("TC", &[649]),
    ("TT", &[868]),
    ("VC", &[784]),
    ("VG", &[284]),
    ("VI", &[340]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_area_code_stands_once() {
        let codes = US.iter().chain(CA).flat_map(|(_, codes)| codes.iter());
        let mut codes: Vec<u16> =
            codes.chain(OTHER.iter().flat_map(|(_, codes)| codes.iter())).copied().collect();
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
        assert!(codes.iter().all(|code| (200..1000).contains(code)));
    }
}
