//! `nudged man`: the manual page on standard output, one page with a section per command.

use std::fmt::Write;
use std::io;
use std::process::ExitCode;

use super::{answer, command};

#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_: Args) -> ExitCode {
    match page() {
        Ok(page) => answer(&page, ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("nudged: manual page: {error}");
            ExitCode::FAILURE
        }
    }
}

fn page() -> io::Result<String> {
    let main = clap_mangen::Man::new(command());
    let mut head = Vec::new();
    main.render_title(&mut head)?;
    main.render_name_section(&mut head)?;
    main.render_synopsis_section(&mut head)?;
    let mut page = String::from_utf8_lossy(&head).into_owned();
    // The page must not depend on the environment it is made in.
    let mut tree = command().mut_subcommands(|sub| sub.mut_args(|arg| arg.hide_env_values(true)));
    tree.build();
    for sub in tree.get_subcommands_mut() {
        describe(&mut page, sub).map_err(io::Error::other)?;
    }
    page.push_str(EXIT_STATUS);
    Ok(page)
}

fn describe(page: &mut String, sub: &mut clap::Command) -> std::fmt::Result {
    let help = sub.render_long_help().to_string();
    writeln!(page, ".SH \"NUDGED {}\"\n.nf", sub.get_name().to_uppercase())?;
    for line in help.lines() {
        writeln!(page, "{}", roff(line))?;
    }
    writeln!(page, ".fi")
}

/// A backslash, and a dot or quote that begins a line, are commands to roff.
fn roff(line: &str) -> String {
    let escaped = line.replace('\\', "\\e").replace('-', "\\-");
    if escaped.starts_with(['.', '\'']) { format!("\\&{escaped}") } else { escaped }
}

const EXIT_STATUS: &str = "\
.SH EXIT STATUS
0 success; 1 refused or failed; 64 usage; 69 the daemon cannot be reached; 74 a write or sync failed; \
75 another daemon holds the state directory; 78 the configuration is refused.
.SH ENVIRONMENT
NUDGED_URL and NUDGED_TOKEN stand for \\-\\-url and \\-\\-token; RUST_LOG for \\-\\-log\\-level.
.SH FILES
/etc/nudged/nudged.toml
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_a_section_for_every_command() {
        let page = page().unwrap();
        for sub in command().get_subcommands() {
            let heading = format!(".SH \"NUDGED {}\"", sub.get_name().to_uppercase());
            assert!(page.contains(&heading), "{heading}");
        }
    }

    #[test]
    fn no_line_of_help_is_a_command_to_roff() {
        assert_eq!(roff(".TH x"), "\\&.TH x");
        assert_eq!(roff("a\\b"), "a\\eb");
    }
}
