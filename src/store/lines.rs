//! A file of text lines beside the store that a person can read and that stands without it.
//!
//! ```text
//! # nudged WHAT VERSION: NOTE LF                    the first line
//! CRC-32C of TEXT, 8 hex digits | blank | TEXT LF   every other; TEXT has no line feed
//! ```
//! Invariants: an append is one write and one sync; what stands behind the last line feed was never acknowledged
//! and is cut; a line that does not check is counted and left out, never guessed at; a file is replaced whole or
//! not at all. What lines say is the caller's.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::StoreError;
use super::files::{self, Doing as _};

/// Octets of a line, its end included; a longer one was not written here.
pub const LINE_MAX: usize = 8 << 10;
/// Octets before the text.
const CHECK_LEN: usize = 9;
/// For its owner alone: lines hold numbers.
const MODE: u32 = 0o600;

/// The first line of a file.
#[derive(Clone, Copy, Debug)]
pub struct Title {
    pub what: &'static str,
    /// Another one with every change of the note.
    pub version: u32,
    /// For whoever looks into it.
    pub note: &'static str,
}

impl Title {
    fn begin(&self) -> String {
        format!("# nudged {} ", self.what)
    }

    fn line(&self) -> String {
        format!("{}{}: {}\n", self.begin(), self.version, self.note)
    }

    /// Whether this is a first line; one of a version to come is refused.
    fn is(&self, line: &str) -> Result<bool, StoreError> {
        let Some((found, _)) = line.strip_prefix(&self.begin()).and_then(|rest| rest.split_once(':')) else {
            return Ok(false);
        };
        match found.parse() {
            Ok(found) if found > self.version => {
                Err(StoreError::Newer { what: self.what, found, known: self.version })
            }
            // All of it: where its end is gone the next line stands in it.
            _ => Ok(self.line().strip_suffix('\n') == Some(line)),
        }
    }
}

/// What a file held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Lines that were taken.
    pub lines: u64,
    /// Lines that were not.
    pub damaged: u64,
}

/// An open file of lines, with one writer.
#[derive(Debug)]
pub struct Lines {
    path: PathBuf,
    title: Title,
    file: File,
}

impl Lines {
    /// Opens the file, makes it where there is none, cuts what a crash left of a last line, and hands each line to
    /// `take`, which says whether it is one.
    ///
    /// # Errors
    /// I/O, and [`StoreError::Newer`].
    pub fn open(
        path: &Path,
        title: Title,
        take: &mut dyn FnMut(&str) -> bool,
    ) -> Result<(Lines, Found), StoreError> {
        let doing = || format!("read {}", path.display());
        let file = match append_to(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened.doing(doing)?),
        };
        let Some(file) = file.filter(|file| file.metadata().map_or(true, |of| of.len() > 0)) else {
            let file = written(path, title, &mut std::iter::empty())?;
            return Ok((Lines { path: path.to_owned(), title, file }, Found::default()));
        };
        let (whole, found) = read(&file, title, take, path)?;
        if file.metadata().doing(doing)?.len() > whole {
            file.set_len(whole)
                .and_then(|()| file.sync_all())
                .doing(|| format!("cut the torn end of {}", path.display()))?;
        }
        Ok((Lines { path: path.to_owned(), title, file }, found))
    }

    /// Puts lines behind the others; they are on the disk when it returns. None: nothing is written.
    ///
    /// # Errors
    /// I/O; it leaves open how many of the lines stand there: end the daemon and open again.
    pub fn append(&mut self, texts: &[String]) -> Result<(), StoreError> {
        if texts.is_empty() {
            return Ok(());
        }
        let lines: String = texts.iter().map(|text| line(text)).collect();
        self.file
            .write_all(lines.as_bytes())
            .and_then(|()| self.file.sync_data())
            .doing(|| format!("append to {}", self.path.display()))
    }

    /// These lines take the place of all others. `aside`: the file as it was is kept under this ending.
    ///
    /// # Errors
    /// I/O, and what `texts` fails with; the file is then as it was, or as it shall be.
    pub fn replace(
        &mut self,
        aside: Option<&str>,
        texts: &mut dyn Iterator<Item = Result<String, StoreError>>,
    ) -> Result<(), StoreError> {
        if let Some(ending) = aside {
            let mut kept = self.path.clone().into_os_string();
            kept.push(ending);
            files::rename(&self.path, Path::new(&kept))?;
        }
        self.file = written(&self.path, self.title, texts)?;
        Ok(())
    }

    /// From here on every write fails.
    #[cfg(test)]
    pub(crate) fn break_writing(&mut self) {
        self.file = File::open(&self.path).expect("the file is there");
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).open(path)
}

/// A file of these lines, under its name, open for more.
fn written(
    path: &Path,
    title: Title,
    texts: &mut dyn Iterator<Item = Result<String, StoreError>>,
) -> Result<File, StoreError> {
    let next = path.with_extension("tmp");
    let doing = || format!("write {}", next.display());
    files::remove(&next)?;
    let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&next).doing(doing)?;
    let mut out = BufWriter::new(file);
    out.write_all(title.line().as_bytes()).doing(doing)?;
    for text in texts {
        out.write_all(line(&text?).as_bytes()).doing(doing)?;
    }
    let file = out.into_inner().map_err(io::IntoInnerError::into_error).doing(doing)?;
    file.sync_all().doing(doing)?;
    files::rename(&next, path)?;
    append_to(path).doing(|| format!("open {}", path.display()))
}

fn line(text: &str) -> String {
    let plain = text.replace('\n', " ");
    format!("{:08x} {plain}\n", crc32c::crc32c(plain.as_bytes()))
}

/// The text of a line that checks.
fn text_of(line: &[u8]) -> Option<&str> {
    let (check, text) = line.split_at_checked(CHECK_LEN)?;
    let check = std::str::from_utf8(check).ok()?.strip_suffix(' ')?;
    let fits = u32::from_str_radix(check, 16).ok()? == crc32c::crc32c(text);
    if fits { std::str::from_utf8(text).ok() } else { None }
}

/// The octets up to the last line feed, and what was found in them.
fn read(
    file: &File,
    title: Title,
    take: &mut dyn FnMut(&str) -> bool,
    path: &Path,
) -> Result<(u64, Found), StoreError> {
    let mut reader = BufReader::new(file);
    let (mut at, mut whole, mut found) = (0, 0, Found::default());
    let (mut line, mut over) = (Vec::new(), false);
    loop {
        line.clear();
        let took = reader.by_ref().take(LINE_MAX as u64).read_until(b'\n', &mut line);
        let took = took.doing(|| format!("read {}", path.display()))?;
        if took == 0 {
            return Ok((whole, found));
        }
        at += took as u64;
        if line.pop_if(|octet| *octet == b'\n').is_none() {
            over = true;
            continue;
        }
        let first = whole == 0 && !over;
        whole = at;
        let is_title = first && title.is(&String::from_utf8_lossy(&line))?;
        match text_of(&line).filter(|_| !over) {
            _ if is_title => {}
            Some(text) if take(text) => found.lines += 1,
            _ => found.damaged += 1,
        }
        over = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use tempfile::TempDir;

    const TITLE: Title = Title { what: "trials", version: 1, note: "for tests" };

    fn opened(path: &Path) -> (Lines, Found, Vec<String>) {
        let mut texts = Vec::new();
        let mut take = |text: &str| {
            texts.push(text.to_owned());
            !text.starts_with("odd")
        };
        let (lines, found) = Lines::open(path, TITLE, &mut take).unwrap();
        (lines, found, texts)
    }

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    fn place() -> (TempDir, PathBuf) {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("trials.log");
        (dir, path)
    }

    #[test]
    fn lines_read_back_in_order_from_a_file_for_its_owner_alone() {
        let (_dir, path) = place();
        let (mut lines, found, _) = opened(&path);
        assert_eq!(found, Found::default());
        lines.append(&strings(&["one", "two"])).unwrap();
        lines.append(&strings(&["three\nfour"])).unwrap();
        let (_, found, texts) = opened(&path);
        assert_eq!((found, texts), (Found { lines: 3, damaged: 0 }, strings(&["one", "two", "three four"])));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("# nudged trials 1: for tests\n"));
    }

    #[test]
    fn wherever_a_crash_tears_the_last_line_the_others_stand_and_the_next_is_whole() {
        let (_dir, path) = place();
        opened(&path).0.append(&strings(&["one", "two"])).unwrap();
        let octets = std::fs::read(&path).unwrap();
        let second = octets.len() - line("two").len();
        for torn in second..octets.len() {
            std::fs::write(&path, &octets[..torn]).unwrap();
            let (mut lines, found, _) = opened(&path);
            assert_eq!(found, Found { lines: 1, damaged: 0 }, "cut at {torn}");
            lines.append(&strings(&["three"])).unwrap();
            assert_eq!(opened(&path).2, ["one", "three"], "cut at {torn}");
        }
    }

    #[test]
    fn whichever_bit_is_flipped_no_line_reads_as_another() {
        let (_dir, path) = place();
        opened(&path).0.append(&strings(&["one", "two", "three"])).unwrap();
        let octets = std::fs::read(&path).unwrap();
        let known = strings(&["one", "two", "three"]);
        for bit in 0..octets.len() * 8 {
            let mut rotten = octets.clone();
            rotten[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &rotten).unwrap();
            let mut texts = Vec::new();
            let mut take = |text: &str| {
                texts.push(text.to_owned());
                true
            };
            match Lines::open(&path, TITLE, &mut take) {
                Ok((_, found)) => {
                    assert!(texts.iter().all(|text| known.contains(text)), "bit {bit}: {texts:?}");
                    let last = bit / 8 == octets.len() - 1;
                    let upper = texts.len() == 3;
                    assert!(found.damaged > 0 || last || upper, "bit {bit}: {found:?}");
                }
                Err(error) => assert!(matches!(error, StoreError::Newer { .. }), "bit {bit}: {error}"),
            }
        }
    }

    #[test]
    fn what_is_no_line_is_counted_and_left_out() {
        let (_dir, path) = place();
        opened(&path).0.append(&strings(&["one", "odd"])).unwrap();
        let mut octets = std::fs::read(&path).unwrap();
        octets.extend(b"\n# a note\nffffffff one\n\xFF\xFE\n");
        octets.extend(vec![b'x'; 3 * LINE_MAX]);
        octets.extend(b"\n");
        octets.extend(line("two").as_bytes());
        std::fs::write(&path, &octets).unwrap();
        let (_, found, texts) = opened(&path);
        assert_eq!((found.lines, found.damaged), (2, 6), "{texts:?}");
        assert_eq!(texts, ["one", "odd", "two"]);
    }

    #[test]
    fn an_empty_file_begins_anew_and_one_of_a_version_to_come_is_refused() {
        let (_dir, path) = place();
        std::fs::write(&path, "").unwrap();
        opened(&path).0.append(&strings(&["one"])).unwrap();
        assert_eq!(opened(&path).2, ["one"]);
        std::fs::write(&path, "# nudged trials 2: of tomorrow\n").unwrap();
        let refused = Lines::open(&path, TITLE, &mut |_| true);
        assert!(matches!(refused, Err(StoreError::Newer { what: "trials", found: 2, known: 1 })));
    }

    #[test]
    fn a_replaced_file_holds_the_new_lines_alone_and_takes_more() {
        let (dir, path) = place();
        let (mut lines, ..) = opened(&path);
        lines.append(&strings(&["one", "two"])).unwrap();
        lines.replace(Some(".damaged"), &mut [Ok(String::from("three"))].into_iter()).unwrap();
        lines.append(&strings(&["four"])).unwrap();
        assert_eq!(opened(&path).2, ["three", "four"]);
        assert_eq!(opened(&dir.path().join("trials.log.damaged")).2, ["one", "two"]);
        let fails = || StoreError::Damaged(String::from("as planned"));
        lines.replace(None, &mut [Err(fails())].into_iter()).unwrap_err();
        assert_eq!(opened(&path).2, ["three", "four"], "what failed changed nothing");
    }

    #[test]
    fn a_write_that_fails_says_so() {
        let (_dir, path) = place();
        let (mut lines, ..) = opened(&path);
        lines.break_writing();
        lines.append(&[]).unwrap();
        assert!(matches!(lines.append(&strings(&["one"])), Err(StoreError::Io { .. })));
    }
}
