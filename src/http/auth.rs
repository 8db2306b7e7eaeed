//! Who may do what: API tokens, kept as hashes in a file that the daemon notices when it changes.
//!
//! A token is 256 random bits, shown once. `tokens.json` holds name, scopes, SHA-256 and time; it is
//! replaced whole (temporary file, fsync, rename), so a reader sees the old list or the new one. A file
//! that cannot be read lets nobody in, and calls no token wrong: that is 503, not 401. The CLI and the daemon
//! use the same [`TokenFile`].

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::problem::Problem;
use crate::clock::{Clock, Timestamp};
use crate::message::TokenName;

const FILE: &str = "tokens.json";
const PREFIX: &str = "ndg_";
/// Bits that no search can exhaust.
const TOKEN_BYTES: usize = 32;
const MAX_NAME: usize = 64;
/// More is a mistake, and each request compares with all of them.
const MAX_TOKENS: usize = 256;
/// How long a changed file may go unnoticed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Wrong tokens from one address that are answered at once: a typing error is no attack.
const FREE_FAILURES: u32 = 3;
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// Below the request deadline, so that the answer is still a 401.
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// An address is forgotten after this long without a wrong token.
const FORGIVE_AFTER: Duration = Duration::from_secs(15 * 60);
/// Addresses remembered; beyond it the oldest goes.
const MAX_SUSPECTS: usize = 1024;

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    Send,
    Read,
    Reminders,
    Admin,
    Audit,
}

impl Scope {
    pub const ALL: [Scope; 5] = [Scope::Send, Scope::Read, Scope::Reminders, Scope::Admin, Scope::Audit];

    pub const fn as_str(self) -> &'static str {
        match self {
            Scope::Send => "send",
            Scope::Read => "read",
            Scope::Reminders => "reminders",
            Scope::Admin => "admin",
            Scope::Audit => "audit",
        }
    }

    pub fn parse(text: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// A token as it is kept: everything but the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenEntry {
    pub name: TokenName,
    pub scopes: Vec<Scope>,
    /// 64 hexadecimal digits.
    pub sha256: String,
    /// RFC 3339.
    pub created_at: String,
}

/// Why the token list was not read or changed; all four stop the command, and the text says which.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} is not a list of tokens: {why}")]
    Damaged { path: PathBuf, why: String },
    #[error("a token named {0} exists already")]
    Exists(TokenName),
    #[error("there is no token named {0}")]
    Missing(TokenName),
    #[error("a name is 1 to 64 letters, digits, dots, dashes or underscores")]
    Name,
    #[error("a token without a scope can do nothing")]
    NoScope,
    #[error("there are {MAX_TOKENS} tokens already")]
    Full,
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
}

/// The token list in the state directory.
#[derive(Clone, Debug)]
pub struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    pub fn new(state_dir: &Path) -> TokenFile {
        TokenFile { path: state_dir.join(FILE) }
    }

    /// All entries, in order of creation; none when there is no file.
    pub fn list(&self) -> Result<Vec<TokenEntry>, TokenError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(self.io(e)),
        };
        serde_json::from_slice(&bytes)
            .map_err(|e| TokenError::Damaged { path: self.path.clone(), why: e.to_string() })
    }

    /// Adds a token and returns it; it cannot be had a second time.
    pub fn add(&self, name: &str, scopes: &[Scope], now: Timestamp) -> Result<String, TokenError> {
        check_name(name)?;
        if scopes.is_empty() {
            return Err(TokenError::NoScope);
        }
        let _lock = self.lock()?;
        let mut entries = self.list()?;
        let name = TokenName::from(name);
        if entries.iter().any(|entry| entry.name == name) {
            return Err(TokenError::Exists(name));
        }
        if entries.len() >= MAX_TOKENS {
            return Err(TokenError::Full);
        }
        let token = new_token()?;
        let mut scopes = scopes.to_vec();
        scopes.sort_unstable();
        scopes.dedup();
        entries.push(TokenEntry { name, scopes, sha256: digest_hex(&token), created_at: now.to_rfc3339() });
        self.replace(&entries)?;
        Ok(token)
    }

    pub fn revoke(&self, name: &str) -> Result<(), TokenError> {
        let _lock = self.lock()?;
        let mut entries = self.list()?;
        let before = entries.len();
        entries.retain(|entry| entry.name.as_str() != name);
        if entries.len() == before {
            return Err(TokenError::Missing(TokenName::from(name)));
        }
        self.replace(&entries)
    }

    fn io(&self, source: io::Error) -> TokenError {
        TokenError::Io { path: self.path.clone(), source }
    }

    /// Held while the list is read and replaced, so that two commands lose nothing of each other.
    fn lock(&self) -> Result<File, TokenError> {
        let path = self.path.with_extension("lock");
        let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
        let file = open.map_err(|e| self.io(e))?;
        self.give_to_owner(&file)?;
        let locked = rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive);
        locked.map_err(|e| self.io(e.into()))?;
        Ok(file)
    }

    fn replace(&self, entries: &[TokenEntry]) -> Result<(), TokenError> {
        let new = self.path.with_extension("json.new");
        let mut text = serde_json::to_vec_pretty(entries).map_err(|e| self.io(e.into()))?;
        text.push(b'\n');
        let mut options = OpenOptions::new();
        let open = options.create(true).truncate(true).write(true).mode(0o600).open(&new);
        let mut file = open.map_err(|e| self.io(e))?;
        self.give_to_owner(&file)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(|e| self.io(e))?;
        fs::rename(&new, &self.path).map_err(|e| self.io(e))?;
        File::open(self.dir()).and_then(|dir| dir.sync_all()).map_err(|e| self.io(e))
    }

    /// `nudged token add` may run as root; the daemon must still be able to read what it wrote.
    fn give_to_owner(&self, file: &File) -> Result<(), TokenError> {
        let dir = fs::metadata(self.dir()).map_err(|e| self.io(e))?;
        let own = file.metadata().map_err(|e| self.io(e))?;
        if (dir.uid(), dir.gid()) == (own.uid(), own.gid()) || !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        fchown(file, Some(dir.uid()), Some(dir.gid())).map_err(|e| self.io(e))
    }

    fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// What tells one version of the file from the next.
    fn stamp(&self) -> Option<Stamp> {
        let meta = fs::metadata(&self.path).ok()?;
        Some(Stamp { mtime: (meta.mtime(), meta.mtime_nsec()), len: meta.len(), inode: meta.ino() })
    }
}

fn check_name(name: &str) -> Result<(), TokenError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(allowed) {
        return Err(TokenError::Name);
    }
    Ok(())
}

fn new_token() -> Result<String, TokenError> {
    let mut bits = [0u8; TOKEN_BYTES];
    getrandom::fill(&mut bits).map_err(TokenError::Random)?;
    Ok(format!("{PREFIX}{}", hex(&bits)))
}

fn digest_hex(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    mtime: (i64, i64),
    len: u64,
    inode: u64,
}

#[derive(Debug)]
struct Known {
    name: TokenName,
    scopes: Vec<Scope>,
    digest: [u8; 32],
}

/// Who once showed a token, remembered by its digest: the token itself is kept nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub name: TokenName,
    digest: [u8; 32],
}

/// The tokens as the daemon sees them.
#[derive(Debug)]
pub struct Tokens {
    file: TokenFile,
    clock: Clock,
    loaded: Mutex<Loaded>,
    suspects: Mutex<HashMap<IpAddr, Suspect>>,
}

#[derive(Debug)]
struct Loaded {
    looked: Instant,
    stamp: Option<Stamp>,
    known: Listed,
}

/// `None` while the list cannot be read.
type Listed = Option<Arc<Vec<Known>>>;

#[derive(Debug, Clone, Copy)]
struct Suspect {
    failures: u32,
    last: Instant,
}

impl Tokens {
    pub fn new(file: TokenFile, clock: Clock) -> Tokens {
        let stamp = file.stamp();
        let known = load(&file);
        let looked = clock.now().mono;
        Tokens {
            file,
            clock,
            loaded: Mutex::new(Loaded { looked, stamp, known }),
            suspects: Mutex::new(HashMap::new()),
        }
    }

    /// The name behind the request's bearer token, if it has `scope`. `from` is the client's address, if
    /// it has one: wrong tokens from there are answered ever more slowly, right ones never are.
    pub async fn check(
        &self,
        headers: &HeaderMap,
        scope: Scope,
        from: Option<IpAddr>,
    ) -> Result<TokenName, Problem> {
        let Some(token) = bearer(headers)? else {
            let detail = "This needs a token: Authorization: Bearer TOKEN.";
            return Err(Problem::unauthorized("token_missing", detail));
        };
        let (holder, scopes) = self.look_up(token, from).await?;
        if !scopes.contains(&scope) {
            return Err(scope_missing(&holder.name, scope));
        }
        Ok(holder.name)
    }

    /// Whose token this is and what it allows. Wrong ones from one address are answered ever more slowly,
    /// whichever way they come.
    pub async fn look_up(&self, token: &str, from: Option<IpAddr>) -> Result<(Holder, Vec<Scope>), Problem> {
        let Some(known) = self.current() else {
            // A client that is told 401 gives its message up; this passes.
            let detail = "The token list cannot be read.";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "tokens_unreadable", detail));
        };
        let Some(entry) = find(&known, &Sha256::digest(token.as_bytes())) else {
            self.clock.sleep(self.failed(from)).await;
            return Err(Problem::unauthorized("token_unknown", "No such token."));
        };
        Ok((Holder { name: entry.name.clone(), digest: entry.digest }, entry.scopes.clone()))
    }

    /// What the token of `holder` allows now; `None` once it is revoked, or while the list cannot be read.
    pub fn scopes_of(&self, holder: &Holder) -> Option<Vec<Scope>> {
        let known = self.current()?;
        find(&known, &holder.digest).filter(|entry| entry.name == holder.name).map(|e| e.scopes.clone())
    }

    fn current(&self) -> Listed {
        let now = self.clock.now().mono;
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(loaded.looked) >= LOOK_EVERY {
            loaded.looked = now;
            let stamp = self.file.stamp();
            // A failed read need not have changed the stamp, so it is tried again.
            if stamp != loaded.stamp || loaded.known.is_none() {
                loaded.stamp = stamp;
                loaded.known = load(&self.file);
            }
        }
        loaded.known.clone()
    }

    /// Notes a wrong token and says how long its answer waits.
    fn failed(&self, from: Option<IpAddr>) -> Duration {
        let Some(address) = from else { return Duration::ZERO };
        let now = self.clock.now().mono;
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        if suspects.len() >= MAX_SUSPECTS && !suspects.contains_key(&address) {
            let oldest = suspects.iter().min_by_key(|(_, s)| s.last).map(|(address, _)| *address);
            oldest.and_then(|address| suspects.remove(&address));
        }
        let suspect = suspects.entry(address).or_insert(Suspect { failures: 0, last: now });
        if now.saturating_duration_since(suspect.last) > FORGIVE_AFTER {
            suspect.failures = 0;
        }
        suspect.failures = suspect.failures.saturating_add(1);
        suspect.last = now;
        delay_after(suspect.failures)
    }
}

fn delay_after(failures: u32) -> Duration {
    match failures.checked_sub(FREE_FAILURES + 1) {
        None => Duration::ZERO,
        Some(doublings) => FIRST_DELAY.saturating_mul(1 << doublings.min(16)).min(LONGEST_DELAY),
    }
}

/// Compares digests with every entry, so that the time tells nothing.
fn find<'a>(known: &'a [Known], digest: &[u8]) -> Option<&'a Known> {
    let mut found = None;
    for entry in known {
        if bool::from(entry.digest.as_slice().ct_eq(digest)) {
            found = Some(entry);
        }
    }
    found
}

pub fn scope_missing(name: &TokenName, scope: Scope) -> Problem {
    let detail = format!("The token {name} lacks the scope {}.", scope.as_str());
    Problem::new(StatusCode::FORBIDDEN, "scope_missing", detail)
}

/// An unreadable list lets nobody in: a token revoked in it must not live on.
fn load(file: &TokenFile) -> Listed {
    let entries = match file.list() {
        Ok(entries) => entries,
        Err(error) => {
            tracing::error!(event = "token_list_unreadable", %error);
            return None;
        }
    };
    let known = entries.into_iter().filter_map(|entry| match unhex(&entry.sha256) {
        Some(digest) => Some(Known { name: entry.name, scopes: entry.scopes, digest }),
        None => {
            tracing::error!(event = "token_entry_damaged", token = %entry.name);
            None
        }
    });
    Some(Arc::new(known.collect()))
}

/// `None` without the header. The token itself is never part of an answer or a log line.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let malformed =
        || Problem::unauthorized("token_malformed", "Authorization must be one header: Bearer TOKEN.");
    let text = value.to_str().map_err(|_| malformed())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(malformed)?;
    if values.next().is_some() || !scheme.eq_ignore_ascii_case("bearer") || token.trim().is_empty() {
        return Err(malformed());
    }
    Ok(Some(token.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use std::os::unix::fs::PermissionsExt as _;

    fn with(token: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
        headers
    }

    #[test]
    fn a_token_file_keeps_hashes_only_and_only_for_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::new(dir.path());
        let token = file.add("crm", &[Scope::Send], Timestamp::from_millis(0)).unwrap();
        let path = dir.path().join(FILE);
        assert!(!fs::read_to_string(&path).unwrap().contains(&token));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(file.add("crm", &[Scope::Send], Timestamp::MIN), Err(TokenError::Exists(_))));
        assert!(matches!(file.add("a b", &[Scope::Send], Timestamp::MIN), Err(TokenError::Name)));
        assert!(matches!(file.add("x", &[], Timestamp::MIN), Err(TokenError::NoScope)));
        file.revoke("crm").unwrap();
        assert_eq!(file.list().unwrap(), []);
        assert!(matches!(file.revoke("crm"), Err(TokenError::Missing(_))));
    }

    #[tokio::test]
    async fn the_daemon_notices_added_and_revoked_tokens_within_a_second() {
        let dir = tempfile::tempdir().unwrap();
        let (file, clock) = (TokenFile::new(dir.path()), Clock::manual(Timestamp::MIN));
        let tokens = Tokens::new(file.clone(), clock.clone());
        let token = file.add("crm", &[Scope::Send], Timestamp::MIN).unwrap();
        clock.advance(LOOK_EVERY);
        assert_eq!(tokens.check(&with(&token), Scope::Send, None).await.unwrap().as_str(), "crm");
        let missing = tokens.check(&with(&token), Scope::Admin, None).await.unwrap_err();
        assert_eq!(missing.to_json()["code"], "scope_missing");
        assert!(missing.to_json()["detail"].as_str().unwrap().contains("admin"));
        file.revoke("crm").unwrap();
        clock.advance(LOOK_EVERY);
        assert_eq!(tokens.check(&with(&token), Scope::Send, None).await.unwrap_err().status(), 401);
    }

    #[tokio::test]
    async fn a_damaged_token_file_lets_nobody_in() {
        let dir = tempfile::tempdir().unwrap();
        let (file, clock) = (TokenFile::new(dir.path()), Clock::manual(Timestamp::MIN));
        let token = file.add("crm", &[Scope::Send], Timestamp::MIN).unwrap();
        let tokens = Tokens::new(file, clock.clone());
        fs::write(dir.path().join(FILE), "[").unwrap();
        clock.advance(LOOK_EVERY);
        assert_eq!(tokens.check(&with(&token), Scope::Send, None).await.unwrap_err().status(), 503);
    }

    #[tokio::test]
    async fn a_token_list_that_cannot_be_read_makes_no_good_token_wrong_and_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let (file, clock) = (TokenFile::new(dir.path()), Clock::manual(Timestamp::MIN));
        let token = file.add("crm", &[Scope::Send], Timestamp::MIN).unwrap();
        let (path, aside) = (dir.path().join(FILE), dir.path().join("aside"));
        fs::rename(&path, &aside).unwrap();
        fs::create_dir(&path).unwrap();
        let tokens = Tokens::new(file, clock.clone());
        for _ in 0..2 {
            let refused = tokens.check(&with(&token), Scope::Send, None).await.unwrap_err();
            assert_eq!(refused.status(), 503);
            assert_eq!(refused.to_json()["code"], "tokens_unreadable");
            clock.advance(LOOK_EVERY);
        }
        fs::remove_dir(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
        clock.advance(LOOK_EVERY);
        assert!(tokens.check(&with(&token), Scope::Send, None).await.is_ok());
    }

    #[tokio::test]
    async fn wrong_tokens_wait_ever_longer_and_a_right_one_never() {
        let dir = tempfile::tempdir().unwrap();
        let (file, clock) = (TokenFile::new(dir.path()), Clock::manual(Timestamp::MIN));
        let token = file.add("crm", &[Scope::Send], Timestamp::MIN).unwrap();
        let tokens = Arc::new(Tokens::new(file, clock.clone()));
        let from = Some(IpAddr::from([127, 0, 0, 1]));
        for _ in 0..FREE_FAILURES {
            assert!(tokens.check(&with("ndg_wrong"), Scope::Send, from).await.is_err());
        }
        let slow = tokens.clone();
        let slow =
            tokio::spawn(async move { slow.check(&with("ndg_wrong"), Scope::Send, from).await.is_err() });
        tokio::task::yield_now().await;
        assert!(!slow.is_finished());
        assert!(tokens.check(&with(&token), Scope::Send, from).await.is_ok());
        clock.advance(FIRST_DELAY);
        assert!(slow.await.unwrap());
        assert_eq!(delay_after(u32::MAX), LONGEST_DELAY);
    }
}
