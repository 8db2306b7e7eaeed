//! A form with a file in it, as a browser sends it: `multipart/form-data` (RFC 7578), taken apart as it comes.
//!
//! Pure: octets go in, fields and pieces of the file come out. The file is never held whole; a field and the head
//! of a part have a limit. What comes before the first boundary and after the last is nothing.

/// Octets of the head of a part.
const HEAD_MAX: usize = 4 * 1024;
/// Octets of a field that is no file.
const FIELD_MAX: usize = 1024;
/// As RFC 2046 5.1.1 has it.
const BOUNDARY_MAX: usize = 70;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadForm {
    #[error("is no form with a file")]
    Type,
    #[error("the head of a part cannot be read")]
    Head,
    #[error("a field is too long")]
    TooLong,
    #[error("it ends before its last part does")]
    Broken,
}

/// What came of what was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Field {
        name: String,
        value: String,
    },
    /// Some octets of the file.
    File(Vec<u8>),
    End,
}

#[derive(Debug, PartialEq, Eq)]
enum At {
    /// Before the first boundary.
    Start,
    /// Behind a boundary: the head of a part, or the end.
    Head,
    Field {
        name: String,
        value: Vec<u8>,
    },
    File,
    End,
}

/// A form as far as it has come.
#[derive(Debug)]
pub struct Parts {
    /// What ends a part: a line's end, two hyphens and the boundary.
    delimiter: Vec<u8>,
    held: Vec<u8>,
    at: At,
}

impl Parts {
    /// By the value of `Content-Type`.
    ///
    /// # Errors
    /// [`BadForm::Type`]
    pub fn new(content_type: &str) -> Result<Parts, BadForm> {
        let (media, parameters) = content_type.split_once(';').ok_or(BadForm::Type)?;
        if !media.trim().eq_ignore_ascii_case("multipart/form-data") {
            return Err(BadForm::Type);
        }
        let mut named = parameters.split(';').filter_map(|parameter| parameter.trim().split_once('='));
        let boundary = named.find(|(name, _)| name.eq_ignore_ascii_case("boundary"));
        let boundary = boundary.map(|(_, value)| value.trim_matches('"')).ok_or(BadForm::Type)?;
        if boundary.is_empty() || boundary.len() > BOUNDARY_MAX {
            return Err(BadForm::Type);
        }
        // The first boundary has no line before it.
        let (delimiter, held) = (format!("\r\n--{boundary}").into_bytes(), b"\r\n".to_vec());
        Ok(Parts { delimiter, held, at: At::Start })
    }

    /// Takes octets and gives what is whole by then.
    ///
    /// # Errors
    /// [`BadForm`]: the form cannot be read any further.
    pub fn feed(&mut self, octets: &[u8]) -> Result<Vec<Piece>, BadForm> {
        self.held.extend_from_slice(octets);
        let mut pieces = Vec::new();
        while self.step(&mut pieces)? {}
        Ok(pieces)
    }

    /// # Errors
    /// [`BadForm::Broken`]: more should have come.
    pub fn finish(&self) -> Result<(), BadForm> {
        if self.at == At::End { Ok(()) } else { Err(BadForm::Broken) }
    }

    /// `false`: more must come first.
    fn step(&mut self, pieces: &mut Vec<Piece>) -> Result<bool, BadForm> {
        match &self.at {
            At::End => {
                self.held.clear();
                Ok(false)
            }
            At::Head => self.head(pieces),
            At::Start | At::Field { .. } | At::File => self.content(pieces),
        }
    }

    fn content(&mut self, pieces: &mut Vec<Piece>) -> Result<bool, BadForm> {
        let end = find(&self.held, &self.delimiter);
        // What may be the beginning of a boundary is kept.
        let whole = end.unwrap_or_else(|| self.held.len().saturating_sub(self.delimiter.len() - 1));
        let content: Vec<u8> = self.held.drain(..whole).collect();
        match &mut self.at {
            At::Field { value, .. } => {
                value.extend(content);
                if value.len() > FIELD_MAX {
                    return Err(BadForm::TooLong);
                }
            }
            At::File if !content.is_empty() => pieces.push(Piece::File(content)),
            _ => {}
        }
        if end.is_none() {
            return Ok(false);
        }
        self.held.drain(..self.delimiter.len());
        if let At::Field { name, value } = std::mem::replace(&mut self.at, At::Head) {
            let value = String::from_utf8(value).map_err(|_| BadForm::Head)?;
            pieces.push(Piece::Field { name, value });
        }
        Ok(true)
    }

    fn head(&mut self, pieces: &mut Vec<Piece>) -> Result<bool, BadForm> {
        if self.held.starts_with(b"--") {
            self.at = At::End;
            pieces.push(Piece::End);
            return Ok(true);
        }
        let Some(end) = find(&self.held, b"\r\n\r\n") else {
            return if self.held.len() > HEAD_MAX { Err(BadForm::Head) } else { Ok(false) };
        };
        if end > HEAD_MAX {
            return Err(BadForm::Head);
        }
        let head: Vec<u8> = self.held.drain(..end + 4).collect();
        let text = std::str::from_utf8(&head).map_err(|_| BadForm::Head)?;
        let (name, is_file) = disposition(text).ok_or(BadForm::Head)?;
        self.at = if is_file { At::File } else { At::Field { name, value: Vec::new() } };
        Ok(true)
    }
}

/// The name of a part, and whether it is a file.
fn disposition(head: &str) -> Option<(String, bool)> {
    let mut lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))?;
    let mut parameters = value.split(';').map(str::trim);
    if !parameters.next()?.eq_ignore_ascii_case("form-data") {
        return None;
    }
    let named: Vec<(&str, &str)> = parameters.filter_map(|parameter| parameter.split_once('=')).collect();
    let get =
        |wanted: &str| named.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, v)| *v);
    Some((get("name")?.trim_matches('"').to_owned(), get("filename").is_some()))
}

fn find(in_octets: &[u8], what: &[u8]) -> Option<usize> {
    in_octets.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=----x";
    const FORM: &[u8] = b"------x\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nabc\r\n------x\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"a;b.csv\"\r\nContent-Type: text/csv\r\n\r\n\
        a,b\r\n--not\r\n1,2\r\n\r\n------x--\r\n";
    const FILE: &[u8] = b"a,b\r\n--not\r\n1,2\r\n";

    /// Fields, and the file.
    type Read = (Vec<(String, String)>, Vec<u8>);

    fn read(form: &[u8], at_once: usize) -> Result<Read, BadForm> {
        let mut parts = Parts::new(TYPE)?;
        let (mut fields, mut file) = (Vec::new(), Vec::new());
        for octets in form.chunks(at_once) {
            for piece in parts.feed(octets)? {
                match piece {
                    Piece::Field { name, value } => fields.push((name, value)),
                    Piece::File(octets) => file.extend(octets),
                    Piece::End => {}
                }
            }
        }
        parts.finish()?;
        Ok((fields, file))
    }

    #[test]
    fn a_form_is_the_same_however_it_is_cut() {
        let whole = (vec![("key".to_owned(), "abc".to_owned())], FILE.to_vec());
        for at_once in 1..=FORM.len() {
            assert_eq!(read(FORM, at_once), Ok(whole.clone()), "{at_once} octets at once");
        }
    }

    #[test]
    fn a_form_that_breaks_off_anywhere_is_broken_or_not_whole() {
        let last = FORM.len() - 4;
        for length in 0..last {
            assert!(read(&FORM[..length], 7).is_err(), "{length} octets");
        }
    }

    #[test]
    fn a_file_without_content_is_empty() {
        let form =
            b"------x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\"\r\n\r\n\r\n------x--";
        assert_eq!(read(form, 5), Ok((Vec::new(), Vec::new())));
    }

    #[test]
    fn what_is_too_long_or_no_form_is_refused() {
        for bad in [
            "text/csv",
            "multipart/form-data",
            "multipart/mixed; boundary=x",
            "multipart/form-data; boundary=",
        ] {
            assert_eq!(Parts::new(bad).err(), Some(BadForm::Type), "{bad}");
        }
        let field = b"------x\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\n";
        assert_eq!(read(&[field.as_slice(), &[b'a'; 2_000]].concat(), 64).err(), Some(BadForm::TooLong));
        assert_eq!(
            read(&[b"------x\r\nX: ".as_slice(), &[b'a'; 9_000]].concat(), 64).err(),
            Some(BadForm::Head)
        );
        let nameless = b"------x\r\nContent-Type: text/csv\r\n\r\na\r\n------x--";
        assert_eq!(read(nameless, 64).err(), Some(BadForm::Head));
    }
}
