//! The HTTP load without an end, against a daemon that crashes under it: what `scripts/torture --load bench`
//! starts as its client.
//!
//! The same requests on as many connections as in the measurement. Each line of the list is what one
//! request came to: accepted, given up (no answer came, so it may have been taken or not), or trouble. A
//! request that got no answer is not made again, so nothing here hides a message that was taken twice.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::Fallible;
use crate::cells::CONNECTIONS;
use crate::client::Connection;
use crate::peers::post;

/// Between two tries to reach a daemon that is not there.
const PAUSE: Duration = Duration::from_millis(20);

/// Posts to the daemon at `port`, whose token is in `NUDGED_TOKEN`, until SIGTERM.
pub fn run(port: u16, list: &str) -> Fallible<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let load = Load {
        address: SocketAddr::from(([127, 0, 0, 1], port)),
        token: std::env::var("NUDGED_TOKEN")?,
        list: RefCell::new(File::options().create(true).append(true).open(list)?),
        next: Cell::new(1),
        stop: Cell::new(false),
    };
    runtime.block_on(async {
        let mut term = signal(SignalKind::terminate())?;
        let all = futures_util::future::join_all((0..CONNECTIONS).map(|_| load.post_many()));
        let ending = async {
            term.recv().await;
            load.stop.set(true);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = all => ended.into_iter().collect(),
            () = ending => Ok(()),
        }
    })
}

struct Load {
    address: SocketAddr,
    token: String,
    list: RefCell<File>,
    next: Cell<u32>,
    stop: Cell<bool>,
}

impl Load {
    async fn post_many(&self) -> Fallible<()> {
        let mut open = None;
        while !self.stop.get() {
            let Some(connection) = &mut open else {
                open = Connection::open(self.address).await.ok();
                tokio::time::sleep(if open.is_some() { Duration::ZERO } else { PAUSE }).await;
                continue;
            };
            let number = self.next.replace(self.next.get() + 1);
            let tag = format!("{number:08}");
            match connection.ask(|out| post(&self.token, number, false, out)).await {
                Ok((202, body, _)) => {
                    let answer: Value = serde_json::from_str(&body)?;
                    self.note(&json!({"tag": tag, "id": answer["id"], "segments": answer["segment_count"]}))?;
                }
                Ok((429 | 503, ..)) => tokio::time::sleep(PAUSE).await,
                Ok((status, body, _)) => {
                    self.note(&json!({"trouble": format!("{tag} was answered {status}: {body}")}))?;
                }
                Err(_) => {
                    self.note(&json!({"given_up": tag}))?;
                    open = None;
                }
            }
        }
        Ok(())
    }

    /// One line in one write, so that what is in the list is whole whenever it is read.
    fn note(&self, line: &Value) -> Fallible<()> {
        Ok(self.list.borrow_mut().write_all(format!("{line}\n").as_bytes())?)
    }
}
