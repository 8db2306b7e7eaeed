//! A firm made for the measurement: the shipped settings, open on every day so that a run may be on any, and
//! cases in files of CSV. Everybody in them has a number of their own, `peers::recipient_of` of the row.

use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};

use crate::Fallible;
use crate::client::recipient_of;

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/reminders");
const WORKDAYS: &str = ", days = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\"]";
const CALENDAR: &str = "calendar = \"de\"\n";
/// A step of this morning where it is [`HOUR`] now.
const NOW: &str = "[[sequence]]\nkey = \"now\"\n[[sequence.step]]\nid = \"now\"\noffset = \"0d\"\nat = \"10:00\"\n\
                   template = \"due\"\ngrace = \"8h\"\n";
/// Local hour at which everything may go, with hours left.
const HOUR: i8 = 13;
/// Zones of the tz database with a fixed offset: no further west.
const WESTMOST: i8 = -12;

/// Below `dir`; the directory of the settings.
pub fn settings(dir: &Path) -> Fallible<PathBuf> {
    let firm = dir.join("firm");
    fs::create_dir_all(&firm)?;
    for entry in fs::read_dir(SHIPPED)? {
        let entry = entry?;
        let text = fs::read_to_string(entry.path())?;
        fs::write(firm.join(entry.file_name()), text.replace(WORKDAYS, "").replace(CALENDAR, ""))?;
    }
    fs::write(firm.join("now.toml"), NOW)?;
    Ok(firm)
}

/// What the cases of a file have in common.
#[derive(Clone, Debug)]
pub struct Cases {
    pub numbers: Range<u32>,
    pub sequence: &'static str,
    pub timezone: String,
    /// Due on this day and, in turn, the days after it.
    pub due: Date,
    pub days: u32,
}

impl Cases {
    /// All have a step that is due now.
    pub fn due_now(numbers: Range<u32>) -> Fallible<Cases> {
        let now = Timestamp::now();
        let hour = now.to_zoned(TimeZone::UTC).hour();
        let east = if HOUR - hour < WESTMOST { HOUR - hour + 24 } else { HOUR - hour };
        // These names count hours west of Greenwich.
        let timezone = format!("Etc/GMT{:+}", -east);
        let due = now.to_zoned(TimeZone::fixed(Offset::constant(east))).date();
        Ok(Cases { numbers, sequence: "now", timezone, due, days: 1 })
    }

    pub fn write(&self, path: &Path) -> Fallible<()> {
        let mut text = String::from(
            "external_id,creditor,phone,amount,currency,due_date,first_name,last_name,description,link,sequence,\
             timezone,consent,consent_source,consent_at\n",
        );
        let days: Vec<Date> = self.due.series(jiff::Span::new().days(1)).take(self.days as usize).collect();
        for (number, due) in self.numbers.clone().zip(days.iter().cycle()) {
            let (phone, amount) = (recipient_of(number), 20 + number % 980);
            writeln!(
                text,
                "R-{number:08},acme,+{phone},{amount}.50,EUR,{due},Anna,Beispiel,Rechnung {number},\
                 https://pay.acme.example/i/{number:08},{},{},given,web form,2026-01-15",
                self.sequence, self.timezone
            )?;
        }
        Ok(fs::write(path, text)?)
    }
}
