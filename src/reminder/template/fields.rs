//! What a template may name, and the values the core fills in.
//!
//! A field's kind is fixed by its name, so a template is checked against kinds once, at save. Values are data:
//! this file only holds them, `value.rs` judges and cleans them when they are printed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;

use crate::reminder::money::{Currency, Money};

/// Longer names of custom fields are refused: they are columns of a file, `custom.NAME`.
const CUSTOM_NAME_MAX: usize = 40;

/// What a field holds, and so which filters and comparisons it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// Text that names a person: judged more strictly, and spared by transliteration where that is asked for.
    Name,
    Money,
    Date,
    Link,
    Number,
    /// The firm's own field: whatever it was filled with, but never a link.
    Custom,
}

macro_rules! field_names {
    ($($(#[$doc:meta])* $variant:ident $name:literal $kind:ident,)*) => {
        /// A name that a template may write.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FieldName {
            $($(#[$doc])* $variant,)*
            /// `custom.NAME`, without the `custom.`.
            Custom(Arc<str>),
        }

        impl FieldName {
            const FIXED: &'static [FieldName] = &[$(FieldName::$variant,)*];

            pub fn parse(text: &str) -> Option<FieldName> {
                match text {
                    $($name => Some(FieldName::$variant),)*
                    _ => text.strip_prefix("custom.").filter(|own| is_custom(own)).map(|own| FieldName::Custom(own.into())),
                }
            }

            pub const fn kind(&self) -> Kind {
                match self {
                    $(FieldName::$variant => Kind::$kind,)*
                    FieldName::Custom(_) => Kind::Custom,
                }
            }

            const fn word(&self) -> &'static str {
                match self {
                    $(FieldName::$variant => $name,)*
                    FieldName::Custom(_) => "custom",
                }
            }
        }
    };
}

field_names! {
    FirstName "first_name" Name,
    LastName "last_name" Name,
    Company "company" Text,
    Creditor "creditor" Text,
    CreditorShort "creditor_short" Text,
    /// The creditor's telephone, not the recipient's.
    Phone "phone" Text,
    /// What is open now: the balance.
    Amount "amount" Money,
    /// What was owed at first.
    Total "total" Money,
    MinDue "min_due" Money,
    /// What the last payment was.
    Paid "paid" Money,
    DueDate "due_date" Date,
    Description "description" Text,
    Link "link" Link,
    /// The firm's own id of the obligation.
    Reference "reference" Text,
    DaysOverdue "days_overdue" Number,
    CaseManager "case_manager" Text,
    Instalment "instalment" Money,
    InstalmentDate "instalment_date" Date,
    InstalmentNumber "instalment_number" Number,
    InstalmentCount "instalment_count" Number,
    PromiseDate "promise_date" Date,
    /// The lines of the menu, made by the composition.
    Menu "menu" Text,
}

impl FieldName {
    /// Every name but the custom ones, for help and messages.
    pub fn fixed() -> impl Iterator<Item = &'static FieldName> {
        FieldName::FIXED.iter()
    }
}

fn is_custom(name: &str) -> bool {
    (1..=CUSTOM_NAME_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldName::Custom(own) => write!(f, "custom.{own}"),
            fixed => f.write_str(fixed.word()),
        }
    }
}

impl fmt::Debug for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A value as the core has it.
#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    Text(String),
    Money(Money),
    Date(Date),
    /// From `reminder::link`, which has checked its host.
    Link(String),
    Number(i64),
}

impl Field {
    /// Whether a field of this name may hold it.
    pub fn fits(&self, name: &FieldName) -> bool {
        match (name.kind(), self) {
            (Kind::Custom, Field::Link(_)) => false,
            (Kind::Custom, _)
            | (Kind::Text | Kind::Name, Field::Text(_))
            | (Kind::Money, Field::Money(_))
            | (Kind::Date, Field::Date(_))
            | (Kind::Link, Field::Link(_))
            | (Kind::Number, Field::Number(_)) => true,
            _ => false,
        }
    }
}

/// The values for one text. Cloning is cheap.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields(Arc<BTreeMap<FieldName, Field>>);

impl Fields {
    pub fn new() -> Fields {
        Fields::default()
    }

    pub fn set(&mut self, name: FieldName, value: Field) {
        Arc::make_mut(&mut self.0).insert(name, value);
    }

    /// [`Fields::set`], in a row.
    #[must_use]
    pub fn with(mut self, name: FieldName, value: Field) -> Fields {
        self.set(name, value);
        self
    }

    pub fn text(self, name: FieldName, value: &str) -> Fields {
        self.with(name, Field::Text(value.to_owned()))
    }

    pub fn remove(&mut self, name: &FieldName) {
        Arc::make_mut(&mut self.0).remove(name);
    }

    pub fn get(&self, name: &FieldName) -> Option<&Field> {
        self.0.get(name)
    }

    /// An ordinary case, to judge a template by where no audience is given: names and amounts of common
    /// length, all in GSM 7-bit.
    pub fn sample() -> Fields {
        let money = |minor| Currency::parse("EUR").and_then(|eur| Money::new(minor, eur)).map(Field::Money);
        let amounts = [
            (FieldName::Amount, 12_050),
            (FieldName::Total, 18_050),
            (FieldName::MinDue, 3_500),
            (FieldName::Paid, 6_000),
            (FieldName::Instalment, 3_000),
        ];
        let mut fields = Fields::new()
            .text(FieldName::FirstName, "Anna")
            .text(FieldName::LastName, "Meyer")
            .text(FieldName::Company, "Meyer GmbH")
            .text(FieldName::Creditor, "Stadtwerke Neustadt")
            .text(FieldName::CreditorShort, "SW Neustadt")
            .text(FieldName::Phone, "+49 30 1234567")
            .text(FieldName::Description, "RG 2026-0412")
            .text(FieldName::Reference, "2026-0412")
            .text(FieldName::CaseManager, "Frau Klein")
            .with(FieldName::DueDate, Field::Date(Date::constant(2026, 3, 15)))
            .with(FieldName::InstalmentDate, Field::Date(Date::constant(2026, 4, 1)))
            .with(FieldName::PromiseDate, Field::Date(Date::constant(2026, 3, 20)))
            .with(FieldName::Link, Field::Link("https://pay.neustadt.example/i/k3m9x2p7q4wd".to_owned()))
            .with(FieldName::DaysOverdue, Field::Number(10))
            .with(FieldName::InstalmentNumber, Field::Number(2))
            .with(FieldName::InstalmentCount, Field::Number(6));
        for (name, minor) in amounts {
            if let Ok(value) = money(minor) {
                fields.set(name, value);
            }
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_as_it_is_written() {
        for name in FieldName::fixed() {
            assert_eq!(FieldName::parse(&name.to_string()).as_ref(), Some(name));
        }
        assert_eq!(FieldName::parse("custom.a_1").unwrap().to_string(), "custom.a_1");
        for bad in
            ["name", "custom.", "custom.a b", "custom.a.b", "Amount", &format!("custom.{}", "a".repeat(41))]
        {
            assert_eq!(FieldName::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_sample_fills_every_field_but_the_menu_and_fits_each() {
        let sample = Fields::sample();
        for name in FieldName::fixed().filter(|name| **name != FieldName::Menu) {
            assert!(sample.get(name).is_some_and(|value| value.fits(name)), "{name}");
        }
    }

    #[test]
    fn a_custom_field_holds_anything_but_a_link() {
        let own = FieldName::parse("custom.x").unwrap();
        assert!(Field::Number(1).fits(&own) && !Field::Link("https://a.b/c".into()).fits(&own));
        assert!(!Field::Link("https://a.b/c".into()).fits(&FieldName::FirstName));
    }
}
