//! What commands set and a reset forgets, and the SIM's lock, which it does not.

use super::answer::Style;
use super::network::SERVICE_CENTRE;
use super::storage::Name;
use super::vendor::Persona;

/// Wrong PINs until the PUK is asked for, and wrong PUKs until nothing helps.
const PIN_TRIES: u8 = 3;
const PUK_TRIES: u8 = 10;
/// Of any simulated SIM.
pub const PUK: &str = "12345678";

/// +CNMI (27.005 section 3.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cnmi {
    pub mode: u8,
    pub mt: u8,
    pub bm: u8,
    pub ds: u8,
    pub bfr: u8,
}

#[derive(Debug, Clone)]
pub struct Settings {
    pub style: Style,
    pub cfun: u8,
    /// `n` of +CREG, +CGREG, +CEREG.
    pub creg: [u8; 3],
    /// `stat` of all three, as the network has it.
    pub registration: u8,
    /// +COPS=2.
    pub deregistered: bool,
    pub cops_format: u8,
    /// 0 to 31, or 99.
    pub signal: u8,
    pub cscs: String,
    pub csca: String,
    pub csms: u8,
    pub cmms: u8,
    /// mem1, mem2, mem3.
    pub cpms: [Name; 3],
    pub cnmi: Cnmi,
    pub cusd: u8,
    /// Periodic lines (^CURC).
    pub periodic: bool,
    pub attached: bool,
}

impl Settings {
    pub fn new(persona: &Persona) -> Settings {
        Settings {
            style: Style::DEFAULT,
            cfun: 1,
            creg: [0; 3],
            registration: 1,
            deregistered: false,
            cops_format: 0,
            signal: 21,
            cscs: "IRA".into(),
            csca: SERVICE_CENTRE.into(),
            csms: 0,
            cmms: 0,
            cpms: [persona.storage; 3],
            cnmi: Cnmi::default(),
            cusd: 0,
            periodic: persona.periodic,
            attached: true,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lock {
    Open,
    Pin,
    Puk,
}

/// The SIM: how far it is unlocked, and what tries are left.
#[derive(Debug)]
pub struct Sim {
    lock: Lock,
    pin_tries: u8,
    puk_tries: u8,
}

/// What a PIN or PUK did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlock {
    Done,
    Wrong,
    /// Nothing was asked for.
    NotAsked,
    /// The PUK is asked for, not the PIN.
    PukAsked,
}

impl Sim {
    pub fn new(has_pin: bool) -> Sim {
        let lock = if has_pin { Lock::Pin } else { Lock::Open };
        Sim { lock, pin_tries: PIN_TRIES, puk_tries: PUK_TRIES }
    }

    /// After a power-on.
    pub fn lock_again(&mut self, has_pin: bool) {
        if has_pin && self.lock == Lock::Open {
            self.lock = Lock::Pin;
        }
    }

    pub fn is_ready(&self) -> bool {
        self.lock == Lock::Open
    }

    pub fn needs_puk(&self) -> bool {
        self.lock == Lock::Puk
    }

    /// As +CPIN? says it.
    pub fn state(&self) -> &'static str {
        match self.lock {
            Lock::Open => "READY",
            Lock::Pin => "SIM PIN",
            Lock::Puk => "SIM PUK",
        }
    }

    /// Tries left of PIN and PUK.
    pub fn tries(&self) -> (u8, u8) {
        (self.pin_tries, self.puk_tries)
    }

    pub fn enter_pin(&mut self, entered: &str, pin: &str) -> Unlock {
        match self.lock {
            Lock::Open => Unlock::NotAsked,
            Lock::Puk => Unlock::PukAsked,
            Lock::Pin if entered == pin => {
                self.pin_tries = PIN_TRIES;
                self.lock = Lock::Open;
                Unlock::Done
            }
            Lock::Pin => {
                self.pin_tries -= 1;
                if self.pin_tries == 0 {
                    self.lock = Lock::Puk;
                }
                Unlock::Wrong
            }
        }
    }

    /// The PUK gives the PIN its tries back.
    pub fn enter_puk(&mut self, entered: &str) -> Unlock {
        if self.lock != Lock::Puk {
            return Unlock::NotAsked;
        }
        if entered != PUK || self.puk_tries == 0 {
            self.puk_tries = self.puk_tries.saturating_sub(1);
            return Unlock::Wrong;
        }
        *self = Sim::new(false);
        Unlock::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_wrong_pins_ask_for_the_puk_and_a_right_one_gives_the_tries_back() {
        let mut sim = Sim::new(true);
        assert_eq!(sim.enter_pin("0000", "1234"), Unlock::Wrong);
        assert_eq!((sim.enter_pin("1234", "1234"), sim.tries()), (Unlock::Done, (3, 10)));
        sim.lock_again(true);
        let tries: Vec<Unlock> = (0..4).map(|_| sim.enter_pin("0000", "1234")).collect();
        assert_eq!(tries, [Unlock::Wrong, Unlock::Wrong, Unlock::Wrong, Unlock::PukAsked]);
        sim.lock_again(true);
        assert_eq!(
            (sim.state(), sim.enter_puk("1"), sim.enter_puk(PUK)),
            ("SIM PUK", Unlock::Wrong, Unlock::Done)
        );
        assert!(sim.is_ready());
    }
}
