//! Files of payments and bank statements: money that came, booked by what names it; what is not sure is a person's
//! task.
//!
//! A statement is matched against the applied state in one pass over all obligations: what its entries ask for is
//! asked first of nobody, so that only obligations that some entry may name are held. A million obligations are a
//! few seconds once a day, and no index has to be kept in step for it.
//!
//! Invariant: an entry counts once. Payments do by their ids; what became of an entry of a statement is kept in
//! `STATE_DIR/imports/bank.seen`, 16 octets each, written when its change is on the disk. A crash between the two
//! can open a task twice, never book twice.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::spool::SpoolError;
use super::{Committed, ImportError, Imports, Wish};
use crate::clock::Timestamp;
use crate::engine::Refusal;
use crate::engine::reminders::change::{How, Which};
use crate::engine::reminders::{Change, ChangeAnswer, ChangeRefusal};
use crate::id::{ImportId, ObligationId};
use crate::message::TokenName;
use crate::reminder::bank::matching::{Candidate, Lookup, Match, find, folded};
use crate::reminder::bank::{self, BankError, Entry};
use crate::reminder::import;
use crate::reminder::money::Money;
use crate::reminder::name::{ExternalId, Key};
use crate::reminder::obligation::{Obligation, Payment};
use crate::reminder::task::kind;
use crate::store::keys::{self, family};
use crate::store::{Read, StoreError, record};

/// Obligations read at once.
const PAGE: usize = 1_000;
/// Obligations one reference or balance may mean, for a person to look at.
const CANDIDATES_MAX: usize = 20;
/// Entries remembered: years of statements in 16 MiB.
const SEEN_MAX: usize = 1 << 20;

/// What a statement came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Booked {
    pub entries: u64,
    /// Payments booked now.
    pub booked: u64,
    pub reversed: u64,
    /// Tasks for a person.
    pub doubtful: u64,
    /// Known from an earlier file.
    pub unchanged: u64,
    /// Nothing of ours.
    pub unmatched: u64,
    pub rejected: u64,
    /// Why, an entry each, by its place in the file from 1.
    pub errors: super::Errors,
}

#[derive(Debug, thiserror::Error)]
pub enum BookError {
    #[error(transparent)]
    Bank(#[from] BankError),
    #[error(transparent)]
    Import(#[from] ImportError),
}

/// A row of a file of payments as a change.
pub(super) fn change(payment: import::Payment) -> Change {
    let import::Payment { external_id, obligation, creditor, amount, at, reversed } = payment;
    let which = Which::External { id: obligation, creditor };
    let payment = Payment { external_id, amount, at, reversed };
    if reversed { Change::Reverse { which, payment } } else { Change::Pay { which, payment } }
}

impl Imports {
    /// Books an uploaded file of payments, row by row; the same rows again change nothing.
    ///
    /// # Errors
    /// [`ImportError::File`], with all rows before the fault booked.
    pub async fn book(&self, id: ImportId, wish: Wish) -> Result<Committed, ImportError> {
        let file = self.0.spool.open(id)?;
        let done = std::sync::atomic::AtomicU64::new(0);
        let booked = self.0.stream::<import::Payment>(wish.mapping, file, wish.by, &done, change).await;
        self.0.spool.remove(id)?;
        booked
    }

    /// Matches a statement and books it; the same again, or an entry that stood in another, changes nothing.
    ///
    /// # Errors
    /// [`BookError::Bank`]: it is none, and nothing of it was booked.
    pub async fn book_statement(&self, octets: Vec<u8>, by: TokenName) -> Result<Booked, BookError> {
        let _turn = self.0.booking.lock().await;
        let (view, seen_file) = (self.0.engine.view().clone(), self.0.spool.path("bank.seen"));
        let matched = tokio::task::spawn_blocking(move || -> Result<_, BookError> {
            let entries = bank::read(&octets)?;
            let seen = Seen::read(&seen_file).map_err(ImportError::Spool)?;
            let matched = Matched::read(&entries, &*view.state, &seen.digests).map_err(ImportError::Read)?;
            Ok((matched, seen))
        });
        let (mut matched, mut seen) = matched.await.map_err(|_| ImportError::Broken)??;
        let answers = self.0.engine.change(matched.changes(), by).await.map_err(ImportError::Refused)?;
        let (booked, noted) = matched.settle(answers).map_err(ImportError::Refused)?;
        tokio::task::spawn_blocking(move || seen.add(&noted))
            .await
            .map_err(|_| ImportError::Broken)?
            .map_err(ImportError::Spool)?;
        Ok(booked)
    }
}

/// What names an entry of a statement for ever.
pub type EntryDigest = [u8; 16];

/// A statement held against what is owed, and what is asked for it.
#[derive(Debug)]
pub struct Matched {
    booked: Booked,
    changes: Vec<Change>,
    /// By change: the entry's place in the file from 1.
    asked: Vec<(u64, EntryDigest, Deed)>,
}

impl Matched {
    /// `seen`: entries that were dealt with before.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn read(
        entries: &[Entry],
        state: &dyn Read,
        seen: &HashSet<EntryDigest>,
    ) -> Result<Matched, StoreError> {
        let booked = Booked { entries: entries.len() as u64, ..Booked::default() };
        let mut matched = Matched { booked, changes: Vec::new(), asked: Vec::new() };
        for (at, plan) in plans(entries, state, seen)?.into_iter().enumerate() {
            match plan {
                Plan::Known => matched.booked.unchanged += 1,
                Plan::Nothing => matched.booked.unmatched += 1,
                Plan::Do(digest, change) => {
                    matched.asked.push((at as u64 + 1, digest, Deed::of(&change)));
                    matched.changes.push(*change);
                }
            }
        }
        Ok(matched)
    }

    /// What to ask of the core, once.
    pub fn changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// What came of it, by the core's answers, and the entries that are dealt with now.
    ///
    /// # Errors
    /// The core takes nothing: the same statement may be booked later.
    pub fn settle(self, answers: ChangeAnswer) -> Result<(Booked, Vec<EntryDigest>), Refusal> {
        let Matched { mut booked, asked, .. } = self;
        let mut noted = Vec::new();
        for ((place, digest, deed), made) in asked.into_iter().zip(answers) {
            if let Err(ChangeRefusal::Closed(refusal)) = made {
                return Err(refusal);
            }
            noted.push(digest);
            booked.count(place, deed, made.map(|made| made.how));
        }
        Ok((booked, noted))
    }
}

/// What was asked for an entry.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Pay,
    Reverse,
    Task,
}

impl Deed {
    fn of(change: &Change) -> Deed {
        match change {
            Change::Pay { .. } => Deed::Pay,
            Change::Reverse { .. } => Deed::Reverse,
            _ => Deed::Task,
        }
    }
}

impl Booked {
    fn count(&mut self, place: u64, deed: Deed, made: Result<How, ChangeRefusal>) {
        match (deed, made) {
            (_, Ok(How::Unchanged)) => self.unchanged += 1,
            (Deed::Pay, Ok(_)) => self.booked += 1,
            (Deed::Reverse, Ok(_)) => self.reversed += 1,
            (Deed::Task, Ok(_)) => self.doubtful += 1,
            (_, Err(refusal)) => {
                self.rejected += 1;
                self.errors.refuse(place, &refusal);
            }
        }
    }
}

/// What is to be done about an entry.
enum Plan {
    Known,
    Nothing,
    Do(EntryDigest, Box<Change>),
}

fn plans(entries: &[Entry], state: &dyn Read, seen: &HashSet<EntryDigest>) -> Result<Vec<Plan>, StoreError> {
    let wanted = Wanted::default();
    for entry in entries {
        // Of nobody: what is asked is kept, what is found is nothing.
        find(entry, &wanted);
    }
    let mut books = Books::read(&wanted, entries, state)?;
    Ok(entries.iter().map(|entry| plan(entry, &mut books, seen)).collect())
}

fn plan(entry: &Entry, books: &mut Books, seen: &HashSet<EntryDigest>) -> Plan {
    let digest = digest(entry);
    if seen.contains(&digest) || books.has_payment(entry) {
        return Plan::Known;
    }
    match find(entry, books) {
        Match::None => Plan::Nothing,
        Match::Sure { obligation } => match books.only(&obligation) {
            Some(id) => {
                let (external_id, amount) = (entry.external_id.clone(), entry.amount);
                books.pay(id, external_id.clone(), amount);
                let payment = Payment { external_id, amount, at: booked_at(entry), reversed: false };
                Plan::Do(digest, Box::new(Change::Pay { which: Which::Id(id), payment }))
            }
            None => doubtful(digest, entry, "several creditors have an obligation of this id", &[], books),
        },
        Match::Reversal { obligation, payment } => match books.only(&obligation) {
            Some(id) => {
                books.take_back(id, &payment);
                let payment = Payment {
                    external_id: payment,
                    amount: entry.amount,
                    at: booked_at(entry),
                    reversed: true,
                };
                Plan::Do(digest, Box::new(Change::Reverse { which: Which::Id(id), payment }))
            }
            None => doubtful(digest, entry, "several creditors have an obligation of this id", &[], books),
        },
        Match::Doubtful { why, candidates } => doubtful(digest, entry, &why.to_string(), &candidates, books),
    }
}

/// A person looks: the note names obligations and the amount, never the payer.
fn doubtful(digest: EntryDigest, entry: &Entry, why: &str, candidates: &[ExternalId], books: &Books) -> Plan {
    let Ok(kind) = Key::parse(kind::PAYMENT) else { return Plan::Nothing };
    let which = candidates.iter().find_map(|id| books.only(id)).map(Which::Id);
    let named: Vec<&str> = candidates.iter().map(ExternalId::as_str).collect();
    let named = if named.is_empty() { String::new() } else { format!(", perhaps {}", named.join(", ")) };
    let note =
        format!("bank entry {} of {}, {}: {why}{named}", entry.external_id, entry.booked, entry.amount);
    Plan::Do(digest, Box::new(Change::OpenTask { kind, which, note, due: None }))
}

/// The beginning of the day of booking, in UTC.
fn booked_at(entry: &Entry) -> Timestamp {
    Timestamp::parse_rfc3339(&format!("{}T00:00:00Z", entry.booked)).unwrap_or(Timestamp::MIN)
}

fn digest(entry: &Entry) -> EntryDigest {
    let direction = format!("{:?}", entry.direction);
    crate::engine::intake::digest(&[
        "bank entry",
        &entry.account,
        entry.external_id.as_str(),
        &entry.booked.to_string(),
        &entry.amount.to_string(),
        &direction,
    ])
}

/// What the entries of a statement ask for.
#[derive(Default)]
struct Wanted {
    references: RefCell<HashSet<String>>,
    balances: RefCell<HashSet<(i64, String)>>,
    payments: RefCell<HashSet<String>>,
}

fn balance_key(balance: Money) -> (i64, String) {
    (balance.minor(), balance.currency().as_str().to_owned())
}

impl Lookup for Wanted {
    fn by_reference(&self, folded: &str) -> Vec<Candidate> {
        self.references.borrow_mut().insert(folded.to_owned());
        Vec::new()
    }

    fn by_balance(&self, balance: Money) -> Vec<Candidate> {
        self.balances.borrow_mut().insert(balance_key(balance));
        Vec::new()
    }

    fn by_payment(&self, payment: &str) -> Option<Candidate> {
        self.payments.borrow_mut().insert(payment.to_owned());
        None
    }
}

/// Obligations that some entry may be about.
#[derive(Default)]
struct Books {
    obligations: BTreeMap<ObligationId, Held>,
    by_reference: HashMap<String, Vec<ObligationId>>,
    by_balance: HashMap<(i64, String), Vec<ObligationId>>,
    by_external: HashMap<ExternalId, Vec<ObligationId>>,
}

struct Held {
    candidate: Candidate,
    is_open: bool,
    /// Reversed ones too.
    payments: Vec<ExternalId>,
}

impl Books {
    fn read(wanted: &Wanted, entries: &[Entry], state: &dyn Read) -> Result<Books, StoreError> {
        let mut payments = wanted.payments.borrow().clone();
        payments.extend(entries.iter().map(|entry| entry.external_id.to_string()));
        let (mut from, to) = keys::all(family::OBLIGATION);
        let mut books = Books::default();
        loop {
            let page = state.scan(&from, &to, PAGE)?;
            for (key, value) in &page {
                let Some(id) = keys::decode_id(key).map(ObligationId::from_u64) else { continue };
                books.keep(id, &record::decode(value)?, wanted, &payments);
            }
            let Some((last, _)) = page.last().filter(|_| page.len() == PAGE) else { return Ok(books) };
            from = [last.as_slice(), &[0]].concat();
        }
    }

    fn keep(
        &mut self,
        id: ObligationId,
        obligation: &Obligation,
        wanted: &Wanted,
        payments: &HashSet<String>,
    ) {
        let balance = obligation.balance();
        let names = [folded(obligation.external_id.as_str()), folded(obligation.account.as_str())];
        let named: Vec<String> =
            names.into_iter().filter(|name| wanted.references.borrow().contains(name)).collect();
        let key = balance_key(balance);
        let by_balance = obligation.status.is_open() && wanted.balances.borrow().contains(&key);
        let by_payment = obligation.payments.iter().any(|p| payments.contains(p.external_id.as_str()));
        if named.is_empty() && !by_balance && !by_payment {
            return;
        }
        let counts = obligation.payments.iter().filter(|payment| !payment.reversed);
        let candidate = Candidate {
            obligation: obligation.external_id.clone(),
            balance,
            payments: counts.map(|payment| (payment.external_id.clone(), payment.amount)).collect(),
        };
        let all = obligation.payments.iter().map(|payment| payment.external_id.clone()).collect();
        let held = Held { candidate, is_open: obligation.status.is_open(), payments: all };
        self.obligations.insert(id, held);
        for name in named {
            add(self.by_reference.entry(name).or_default(), id);
        }
        if by_balance {
            add(self.by_balance.entry(key).or_default(), id);
        }
        add(self.by_external.entry(obligation.external_id.clone()).or_default(), id);
    }

    fn candidates(&self, ids: Option<&Vec<ObligationId>>) -> Vec<Candidate> {
        let ids = ids.into_iter().flatten();
        ids.filter_map(|id| Some(self.obligations.get(id)?.candidate.clone())).collect()
    }

    /// The one obligation of this id, whichever creditor's.
    fn only(&self, external: &ExternalId) -> Option<ObligationId> {
        match self.by_external.get(external).map(Vec::as_slice) {
            Some([only]) => Some(*only),
            _ => None,
        }
    }

    fn has_payment(&self, entry: &Entry) -> bool {
        self.obligations.values().any(|held| held.payments.contains(&entry.external_id))
    }

    /// What an earlier entry of the file paid is not owed to a later one.
    fn pay(&mut self, id: ObligationId, payment: ExternalId, amount: Money) {
        let Some(held) = self.obligations.get_mut(&id) else { return };
        let left = (held.candidate.balance.minor() - amount.minor()).max(0);
        held.candidate.balance = Money::new(left, amount.currency()).unwrap_or(held.candidate.balance);
        held.is_open = left > 0;
        held.payments.push(payment.clone());
        held.candidate.payments.push((payment, amount));
    }

    fn take_back(&mut self, id: ObligationId, payment: &ExternalId) {
        if let Some(held) = self.obligations.get_mut(&id) {
            held.candidate.payments.retain(|(known, _)| known != payment);
        }
    }
}

fn add(ids: &mut Vec<ObligationId>, id: ObligationId) {
    if ids.len() < CANDIDATES_MAX {
        ids.push(id);
    }
}

impl Lookup for Books {
    fn by_reference(&self, folded: &str) -> Vec<Candidate> {
        self.candidates(self.by_reference.get(folded))
    }

    fn by_balance(&self, balance: Money) -> Vec<Candidate> {
        let ids = self.by_balance.get(&balance_key(balance));
        let open = ids.into_iter().flatten().filter_map(|id| self.obligations.get(id));
        let open = open.filter(|held| held.is_open && held.candidate.balance == balance);
        open.map(|held| held.candidate.clone()).collect()
    }

    fn by_payment(&self, payment: &str) -> Option<Candidate> {
        let has = |held: &&Held| held.candidate.payments.iter().any(|(id, _)| id.as_str() == payment);
        self.obligations.values().find(has).map(|held| held.candidate.clone())
    }
}

/// Entries that were dealt with.
struct Seen {
    path: std::path::PathBuf,
    digests: HashSet<EntryDigest>,
}

impl Seen {
    fn read(path: &Path) -> Result<Seen, SpoolError> {
        let failed = |error| SpoolError::Io(format!("read {}", path.display()), error);
        let octets = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(failed)?,
        };
        // What a crash left of a last one is no entry; the next begins at a whole place again.
        let (whole, _) = octets.as_chunks::<16>();
        let digests = whole.iter().rev().take(SEEN_MAX).copied().collect();
        Ok(Seen { path: path.to_owned(), digests })
    }

    fn add(&mut self, digests: &[EntryDigest]) -> Result<(), SpoolError> {
        let failed = |error| SpoolError::Io(format!("write {}", self.path.display()), error);
        if digests.is_empty() {
            return Ok(());
        }
        if let Some(directory) = self.path.parent() {
            std::fs::create_dir_all(directory).map_err(failed)?;
        }
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path);
        let mut file = file.map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        file.set_len(length - length % 16).map_err(failed)?;
        file.write_all(digests.as_flattened()).and_then(|()| file.sync_all()).map_err(failed)?;
        self.digests.extend(digests);
        Ok(())
    }
}
