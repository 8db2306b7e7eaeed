//! The files of imports: the upload as it came, and what is known of it. Bounded in number and age, readable by the
//! owner alone, and gone once committed: they name people and debts.
//!
//! ```text
//! STATE_DIR/imports/imp_<id>.csv     the upload; not there any more once it is committed
//! STATE_DIR/imports/imp_<id>.json    the note: state, dry run, result
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::Note;
use crate::clock::Timestamp;
use crate::id::ImportId;

/// Octets of an upload (interface.md).
pub const UPLOAD_MAX: u64 = 64 << 20;
/// Uploads kept: at 64 MiB each a GiB of disk.
const UPLOADS_MAX: usize = 16;
/// Notes kept: what was imported this year.
const NOTES_MAX: usize = 500;
/// An upload that nobody committed in this time nobody will.
const UPLOAD_AGE: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// The directory.
#[derive(Clone, Debug)]
pub struct Spool(PathBuf);

/// An upload on its way in.
#[derive(Debug)]
pub struct Upload {
    file: File,
    path: PathBuf,
    octets: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error("the file is larger than {UPLOAD_MAX} octets")]
    TooLarge,
    #[error("{0}: {1}")]
    Io(String, #[source] io::Error),
}

fn failed(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    let doing = format!("{doing} {}", path.display());
    move |error| SpoolError::Io(doing, error)
}

impl Spool {
    pub fn new(state_dir: &Path) -> Spool {
        Spool(state_dir.join("imports"))
    }

    /// Makes room and begins a file.
    pub fn begin(&self, id: ImportId, now: Timestamp) -> Result<Upload, SpoolError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0).map_err(failed("make", &self.0))?;
        self.tidy(now)?;
        let path = self.upload(id);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        Ok(Upload { file: file.map_err(failed("create", &path))?, path, octets: 0 })
    }

    /// Where another file of imports lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn upload(&self, id: ImportId) -> PathBuf {
        self.0.join(format!("{id}.csv"))
    }

    fn note(&self, id: ImportId) -> PathBuf {
        self.0.join(format!("{id}.json"))
    }

    pub fn open(&self, id: ImportId) -> Result<File, SpoolError> {
        let path = self.upload(id);
        File::open(&path).map_err(failed("open", &path))
    }

    /// Removes an upload; that it is not there is fine.
    pub fn remove(&self, id: ImportId) -> Result<(), SpoolError> {
        remove(&self.upload(id))
    }

    /// Writes a note whole: after a crash there is the old one or the new one.
    pub fn put(&self, note: &Note) -> Result<(), SpoolError> {
        let path = self.note(note.id);
        let next = path.with_extension("tmp");
        let octets = serde_json::to_vec(note).map_err(io::Error::other).map_err(failed("encode", &path))?;
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next);
        let mut file = file.map_err(failed("create", &next))?;
        file.write_all(&octets).and_then(|()| file.sync_all()).map_err(failed("write", &next))?;
        fs::rename(&next, &path).map_err(failed("rename", &next))
    }

    /// `None`: there is none of this id.
    pub fn get(&self, id: ImportId) -> Result<Option<Note>, SpoolError> {
        let path = self.note(id);
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => {
                let octets = read.map_err(failed("read", &path))?;
                let note = serde_json::from_slice(&octets).map_err(io::Error::other);
                note.map(Some).map_err(failed("read", &path))
            }
        }
    }

    /// Ids of all notes, newest first.
    pub fn ids(&self) -> Result<Vec<ImportId>, SpoolError> {
        self.listed("json")
    }

    fn listed(&self, extension: &str) -> Result<Vec<ImportId>, SpoolError> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed("read", &self.0))?,
        };
        let mut ids: Vec<ImportId> = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed("read", &self.0))?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let is_one = path.extension().is_some_and(|found| found == extension);
            ids.extend(stem.filter(|_| is_one).and_then(|stem| stem.parse::<ImportId>().ok()));
        }
        ids.sort_by(|a, b| b.cmp(a));
        Ok(ids)
    }

    /// Removes what is too old or too much.
    fn tidy(&self, now: Timestamp) -> Result<(), SpoolError> {
        for (at, id) in self.listed("csv")?.into_iter().enumerate() {
            if at + 1 >= UPLOADS_MAX || now.since(id.allotted_at()) > UPLOAD_AGE {
                self.remove(id)?;
            }
        }
        self.ids()?.into_iter().skip(NOTES_MAX - 1).try_for_each(|id| remove(&self.note(id)))
    }
}

fn remove(path: &Path) -> Result<(), SpoolError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

impl Upload {
    /// # Errors
    /// [`SpoolError::TooLarge`] before more than [`UPLOAD_MAX`] octets are on the disk.
    pub fn write(&mut self, octets: &[u8]) -> Result<(), SpoolError> {
        self.octets += octets.len() as u64;
        if self.octets > UPLOAD_MAX {
            return Err(SpoolError::TooLarge);
        }
        self.file.write_all(octets).map_err(failed("write", &self.path))
    }

    /// It is whole and on the disk.
    pub fn finish(self) -> Result<(), SpoolError> {
        self.file.sync_all().map_err(failed("sync", &self.path))
    }

    /// It broke off.
    pub fn discard(self) -> Result<(), SpoolError> {
        remove(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_millis(1_795_269_900_000);

    fn id(seconds: u64) -> ImportId {
        ImportId::earliest(NOW.saturating_add(Duration::from_secs(seconds)))
    }

    fn put(spool: &Spool, id: ImportId, now: Timestamp) {
        let mut upload = spool.begin(id, now).unwrap();
        upload.write(b"a\n").unwrap();
        upload.finish().unwrap();
    }

    #[test]
    fn uploads_are_bounded_in_number_and_age() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::new(directory.path());
        for at in 0..UPLOADS_MAX as u64 + 3 {
            put(&spool, id(at), NOW);
        }
        assert_eq!(spool.listed("csv").unwrap().len(), UPLOADS_MAX);
        assert!(spool.open(id(0)).is_err(), "the oldest went");
        let later = NOW.saturating_add(UPLOAD_AGE * 2);
        put(&spool, ImportId::earliest(later), later);
        assert_eq!(spool.listed("csv").unwrap(), [ImportId::earliest(later)]);
    }

    #[test]
    fn an_upload_ends_where_it_is_too_large() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::new(directory.path());
        let mut upload = spool.begin(id(0), NOW).unwrap();
        let piece = vec![b'a'; 1 << 20];
        for _ in 0..64 {
            upload.write(&piece).unwrap();
        }
        assert!(matches!(upload.write(b"a"), Err(SpoolError::TooLarge)));
        upload.discard().unwrap();
        assert!(spool.open(id(0)).is_err());
    }
}
