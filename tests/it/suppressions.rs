//! Opt-outs outlive the store: a backup that is put back beside the list `suppressions.log` loses none.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nudged::clock::Clock;
use nudged::daemon::{Daemon, StartError};
use nudged::store::{Options, StoreError};
use reqwest::Method;
use serde_json::json;

use crate::support::{Carrier, World, checked, number, one, silent};

const LIST: &str = "suppressions.log";

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn state_dir(world: &World) -> PathBuf {
    world.store_dir().parent().unwrap().to_owned()
}

/// Stops, keeps a copy of the store, and starts again.
async fn back_up(world: &mut World) -> tempfile::TempDir {
    let backup = tempfile::tempdir().unwrap();
    world.stop().await;
    copy(&world.store_dir(), backup.path());
    world.start_again().await;
    world.await_link("carrier", "up").await;
    backup
}

/// Stops and starts on the copy; with `marked` the daemon is told.
async fn put_back(world: &mut World, backup: &Path, marked: bool) {
    world.stop().await;
    fs::remove_dir_all(world.store_dir()).unwrap();
    copy(backup, &world.store_dir());
    if marked {
        fs::write(state_dir(world).join("restored"), "").unwrap();
    }
    world.start_again().await;
    if !marked {
        world.await_link("carrier", "up").await;
    }
}

async fn opted_out(world: &World) -> Vec<String> {
    let list = world.get("/v1/optouts").await;
    list["data"].as_array().unwrap().iter().map(|one| one["number"].as_str().unwrap().to_owned()).collect()
}

/// `number(1)` said STOP after the backup; two texts went before it is put back.
async fn stopped_after_the_backup() -> (World, Carrier, tempfile::TempDir) {
    let (mut world, carrier) = one(silent(), "").await;
    world.await_link("carrier", "up").await;
    let before = world.send(&number(1), "before").await;
    world.await_status(&before, "sent").await;
    let backup = back_up(&mut world).await;
    carrier.reply(&number(1), "STOP").await;
    carrier.await_delivery("STOP", &world.clock).await;
    carrier.await_submits(2, &world.clock).await;
    (world, carrier, backup)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_later_than_the_backup_holds_after_it_was_put_back() {
    let (mut world, carrier, backup) = stopped_after_the_backup().await;
    put_back(&mut world, backup.path(), true).await;
    assert_eq!(opted_out(&world).await, [number(1)]);
    world.order("/v1/resume").await;
    let stopped = world.send(&number(1), "after").await;
    world.await_status(&stopped, "blocked").await;
    let other = world.send(&number(2), "another").await;
    world.await_status(&other, "sent").await;
    let to = carrier.submits().iter().filter(|line| line["text"] == "after").count();
    assert_eq!(to, 0, "{:?}", carrier.texts());
    world.restart().await;
    assert_eq!(opted_out(&world).await, [number(1)], "and is in the journal from then on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_list_and_journal_keeps_the_stop_and_the_reply_that_comes_again_is_taken() {
    let (mut world, carrier, backup) = stopped_after_the_backup().await;
    put_back(&mut world, backup.path(), false).await;
    assert_eq!(opted_out(&world).await, [number(1)]);
    carrier.reply(&number(1), "STOP").await;
    world.await_snapshot("the reply", |status| status["inbound_total"] == 1).await;
    assert_eq!(opted_out(&world).await, [number(1)]);
    let text = fs::read_to_string(state_dir(&world).join(LIST)).unwrap();
    assert_eq!(text.matches(" added ").count(), 1, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lifted_after_the_backup_stays_lifted() {
    let (mut world, carrier) = one(silent(), "").await;
    let (status, body) = world.post("/v1/optouts", json!({"number": number(1), "reason": "letter"})).await;
    assert!(status < 300, "{body}");
    let (status, body) = world.post("/v1/optouts", json!({"number": number(2), "reason": "letter"})).await;
    assert!(status < 300, "{body}");
    let backup = back_up(&mut world).await;
    let path = format!("/v1/optouts/{}", number(1).replace('+', "%2B"));
    let (status, body) = world.call(Method::DELETE, &path, None).await;
    assert!(status < 300, "{body}");
    put_back(&mut world, backup.path(), true).await;
    assert_eq!(opted_out(&world).await, [number(2)]);
    world.order("/v1/resume").await;
    let id = world.send(&number(1), "hello again").await;
    world.await_status(&id, "sent").await;
    assert_eq!(carrier.texts(), ["hello again"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_list_nothing_is_lost_while_the_store_stands_and_it_is_written_again() {
    let (mut world, _carrier) = one(silent(), "").await;
    let (status, body) = world.post("/v1/optouts", json!({"number": number(1), "reason": "letter"})).await;
    assert!(status < 300, "{body}");
    world.stop().await;
    let list = state_dir(&world).join(LIST);
    assert_eq!(fs::metadata(&list).unwrap().permissions().mode() & 0o777, 0o600);
    fs::remove_file(&list).unwrap();
    world.start_again().await;
    assert_eq!(opted_out(&world).await, [number(1)]);
    world.stop().await;
    fs::remove_dir_all(world.store_dir()).unwrap();
    world.start_again().await;
    assert_eq!(opted_out(&world).await, [number(1)], "a store begun anew has it from the list");
    assert_eq!(world.get("/v1/optouts").await["data"][0]["reason"], "letter");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_cannot_be_opened_lets_nothing_start() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(LIST)).unwrap();
    let config = format!("state_dir = '{}'\n[http]\nlisten = ['127.0.0.1:0']\n", dir.path().display());
    let started = Daemon::start_with(checked(&config), Clock::system(), Options::for_tests()).await;
    assert!(matches!(started, Err(StartError::Store(StoreError::Io { .. }))), "{started:?}");
}
