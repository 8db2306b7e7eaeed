//! The whole daemon with one simulated modem on a pseudo terminal, on the machine's clock or on one that both share
//! and only the test moves. What went out is read from the modem's wire log, never from the daemon.

use std::time::Duration;

use nudged::clock::{Clock, Timestamp};
use nudged::message::Encoding;
use nudged::sim::fault::{Fault, Kind};
use nudged::sim::modem::{Modem, ModemOptions, Place};
use nudged::sms::address::{Address, NPI_ISDN, TON_INTERNATIONAL};
use nudged::sms::segment::Concat;
use nudged::sms::tpdu::{Deliver, ServiceTime, UserData};
use serde_json::Value;
use tempfile::TempDir;

use crate::modem_client::lines;
use crate::support::{START, World, until};

/// A step of time that passes, less than any answer may take.
const STEP: Duration = Duration::from_millis(250);
/// What both sides get of the machine for a step.
const TURN: Duration = Duration::from_millis(5);

pub struct Rig {
    pub world: World,
    pub modem: Modem,
    pub clock: Clock,
    _dir: TempDir,
}

impl Rig {
    /// On the machine's clock.
    pub async fn live(options: ModemOptions) -> Rig {
        Rig::live_after(options, |_| {}).await
    }

    /// On the machine's clock; `before` is done to the modem before the daemon knows it.
    pub async fn live_after(options: ModemOptions, before: impl FnOnce(&Modem)) -> Rig {
        Rig::start(Clock::system(), options, ("unlimited", ""), before).await
    }

    /// On the machine's clock, with `more` of a configuration.
    pub async fn live_beside(options: ModemOptions, more: &str) -> Rig {
        Rig::start(Clock::system(), options, ("unlimited", more), |_| {}).await
    }

    /// On a clock that stands still but for [`until`] and [`Rig::pass`].
    pub async fn still(options: ModemOptions) -> Rig {
        Rig::still_at(options, "unlimited").await
    }

    /// The same with a rate.
    pub async fn still_at(options: ModemOptions, rate: &str) -> Rig {
        Rig::start(Clock::manual(START), options, (rate, ""), |_| {}).await
    }

    async fn start(
        clock: Clock,
        options: ModemOptions,
        (rate, more): (&str, &str),
        before: impl FnOnce(&Modem),
    ) -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("modem");
        let config =
            format!("[[modem]]\nname = 'gsm1'\nport = '{}'\nrate = '{rate}'\n{more}", link.display());
        let options = ModemOptions { place: Place::Pty { link: Some(link) }, ..options };
        let modem = Modem::start(options, clock.clone()).await.unwrap();
        before(&modem);
        let world = World::start_by(clock.clone(), &config).await;
        Rig { world, modem, clock, _dir: dir }
    }

    pub async fn up(&self) {
        self.world.await_link("gsm1", "up").await;
    }

    /// Messages that were complete with their Ctrl-Z.
    pub fn submits(&self) -> Vec<Value> {
        lines(&self.modem, "sms_submit")
    }

    pub fn texts(&self) -> Vec<String> {
        self.submits().iter().map(|line| line["text"].as_str().unwrap().to_owned()).collect()
    }

    pub async fn await_submits(&self, count: usize) -> Vec<Value> {
        let look = async || Some(self.submits()).filter(|submits| submits.len() >= count);
        until(&self.clock, &format!("{count} messages on the wire"), look).await
    }

    /// How often a command came.
    pub fn commands(&self, name: &str) -> u64 {
        self.modem.stats().commands.get(name).copied().unwrap_or_default()
    }

    /// Returns once the daemon has deleted or acknowledged so many of what the network brought.
    pub async fn await_taken(&self, count: u64) {
        let look = async || (self.modem.stats().taken >= count).then_some(());
        until(&self.clock, &format!("{count} taken"), look).await;
    }

    /// Replies as the daemon shows them, oldest first.
    pub async fn replies(&self) -> Vec<Value> {
        let list = self.world.get("/v1/inbound?limit=500&order=asc").await;
        list["data"].as_array().unwrap().clone()
    }

    pub async fn await_replies(&self, count: usize) -> Vec<Value> {
        let look = async || Some(self.replies().await).filter(|replies| replies.len() >= count);
        until(&self.clock, &format!("{count} replies"), look).await
    }

    pub async fn await_opt_out(&self, number: &str) {
        let path = format!("/v1/optouts/{number}");
        let look = async || {
            let (status, _) = self.world.call(reqwest::Method::GET, &path, None).await;
            (status == 200).then_some(())
        };
        until(&self.clock, &format!("{number} opted out"), look).await;
    }

    /// Lets time pass in steps.
    pub async fn pass(&self, time: Duration) {
        let end = self.clock.now().mono + time;
        while self.clock.now().mono < end {
            self.clock.advance(STEP.min(end - self.clock.now().mono));
            Clock::system().sleep(TURN).await;
        }
    }

    /// The first thing that `look` finds while the clock stands still.
    pub async fn at_once<T>(&self, what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
        until(&Clock::system(), what, look).await
    }

    /// Plugs the modem in again. Whatever the daemon does in the first 1.9 s of that must end with an open port.
    pub async fn plug_again(&self) {
        let clients = self.modem.stats().clients;
        self.modem.plug().await.unwrap();
        self.pass(Duration::from_millis(1_900)).await;
        let look = async || (self.modem.stats().clients > clients).then_some(());
        self.at_once("the port open again within 2 s", look).await;
        self.up().await;
    }

    pub async fn stop(mut self) {
        self.world.stop_while_time_passes().await;
        self.modem.stop().await;
    }
}

/// A simulated modem that commits this at its n-th message.
pub fn at(n: u64, kind: Kind) -> ModemOptions {
    let when = nudged::sim::fault::When::Nth(n);
    ModemOptions { faults: vec![Fault { kind, when }], ..ModemOptions::default() }
}

/// An SMS-DELIVER without its SCA, sent `second` seconds after the start of manual clocks.
pub fn deliver(from: &str, text: &str, concat: Option<(u16, u8, u8)>, second: u64) -> Vec<u8> {
    let concat = concat.map(|(reference, total, number)| Concat { reference, total, number });
    let at = Timestamp::from_millis(START.as_millis() + second * 1_000);
    let deliver = Deliver {
        more: false,
        loop_prevention: false,
        status_report: false,
        reply_path: false,
        from: Address { ton: TON_INTERNATIONAL, npi: NPI_ISDN, text: from.trim_start_matches('+').into() },
        pid: 0,
        dcs: 0,
        sent_at: ServiceTime::from_timestamp(at, 0),
        data: UserData::segment(text, Encoding::Gsm7, concat),
    };
    deliver.encode().unwrap()
}
