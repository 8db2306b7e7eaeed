//! A damaged journal: the daemon starts, shows what it has, and neither takes nor sends anything.

use std::fs;
use std::os::unix::fs::FileExt as _;

use nudged::store::frame::HEAD_BYTES;
use serde_json::json;

use crate::support::{number, one, silent};
use reqwest::Method;

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_damaged_in_its_middle_is_read_only_and_says_why() {
    let (mut world, carrier) = one(silent(), "").await;
    let id = world.send(&number(0), "before").await;
    world.await_status(&id, "sent").await;
    world.send_many(5).await;
    world.stop().await;
    let sent = carrier.submits().len();

    let journal = fs::read_dir(world.store_dir().join("journal")).unwrap();
    let segment = journal.map(|entry| entry.unwrap().path()).find(|path| !path.ends_with("spare")).unwrap();
    let file = fs::OpenOptions::new().write(true).open(segment).unwrap();
    // Behind the segment's header and the first record's: in the first record's content, with good ones after it.
    file.write_all_at(b"damage", 64 + HEAD_BYTES as u64 + 8).unwrap();
    // The state is gone as well, so that nothing can stand in for what the journal lost.
    fs::remove_dir_all(world.store_dir().join("state")).unwrap();

    world.start_again().await;
    let (status, problem) = world.post("/v1/messages", json!({"to": number(1), "text": "after"})).await;
    assert_eq!((status, problem["code"].as_str().unwrap()), (503, "quarantined"));
    let (status, ready) = world.call(Method::GET, "/readyz", None).await;
    assert_eq!(status, 503);
    assert!(ready["reasons"].to_string().contains("uarantin"), "{ready}");
    assert_eq!(world.call(Method::GET, "/healthz", None).await.0, 200);
    assert_eq!(carrier.submits().len(), sent, "nothing is sent");

    let shown = world.get("/v1/status").await;
    assert!(shown["quarantine"].is_string() && shown["verdict"] == "down", "{shown}");
    for unknown in [
        "messages",
        "oldest_due_at",
        "links",
        "inbound_total",
        "receipts_unmatched_total",
        "journal_seq",
        "free_bytes",
    ] {
        assert!(shown[unknown].is_null() && shown.get(unknown).is_some(), "{unknown} in {shown}");
    }
    for path in ["/v1/links", "/v1/links/carrier", "/v1/events", "/v1/webhooks", "/v1/webhooks/crm"] {
        let (status, problem) = world.call(Method::GET, path, None).await;
        assert_eq!((status, problem["code"].as_str().unwrap()), (503, "quarantined"), "{path}");
    }
    let (status, problem) = world.call(Method::POST, "/v1/links/carrier/restart", None).await;
    assert_eq!((status, problem["code"].as_str().unwrap()), (503, "quarantined"));
    let (_, page) = world.call(Method::GET, "/", None).await;
    let page = page.as_str().unwrap();
    assert_eq!(page.matches("Not known in quarantine.").count(), 1, "the counts: {page}");
    assert!(
        !page.contains("None is configured") && !page.contains("<dd>") && !page.contains("waits"),
        "{page}"
    );
    let (_, metrics) = world.call(Method::GET, "/metrics", None).await;
    let numbers: Vec<&str> =
        metrics.as_str().unwrap().lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(numbers, ["nudged_quarantined 1"]);
}
