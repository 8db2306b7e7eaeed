//! What somebody entered in a form: read field by field, with all that is wrong told at once and shown beside it.

use std::fmt;

use crate::http::page::forms::Form;
use crate::http::problem::{FieldError, Problem};

/// The fields of a form with what is wrong about them.
#[derive(Default)]
pub struct Entries {
    values: Vec<(String, String)>,
    pub faults: Vec<FieldError>,
    /// What is wrong and no field's.
    pub wrong: Option<String>,
}

impl Entries {
    pub fn of(form: Form) -> Entries {
        Entries { values: form.0, ..Entries::default() }
    }

    /// As they stand in a form nobody filled in yet.
    pub fn with(values: &[(&str, &str)]) -> Entries {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Entries { values: values.iter().map(own).collect(), ..Entries::default() }
    }

    /// Another value for a field.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.values.retain(|(n, _)| n != name);
        self.values.push((name.to_owned(), value.into()));
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

    /// A text of any length, as it stands there.
    pub fn words(&mut self, name: &str) -> Option<String> {
        self.required(name, |text| Ok::<_, String>(text.to_owned()))
    }

    pub fn is_refused(&self) -> bool {
        self.wrong.is_some() || !self.faults.is_empty()
    }

    /// Takes what a problem says to the fields it names; what names none stands by itself.
    pub fn take(&mut self, problem: &Problem) {
        if problem.errors().is_empty() {
            self.wrong = Some(problem.detail().to_owned());
        }
        for error in problem.errors() {
            if !self.faults.contains(error) {
                self.faults.push(error.clone());
            }
        }
    }

    /// The problem of everything that is wrong so far, if something is.
    pub fn check(&self) -> Result<(), Problem> {
        if self.faults.is_empty() { Ok(()) } else { Err(Problem::fields(self.faults.clone())) }
    }
}

/// One of the forms of a page with what was entered in it; the others stand as nobody filled them in.
#[derive(Default)]
pub struct Tried {
    pub what: String,
    pub entries: Entries,
}

impl Tried {
    pub fn is(&self, what: &str) -> bool {
        self.what == what
    }

    /// `usual`: what stands there before somebody enters something.
    pub fn value<'a>(&'a self, what: &str, name: &str, usual: &'a str) -> &'a str {
        if self.is(what) { self.entries.value(name) } else { usual }
    }

    pub fn fault(&self, what: &str, name: &str) -> Option<&str> {
        self.entries.fault(name).filter(|_| self.is(what))
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

    #[test]
    fn a_problem_is_told_at_its_fields_once_or_by_itself() {
        let mut entries = Entries::default();
        entries.refuse("amount", "is required");
        let known = entries.check().unwrap_err();
        entries.take(&known);
        assert_eq!((entries.faults.len(), &entries.wrong), (1, &None));
        entries.take(&Problem::not_found());
        assert!(entries.faults.len() == 1 && entries.wrong.is_some());
    }

    #[test]
    fn what_was_entered_in_one_form_stands_in_no_other() {
        let mut entries = Entries::with(&[("amount", "1,2,3")]);
        entries.refuse("amount", "must be an amount");
        let tried = Tried { what: String::from("pay"), entries };
        assert_eq!(
            (tried.value("pay", "amount", "7"), tried.value("promise", "amount", "7")),
            ("1,2,3", "7")
        );
        assert!(tried.fault("pay", "amount").is_some() && tried.fault("promise", "amount").is_none());
    }
}
