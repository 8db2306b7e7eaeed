//! Stories: some weeks of a firm's life each, rehearsed, and what must have come of it.
//!
//! [`Story`] is a small builder around [`rehearse`]; every one that is told is also judged by the [`referee`], from
//! its lines and its own script alone: never a text after payment or STOP, never outside hours or caps, never the same
//! step twice, at most one text a phone a day.

mod bank;
mod crashes;
mod events;
mod forecast;
mod referee;
mod times;

use std::collections::BTreeMap;

use nudged::cli::rehearse::{Event, Fate, Jump, Line, Plan, Rehearsal, Said, Sent, TaskLine, What, rehearse};
use nudged::clock::Timestamp;
use nudged::engine::Change;
use nudged::engine::reminders::change::Which;
use nudged::engine::reminders::seeds;
use nudged::message::Msisdn;
use nudged::reminder::import::{Case, Mapping, Rows};
use nudged::reminder::money::{Currency, Money};
use nudged::reminder::name::ExternalId;
use nudged::reminder::obligation::Payment;
use nudged::reminder::seed::{self, SeedFile};
use nudged::reminder::task::TaskOutcome;

use crate::support::checked;

/// One bind that takes what comes, and a modem beside it that nothing goes to while the bind is up.
const LINKS: &str = r#"
    timezone = "Europe/Berlin"
    [[smpp]]
    name = "carrier"
    address = "127.0.0.1:1"
    system_id = "nudged"
    password_file = "pw"
    window = 10
"#;

/// Two firms; neither asks for more than `base`, where the contact's country adds nothing.
const SEEDS: &str = r#"
    [[creditor]]
    key = "acme"
    name = "Acme GmbH"
    sender_role = "first_party"
    language = "en"
    phone = "+49 30 1234567"
    link_hosts = ["pay.acme.example"]

    [[creditor]]
    key = "other"
    name = "Other Ltd"
    sender_role = "first_party"
    language = "en"
    phone = "+44 20 7946 0000"

    [[menu]]
    key = "menu"
    ttl = "72h"
    options = [
        { digit = 1, label = "call me", do = "task:callback" },
        { digit = 2, label = "pay", do = "pay" },
        { digit = 3, label = "wait", do = "pause:72h" },
    ]

    [[template]]
    key = "text"
    language = "en"
    class = "reminder"
    body = "{{ creditor }}: {{ amount }} for {{ reference }} is due on {{ due_date }}. Call {{ phone }}"

    [[template]]
    key = "asking"
    language = "en"
    class = "dunning"
    body = "{{ creditor }}: {{ amount }} for {{ reference }} is open since {{ due_date }}. Call {{ phone }}"
    menu = "menu"

    [[sequence]]
    key = "standard"
    [[sequence.step]]
    id = "before"
    offset = "-3d"
    at = "10:00"
    template = "text"
    [[sequence.step]]
    id = "due"
    offset = "0d"
    at = "10:00"
    template = "text"
    [[sequence.step]]
    id = "after"
    offset = "+5d"
    at = "17:00"
    template = "asking"
    [[sequence.step]]
    id = "last"
    offset = "+9d"
    at = "17:00"
    template = "asking"
    task_after = "final_review"
"#;

pub fn at(text: &str) -> Timestamp {
    nudged::cli::rehearse::instant("at", text).unwrap()
}

pub fn eur(value: &str) -> Money {
    Money::parse(value, Currency::parse("EUR").unwrap()).unwrap()
}

pub fn which(id: &str) -> Which {
    Which::External { id: ExternalId::parse(id).unwrap(), creditor: None }
}

/// The rows of a file.
pub fn cases(csv: &str) -> Vec<Case> {
    let csv: String = csv.lines().map(|line| format!("{}\n", line.trim())).collect();
    let rows =
        Rows::<_, Case>::open(std::io::Cursor::new(csv.trim().to_owned()), &Mapping::default()).unwrap();
    rows.map(|row| row.unwrap().read.unwrap_or_else(|errors| panic!("{errors:?}"))).collect()
}

pub fn settings(toml: &str) -> Vec<Change> {
    let file = SeedFile { name: String::from("story.toml"), text: toml.to_owned() };
    let seeds = seed::read(&[file]).unwrap_or_else(|problems| panic!("{problems:?}"));
    seeds.into_iter().map(|seed| seeds::change(seed.table)).collect()
}

/// A story before it is told.
pub struct Story {
    links: String,
    seeds: Vec<String>,
    more: Vec<Change>,
    cases: Vec<Case>,
    events: Vec<Event>,
    fates: BTreeMap<Msisdn, Fate>,
    from: Timestamp,
    to: Timestamp,
    law: referee::Law,
}

impl Story {
    /// Everybody is in Berlin unless the story says otherwise.
    pub fn new(from: &str, to: &str) -> Story {
        Story {
            links: LINKS.to_owned(),
            seeds: vec![SEEDS.to_owned()],
            more: Vec::new(),
            cases: Vec::new(),
            events: Vec::new(),
            fates: BTreeMap::new(),
            from: at(from),
            to: at(to),
            law: referee::Law::default(),
        }
    }

    pub fn links(mut self, toml: &str) -> Story {
        self.links = toml.to_owned();
        self
    }

    /// More settings; a table of a known key takes the place of the one before.
    pub fn set(mut self, toml: &str) -> Story {
        self.seeds.push(toml.to_owned());
        self
    }

    /// A case of Acme in Berlin, of 120.50 EUR.
    pub fn case(self, id: &str, phone: &str, due: &str) -> Story {
        self.rows(&format!(
            "external_id,creditor,phone,amount,currency,due_date,timezone,country
             {id},acme,{phone},120.50,EUR,{due},Europe/Berlin,DE"
        ))
    }

    pub fn rows(mut self, csv: &str) -> Story {
        self.cases.extend(cases(csv));
        self
    }

    pub fn when(mut self, time: &str, what: What) -> Story {
        self.events.push(Event { at: at(time), what });
        self.events.sort_by_key(|event| event.at);
        self
    }

    pub fn paid(self, time: &str, id: &str, value: &str) -> Story {
        let payment = Payment {
            external_id: ExternalId::parse(&format!("{id}-{value}")).unwrap(),
            amount: eur(value),
            at: at(time),
            reversed: false,
        };
        self.when(time, What::Changes(vec![Change::Pay { which: which(id), payment }]))
    }

    pub fn reversed(self, time: &str, id: &str, value: &str) -> Story {
        let payment = Payment {
            external_id: ExternalId::parse(&format!("{id}-{value}")).unwrap(),
            amount: eur(value),
            at: at(time),
            reversed: true,
        };
        self.when(time, What::Changes(vec![Change::Reverse { which: which(id), payment }]))
    }

    pub fn moved(self, time: &str, id: &str, date: &str) -> Story {
        let change = Change::DueDate { which: which(id), date: date.parse().unwrap(), restart: false };
        self.when(time, What::Changes(vec![change]))
    }

    pub fn replies(self, time: &str, from: &str, text: &str) -> Story {
        let from = Msisdn::parse_e164(from).unwrap();
        self.when(time, What::Reply { from, text: text.to_owned() })
    }

    pub fn outage(self, time: &str, until: &str) -> Story {
        self.when(time, What::Outage { link: "carrier".into(), until: at(until) })
    }

    pub fn done(self, time: &str, id: &str, outcome: TaskOutcome) -> Story {
        self.when(time, What::TaskDone { which: which(id), outcome })
    }

    pub fn clock(self, time: &str, jump: &str) -> Story {
        self.when(time, What::Clock { jump: Jump::parse(jump).unwrap() })
    }

    pub fn fate(mut self, number: &str, fate: Fate) -> Story {
        self.fates.insert(Msisdn::parse_e164(number).unwrap(), fate);
        self
    }

    /// What the referee must know of this story besides.
    pub fn law(mut self, change: impl FnOnce(&mut referee::Law)) -> Story {
        change(&mut self.law);
        self
    }

    pub fn plan(&self) -> Plan {
        let mut setup: Vec<Change> = self.seeds.iter().flat_map(|toml| settings(toml)).collect();
        setup.extend(self.more.clone());
        Plan {
            config: checked(&self.links),
            setup,
            cases: self.cases.clone(),
            events: self.events.clone(),
            fates: self.fates.clone(),
            from: self.from,
            to: self.to,
        }
    }

    pub fn tell(self) -> Told {
        let Rehearsal { lines, summary } = rehearse(self.plan()).unwrap();
        assert_eq!(summary.rows_refused, [], "all rows are taken");
        referee::judge(&self.cases, &self.events, &lines, &self.law);
        Told { lines }
    }
}

/// A story that was told, and found lawful.
pub struct Told {
    pub lines: Vec<Line>,
}

impl Told {
    pub fn sent(&self) -> Vec<(Timestamp, &Sent)> {
        let sent = self.lines.iter().filter_map(|line| match &line.said {
            Said::Sent(sent) => Some((line.at, sent)),
            _ => None,
        });
        sent.collect()
    }

    /// `id step day` of every reminder, by the day in Berlin.
    pub fn reminders(&self) -> Vec<String> {
        self.reminders_in("Europe/Berlin")
    }

    /// The same by the day elsewhere.
    pub fn reminders_in(&self, zone: &str) -> Vec<String> {
        let reminders = self.sent().into_iter().filter_map(|(at, sent)| {
            let (id, step) = (sent.obligation.as_ref()?, sent.step.as_ref()?);
            Some(format!("{id} {step} {}", referee::local(at, zone).date()))
        });
        reminders.collect()
    }

    /// `kind` of every task that was opened, in order.
    pub fn tasks(&self) -> Vec<String> {
        let open = self.lines.iter().filter_map(|line| match &line.said {
            Said::Task(TaskLine { kind, state: "open", .. }) => Some(kind.clone()),
            _ => None,
        });
        open.collect()
    }

    /// What became of an obligation besides texts, in words.
    pub fn fates(&self, id: &str) -> Vec<String> {
        let fates = self.lines.iter().filter_map(|line| match &line.said {
            Said::Paused(paused) if paused.obligation == id => Some(format!("paused {}", paused.reason)),
            Said::Exited(exited) if exited.obligation == id => Some(format!("exited {}", exited.reason)),
            Said::Promise(promise) if promise.obligation == id => Some(format!("promise {}", promise.state)),
            _ => None,
        });
        fates.collect()
    }

    /// `step gate rule` of every refusal.
    pub fn refusals(&self, id: &str) -> Vec<String> {
        let refusals = self.lines.iter().filter_map(|line| match &line.said {
            Said::Refused(refused) if refused.obligation == id => {
                let pack = refused.pack.as_deref().unwrap_or("-");
                Some(format!("{} {} {pack} {}", refused.step, refused.gate, refused.rule))
            }
            _ => None,
        });
        refusals.collect()
    }
}
