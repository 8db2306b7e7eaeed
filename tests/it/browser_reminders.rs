//! The pages of the reminder side as people meet them: in Chromium, without scripts, on a phone, by their labels.

use fantoccini::Locator;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::page_reminders::Office;

/// What would push a page apart.
const LONG: &str = "an-identifier-of-a-firm-that-is-as-long-as-one-may-be-and-does-not-break-00001";

async fn office_in(browser: &Browser) -> Office {
    let office = Office::open().await;
    browser.sign_in_at(&format!("http://{}/", office.world.address()), &office.token).await;
    office
}

async fn at(browser: &Browser, office: &Office, path: &str) {
    browser.page.goto(&format!("http://{}{path}", office.world.address())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_without_scripts_agrees_on_instalments_and_thinks_twice_before_one_is_written_off() {
    let browser = Browser::without_scripts().await;
    let office = office_in(&browser).await;
    let case = [("external_id", "INV-1"), ("contact", "C-1"), ("phone", "+4915112345678")];
    let path = office.case(&case).await;
    at(&browser, &office, &path).await;
    browser.click("a[href$='/plan']").await;
    browser.shows("Instalment 3").await;
    let count = browser.page.find(Locator::Id("count")).await.unwrap();
    count.clear().await.unwrap();
    count.send_keys("2").await.unwrap();
    browser.click("form[method=get] button").await;
    let last = browser.page.find(Locator::Id("amount_2")).await.unwrap();
    assert_eq!(last.prop("value").await.unwrap().as_deref(), Some("60.25"));
    browser.click("button.main").await;
    browser.shows("Paused: plan.").await;
    browser.click("section[aria-labelledby=plan] li a").await;
    browser.shows("INV-1/1").await;
    browser.click("#close summary").await;
    browser.click("button[value=written_off]").await;
    browser.shows("Write it off?").await;
    browser.click("a.button").await;
    let text = browser.shows("What comes next").await;
    assert!(!text.contains("Ended"), "going back does nothing: {text}");
    browser.click("#close summary").await;
    browser.click("button[value=written_off]").await;
    browser.page.find(Locator::Id("reason")).await.unwrap().send_keys("insolvent").await.unwrap();
    browser.click("#sure").await;
    let text = browser.shows("open became written off: insolvent").await;
    assert!(text.contains("Nothing more goes."), "{text}");
}

/// Every page, with long names in it.
async fn pages(office: &Office) -> Vec<String> {
    let case = [("external_id", LONG), ("contact", LONG), ("phone", "+4915112345678"), ("description", LONG)];
    let path = office.case(&[&case[..], &[("first_name", LONG)]].concat()).await;
    office.fill(&format!("/page{path}/dispute"), &[("reason", LONG)]).await;
    let subscription = [
        ("external_id", LONG),
        ("account", LONG),
        ("creditor", "acme"),
        ("amount", "1"),
        ("currency", "EUR"),
        ("every", "weekly"),
        ("from", "2027-01-01"),
    ];
    let subscription = office.fill("/page/subscriptions", &subscription).await;
    let link = async |list: &str, begin: &str| {
        let page = office.clerk.page(list).await;
        let rest = page.split_once(&format!("href=\"{begin}_")).unwrap().1;
        format!("{begin}_{}", rest.split_once('"').unwrap().0)
    };
    let csv = format!("{}{LONG},acme,0151,1,EUR,soon,{LONG},de,DE,,,\n", crate::imports::cases(1));
    let import = office.import(&csv).await;
    let own = [import, link("/contacts", "/contacts/con").await, link("/tasks", "/tasks/tsk").await];
    let fixed = [
        "/obligations",
        "/obligations/new",
        "/obligations?status=lost",
        "/tasks",
        "/tasks?state=done",
        "/contacts",
        "/subscriptions",
        "/subscriptions/new",
        "/imports",
        "/templates",
        "/templates/new",
        "/templates/due/de",
        "/sequences",
        "/sequences/new",
        "/sequences/standard",
        "/sequences/standard/change",
        "/menus/new",
        "/menus/standard",
        "/creditors",
        "/creditors/new",
        "/creditors/acme",
    ];
    let plan = format!("{path}/plan");
    own.into_iter().chain([path, plan, subscription]).chain(fixed.map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_phone_no_page_is_wider_than_the_screen_and_every_field_has_its_label() {
    let browser = Browser::start().await;
    let office = office_in(&browser).await;
    browser.size(360, 740).await;
    for path in pages(&office).await {
        at(&browser, &office, &path).await;
        assert_eq!(browser.run("return document.scrollingElement.scrollWidth").await, 360, "{path}");
        let nameless = "return [...document.querySelectorAll('input:not([type=hidden]), select, textarea')]
            .filter(e => e.labels.length != 1).map(e => e.name)";
        assert_eq!(browser.run(nameless).await, json!([]), "{path}");
        let twice = "const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
            return ids.filter((id, at) => ids.indexOf(id) != at)";
        assert_eq!(browser.run(twice).await, json!([]), "{path}: an id names one thing");
        let told = "return [document.querySelectorAll('h1').length, document.querySelectorAll('main').length,
            [...document.querySelectorAll('a[href^=\"#\"]')].filter(a => !document.querySelector(a.hash)).length]";
        assert_eq!(browser.run(told).await, json!([1, 1, 0]), "{path}: headings, mains and links to nowhere");
        let scripts: Value = browser.run("return document.scripts.length").await;
        assert_eq!(scripts, 0, "{path}");
    }
}
