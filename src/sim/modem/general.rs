//! All commands but those of messages: V.250, 27.007 and the vendors' own.

use super::answer::{Failure, Style};
use super::command::{Args, Command, Form};
use super::device::{Answer, Device, Then};
use super::settings::{Settings, Unlock};
use crate::clock::Now;

/// What a locked SIM still allows: everything that needs neither the SIM nor the network.
const WITHOUT_PIN: [&str; 30] = [
    "+CPIN",
    "+CPINR",
    "^CPIN",
    "+QPINC",
    "+SPIC",
    "+CFUN",
    "+CMEE",
    "+CGMI",
    "+CGMM",
    "+CGMR",
    "+CGSN",
    "+GMI",
    "+GMM",
    "+GMR",
    "+GSN",
    "+GCAP",
    "+CSCS",
    "+CSQ",
    "+CBC",
    "+CREG",
    "+CGREG",
    "+CEREG",
    "+CLAC",
    "^CURC",
    "^PORTSEL",
    "^SYSINFO",
    "^SYSINFOEX",
    "+CMGF",
    "+IPR",
    "+CPAS",
];
/// Commands of messages answer a locked SIM with a CMS error.
const OF_MESSAGES: [&str; 12] = [
    "+CSMS", "+CMMS", "+CSCA", "+CPMS", "+CNMI", "+CMGS", "+CMGR", "+CMGL", "+CMGD", "+CNMA", "+CSCB",
    "+CSMP",
];
/// Location area and cell of the simulated network.
const CELL: &str = "\"00C3\",\"0000A1F4\"";
/// MCC and MNC of the simulated operator.
const NETWORK: &str = "26299";

impl Device {
    pub fn execute(&mut self, command: &Command, now: Now) -> Answer {
        let name = command.name.as_str();
        if !self.sim.is_ready() && !WITHOUT_PIN.contains(&name) && name.starts_with(['+', '^', '$']) {
            return Err(match (OF_MESSAGES.contains(&name), self.sim.needs_puk()) {
                (true, false) => Failure::SMS_PIN_REQUIRED,
                (true, true) => Failure::SMS_PUK_REQUIRED,
                (false, false) => Failure::PIN_REQUIRED,
                (false, true) => Failure::PUK_REQUIRED,
            });
        }
        self.basic(command)
            .or_else(|| self.identity(command))
            .or_else(|| self.sim_and_radio(command))
            .or_else(|| self.network(command))
            .or_else(|| self.rest(command))
            .or_else(|| self.vendors_own(command))
            .or_else(|| self.message_command(command, now))
            .unwrap_or_else(|| Err(self.unknown(name)))
    }

    fn unknown(&self, name: &str) -> Failure {
        match self.persona.unknown {
            Some(words) if name.starts_with('^') => Failure::Words(words),
            _ if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '&') => Failure::Plain,
            _ => Failure::NOT_SUPPORTED,
        }
    }

    /// V.250 sections 6.1 to 6.3.
    fn basic(&mut self, command: &Command) -> Option<Answer> {
        let value = match &command.form {
            Form::Set(args) => args.number(0).ok().flatten().unwrap_or(0),
            _ => 0,
        };
        let style = &mut self.settings.style;
        match command.name.as_str() {
            "E" if value < 2 => style.echo = value == 1,
            "V" if value < 2 => style.verbose = value == 1,
            "Q" if value < 2 => style.quiet = value == 1,
            "E" | "V" | "Q" => return Some(Err(Failure::Plain)),
            "Z" => self.settings.style = Style::DEFAULT,
            "&F" => {
                let network = self.settings.clone();
                self.settings = Settings {
                    cfun: network.cfun,
                    registration: network.registration,
                    signal: network.signal,
                    csca: network.csca,
                    ..Settings::new(self.persona)
                };
            }
            "I" => self.describe(),
            "D" => {
                let style = *style;
                self.say(&style.result("NO CARRIER", "3"));
                return Some(Ok(Then::Silent));
            }
            "H" | "O" | "X" | "L" | "M" | "W" | "P" | "T" | "&C" | "&D" | "&S" | "&W" | "&K" | "&R"
            | "&V" => {}
            name if name.starts_with('S') => {
                if command.form == Form::Read {
                    self.inform("000");
                }
            }
            _ => return None,
        }
        Some(Ok(Then::Done))
    }

    fn describe(&mut self) {
        let (persona, imei) = (self.persona, self.options.imei.clone());
        self.inform(&format!(
            "Manufacturer: {}\r\nModel: {}\r\nRevision: {}\r\nIMEI: {imei}\r\n+GCAP: +CGSM",
            persona.manufacturer, persona.model, persona.revision
        ));
    }

    /// 27.007 section 5.
    fn identity(&mut self, command: &Command) -> Option<Answer> {
        let options = &self.options;
        let text = match command.name.as_str() {
            "+CGMI" | "+GMI" => self.persona.manufacturer.to_owned(),
            "+CGMM" | "+GMM" => self.persona.model.to_owned(),
            "+CGMR" | "+GMR" => self.persona.revision.to_owned(),
            "+CGSN" | "+GSN" => options.imei.clone(),
            "+CIMI" => options.imsi.clone(),
            "+CNUM" => format!("+CNUM: ,\"{}\",145", options.number),
            "+GCAP" => "+GCAP: +CGSM".to_owned(),
            name if name == self.persona.iccid => format!("{name}: {}", options.iccid),
            _ => return None,
        };
        if command.form != Form::Test {
            self.inform(&text);
        }
        Some(Ok(Then::Done))
    }

    /// +CPIN, its counters, and +CFUN (27.007 section 8).
    fn sim_and_radio(&mut self, command: &Command) -> Option<Answer> {
        let (pin, puk) = self.sim.tries();
        let state = self.sim.state();
        let line = match (command.name.as_str(), &command.form) {
            ("+CPIN", Form::Read) => format!("+CPIN: {state}"),
            ("+CPIN", Form::Set(args)) => return Some(self.enter_pin(args)),
            ("+CPIN", Form::Test) => return Some(Ok(Then::Done)),
            ("+CPINR", Form::Run | Form::Set(_)) => {
                format!("+CPINR: SIM PIN,{pin},3\r\n+CPINR: SIM PUK,{puk},10")
            }
            ("^CPIN", Form::Read) => format!("^CPIN: {state},{puk},{pin},{puk},3"),
            ("+QPINC", Form::Read) => format!("+QPINC: \"SC\",{pin},{puk}\r\n+QPINC: \"P2\",3,10"),
            ("+SPIC", Form::Run | Form::Read) => format!("+SPIC: {pin},3,{puk},10"),
            ("+CFUN", form) => return Some(self.cfun(form)),
            _ => return None,
        };
        let own = match command.name.as_str() {
            "^CPIN" => "huawei",
            "+QPINC" => "Quectel",
            "+SPIC" => "SIMCOM_Ltd",
            _ => self.persona.manufacturer,
        };
        if own != self.persona.manufacturer {
            return None;
        }
        self.inform(&line);
        Some(Ok(Then::Done))
    }

    fn enter_pin(&mut self, args: &Args) -> Answer {
        let Some(pin) = self.options.pin.clone() else { return Err(Failure::NOT_ALLOWED) };
        let entered = args.text(0).ok_or(Failure::PARAMETERS)?;
        let done = match args.text(1) {
            None => self.sim.enter_pin(entered, &pin),
            Some(new) => {
                let done = self.sim.enter_puk(entered);
                if done == Unlock::Done {
                    self.options.pin = Some(new.to_owned());
                }
                done
            }
        };
        match done {
            Unlock::Done => {
                self.tell_registration();
                Ok(Then::Done)
            }
            Unlock::Wrong => Err(Failure::WRONG_PASSWORD),
            Unlock::NotAsked => Err(Failure::NOT_ALLOWED),
            Unlock::PukAsked => Err(Failure::PUK_REQUIRED),
        }
    }

    fn cfun(&mut self, form: &Form) -> Answer {
        match form {
            Form::Test => self.inform("+CFUN: (0,1,4),(0,1)"),
            Form::Read => self.inform(&format!("+CFUN: {}", self.settings.cfun)),
            Form::Set(args) => {
                let cfun = args.number(0)?.unwrap_or(1);
                if !matches!(cfun, 0 | 1 | 4) {
                    return Err(Failure::PARAMETERS);
                }
                if args.number(1)? == Some(1) {
                    return Ok(Then::Reboot);
                }
                let changed = self.settings.cfun != cfun as u8;
                self.settings.cfun = cfun as u8;
                if changed {
                    self.tell_registration();
                }
            }
            Form::Run => return Err(Failure::Plain),
        }
        Ok(Then::Done)
    }

    /// 27.007 section 7: registration, operator; and the signal of section 8.
    fn network(&mut self, command: &Command) -> Option<Answer> {
        let form = &command.form;
        match command.name.as_str() {
            "+CREG" => Some(self.creg(0, form)),
            "+CGREG" => Some(self.creg(1, form)),
            "+CEREG" => Some(self.creg(2, form)),
            "+COPS" => Some(self.cops(form)),
            "+CSQ" => {
                let line = match form {
                    Form::Test => "+CSQ: (0-31,99),(0-7,99)".to_owned(),
                    _ => format!("+CSQ: {},99", self.shown_signal()),
                };
                self.inform(&line);
                Some(Ok(Then::Done))
            }
            "+CGATT" => {
                match form {
                    Form::Test => self.inform("+CGATT: (0,1)"),
                    Form::Read => {
                        let attached = self.settings.attached && self.on_air();
                        self.inform(&format!("+CGATT: {}", u8::from(attached)));
                    }
                    Form::Set(args) => match args.number(0) {
                        Ok(Some(wanted @ 0..=1)) => self.settings.attached = wanted == 1,
                        _ => return Some(Err(Failure::PARAMETERS)),
                    },
                    Form::Run => return Some(Err(Failure::Plain)),
                }
                Some(Ok(Then::Done))
            }
            _ => None,
        }
    }

    fn shown_signal(&self) -> u8 {
        if self.settings.cfun == 1 { self.settings.signal } else { 99 }
    }

    /// `stat` of +CREG: as the network has it, 0 without SIM or radio.
    fn stat(&self) -> u8 {
        let settings = &self.settings;
        let searching = self.sim.is_ready() && settings.cfun == 1 && !settings.deregistered;
        if searching { settings.registration } else { 0 }
    }

    /// `which`: +CREG, +CGREG, +CEREG.
    fn creg(&mut self, which: usize, form: &Form) -> Answer {
        let name = REGISTRATIONS[which];
        match form {
            Form::Test => self.inform(&format!("{name}: (0-2)")),
            Form::Read => {
                let n = self.settings.creg[which];
                let line = format!("{name}: {n},{}", self.located(n));
                self.inform(&line);
            }
            Form::Set(args) => match args.number(0)? {
                Some(n @ 0..=2) => self.settings.creg[which] = n as u8,
                _ => return Err(Failure::PARAMETERS),
            },
            Form::Run => return Err(Failure::Plain),
        }
        Ok(Then::Done)
    }

    fn located(&self, n: u8) -> String {
        let stat = self.stat();
        if n == 2 && stat != 0 { format!("{stat},{CELL}") } else { stat.to_string() }
    }

    /// What the network says of itself from now on.
    pub fn register(&mut self, stat: u8) {
        self.settings.registration = stat;
        self.tell_registration();
    }

    /// The unsolicited lines of a registration that has changed, behind the answer.
    pub fn tell_registration(&mut self) {
        for (which, name) in REGISTRATIONS.iter().enumerate() {
            let n = self.settings.creg[which];
            if n > 0 {
                let line = format!("{name}: {}", self.located(n));
                self.urc_later(line);
            }
        }
    }

    fn cops(&mut self, form: &Form) -> Answer {
        let operator = self.options.operator.clone();
        match form {
            Form::Test => self.inform(&format!(
                "+COPS: (2,\"{operator}\",\"{operator}\",\"{NETWORK}\",2),,(0,1,2,3,4),(0,1,2)"
            )),
            Form::Read if self.on_air() => {
                let name = if self.settings.cops_format == 2 { NETWORK } else { operator.as_str() };
                let format = self.settings.cops_format;
                self.inform(&format!("+COPS: 0,{format},\"{name}\""));
            }
            Form::Read => self.inform("+COPS: 0"),
            Form::Set(args) => {
                let mode = args.number(0)?.unwrap_or(0);
                match args.number(1)? {
                    Some(format @ 0..=2) => self.settings.cops_format = format as u8,
                    None => {}
                    Some(_) => return Err(Failure::PARAMETERS),
                }
                match mode {
                    0 | 1 | 4 => self.settings.deregistered = false,
                    2 => self.settings.deregistered = true,
                    3 => return Ok(Then::Done),
                    _ => return Err(Failure::PARAMETERS),
                }
                self.tell_registration();
            }
            Form::Run => return Err(Failure::Plain),
        }
        Ok(Then::Done)
    }

    /// +CMEE, character set, battery, calls, USSD.
    fn rest(&mut self, command: &Command) -> Option<Answer> {
        let line = match (command.name.as_str(), &command.form) {
            ("+CMEE", Form::Set(args)) => match args.number(0) {
                Ok(Some(cmee @ 0..=2)) => {
                    self.settings.style.cmee = cmee as u8;
                    return Some(Ok(Then::Done));
                }
                _ => return Some(Err(Failure::PARAMETERS)),
            },
            ("+CMEE", Form::Read) => format!("+CMEE: {}", self.settings.style.cmee),
            ("+CMEE", Form::Test) => "+CMEE: (0,1,2)".to_owned(),
            ("+CSCS", Form::Read) => format!("+CSCS: \"{}\"", self.settings.cscs),
            ("+CSCS", Form::Test) => "+CSCS: (\"IRA\",\"GSM\")".to_owned(),
            ("+CSCS", Form::Set(args)) => {
                let Some(cscs @ ("IRA" | "GSM")) = args.text(0) else {
                    return Some(Err(Failure::PARAMETERS));
                };
                self.settings.cscs = cscs.to_owned();
                return Some(Ok(Then::Done));
            }
            ("+CBC", Form::Run) => "+CBC: 0,100".to_owned(),
            ("+CBC", Form::Test) => "+CBC: (0-3),(0-100)".to_owned(),
            ("+CPAS", Form::Run) => "+CPAS: 0".to_owned(),
            ("+CLCC", Form::Run) | ("+CHUP", Form::Run | Form::Test) => return Some(Ok(Then::Done)),
            ("+CUSD", form) => return Some(self.cusd(form)),
            _ => return None,
        };
        self.inform(&line);
        Some(Ok(Then::Done))
    }

    fn cusd(&mut self, form: &Form) -> Answer {
        match form {
            Form::Test => self.inform("+CUSD: (0-2)"),
            Form::Read => self.inform(&format!("+CUSD: {}", self.settings.cusd)),
            Form::Set(args) => {
                match args.number(0)? {
                    Some(n @ 0..=1) => self.settings.cusd = n as u8,
                    Some(2) => {}
                    _ => return Err(Failure::PARAMETERS),
                }
                if args.text(1).is_some() {
                    self.urc_later("+CUSD: 0,\"Balance: 12.34 EUR\",15".to_owned());
                }
            }
            Form::Run => return Err(Failure::Plain),
        }
        Ok(Then::Done)
    }

    fn vendors_own(&mut self, command: &Command) -> Option<Answer> {
        let line = match (self.persona.manufacturer, command.name.as_str(), &command.form) {
            ("huawei", "^CURC", Form::Set(args)) => {
                self.settings.periodic = args.number(0) != Ok(Some(0));
                return Some(Ok(Then::Done));
            }
            ("huawei", "^PORTSEL", Form::Set(_)) => return Some(Ok(Then::Done)),
            ("huawei", "^RESET", Form::Run)
            | ("Quectel", "+QPOWD", Form::Set(_))
            | ("SIMCOM_Ltd", "+CRESET", Form::Run) => {
                return Some(Ok(Then::Reboot));
            }
            ("huawei", "^SYSINFO", Form::Run) => {
                format!("^SYSINFO:{},3,0,5,{},,4", self.service(), u8::from(self.sim.is_ready()))
            }
            ("Quectel", "+QURCCFG" | "+QINDCFG", Form::Set(_)) => return Some(Ok(Then::Done)),
            ("Quectel", "+QINISTAT", Form::Run) => "+QINISTAT: 7".to_owned(),
            ("SIMCOM_Ltd", "+IPR", Form::Set(_)) => return Some(Ok(Then::Done)),
            _ => return None,
        };
        self.inform(&line);
        Some(Ok(Then::Done))
    }

    /// `srv_status` of ^SYSINFO: 2 with service.
    fn service(&self) -> u8 {
        if self.on_air() { 2 } else { 0 }
    }
}

const REGISTRATIONS: [&str; 3] = ["+CREG", "+CGREG", "+CEREG"];
