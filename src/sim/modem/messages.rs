//! The commands of 27.005 in PDU mode: services, storages, indications, sending, reading, deleting.

use super::answer::Failure;
use super::command::{Args, Command, Form};
use super::device::{Amid, Answer, Device, Then};
use super::settings::Cnmi;
use super::storage::{Name, Stat};
use crate::clock::Now;

/// Octets of a TPDU that +CMGS takes; 23.040 gives no more than 164.
const TPDU_OCTETS: std::ops::RangeInclusive<u32> = 7..=164;

impl Device {
    /// None for a command that is not of messages.
    pub fn message_command(&mut self, command: &Command, now: Now) -> Option<Answer> {
        let form = &command.form;
        Some(match command.name.as_str() {
            "+CSMS" => self.csms(form),
            "+CMGF" => self.cmgf(form),
            "+CMMS" => self.cmms(form),
            "+CSCA" => self.csca(form),
            "+CPMS" => self.cpms(form),
            "+CNMI" => self.cnmi(form),
            "+CMGS" => self.cmgs(form),
            "+CMGR" => self.cmgr(form),
            "+CMGL" => self.cmgl(form),
            "+CMGD" => self.cmgd(form, now),
            "+CNMA" => self.cnma(form, now),
            _ => return None,
        })
    }

    fn csms(&mut self, form: &Form) -> Answer {
        match form {
            Form::Test => self.inform("+CSMS: (0,1)"),
            Form::Read => self.inform(&format!("+CSMS: {},1,1,1", self.settings.csms)),
            Form::Set(args) => {
                self.settings.csms = number(args, 0, 0..=1)?.ok_or(Failure::SMS_NOT_SUPPORTED)?;
                self.inform("+CSMS: 1,1,1");
            }
            Form::Run => return Err(Failure::Plain),
        }
        Ok(Then::Done)
    }

    fn cmgf(&mut self, form: &Form) -> Answer {
        match form {
            Form::Test => self.inform("+CMGF: (0)"),
            Form::Read => self.inform("+CMGF: 0"),
            Form::Set(args) => drop(number(args, 0, 0..=0)?),
            Form::Run => {}
        }
        Ok(Then::Done)
    }

    fn cmms(&mut self, form: &Form) -> Answer {
        match form {
            Form::Test => self.inform("+CMMS: (0-2)"),
            Form::Read => self.inform(&format!("+CMMS: {}", self.settings.cmms)),
            Form::Set(args) => self.settings.cmms = number(args, 0, 0..=2)?.unwrap_or(0),
            Form::Run => return Err(Failure::Plain),
        }
        Ok(Then::Done)
    }

    fn csca(&mut self, form: &Form) -> Answer {
        match form {
            Form::Test => {}
            Form::Read => {
                let kind = if self.settings.csca.starts_with('+') { 145 } else { 129 };
                self.inform(&format!("+CSCA: \"{}\",{kind}", self.settings.csca));
            }
            Form::Set(args) => {
                let number = args.text(0).unwrap_or_default();
                let digits = number.strip_prefix('+').unwrap_or(number);
                if digits.len() > 20 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
                    return Err(Failure::SMS_BAD_PDU);
                }
                let international = args.number(1)? == Some(145) && !number.starts_with('+');
                let plus = if international && !number.is_empty() { "+" } else { "" };
                self.settings.csca = format!("{plus}{number}");
            }
            Form::Run => return Err(Failure::Plain),
        }
        Ok(Then::Done)
    }

    fn cpms(&mut self, form: &Form) -> Answer {
        match form {
            Form::Test => {
                let first =
                    if self.persona.reports.is_some() { "\"SM\",\"ME\",\"SR\"" } else { "\"SM\",\"ME\"" };
                self.inform(&format!("+CPMS: ({first}),(\"SM\",\"ME\"),(\"SM\",\"ME\")"));
            }
            Form::Read => {
                let [first, second, third] = self.settings.cpms.map(|name| self.fullness(name));
                let [a, b, c] = self.settings.cpms;
                self.inform(&format!("+CPMS: \"{a}\",{first},\"{b}\",{second},\"{c}\",{third}"));
            }
            Form::Set(args) => {
                let mut chosen = self.settings.cpms;
                if args.count() > chosen.len() {
                    return Err(Failure::SMS_NOT_SUPPORTED);
                }
                for (place, name) in chosen.iter_mut().enumerate() {
                    let Some(text) = args.text(place) else { continue };
                    *name = Name::parse(text)
                        .filter(|name| *name != Name::Sr || place == 0)
                        .ok_or(Failure::SMS_NOT_SUPPORTED)?;
                }
                self.settings.cpms = chosen;
                let [first, second, third] = chosen.map(|name| self.fullness(name));
                self.inform(&format!("+CPMS: {first},{second},{third}"));
            }
            Form::Run => return Err(Failure::Plain),
        }
        Ok(Then::Done)
    }

    /// `used,total`
    fn fullness(&mut self, name: Name) -> String {
        let storage = self.storages.of(name);
        format!("{},{}", storage.used(), storage.total())
    }

    fn cnmi(&mut self, form: &Form) -> Answer {
        match form {
            Form::Test => {
                let reports = if self.options.routes_reports { "0,1,2" } else { "0,2" };
                self.inform(&format!("+CNMI: (0,1,2),(0,1,2,3),(0,2),({reports}),(0,1)"));
            }
            Form::Read => {
                let Cnmi { mode, mt, bm, ds, bfr } = self.settings.cnmi;
                self.inform(&format!("+CNMI: {mode},{mt},{bm},{ds},{bfr}"));
            }
            Form::Set(args) => {
                if args.count() > 5 {
                    return Err(Failure::SMS_NOT_SUPPORTED);
                }
                let now = self.settings.cnmi;
                let bm = number(args, 2, 0..=2)?.unwrap_or(now.bm);
                let ds = number(args, 3, 0..=2)?.unwrap_or(now.ds);
                if bm == 1 || (ds == 1 && !self.options.routes_reports) {
                    return Err(Failure::SMS_NOT_SUPPORTED);
                }
                self.settings.cnmi = Cnmi {
                    mode: number(args, 0, 0..=2)?.unwrap_or(now.mode),
                    mt: number(args, 1, 0..=3)?.unwrap_or(now.mt),
                    bm,
                    ds,
                    bfr: number(args, 4, 0..=1)?.unwrap_or(now.bfr),
                };
                self.let_go_buffered();
            }
            Form::Run => return Err(Failure::Plain),
        }
        Ok(Then::Done)
    }

    /// What mode 0 kept back is told by bfr 0 and forgotten by bfr 1, once the mode is another.
    fn let_go_buffered(&mut self) {
        if self.settings.cnmi.mode == 0 {
            return;
        }
        let lines = std::mem::take(&mut self.buffered);
        if self.settings.cnmi.bfr == 0 {
            lines.into_iter().for_each(|line| self.urc_later(line));
        }
    }

    fn cmgs(&mut self, form: &Form) -> Answer {
        match form {
            Form::Test => Ok(Then::Done),
            Form::Set(args) => {
                let octets = args.number(0).ok().flatten().filter(|octets| TPDU_OCTETS.contains(octets));
                Ok(Then::Prompt { octets: octets.ok_or(Failure::SMS_BAD_PDU)? as usize })
            }
            Form::Read | Form::Run => Err(Failure::Plain),
        }
    }

    fn cmgr(&mut self, form: &Form) -> Answer {
        let Form::Set(args) = form else {
            return if *form == Form::Test { Ok(Then::Done) } else { Err(Failure::Plain) };
        };
        let index = args.number(0).ok().flatten().ok_or(Failure::BAD_INDEX)?;
        let name = self.settings.cpms[0];
        let slot = self.storages.of(name).slot(index as usize).ok_or(Failure::BAD_INDEX)?;
        match slot {
            Some(stored) => {
                let line = listed(&format!("+CMGR: {}", stored.stat as u8), stored.octets, &stored.pdu);
                stored.stat = Stat::Read;
                self.inform(&line);
                Ok(Then::Done)
            }
            None if self.persona.empty_is_ok => Ok(Then::Done),
            None => Err(Failure::BAD_INDEX),
        }
    }

    fn cmgl(&mut self, form: &Form) -> Answer {
        let wanted = match form {
            Form::Test => {
                self.inform("+CMGL: (0-4)");
                return Ok(Then::Done);
            }
            Form::Run => 0,
            Form::Set(args) => number(args, 0, 0..=4)?.unwrap_or(0),
            Form::Read => return Err(Failure::Plain),
        };
        let name = self.settings.cpms[0];
        let mut lines = Vec::new();
        for (index, stored) in self.storages.of(name).messages() {
            if wanted == 4 || wanted == stored.stat as u8 {
                let start = format!("+CMGL: {index},{}", stored.stat as u8);
                lines.push(listed(&start, stored.octets, &stored.pdu));
                stored.stat = Stat::Read;
            }
        }
        for (place, line) in lines.iter().enumerate() {
            if place == 1 {
                self.say_amid(Amid::Listing);
            }
            self.inform(line);
        }
        Ok(Then::Done)
    }

    fn cmgd(&mut self, form: &Form, now: Now) -> Answer {
        let name = self.settings.cpms[0];
        let args = match form {
            Form::Test => {
                let storage = self.storages.of(name);
                let used: Vec<String> = storage.messages().map(|(index, _)| index.to_string()).collect();
                self.inform(&format!("+CMGD: ({}),(0-4)", used.join(",")));
                return Ok(Then::Done);
            }
            Form::Set(args) => args,
            Form::Run | Form::Read => return Err(Failure::Plain),
        };
        let index = args.number(0).ok().flatten().ok_or(Failure::BAD_INDEX)?;
        let deleted = match number(args, 1, 0..=4)?.unwrap_or(0) {
            0 => {
                let slot = self.storages.of(name).slot(index as usize).ok_or(Failure::BAD_INDEX)?;
                slot.take().into_iter().collect()
            }
            // Nothing of ours is ever stored to be sent, so 1 to 3 choose the same.
            1..=3 => self.storages.of(name).delete(|stored| stored.stat == Stat::Read),
            _ => self.storages.of(name).delete(|_| true),
        };
        self.full_told &= deleted.is_empty();
        for stored in deleted {
            self.taken(stored.id, "deleted", now);
        }
        Ok(Then::Done)
    }

    fn cnma(&mut self, form: &Form, now: Now) -> Answer {
        let accepted = match form {
            Form::Test => {
                self.inform("+CNMA: (0-2)");
                return Ok(Then::Done);
            }
            Form::Run => true,
            Form::Set(args) if args.count() == 1 => number(args, 0, 0..=2)? != Some(2),
            Form::Set(_) | Form::Read => return Err(Failure::SMS_NOT_SUPPORTED),
        };
        if self.acknowledge(accepted, now) { Ok(Then::Done) } else { Err(Failure::NO_CNMA_EXPECTED) }
    }
}

/// A message as +CMGR and +CMGL show it: no name, the TPDU's octets, the PDU.
fn listed(start: &str, octets: usize, pdu: &[u8]) -> String {
    format!("{start},,{octets}\r\n{}", crate::sms::hex::encode(pdu))
}

/// A number in range; None where it is left out.
fn number(args: &Args, place: usize, range: std::ops::RangeInclusive<u8>) -> Result<Option<u8>, Failure> {
    let Some(number) = args.number(place).map_err(|_| Failure::SMS_NOT_SUPPORTED)? else { return Ok(None) };
    let number = u8::try_from(number).ok().filter(|number| range.contains(number));
    number.map(Some).ok_or(Failure::SMS_NOT_SUPPORTED)
}
