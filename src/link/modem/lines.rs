//! What a modem writes, as lines: cut by cut, whatever the cuts (3GPP TS 27.007 section 4, V.250 section 5.7).
//!
//! ```text
//! bytes -> Splitter (lines, the prompt) -> Reader (bodies, echo, whose line it is) -> Heard
//! ```
//! Invariants:
//! * The same bytes give the same [`Heard`], however they were cut.
//! * A line that announces a body owns the next line, whatever that says; only another announcement may come
//!   between the two, and is routed by itself.
//! * An unsolicited line never ends a command and is never a part of its answer.
//! * Our own bytes, sent back by a modem with echo, are known and dropped.
//! * Nothing grows: lines, remembered bytes and open bodies are bounded.
//!
//! What an unsolicited line says is `urc.rs`; what an answer means is for whoever asked.

use std::collections::VecDeque;

use super::errors::Fault;
use super::urc::{self, Urc};

/// No line is longer: a PDU with its SMSC has 352 characters, a listing of capabilities a few hundred.
pub const LONGEST_LINE: usize = 4 * 1024;
/// So many of our own lines are known when they come back.
const ECHOES: usize = 4;
/// Announcements that wait for their bodies at the same time.
const OPEN_BODIES: usize = 4;
/// A text of +CUSD may have line ends within its quotes; this many lines belong to it at most.
const USSD_LINES: u8 = 16;

/// One line, or the prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    Text(String),
    Prompt,
}

/// Cuts bytes into lines. CR and LF both end a line and empty lines are none, so every variant of 3.1 reads alike.
#[derive(Debug, Default)]
pub struct Splitter {
    buffer: Vec<u8>,
    /// Everything before it was read.
    from: usize,
    /// The line was too long: what is left of it is dropped.
    overlong: bool,
}

impl Splitter {
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.from);
        self.from = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole line; the prompt at a line's start where it is awaited, whatever follows it.
    pub fn next_line(&mut self, prompt_awaited: bool) -> Option<Line> {
        loop {
            self.skip_blank();
            let rest = self.buffer.get(self.from..).unwrap_or_default();
            if prompt_awaited && !self.overlong && rest.first() == Some(&b'>') {
                self.from += 1;
                return Some(Line::Prompt);
            }
            let Some(end) = rest.iter().position(|b| is_end(*b)) else {
                self.bound_partial();
                return None;
            };
            let text = String::from_utf8_lossy(&rest[..end]);
            let text = text.trim_matches(|c: char| c.is_control() || c == ' ').to_owned();
            self.from += end + 1;
            let dropped = std::mem::take(&mut self.overlong) || end > LONGEST_LINE || text.is_empty();
            if !dropped {
                return Some(Line::Text(text));
            }
        }
    }

    /// Forgets what was begun and not ended.
    pub fn clear(&mut self) {
        *self = Splitter::default();
    }

    fn skip_blank(&mut self) {
        if !self.overlong {
            let rest = self.buffer.get(self.from..).unwrap_or_default();
            self.from += rest.iter().take_while(|b| is_end(**b) || matches!(b, b' ' | 0)).count();
        }
    }

    fn bound_partial(&mut self) {
        if self.overlong || self.buffer.len() - self.from > LONGEST_LINE {
            self.overlong = true;
            self.buffer.clear();
            self.from = 0;
        }
    }
}

const fn is_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// What the command on the wire expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// No command is on the wire.
    Nothing,
    /// OK or an error, no lines.
    Final,
    /// Lines that begin so: `"+CPMS:"`.
    Prefixed(&'static str),
    /// Such lines with a PDU behind each.
    Bodies(&'static str),
    /// Any line that is nothing else (AT+CGMI).
    Free,
    /// The prompt of AT+CMGS.
    Prompt,
}

impl Expect {
    fn prefix(self) -> Option<&'static str> {
        match self {
            Expect::Prefixed(prefix) | Expect::Bodies(prefix) => Some(prefix),
            Expect::Nothing | Expect::Final | Expect::Free | Expect::Prompt => None,
        }
    }
}

/// One thing that a modem said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Prompt,
    Ok,
    Failed(Fault),
    /// A line of the answer, and its body.
    Info {
        head: String,
        body: Option<String>,
    },
    /// +CMGS: of a command that is no longer on the wire.
    LateReference(String),
    Urc(Urc),
    /// Our own line came back.
    Echo,
    /// Nothing that is known.
    Noise,
}

/// Who owns the next line.
#[derive(Debug)]
struct Owner {
    head: String,
    whose: Whose,
}

#[derive(Debug)]
enum Whose {
    /// The answer to the command on the wire; `bare`: the length is 0, so there may be none.
    Answer {
        prefix: &'static str,
        bare: bool,
    },
    Urc,
}

/// Says of each line whose it is.
#[derive(Debug, Default)]
pub struct Reader {
    splitter: Splitter,
    /// A line that was read too early.
    held: Option<String>,
    owners: Vec<Owner>,
    /// An open text of +CUSD: lines that may still belong to it.
    ussd: u8,
    echoes: VecDeque<String>,
}

impl Reader {
    pub fn push(&mut self, bytes: &[u8]) {
        self.splitter.push(bytes);
    }

    /// This was written; it may come back.
    pub fn wrote(&mut self, line: &str) {
        if self.echoes.len() == ECHOES {
            self.echoes.pop_front();
        }
        self.echoes.push_back(line.to_owned());
    }

    /// The command on the wire is over: no body of its answer is awaited any more.
    pub fn answer_over(&mut self) {
        self.owners.retain(|owner| matches!(owner.whose, Whose::Urc));
    }

    /// The modem has started anew: what it had begun it will not end.
    pub fn restarted(&mut self) {
        (self.held, self.ussd) = (None, 0);
        self.owners.clear();
    }

    /// The next thing said, under what is expected now.
    pub fn hear(&mut self, expect: Expect) -> Option<Heard> {
        loop {
            let line = match self.held.take() {
                Some(held) => held,
                None => match self.splitter.next_line(expect == Expect::Prompt)? {
                    Line::Prompt => return Some(Heard::Prompt),
                    Line::Text(text) => text,
                },
            };
            if let Some(heard) = self.read(line, expect) {
                return Some(heard);
            }
        }
    }

    /// `None`: it belongs to something that is not complete yet.
    fn read(&mut self, line: String, expect: Expect) -> Option<Heard> {
        if self.ussd > 0 && !matches!(urc::read(&line), Some(Urc::Boot(_))) {
            self.ussd = if line.contains('"') { 0 } else { self.ussd - 1 };
            return None;
        }
        // What is left of a prompt nobody waited for.
        let line = line.strip_prefix('>').map_or(line.as_str(), str::trim_start).to_owned();
        if let Some(owner) = self.owners.pop() {
            return self.read_body(owner, line, expect);
        }
        if self.echoes.contains(&line) {
            return Some(Heard::Echo);
        }
        self.classify(line, expect)
    }

    fn read_body(&mut self, owner: Owner, line: String, expect: Expect) -> Option<Heard> {
        let next_entry = matches!(owner.whose, Whose::Answer { prefix, .. } if line.starts_with(prefix));
        let bare = matches!(owner.whose, Whose::Answer { bare: true, .. }) && final_of(&line).is_some();
        if next_entry || bare {
            self.held = Some(line);
            return Some(Heard::Info { head: owner.head, body: None });
        }
        if urc::is_announcement(&line) {
            self.owners.push(owner);
            return self.classify(line, expect);
        }
        Some(match owner.whose {
            Whose::Answer { .. } => Heard::Info { head: owner.head, body: Some(line) },
            // The next line is still heard within what this one is.
            Whose::Urc => Heard::Urc(urc::routed(&owner.head, &line)),
        })
    }

    fn classify(&mut self, line: String, expect: Expect) -> Option<Heard> {
        if expect.prefix().is_some_and(|prefix| line.starts_with(prefix)) && !urc::is_registration_urc(&line)
        {
            return self.answer_line(line, expect);
        }
        match final_of(&line) {
            Some(Final::Ok) => return Some(Heard::Ok),
            Some(Final::Failed(fault)) => return Some(Heard::Failed(fault)),
            // A modem that was set to numbers answers so until ATV1 is through.
            None if expect == Expect::Final && line == "0" => return Some(Heard::Ok),
            None => {}
        }
        if line.starts_with("+CMGS:") {
            return Some(Heard::LateReference(line));
        }
        if urc::owns_body(&line) {
            self.open(Owner { head: line, whose: Whose::Urc });
            return None;
        }
        if line.starts_with("+CUSD:") && line.matches('"').count() % 2 == 1 {
            self.ussd = USSD_LINES;
            return None;
        }
        if let Some(urc) = urc::read(&line) {
            return Some(Heard::Urc(urc));
        }
        Some(match expect {
            Expect::Free => Heard::Info { head: line, body: None },
            _ => Heard::Noise,
        })
    }

    fn answer_line(&mut self, head: String, expect: Expect) -> Option<Heard> {
        let Expect::Bodies(prefix) = expect else {
            return Some(Heard::Info { head, body: None });
        };
        let bare = head.rsplit(',').next().is_some_and(|length| length.trim() == "0");
        self.open(Owner { head, whose: Whose::Answer { prefix, bare } });
        None
    }

    fn open(&mut self, owner: Owner) {
        if self.owners.len() < OPEN_BODIES {
            self.owners.push(owner);
        }
    }
}

enum Final {
    Ok,
    Failed(Fault),
}

fn final_of(line: &str) -> Option<Final> {
    if line == "OK" {
        return Some(Final::Ok);
    }
    Fault::read(line).map(Final::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything heard of `text`, one byte at a time or at once.
    fn heard(text: &[u8], expect: Expect, step: usize) -> Vec<Heard> {
        let mut reader = Reader::default();
        reader.wrote("AT+CMGL=4");
        let mut all = Vec::new();
        for part in text.chunks(step) {
            reader.push(part);
            while let Some(heard) = reader.hear(expect) {
                all.push(heard);
            }
        }
        all
    }

    /// The same at every cut.
    fn same(text: &[u8], expect: Expect) -> Vec<Heard> {
        let at_once = heard(text, expect, text.len().max(1));
        for step in 1..text.len() {
            assert_eq!(heard(text, expect, step), at_once, "cut every {step}");
        }
        at_once
    }

    fn info(head: &str, body: Option<&str>) -> Heard {
        Heard::Info { head: head.into(), body: body.map(String::from) }
    }

    #[test]
    fn every_ending_of_a_line_reads_alike() {
        for text in ["\r\nOK\r\n", "OK\r\r\n", "\r\n\r\nOK\n", "\rOK\r", "\0\r\nOK \r\n"] {
            assert_eq!(same(text.as_bytes(), Expect::Final), [Heard::Ok], "{text:?}");
        }
        let ragged = same(b"\r^RSSI: 9\r+\n\r\nOK\r\n", Expect::Final);
        assert_eq!(ragged.last(), Some(&Heard::Ok));
    }

    #[test]
    fn the_prompt_is_heard_with_and_without_its_blank_and_only_where_awaited() {
        for text in ["\r\n> ", ">", "\r\n>", "+CREG: 1\r\n> "] {
            assert_eq!(same(text.as_bytes(), Expect::Prompt).last(), Some(&Heard::Prompt), "{text:?}");
        }
        assert_eq!(same(b"\r\n> \r\nOK\r\n", Expect::Final), [Heard::Noise, Heard::Ok]);
        assert_eq!(same(b"x > \r\n", Expect::Prompt), [Heard::Noise]);
        assert_eq!(same(b"> +CPMS: 1,2\r\n", Expect::Prefixed("+CPMS:")), [info("+CPMS: 1,2", None)]);
    }

    #[test]
    fn a_body_is_a_body_even_if_it_says_ok() {
        let cmt = same(b"+CMT: ,24\r\nOK\r\nOK\r\n", Expect::Final);
        assert_eq!(cmt, [Heard::Urc(urc::routed("+CMT: ,24", "OK")), Heard::Ok]);
        let list = same(b"AT+CMGL=4\r\r\n+CMGL: 0,0,,3\r\nERROR\r\nOK\r\n", Expect::Bodies("+CMGL:"));
        assert_eq!(list, [Heard::Echo, info("+CMGL: 0,0,,3", Some("ERROR")), Heard::Ok]);
    }

    #[test]
    fn an_entry_without_a_body_leaves_the_others_theirs() {
        let text = b"+CMGL: 1,0,,9\r\n+CMGL: 2,0,,1\r\nAA\r\n+CMGL: 3,0,,0\r\nOK\r\n";
        let wanted = [
            info("+CMGL: 1,0,,9", None),
            info("+CMGL: 2,0,,1", Some("AA")),
            info("+CMGL: 3,0,,0", None),
            Heard::Ok,
        ];
        assert_eq!(same(text, Expect::Bodies("+CMGL:")), wanted);
    }

    #[test]
    fn announcements_between_head_and_body_are_routed_by_themselves() {
        let text = b"+CMGL: 1,0,,2\r\n+CMT: ,2\r\n+CMTI: \"SM\",0\r\nBBBB\r\nRING\r\nAAAA\r\nOK\r\n";
        let heard = same(text, Expect::Bodies("+CMGL:"));
        assert_eq!(heard[1], Heard::Urc(urc::routed("+CMT: ,2", "BBBB")));
        assert_eq!(heard[3..], [info("+CMGL: 1,0,,2", Some("AAAA")), Heard::Ok]);
    }

    #[test]
    fn an_announcement_never_ends_a_command_and_is_no_answer() {
        let text = b"+CMTI: \"SM\",3\r\n+CREG: 5,\"00C3\",\"0A\"\r\n^RSSI: 12\r\nRING\r\n+CREG: 2,1,\"00C3\",\"0A\"\r\n";
        let heard = same(text, Expect::Prefixed("+CREG:"));
        assert_eq!(heard.len(), 5);
        assert!(heard[..4].iter().all(|h| matches!(h, Heard::Urc(_))), "{heard:?}");
        assert_eq!(heard[4], info("+CREG: 2,1,\"00C3\",\"0A\"", None));
    }

    #[test]
    fn a_text_of_ussd_may_say_ok() {
        let heard = same(b"+CUSD: 0,\"Balance\r\nOK\r\n5 EUR\",15\r\nOK\r\n", Expect::Final);
        assert_eq!(heard, [Heard::Ok]);
    }

    #[test]
    fn a_line_without_end_is_dropped_and_the_next_one_read() {
        let mut text = vec![b'x'; 3 * LONGEST_LINE];
        text.extend(b"\r\n\xff\xfe\r\nOK\r\n");
        let mut splitter = Splitter::default();
        for part in text.chunks(1000) {
            splitter.push(part);
            assert!(splitter.buffer.len() <= LONGEST_LINE + 1000);
            while let Some(line) = splitter.next_line(false) {
                assert!(matches!(&line, Line::Text(text) if text.len() < 10), "{line:?}");
            }
        }
        assert_eq!(heard(&text, Expect::Final, 1000), [Heard::Noise, Heard::Ok]);
    }
}
