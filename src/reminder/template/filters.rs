//! The filters: what each takes and gives, and what it makes of a value.

use super::cell::Content;
use super::fields::Kind;
use super::locale::{DateForm, Locale, MoneyForm};

/// Characters that `truncate` may leave.
const TRUNCATE_MAX: usize = 160;

/// Words before a name that are no part of it, folded.
const TITLES: [&str; 22] = [
    "herr", "frau", "hr", "fr", "dr", "prof", "dipl", "ing", "mr", "mrs", "ms", "miss", "sir", "m", "mme",
    "mlle", "sr", "sra", "sig", "pan", "pani", "dhr",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    Money,
    Date,
    FirstName,
    Upper,
    Truncate,
    Last4,
    Default,
}

/// What stands in a filter's parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument<'a> {
    None,
    Text(&'a str),
    Number(usize),
}

impl Filter {
    pub const ALL: [Filter; 7] = [
        Filter::Money,
        Filter::Date,
        Filter::FirstName,
        Filter::Upper,
        Filter::Truncate,
        Filter::Last4,
        Filter::Default,
    ];

    pub fn parse(name: &str) -> Option<Filter> {
        Filter::ALL.into_iter().find(|filter| filter.as_str() == name)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Filter::Money => "money",
            Filter::Date => "date",
            Filter::FirstName => "first_name",
            Filter::Upper => "upper",
            Filter::Truncate => "truncate",
            Filter::Last4 => "last4",
            Filter::Default => "default",
        }
    }

    /// The kind that comes out; `None` where it does not take this one.
    pub fn gives(self, kind: Kind) -> Option<Kind> {
        let text = matches!(kind, Kind::Text | Kind::Name | Kind::Custom);
        match self {
            Filter::Money => matches!(kind, Kind::Money | Kind::Custom).then_some(Kind::Text),
            Filter::Date => matches!(kind, Kind::Date | Kind::Custom).then_some(Kind::Text),
            Filter::FirstName | Filter::Upper | Filter::Truncate | Filter::Last4 => {
                text.then_some(Kind::Text)
            }
            Filter::Default => Some(kind),
        }
    }

    pub fn takes(self, argument: Argument) -> bool {
        match (self, argument) {
            (Filter::Money, Argument::None) => true,
            (Filter::Money, Argument::Text(form)) => money_form(form).is_some(),
            (Filter::Date, Argument::None) => true,
            (Filter::Date, Argument::Text(form)) => date_form(form).is_some(),
            (Filter::FirstName | Filter::Upper | Filter::Last4, Argument::None) => true,
            (Filter::Truncate, Argument::Number(kept)) => (1..=TRUNCATE_MAX).contains(&kept),
            (Filter::Default, Argument::Text(text)) => !text.trim().is_empty(),
            _ => false,
        }
    }

    pub const fn usage(self) -> &'static str {
        match self {
            Filter::Money => "nothing, \"code\" or \"symbol\"",
            Filter::Date => "nothing, \"short\", \"long\" or \"weekday\"",
            Filter::FirstName | Filter::Upper | Filter::Last4 => "nothing",
            Filter::Truncate => "a number of characters, 1 to 160",
            Filter::Default => "a text that is not empty",
        }
    }

    /// Whether it writes words of the language.
    pub fn needs_names(self, argument: Argument) -> bool {
        self == Filter::Date && !matches!(argument, Argument::None | Argument::Text("short"))
    }

    /// The value as the filter makes it. What a filter has no say about (a refused value, the text of
    /// a `default`, and for all but `default` one that is missing) passes as it is.
    pub fn apply(self, content: Content, argument: Argument, locale: Locale) -> Content {
        match (self, content, argument) {
            (Filter::Default, content, Argument::Text(text)) if content.is_absent() => {
                Content::Literal(text.into())
            }
            (Filter::Money, Content::Money(amount), argument) => {
                Content::Amount(amount, form_of(argument, money_form, MoneyForm::Code))
            }
            (Filter::Date, Content::Date(date), argument) => {
                Content::Text(locale.date(date, form_of(argument, date_form, DateForm::Short)))
            }
            (Filter::FirstName, Content::Text(text), _) => Content::Text(first_name(&text).to_owned()),
            (Filter::Upper, Content::Text(text), _) => Content::Text(text.to_uppercase()),
            (Filter::Upper, Content::Literal(text), _) => Content::Literal(text.to_uppercase()),
            (Filter::Truncate, Content::Text(text), Argument::Number(kept)) => {
                Content::Text(cut(&text, kept))
            }
            (Filter::Last4, Content::Text(text), _) => Content::Text(last4(&text)),
            (Filter::Last4, Content::Number(number), _) => Content::Text(last4(&number.to_string())),
            // Of the firm's own fields only the value itself tells its kind.
            (
                Filter::Money | Filter::Date,
                Content::Text(_) | Content::Number(_) | Content::Money(_) | Content::Date(_),
                _,
            )
            | (
                Filter::FirstName | Filter::Upper | Filter::Truncate,
                Content::Number(_) | Content::Money(_) | Content::Date(_),
                _,
            ) => Content::WrongKind,
            (_, content, _) => content,
        }
    }
}

fn form_of<T>(argument: Argument, read: impl Fn(&str) -> Option<T>, plain: T) -> T {
    match argument {
        Argument::Text(form) => read(form).unwrap_or(plain),
        _ => plain,
    }
}

fn money_form(form: &str) -> Option<MoneyForm> {
    match form {
        "code" => Some(MoneyForm::Code),
        "symbol" => Some(MoneyForm::Sign),
        _ => None,
    }
}

fn date_form(form: &str) -> Option<DateForm> {
    match form {
        "short" => Some(DateForm::Short),
        "long" => Some(DateForm::Long),
        "weekday" => Some(DateForm::Weekday),
        _ => None,
    }
}

/// The first name of `Dr. Anna Meyer` and of `Meyer, Anna`; empty where there is none.
fn first_name(full: &str) -> &str {
    let given = full.split_once(',').map_or(full, |(_, given)| given);
    let is_title = |word: &&str| {
        let bare = word.trim_end_matches('.').to_lowercase();
        TITLES.contains(&bare.as_str())
    };
    given.split(' ').filter(|word| !word.is_empty()).find(|word| !is_title(word)).unwrap_or("")
}

fn cut(text: &str, kept: usize) -> String {
    let cut: String = text.chars().take(kept).collect();
    cut.trim_end().to_owned()
}

/// The last four letters or digits: enough to know a contract by, too little to use it.
fn last4(text: &str) -> String {
    let signs: Vec<char> = text.chars().filter(|c| c.is_alphanumeric()).collect();
    signs[signs.len().saturating_sub(4)..].iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(filter: Filter, value: &str, argument: Argument) -> Content {
        filter.apply(Content::Text(value.into()), argument, Locale::De)
    }

    #[test]
    fn a_first_name_is_found_behind_titles_and_before_commas() {
        for (full, first) in [
            ("Anna Meyer", "Anna"),
            ("Meyer, Anna Maria", "Anna"),
            ("Prof. Dr. Anna Meyer", "Anna"),
            ("Frau Anna Meyer", "Anna"),
            ("Anna", "Anna"),
            ("Dr.", ""),
        ] {
            assert_eq!(first_name(full), first, "{full}");
        }
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(text(Filter::Truncate, "Zoë Müller", Argument::Number(4)), Content::Text("Zoë".into()));
        assert_eq!(text(Filter::Last4, "DE-12 34 56", Argument::None), Content::Text("3456".into()));
        assert_eq!(text(Filter::Last4, "ß", Argument::None), Content::Text("ß".into()));
        assert_eq!(text(Filter::Upper, "straße", Argument::None), Content::Text("STRASSE".into()));
    }

    #[test]
    fn a_default_stands_in_for_what_is_missing_or_empty_only() {
        let default = |content| Filter::Default.apply(content, Argument::Text("you"), Locale::En);
        assert_eq!(default(Content::Absent), Content::Literal("you".into()));
        assert_eq!(default(Content::Text(String::new())), Content::Literal("you".into()));
        assert_eq!(default(Content::Text("Anna".into())), Content::Text("Anna".into()));
    }

    #[test]
    fn a_custom_value_of_the_wrong_kind_is_not_guessed_at() {
        assert_eq!(text(Filter::Money, "12", Argument::None), Content::WrongKind);
        assert_eq!(Filter::Upper.apply(Content::Number(1), Argument::None, Locale::De), Content::WrongKind);
    }

    #[test]
    fn every_filter_is_found_by_its_name() {
        for filter in Filter::ALL {
            assert_eq!(Filter::parse(filter.as_str()), Some(filter));
        }
    }
}
