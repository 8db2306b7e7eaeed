//! The pages of the reminder side over plain HTTP and a real daemon: who sees and who may change, forms and what
//! they come to, hostile names, uploads.

use std::time::Duration;

use nudged::clock::Clock;
use nudged::http::auth::Scope;
use reqwest::Method;
use reqwest::header::LOCATION;

use crate::imports::cases;
use crate::login::{Visitor, status};
use crate::seeds::{load, token};
use crate::support::{World, until};

const HOSTILE: &str = "<script>alert(1)</script>\"><img src=x onerror=alert(1)>\u{202e}eman";
const PAGES: [&str; 8] = [
    "/obligations",
    "/obligations/new",
    "/tasks",
    "/contacts",
    "/subscriptions",
    "/imports",
    "/templates",
    "/sequences",
];

pub struct Office {
    pub world: World,
    pub clerk: Visitor,
    key: String,
}

impl Office {
    /// A daemon set up as shipped, and somebody who may change the reminder side.
    pub async fn open() -> Office {
        let world = World::start_still("").await;
        // The days are the test's own, and time passes in them.
        let clock = world.clock.clone();
        tokio::spawn(async move {
            loop {
                Clock::system().sleep(Duration::from_millis(5)).await;
                clock.advance(Duration::from_millis(20));
            }
        });
        let token = token(&world).await;
        load(&world, &token).await;
        let clerk = Visitor::signed_in_at(world.address(), &token).await;
        let key = clerk.key().await;
        Office { world, clerk, key }
    }

    /// A form of the clerk's: where it leads.
    pub async fn fill(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let fields = [&[("key", self.key.as_str())], fields].concat();
        let answer = self.clerk.post(path, &fields).send().await.unwrap();
        let status = answer.status().as_u16();
        let to = answer.headers().get(LOCATION).map(|to| to.to_str().unwrap().to_owned());
        to.unwrap_or_else(|| panic!("{path} answered {status}"))
    }

    async fn refused(&self, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let fields = [&[("key", self.key.as_str())], fields].concat();
        let answer = self.clerk.post(path, &fields).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// A case by its form; the page of its obligation.
    pub async fn case(&self, fields: &[(&str, &str)]) -> String {
        self.fill("/page/obligations", &[&CASE, fields].concat()).await
    }

    async fn has(&self, path: &str, what: &str) -> String {
        let look = async || Some(self.clerk.page(path).await).filter(|page| page.contains(what));
        until(&self.world.clock, &format!("{path} has {what}"), look).await
    }

    async fn upload(&self, key: &str, csv: &str) -> reqwest::Response {
        let body = format!(
            "--x\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\n{key}\r\n--x\r\nContent-Disposition: \
             form-data; name=\"file\"; filename=\"cases.csv\"\r\nContent-Type: text/csv\r\n\r\n{csv}\r\n--x--\r\n"
        );
        let request = self.clerk.request(Method::POST, "/page/imports").body(body);
        request.header("content-type", "multipart/form-data; boundary=x").send().await.unwrap()
    }
}

/// What every new case has; the day is after [`crate::support::START`].
const CASE: [(&str, &str); 8] = [
    ("creditor", "acme"),
    ("amount", "120.50"),
    ("currency", "EUR"),
    ("due_date", "2026-12-20"),
    ("country", "DE"),
    ("language", "de"),
    ("consent", "yes"),
    ("consent_source", "form 7"),
];

const ANNA: [(&str, &str); 4] =
    [("external_id", "INV-1"), ("contact", "C-1"), ("phone", "+49 151 12345678"), ("first_name", "Anna")];

#[tokio::test(flavor = "multi_thread")]
async fn a_new_case_shows_its_next_step_and_its_payment_ends_it() {
    let office = Office::open().await;
    let path = office.case(&ANNA).await;
    let page = office.has(&path, "goes next.").await;
    for shown in ["INV-1", "Anna", "120.50 EUR", "2026-12-20", "+4915112345678", "Europe/Berlin"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    let once = page.split_once("name=\"once\" value=\"").unwrap().1.split_once('"').unwrap().0;
    let payment = [("amount", "20,50"), ("once", once)];
    for _ in 0..2 {
        assert_eq!(office.fill(&format!("/page{path}/pay"), &payment).await, path, "twice is once");
    }
    office.has(&path, "100.00 EUR").await;
    office.fill(&format!("/page{path}/pay"), &[("amount", "100"), ("reference", "bank 7")]).await;
    let page = office.has(&path, "Ended: paid.").await;
    assert!(page.contains("0.00 EUR is left") && page.contains("bank 7"), "{page}");
    assert!(!page.contains("Record a payment"), "there is nothing left to pay");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_say_of_an_obligation_is_done_and_shown() {
    let office = Office::open().await;
    let path = office.case(&ANNA).await;
    let form = |what: &str| format!("/page{path}/{what}");
    office.fill(&form("promise"), &[("date", "2026-12-01")]).await;
    office.has(&path, "Paused: promise.").await;
    office.fill(&form("resume"), &[]).await;
    office.has(&path, "goes next.").await;
    office.fill(&form("pause"), &[("reason", "hardship"), ("until", "2026-12-02")]).await;
    let page = office.has(&path, "Paused: hardship.").await;
    assert!(page.contains("It goes on by itself then."), "{page}");
    office.fill(&form("move"), &[("date", "2027-01-15")]).await;
    office.has(&path, "Due date moved from 2026-12-20 to 2027-01-15").await;
    office.fill(&form("dispute"), &[("reason", "never ordered it")]).await;
    let page = office.has(&path, "Open tasks").await;
    assert!(page.contains("never ordered it") && page.contains("disputed"), "{page}");
    office.fill(&form("status"), &[("to", "handed_over")]).await;
    office.has(&path, "Ended: handed over.").await;
    assert_eq!(office.refused(&form("promise"), &[("date", "2026-12-05")]).await.0, 409);
    assert_eq!(office.refused(&form("pay"), &[("amount", "lots")]).await.0, 422);
    assert_eq!(office.refused(&form("forgive"), &[]).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_with_faults_comes_back_as_it_was_filled_in() {
    let office = Office::open().await;
    let wrong = [("external_id", "INV-1"), ("amount", "12.345"), ("currency", "EUR"), ("first_name", "Änne")];
    let (status, page) = office.refused("/page/obligations", &wrong).await;
    assert_eq!(status, 422);
    for shown in ["value=\"12.345\"", "value=\"Änne\"", "id=\"amount-fault\"", "Nothing was saved."] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    office.case(&ANNA).await;
    let (status, page) = office.refused("/page/obligations", &[&CASE[..], &ANNA].concat()).await;
    assert!(status == 422 && page.contains("is there already"), "{page}");
    let known = [
        ("external_id", "INV-2"),
        ("contact", "C-1"),
        ("creditor", "acme"),
        ("amount", "1"),
        ("currency", "EUR"),
        ("due_date", "2026-12-20"),
    ];
    office.fill("/page/obligations", &known).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn obligations_are_found_by_status_creditor_id_and_number_and_sums_stay_apart() {
    let office = Office::open().await;
    office.case(&ANNA).await;
    office.case(&[("external_id", "INV-2"), ("contact", "C-2"), ("phone", "+4915100000002")]).await;
    let yen = [
        ("external_id", "INV-3"),
        ("contact", "C-1"),
        ("creditor", "acme"),
        ("amount", "700"),
        ("currency", "JPY"),
        ("due_date", "2026-12-20"),
    ];
    office.fill("/page/obligations", &yen).await;
    let page = office.has("/obligations", "INV-3").await;
    assert!(page.contains("<strong>241.00 EUR</strong>, <strong>700 JPY</strong>"), "{page}");
    for (query, found, missed) in [
        ("q=INV-2", "INV-2", "INV-1<"),
        ("q=C-2", "INV-2", "INV-1<"),
        ("q=%2B49+151+12345678", "INV-3", "INV-2<"),
        ("status=open&creditor=acme", "INV-1", "None here"),
        ("status=paid", "None here", "INV-1<"),
    ] {
        let page = office.clerk.page(&format!("/obligations?{query}")).await;
        assert!(page.contains(found) && !page.contains(missed), "{query}: {page}");
    }
    for query in ["status=lost", "before=x", "contact=7", "token=x"] {
        let path = format!("/obligations?{query}");
        assert_eq!(status(office.clerk.request(Method::GET, &path)).await, 422, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_are_text_on_every_page() {
    let office = Office::open().await;
    let hostile = [
        ("external_id", "<b>INV</b>"),
        ("contact", "<i>C</i>"),
        ("phone", "+4915112345678"),
        ("first_name", HOSTILE),
        ("last_name", "{{ frame.form_key }}"),
        ("description", HOSTILE),
    ];
    let path = office.case(&hostile).await;
    office.fill(&format!("/page{path}/dispute"), &[("reason", HOSTILE)]).await;
    office.has(&path, "Open tasks").await;
    let task = office.clerk.page("/tasks").await;
    let task = task.split_once("href=\"/tasks/tsk_").unwrap().1.split_once('"').unwrap().0.to_owned();
    let task = format!("/tasks/tsk_{task}");
    for at in [path.as_str(), "/obligations", "/contacts", "/tasks", &task] {
        let page = office.clerk.page(at).await;
        assert!(page.contains("&#60;img src=x onerror") || page.contains("&#60;b&#62;INV"), "{at}: {page}");
        assert!(
            !page.contains("<script>") && !page.contains("<img") && !page.contains("<b>"),
            "{at}: {page}"
        );
        assert!(
            !page.contains('\u{202e}') && !page.contains(" style=") && !page.contains(" onclick="),
            "{at}"
        );
    }
    assert!(office.clerk.page(&path).await.contains("{{ frame.form_key }}"), "nothing is expanded twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_only_read_sees_all_and_changes_nothing() {
    let office = Office::open().await;
    let path = office.case(&ANNA).await;
    office.fill(&format!("/page{path}/dispute"), &[("reason", "no")]).await;
    let token = office.world.token_with(&[Scope::Read]).await;
    let reader = Visitor::signed_in_at(office.world.address(), &token).await;
    let key = reader.key().await;
    let forms = |page: &str| page.matches("method=\"post\"").count();
    for at in
        PAGES.into_iter().chain([path.as_str(), "/templates/due/en", "/sequences/standard", "/creditors"])
    {
        let page = reader.page(at).await;
        let allowed = if at == "/templates/due/en" { 2 } else { 1 };
        assert!(page.contains("Sign out"), "{at}: {page}");
        assert_eq!(forms(&page), allowed, "{at}: only signing out, and a form without a button");
    }
    for what in ["pay", "promise", "pause", "exit", "status"] {
        let request = reader.post(&format!("/page{path}/{what}"), &[("key", &key), ("amount", "1")]);
        assert_eq!(status(request).await, 403, "{what}");
    }
    for at in ["/page/obligations", "/page/templates", "/page/creditors"] {
        assert_eq!(status(reader.post(at, &[("key", &key)])).await, 403, "{at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_key_of_the_session_no_form_is_taken_and_without_a_session_no_page() {
    let office = Office::open().await;
    let path = office.case(&ANNA).await;
    for at in [format!("/page{path}/pay"), "/page/obligations".into(), "/page/templates".into()] {
        for fields in [&[("amount", "1"), ("once", "p")][..], &[("key", "0"), ("amount", "1"), ("once", "p")]]
        {
            assert_eq!(status(office.clerk.post(&at, fields)).await, 403, "{at}");
        }
    }
    assert_eq!(office.upload("0", &cases(1)).await.status(), 403);
    assert!(office.clerk.page("/imports").await.contains("None yet."), "nothing of it is kept");
    assert!(!office.clerk.page(&path).await.contains("Paid 1.00"));
    let nobody = reqwest::Client::builder().no_proxy().build().unwrap();
    for at in PAGES.into_iter().chain([path.as_str()]) {
        let url = format!("http://{}{at}", office.world.address());
        let answer = nobody.get(url).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 401, "{at}");
        let page = answer.text().await.unwrap();
        assert!(page.contains("Sign in") && !page.contains("INV-1") && !page.contains("New case"), "{at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_assigned_and_done_and_an_old_form_is_refused() {
    let office = Office::open().await;
    let path = office.case(&ANNA).await;
    office.fill(&format!("/page{path}/dispute"), &[("reason", "never ordered")]).await;
    let page = office.has("/tasks", "never ordered").await;
    let id = page.split_once("href=\"/tasks/tsk_").unwrap().1.split_once('"').unwrap().0.to_owned();
    let task = format!("/tasks/tsk_{id}");
    let form = |what: &str| format!("/page{task}/{what}");
    office.fill(&form("assign"), &[("version", "1"), ("assignee", "Frau Klein")]).await;
    office.has("/tasks?state=assigned", "Frau Klein").await;
    assert_eq!(office.refused(&form("done"), &[("version", "1"), ("outcome", "resume")]).await.0, 409);
    assert_eq!(office.refused(&form("done"), &[("version", "2"), ("outcome", "extend")]).await.0, 422);
    let extend = [("version", "2"), ("outcome", "extend"), ("due_date", "2027-02-01")];
    office.fill(&form("done"), &extend).await;
    office.has(&task, "Done: extend by").await;
    assert!(office.clerk.page("/tasks").await.contains("None here."));
    office.has("/tasks?state=done", "extend by").await;
    office.has(&path, "2027-02-01").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_tried_then_committed_by_a_button() {
    let office = Office::open().await;
    let csv = format!("{}BAD,acme,0151,1,EUR,2026-12-20,<i>x</i>,de,DE,,,\n", cases(2));
    let answer = office.upload(&office.key, &csv).await;
    assert_eq!(answer.status(), 303);
    let path = answer.headers()[LOCATION].to_str().unwrap().to_owned();
    let page = office.clerk.page(&path).await;
    assert!(page.contains("Commit 2 rows") && page.contains("<td class=\"n\">4</td>"), "{page}");
    assert!(office.clerk.page("/obligations").await.contains("None here."), "a dry run changes nothing");
    office.fill(&format!("/page{path}/commit"), &[]).await;
    let page = office.has(&path, "What was done").await;
    assert!(!page.contains("Commit 2 rows"), "{page}");
    office.has("/obligations", "INV-1").await;
    office.has("/imports", "committed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_previewed_without_being_saved_and_saved_as_its_next_version() {
    let office = Office::open().await;
    let page = office.clerk.page("/templates/due/en").await;
    assert!(page.contains("version 1") && page.contains("Stadtwerke Neustadt"), "{page}");
    let body =
        "{{ creditor }}: {{ amount }} for {{ description }} is due on {{ due_date }}. Call {{ phone }}";
    let fields = |body, what| {
        [
            ("template", "due"),
            ("language", "en"),
            ("class", "reminder"),
            ("version", "1"),
            ("body", body),
            ("do", what),
        ]
    };
    let (status, page) = office.refused("/page/templates", &fields(body, "preview")).await;
    assert!(
        status == 200 && page.contains("nothing is saved yet") && page.contains("RG 2026-0412"),
        "{page}"
    );
    assert!(office.clerk.page("/templates/due/en").await.contains("version 1"));
    let (status, page) = office.refused("/page/templates", &fields("{% for x in y %}", "save")).await;
    assert!(status == 422 && page.contains("Nothing was saved."), "{page}");
    assert_eq!(office.fill("/page/templates", &fields(body, "save")).await, "/templates/due/en");
    office.has("/templates/due/en", "version 2").await;
    assert_eq!(office.refused("/page/templates", &fields(body, "save")).await.0, 409, "an old form");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_tells_what_goes_when_for_a_due_date_and_for_an_obligation() {
    let office = Office::open().await;
    let page = office.clerk.page("/sequences/standard?due=2026-12-20&creditor=acme&language=en").await;
    assert!(
        page.contains("Europe/Berlin") && page.contains("Acme GmbH") && page.contains("20 Dec 2026"),
        "{page}"
    );
    let path = office.case(&ANNA).await;
    let id = path.rsplit_once('/').unwrap().1;
    let page = office.clerk.page(&format!("/sequences/standard?obligation={id}")).await;
    assert!(page.contains("It goes to +4915112345678") && page.contains("120,50"), "{page}");
    assert_eq!(status(office.clerk.request(Method::GET, "/sequences/none")).await, 404);
    assert_eq!(status(office.clerk.request(Method::GET, "/sequences/standard?due=soon")).await, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creditor_is_set_up_by_form_once() {
    let office = Office::open().await;
    let fields =
        [("creditor_key", "solo"), ("name", "Solo & Söhne"), ("sender_role", "first_party"), ("packs", "de")];
    office.fill("/page/creditors", &fields).await;
    office.has("/creditors", "Solo &#38; Söhne").await;
    assert_eq!(office.refused("/page/creditors", &fields).await.0, 422, "it is there");
    assert_eq!(office.refused("/page/creditors", &[("creditor_key", "x y")]).await.0, 422);
}
