//! Amounts of money: integer minor units and an ISO 4217 currency, nothing that rounds.
//!
//! Outside (JSON, TOML) an amount is `{"value": "120.50", "currency": "EUR"}` with exactly the currency's digits
//! or fewer; in the store it is two numbers.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Larger amounts are typing errors; sums of a million of them still fit.
const MINOR_MAX: i64 = 100_000_000_000_000;

/// Three capital letters of ISO 4217.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// An amount, never beyond [`MINOR_MAX`] either way; negative only as a difference.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMoney {
    #[error("the currency must be three capital letters, as EUR")]
    Currency,
    #[error("must be digits with a point before the minor unit, as 120.50")]
    Value,
    #[error("has more digits after the point than the currency has")]
    Digits,
    #[error("is beyond what an amount can be")]
    TooLarge,
    #[error("must not be negative")]
    Negative,
}

impl Currency {
    /// # Errors
    /// [`BadMoney::Currency`]
    pub fn parse(text: &str) -> Result<Currency, BadMoney> {
        let bytes: [u8; 3] = text.as_bytes().try_into().map_err(|_| BadMoney::Currency)?;
        if bytes.iter().all(u8::is_ascii_uppercase) { Ok(Currency(bytes)) } else { Err(BadMoney::Currency) }
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// Digits after the point (ISO 4217, minor unit).
    pub fn digits(self) -> u32 {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG" | b"RWF"
            | b"UGX" | b"UYI" | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            _ => 2,
        }
    }
}

impl Money {
    /// `minor` in the currency's minor unit.
    ///
    /// # Errors
    /// [`BadMoney::TooLarge`]
    pub fn new(minor: i64, currency: Currency) -> Result<Money, BadMoney> {
        let fits = (-MINOR_MAX..=MINOR_MAX).contains(&minor);
        if fits { Ok(Money { minor, currency }) } else { Err(BadMoney::TooLarge) }
    }

    pub const fn zero(currency: Currency) -> Money {
        Money { minor: 0, currency }
    }

    /// Digits with a point, not negative.
    ///
    /// # Errors
    /// [`BadMoney`], as it says.
    pub fn parse(value: &str, currency: Currency) -> Result<Money, BadMoney> {
        if value.starts_with('-') {
            return Err(BadMoney::Negative);
        }
        let (whole, part) = value.split_once('.').unwrap_or((value, ""));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(part) || value.ends_with('.') {
            return Err(BadMoney::Value);
        }
        let wanted = currency.digits() as usize;
        let (kept, more) = part.split_at(part.len().min(wanted));
        if more.bytes().any(|b| b != b'0') {
            return Err(BadMoney::Digits);
        }
        let minor: i64 = format!("{whole}{kept:0<wanted$}").parse().map_err(|_| BadMoney::TooLarge)?;
        Money::new(minor, currency)
    }

    pub const fn minor(self) -> i64 {
        self.minor
    }

    pub const fn currency(self) -> Currency {
        self.currency
    }

    pub const fn is_positive(self) -> bool {
        self.minor > 0
    }

    /// `None` where the currencies differ or the sum is beyond what an amount can be.
    pub fn plus(self, other: Money) -> Option<Money> {
        let same = self.currency == other.currency;
        same.then(|| Money::new(self.minor + other.minor, self.currency).ok()).flatten()
    }

    /// `None` as [`Money::plus`].
    pub fn minus(self, other: Money) -> Option<Money> {
        self.plus(Money { minor: -other.minor, currency: other.currency })
    }

    /// The amount alone, with all digits of the currency and a point: `120.50`.
    pub fn value(self) -> String {
        let digits = self.currency.digits() as usize;
        let sign = if self.minor < 0 { "-" } else { "" };
        let all = format!("{:0>width$}", self.minor.unsigned_abs(), width = digits + 1);
        let (whole, part) = all.split_at(all.len() - digits);
        if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.value(), self.currency.as_str())
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The form for people and programs.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Readable {
    value: String,
    currency: String,
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let currency = self.currency.as_str().to_owned();
            return Readable { value: self.value(), currency }.serialize(serializer);
        }
        (self.minor, self.currency.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
        if deserializer.is_human_readable() {
            let Readable { value, currency } = Readable::deserialize(deserializer)?;
            let currency = Currency::parse(&currency).map_err(de::Error::custom)?;
            return Money::parse(&value, currency).map_err(de::Error::custom);
        }
        let (minor, currency) = <(i64, [u8; 3])>::deserialize(deserializer)?;
        Ok(Money { minor, currency: Currency(currency) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eur(value: &str) -> Result<Money, BadMoney> {
        Money::parse(value, Currency::parse("EUR").unwrap())
    }

    #[test]
    fn an_amount_reads_back_as_it_is_shown() {
        for (currency, value, minor) in [("EUR", "120.50", 12050), ("JPY", "120", 120), ("KWD", "0.005", 5)] {
            let money = Money::parse(value, Currency::parse(currency).unwrap()).unwrap();
            assert_eq!((money.minor(), money.value()), (minor, value.to_owned()));
        }
        assert_eq!(eur("7").unwrap().value(), "7.00");
        assert_eq!(eur("7.5000").unwrap().value(), "7.50");
    }

    #[test]
    fn what_is_no_amount_says_why() {
        for (bad, why) in [
            ("-1", BadMoney::Negative),
            ("", BadMoney::Value),
            ("1,50", BadMoney::Value),
            ("1.", BadMoney::Value),
            (".5", BadMoney::Value),
            ("1e3", BadMoney::Value),
            ("1.005", BadMoney::Digits),
            ("99999999999999999999", BadMoney::TooLarge),
            ("1000000000001", BadMoney::TooLarge),
        ] {
            assert_eq!(eur(bad), Err(why), "{bad}");
        }
        assert_eq!(Currency::parse("eur"), Err(BadMoney::Currency));
    }

    #[test]
    fn sums_know_their_currency() {
        let usd = Money::parse("1", Currency::parse("USD").unwrap()).unwrap();
        assert_eq!(eur("1").unwrap().plus(usd), None);
        assert_eq!(eur("1").unwrap().minus(eur("2.50").unwrap()).unwrap().value(), "-1.50");
    }

    #[test]
    fn programs_see_words_and_the_store_sees_numbers() {
        let money = eur("120.5").unwrap();
        let json = serde_json::to_string(&money).unwrap();
        assert_eq!(json, r#"{"value":"120.50","currency":"EUR"}"#);
        assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), money);
        let stored = postcard::to_stdvec(&money).unwrap();
        assert_eq!(postcard::from_bytes::<Money>(&stored).unwrap(), money);
        assert!(stored.len() < 8);
    }
}
