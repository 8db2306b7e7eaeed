//! The PIN is entered once: who tries a wrong one three times has lost the SIM until somebody finds the PUK.
//!
//! Before a PIN is entered its digest, with the SIM it is for, is on the disk; one that is there is never entered
//! again, whatever crashes and restarts come. A PIN that was right takes its entry away. Somebody who knows that
//! the PIN is right after all removes the file.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::config::Secret;

/// Entries that were entered and not known to be right.
#[derive(Debug, Default)]
pub struct PinLedger {
    /// `None`: kept for this run only.
    path: Option<PathBuf>,
    entered: BTreeSet<String>,
}

/// Why a PIN is not entered.
#[derive(Debug, thiserror::Error)]
pub enum PinRefusal {
    #[error("a PIN was entered before and did not unlock the SIM; {}", remedy(.0.as_deref()))]
    Entered(Option<PathBuf>),
    #[error("that the PIN is entered cannot be recorded: {0}")]
    Unrecorded(#[from] io::Error),
}

/// What a person does so that a PIN is entered once more.
fn remedy(path: Option<&Path>) -> String {
    let removed = path.map(|path| format!(", remove {}", path.display())).unwrap_or_default();
    format!(
        "it is not entered again: check it{removed}, then restart the link, or the daemon if the PIN was changed"
    )
}

/// What a PIN is for: the SIM where it says its number before it is unlocked, else the modem it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinFor {
    Sim(String),
    Modem(String),
}

impl PinLedger {
    /// Reads the file where there is one.
    ///
    /// # Errors
    /// Those of reading it, other than that it is not there.
    pub fn open(path: Option<PathBuf>) -> io::Result<PinLedger> {
        let text = match path.as_deref().map(fs::read_to_string) {
            None => String::new(),
            Some(Ok(text)) => text,
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Some(Err(error)) => return Err(error),
        };
        Ok(PinLedger { path, entered: text.lines().map(str::to_owned).collect() })
    }

    /// Records that `pin` is entered now.
    ///
    /// # Errors
    /// It was before, or cannot be recorded; either way it must not be entered.
    pub fn enter(&mut self, pin: &Secret, whose: &PinFor) -> Result<(), PinRefusal> {
        self.reread()?;
        if self.holds(pin, whose) {
            return Err(PinRefusal::Entered(self.path.clone()));
        }
        let entry = digest(pin, whose);
        if let Some(path) = &self.path {
            append(path, &entry)?;
        }
        self.entered.insert(entry);
        Ok(())
    }

    /// The PIN was right.
    ///
    /// # Errors
    /// The file could not be removed: the PIN will not be entered again.
    pub fn succeeded(&mut self) -> io::Result<()> {
        self.entered.clear();
        match self.path.as_deref().map(fs::remove_file) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// What a person does so that a PIN is entered once more.
    pub fn remedy(&self) -> String {
        remedy(self.path.as_deref())
    }

    /// Somebody may have removed the file to have the PIN entered once more.
    fn reread(&mut self) -> io::Result<()> {
        if self.path.is_some() {
            *self = PinLedger::open(self.path.clone())?;
        }
        Ok(())
    }

    /// A SIM that did not say its number once may say it another time: then every entry counts.
    fn holds(&self, pin: &Secret, whose: &PinFor) -> bool {
        match whose {
            PinFor::Modem(_) => !self.entered.is_empty(),
            PinFor::Sim(_) => {
                self.entered.contains(&digest(pin, whose))
                    || self.entered.iter().any(|e| e.starts_with(MODEM))
            }
        }
    }
}

const SIM: &str = "sim ";
const MODEM: &str = "modem ";

fn digest(pin: &Secret, whose: &PinFor) -> String {
    let (kind, number) = match whose {
        PinFor::Sim(number) => (SIM, number),
        PinFor::Modem(number) => (MODEM, number),
    };
    let mut hash = blake3::Hasher::new();
    hash.update(kind.as_bytes()).update(number.as_bytes()).update(&[0]).update(pin.expose().as_bytes());
    format!("{kind}{}", hash.finalize().to_hex())
}

fn append(path: &Path, entry: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    file.write_all(format!("{entry}\n").as_bytes())?;
    file.sync_all()?;
    // The name of a new file is in its directory, and that is to survive a power cut too.
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sim(number: &str) -> PinFor {
        PinFor::Sim(number.into())
    }

    #[test]
    fn a_pin_is_entered_once_whatever_restarts_come() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pin");
        let pin = Secret::new("1234".into());
        let mut ledger = PinLedger::open(Some(path.clone())).unwrap();
        ledger.enter(&pin, &sim("8949")).unwrap();
        for _ in 0..3 {
            let mut again = PinLedger::open(Some(path.clone())).unwrap();
            assert!(matches!(again.enter(&pin, &sim("8949")), Err(PinRefusal::Entered(_))));
            assert!(matches!(again.enter(&pin, &PinFor::Modem("35".into())), Err(PinRefusal::Entered(_))));
        }
        ledger.enter(&pin, &sim("8950")).unwrap();
        ledger.enter(&Secret::new("4321".into()), &sim("8949")).unwrap();
        assert!(!fs::read_to_string(&path).unwrap().contains("1234"));
        let refused = ledger.enter(&pin, &sim("8949")).unwrap_err().to_string();
        assert!(refused.contains(&format!("remove {}, then restart the link", path.display())), "{refused}");
    }

    #[test]
    fn a_right_pin_leaves_no_entry_and_a_removed_file_allows_one_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pin");
        let pin = Secret::new("1234".into());
        let mut ledger = PinLedger::open(Some(path.clone())).unwrap();
        ledger.enter(&pin, &sim("8949")).unwrap();
        ledger.succeeded().unwrap();
        assert!(!path.exists());
        ledger.enter(&pin, &sim("8949")).unwrap();
        fs::remove_file(&path).unwrap();
        ledger.enter(&pin, &sim("8949")).unwrap();
    }

    #[test]
    fn a_pin_that_cannot_be_recorded_is_not_entered() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = PinLedger::open(Some(dir.path().join("gone").join("pin"))).unwrap();
        let refused = ledger.enter(&Secret::new("1234".into()), &sim("8949"));
        assert!(matches!(refused, Err(PinRefusal::Unrecorded(_))), "{refused:?}");
        let mut unnamed = PinLedger::default();
        unnamed.enter(&Secret::new("1234".into()), &sim("1")).unwrap();
        assert!(unnamed.enter(&Secret::new("1234".into()), &sim("1")).is_err());
    }
}
