//! From the path of the configuration file to a checked `Config`: the files that `config/` must not open.
//!
//! Invariant: a secret is taken only from a regular file that its owner alone can read, and no part of it
//! reaches an error text. What the values mean is `config::check`'s business.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::{self, Config, Port, Problem, Readers, Secret};

/// A configuration is a few KiB; what is larger is another file.
const CONFIG_MAX: u64 = 1 << 20;
/// Passwords and tokens are short; what is larger is another file.
const SECRET_MAX: u64 = 4 << 10;
/// All authorities of a system are a quarter of it.
const CERTIFICATES_MAX: u64 = 1 << 20;
/// Read, write and execute of group and others.
const NOT_THE_OWNER: u32 = 0o077;
const CREDENTIALS: &str = "$CREDENTIALS_DIRECTORY/";

/// Reads and checks the file. A relative `state_dir` is taken from the file's directory, as secrets are.
pub fn load(path: &Path) -> Result<Config, Vec<Problem>> {
    let text = read_text(path).map_err(|why| vec![file_problem(path, why)])?;
    let base = beside(path);
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let resolve = |name: &str| resolve(name, &base, credentials.as_deref());
    let readers = Readers {
        secret: &|name| read_secret(&resolve(name)?),
        certificates: &|name| read_certificates(&resolve(name)?).map(Some),
    };
    let mut config = config::check_with(&text, readers)?;
    config.state_dir = base.join(&config.state_dir);
    config.payments.drop = config.payments.drop.map(|drop| base.join(drop));
    for modem in &mut config.modems {
        if let Port::Device(path) = &mut modem.port {
            *path = base.join(&*path);
        }
    }
    Ok(config)
}

/// Where the state is, for commands that need nothing else: they must not fail for secrets that only the
/// service may read.
pub fn state_dir(path: &Path) -> Result<PathBuf, Vec<Problem>> {
    let text = read_text(path).map_err(|why| vec![file_problem(path, why)])?;
    let config = config::check(&text, &|_| Ok(Secret::unread()))?;
    Ok(beside(path).join(config.state_dir))
}

/// The directory that relative names are taken from.
fn beside(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).to_owned()
}

fn file_problem(path: &Path, why: String) -> Problem {
    Problem {
        line: None,
        key: String::new(),
        why: format!("{}: {why}", path.display()),
        remedy: String::from("name a readable file with --config"),
    }
}

fn read_text(path: &Path) -> Result<String, String> {
    let bytes = read_bounded(path, CONFIG_MAX, |_| Ok(()))?;
    if bytes.is_empty() {
        // A truncated file must not pass for "all defaults".
        return Err(String::from("is empty"));
    }
    String::from_utf8(bytes).map_err(|_| String::from("is not UTF-8"))
}

fn resolve(name: &str, base: &Path, credentials: Option<&Path>) -> Result<PathBuf, String> {
    if name.is_empty() {
        return Err(String::from("names no file"));
    }
    let Some(rest) = name.strip_prefix(CREDENTIALS) else { return Ok(base.join(name)) };
    let directory =
        credentials.ok_or("CREDENTIALS_DIRECTORY is not set: only systemd sets it, for the service")?;
    Ok(directory.join(rest))
}

fn read_secret(path: &Path) -> Result<Secret, String> {
    let owner_only = |mode: u32| {
        if mode & NOT_THE_OWNER == 0 {
            Ok(())
        } else {
            Err(format!("can be read by group or others (mode {:03o}): chmod 600", mode & 0o777))
        }
    };
    let said = |why: String| format!("{} {why}", path.display());
    let bytes = read_bounded(path, SECRET_MAX, owner_only).map_err(said)?;
    let text = String::from_utf8(bytes).map_err(|_| said(String::from("is not UTF-8")))?;
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    let secret = secret.strip_suffix('\r').unwrap_or(secret);
    if secret.is_empty() {
        return Err(said(String::from("is empty")));
    }
    Ok(Secret::new(secret.to_owned()))
}

/// Everybody may read them.
fn read_certificates(path: &Path) -> Result<Vec<u8>, String> {
    read_bounded(path, CERTIFICATES_MAX, |_| Ok(())).map_err(|why| format!("{} {why}", path.display()))
}

/// The permissions are read from the open file, so that nobody can swap it in between.
fn read_bounded(
    path: &Path,
    max: u64,
    mode_fits: impl Fn(u32) -> Result<(), String>,
) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    // Opening a pipe would wait for its writer, so the kind is asked first.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(String::from("is not a file"));
    }
    let file = File::open(path).map_err(unreadable)?;
    mode_fits(file.metadata().map_err(unreadable)?.mode())?;
    let mut bytes = Vec::new();
    let read = file.take(max + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if read as u64 > max {
        return Err(format!("is larger than {max} octets"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const LINK: &str = "[[smpp]]\nname = 'c'\naddress = 'h:1'\nsystem_id = 's'\npassword_file = 'pw'\n";

    fn directory(config: &str, secret: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let (config_path, secret_path) = (directory.path().join("nudged.toml"), directory.path().join("pw"));
        std::fs::write(&config_path, config).unwrap();
        std::fs::write(&secret_path, secret).unwrap();
        std::fs::set_permissions(&secret_path, std::fs::Permissions::from_mode(mode)).unwrap();
        (directory, config_path)
    }

    fn why(result: Result<Config, Vec<Problem>>) -> String {
        let problems = result.unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems[0].to_string()
    }

    #[test]
    fn a_secret_beside_the_file_is_read_and_its_newline_trimmed() {
        let (directory, path) = directory(&format!("state_dir = 'state'\n{LINK}"), b"geheim\n", 0o600);
        let config = load(&path).unwrap();
        assert_eq!(config.smpp[0].password.expose(), "geheim");
        assert_eq!(config.state_dir, directory.path().join("state"));
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        for mode in [0o640, 0o604, 0o620, 0o601] {
            let (_directory, path) = directory(LINK, b"geheim", mode);
            let why = why(load(&path));
            assert!(why.contains("group or others") && !why.contains("geheim"), "{why}");
        }
    }

    #[test]
    fn secrets_that_are_none_are_refused() {
        for (secret, word) in
            [(&b""[..], "empty"), (b"\n", "empty"), (b"\xff", "UTF-8"), (b"ninechars", "at most 8")]
        {
            let (_directory, path) = directory(LINK, secret, 0o600);
            let why = why(load(&path));
            assert!(why.starts_with("line 5: smpp[1].password_file:") && why.contains(word), "{why}");
        }
        let (_directory, path) = directory(LINK, &vec![b'a'; SECRET_MAX as usize + 1], 0o600);
        assert!(why(load(&path)).contains("larger"));
    }

    #[test]
    fn a_missing_secret_and_a_directory_are_refused() {
        let (directory, path) = directory(LINK, b"x", 0o600);
        std::fs::remove_file(directory.path().join("pw")).unwrap();
        assert!(why(load(&path)).contains("cannot be read"));
        std::fs::create_dir(directory.path().join("pw")).unwrap();
        assert!(why(load(&path)).contains("is not a file"));
    }

    #[test]
    fn credentials_come_from_their_directory_or_not_at_all() {
        let name = "$CREDENTIALS_DIRECTORY/carrier.pw";
        assert_eq!(
            resolve(name, Path::new("/etc"), Some(Path::new("/run/c"))),
            Ok("/run/c/carrier.pw".into())
        );
        assert!(resolve(name, Path::new("/etc"), None).unwrap_err().contains("not set"));
        assert_eq!(resolve("/abs/pw", Path::new("/etc"), None), Ok("/abs/pw".into()));
        assert_eq!(resolve("pw", Path::new("/etc"), None), Ok("/etc/pw".into()));
    }

    #[test]
    fn certificates_that_cannot_be_read_or_are_none_are_problems_with_their_line() {
        let hook = "[[webhook]]\nname = 'h'\nurl = 'https://h/'\nsecret_file = 'pw'\nevents = ['*']\n\
                    tls_ca_file = 'ca.pem'\n";
        let key = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n";
        let (directory, path) = directory(hook, key, 0o600);
        let refused = || {
            let problems = load(&path).unwrap_err();
            assert_eq!((problems.len(), problems[0].line), (1, Some(6)), "{problems:?}");
            assert_eq!(problems[0].key, "webhook[1].tls_ca_file");
            problems[0].to_string()
        };
        assert!(refused().contains("cannot be read"), "{}", refused());
        for (text, why) in [
            ("", "holds no certificate"),
            ("no PEM at all\n", "holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\nMAA", "is not PEM"),
            ("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "certificate 1 of"),
        ] {
            std::fs::write(directory.path().join("ca.pem"), text).unwrap();
            assert!(refused().contains(why) && refused().contains("in PEM"), "{}", refused());
        }
    }

    #[test]
    fn the_state_is_found_without_the_secrets() {
        let (directory, path) = directory(&format!("state_dir = 'state'\n{LINK}"), b"x", 0o644);
        assert!(load(&path).is_err());
        assert_eq!(state_dir(&path), Ok(directory.path().join("state")));
        let others = "[[modem]]\nname = 'm'\nport = '/dev/x'\npin_file = 'pw'\n[[webhook]]\nname = 'h'\n\
                      url = 'http://h/'\nsecret_file = 'pw'\nevents = ['*']\n";
        std::fs::write(&path, format!("state_dir = 'state'\n{LINK}{others}")).unwrap();
        assert_eq!(state_dir(&path), Ok(directory.path().join("state")), "of whatever form a secret must be");
    }

    #[test]
    fn a_file_that_is_empty_or_not_text_is_refused() {
        let (directory, path) = directory("", b"x", 0o600);
        assert!(why(load(&path)).contains("is empty"));
        std::fs::write(&path, b"\xff\xfe").unwrap();
        assert!(why(load(&path)).contains("UTF-8"));
        assert!(why(load(&directory.path().join("none"))).contains("cannot be read"));
    }
}
