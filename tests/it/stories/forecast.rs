//! What `simulate` foresees is what then goes: the same steps, to the same numbers, in the same second.

use nudged::cli::rehearse::foresee;
use nudged::engine::reminders::simulate::Foreseen;

use super::Story;

/// splitmix64
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

/// A phone lives in one place, whoever owes.
const PHONES: [(&str, &str); 6] = [
    ("+4915112345671", "Europe/Berlin,DE,"),
    ("+441632960001", "Europe/London,GB,"),
    ("+16175550101", "America/New_York,US,MA"),
    ("+12065550101", "America/Los_Angeles,US,WA"),
    ("+13055550101", "America/New_York,US,FL"),
    ("+390612345678", "Europe/Rome,IT,"),
];

fn random(seed: u64) -> Story {
    let mut dice = Dice(seed);
    let mut sequence = String::from("[[sequence]]\nkey = \"standard\"\n");
    if dice.below(3) == 0 {
        sequence += "escalate = { after = 2, task = \"follow_up\", pause = true }\n";
    }
    for n in 0..2 + dice.below(4) {
        let offset = dice.below(15) as i64 - 5;
        let offset = if offset == 0 { 1 } else { offset };
        let unit = if offset > 0 { dice.pick(&["d", "bd"]) } else { "d" };
        let slot = dice.pick(&["10:00", "morning", "evening", "19:30", "08:00", "23:00"]);
        let grace = dice.pick(&["6h", "1d", "2d", "5d"]);
        let when = dice.pick(&["balance > 0", "reminders < 2", "days_overdue < 4"]);
        sequence += &format!(
            "[[sequence.step]]\nid = \"s{n}\"\noffset = \"{offset:+}{unit}\"\nat = \"{slot}\"\ntemplate = \"text\"\n\
             grace = \"{grace}\"\nwhen = \"{when}\"\n"
        );
    }
    let header = "external_id,creditor,phone,amount,currency,due_date,timezone,country,region,consent,consent_at,consent_source";
    let mut rows = header.to_owned();
    for n in 0..1 + dice.below(7) {
        let (phone, place) = PHONES[dice.below(PHONES.len() as u64) as usize];
        let due = 1 + dice.below(28);
        let creditor = dice.pick(&["acme", "other"]);
        let consent = dice.pick(&["given,2026-01-02,form", ",,"]);
        rows += &format!("\nC{n},{creditor},{phone},9{n}.00,EUR,2026-03-{due:02},{place},{consent}");
    }
    Story::new("2026-03-01T00:00Z", "2026-03-31T00:00Z").set(&sequence).rows(&rows)
}

#[test]
fn what_simulate_foresees_is_what_a_rehearsal_sends() {
    let mut seen = 0;
    for seed in 0..24 {
        let story = random(seed);
        let foreseen = foresee(story.plan()).unwrap();
        assert!(!foreseen.cut);
        let going = foreseen.forecasts.iter().filter_map(|forecast| match &forecast.outcome {
            Foreseen::Goes { to, rendered, .. } => {
                let second = forecast.at.as_millis() / 1000;
                Some((
                    second,
                    forecast.external_id.clone(),
                    forecast.step.to_string(),
                    to.to_e164(),
                    rendered.text.clone(),
                ))
            }
            _ => None,
        });
        let going: Vec<_> = going.collect();
        let told = story.tell();
        let went = told.sent().into_iter().filter_map(|(at, sent)| {
            let second = at.as_millis() / 1000;
            Some((second, sent.obligation.clone()?, sent.step.clone()?, sent.to.clone(), sent.text.clone()))
        });
        let went: Vec<_> = went.collect();
        assert_eq!(going, went, "seed {seed}");
        seen += went.len();
    }
    assert!(seen > 60, "{seen} texts say something");
}
