//! How a modem writes: result codes (V.250 section 5.7), +CME ERROR (27.007 section 9.2) and +CMS ERROR (27.005
//! section 3.2.5).

/// Why a command failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// `ERROR`
    Plain,
    Cme(u16),
    Cms(u16),
    /// A vendor's own words.
    Words(&'static str),
}

impl Failure {
    pub const NOT_ALLOWED: Failure = Failure::Cme(3);
    pub const NOT_SUPPORTED: Failure = Failure::Cme(4);
    pub const PIN_REQUIRED: Failure = Failure::Cme(11);
    pub const PUK_REQUIRED: Failure = Failure::Cme(12);
    pub const WRONG_PASSWORD: Failure = Failure::Cme(16);
    pub const PARAMETERS: Failure = Failure::Cme(50);

    pub const SMS_NOT_SUPPORTED: Failure = Failure::Cms(303);
    pub const SMS_BAD_PDU: Failure = Failure::Cms(304);
    pub const SMS_PIN_REQUIRED: Failure = Failure::Cms(311);
    pub const SMS_PUK_REQUIRED: Failure = Failure::Cms(316);
    pub const BAD_INDEX: Failure = Failure::Cms(321);
    pub const NO_SERVICE_CENTRE: Failure = Failure::Cms(330);
    pub const NO_NETWORK: Failure = Failure::Cms(331);
    pub const NO_CNMA_EXPECTED: Failure = Failure::Cms(340);
}

/// Texts of +CME ERROR for `+CMEE=2` (27.007 section 9.2.1).
const TEXTS: [(u16, &str); 6] = [
    (3, "operation not allowed"),
    (4, "operation not supported"),
    (11, "SIM PIN required"),
    (12, "SIM PUK required"),
    (16, "incorrect password"),
    (50, "Incorrect parameters"),
];

/// What E, V, Q and +CMEE were set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    pub echo: bool,
    /// Words (V1) rather than numbers (V0).
    pub verbose: bool,
    /// No result codes (Q1).
    pub quiet: bool,
    /// 0, 1 or 2.
    pub cmee: u8,
}

impl Style {
    pub const DEFAULT: Style = Style { echo: true, verbose: true, quiet: false, cmee: 0 };

    pub fn ok(self) -> String {
        self.result("OK", "0")
    }

    pub fn failed(self, why: Failure) -> String {
        match why {
            Failure::Plain => self.result("ERROR", "4"),
            Failure::Words(words) => self.result(words, words),
            Failure::Cms(code) => self.long(&format!("+CMS ERROR: {code}")),
            Failure::Cme(_) if self.cmee == 0 => self.result("ERROR", "4"),
            Failure::Cme(code) => {
                let text = TEXTS.iter().find(|(known, _)| *known == code).filter(|_| self.cmee == 2);
                match text {
                    Some((_, text)) => self.long(&format!("+CME ERROR: {text}")),
                    None => self.long(&format!("+CME ERROR: {code}")),
                }
            }
        }
    }

    pub fn result(self, words: &str, number: &str) -> String {
        match (self.quiet, self.verbose) {
            (true, _) => String::new(),
            (false, true) => format!("\r\n{words}\r\n"),
            (false, false) => format!("{number}\r"),
        }
    }

    /// A result code that has no number.
    fn long(self, words: &str) -> String {
        if self.quiet { String::new() } else { self.line(words) }
    }

    /// An information line, or an unsolicited result.
    pub fn line(self, text: &str) -> String {
        if self.verbose { format!("\r\n{text}\r\n") } else { format!("{text}\r\n") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_failure_is_written_as_it_was_asked_for() {
        let style = |cmee| Style { cmee, ..Style::DEFAULT };
        assert_eq!(style(0).failed(Failure::NOT_SUPPORTED), "\r\nERROR\r\n");
        assert_eq!(style(1).failed(Failure::NOT_SUPPORTED), "\r\n+CME ERROR: 4\r\n");
        assert_eq!(style(2).failed(Failure::NOT_SUPPORTED), "\r\n+CME ERROR: operation not supported\r\n");
        assert_eq!(style(0).failed(Failure::SMS_BAD_PDU), "\r\n+CMS ERROR: 304\r\n");
        let short = Style { verbose: false, ..Style::DEFAULT };
        assert_eq!((short.ok(), short.failed(Failure::Plain)), ("0\r".into(), "4\r".into()));
        let quiet = Style { quiet: true, ..Style::DEFAULT };
        assert_eq!((quiet.ok(), quiet.failed(Failure::BAD_INDEX)), (String::new(), String::new()));
    }
}
