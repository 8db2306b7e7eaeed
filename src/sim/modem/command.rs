//! Command lines of V.250 section 5.2 and 27.007 section 4: what stands behind AT, cut into commands.
//!
//! Basic commands follow each other without a mark, extended ones end with `;` or the line. Quoted strings
//! are taken as they are; everything else is without spaces and in capitals.

use super::answer::Failure;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// `E`, `&F`, `+CMGS`, `^CURC`.
    pub name: String,
    pub form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    Run,
    /// `?`
    Read,
    /// `=?`
    Test,
    /// Behind `=`, or the number of a basic command.
    Set(Args),
}

/// Parameters in order; one left out is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Args(Vec<String>);

impl Args {
    fn parse(text: &str) -> Args {
        let mut args = vec![String::new()];
        let mut quoted = false;
        for c in text.chars() {
            match c {
                '"' => quoted = !quoted,
                ',' if !quoted => args.push(String::new()),
                c => args.last_mut().into_iter().for_each(|arg| arg.push(c)),
            }
        }
        Args(args)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// None where it is left out.
    pub fn text(&self, place: usize) -> Option<&str> {
        self.0.get(place).map(String::as_str).filter(|arg| !arg.is_empty())
    }

    /// None where it is left out.
    ///
    /// # Errors
    /// [`Failure::PARAMETERS`] for what is no number.
    pub fn number(&self, place: usize) -> Result<Option<u32>, Failure> {
        self.text(place).map(|arg| arg.parse().map_err(|_| Failure::PARAMETERS)).transpose()
    }
}

/// The commands of a line without its AT, up to the first that cannot be read.
pub fn split(line: &str) -> Vec<Option<Command>> {
    let line = normal(line);
    let mut rest = line.as_str();
    let mut commands = Vec::new();
    while !rest.is_empty() {
        let (command, behind) = match rest.as_bytes()[0] {
            b';' => {
                rest = &rest[1..];
                continue;
            }
            b'A'..=b'Z' | b'&' => basic(rest),
            b'+' | b'^' | b'$' | b'#' | b'*' | b'%' | b'!' | b'\\' => extended(rest),
            _ => (None, ""),
        };
        let readable = command.is_some();
        commands.push(command);
        if !readable {
            break;
        }
        rest = behind;
    }
    commands
}

/// Without spaces and in capitals, outside quotes.
fn normal(line: &str) -> String {
    let mut quoted = false;
    let mut normal = String::with_capacity(line.len());
    for c in line.chars() {
        if c == '"' {
            quoted = !quoted;
        }
        match c {
            ' ' if !quoted => {}
            c if quoted => normal.push(c),
            c => normal.push(c.to_ascii_uppercase()),
        }
    }
    normal
}

fn basic(rest: &str) -> (Option<Command>, &str) {
    let letters = if rest.starts_with('&') { 2 } else { 1 };
    let Some((name, behind)) = rest.split_at_checked(letters) else { return (None, "") };
    if name == "D" {
        let number = Form::Set(Args(vec![behind.to_owned()]));
        return (Some(Command { name: "D".into(), form: number }), "");
    }
    let (number, behind) = behind.split_at(digits(behind));
    if name == "S" {
        let name = format!("S{number}");
        return match behind.strip_prefix('=') {
            Some(value) => {
                let (value, behind) = value.split_at(digits(value));
                (Some(Command { name, form: Form::Set(Args::parse(value)) }), behind)
            }
            None => match behind.strip_prefix('?') {
                Some(behind) => (Some(Command { name, form: Form::Read }), behind),
                None => (None, ""),
            },
        };
    }
    let form = if number.is_empty() { Form::Run } else { Form::Set(Args::parse(number)) };
    (Some(Command { name: name.to_owned(), form }), behind)
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

fn extended(rest: &str) -> (Option<Command>, &str) {
    let (command, behind) = rest.split_at(end_of_command(rest));
    let name_end = command.find(['=', '?']).unwrap_or(command.len());
    let (name, form) = command.split_at(name_end);
    let form = match form {
        "" => Form::Run,
        "?" => Form::Read,
        "=?" => Form::Test,
        set => match set.strip_prefix('=') {
            Some(value) => Form::Set(Args::parse(value)),
            None => return (None, ""),
        },
    };
    (Some(Command { name: name.to_owned(), form }), behind)
}

/// Where the `;` stands that is in no quotes.
fn end_of_command(rest: &str) -> usize {
    let mut quoted = false;
    for (place, c) in rest.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ';' if !quoted => return place,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(name: &str, form: Form) -> Option<Command> {
        Some(Command { name: name.into(), form })
    }

    fn set(args: &[&str]) -> Form {
        Form::Set(Args(args.iter().map(|arg| (*arg).to_owned()).collect()))
    }

    #[test]
    fn basic_commands_need_no_mark_and_extended_ones_end_at_a_semicolon() {
        assert_eq!(
            split("e0v1&c1+cmee=1; +CREG = 2;^curc=0"),
            [
                command("E", set(&["0"])),
                command("V", set(&["1"])),
                command("&C", set(&["1"])),
                command("+CMEE", set(&["1"])),
                command("+CREG", set(&["2"])),
                command("^CURC", set(&["0"])),
            ]
        );
        assert_eq!(split("S0=1S3?"), [command("S0", set(&["1"])), command("S3", Form::Read)]);
    }

    #[test]
    fn quotes_hide_commas_semicolons_and_small_letters() {
        assert_eq!(split("+CPIN=\"a;b,c\",x"), [command("+CPIN", set(&["a;b,c", "X"]))]);
        assert_eq!(split("+CPMS=\"SM\",,\"ME\""), [command("+CPMS", set(&["SM", "", "ME"]))]);
    }

    #[test]
    fn what_cannot_be_read_ends_the_line() {
        assert_eq!(split("E0?+CSQ"), [command("E", set(&["0"])), None]);
        assert_eq!(split("ü"), [None]);
        assert_eq!(split("&ü"), [None]);
        assert_eq!(split("S"), [None]);
        assert!(split("").is_empty());
    }
}
