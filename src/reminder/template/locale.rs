//! How the eight languages of the library write money and dates, and how each says that one can opt out.
//!
//! A template in any other language gets neutral forms (`1234.50 SEK`, `2026-03-15`) and no names of months:
//! asking for them is refused at save, never answered in another language.

use jiff::civil::{Date, Weekday};

use crate::reminder::money::Money;
use crate::reminder::name::Language;

/// The language of a template as far as numbers and dates go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locale {
    En,
    /// Month before day, as the United States write it.
    EnUs,
    De,
    Fr,
    Es,
    It,
    Nl,
    Pt,
    Pl,
    Neutral,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateForm {
    Short,
    /// With the month's name.
    Long,
    /// The name of the day alone.
    Weekday,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoneyForm {
    /// `1,234.50 EUR`: no currency is taken for another.
    Code,
    /// `€1,234.50`, where GSM 7-bit holds a sign of that currency, else as [`MoneyForm::Code`].
    Sign,
}

/// Names of months and days, January and Monday first.
struct Names {
    months: [&'static str; 12],
    days: [&'static str; 7],
}

impl Locale {
    pub fn of(language: &Language) -> Locale {
        match (language.base(), language.as_str()) {
            ("en", "en-US") => Locale::EnUs,
            ("en", _) => Locale::En,
            ("de", _) => Locale::De,
            ("fr", _) => Locale::Fr,
            ("es", _) => Locale::Es,
            ("it", _) => Locale::It,
            ("nl", _) => Locale::Nl,
            ("pt", _) => Locale::Pt,
            ("pl", _) => Locale::Pl,
            _ => Locale::Neutral,
        }
    }

    /// Whether it knows the names of months and days.
    pub const fn has_names(self) -> bool {
        self.names().is_some()
    }

    /// How to opt out, in words that GSM 7-bit holds; `None` for a language we do not write.
    pub const fn footer(self) -> Option<&'static str> {
        Some(match self {
            Locale::En | Locale::EnUs => "Reply STOP to opt out.",
            Locale::De => "Abmelden: mit STOP antworten.",
            Locale::Fr => "Pour ne plus recevoir de SMS : STOP.",
            Locale::Es => "Para no recibir SMS, responda STOP.",
            Locale::It => "Per non ricevere SMS risponda STOP.",
            Locale::Nl => "Afmelden? Antwoord STOP.",
            Locale::Pt => "Para sair, responda STOP.",
            Locale::Pl => "Rezygnacja: odpisz STOP.",
            Locale::Neutral => return None,
        })
    }

    pub fn money(self, amount: Money, form: MoneyForm) -> String {
        let value = amount.value();
        let (whole, minor) = value.split_once('.').unwrap_or((&value, ""));
        let (group, point) = self.marks();
        let mut written = group.map_or_else(|| whole.to_owned(), |mark| grouped(whole, mark));
        if !minor.is_empty() {
            written.push(point);
            written.push_str(minor);
        }
        let currency = amount.currency();
        match sign(currency.as_str()).filter(|_| form == MoneyForm::Sign) {
            Some(sign) if matches!(self, Locale::En | Locale::EnUs) => format!("{sign}{written}"),
            Some(sign) => format!("{written} {sign}"),
            None => format!("{written} {}", currency.as_str()),
        }
    }

    /// Between thousands, and before the minor unit.
    const fn marks(self) -> (Option<char>, char) {
        match self {
            Locale::En | Locale::EnUs => (Some(','), '.'),
            Locale::De | Locale::Es | Locale::It | Locale::Nl | Locale::Pt => (Some('.'), ','),
            Locale::Fr | Locale::Pl => (Some(' '), ','),
            Locale::Neutral => (None, '.'),
        }
    }

    pub fn date(self, date: Date, form: DateForm) -> String {
        match (self.names(), form) {
            (None, _) => date.to_string(),
            (Some(names), DateForm::Weekday) => names.day(date.weekday()).to_owned(),
            (Some(names), DateForm::Long) => self.long(date, names.month(date)),
            (Some(names), DateForm::Short) => self.short(date, names.month(date)),
        }
    }

    fn long(self, date: Date, month: &str) -> String {
        let (day, year) = (date.day(), date.year());
        match self {
            Locale::EnUs => format!("{month} {day}, {year}"),
            Locale::De => format!("{day}. {month} {year}"),
            Locale::Fr if day == 1 => format!("1er {month} {year}"),
            Locale::Es | Locale::Pt => format!("{day} de {month} de {year}"),
            _ => format!("{day} {month} {year}"),
        }
    }

    fn short(self, date: Date, month: &str) -> String {
        let (day, number, year) = (date.day(), date.month(), date.year());
        // In English 5/4 is two different days: the month is a word.
        let brief: String = month.chars().take(3).collect();
        match self {
            Locale::EnUs => format!("{brief} {day}, {year}"),
            Locale::En => format!("{day} {brief} {year}"),
            Locale::De | Locale::Pl => format!("{day:02}.{number:02}.{year}"),
            Locale::Nl => format!("{day:02}-{number:02}-{year}"),
            _ => format!("{day:02}/{number:02}/{year}"),
        }
    }

    const fn names(self) -> Option<&'static Names> {
        match self {
            Locale::En | Locale::EnUs => Some(&EN),
            Locale::De => Some(&DE),
            Locale::Fr => Some(&FR),
            Locale::Es => Some(&ES),
            Locale::It => Some(&IT),
            Locale::Nl => Some(&NL),
            Locale::Pt => Some(&PT),
            Locale::Pl => Some(&PL),
            Locale::Neutral => None,
        }
    }
}

impl Names {
    fn month(&self, date: Date) -> &'static str {
        self.months[(date.month() as usize + 11) % 12]
    }

    fn day(&self, day: Weekday) -> &'static str {
        self.days[day.to_monday_zero_offset() as usize % 7]
    }
}

/// Signs that GSM 7-bit holds, of currencies that nobody takes for another.
fn sign(currency: &str) -> Option<char> {
    match currency {
        "EUR" => Some('€'),
        "GBP" => Some('£'),
        "USD" => Some('$'),
        "JPY" => Some('¥'),
        _ => None,
    }
}

fn grouped(whole: &str, mark: char) -> String {
    let mut written = String::with_capacity(whole.len() * 4 / 3 + 1);
    for (at, digit) in whole.chars().enumerate() {
        let left = whole.len() - at;
        let after_digit = written.ends_with(|c: char| c.is_ascii_digit());
        if after_digit && left.is_multiple_of(3) {
            written.push(mark);
        }
        written.push(digit);
    }
    written
}

const EN: Names = Names {
    months: [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    days: ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
};

const DE: Names = Names {
    months: [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ],
    days: ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"],
};

const FR: Names = Names {
    months: [
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ],
    days: ["lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"],
};

const ES: Names = Names {
    months: [
        "enero",
        "febrero",
        "marzo",
        "abril",
        "mayo",
        "junio",
        "julio",
        "agosto",
        "septiembre",
        "octubre",
        "noviembre",
        "diciembre",
    ],
    days: ["lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"],
};

const IT: Names = Names {
    months: [
        "gennaio",
        "febbraio",
        "marzo",
        "aprile",
        "maggio",
        "giugno",
        "luglio",
        "agosto",
        "settembre",
        "ottobre",
        "novembre",
        "dicembre",
    ],
    days: ["lunedì", "martedì", "mercoledì", "giovedì", "venerdì", "sabato", "domenica"],
};

const NL: Names = Names {
    months: [
        "januari",
        "februari",
        "maart",
        "april",
        "mei",
        "juni",
        "juli",
        "augustus",
        "september",
        "oktober",
        "november",
        "december",
    ],
    days: ["maandag", "dinsdag", "woensdag", "donderdag", "vrijdag", "zaterdag", "zondag"],
};

const PT: Names = Names {
    months: [
        "janeiro",
        "fevereiro",
        "março",
        "abril",
        "maio",
        "junho",
        "julho",
        "agosto",
        "setembro",
        "outubro",
        "novembro",
        "dezembro",
    ],
    days: [
        "segunda-feira",
        "terça-feira",
        "quarta-feira",
        "quinta-feira",
        "sexta-feira",
        "sábado",
        "domingo",
    ],
};

/// Months in the genitive, as they stand behind a day.
const PL: Names = Names {
    months: [
        "stycznia",
        "lutego",
        "marca",
        "kwietnia",
        "maja",
        "czerwca",
        "lipca",
        "sierpnia",
        "września",
        "października",
        "listopada",
        "grudnia",
    ],
    days: ["poniedziałek", "wtorek", "środa", "czwartek", "piątek", "sobota", "niedziela"],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Encoding;
    use crate::reminder::money::Currency;
    use crate::sms::segment;

    const NAMED: [&str; 8] = ["en", "de", "fr", "es", "it", "nl", "pt", "pl"];

    fn locale(language: &str) -> Locale {
        Locale::of(&Language::parse(language).unwrap())
    }

    fn money(minor: i64, currency: &str) -> Money {
        Money::new(minor, Currency::parse(currency).unwrap()).unwrap()
    }

    #[test]
    fn each_language_writes_amounts_its_own_way() {
        let written = |language: &str| locale(language).money(money(123_456_750, "EUR"), MoneyForm::Code);
        for language in ["de", "es", "it", "nl", "pt-BR"] {
            assert_eq!(written(language), "1.234.567,50 EUR", "{language}");
        }
        assert_eq!((written("fr"), written("pl")), ("1 234 567,50 EUR".into(), "1 234 567,50 EUR".into()));
        assert_eq!((written("en"), written("sv")), ("1,234,567.50 EUR".into(), "1234567.50 EUR".into()));
        assert_eq!(locale("en").money(money(120, "JPY"), MoneyForm::Code), "120 JPY");
        assert_eq!(locale("de").money(money(5, "KWD"), MoneyForm::Code), "0,005 KWD");
    }

    #[test]
    fn a_sign_is_written_only_where_gsm_holds_it() {
        assert_eq!(locale("en").money(money(12_050, "GBP"), MoneyForm::Sign), "£120.50");
        assert_eq!(locale("de").money(money(12_050, "EUR"), MoneyForm::Sign), "120,50 €");
        assert_eq!(locale("pl").money(money(12_050, "PLN"), MoneyForm::Sign), "120,50 PLN");
    }

    #[test]
    fn each_language_writes_dates_its_own_way() {
        let date = Date::constant(2026, 3, 1);
        let forms = |language: &str| {
            [DateForm::Short, DateForm::Long, DateForm::Weekday].map(|form| locale(language).date(date, form))
        };
        assert_eq!(forms("en"), ["1 Mar 2026", "1 March 2026", "Sunday"]);
        assert_eq!(forms("en-US"), ["Mar 1, 2026", "March 1, 2026", "Sunday"]);
        assert_eq!(forms("de"), ["01.03.2026", "1. März 2026", "Sonntag"]);
        assert_eq!(forms("fr"), ["01/03/2026", "1er mars 2026", "dimanche"]);
        assert_eq!(forms("es"), ["01/03/2026", "1 de marzo de 2026", "domingo"]);
        assert_eq!(forms("it"), ["01/03/2026", "1 marzo 2026", "domenica"]);
        assert_eq!(forms("nl"), ["01-03-2026", "1 maart 2026", "zondag"]);
        assert_eq!(forms("pt"), ["01/03/2026", "1 de março de 2026", "domingo"]);
        assert_eq!(forms("pl"), ["01.03.2026", "1 marca 2026", "niedziela"]);
        assert_eq!(forms("sv"), ["2026-03-01", "2026-03-01", "2026-03-01"]);
    }

    #[test]
    fn december_and_monday_are_in_their_places() {
        let date = Date::constant(2026, 12, 7);
        assert_eq!(locale("de").date(date, DateForm::Long), "7. Dezember 2026");
        assert_eq!(locale("de").date(date, DateForm::Weekday), "Montag");
    }

    #[test]
    fn every_footer_names_stop_and_fits_gsm() {
        for language in NAMED {
            let footer = locale(language).footer().unwrap();
            assert!(footer.contains("STOP") && footer.len() <= 40, "{language}");
            assert_eq!(segment::choose(footer), Encoding::Gsm7, "{language}");
        }
        assert_eq!(locale("sv").footer(), None);
    }
}
