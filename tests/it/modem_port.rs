//! Ports of modems over real ptys and TCP: alone, raw, gone at once, found again.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::task::{Context, Waker};
use std::time::Duration;

use nudged::clock::{Clock, Timestamp};
use nudged::config::Port;
use nudged::link::modem::port::Opener;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::pty::{Pty, Socket};

const LOOK: Duration = Duration::from_millis(250);

fn device(path: &Path, clock: &Clock) -> Opener {
    Opener::new(Port::Device(path.to_owned()), 115_200, clock.clone())
}

async fn refused(path: &Path) -> String {
    device(path, &Clock::system()).open().await.expect_err("it opened").to_string()
}

#[tokio::test]
async fn every_octet_goes_through_unchanged_both_ways() {
    let pty = Pty::new();
    let mut port = device(pty.slave(), &Clock::system()).open().await.unwrap();
    let all: Vec<u8> = (0..=255).collect();
    port.write_all(&all).await.unwrap();
    pty.expect(&all).await;
    pty.write(&all).await;
    let mut got = vec![0; 256];
    port.read_exact(&mut got).await.unwrap();
    assert_eq!(got, all);
}

#[tokio::test]
async fn what_was_said_before_the_open_is_no_answer() {
    let pty = Pty::new();
    pty.write(b"RDY\r\n+CPIN: READY\r\n").await;
    let mut port = device(pty.slave(), &Clock::system()).open().await.unwrap();
    pty.write(b"OK").await;
    let mut got = [0; 64];
    assert_eq!(port.read(&mut got).await.unwrap(), 2);
    assert_eq!(&got[..2], b"OK");
}

#[tokio::test]
async fn a_second_open_is_refused_and_names_the_holder_and_the_first_goes_on() {
    let pty = Pty::new();
    let mut port = device(pty.slave(), &Clock::system()).open().await.unwrap();
    let why = refused(pty.slave()).await;
    assert!(why.contains("is held by") && why.contains("this program"), "{why}");
    port.write_all(b"AT\r").await.unwrap();
    pty.expect(b"AT\r").await;
    drop(port);
    device(pty.slave(), &Clock::system()).open().await.expect("free again");
}

#[tokio::test]
async fn another_program_that_holds_it_is_named_with_its_pid() {
    let pty = Pty::new();
    let mut holder = Command::new("flock")
        .arg(pty.slave())
        .args(["sh", "-c", "echo locked; cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "locked\n");
    let why = refused(pty.slave()).await;
    assert!(why.contains(&format!("pid {} (flock)", holder.id())), "{why}");
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    device(pty.slave(), &Clock::system()).open().await.expect("free again");
}

#[tokio::test]
async fn what_cannot_be_opened_says_why_and_what_helps() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "no tty").unwrap();
    let dangling = dir.path().join("dangling");
    std::os::unix::fs::symlink("/dev/no-such-modem", &dangling).unwrap();
    for (path, why, remedy) in [
        (Path::new("/dev/no-such-modem"), "is not there", "plug"),
        (&dangling, "is not there", "plug"),
        (&file, "is not a serial device", "tty"),
        (Path::new("/dev/null"), "is not a serial device", "tty"),
        (dir.path(), "is not a serial device", "tty"),
    ] {
        let error = refused(path).await;
        assert!(error.contains(why) && error.contains(remedy), "{error}");
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
}

#[tokio::test]
async fn an_unplugged_device_is_gone_at_the_next_octet_and_never_an_endless_end() {
    let pty = Pty::new();
    let mut port = device(pty.slave(), &Clock::system()).open().await.unwrap();
    let mut byte = [0];
    {
        let mut read = pin!(port.read(&mut byte));
        assert!(read.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(pty);
        assert_eq!(read.await.unwrap_err().to_string(), "the device went away");
    }
    assert_eq!(port.write(b"AT\r").await.unwrap_err().to_string(), "the device went away");
    assert_eq!(port.read(&mut byte).await.unwrap_err().to_string(), "the device went away");
}

#[tokio::test]
async fn a_device_unplugged_amid_a_write_ends_the_write() {
    let pty = Pty::new();
    let mut port = device(pty.slave(), &Clock::system()).open().await.unwrap();
    let many = vec![b'x'; 1 << 20];
    let mut write = pin!(port.write_all(&many));
    // Nobody reads, so it stops in the middle.
    assert!(write.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(pty);
    assert_eq!(write.await.unwrap_err().to_string(), "the device went away");
}

#[tokio::test]
async fn closing_waits_for_nobody_who_does_not_read() {
    let pty = Pty::new();
    let mut port = device(pty.slave(), &Clock::system()).open().await.unwrap();
    let many = vec![b'x'; 1 << 20];
    {
        let mut write = pin!(port.write_all(&many));
        assert!(write.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    port.shutdown().await.unwrap();
    drop(port);
    device(pty.slave(), &Clock::system()).open().await.expect("closed for good");
}

#[tokio::test]
async fn a_terminal_server_is_a_port_too_and_its_end_is_seen() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut opener = Opener::new(Port::Tcp(address), 9600, Clock::system());
    let mut port = opener.open().await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    port.write_all(b"AT\r").await.unwrap();
    let mut got = [0; 3];
    server.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"AT\r");
    server.write_all(b"OK").await.unwrap();
    drop(server);
    let mut answer = Vec::new();
    port.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"OK");
    drop(listener);
    assert!(opener.open().await.unwrap_err().to_string().contains("refused"));
}

/// Whether `opener` sees a change in so many looks.
fn sees(opener: &mut Opener, clock: &Clock, looks: u32) -> bool {
    let mut changed = pin!(opener.changed());
    let mut poll = || changed.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
    assert!(!poll(), "before it has waited at all");
    for _ in 0..looks {
        clock.advance(LOOK);
        if poll() {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn a_device_that_is_plugged_in_is_seen_at_the_next_look_and_one_that_stays_is_not() {
    let clock = Clock::manual(Timestamp::MIN);
    let socket = Socket::new();
    let mut opener = device(&socket.path(), &clock);
    opener.open().await.expect_err("nothing is plugged in");
    assert!(!sees(&mut opener, &clock, 10));
    let pty = socket.plug();
    assert!(sees(&mut opener, &clock, 1));
    drop(opener.open().await.unwrap());
    assert!(!sees(&mut opener, &clock, 10), "what was tried is no news, used or not");
    // Made before the other goes, so that it does not take over its number.
    let other = Pty::new();
    socket.unplug(pty);
    socket.name(&other);
    assert!(sees(&mut opener, &clock, 1), "another device, though it was never seen missing");
}

#[tokio::test]
async fn new_rights_on_the_node_are_a_reason_to_try() {
    use std::os::unix::fs::PermissionsExt as _;
    let clock = Clock::manual(Timestamp::MIN);
    let pty = Pty::new();
    let mut opener = device(pty.slave(), &clock);
    drop(opener.open().await.unwrap());
    assert!(!sees(&mut opener, &clock, 3));
    std::fs::set_permissions(pty.slave(), std::fs::Permissions::from_mode(0o660)).unwrap();
    assert!(sees(&mut opener, &clock, 1));
}

#[tokio::test]
async fn nothing_is_looked_for_behind_a_terminal_server() {
    let clock = Clock::manual(Timestamp::MIN);
    let mut opener = Opener::new(Port::Tcp(String::from("127.0.0.1:1")), 9600, clock.clone());
    assert!(!sees(&mut opener, &clock, 10));
}
