//! Seed files as they lie on the disk: every `*.toml` of a directory, or one file. For `check` and `import`.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::config::Problem;
use crate::reminder::seed::{self, Seed, SeedFile, SeedProblem};

/// Octets of one file: what is larger is another file.
const FILE_MAX: u64 = 2 << 20;
/// Files of one directory: a firm has six.
const FILES_MAX: usize = 200;

/// Reads the files, in the order of their names.
pub fn load(path: &Path) -> Result<Vec<SeedFile>, Vec<SeedProblem>> {
    let paths = if path.is_dir() { listed(path)? } else { vec![path.to_owned()] };
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        match read(&path) {
            Ok(text) => files.push(SeedFile { name: path.display().to_string(), text }),
            Err(why) => problems.extend(problem(&path, why)),
        }
    }
    if problems.is_empty() { Ok(files) } else { Err(problems) }
}

/// The same, checked as a whole: a daemon that knows nothing would take them.
pub fn check(path: &Path) -> Result<Vec<Seed>, Vec<SeedProblem>> {
    let seeds = seed::read(&load(path)?)?;
    let problems = seed::check(&seeds);
    if problems.is_empty() { Ok(seeds) } else { Err(problems) }
}

fn listed(directory: &Path) -> Result<Vec<PathBuf>, Vec<SeedProblem>> {
    let failed = |error: std::io::Error| problem(directory, format!("cannot be read: {error}"));
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(problem(directory, String::from("holds no file *.toml")));
    }
    if paths.len() > FILES_MAX {
        return Err(problem(directory, format!("holds more than {FILES_MAX} files *.toml")));
    }
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    // Opening a pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(String::from("is not a file"));
    }
    let mut octets = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut octets));
    if read.map_err(unreadable)? as u64 > FILE_MAX {
        return Err(format!("is larger than {FILE_MAX} octets"));
    }
    String::from_utf8(octets).map_err(|_| String::from("is not UTF-8"))
}

fn problem(path: &Path, why: String) -> Vec<SeedProblem> {
    let remedy = String::from("name a seed file or a directory of them, as config/reminders");
    let problem = Problem { line: None, key: String::new(), why, remedy };
    vec![SeedProblem { file: path.display().to_string(), problem }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_gives_its_toml_files_by_name_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b.toml", "a.toml", "notes.txt"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let names: Vec<String> = load(directory.path()).unwrap().into_iter().map(|file| file.name).collect();
        assert_eq!(names.len(), 2);
        assert!(names[0].ends_with("a.toml") && names[1].ends_with("b.toml"));
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let told = |path: &Path| load(path).unwrap_err()[0].to_string();
        assert!(told(directory.path()).contains("holds no file *.toml"));
        let file = directory.path().join("a.toml");
        assert!(told(&file).contains("a.toml: cannot be read"));
        std::fs::write(&file, b"\xff").unwrap();
        assert!(told(&file).contains("is not UTF-8"));
        std::fs::write(&file, vec![b'#'; FILE_MAX as usize + 1]).unwrap();
        assert!(told(&file).contains("is larger than"));
    }

    #[test]
    fn the_shipped_directory_is_right() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/reminders");
        assert!(check(&shipped).unwrap().len() > 100);
    }
}
