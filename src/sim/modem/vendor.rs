//! Whose modem it plays: names, storages, unsolicited lines at power-on, and the vendor's own commands.

use super::storage::Name;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Vendor {
    #[default]
    Generic,
    Huawei,
    Simcom,
    Quectel,
}

/// What stays the same for all modems of a vendor.
#[derive(Debug)]
pub struct Persona {
    pub manufacturer: &'static str,
    pub model: &'static str,
    pub revision: &'static str,
    /// The lowest index of SM and ME.
    pub base: usize,
    /// All three of +CPMS at power-on.
    pub storage: Name,
    /// Where +CNMI ds=2 puts status reports; None: where messages go.
    pub reports: Option<Name>,
    /// The empty slot is a bare OK to +CMGR, and not CMS 321.
    pub empty_is_ok: bool,
    /// A USB stick: a reboot takes the port away.
    pub usb: bool,
    /// Writes lines of its own accord again and again, until ^CURC=0.
    pub periodic: bool,
    /// CMS error of a modem that is busy.
    pub busy: u16,
    /// The answer to an unknown command of the vendor's own kind, where it is no ERROR.
    pub unknown: Option<&'static str>,
    /// Lines after power-on.
    pub boot: &'static [&'static str],
    /// The line that tells of a full storage, `{}` for its name.
    pub full: Option<&'static str>,
    /// The command that reads the SIM's number.
    pub iccid: &'static str,
}

const GENERIC: Persona = Persona {
    manufacturer: "nudged",
    model: "SIMULATED",
    revision: "1.0",
    base: 1,
    storage: Name::Sm,
    reports: None,
    empty_is_ok: false,
    usb: false,
    periodic: false,
    busy: 42,
    unknown: None,
    boot: &["RDY", "+CFUN: 1", "+CPIN: READY"],
    full: None,
    iccid: "+CCID",
};

const HUAWEI: Persona = Persona {
    manufacturer: "huawei",
    model: "E173",
    revision: "11.126.85.00.209",
    base: 0,
    storage: Name::Me,
    usb: true,
    periodic: true,
    unknown: Some("COMMAND NOT SUPPORT"),
    boot: &["^SIMST:1", "^SRVST:2", "^MODE:5,4"],
    full: Some("^SMMEMFULL:\"{}\""),
    iccid: "^ICCID",
    ..GENERIC
};

const SIMCOM: Persona = Persona {
    manufacturer: "SIMCOM_Ltd",
    model: "SIMCOM_SIM800L",
    revision: "Revision:1418B05SIM800L24",
    empty_is_ok: true,
    busy: 515,
    boot: &["RDY", "+CFUN: 1", "+CPIN: READY", "Call Ready", "SMS Ready"],
    full: Some("+CIEV: 8,1"),
    ..GENERIC
};

const QUECTEL: Persona = Persona {
    manufacturer: "Quectel",
    model: "EC25",
    revision: "EC25EFAR06A01M4G",
    base: 0,
    storage: Name::Me,
    reports: Some(Name::Sr),
    empty_is_ok: true,
    usb: true,
    boot: &["RDY", "+CFUN: 1", "+CPIN: READY", "+QIND: SMS DONE", "+QIND: PB DONE"],
    full: Some("+QIND: \"smsfull\",\"{}\""),
    iccid: "+QCCID",
    ..GENERIC
};

impl Vendor {
    pub fn persona(self) -> &'static Persona {
        match self {
            Vendor::Generic => &GENERIC,
            Vendor::Huawei => &HUAWEI,
            Vendor::Simcom => &SIMCOM,
            Vendor::Quectel => &QUECTEL,
        }
    }
}
