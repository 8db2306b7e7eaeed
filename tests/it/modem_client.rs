//! A client of the simulated modem: octets over its pseudo terminal or its TCP port, and nothing that knows AT.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use nudged::clock::{Clock, Timestamp};
use nudged::message::Encoding;
use nudged::sim::modem::{Modem, ModemOptions, Place, Stats};
use nudged::sms::address::{Address, NPI_ISDN, TON_INTERNATIONAL};
use nudged::sms::hex;
use nudged::sms::tpdu::{Submit, UserData};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const PATIENCE: Duration = Duration::from_secs(20);

pub struct Client {
    out: Box<dyn Write + Send>,
    came: UnboundedReceiver<Vec<u8>>,
    seen: Vec<u8>,
}

impl Client {
    pub fn open(modem: &Modem) -> Client {
        let path = modem.path();
        if let Some(address) = path.strip_prefix("tcp:") {
            let stream = TcpStream::connect(address).unwrap();
            return Client::over(stream.try_clone().unwrap(), stream);
        }
        let file = File::options().read(true).write(true).open(path).unwrap();
        Client::over(file.try_clone().unwrap(), file)
    }

    /// Reads on a thread of its own, which ends with the port.
    fn over(mut input: impl Read + Send + 'static, out: impl Write + Send + 'static) -> Client {
        let (told, came) = unbounded_channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(octets @ 1..) = input.read(&mut buffer) {
                if told.send(buffer[..octets].to_vec()).is_err() {
                    return;
                }
            }
        });
        Client { out: Box::new(out), came, seen: Vec::new() }
    }

    pub fn send(&mut self, text: impl AsRef<[u8]>) {
        self.out.write_all(text.as_ref()).unwrap();
        self.out.flush().unwrap();
    }

    /// The next octets are these, no more and no less being asked.
    pub async fn expect(&mut self, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        while self.seen.len() < text.len() && self.more().await {}
        let came = self.seen.len().min(text.len());
        assert_eq!(show(&self.seen[..came]), show(text), "all that came: {}", show(&self.seen));
        self.seen.drain(..text.len());
    }

    /// Everything up to `end`, which it includes.
    pub async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(start) = self.seen.windows(end.len()).position(|there| there == end.as_bytes()) {
                return show(&self.seen.drain(..start + end.len()).collect::<Vec<u8>>());
            }
            assert!(self.more().await, "no {end:?} in {}", show(&self.seen));
        }
    }

    /// A command line and its answer, which ends with OK.
    pub async fn ok(&mut self, line: &str) -> String {
        self.send(format!("{line}\r"));
        self.until("\r\nOK\r\n").await
    }

    /// A command line and all of its answer.
    pub async fn exchange(&mut self, line: &str, answer: &str) {
        self.send(format!("{line}\r"));
        self.expect(answer).await;
    }

    /// Without echo, errors with numbers.
    pub async fn ready(modem: &Modem) -> Client {
        let mut client = Client::open(modem);
        client.exchange("ATE0", "ATE0\r\r\nOK\r\n").await;
        client.exchange("AT+CMEE=1", "\r\nOK\r\n").await;
        client
    }

    /// Gives a message to the prompt, Ctrl-Z included.
    pub async fn submit(&mut self, pdu: &str) {
        self.send(format!("AT+CMGS={}\r", pdu.len() / 2 - 1));
        self.until("\r\n> ").await;
        self.send(format!("{pdu}\x1a"));
    }

    /// Waits for the end of the port.
    pub async fn end(&mut self) {
        while self.more().await {}
    }

    /// Waits for octets; false at the end of the port.
    async fn more(&mut self) -> bool {
        let came = Clock::system().within(PATIENCE, self.came.recv()).await;
        let came = came.unwrap_or_else(|| panic!("silence after {}", show(&self.seen)));
        came.map(|octets| self.seen.extend(octets)).is_some()
    }
}

/// As it is where it is text, else with its octets shown.
pub fn show(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap_or_else(|_| octets.escape_ascii().to_string())
}

/// An SMS-SUBMIT to +358401112222 behind an SCA of the SIM's choice.
pub fn pdu(text: &str, status_report: bool) -> String {
    let to = Address { ton: TON_INTERNATIONAL, npi: NPI_ISDN, text: "358401112222".into() };
    let submit = Submit {
        reject_duplicates: false,
        reply_path: false,
        status_report,
        reference: 0,
        to,
        pid: 0,
        dcs: 0,
        validity: None,
        data: UserData::segment(text, Encoding::Gsm7, None),
    };
    format!("00{}", hex::encode(&submit.encode().unwrap()))
}

pub async fn start(options: ModemOptions) -> Modem {
    Modem::start(options, Clock::system()).await.unwrap()
}

/// A modem whose time a test moves.
pub async fn start_still(options: ModemOptions) -> (Modem, Clock) {
    let clock = Clock::manual(Timestamp::from_millis(1_795_269_900_000));
    (Modem::start(options, clock.clone()).await.unwrap(), clock)
}

pub fn with_fault(fault: &str) -> ModemOptions {
    ModemOptions { faults: vec![fault.parse().unwrap()], ..ModemOptions::default() }
}

pub fn on_tcp() -> ModemOptions {
    ModemOptions { place: Place::Tcp("127.0.0.1:0".parse().unwrap()), ..ModemOptions::default() }
}

/// The wire log's lines of a kind.
pub fn lines(modem: &Modem, kind: &str) -> Vec<Value> {
    modem.received().unwrap().into_iter().filter(|line| line["kind"] == kind).collect()
}

/// Waits until the modem's counts say so.
pub async fn reached(modem: &Modem, there: impl Fn(&Stats) -> bool) {
    let waiting = async {
        while !there(&modem.stats()) {
            tokio::task::yield_now().await;
        }
    };
    let done = Clock::system().within(PATIENCE, waiting).await;
    assert!(done.is_some(), "still {:?}", modem.stats());
}
