//! The drop folder: statements and files of payments that another program puts there. A file is taken once it has
//! stood still between two looks, booked, and moved to `done/`; what is none goes to `failed/` with a `.txt` that
//! says why. What cannot be booked now, for the queue takes nothing, stays and is tried at the next look. Nobody waits
//! for an answer here, so rows and entries that cannot be booked are a person's tasks, and stand in a `.txt` beside
//! the file in `done/`.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

use super::dry::{Errors, Fault};
use super::payments::{BookError, Booked};
use super::spool::UPLOAD_MAX;
use super::{ImportError, Imports, Wish, unbooked};
use crate::clock::Clock;
use crate::message::TokenName;
use crate::reminder::import::Mapping;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Files seen at a look; the others wait for the next.
const FILES_MAX: usize = 1_000;
/// Who booked what came this way; no token has a blank in its name.
const BY: &str = "drop folder";

/// Size and time of change.
type Shape = (u64, SystemTime);

/// Looks until it is told to stop.
pub async fn watch(directory: PathBuf, imports: Imports, clock: Clock, stop: CancellationToken) {
    let mut still: HashMap<PathBuf, Shape> = HashMap::new();
    while stop.run_until_cancelled(clock.sleep(LOOK_EVERY)).await.is_some() {
        let found = match files(&directory) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(event = "drop_folder_unreadable", directory = %directory.display(), %error);
                continue;
            }
        };
        for (path, shape) in &found {
            if still.get(path) != Some(shape) || stop.is_cancelled() {
                continue;
            }
            if let Err(error) = take(path, &directory, &imports).await {
                tracing::warn!(event = "drop_file_not_taken", file = %path.display(), %error);
            }
        }
        still = found.into_iter().collect();
    }
}

/// Regular files that are not hidden, in order of their names.
fn files(directory: &Path) -> io::Result<Vec<(PathBuf, Shape)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let facts = entry.metadata()?;
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if facts.is_file() && !is_hidden && files.len() < FILES_MAX {
            files.push((entry.path(), (facts.len(), facts.modified()?)));
        }
    }
    files.sort();
    Ok(files)
}

/// `Err`: it stays where it is.
async fn take(path: &Path, directory: &Path, imports: &Imports) -> Result<(), BookError> {
    let kept = |error| {
        let doing = format!("keep {}", path.display());
        BookError::Import(ImportError::Spool(super::spool::SpoolError::Io(doing, error)))
    };
    let octets = match read(path).map_err(kept)? {
        Ok(octets) => octets,
        Err(why) => return fail(path, directory, &why).map_err(kept),
    };
    let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let booked =
        if is_csv { payments(&name, octets, imports).await } else { statement(octets, imports).await };
    match booked {
        Ok((told, errors)) => {
            tracing::info!(event = "drop_file_booked", file = %path.display(), told);
            let moved = file_away(path, &directory.join("done")).map_err(kept)?;
            if errors.first.is_empty() { Ok(()) } else { write_beside(moved, &lines(&errors)).map_err(kept) }
        }
        Err(BookError::Bank(error)) => fail(path, directory, &error.to_string()).map_err(kept),
        Err(BookError::Import(ImportError::File(error))) => {
            fail(path, directory, &error.to_string()).map_err(kept)
        }
        Err(error) => Err(error),
    }
}

/// Inside: why it is none.
fn read(path: &Path) -> io::Result<Result<Vec<u8>, String>> {
    let mut octets = Vec::new();
    fs::File::open(path)?.take(UPLOAD_MAX + 1).read_to_end(&mut octets)?;
    let fits = octets.len() as u64 <= UPLOAD_MAX;
    Ok(if fits { Ok(octets) } else { Err(format!("is larger than {UPLOAD_MAX} octets")) })
}

/// What became of it, and what could not be booked.
type Told = (String, Errors);

async fn statement(octets: Vec<u8>, imports: &Imports) -> Result<Told, BookError> {
    let Booked { entries, booked, reversed, doubtful, rejected, errors, .. } =
        imports.book_statement(octets, TokenName::from(BY)).await?;
    let told = format!(
        "{entries} entries, {booked} booked, {reversed} reversed, {doubtful} doubtful, {rejected} rejected"
    );
    Ok((told, errors))
}

async fn payments(name: &str, octets: Vec<u8>, imports: &Imports) -> Result<Told, BookError> {
    let (id, mut upload) = imports.begin()?;
    upload.write(&octets).and_then(|()| upload.finish()).map_err(ImportError::Spool)?;
    let wish = Wish { by: TokenName::from(BY), mapping_name: None, mapping: Mapping::default() };
    let booked = imports.book(id, wish).await?;
    let unbooked = unbooked::rows(name, &octets, &booked.errors);
    imports.tell((name, booked.rejected), unbooked, TokenName::from(BY)).await?;
    let told =
        format!("{} booked, {} unchanged, {} rejected", booked.changed, booked.unchanged, booked.rejected);
    Ok((told, booked.errors))
}

fn lines(errors: &Errors) -> String {
    let line = |fault: &Fault| {
        let column = if fault.column.is_empty() { String::new() } else { format!("{}: ", fault.column) };
        format!("{}: {column}{}\n", fault.row, fault.why)
    };
    let mut faults: Vec<&Fault> = errors.first.iter().collect();
    faults.sort_by_key(|fault| fault.row);
    faults.into_iter().map(line).collect()
}

fn fail(path: &Path, directory: &Path, why: &str) -> io::Result<()> {
    tracing::warn!(event = "drop_file_failed", file = %path.display(), why);
    let moved = file_away(path, &directory.join("failed"))?;
    write_beside(moved, &format!("{why}\n"))
}

fn write_beside(moved: PathBuf, text: &str) -> io::Result<()> {
    let mut beside = moved.into_os_string();
    beside.push(".txt");
    fs::write(beside, text)
}

/// Moves a file; one of the same name that is there already is not overwritten.
fn file_away(path: &Path, to: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(to)?;
    let name = path.file_name().unwrap_or_default();
    let mut target = to.join(name);
    let mut count = 1;
    while target.try_exists()? {
        count += 1;
        let mut other = name.to_owned();
        other.push(format!(".{count}"));
        target = to.join(other);
    }
    fs::rename(path, &target)?;
    Ok(target)
}
