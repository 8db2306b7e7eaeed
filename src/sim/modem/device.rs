//! The modem itself, without a port and without a clock: octets in, octets and wire-log lines out.
//!
//! Invariants: the line of a message is in [`Turn::lines`] of the turn its Ctrl-Z came in, and its answer in that
//! turn or a later one; an unsolicited line never stands inside a command line being typed, inside an answer, or
//! between a prompt and its Ctrl-Z. Commands typed while a message is on its way wait for its answer.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::ModemOptions;
use super::answer::Failure;
use super::command::{self, Command};
use super::network::{Inbound, Unwritable};
use super::settings::{Settings, Sim};
use super::stats::Stats;
use super::storage::Storages;
use super::submit::{Awaited, Kept};
use super::vendor::Persona;
use crate::clock::Now;
use crate::sim::chance::Chance;
use crate::sim::fault::{BadFault, Fault, Kind, Plan};
use crate::sim::wire::{Line, encode};

/// Characters of a command line; a longer one is an ERROR.
const LONGEST_LINE: usize = 2_048;
/// Hexadecimal digits kept of a PDU: SCA and TPDU have at most 12 and 255 octets.
const LONGEST_PDU: usize = 2 * (12 + 255);
/// Octets that wait while a message is on its way; more are lost, as in a UART.
const MOST_TYPED: usize = 16 * 1024;
/// Octets that wait for a client that does not read; beyond, unsolicited lines are lost and nothing is read.
pub const MOST_UNREAD: usize = 256 * 1024;
/// Unsolicited lines kept back.
const MOST_HELD: usize = 1_000;
/// From a reset to the first line.
const BOOTS_WITHIN: Duration = Duration::from_millis(500);
/// From the port's going to its coming back, where a fault took it.
pub const BACK_AFTER: Duration = Duration::from_millis(500);
/// Between two ^RSSI lines of a Huawei.
const RSSI_EVERY: Duration = Duration::from_secs(5);

const ESC: u8 = 0x1B;
const CTRL_Z: u8 = 0x1A;

/// What is done by time alone.
#[derive(Debug)]
pub enum Due {
    Answer(Awaited),
    /// An answer nobody waits for any more.
    Late {
        reference: u8,
    },
    Arrive(Box<Inbound>),
    Booted,
    Plug,
    Rssi,
}

#[derive(Debug, PartialEq, Eq)]
enum Input {
    /// A command line so far.
    Line(Vec<u8>),
    /// A PDU so far, behind its prompt.
    Prompt { octets: usize, digits: Vec<u8> },
    /// A command is being done.
    Doing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Ready,
    /// A message is on its way: its final result is still to come.
    Sending,
    Booting,
}

/// Whether the port is to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plug {
    In,
    Out,
}

/// A place in an answer where no unsolicited line belongs, and where some modems put it all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amid {
    /// Between AT+CMGS and its prompt.
    Prompt,
    /// Behind the first entry of a listing that has two.
    Listing,
}

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Done,
    Prompt {
        octets: usize,
    },
    /// Its final result is said.
    Silent,
    Reboot,
}

pub type Answer = Result<Then, Failure>;

/// What a turn gives.
#[derive(Debug, Default)]
pub struct Turn {
    /// To be written to the log before `out` is written to the port.
    pub lines: Vec<u8>,
    pub out: Vec<u8>,
    pub wake_at: Option<Instant>,
}

#[derive(Debug)]
pub struct Device {
    pub options: ModemOptions,
    pub persona: &'static Persona,
    pub settings: Settings,
    pub sim: Sim,
    pub storages: Storages,
    pub stats: Stats,
    pub phase: Phase,
    pub plug: Plug,
    /// Ports and connections so far.
    pub conn: u64,
    /// What the SMSC holds for the modem.
    pub held: VecDeque<Inbound>,
    /// What was handed on and not acknowledged, and until when.
    pub unacknowledged: Option<(Inbound, Instant)>,
    /// Indications kept by +CNMI mode 0.
    pub buffered: VecDeque<String>,
    /// Unsolicited lines that wait for their place.
    amid: Vec<(Amid, String)>,
    /// The last messages sent, for reports asked for later.
    pub kept: VecDeque<Kept>,
    /// Whether a full storage was told of.
    pub full_told: bool,
    pub last_id: u64,
    pub last_reference: u8,
    /// The fault of the message at the prompt, drawn with the prompt.
    pub drawn: Option<Option<Kind>>,
    pub chance: Chance,
    plan: Plan,
    agenda: BTreeMap<(Instant, u64), Due>,
    count: u64,
    input: Input,
    /// The last command line, for A/.
    last_line: Vec<u8>,
    typed: VecDeque<u8>,
    held_lines: VecDeque<String>,
    out: Vec<u8>,
    /// Octets of earlier turns that the client has not read.
    unread: usize,
    lines: Vec<u8>,
}

impl Device {
    pub fn new(options: ModemOptions, now: Now) -> Result<Device, BadFault> {
        let mut plan = Plan::default();
        for fault in &options.faults {
            plan.add(*fault)?;
        }
        let persona = options.vendor.persona();
        let sim = Sim::new(options.pin.is_some());
        let mut device = Device {
            persona,
            settings: Settings::new(persona),
            sim,
            storages: Storages::new(persona.base),
            stats: Stats::default(),
            phase: Phase::Ready,
            plug: Plug::In,
            conn: 0,
            held: VecDeque::new(),
            unacknowledged: None,
            buffered: VecDeque::new(),
            amid: Vec::new(),
            kept: VecDeque::new(),
            full_told: false,
            last_id: 0,
            last_reference: 0,
            drawn: None,
            chance: Chance::seeded(options.seed),
            plan,
            agenda: BTreeMap::new(),
            count: 0,
            input: Input::Line(Vec::new()),
            last_line: Vec::new(),
            typed: VecDeque::new(),
            held_lines: VecDeque::new(),
            out: Vec::new(),
            unread: 0,
            lines: Vec::new(),
            options,
        };
        if persona.periodic {
            device.plan_for(now.mono + RSSI_EVERY, Due::Rssi);
        }
        Ok(device)
    }

    pub fn plan(&mut self, fault: Fault) -> Result<(), BadFault> {
        self.plan.add(fault)
    }

    pub fn plan_for(&mut self, at: Instant, due: Due) {
        self.count += 1;
        self.agenda.insert((at, self.count), due);
    }

    /// Takes what the client wrote.
    pub fn handle_input(&mut self, octets: &[u8], now: Now) {
        if self.phase == Phase::Booting {
            return;
        }
        let room = MOST_TYPED.saturating_sub(self.typed.len());
        self.typed.extend(&octets[..octets.len().min(room)]);
        self.work(now);
    }

    /// Does what is due, and gives what there is to log and to write. `unread`: octets of earlier turns that the
    /// client has not taken yet.
    pub fn turn(&mut self, unread: usize, now: Now) -> Turn {
        self.unread = unread;
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= now.mono) {
            let due = entry.remove();
            self.fall_due(due, now);
        }
        self.give_up_waiting(now);
        self.work(now);
        let next = self.agenda.first_key_value().map(|((at, _), _)| *at);
        let wake_at = next.into_iter().chain(self.unacknowledged.as_ref().map(|(_, until)| *until)).min();
        Turn { lines: std::mem::take(&mut self.lines), out: std::mem::take(&mut self.out), wake_at }
    }

    fn fall_due(&mut self, due: Due, now: Now) {
        match due {
            Due::Answer(awaited) => self.answer_message(awaited, now),
            Due::Late { reference } => self.urc(format!("+CMGS: {reference}")),
            Due::Arrive(inbound) => self.held.push_back(*inbound),
            Due::Booted => self.booted(),
            Due::Plug => self.plug_in(now),
            Due::Rssi => {
                if self.settings.periodic && self.phase != Phase::Booting {
                    self.urc(format!("^RSSI:{}", self.settings.signal));
                }
                self.plan_for(now.mono + RSSI_EVERY, Due::Rssi);
            }
        }
    }

    /// Reads what was typed as far as it can be, then lets unsolicited lines and messages in.
    fn work(&mut self, now: Now) {
        while self.phase == Phase::Ready
            && let Some(octet) = self.typed.pop_front()
        {
            self.take(octet, now);
        }
        self.flush_held();
        self.take_messages(now);
    }

    fn take(&mut self, octet: u8, now: Now) {
        match std::mem::replace(&mut self.input, Input::Doing) {
            Input::Line(line) => self.take_typed(line, octet, now),
            Input::Prompt { octets, digits } => self.take_digit(octets, digits, octet, now),
            Input::Doing => {}
        }
        if self.input == Input::Doing {
            self.input = Input::Line(Vec::new());
        }
    }

    fn take_typed(&mut self, mut line: Vec<u8>, octet: u8, now: Now) {
        match octet {
            // Outside a prompt they mean nothing.
            ESC | CTRL_Z => self.input = Input::Line(line),
            b'\r' => {
                self.echo(octet);
                self.enter(&line, now);
            }
            _ => {
                self.echo(octet);
                match octet {
                    0x08 => {
                        line.pop();
                    }
                    b'\n' => {}
                    _ if line.len() <= LONGEST_LINE => line.push(octet),
                    _ => {}
                }
                if line.trim_ascii_start().eq_ignore_ascii_case(b"A/") {
                    let again = self.last_line.clone();
                    self.enter(&again, now);
                } else {
                    self.input = Input::Line(line);
                }
            }
        }
    }

    fn take_digit(&mut self, octets: usize, mut digits: Vec<u8>, octet: u8, now: Now) {
        match octet {
            ESC => {
                let ok = self.settings.style.ok();
                self.say(&ok);
            }
            CTRL_Z => self.submit(octets, &digits, now),
            _ => {
                self.echo(octet);
                // One more than can be right, so that too many are refused.
                if !octet.is_ascii_whitespace() && digits.len() <= LONGEST_PDU {
                    digits.push(octet);
                }
                self.input = Input::Prompt { octets, digits };
            }
        }
    }

    fn echo(&mut self, octet: u8) {
        if self.settings.style.echo {
            self.out.push(octet);
        }
    }

    /// Does a whole command line.
    fn enter(&mut self, line: &[u8], now: Now) {
        let Some(start) = line.windows(2).position(|pair| pair.eq_ignore_ascii_case(b"AT")) else { return };
        self.last_line = line.to_vec();
        let result = match std::str::from_utf8(&line[start + 2..]) {
            Ok(commands) if line.len() <= LONGEST_LINE => self.run(&command::split(commands), now),
            _ => Err(Failure::Plain),
        };
        let style = self.settings.style;
        match result {
            Ok(Then::Done) => self.say(&style.ok()),
            Ok(Then::Prompt { octets }) => self.prompt(octets),
            Ok(Then::Silent) => {}
            Ok(Then::Reboot) => {
                self.say(&style.ok());
                self.reboot(now);
            }
            Err(why) => self.say(&style.failed(why)),
        }
    }

    /// Up to the first command that fails or does not end the usual way.
    fn run(&mut self, commands: &[Option<Command>], now: Now) -> Answer {
        for command in commands {
            let Some(command) = command else { return Err(Failure::Plain) };
            self.stats.command(&command.name);
            match self.execute(command, now)? {
                Then::Done => {}
                other => return Ok(other),
            }
        }
        Ok(Then::Done)
    }

    /// The fault of the message to come is drawn here, so that it can fall on the prompt too.
    fn prompt(&mut self, octets: usize) {
        let drawn = match self.drawn {
            Some(drawn) => drawn,
            None => self.plan.next(&mut self.chance),
        };
        self.drawn = Some(drawn);
        if drawn == Some(Kind::UrcFlood) {
            self.flood();
        }
        self.say_amid(Amid::Prompt);
        if drawn == Some(Kind::NoPrompt) {
            // It falls on this prompt and on no message.
            self.drawn = None;
        } else {
            self.say("\r\n> ");
        }
        self.input = Input::Prompt { octets, digits: Vec::new() };
    }

    /// An unsolicited line at a place of its own.
    pub fn plan_line(&mut self, amid: Amid, line: &str) {
        if self.amid.len() < MOST_HELD {
            self.amid.push((amid, line.to_owned()));
        }
    }

    /// Says the lines that belong here.
    pub fn say_amid(&mut self, here: Amid) {
        let (said, kept) = std::mem::take(&mut self.amid).into_iter().partition(|(amid, _)| *amid == here);
        self.amid = kept;
        let said: Vec<(Amid, String)> = said;
        said.iter().for_each(|(_, line)| self.inform(line));
    }

    /// Unsolicited lines of all kinds, now.
    pub fn flood(&mut self) {
        let style = self.settings.style;
        for line in ["RING", "^RSSI:17", "+CREG: 1", "+CIEV: 2,3", "^DSFLOWRPT:0000,0,0,0,0,0,0", "+CUSATEND"]
        {
            self.say(&style.line(line));
        }
    }

    /// An information line of the command being done.
    pub fn inform(&mut self, text: &str) {
        let line = self.settings.style.line(text);
        self.say(&line);
    }

    /// Octets for the client, as they are.
    pub fn say(&mut self, text: &str) {
        self.say_octets(text.as_bytes());
    }

    pub fn say_octets(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(octets);
    }

    /// An unsolicited line: at once where nothing is being typed, else as soon as that is over.
    pub fn urc(&mut self, text: String) {
        self.urc_later(text);
        self.flush_held();
    }

    /// An unsolicited line behind the answer of the command being done.
    pub fn urc_later(&mut self, text: String) {
        if self.held_lines.len() < MOST_HELD {
            self.held_lines.push_back(text);
        }
    }

    fn flush_held(&mut self) {
        if !self.is_quiet() {
            return;
        }
        for line in std::mem::take(&mut self.held_lines) {
            if self.unread + self.out.len() < MOST_UNREAD {
                let line = self.settings.style.line(&line);
                self.say(&line);
            }
        }
    }

    /// Whether nothing is being typed.
    pub fn is_quiet(&self) -> bool {
        self.phase != Phase::Booting && matches!(&self.input, Input::Line(line) if line.is_empty())
    }

    /// Adds a line to the wire log.
    pub fn log(&mut self, line: &Line<'_>) {
        if let Err(e) = encode(line, &mut self.lines) {
            tracing::error!(event = "sim_line_not_written", error = %e);
        }
    }

    /// The port is there, or a connection.
    pub fn opened(&mut self, now: Now, what: &str) {
        self.conn += 1;
        let conn = self.conn;
        self.log(&Line::Port { at: &now.wall.to_rfc3339(), conn, what, not_taken: false });
    }

    /// The client is gone: what it typed and what was meant for it.
    pub fn closed(&mut self) {
        self.input = Input::Line(Vec::new());
        self.typed.clear();
        self.held_lines.clear();
        self.out.clear();
    }

    /// Pulls the port. `not_taken`: a message on its way in is lost by that.
    pub fn pull(&mut self, now: Now, not_taken: bool, back: Option<Duration>) {
        if self.plug == Plug::In {
            let at = now.wall.to_rfc3339();
            let conn = self.conn;
            self.log(&Line::Port { at: &at, conn, what: "unplugged", not_taken });
        }
        self.plug = Plug::Out;
        self.reset(now);
        if let Some(after) = back {
            self.plan_for(now.mono + after, Due::Plug);
        }
    }

    /// The port comes back, as after a power-on.
    pub fn plug_in(&mut self, now: Now) {
        if self.plug == Plug::Out {
            self.plug = Plug::In;
            self.phase = Phase::Booting;
            self.plan_for(now.mono + BOOTS_WITHIN, Due::Booted);
        }
    }

    /// Starts anew; a stick takes its port away meanwhile.
    pub fn reboot(&mut self, now: Now) {
        if self.persona.usb {
            self.pull(now, false, Some(BACK_AFTER));
            return;
        }
        let (at, conn) = (now.wall.to_rfc3339(), self.conn);
        self.log(&Line::Port { at: &at, conn, what: "rebooted", not_taken: false });
        self.reset(now);
        self.plan_for(now.mono + BOOTS_WITHIN, Due::Booted);
    }

    /// Everything that power keeps is gone: settings, what was typed, the PIN, answers to come.
    fn reset(&mut self, now: Now) {
        let unread = std::mem::take(&mut self.out);
        self.closed();
        // What was said before is on the wire already.
        self.out = unread;
        self.phase = Phase::Booting;
        self.settings = Settings::new(self.persona);
        self.sim.lock_again(self.options.pin.is_some());
        self.buffered.clear();
        if let Some((inbound, _)) = self.unacknowledged.take() {
            self.plan_for(now.mono + BACK_AFTER, Due::Arrive(Box::new(inbound)));
        }
        let powered = |due: &Due| matches!(due, Due::Answer(_) | Due::Late { .. } | Due::Booted | Due::Plug);
        if self.agenda.values().any(|due| matches!(due, Due::Answer(_))) {
            self.stats.in_flight = 0;
        }
        self.agenda.retain(|_, due| !powered(due));
    }

    fn booted(&mut self) {
        self.phase = Phase::Ready;
        for line in self.persona.boot {
            let locked = !self.sim.is_ready();
            let line = if locked && *line == "+CPIN: READY" { "+CPIN: SIM PIN" } else { line };
            self.urc(line.to_owned());
        }
    }

    /// Puts something in the SMSC's hands for the modem, `after` from now.
    pub fn arrive(&mut self, mut inbound: Inbound, after: Duration, now: Now) -> Result<u64, Unwritable> {
        if self.agenda.len() + self.held.len() >= super::network::MOST_WAITING {
            return Err(Unwritable::TooMany);
        }
        self.last_id += 1;
        inbound.id = self.last_id;
        self.plan_for(now.mono + after, Due::Arrive(Box::new(inbound)));
        Ok(self.last_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use proptest::prelude::*;

    fn said(device: &mut Device, octets: &[u8], now: Now) -> Vec<u8> {
        device.handle_input(octets, now);
        let mut said = Vec::new();
        loop {
            let turn = device.turn(0, now);
            said.extend(turn.out);
            // An answer that is due at once is one turn behind its message.
            if turn.wake_at.is_none_or(|at| at > now.mono) {
                break;
            }
        }
        said
    }

    const KNOWN: &[&str] = &[
        "AT",
        "+CMGS=18\r",
        "+CMGR=",
        "A/",
        "\r",
        "\x1a",
        "\x1b",
        "\"",
        ";",
        "=?",
        "+CPMS=",
        "D1;",
        "&F",
        "+CNMI=2,2",
    ];

    /// Octets as a confused client might write them.
    fn confusion() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => prop::sample::select(KNOWN).prop_map(|text| text.as_bytes().to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..40),
        ];
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn no_octets_confuse_it_for_good(octets in confusion(), cut in any::<prop::sample::Index>()) {
            let now = Clock::system().now();
            let mut device = Device::new(ModemOptions::default(), now).unwrap();
            let (first, second) = octets.split_at(cut.index(octets.len() + 1));
            let in_two = [said(&mut device, first, now), said(&mut device, second, now)].concat();
            let mut other = Device::new(ModemOptions::default(), now).unwrap();
            prop_assert_eq!(in_two, said(&mut other, &octets, now), "however it is cut");
            said(&mut device, b"\x1b\rATV1Q0E0\r", now);
            prop_assert_eq!(said(&mut device, b"AT\r", now), b"\r\nOK\r\n");
        }
    }

    #[test]
    fn unsolicited_lines_are_lost_where_nobody_reads_and_answers_are_not() {
        let now = Clock::system().now();
        let mut device = Device::new(ModemOptions::default(), now).unwrap();
        device.turn(MOST_UNREAD, now);
        device.urc("RING".into());
        device.handle_input(b"ATE0\r", now);
        assert_eq!(device.turn(MOST_UNREAD, now).out, b"ATE0\r\r\nOK\r\n");
    }
}
