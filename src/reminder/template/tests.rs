//! Rendering as a whole: hostile values, composition, budgets.

use jiff::civil::Date;
use proptest::prelude::*;

use super::*;
use crate::reminder::money::{Currency, Money};

fn template(body: &str) -> Template {
    Template {
        key: Key::parse("due").unwrap(),
        language: Language::parse("en").unwrap(),
        class: Class::Reminder,
        body: body.to_owned(),
        body_short: None,
        menu: None,
        transliterate: Transliterate::Off,
        max_segments: SEGMENTS_MAX,
    }
}

fn compiled(body: &str) -> Compiled {
    Compiled::new(template(body)).unwrap()
}

fn rendered(body: &str, fields: &Fields) -> Result<String, RenderError> {
    compiled(body).render(fields, Frame::default()).map(|rendered| rendered.text)
}

fn named(name: &str) -> Fields {
    Fields::sample().text(FieldName::FirstName, name)
}

fn eur(minor: i64) -> Field {
    Field::Money(Money::new(minor, Currency::parse("EUR").unwrap()).unwrap())
}

#[test]
fn a_text_is_made_of_its_fields() {
    let body = "Hi {{ first_name }}, {{ creditor }}: {{ amount|money('symbol') }} ({{ amount }}) due {{ due_date }}, \
                {{ due_date|date('weekday') }} {{ due_date|date('long') }}. {{ link }} ..{{ reference|last4 }}";
    assert_eq!(
        rendered(body, &Fields::sample()).unwrap(),
        "Hi Anna, Stadtwerke Neustadt: €120.50 (120.50 EUR) due 15 Mar 2026, Sunday 15 March 2026. \
         https://pay.neustadt.example/i/k3m9x2p7q4wd ..0412"
    );
}

#[test]
fn conditions_judge_values_and_leave_no_gaps() {
    let body = "A {% if days_overdue > 5 and amount >= 120.5 %}late{% elif not link %}x{% else %}soon{% endif %} B \
                {% if min_due < amount and first_name == 'Anna' and due_date < '2026-04-01' %}C{% endif %} {% if custom.x %}D{% endif %} E";
    assert_eq!(rendered(body, &Fields::sample()).unwrap(), "A late B C E");
    let early = Fields::sample().with(FieldName::DaysOverdue, Field::Number(2));
    assert_eq!(rendered(body, &early).unwrap(), "A soon B C E");
}

#[test]
fn what_is_missing_or_empty_refuses_the_text_and_is_named() {
    for empty in ["", " \n\t", "\u{200B}"] {
        let error = rendered("Hi {{ first_name }}", &named(empty)).unwrap_err();
        assert_eq!(error, RenderError::Missing { field: FieldName::FirstName });
    }
    let error = rendered("Hi {{ custom.x|upper }}", &Fields::sample()).unwrap_err();
    assert_eq!(error.to_string(), "custom.x is missing or empty");
    assert_eq!(rendered("Hi {{ custom.x|default('you')|upper }}", &Fields::sample()).unwrap(), "Hi YOU");
}

#[test]
fn a_missing_field_that_is_compared_refuses_the_text_whichever_way_the_condition_goes() {
    let error = rendered("A{% if link and custom.x > 3 %}B{% endif %}", &Fields::sample()).unwrap_err();
    assert_eq!(error.field().unwrap().to_string(), "custom.x");
}

#[test]
fn braces_in_a_value_are_never_read_again() {
    for name in ["{{ amount }}", "{{secret}}", "{% if link %}", "}}", "{%"] {
        assert_eq!(rendered("Hi {{ first_name }}", &named(name)), Err(RenderError::Braces), "{name}");
    }
    assert_eq!(rendered("Hi {{ first_name }}", &named("{other} $x p0 #1")).unwrap(), "Hi {other} $x p0 #1");
    assert_eq!(
        rendered("Hi {{ first_name }}{{ last_name }}", &named("{").text(FieldName::LastName, "{x")),
        Err(RenderError::Braces)
    );
}

#[test]
fn a_value_cannot_break_lines_or_reorder_the_text() {
    assert_eq!(rendered("Hi {{ first_name }}!", &named("An\r\nna\u{200D}\u{7}x")).unwrap(), "Hi An na x!");
    let error = rendered("Hi {{ first_name }}", &named("A\u{202E}nna")).unwrap_err();
    assert_eq!(error, RenderError::Bidi { field: FieldName::FirstName });
    let error = rendered("Hi {{ first_name }}", &named(&"a".repeat(10_240))).unwrap_err();
    assert_eq!(error, RenderError::ValueTooLong { field: FieldName::FirstName });
}

#[test]
fn a_debtor_named_like_a_link_gets_no_text() {
    for name in [
        "http://evil.example",
        "www.evil.example",
        "evil.com/x",
        "evil.com",
        "evil。com／x",
        "e\u{200B}vil.com/x",
    ] {
        let error = rendered("Hi {{ first_name }}", &named(name)).unwrap_err();
        assert_eq!(error, RenderError::LinkInValue { field: FieldName::FirstName }, "{name}");
    }
}

#[test]
fn harmless_values_cannot_make_a_link_together_or_change_one() {
    let evil = Fields::sample().text(FieldName::Company, "evil").text(FieldName::Description, "com/x");
    for body in [
        "{{ company }}.{{ description }}",
        "{{ link }}{{ company }}",
        "https://pay.a.example/{{ company }}",
        "www.{{ company }}",
        "{{ company }}.example/x",
    ] {
        let error = rendered(body, &evil).unwrap_err();
        assert_eq!(error, RenderError::LinkInValue { field: FieldName::Company }, "{body}");
    }
    assert!(rendered("{{ link }}. {{ company }}, www.a.example/help {{ description }}", &evil).is_ok());
}

#[test]
fn a_reminder_of_nothing_is_refused_and_a_receipt_that_leaves_nothing_is_not() {
    let nothing = Fields::sample().with(FieldName::Amount, eur(0));
    let refused = RenderError::NotPositive { field: FieldName::Amount };
    assert_eq!(rendered("Pay now", &nothing), Err(refused.clone()));
    let mut receipt = template("Thanks for {{ paid }}.{% if amount > 0 %} Open: {{ amount }}.{% endif %}");
    receipt.class = Class::Confirmation;
    let receipt = Compiled::new(receipt).unwrap();
    assert_eq!(receipt.render(&nothing, Frame::default()).unwrap().text, "Thanks for 60.00 EUR.");
    let nothing = nothing.with(FieldName::Paid, eur(-1));
    assert!(matches!(receipt.render(&nothing, Frame::default()), Err(RenderError::NotPositive { .. })));
}

#[test]
fn a_text_ends_with_disclosure_menu_and_footer_in_that_order() {
    let frame = Frame {
        disclosure: Some("This is an attempt to collect a debt."),
        menu: &[(1, "call me"), (2, "pay")],
        footer: true,
        spare_names: false,
    };
    let text = |body: &str| compiled(body).render(&Fields::sample(), frame).unwrap().text;
    let disclosed = "Pay\nThis is an attempt to collect a debt.";
    assert_eq!(text("Pay"), format!("{disclosed}\n1 = call me, 2 = pay\nReply STOP to opt out."));
    assert_eq!(
        text("Pay 1 = a"),
        format!("Pay 1 = a{}\n1 = call me, 2 = pay\nReply STOP to opt out.", &disclosed[3..])
    );
    assert_eq!(text("Pay. 1 = a, 2: b. STOP ends.").lines().count(), 2);
    assert_eq!(text("Pay {{ menu }}.").lines().next().unwrap(), "Pay 1 = call me, 2 = pay.");
    assert!(text("Pay UNSTOPPABLE").ends_with("\nReply STOP to opt out."));
}

#[test]
fn a_value_that_says_stop_does_not_stand_for_the_footer() {
    let frame = Frame { footer: true, ..Frame::default() };
    let text = compiled("Hi {{ first_name }}").render(&named("STOP"), frame).unwrap().text;
    assert_eq!(text, "Hi STOP\nReply STOP to opt out.");
}

#[test]
fn who_has_just_opted_out_is_not_told_how() {
    let confirmation = Template { class: Class::OptoutConfirm, ..template("Done. {{ creditor }}") };
    let frame = Frame { footer: true, ..Frame::default() };
    let text = Compiled::new(confirmation).unwrap().render(&Fields::sample(), frame).unwrap().text;
    assert_eq!(text, "Done. Stadtwerke Neustadt");
}

#[test]
fn a_language_without_a_footer_is_refused_where_one_is_due() {
    let swedish = Language::parse("sv").unwrap();
    let compiled = Compiled::new(Template { language: swedish.clone(), ..template("Hej") }).unwrap();
    let frame = Frame { footer: true, ..Frame::default() };
    let error = compiled.render(&Fields::sample(), frame).unwrap_err();
    assert_eq!(error, RenderError::NoFooter { language: swedish });
    assert!(compiled.render(&Fields::sample(), Frame::default()).is_ok());
}

#[test]
fn over_budget_the_short_body_goes_and_the_footer_stays_whole() {
    let long = format!("{} {{{{ amount }}}}", "word ".repeat(40));
    let short = Template { body_short: Some("Pay {{ amount }}".into()), max_segments: 1, ..template(&long) };
    let frame = Frame { footer: true, ..Frame::default() };
    let text = Compiled::new(short.clone()).unwrap().render(&Fields::sample(), frame).unwrap();
    assert_eq!(text.text, "Pay 120.50 EUR\nReply STOP to opt out.");
    assert_eq!((text.variant, text.segment_count, text.encoding), (Variant::BodyShort, 1, Encoding::Gsm7));
    let none = Compiled::new(Template { body_short: None, ..short.clone() }).unwrap();
    let error = none.render(&Fields::sample(), frame).unwrap_err();
    assert_eq!(error, RenderError::TooLong { segment_count: 2, limit: 1 });
    let both = Compiled::new(Template { body_short: Some(long), ..short }).unwrap();
    assert!(matches!(both.render(&Fields::sample(), frame), Err(RenderError::TooLong { .. })));
}

#[test]
fn transliteration_spares_the_link_and_names_where_asked() {
    let body = "{{ first_name }}’s żądanie {{ description|default('„x”') }} {{ link }}";
    let full = Compiled::new(Template { transliterate: Transliterate::Full, ..template(body) }).unwrap();
    let mut fields = named("Łucja");
    fields.remove(&FieldName::Description);
    let text = |spare_names| full.render(&fields, Frame { spare_names, ..Frame::default() }).unwrap();
    let link = "https://pay.neustadt.example/i/k3m9x2p7q4wd";
    assert_eq!(text(false).text, format!("Lucja's zadanie 'x' {link}"));
    assert_eq!(
        (text(true).text, text(true).encoding),
        (format!("Łucja's zadanie 'x' {link}"), Encoding::Ucs2)
    );
}

#[test]
fn tags_that_do_not_nest_and_conditions_that_are_not_whole_are_refused_at_save() {
    for body in [
        "{% if link %}x",
        "x{% endif %}",
        "{% else %}",
        "{% if link and %}x{% endif %}",
        "{% if (link %}x{% endif %}",
        "{% if %}x{% endif %}",
        "{% if link 3 %}x{% endif %}",
    ] {
        let error = Compiled::new(template(&format!("a\n{body}"))).unwrap_err();
        assert!(matches!(error, BadTemplate::Body(Fault::Syntax { line: 2, .. })), "{body}: {error}");
    }
    assert_eq!(
        Compiled::new(Template { max_segments: 11, ..template("x") }).unwrap_err(),
        BadTemplate::Segments
    );
    let short = Template { body_short: Some("{{ x }}".into()), ..template("x") };
    assert!(matches!(Compiled::new(short), Err(BadTemplate::BodyShort(_))));
}

#[test]
fn a_link_is_nothing_a_text_field_may_hold() {
    let fields = Fields::sample().with(FieldName::Description, Field::Link("https://evil.example/x".into()));
    let error = rendered("{{ description }}", &fields).unwrap_err();
    assert_eq!(error, RenderError::WrongKind { field: FieldName::Description });
}

#[test]
fn programs_and_the_store_read_the_same_template() {
    let json = r#"{"key": "due", "language": "de", "class": "optout_confirm", "body": "x", "transliterate": "full"}"#;
    let template: Template = serde_json::from_str(json).unwrap();
    assert_eq!((template.class, template.max_segments), (Class::OptoutConfirm, SEGMENTS_MAX));
    let stored = postcard::to_stdvec(&template).unwrap();
    assert_eq!(postcard::from_bytes::<Template>(&stored).unwrap(), template);
    let seed: Template = toml::from_str(&toml::to_string(&template).unwrap()).unwrap();
    assert_eq!(seed, template);
    assert!(serde_json::from_str::<Template>(&json.replace("class", "clazz")).is_err());
}

#[test]
fn a_compiled_template_may_be_shared() {
    fn shared<T: Send + Sync + Clone>(_: &T) {}
    shared(&compiled("x"));
}

#[test]
fn the_deepest_condition_that_is_let_through_is_rendered() {
    let nots = format!("{{% if {}link %}}a{{% endif %}}b", "not ".repeat(900));
    if let Ok(compiled) = Compiled::new(template(&nots)) {
        assert!(compiled.render(&Fields::sample(), Frame::default()).is_ok());
    }
    let parens = format!("{{% if {}link{} %}}a{{% endif %}}b", "(".repeat(900), ")".repeat(900));
    assert!(Compiled::new(template(&parens)).is_err(), "nested beyond what the parser follows");
    let many = "{% if link %}a{% endif %}".repeat(160);
    assert!(compiled(&many).render(&Fields::sample(), Frame::default()).is_ok());
}

/// Values as strangers might write them: pieces of links and tags, and anything at all.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "http",
        "https",
        ":",
        "/",
        "//",
        ".",
        "www",
        "evil",
        "com",
        "{{",
        "}}",
        "{",
        "}",
        "{%",
        "%}",
        "link",
        "amount",
        " ",
        "\n",
        "\u{200B}",
        "\u{202E}",
        "。",
        "／",
        "@",
        "?",
        "#",
        "|",
        "p0",
        "\u{E000}",
        "\u{E101}",
        "\u{E001}",
        "javascript:",
        "…",
        "Ａ",
    ]);
    prop_oneof![
        prop::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat()),
        any::<String>(),
        "[a-z.:/@]{0,20}",
    ]
}

proptest! {
    #[test]
    fn no_value_brings_a_link_or_a_tag_into_effect(name in hostile(), company in hostile(), text in hostile(), full in any::<bool>()) {
        let level = if full { Transliterate::Full } else { Transliterate::Off };
        let body = "Dear {{ first_name|default('you') }} {{ company|default('-') }},{{ description|upper|default('-') }}: {{ link }} end";
        let compiled = Compiled::new(Template { transliterate: level, ..template(body) }).unwrap();
        let fields = Fields::sample().text(FieldName::FirstName, &name).text(FieldName::Company, &company).text(FieldName::Description, &text);
        let Ok(rendered) = compiled.render(&fields, Frame::default()) else { return Ok(()) };
        let text = rendered.text.to_lowercase();
        prop_assert_eq!(text.matches("://").count(), 1, "{}", text);
        prop_assert!(!text.contains("www.") && !text.contains("evil.com/") && !text.contains(" javascript:e"), "{}", text);
        let tag = ["{{", "}}", "{%", "%}"].iter().any(|braces| text.contains(braces));
        let hidden = text.contains(['\n', '\u{202E}', '\u{200B}', '\u{E000}', '\u{E001}', '\u{E101}']);
        prop_assert!(!tag && !hidden, "{}", text);
        let link = " https://pay.neustadt.example/i/k3m9x2p7q4wd end";
        prop_assert!(rendered.text.starts_with("Dear ") && rendered.text.ends_with(link), "{}", text);
    }

    #[test]
    fn no_source_makes_the_check_panic(body in "[a-z{}%|()\"'<>=. \\n#-]{0,80}") {
        let body = body.replace("a", "amount").replace("l", "link").replace("i", "if ").replace("e", "{% endif %}");
        if let Ok(compiled) = Compiled::new(template(&body)) {
            // Either answer will do: that it comes is the point.
            drop(compiled.render(&Fields::sample(), Frame::default()));
        }
    }

    #[test]
    fn dates_and_amounts_of_any_size_are_written(day in 0..20_000_i32, minor in 1..100_000_000_000_000_i64) {
        let date = Date::constant(2000, 1, 1).checked_add(jiff::Span::new().days(day)).unwrap();
        let fields = Fields::sample().with(FieldName::DueDate, Field::Date(date)).with(FieldName::Amount, eur(minor));
        prop_assert!(rendered("{{ amount }} {{ due_date|date('long') }}", &fields).is_ok());
    }
}
