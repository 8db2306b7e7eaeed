//! `/templates`: the firm's words: what they come to for an ordinary case and for those they may go to, what is
//! doubtful about them, and a form to change them. A preview saves nothing.

use askama::Template as Page;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;

use super::entries::Entries;
use super::forms::{Two, make};
use super::words::plain;
use super::{Asked, Frame, Look, SHOWN, again, filled, in_path, look, page, told};
use crate::engine::Change;
use crate::engine::reminders::Catalog;
use crate::engine::reminders::catalog::Saved;
use crate::engine::reminders::view::{ObligationFilter, Stretch};
use crate::http::App;
use crate::http::page::forms::see;
use crate::http::page::html;
use crate::http::page::say::visible;
use crate::http::problem::Problem;
use crate::message::{Encoding, TokenName};
use crate::reminder::name::{Key, Language};
use crate::reminder::template::fields::{FieldName, Fields};
use crate::reminder::template::lint::{self, Warning};
use crate::reminder::template::{
    BadTemplate, Class, Compiled, Frame as Around, SEGMENTS_MAX, Template, Transliterate, Variant,
};

/// Two bodies of a template, each character written by number at worst.
const TEMPLATE_FORM: usize = 64 * 1024;
/// Obligations that a preview on this page looks at.
const AUDIENCE: usize = 1_000;
const WHOLE: usize = 4_000;
const CLASSES: [Class; 6] =
    [Class::Reminder, Class::Dunning, Class::Confirmation, Class::Verify, Class::Help, Class::OptoutConfirm];
const LEVELS: [Transliterate; 3] = [Transliterate::Off, Transliterate::Safe, Transliterate::Full];

#[derive(Page)]
#[template(path = "reminders/templates.html", config = "src/http/page/askama.toml")]
struct List {
    frame: Frame,
    here: &'static str,
    rows: Vec<Row>,
}

struct Row {
    key: String,
    class: String,
    /// Language, where it is, version, and how many things are doubtful.
    languages: Vec<(String, String, u32, usize)>,
}

#[derive(Page)]
#[template(path = "reminders/template.html", config = "src/http/page/askama.toml")]
struct One {
    frame: Frame,
    here: &'static str,
    /// `None`: it is new.
    version: Option<u32>,
    entries: Entries,
    classes: Vec<(String, bool)>,
    levels: Vec<(String, bool)>,
    menus: Vec<(String, bool)>,
    names: String,
    /// `None`: what is entered is no template.
    tried: Option<Tried>,
    is_trial: bool,
}

/// What a template comes to.
struct Tried {
    samples: Vec<Sample>,
    warnings: Vec<Doubt>,
    audience: Option<Audience>,
}

struct Sample {
    variant: &'static str,
    text: Option<String>,
    /// What it costs, or why there is none.
    figures: String,
}

struct Doubt {
    code: String,
    variant: &'static str,
    why: String,
    refuses: bool,
}

struct Audience {
    looked_at: String,
    rendered: String,
    segments: String,
    refused: Vec<(String, u32)>,
    offending: Vec<(String, u32)>,
    samples: Vec<Sample>,
    is_part: bool,
}

pub async fn list(State(app): State<App>, parts: Parts) -> Response {
    page(app, parts, &[], |look| {
        let rows = look.catalog.templates.iter().map(|(key, languages)| row(key, languages.values()));
        Ok(List { here: "/templates", rows: rows.collect(), frame: look.frame })
    })
    .await
}

fn row<'a>(key: &Key, saved: impl Iterator<Item = &'a Saved>) -> Row {
    let mut class = String::new();
    let mut languages = Vec::new();
    for saved in saved {
        let template = saved.compiled.template();
        class = said(&template.class);
        let path = format!("/templates/{}/{}", in_path(key.as_str()), in_path(template.language.as_str()));
        let doubts = lint::lint(&saved.compiled).len();
        languages.push((template.language.to_string(), path, saved.version, doubts));
    }
    Row { key: key.to_string(), class: plain(&class), languages }
}

pub async fn new(State(app): State<App>, parts: Parts) -> Response {
    let entries = Entries::with(&[("class", "reminder"), ("transliterate", "safe"), ("max_segments", "10")]);
    page(app, parts, &[], |look| one(look, entries, None, false)).await
}

pub async fn show(State(app): State<App>, path: Two, parts: Parts) -> Response {
    page(app, parts, &[], move |look| {
        let saved = find(&look.catalog, &path.0, &path.1).ok_or_else(Problem::not_found)?.clone();
        let entries = as_entered(saved.compiled.template());
        one(look, entries, Some(saved.compiled), false)
    })
    .await
}

fn find<'a>(catalog: &'a Catalog, key: &str, language: &str) -> Option<&'a Saved> {
    catalog.templates.get(key)?.get(language)
}

fn as_entered(template: &Template) -> Entries {
    let segments = template.max_segments.to_string();
    Entries::with(&[
        ("template", template.key.as_str()),
        ("language", template.language.as_str()),
        ("class", &said(&template.class)),
        ("body", &template.body),
        ("body_short", template.body_short.as_deref().unwrap_or_default()),
        ("menu", template.menu.as_ref().map_or("", Key::as_str)),
        ("transliterate", &said(&template.transliterate)),
        ("max_segments", &segments),
    ])
}

/// A word as it is written outside.
fn said(value: &impl serde::Serialize) -> String {
    let word = serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned));
    word.unwrap_or_else(|| String::from("not known"))
}

fn one(look: Look, entries: Entries, compiled: Option<Compiled>, is_trial: bool) -> Result<One, Problem> {
    let known = find(&look.catalog, entries.value("template"), entries.value("language"));
    let tried = compiled.map(|compiled| tried(&look, &compiled)).transpose()?;
    let chosen = |name: &str, word: String| {
        let is = entries.is(name, &word);
        (word, is)
    };
    let names: Vec<String> = FieldName::fixed().map(ToString::to_string).collect();
    Ok(One {
        here: "/templates",
        version: known.map(|saved| saved.version),
        classes: CLASSES.iter().map(|class| chosen("class", said(class))).collect(),
        levels: LEVELS.iter().map(|level| chosen("transliterate", said(level))).collect(),
        menus: look.catalog.menus.keys().map(|key| chosen("menu", key.to_string())).collect(),
        names: names.join(", "),
        tried,
        is_trial,
        entries,
        frame: look.frame,
    })
}

fn tried(look: &Look, compiled: &Compiled) -> Result<Tried, Problem> {
    let labels = menu(&look.catalog, compiled.template());
    let asks = compiled.template().class.asks_for_money();
    let around = Around { menu: &labels, footer: asks, ..Around::default() };
    let short = compiled.template().body_short.is_some();
    let variants = [Some(Variant::Body), short.then_some(Variant::BodyShort)];
    let sample = |variant: Variant| match compiled.render_variant(variant, &Fields::sample(), around) {
        Ok(rendered) => Sample {
            variant: name(variant),
            figures: figures(rendered.segment_count, rendered.encoding),
            text: Some(visible(&rendered.text, WHOLE)),
        },
        Err(why) => Sample { variant: name(variant), text: None, figures: format!("No text: {why}.") },
    };
    Ok(Tried {
        samples: variants.into_iter().flatten().map(sample).collect(),
        warnings: lint::lint(compiled).iter().map(doubt).collect(),
        audience: audience(look, compiled)?,
    })
}

fn menu<'a>(catalog: &'a Catalog, template: &Template) -> Vec<(u8, &'a str)> {
    let menu = template.menu.as_ref().and_then(|key| catalog.menus.get(key));
    let options = menu.map_or(&[][..], |menu| menu.options());
    options.iter().map(|option| (option.digit, option.label.as_str())).collect()
}

const fn name(variant: Variant) -> &'static str {
    match variant {
        Variant::Body => "the text",
        Variant::BodyShort => "the short text",
    }
}

fn figures(segment_count: u8, encoding: Encoding) -> String {
    let plural = if segment_count == 1 { "" } else { "s" };
    let encoding = match encoding {
        Encoding::Gsm7 => "GSM 7-bit",
        Encoding::Ucs2 => "UCS-2",
        _ => "another encoding",
    };
    format!("{segment_count} segment{plural}, {encoding}")
}

fn doubt(warning: &Warning) -> Doubt {
    Doubt {
        code: plain(&said(&warning.code)),
        variant: name(warning.variant),
        why: visible(&warning.why, SHOWN),
        refuses: warning.code.refuses(),
    }
}

/// What it comes to for those who owe now; `None`: there are none.
fn audience(look: &Look, compiled: &Compiled) -> Result<Option<Audience>, Problem> {
    let stretch = Stretch { after: None, back: true, limit: AUDIENCE };
    let told = look.view.preview(compiled, &ObligationFilter::default(), &stretch, look.now)?;
    let figures = &told.preview;
    let unset = [
        ("nobody knows whose or by which rules", told.without_situation),
        ("a pack has no disclosure in that language", told.without_disclosure),
    ];
    let refused = figures.missing.iter().map(|(field, count)| (format!("{field} is missing"), *count));
    let coded = figures.refused.iter().filter(|(code, _)| **code != "render_missing");
    let refused = refused.chain(coded.map(|(code, count)| (why(code), *count)));
    let unset = unset.into_iter().filter(|(_, count)| *count > 0).map(|(why, count)| (why.to_owned(), count));
    let sample = |sample: &crate::reminder::template::preview::Sample| Sample {
        variant: name(sample.variant),
        text: Some(visible(&sample.text, WHOLE)),
        figures: format!("{} segments, {}", sample.segment_count, sample.encoding),
    };
    let shown = |c: char| format!("{} U+{:04X}", visible(&c.to_string(), 1), u32::from(c));
    let all = figures.recipient_count + told.without_situation + told.without_disclosure;
    Ok((all > 0).then(|| Audience {
        looked_at: super::super::say::grouped(u64::from(all)),
        rendered: super::super::say::grouped(u64::from(figures.rendered_count)),
        segments: super::super::say::grouped(figures.segment_count),
        refused: refused.chain(unset).collect(),
        offending: figures.offending.iter().map(|o| (shown(o.character), o.text_count)).collect(),
        samples: figures.samples.iter().map(sample).collect(),
        is_part: told.next.is_some(),
    }))
}

/// What a code of [`crate::reminder::template::RenderError`] says.
fn why(code: &str) -> String {
    let words = match code {
        "render_wrong_kind" => "a field holds a value of another kind",
        "render_link_in_value" => "a value would make a link",
        "render_bad_link" => "the payment link may not be sent",
        "render_not_positive" => "an amount is not above zero",
        "render_bidi" => "a value holds characters that reorder the text",
        "render_value_too_long" => "a value is too long",
        "render_no_footer" => "there is no opt-out footer in its language",
        "render_too_long" => "the text takes too many segments",
        other => return plain(other.trim_start_matches("render_")),
    };
    words.to_owned()
}

/// `POST /page/templates`: saves it, or shows what it would come to.
pub async fn save(State(app): State<App>, request: Request) -> Response {
    let (signed, mut entries) = match filled(&app, request, TEMPLATE_FORM).await {
        Ok(filled) => filled,
        Err(answer) => return answer,
    };
    let compiled = entered(&mut entries);
    match keep(&app, &mut entries, compiled.as_ref(), signed.name.clone()).await {
        Ok(Some(back)) => see(&back),
        Ok(None) => match look(&app, &signed, Asked::none(), |look| one(look, entries, compiled, true)).await
        {
            Ok(page) => html(StatusCode::OK, &page),
            Err(problem) => told(&app, &signed, problem),
        },
        Err(problem) => {
            let make = |look, entries| one(look, entries, compiled, false);
            again(&app, &signed, problem, entries, make).await
        }
    }
}

/// Where the saved one is; `None`: it was only to be tried.
async fn keep(
    app: &App,
    entries: &mut Entries,
    compiled: Option<&Compiled>,
    by: TokenName,
) -> Result<Option<String>, Problem> {
    entries.check()?;
    let compiled = compiled.ok_or_else(Problem::internal)?;
    if !entries.is("do", "save") {
        return Ok(None);
    }
    if let Some(bad) = lint::lint(compiled).into_iter().find(|warning| warning.code.refuses()) {
        return Err(Problem::field("body", bad.why));
    }
    let template = compiled.template();
    let back =
        format!("/templates/{}/{}", in_path(template.key.as_str()), in_path(template.language.as_str()));
    let expect = entries.optional("version", |text| text.parse::<u32>()).or(Some(0));
    make(app, Change::Template { template: Box::new(template.clone()), expect }, by).await?;
    Ok(Some(back))
}

/// `None`: what is wrong stands in the entries.
fn entered(entries: &mut Entries) -> Option<Compiled> {
    let key = entries.required("template", Key::parse);
    let language = entries.required("language", Language::parse);
    let class = entries.required("class", |text| {
        CLASSES.into_iter().find(|class| said(class) == text).ok_or("is no class of a template")
    });
    let transliterate = entries.optional("transliterate", |text| {
        LEVELS.into_iter().find(|level| said(level) == text).ok_or("must be off, safe or full")
    });
    let menu = entries.optional("menu", Key::parse);
    let max_segments = entries.optional("max_segments", |text| text.parse::<u8>());
    // A browser sends the ends of lines as CR LF.
    let lines = |text: &str| Ok::<_, String>(text.replace("\r\n", "\n"));
    let body = entries.required("body", lines);
    let body_short = entries.optional("body_short", lines);
    let template = Template {
        key: key?,
        language: language?,
        class: class?,
        body: body?,
        body_short,
        menu,
        transliterate: transliterate.unwrap_or_default(),
        max_segments: max_segments.unwrap_or(SEGMENTS_MAX),
    };
    match Compiled::new(template) {
        Ok(compiled) if entries.faults.is_empty() => Some(compiled),
        Ok(_) => None,
        Err(bad) => {
            match &bad {
                BadTemplate::Body(fault) => entries.refuse("body", fault),
                BadTemplate::BodyShort(fault) => entries.refuse("body_short", fault),
                BadTemplate::Segments => entries.refuse("max_segments", &bad),
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_entered_again_as_it_was_saved_is_the_same_template() {
        let mut entries = Entries::with(&[
            ("template", "due"),
            ("language", "en"),
            ("class", "reminder"),
            ("body", "Pay {{ amount }}\r\nCall {{ phone }}"),
        ]);
        let compiled = entered(&mut entries).unwrap();
        assert_eq!(compiled.template().body, "Pay {{ amount }}\nCall {{ phone }}");
        let mut same = as_entered(compiled.template());
        assert_eq!(entered(&mut same).unwrap().template(), compiled.template());
    }

    #[test]
    fn a_body_that_is_no_template_is_told_at_its_field() {
        let mut entries = Entries::with(&[
            ("template", "due"),
            ("language", "en"),
            ("class", "reminder"),
            ("body", "{% for x in y %}"),
        ]);
        assert!(entered(&mut entries).is_none() && entries.fault("body").is_some());
    }
}
