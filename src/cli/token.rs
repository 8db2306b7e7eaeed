//! `nudged token`: API tokens in the state directory, while the daemon runs or not; it notices the change.
//!
//! Invariant: the token itself goes to standard output, alone and once; only its hash is kept.

use std::process::ExitCode;

use super::{ConfigPath, EXIT_IO, EXIT_USAGE, answer, config_file, plain, refuse_config};
use crate::clock::Clock;
use crate::http::auth::{Scope, TokenEntry, TokenError, TokenFile};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make a token and print it, once
    Add {
        /// Who will use it
        name: String,
        /// What it allows, separated by commas: send, read, reminders, admin, audit
        #[arg(long, required = true, value_delimiter = ',', value_parser = scope)]
        scope: Vec<Scope>,
        #[command(flatten)]
        path: ConfigPath,
    },
    /// List names, scopes and times
    List {
        #[command(flatten)]
        path: ConfigPath,
    },
    /// Make a token worthless
    Revoke {
        name: String,
        #[command(flatten)]
        path: ConfigPath,
    },
}

fn scope(text: &str) -> Result<Scope, String> {
    let known = Scope::ALL.map(Scope::as_str).join(", ");
    Scope::parse(text).ok_or_else(|| format!("a scope is one of {known}"))
}

pub fn run(args: Args) -> ExitCode {
    let (What::Add { path, .. } | What::List { path } | What::Revoke { path, .. }) = &args.what;
    let state_dir = match config_file::state_dir(&path.config) {
        Ok(state_dir) => state_dir,
        Err(problems) => return refuse_config(&problems),
    };
    if !state_dir.is_dir() {
        // Making it here would give it to whoever asks, and the daemon might not be allowed in.
        eprintln!(
            "nudged: {}: no such directory; start the daemon once, it makes its own",
            state_dir.display()
        );
        return ExitCode::FAILURE;
    }
    match carry_out(&args.what, &TokenFile::new(&state_dir)) {
        Ok(text) => answer(&text, ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("nudged: {}", plain(&error.to_string()));
            ExitCode::from(code(&error))
        }
    }
}

fn carry_out(what: &What, file: &TokenFile) -> Result<String, TokenError> {
    match what {
        What::Add { name, scope, .. } => {
            file.add(name, scope, Clock::system().now().wall).map(|token| token + "\n")
        }
        What::List { .. } => file.list().map(|entries| entries.iter().map(line).collect()),
        What::Revoke { name, .. } => file.revoke(name).map(|()| String::new()),
    }
}

/// Name, scopes and time, separated by tabs.
fn line(entry: &TokenEntry) -> String {
    let scopes: Vec<&str> = entry.scopes.iter().map(|scope| scope.as_str()).collect();
    plain(&format!("{} {} {}", entry.name, scopes.join(","), entry.created_at)).replace(' ', "\t") + "\n"
}

fn code(error: &TokenError) -> u8 {
    match error {
        TokenError::Name | TokenError::NoScope => EXIT_USAGE,
        TokenError::Io { .. } | TokenError::Random(_) => EXIT_IO,
        TokenError::Damaged { .. } | TokenError::Exists(_) | TokenError::Missing(_) | TokenError::Full => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> ConfigPath {
        ConfigPath { config: "nudged.toml".into() }
    }

    #[test]
    fn a_token_is_listed_without_itself_and_revoked_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = TokenFile::new(directory.path());
        let add = What::Add { name: "crm".into(), scope: vec![Scope::Send], path: path() };
        let token = carry_out(&add, &file).unwrap();
        assert_eq!(token.lines().count(), 1);
        let listed = carry_out(&What::List { path: path() }, &file).unwrap();
        assert!(listed.starts_with("crm\tsend\t2") && !listed.contains(token.trim()), "{listed}");
        assert!(matches!(carry_out(&add, &file), Err(TokenError::Exists(_))));
        let revoke = What::Revoke { name: "crm".into(), path: path() };
        assert_eq!(carry_out(&revoke, &file).unwrap(), "");
        assert!(matches!(carry_out(&revoke, &file), Err(TokenError::Missing(_))));
    }

    #[test]
    fn a_scope_is_one_of_five_words() {
        assert_eq!(scope("read"), Ok(Scope::Read));
        assert!(scope("root").unwrap_err().contains("admin"));
    }
}
