//! Setting a modem up (modem.md 3.2): every setting that is needed is made, whatever the modem had before.
//!
//! A command that not every modem knows may fail; what is needed ends the session with a reason, and what only a
//! person can mend parks the link: PUK, a PIN that is missing or was refused, no SIM. A PIN is entered once.

use std::time::{Duration, Instant};

use super::choose::{self, Announcing};
use super::command::{ATTENTION, Answer, Command, Info, PIN, RADIO, SHORT, SIM, fields};
use super::errors::Fault;
use super::lines::Expect;
use super::network::Standing;
use super::pin::PinFor;
use super::profile::Profile;
use super::session::{ModemSession, Phase, Purpose, Wire};

/// AT is said this often before a modem is taken to be silent.
const CALLS: u8 = 5;
/// The late answers to those are dropped.
const AFTER_CALLS: Duration = Duration::from_millis(200);
/// A SIM needs up to half a minute after power-up; asked this often and this far apart.
const BUSY_TRIES: u8 = 40;
const BUSY_WAIT: Duration = Duration::from_millis(500);
/// A SIM that is not there at power-up may still come.
const SIM_TRIES: u8 = 5;
const SIM_WAIT: Duration = Duration::from_secs(1);
/// With fewer tries of the PIN left it is not entered: the last one is a person's.
const MIN_PIN_TRIES: u8 = 2;
/// The SIM's number is asked for this often: by it a reply that comes again is known, so that a damaged answer must
/// not make another SIM of it.
const IMSI_TRIES: u8 = 3;
/// A setting that is needed is tried this often.
const NEEDED_TRIES: u8 = 3;

/// Where the set-up stands.
#[derive(Debug)]
pub struct Init {
    step: Step,
    /// Of this step.
    tries: u8,
    unlocking: Unlocking,
    /// It was told not to echo, and has answered without an echo since.
    obeyed: bool,
    plan: Vec<Announcing>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Attention,
    Echo,
    Errors,
    Manufacturer,
    Model,
    Revision,
    Imei,
    Setup(usize),
    Function,
    SwitchOn,
    Pin,
    PinTries,
    EnterPin,
    Iccid(usize),
    Imsi,
    Circuit,
    Packet,
    ServiceCentre,
    Format,
    Service,
    Memories,
    Announcements,
    Announce(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unlocking {
    NotAsked,
    /// The SIM wants its PIN, and says its number first.
    Wanted,
    Entered,
}

impl Default for Init {
    fn default() -> Init {
        Init {
            step: Step::Attention,
            tries: 0,
            unlocking: Unlocking::NotAsked,
            obeyed: false,
            plan: Vec::new(),
        }
    }
}

impl Init {
    /// Nobody has answered yet.
    pub fn is_calling(&self) -> bool {
        self.step == Step::Attention
    }

    /// It was told not to echo.
    pub fn is_past_echo(&self) -> bool {
        !matches!(self.step, Step::Attention | Step::Echo)
    }

    /// A command was answered; `echoes`: it came back too, or one before it did.
    pub fn answered(&mut self, echoes: bool) {
        self.obeyed |= self.is_past_echo() && !echoes;
    }

    /// An echo from now on means that the modem has lost its settings, even those of this set-up.
    pub fn has_obeyed(&self) -> bool {
        self.obeyed
    }

    /// Lines that say "ready" belong to a start that may be going on; these say that it begins.
    pub fn is_restarted_by(&self, line: &str) -> bool {
        !self.is_calling() && (line == "RDY" || line.starts_with("^SYSSTART"))
    }
}

impl ModemSession {
    pub(super) fn ask_init(&mut self, now: Instant) {
        self.skip();
        let Phase::Init(init) = &self.phase else { return };
        let free = |text: &'static str| Command::new(text, Expect::Free, SHORT);
        let command = match init.step {
            Step::Attention => Command::plain("AT").within(ATTENTION),
            Step::Echo => Command::plain("ATE0V1"),
            Step::Errors => Command::plain("AT+CMEE=1"),
            Step::Manufacturer => free("AT+CGMI"),
            Step::Model => free("AT+CGMM"),
            Step::Revision => free("AT+CGMR"),
            Step::Imei => free("AT+CGSN"),
            Step::Setup(at) => Command::plain(self.profile.setup.get(at).copied().unwrap_or("AT")),
            Step::Function => Command::query("AT+CFUN?", "+CFUN:"),
            Step::SwitchOn => Command::plain("AT+CFUN=1").within(RADIO),
            Step::Pin => Command::query("AT+CPIN?", "+CPIN:"),
            Step::PinTries => {
                let ask = self.profile.pin_tries;
                Command::query(ask.command, ask.prefix)
            }
            Step::EnterPin => match self.pin_command() {
                Ok(command) => command,
                Err(reason) => return self.park(reason),
            },
            Step::Iccid(at) => {
                let (command, prefix) = self.profile.iccid.get(at).copied().unwrap_or(("AT", "+"));
                // Vendors' own lines are dropped where they are not asked for; others come without their name too.
                let expect = if prefix.starts_with('+') { Expect::Free } else { Expect::Prefixed(prefix) };
                Command::new(command, expect, SIM)
            }
            Step::Imsi => free("AT+CIMI").within(SIM),
            Step::Circuit => Command::plain("AT+CREG=2"),
            Step::Packet => Command::plain("AT+CEREG=2"),
            Step::ServiceCentre => match self.config.smsc {
                Some(number) => Command::plain(format!("AT+CSCA=\"{}\",145", number.to_e164())).within(SIM),
                None => Command::query("AT+CSCA?", "+CSCA:").within(SIM),
            },
            Step::Format => Command::plain("AT+CMGF=0"),
            Step::Service => Command::plain("AT+CSMS=0"),
            Step::Memories => Command::query("AT+CPMS=?", "+CPMS:").within(SIM),
            Step::Announcements => Command::query("AT+CNMI=?", "+CNMI:"),
            Step::Announce(at) => match init.plan.get(at) {
                Some(Announcing::Service(service)) => Command::plain(format!("AT+CSMS={service}")),
                Some(Announcing::Set(setting)) => Command::plain(format!("AT+CNMI={setting}")),
                // Nothing is announced, and the sweep finds what comes.
                None => return self.set_up(None),
            },
        };
        self.ask(command, Purpose::Init, now);
    }

    /// Past what has nothing more to ask.
    fn skip(&mut self) {
        let Phase::Init(init) = &mut self.phase else { return };
        match init.step {
            Step::Setup(at) if at >= self.profile.setup.len() => init.step = Step::Function,
            Step::Iccid(at) if at >= self.profile.iccid.len() => init.step = init.after_iccid(),
            _ => {}
        }
    }

    fn pin_command(&mut self) -> Result<Command, String> {
        let Some(pin) = self.config.pin.clone() else {
            return Err(String::from(
                "the SIM asks for a PIN and none is configured; set pin_file for the modem",
            ));
        };
        let whose = match (&self.status.iccid, &self.status.imei) {
            (Some(iccid), _) => PinFor::Sim(iccid.clone()),
            (None, imei) => PinFor::Modem(imei.clone().unwrap_or_else(|| self.config.name.to_string())),
        };
        self.carried.pins(|ledger| ledger.enter(&pin, &whose)).map_err(|refusal| refusal.to_string())?;
        tracing::info!(event = "pin_entered", link = %self.config.name);
        if let Phase::Init(init) = &mut self.phase {
            init.unlocking = Unlocking::Entered;
        }
        Ok(Command::plain(format!("AT+CPIN=\"{}\"", pin.expose())).within(PIN))
    }

    fn go(&mut self, step: Step) {
        if let Phase::Init(init) = &mut self.phase {
            init.step = step;
            init.tries = 0;
        }
    }

    /// The same step after a while.
    fn again(&mut self, wait: Duration, now: Instant) {
        if let Phase::Init(init) = &mut self.phase {
            init.tries = init.tries.saturating_add(1);
        }
        self.wire = Wire::Resting { until: now + wait };
    }

    pub(super) fn init_answered(&mut self, answer: Answer, now: Instant) {
        let Phase::Init(init) = &self.phase else { return };
        let (step, tries) = (init.step, init.tries);
        if let Answer::Failed(fault) = &answer
            && fault.is_busy(self.profile.vendor)
            && tries < BUSY_TRIES
        {
            return self.again(BUSY_WAIT, now);
        }
        match step {
            Step::Attention => self.called(&answer, tries, now),
            Step::Echo => self.go(Step::Errors),
            Step::Errors => self.go(Step::Manufacturer),
            Step::Manufacturer => {
                self.status.manufacturer = text(&answer, "+CGMI:").or(self.status.manufacturer.take());
                self.profile = Profile::of(self.config.vendor, self.status.manufacturer.as_deref());
                self.go(Step::Model);
            }
            Step::Model => {
                self.status.model = text(&answer, "+CGMM:").or(self.status.model.take());
                self.go(Step::Revision);
            }
            Step::Revision => self.go(Step::Imei),
            Step::Imei => {
                self.status.imei = number(&answer).or(self.status.imei.take());
                self.go(Step::Setup(0));
            }
            Step::Setup(at) => self.go(Step::Setup(at + 1)),
            Step::Function => match answer.value("+CFUN:").and_then(|value| fields(value).next()) {
                None | Some("1") => self.go(Step::Pin),
                Some(_) => self.go(Step::SwitchOn),
            },
            Step::SwitchOn => {
                self.go(Step::Pin);
                self.again(SIM_WAIT, now);
            }
            Step::Pin => self.sim_answered(&answer, tries, now),
            Step::PinTries => self.pin_tries_answered(&answer),
            Step::EnterPin => match answer {
                Answer::Failed(fault) => self.park_pin(&format!("the SIM refused the PIN ({fault})")),
                // Whether it was right the SIM says itself.
                Answer::Ok(_) | Answer::Silent => {
                    self.go(Step::Pin);
                    self.again(SIM_WAIT, now);
                }
            },
            Step::Iccid(at) => self.iccid_answered(&answer, at),
            Step::Imsi => self.imsi_answered(&answer, tries, now),
            Step::Circuit => self.go(Step::Packet),
            Step::Packet => self.go(Step::ServiceCentre),
            Step::ServiceCentre => self.service_centre_answered(&answer, tries, now),
            Step::Format => {
                self.needed(&answer, Step::Service, "the modem refuses PDU mode (AT+CMGF=0)", now)
            }
            Step::Service => self.go(Step::Memories),
            Step::Memories => {
                self.inbox.memories = choose::memories(answer.value("+CPMS:"));
                self.go(Step::Announcements);
            }
            Step::Announcements => {
                let plan = choose::announcing(answer.value("+CNMI:"), self.profile.vendor);
                if let Phase::Init(init) = &mut self.phase {
                    init.plan = plan;
                }
                self.go(Step::Announce(0));
            }
            Step::Announce(at) => self.announce_answered(at, &answer),
        }
    }

    fn called(&mut self, answer: &Answer, tries: u8, now: Instant) {
        self.out_of_step = false;
        match answer {
            Answer::Silent if tries + 1 >= CALLS => self.stall("the modem does not answer AT", now),
            Answer::Silent => self.again(Duration::ZERO, now),
            // It read the end of something: now it should be in step.
            Answer::Failed(_) if tries + 1 < CALLS => self.again(AFTER_CALLS, now),
            Answer::Failed(_) | Answer::Ok(_) => {
                self.go(Step::Echo);
                if tries > 0 {
                    self.wire = Wire::Resting { until: now + AFTER_CALLS };
                }
            }
        }
    }

    fn needed(&mut self, answer: &Answer, then: Step, reason: &str, now: Instant) {
        let tries = match &self.phase {
            Phase::Init(init) => init.tries,
            _ => return,
        };
        match answer {
            Answer::Ok(_) => self.go(then),
            _ if tries + 1 >= NEEDED_TRIES => self.finish(reason.to_owned()),
            _ => self.again(SIM_WAIT, now),
        }
    }

    fn sim_answered(&mut self, answer: &Answer, tries: u8, now: Instant) {
        let state = match answer {
            Answer::Ok(_) => answer.value("+CPIN:").unwrap_or("READY").trim_matches('"').to_ascii_uppercase(),
            Answer::Failed(Fault::Cme(11) | Fault::Cms(311)) => String::from("SIM PIN"),
            Answer::Failed(Fault::Cme(12) | Fault::Cms(316)) => String::from("SIM PUK"),
            Answer::Failed(fault @ (Fault::Cme(10 | 13 | 15 | 262 | 772) | Fault::Cms(310 | 313 | 315))) => {
                format!("NO SIM ({fault})")
            }
            // It does not know the question, so it asks none.
            Answer::Failed(_) => String::from("READY"),
            Answer::Silent if tries + 1 < NEEDED_TRIES => return self.again(SIM_WAIT, now),
            Answer::Silent => return self.stall("the SIM's state was not answered", now),
        };
        match state.as_str() {
            "READY" | "SIM PIN2" | "SIM PUK2" => self.unlocked(),
            "SIM PIN" => self.locked(tries, now),
            "SIM PUK" => {
                self.park(String::from("the SIM is locked and asks for its PUK; unlock it in a phone"))
            }
            _ if tries < SIM_TRIES => self.again(SIM_WAIT, now),
            other => self.park(format!("there is no usable SIM: {}", other.escape_default())),
        }
    }

    fn unlocked(&mut self) {
        let Phase::Init(init) = &self.phase else { return };
        let entered = init.unlocking == Unlocking::Entered;
        if entered && let Err(error) = self.carried.pins(super::pin::PinLedger::succeeded) {
            tracing::warn!(event = "pin_ledger_left", link = %self.config.name, %error);
        }
        // Its number was read before it was unlocked.
        self.go(if entered && self.status.iccid.is_some() { Step::Imsi } else { Step::Iccid(0) });
    }

    fn locked(&mut self, tries: u8, now: Instant) {
        let Phase::Init(init) = &mut self.phase else { return };
        match init.unlocking {
            Unlocking::NotAsked if self.config.pin.is_none() => {
                self.park(String::from(
                    "the SIM asks for a PIN and none is configured; set pin_file for the modem",
                ));
            }
            Unlocking::NotAsked | Unlocking::Wanted => {
                init.unlocking = Unlocking::Wanted;
                self.go(Step::Iccid(0));
            }
            Unlocking::Entered if tries < SIM_TRIES => self.again(SIM_WAIT, now),
            Unlocking::Entered => self.park_pin("the PIN did not unlock the SIM"),
        }
    }

    fn park_pin(&mut self, why: &str) {
        let remedy = self.carried.pins(|ledger| ledger.remedy());
        self.park(format!("{why}; {remedy}"));
    }

    fn pin_tries_answered(&mut self, answer: &Answer) {
        let ask = self.profile.pin_tries;
        let left =
            answer.value(ask.prefix).and_then(|value| fields(value).nth(ask.field)?.parse::<u8>().ok());
        match left {
            Some(left) if left < MIN_PIN_TRIES => self.park(format!(
                "the SIM has {left} tries of its PIN left; the PIN is not entered: unlock the SIM in a phone"
            )),
            _ => self.go(Step::EnterPin),
        }
    }

    fn iccid_answered(&mut self, answer: &Answer, at: usize) {
        match number(answer) {
            Some(iccid) => {
                self.status.iccid = Some(iccid);
                if let Phase::Init(init) = &self.phase {
                    let next = init.after_iccid();
                    self.go(next);
                }
            }
            None => self.go(Step::Iccid(at + 1)),
        }
    }

    fn imsi_answered(&mut self, answer: &Answer, tries: u8, now: Instant) {
        // More lines with digits than one: it was torn.
        let digits = |info: &&Info| info.head.contains(|c: char| c.is_ascii_digit());
        let whole = matches!(answer, Answer::Ok(lines) if lines.iter().filter(digits).count() == 1);
        let imsi = number(answer).filter(|_| whole);
        if imsi.is_none() && tries + 1 < IMSI_TRIES {
            return self.again(Duration::ZERO, now);
        }
        self.status.imsi = imsi;
        self.carried.same_sim(&mut self.status);
        self.go(Step::Circuit);
    }

    fn service_centre_answered(&mut self, answer: &Answer, tries: u8, now: Instant) {
        if self.config.smsc.is_some() {
            let reason = "the modem refuses the service centre of smsc (AT+CSCA)";
            return self.needed(answer, Step::Format, reason, now);
        }
        match answer {
            Answer::Silent if tries == 0 => return self.again(SIM_WAIT, now),
            Answer::Ok(_) if answer.value("+CSCA:").is_some_and(|value| value.starts_with("\"\"")) => {
                self.status.last_error = Some(String::from("the SIM names no service centre; set smsc"));
            }
            _ => {}
        }
        self.go(Step::Format);
    }

    fn announce_answered(&mut self, at: usize, answer: &Answer) {
        let Phase::Init(init) = &self.phase else { return };
        match (init.plan.get(at).cloned(), answer) {
            (Some(Announcing::Set(setting)), Answer::Ok(_)) => self.set_up(Some(setting)),
            (Some(Announcing::Service(service)), Answer::Ok(_)) => {
                self.inbox.acknowledges = service != 0;
                self.go(Step::Announce(at + 1));
            }
            _ => self.go(Step::Announce(at + 1)),
        }
    }

    fn set_up(&mut self, announcing: Option<String>) {
        tracing::info!(event = "modem_set_up", link = %self.config.name, ?announcing);
        if announcing.is_none() {
            self.status.last_error =
                Some(String::from("the modem announces no messages; they are found by listing"));
        }
        self.chores.announcing = announcing;
        self.carried.set_up();
        self.inbox.sweep_all();
        self.standing = Standing::Unknown;
        self.phase = Phase::Ready;
    }
}

impl Init {
    fn after_iccid(&self) -> Step {
        if self.unlocking == Unlocking::Wanted { Step::PinTries } else { Step::Imsi }
    }
}

/// The first line as it is, without its name.
fn text(answer: &Answer, prefix: &str) -> Option<String> {
    let value = answer.value(prefix)?.trim_matches('"');
    (!value.is_empty()).then(|| value.to_owned())
}

/// A number of a SIM or a modem: 14 digits and more, in quotes or behind a name; a filler F may end it.
fn number(answer: &Answer) -> Option<String> {
    let Answer::Ok(lines) = answer else { return None };
    let words = lines.iter().flat_map(|info| info.head.split(|c: char| !c.is_ascii_alphanumeric()));
    let digits = words.map(|word| word.trim_end_matches(['F', 'f']));
    let whole = |word: &&str| (14..=22).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit());
    digits.filter(whole).max_by_key(|word| word.len()).map(str::to_owned)
}
