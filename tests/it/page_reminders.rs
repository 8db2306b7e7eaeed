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
const PAGES: [&str; 12] = [
    "/obligations",
    "/obligations/new",
    "/tasks",
    "/contacts",
    "/subscriptions",
    "/subscriptions/new",
    "/creditors",
    "/imports",
    "/templates",
    "/sequences",
    "/sequences/standard",
    "/sequences/standard?due=2026-12-20",
];
/// Pages whose text stands in a form, which has no button for whoever may only read.
const WRITTEN: [&str; 4] =
    ["/templates/due/en", "/sequences/standard/change", "/menus/standard", "/creditors/acme"];

/// Forms that need nothing of an obligation.
const CHANGES: [&str; 8] = [
    "/page/obligations",
    "/page/templates",
    "/page/creditors",
    "/page/contacts/con_0000000000001",
    "/page/subscriptions",
    "/page/subscriptions/x/end",
    "/page/sequences",
    "/page/menus",
];

pub struct Office {
    pub world: World,
    pub clerk: Visitor,
    pub token: String,
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
        Office { world, clerk, token, key }
    }

    /// A form of the clerk's: where it leads.
    pub async fn fill(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let fields = [&[("key", self.key.as_str())], fields].concat();
        let answer = self.clerk.post(path, &fields).send().await.unwrap();
        let status = answer.status().as_u16();
        let to = answer.headers().get(LOCATION).map(|to| to.to_str().unwrap().to_owned());
        to.unwrap_or_else(|| panic!("{path} answered {status}"))
    }

    /// What is answered to a form of the clerk's that leads nowhere.
    async fn refused(&self, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let fields = [&[("key", self.key.as_str())], fields].concat();
        let answer = self.clerk.post(path, &fields).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// A case by its form; the page of its obligation.
    pub async fn case(&self, fields: &[(&str, &str)]) -> String {
        self.fill("/page/obligations", &[&CASE, fields].concat()).await
    }

    /// Closes an obligation for good, asked once more.
    async fn close(&self, path: &str, to: &str, reason: &str) {
        let form = format!("/page{path}/status");
        let (_, page) = self.refused(&form, &[("to", to)]).await;
        let sure = [("to", to), ("sure", "yes"), ("version", hidden(&page, "version")), ("reason", reason)];
        self.fill(&form, &sure).await;
    }

    async fn has(&self, path: &str, what: &str) -> String {
        let look = async || Some(self.clerk.page(path).await).filter(|page| page.contains(what));
        until(&self.world.clock, &format!("{path} has {what}"), look).await
    }

    /// A file that was tried: where its result is.
    pub async fn import(&self, csv: &str) -> String {
        self.upload(&self.key, csv).await.headers()[LOCATION].to_str().unwrap().to_owned()
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
    office.close(&path, "handed_over", "to the court").await;
    let page = office.has(&path, "Ended: handed over.").await;
    assert!(page.contains("became handed over: to the court"), "{page}");
    let (status, page) = office.refused(&form("promise"), &[("date", "2026-12-05")]).await;
    assert!(status == 409 && page.contains("It was not done.") && page.contains("INV-1"), "{page}");
    assert_eq!(office.refused(&form("forgive"), &[]).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_an_obligation_that_is_refused_is_open_and_filled_in_with_the_fault_beside_its_field() {
    let office = Office::open().await;
    let path = office.case(&ANNA).await;
    let wrong = [("amount", "lots\"><b>"), ("date", "2026-12-24"), ("reference", "bank 9")];
    let (status, page) = office.refused(&format!("/page{path}/pay"), &wrong).await;
    assert_eq!(status, 422);
    for shown in [
        "<details id=\"pay\" open>",
        "value=\"lots&#34;&#62;&#60;b&#62;\"",
        "value=\"bank 9\"",
        "id=\"pay-amount-fault\"",
        "href=\"#pay-date\"",
        "has not come yet",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert!(!page.contains("<details id=\"promise\" open>"), "the others stay closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_back_is_asked_first_and_asked_again_when_it_has_changed_meanwhile() {
    let office = Office::open().await;
    let path = office.case(&ANNA).await;
    office.has(&path, "goes next.").await;
    let form = format!("/page{path}/status");
    for (to, question) in [
        ("written_off", "Write it off?"),
        ("canceled", "never owed"),
        ("handed_over", "collection or court?"),
    ] {
        let (status, page) = office.refused(&form, &[("to", to)]).await;
        assert!(status == 200 && page.contains(question) && page.contains("120.50 EUR"), "{page}");
        assert!(office.clerk.page(&path).await.contains("goes next."), "{to}: nothing is done yet");
    }
    let (_, page) = office.refused(&form, &[("to", "written_off")]).await;
    let seen = hidden(&page, "version").to_owned();
    office.fill(&format!("/page{path}/pay"), &[("amount", "20"), ("reference", "bank 1")]).await;
    let sure = [("to", "written_off"), ("sure", "yes"), ("version", &seen), ("reason", "insolvent")];
    let (status, page) = office.refused(&form, &sure).await;
    assert!(status == 409 && page.contains("100.50 EUR") && page.contains("value=\"insolvent\""), "{page}");
    office.close(&path, "written_off", "insolvent").await;
    office.has(&path, "became written off: insolvent").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_hands_over_only_when_it_is_said_twice() {
    let office = Office::open().await;
    let path = office.case(&ANNA).await;
    office.fill(&format!("/page{path}/dispute"), &[("reason", "no")]).await;
    let page = office.has("/tasks", "INV-1").await;
    let id = page.split_once("href=\"/tasks/tsk_").unwrap().1.split_once('"').unwrap().0.to_owned();
    let done = format!("/page/tasks/tsk_{id}/done");
    let wrong = [("version", "1"), ("outcome", "correct_number"), ("number", "0151")];
    let (status, page) = office.refused(&done, &wrong).await;
    assert!(status == 422 && page.contains("id=\"done-number-fault\""), "{page}");
    assert!(page.contains("value=\"0151\"") && page.contains("required checked"), "{page}");
    let over = [("version", "1"), ("outcome", "hand_over")];
    let (status, page) = office.refused(&done, &over).await;
    assert!(status == 200 && page.contains("collection or court?"), "{page}");
    assert!(office.clerk.page(&path).await.contains("Paused: dispute."), "nothing is done yet");
    office.fill(&done, &[&over[..], &[("sure", "yes")]].concat()).await;
    office.has(&path, "Ended: handed over.").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instalments_are_split_changed_and_must_come_to_the_whole() {
    let office = Office::open().await;
    let path = office.case(&ANNA).await;
    let page = office.clerk.page(&format!("{path}/plan?count=3&first=2027-01-31&every=month")).await;
    for shown in ["value=\"40.17\"", "value=\"40.16\"", "value=\"2027-02-28\"", "value=\"2027-03-31\""] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    let form = format!("/page{path}/plan");
    let two =
        |last| [("date_1", "2027-01-31"), ("amount_1", "100"), ("date_2", "2027-02-28"), ("amount_2", last)];
    let (status, page) = office.refused(&form, &two("20")).await;
    assert!(status == 422 && page.contains("must come to what is owed, 120.50 EUR"), "{page}");
    assert!(page.contains("value=\"2027-02-28\"") && page.contains("value=\"20\""), "{page}");
    let (status, page) = office.refused(&form, &[("date_1", "soon"), ("amount_1", "x")]).await;
    assert!(status == 422 && page.contains("value=\"soon\""), "{page}");
    assert!(page.contains("id=\"date_1-fault\"") && page.contains("id=\"amount_1-fault\""), "{page}");
    assert_eq!(office.fill(&form, &two("20,50")).await, path);
    let page = office.has(&path, "Paused: plan.").await;
    assert!(page.matches("to the instalment").count() == 2, "{page}");
    office.has("/obligations", "INV-1/2").await;
    let whole = [("date_1", "2027-01-31"), ("amount_1", "120,50")];
    assert_eq!(office.refused(&form, &whole).await.0, 409, "there is one");
    for wrong in ["count=0", "count=61", "every=day", "first=soon"] {
        let path = format!("{path}/plan?{wrong}");
        assert_eq!(status_of(&office, &path).await, 422, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_entered_and_ended_and_a_wrong_one_comes_back() {
    let office = Office::open().await;
    office.case(&ANNA).await;
    let fields = |account, every, day| {
        [
            ("external_id", "ABO 1/x"),
            ("account", account),
            ("creditor", "acme"),
            ("amount", "9,90"),
            ("currency", "eur"),
            ("every", every),
            ("day", day),
            ("from", "2027-06-01"),
        ]
    };
    for (account, every, day, fault) in
        [("C-9", "weekly", "", "account"), ("C-1", "weekly", "31", "day"), ("C-1", "yearly", "", "every")]
    {
        let (status, page) = office.refused("/page/subscriptions", &fields(account, every, day)).await;
        assert_eq!(status, 422, "{fault}");
        assert!(page.contains(&format!("id=\"{fault}-fault\"")), "{fault}: {page}");
        assert!(page.contains("value=\"ABO 1/x\"") && page.contains("value=\"9,90\""), "{page}");
    }
    let path = office.fill("/page/subscriptions", &fields("C-1", "monthly", "last")).await;
    assert_eq!(path, "/subscriptions/ABO%201%2Fx%40acme");
    let page = office.has(&path, "every month on its last day").await;
    assert!(page.contains("9.90 EUR") && page.contains("Acme GmbH") && page.contains("is made"), "{page}");
    let (status, page) = office.refused("/page/subscriptions", &fields("C-1", "monthly", "1")).await;
    assert!(status == 422 && page.contains("is there already"), "{page}");
    let end = format!("/page{path}/end");
    assert_eq!(office.refused(&end, &[("version", "1"), ("until", "never")]).await.0, 422);
    assert_eq!(office.refused(&end, &[("version", "7"), ("until", "2027-01-01")]).await.0, 409);
    assert_eq!(office.fill(&end, &[("version", "1"), ("until", "2027-01-01")]).await, path);
    let page = office.has(&path, "It is over: nothing more is made.").await;
    assert!(!page.contains("End the subscription"), "{page}");
    office.has("/subscriptions", "It is over.").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_is_changed_and_an_old_form_is_refused() {
    let office = Office::open().await;
    let owed = office.case(&ANNA).await;
    let page = office.has("/contacts", "/contacts/con_").await;
    let id = page.split_once("href=\"/contacts/con_").unwrap().1.split_once('"').unwrap().0.to_owned();
    let path = format!("/contacts/con_{id}");
    let page = office.clerk.page(&path).await;
    assert!(page.contains("value=\"Anna\"") && page.contains("INV-1"), "{page}");
    let fields = |from, second| {
        [
            ("version", "1"),
            ("first_name", "Änne"),
            ("language", "de"),
            ("country", "de"),
            ("timezone", "Europe/Berlin"),
            ("not_before", from),
            ("not_after", "18:00"),
            ("day_mon", "yes"),
            ("day_fri", "yes"),
            ("phone_1", "+49 151 12345678"),
            ("phone_2", second),
            ("first", "2"),
        ]
    };
    let form = format!("/page{path}");
    for (from, second, fault) in
        [("19:00", "", "not_before"), ("10:00", "0151", "phone_2"), ("ten", "", "not_before")]
    {
        let (status, page) = office.refused(&form, &fields(from, second)).await;
        assert_eq!(status, 422, "{from} {second}");
        assert!(page.contains(&format!("id=\"{fault}-fault\"")), "{fault}: {page}");
        assert!(page.contains("value=\"Änne\"") && page.contains(&format!("value=\"{from}\"")), "{page}");
    }
    assert_eq!(office.fill(&form, &fields("10:00", "+49 151 99")).await, path);
    let page = office.has(&path, "<bdi>Änne</bdi>").await;
    for shown in ["value=\"10:00\"", "value=\"+4915199\"", "name=\"day_fri\" value=\"yes\" checked"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    let page = office.clerk.page(&owed).await;
    let (first, other) = (page.find("+4915199").unwrap(), page.find("+4915112345678").unwrap());
    assert!(first < other && page.contains("named in its record"), "{page}");
    assert_eq!(office.refused(&form, &fields("10:00", "")).await.0, 409, "an old form");
    assert_eq!(status_of(&office, "/contacts/con_7").await, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creditor_is_changed_and_nobody_writes_over_what_he_has_not_seen() {
    let office = Office::open().await;
    let page = office.clerk.page("/creditors/acme").await;
    let was = hidden(&page, "was").to_owned();
    assert!(page.contains("value=\"Acme GmbH\""), "{page}");
    let fields = |name, zone| {
        [
            ("creditor_key", "acme"),
            ("was", was.as_str()),
            ("name", name),
            ("sender_role", "first_party"),
            ("timezone", zone),
        ]
    };
    let (status, page) = office.refused("/page/creditors", &fields("Acme AG", "Mars/Base")).await;
    assert!(status == 422 && page.contains("id=\"timezone-fault\""), "{page}");
    assert!(page.contains("value=\"Acme AG\"") && page.contains("value=\"Mars/Base\""), "{page}");
    office.fill("/page/creditors", &fields("Acme AG", "Europe/Vienna")).await;
    let page = office.has("/creditors", "Acme AG").await;
    assert!(page.contains("Europe/Vienna"), "{page}");
    assert_eq!(office.refused("/page/creditors", &fields("Acme Ltd", "")).await.0, 409);
}

const SEQUENCE: &str = "[[sequence]]\r\nkey = \"standard\"\r\n\r\n[[sequence.step]]\r\nid = \"one\"\r\n\
    offset = \"+1d\"\r\nat = \"10:00\"\r\ntemplate = \"due\"\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_is_checked_then_saved_as_its_next_version_and_its_faults_name_their_lines() {
    let office = Office::open().await;
    let page = office.clerk.page("/sequences/standard/change").await;
    assert!(page.contains("[[sequence.step]]") && page.contains("version 1"), "{page}");
    let was = hidden(&page, "was").to_owned();
    fn fields<'a>(was: &'a str, text: &'a str, what: &'a str) -> [(&'a str, &'a str); 4] {
        [("name", "standard"), ("was", was), ("text", text), ("do", what)]
    }
    let (status, page) = office.refused("/page/sequences", &fields(&was, SEQUENCE, "check")).await;
    assert!(status == 200 && page.contains("nothing is saved yet") && page.contains("one +1d"), "{page}");
    for (wrong, right, told) in [
        ("+1d", "soon", "line 6"),
        ("template = \"due\"", "template = \"none\"", "there is no template none for step one"),
        ("\"standard\"", "\"other\"", "its key must stay standard"),
        ("[[sequence]]", "[[seqence]]", "line 1"),
    ] {
        let text = SEQUENCE.replace(wrong, right);
        let (status, page) = office.refused("/page/sequences", &fields(&was, &text, "save")).await;
        assert!(
            status == 422 && page.contains(told) && page.contains("Nothing was saved."),
            "{told}: {page}"
        );
        assert!(page.contains(&right.replace('"', "&#34;")), "the text is kept: {page}");
    }
    assert!(office.clerk.page("/sequences/standard").await.contains("version 1"));
    assert_eq!(office.fill("/page/sequences", &fields(&was, SEQUENCE, "save")).await, "/sequences/standard");
    office.has("/sequences/standard", "version 2").await;
    let again = SEQUENCE.replace("+1d", "+2d");
    assert_eq!(office.refused("/page/sequences", &fields(&was, &again, "save")).await.0, 409, "an old form");
    let (status, page) = office.refused("/page/sequences", &[("text", SEQUENCE), ("do", "save")]).await;
    assert!(status == 422 && page.contains("is set up already"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_menu_is_set_up_and_changed_by_its_text() {
    let office = Office::open().await;
    let text =
        "[[menu]]\nkey = \"short\"\noptions = [{ digit = 1, label = \"<i>call</i>\", do = \"pay\" }]\n";
    let wrong = text.replace("\"pay\"", "\"play\"");
    let (status, page) = office.refused("/page/menus", &[("text", &wrong), ("do", "save")]).await;
    assert!(status == 422 && page.contains("line 3") && page.contains("do must be"), "{page}");
    let (status, page) = office.refused("/page/menus", &[("text", SEQUENCE), ("do", "save")]).await;
    assert!(status == 422 && page.contains("must hold one [[menu]]"), "{page}");
    office.fill("/page/menus", &[("text", text), ("do", "save")]).await;
    let page = office.has("/sequences", "1 = &#60;i&#62;call").await;
    assert!(page.contains("href=\"/menus/short\""), "{page}");
    let was = hidden(&office.clerk.page("/menus/short").await, "was").to_owned();
    let changed = text.replace("<i>call</i>", "ring me");
    let fields = [("name", "short"), ("was", was.as_str()), ("text", changed.as_str()), ("do", "save")];
    office.fill("/page/menus", &fields).await;
    office.has("/sequences", "1 = ring me").await;
    assert_eq!(office.refused("/page/menus", &fields).await.0, 409, "an old form");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_with_the_way_to_the_other_pages() {
    let office = Office::open().await;
    for path in
        ["/obligations/7", "/tasks/7", "/contacts/7", "/subscriptions/7", "/creditors/none", "/menus/x"]
    {
        assert_eq!(status_of(&office, path).await, 404, "{path}");
        let page = office.clerk.page(path).await;
        assert!(page.contains("There is no such page") && page.contains("href=\"/tasks\""), "{path}: {page}");
    }
    let page = office.clerk.page("/obligations?status=lost").await;
    assert!(page.contains("That was not understood") && page.contains("status is no status"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_whose_time_has_passed_is_told_once() {
    let office = Office::open().await;
    let late = [&ANNA[..], &[("due_date", "2026-11-23")]].concat();
    let fields: Vec<_> = CASE.into_iter().filter(|(name, _)| *name != "due_date").chain(late).collect();
    let path = office.fill("/page/obligations", &fields).await;
    let page = office.has(&path, "Step week_before: its time passed").await;
    assert_eq!(page.matches("Step week_before: its time passed").count(), 1, "{page}");
}

async fn status_of(office: &Office, path: &str) -> u16 {
    status(office.clerk.request(Method::GET, path)).await
}

/// The value of a hidden field.
fn hidden<'p>(page: &'p str, name: &str) -> &'p str {
    let field = format!("type=\"hidden\" name=\"{name}\" value=\"");
    let rest = page.split_once(&field).unwrap_or_else(|| panic!("no field {name}: {page}")).1;
    rest.split_once('"').unwrap().0
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
    let contacts = office.clerk.page("/contacts").await;
    let contact = contacts.split_once("href=\"/contacts/con_").unwrap().1.split_once('"').unwrap().0;
    let (contact, plan) = (format!("/contacts/con_{contact}"), format!("{path}/plan"));
    // A field keeps what it holds as it is; else to save it would change it.
    for at in [path.as_str(), "/obligations", "/contacts", &contact, "/tasks", &task, &plan] {
        let page = office.clerk.page(at).await;
        assert!(page.contains("&#60;img src=x onerror") || page.contains("&#60;b&#62;INV"), "{at}: {page}");
        assert!(
            !page.contains("<script>") && !page.contains("<img") && !page.contains("<b>"),
            "{at}: {page}"
        );
        assert!(
            (at == contact || !page.contains('\u{202e}'))
                && !page.contains(" style=")
                && !page.contains(" onclick="),
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
    let plan = format!("{path}/plan");
    for at in PAGES.into_iter().chain([path.as_str(), &plan]).chain(WRITTEN) {
        let page = reader.page(at).await;
        let allowed = if WRITTEN.contains(&at) { 2 } else { 1 };
        assert!(!page.contains("class=\"main\""), "{at}");
        assert!(page.contains("Sign out"), "{at}: {page}");
        assert_eq!(forms(&page), allowed, "{at}: only signing out, and a form without a button");
    }
    for what in ["pay", "promise", "pause", "exit", "status", "plan"] {
        let request = reader.post(&format!("/page{path}/{what}"), &[("key", &key), ("amount", "1")]);
        assert_eq!(status(request).await, 403, "{what}");
    }
    for at in CHANGES {
        assert_eq!(status(reader.post(at, &[("key", &key)])).await, 403, "{at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_key_of_the_session_no_form_is_taken_and_without_a_session_no_page() {
    let office = Office::open().await;
    let path = office.case(&ANNA).await;
    let own = ["pay", "plan", "status"].map(|what| format!("/page{path}/{what}"));
    for at in own.into_iter().chain(CHANGES.map(str::to_owned)) {
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

#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_the_api_tell_what_happened_in_the_same_words() {
    let office = Office::open().await;
    let path = office.case(&ANNA).await;
    office.fill(&format!("/page{path}/pay"), &[("amount", "20"), ("reference", "bank 1")]).await;
    office.fill(&format!("/page{path}/move"), &[("date", "2027-01-15")]).await;
    office.fill(&format!("/page{path}/dispute"), &[("reason", "never ordered")]).await;
    let page = office.has(&path, "Task: dispute").await;
    let told = office.world.get(&format!("/v1{path}/timeline")).await;
    let sentences: Vec<&str> =
        told["data"].as_array().unwrap().iter().map(|line| line["sentence"].as_str().unwrap()).collect();
    assert!(sentences.len() > 5, "{told}");
    for sentence in sentences {
        assert!(page.contains(sentence), "{sentence}: {page}");
    }
}
