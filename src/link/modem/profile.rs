//! What is different about a vendor's modems, as data (modem.md 3.9 and 3.10).

use crate::config::Vendor;

/// A command that tells how many tries of the PIN are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinTries {
    pub command: &'static str,
    pub prefix: &'static str,
    /// Which of the comma-separated fields behind the prefix is the number.
    pub field: usize,
}

/// One family's ways. Commands of `setup` and `iccid` may fail.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    pub vendor: Vendor,
    /// What its AT+CGMI contains, in small letters.
    names: &'static [&'static str],
    /// After the identification.
    pub setup: &'static [&'static str],
    /// Tried in order until one answers, each with what its answer begins with.
    pub iccid: &'static [(&'static str, &'static str)],
    pub pin_tries: PinTries,
    /// Starts the modem anew.
    pub reset: &'static str,
    /// AT+CMMS may be tried.
    pub keeps_link: bool,
}

const CCID: (&str, &str) = ("AT+CCID", "+CCID:");
const PIN_TRIES: PinTries = PinTries { command: "AT+CPINR=\"SIM PIN\"", prefix: "+CPINR:", field: 1 };

const GENERIC: Profile = Profile {
    vendor: Vendor::Generic,
    names: &[],
    setup: &[],
    iccid: &[CCID, ("AT+ICCID", "+ICCID:")],
    pin_tries: PIN_TRIES,
    reset: "AT+CFUN=1,1",
    keeps_link: true,
};

const PROFILES: &[Profile] = &[
    Profile {
        vendor: Vendor::Huawei,
        names: &["huawei"],
        // No periodic lines; this is the port that announces messages.
        setup: &["AT^CURC=0", "AT^PORTSEL=1"],
        iccid: &[("AT^ICCID?", "^ICCID:"), CCID],
        pin_tries: PinTries { command: "AT^CPIN?", prefix: "^CPIN:", field: 3 },
        reset: "AT^RESET",
        ..GENERIC
    },
    Profile {
        vendor: Vendor::Zte,
        names: &["zte"],
        setup: &["AT+ZCDRUN=8", "AT+ZOPRT=5", "AT+CPMS?"],
        iccid: &[("AT+ZGETICCID", "+ZGETICCID:"), CCID],
        pin_tries: PinTries { command: "AT+ZPINPUK=?", prefix: "+ZPINPUK:", field: 0 },
        ..GENERIC
    },
    Profile {
        vendor: Vendor::Simcom,
        names: &["simcom"],
        iccid: &[CCID, ("AT+CICCID", "+ICCID:")],
        pin_tries: PinTries { command: "AT+SPIC", prefix: "+SPIC:", field: 0 },
        reset: "AT+CFUN=1,1",
        ..GENERIC
    },
    Profile {
        vendor: Vendor::Quectel,
        names: &["quectel"],
        // Announcements come on this port only once they are sent there.
        setup: &["AT+QURCCFG=\"urcport\",\"usbat\""],
        iccid: &[("AT+QCCID", "+QCCID:"), CCID],
        pin_tries: PinTries { command: "AT+QPINC=\"SC\"", prefix: "+QPINC:", field: 1 },
        ..GENERIC
    },
    Profile {
        vendor: Vendor::Telit,
        names: &["telit"],
        iccid: &[("AT#CCID", "#CCID:"), CCID],
        pin_tries: PinTries { command: "AT#PCT", prefix: "#PCT:", field: 0 },
        reset: "AT#REBOOT",
        ..GENERIC
    },
    Profile {
        vendor: Vendor::Cinterion,
        names: &["cinterion", "siemens", "gemalto", "thales"],
        iccid: &[CCID, ("AT^SCID", "^SCID:")],
        pin_tries: PinTries { command: "AT^SPIC", prefix: "^SPIC:", field: 0 },
        ..GENERIC
    },
    Profile {
        vendor: Vendor::Sierra,
        names: &["sierra", "wavecom"],
        iccid: &[CCID, ("AT!ICCID?", "!ICCID:")],
        pin_tries: PinTries { command: "AT+CPINC?", prefix: "+CPINC:", field: 0 },
        reset: "AT!RESET",
        ..GENERIC
    },
];

impl Profile {
    /// The configured vendor's; with `Auto` the one that the manufacturer's name fits, generic until it is known.
    pub fn of(vendor: Vendor, manufacturer: Option<&str>) -> &'static Profile {
        let named = manufacturer.unwrap_or_default().to_ascii_lowercase();
        let fits = |profile: &&Profile| match vendor {
            Vendor::Auto => profile.names.iter().any(|name| named.contains(name)),
            configured => profile.vendor == configured,
        };
        PROFILES.iter().find(fits).unwrap_or(&GENERIC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manufacturer_chooses_only_where_nothing_is_configured() {
        assert_eq!(Profile::of(Vendor::Auto, None).vendor, Vendor::Generic);
        assert_eq!(Profile::of(Vendor::Auto, Some("HUAWEI Technologies")).vendor, Vendor::Huawei);
        assert_eq!(Profile::of(Vendor::Auto, Some("Sierra Wireless, Inc.")).vendor, Vendor::Sierra);
        assert_eq!(Profile::of(Vendor::Auto, Some("Gemalto")).vendor, Vendor::Cinterion);
        assert_eq!(Profile::of(Vendor::Generic, Some("huawei")).vendor, Vendor::Generic);
        assert_eq!(Profile::of(Vendor::Telit, Some("huawei")).vendor, Vendor::Telit);
    }

    #[test]
    fn every_configurable_vendor_has_a_profile() {
        for profile in PROFILES {
            assert_eq!(Profile::of(profile.vendor, None).vendor, profile.vendor);
        }
        assert_eq!(PROFILES.len(), 7);
    }
}
