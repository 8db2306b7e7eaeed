//! What somebody entered in a form: read field by field, with all that is wrong told at once and shown beside it.

use std::fmt;

use crate::http::page::forms::Form;
use crate::http::problem::{FieldError, Problem};

/// The fields of a form with what is wrong about them.
#[derive(Default)]
pub struct Entries {
    values: Vec<(String, String)>,
    pub faults: Vec<FieldError>,
}

impl Entries {
    pub fn of(form: Form) -> Entries {
        Entries { values: form.0, faults: Vec::new() }
    }

    /// As they stand in a form nobody filled in yet.
    pub fn with(values: &[(&str, &str)]) -> Entries {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Entries { values: values.iter().map(own).collect(), faults: Vec::new() }
    }

    /// As it was entered, to show it again.
    pub fn value(&self, name: &str) -> &str {
        self.values.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value.as_str())
    }

    pub fn is(&self, name: &str, value: &str) -> bool {
        self.value(name) == value
    }

    pub fn fault(&self, name: &str) -> Option<&str> {
        self.faults.iter().find(|fault| fault.field == name).map(|fault| fault.why.as_str())
    }

    /// What was entered, without blanks around it; `None`: nothing was.
    pub fn text(&self, name: &str) -> Option<&str> {
        Some(self.value(name).trim()).filter(|text| !text.is_empty())
    }

    pub fn refuse(&mut self, name: &str, why: impl fmt::Display) {
        self.faults.push(FieldError::new(name, why.to_string()));
    }

    pub fn optional<T, E: fmt::Display>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(self.text(name)?) {
            Ok(value) => Some(value),
            Err(why) => {
                self.refuse(name, why);
                None
            }
        }
    }

    pub fn required<T, E: fmt::Display>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        if self.text(name).is_none() {
            self.refuse(name, "is required");
        }
        self.optional(name, parse)
    }

    /// A text of at most `most` characters.
    pub fn short(&mut self, name: &str, most: usize) -> Option<String> {
        self.optional(name, |text| match text.chars().count() <= most {
            true => Ok(text.to_owned()),
            false => Err(format!("must be at most {most} characters")),
        })
    }

    /// The problem of everything that is wrong so far, if something is.
    pub fn check(&self) -> Result<(), Problem> {
        if self.faults.is_empty() { Ok(()) } else { Err(Problem::fields(self.faults.clone())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_is_told_at_once_and_what_was_entered_is_kept() {
        let mut entries = Entries::with(&[("n", " x "), ("long", "four")]);
        let number = |text: &str| text.parse::<u8>();
        assert_eq!((entries.required("n", number), entries.required("m", number)), (None, None));
        assert_eq!(entries.short("long", 3), None);
        assert_eq!((entries.value("n"), entries.fault("m")), (" x ", Some("is required")));
        let names: Vec<&str> = entries.faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(names, ["n", "m", "long"]);
        assert_eq!(entries.check().unwrap_err().status(), 422);
    }
}
