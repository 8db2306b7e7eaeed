//! Every rule that a shipped pack carries, by the name of the law it comes from.

use super::*;

#[test]
fn base_is_8_to_20_and_no_sunday() {
    let base = world(alone("base"), "Europe/Berlin");
    assert_eq!(base.at("2026-03-10T06:59:59Z").then(), Then::Wait(at("2026-03-10T07:00:00Z")));
    assert!(base.at("2026-03-10T07:00:00Z").judge().is_ok());
    assert!(base.at("2026-03-10T18:55:00Z").judge().is_ok());
    let evening = base.at("2026-03-10T19:00:00Z");
    assert_eq!(evening.refusal(), "hours base hours");
    assert_eq!(evening.then(), Then::Wait(at("2026-03-11T07:00:00Z")));
    let saturday = base.at("2026-03-14T19:00:00Z");
    assert_eq!(saturday.then(), Then::Wait(at("2026-03-16T07:00:00Z")));
}

#[test]
fn base_is_1_a_day_2_in_7_days_and_6_in_30() {
    let base = world(alone("base"), "Europe/Berlin");
    let one = base.clone().sent(&["2026-03-10T09:00:00Z"]);
    assert_eq!(
        (one.refusal(), one.then()),
        ("caps base 1/1d".to_owned(), Then::Wait(at("2026-03-11T07:00:00Z")))
    );
    let two = base.clone().sent(&["2026-03-04T18:00:00Z", "2026-03-05T18:00:00Z"]);
    assert_eq!(two.refusal(), "caps base 2/7d");
    assert_eq!(two.then(), Then::Wait(at("2026-03-11T18:00:00Z")));
    let days = ["02-12", "02-13", "02-20", "02-21", "02-28", "03-02"];
    let six = base.sent(&days.map(|day| format!("2026-{day}T12:00:00Z")).each_ref().map(String::as_str));
    assert_eq!(six.refusal(), "caps base 6/30d");
    assert_eq!(six.then(), Then::Wait(at("2026-03-14T12:00:00Z")));
}

#[test]
fn base_says_how_to_opt_out_in_the_first_and_every_third() {
    let base = alone("base");
    assert_eq!((1..=6).filter(|&n| base.needs_footer(n)).collect::<Vec<_>>(), [1, 3, 6]);
}

#[test]
fn reg_f_1006_6_b_1_no_text_before_8_or_after_21_at_the_consumers_place() {
    let fdcpa = world(alone("us-fdcpa"), "America/New_York").consented("2026-03-01T00:00:00Z");
    assert_eq!(fdcpa.at("2026-03-10T11:59:00Z").refusal(), "hours us-fdcpa hours");
    assert!(fdcpa.at("2026-03-10T12:00:00Z").judge().is_ok());
    assert_eq!(fdcpa.at("2026-03-11T01:00:00Z").refusal(), "hours us-fdcpa hours");
    assert_eq!(fdcpa.at("2026-03-10T12:00:00Z").until(), at("2026-03-11T01:00:00Z"));
}

#[test]
fn reg_f_comment_6_b_1_i_only_times_good_in_all_places() {
    let mut both = world(alone("us-fdcpa"), "America/New_York").consented("2026-03-01T00:00:00Z");
    both.zones = zones(&["America/New_York", "America/Los_Angeles"]);
    assert_eq!(
        both.at("2026-03-10T14:59:00Z").then(),
        Then::Wait(at("2026-03-10T15:00:00Z")),
        "11:00 Eastern"
    );
    assert_eq!(both.at("2026-03-10T15:00:00Z").until(), at("2026-03-11T01:00:00Z"), "21:00 Eastern");
}

#[test]
fn reg_f_1006_6_b_2_no_text_to_whoever_has_an_attorney() {
    let world = World { has_attorney: true, ..collector().consented("2026-03-01T00:00:00Z") };
    assert_eq!(world.refusal(), "hold us-fdcpa attorney");
    assert!(World { has_attorney: true, ..berlin() }.judge().is_ok(), "no pack of the place says so");
}

#[test]
fn reg_f_1006_6_d_5_consent_is_proven_and_fresh_within_60_days() {
    assert_eq!(collector().refusal(), "consent us-fdcpa consent");
    let mut bare = collector();
    bare.standing.add(&consent_event(ConsentKind::Imported, "2026-03-01T00:00:00Z", None));
    assert_eq!(bare.refusal(), "consent us-fdcpa proof");
    let old = collector().consented("2026-01-09T15:59:59Z");
    assert_eq!(old.refusal(), "consent us-fdcpa basis_age");
    assert!(collector().consented("2026-01-09T16:00:00Z").judge().is_ok());
    let texted = World { last_inbound: Some(at("2026-02-01T00:00:00Z")), ..old.clone() };
    assert!(texted.judge().is_ok(), "a text from the person renews it");
    let mut checked = old;
    checked.standing.add(&consent_event(ConsentKind::Checked, "2026-02-01T00:00:00Z", None));
    assert!(checked.judge().is_ok(), "a check of the number renews it");
    let only_texted = World { last_inbound: Some(at("2026-03-09T00:00:00Z")), ..collector() };
    assert_eq!(only_texted.refusal(), "consent us-fdcpa consent");
}

#[test]
fn reg_f_1006_6_e_every_text_says_how_to_opt_out() {
    assert!((1..=9).all(|number| collector().rules.needs_footer(number)));
}

#[test]
fn reg_f_1006_14_a_no_more_than_1_a_day_and_2_in_7_days() {
    let caps: Vec<String> = alone("us-fdcpa").caps().map(|(_, cap)| cap.to_string()).collect();
    assert_eq!(caps, ["1/1d", "2/7d"]);
}

#[test]
fn reg_f_1006_18_e_the_first_text_discloses_more_than_later_ones_and_in_its_own_language() {
    let rules = collector().rules;
    let say = |language: &str, number| rules.disclosures(&Language::parse(language).unwrap(), number);
    let first = say("en-US", 1).unwrap().concat();
    assert!(first.contains("attempt to collect a debt") && first.contains("used for that purpose"));
    assert_eq!(say("en", 2).unwrap(), ["This is from a debt collector."]);
    assert!(say("es", 2).unwrap()[0].contains("cobrador"));
    let breach = say("pl", 2).unwrap_err();
    assert_eq!((breach.pack.as_str(), breach.rule.to_string().as_str()), ("us-fdcpa", "disclosure"));
    assert_eq!(rules.demands(Duty::OwnLanguage).map(Key::as_str), Some("us-fdcpa"));
    assert_eq!(berlin().rules.disclosures(&Language::parse("de").unwrap(), 1).unwrap(), [""; 0]);
}

#[test]
fn reg_f_1006_100_evidence_is_kept_3_years() {
    assert_eq!(collector().rules.retention().map(|days| days.get()), Some(1_096));
}

#[test]
fn a_text_without_its_disclosure_needs_a_person() {
    let world = collector();
    let breach = world.rules.disclosures(&Language::parse("pl").unwrap(), 1).unwrap_err();
    let refusal = disclosure(&breach);
    assert_eq!(refusal.to_string(), "consent us-fdcpa disclosure");
    assert_eq!(refusal.then, Then::NeedsPerson(kind::RENDER));
    assert_eq!((never().to_string(), never().then), ("sequence not_enrolled".to_owned(), Then::Stay));
}

#[test]
fn carriers_refuse_collectors_on_a2p_and_toll_free_routes() {
    let free = collector().consented("2026-03-01T00:00:00Z");
    for class in ["us_a2p", "us_toll_free"] {
        let world = World { route_classes: vec!["us_p2p", class], ..free.clone() };
        assert_eq!(world.refusal(), "route us-fdcpa route");
    }
    assert!(World { route_classes: vec!["us_p2p"], ..free }.judge().is_ok());
    let mut own = world(rules(SenderRole::FirstParty, "US", Some("NY")), "America/New_York");
    own.route_classes = vec!["us_a2p"];
    assert!(own.consented("2026-03-01T00:00:00Z").judge().is_ok(), "a firm's own claims may");
}

#[test]
fn us_first_party_wants_a_yes_and_the_opt_out_in_every_text() {
    let own = world(rules(SenderRole::FirstParty, "US", Some("NY")), "America/New_York");
    assert_eq!(own.refusal(), "consent us-first-party consent");
    let mut bare = own.clone();
    bare.standing.add(&consent_event(ConsentKind::Imported, "2020-03-01T00:00:00Z", None));
    assert!(bare.judge().is_ok(), "it asks for no proof and no age");
    assert!((1..=9).all(|number| own.rules.needs_footer(number)));
    let alone = world(alone("us-first-party"), "America/New_York").consented("2026-03-01T00:00:00Z");
    assert_eq!(alone.until(), at("2026-03-11T01:00:00Z"), "8-21 by itself");
}

#[test]
fn florida_559_72_17_none_from_21_to_8_and_nothing_arrives_later() {
    let florida = world(alone("us-fl"), "America/New_York");
    assert_eq!(florida.until(), at("2026-03-11T01:00:00Z"));
    assert_eq!(florida.at("2026-03-11T01:00:00Z").refusal(), "hours us-fl hours");
    let pack = Pack { hours: None, ..(*catalog()["us-fl"]).clone() };
    let arrival = world(Rules::of(vec![Arc::new(pack)]), "America/New_York");
    assert_eq!(arrival.until(), at("2026-03-11T01:00:00Z"), "validity ends at 21:00 whatever the hours are");
    assert_eq!(arrival.at("2026-03-11T01:00:00Z").refusal(), "hours us-fl validity_ends");
    let both = world(rules(SenderRole::FirstParty, "US", Some("FL")), "America/New_York");
    assert_eq!(
        both.consented("2026-03-01T00:00:00Z").until(),
        at("2026-03-11T00:00:00Z"),
        "base is narrower"
    );
}

#[test]
fn massachusetts_940_cmr_7_04_1_f_2_in_7_days_over_all_creditors_also_for_their_own_claims() {
    let own = world(rules(SenderRole::FirstParty, "US", Some("MA")), "America/New_York");
    assert!(own.rules.packs().any(|pack| pack.as_str() == "us-ma"));
    let alone = world(alone("us-ma"), "America/New_York");
    let two = alone.sent(&["2026-03-04T17:00:00Z", "2026-03-10T15:00:00Z"]);
    assert_eq!(
        (two.refusal(), two.then()),
        ("caps us-ma 2/7d".to_owned(), Then::Wait(at("2026-03-11T17:00:00Z")))
    );
}

#[test]
fn massachusetts_940_cmr_7_05_3_e_8_to_21() {
    let world = world(alone("us-ma"), "America/New_York");
    assert_eq!(world.at("2026-03-10T11:59:00Z").refusal(), "hours us-ma hours");
    assert_eq!(world.until(), at("2026-03-11T01:00:00Z"));
}

#[test]
fn washington_rcw_19_16_3_a_week_and_7_30_to_21() {
    let washington = world(alone("us-wa"), "America/Los_Angeles");
    assert_eq!(washington.at("2026-03-10T14:29:00Z").refusal(), "hours us-wa hours");
    assert_eq!(washington.at("2026-03-10T14:30:00Z").until(), at("2026-03-11T04:00:00Z"));
    let three = ["2026-03-04T17:00:00Z", "2026-03-06T17:00:00Z", "2026-03-08T17:00:00Z"];
    let three = washington.sent(&three);
    assert_eq!(
        (three.refusal(), three.then()),
        ("caps us-wa 3/7d".to_owned(), Then::Wait(at("2026-03-11T17:00:00Z")))
    );
}

#[test]
fn conc_7_9_no_unreasonable_times_and_wishes_are_heeded() {
    let mut london = world(rules(SenderRole::FirstParty, "GB", None), "Europe/London");
    assert!(london.rules.packs().any(|pack| pack.as_str() == "uk-conc"));
    assert_eq!(london.at("2026-04-03T12:00:00Z").refusal(), "hours uk-conc holiday");
    london.wishes = Some(WeekHours::wish(Some(Time::constant(18, 0, 0, 0)), None, &[]).unwrap());
    assert_eq!(
        (london.refusal(), london.then()),
        ("wishes wishes".to_owned(), Then::Wait(at("2026-03-10T18:00:00Z")))
    );
}

#[test]
fn germany_is_closed_on_sundays_and_holidays_and_keeps_names() {
    let good_friday = berlin().at("2026-04-03T10:00:00Z");
    assert_eq!(good_friday.refusal(), "hours de holiday");
    assert_eq!(good_friday.then(), Then::Wait(at("2026-04-04T06:00:00Z")));
    let saturday = berlin().at("2026-04-04T18:30:00Z");
    assert_eq!(saturday.then(), Then::Wait(at("2026-04-07T06:00:00Z")), "over Sunday and Easter Monday");
    assert_eq!(berlin().rules.demands(Duty::KeepNames).map(Key::as_str), Some("de"));
    let vietnam = world(rules(SenderRole::FirstParty, "VN", None), "Asia/Ho_Chi_Minh");
    assert!(vietnam.at("2026-04-03T05:00:00Z").judge().is_ok(), "base knows no holidays");
}

#[test]
fn rdg_13a_collectors_write_a_letter_first() {
    let collector = world(rules(SenderRole::ThirdParty, "DE", None), "Europe/Berlin");
    assert_eq!(collector.refusal(), "consent de-inkasso initial_notice");
    assert_eq!(collector.then(), Then::NeedsPerson(kind::CONSENT));
    let noticed = World { initial_notice: Some(at("2026-03-01T00:00:00Z")), ..collector.clone() };
    assert!(noticed.judge().is_ok());
    let announced = World { initial_notice: Some(at("2026-03-11T00:00:00Z")), ..collector };
    assert_eq!(announced.refusal(), "consent de-inkasso initial_notice", "a letter of tomorrow");
}

#[test]
fn gdpr_6_1_b_and_f_european_reminders_need_no_consent() {
    for (country, zone, pack) in
        [("FR", "Europe/Paris", "eu"), ("IT", "Europe/Rome", "it"), ("DE", "Europe/Berlin", "de")]
    {
        let world = world(rules(SenderRole::FirstParty, country, None), zone);
        assert!(world.rules.packs().any(|own| own.as_str() == pack));
        assert!(world.rules.packs().any(|own| own.as_str() == "eu"));
        assert!(world.judge().is_ok(), "{country}");
    }
}
