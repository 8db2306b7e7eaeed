//! A client of the simulated SMSC: raw octets over TCP, written here from SMPP 3.4 and not with the simulator's
//! own encoder.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use nudged::clock::Clock;
use nudged::sim::smsc::{Smsc, SmscOptions};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::pdu;

pub const PATIENCE: Duration = Duration::from_secs(20);
pub const BIND_TRANSMITTER: u32 = 2;
pub const BIND_TRANSCEIVER: u32 = 9;
pub const SUBMIT_SM: u32 = 4;
pub const RESPONSE: u32 = 0x8000_0000;

pub struct Client {
    pub stream: TcpStream,
    pub clock: Clock,
}

#[derive(Debug, PartialEq)]
pub struct Pdu {
    pub command: u32,
    pub status: u32,
    pub seq: u32,
    pub body: Vec<u8>,
}

pub struct Text<'a> {
    pub registered_delivery: u8,
    pub data_coding: u8,
    pub esm_class: u8,
    pub message: &'a [u8],
    pub tlvs: &'a [u8],
}

impl Default for Text<'_> {
    fn default() -> Self {
        Text { registered_delivery: 0, data_coding: 0, esm_class: 0, message: b"hello", tlvs: b"" }
    }
}

pub fn submit(seq: u32, text: &Text<'_>) -> Vec<u8> {
    let mut body = b"\0\x05\0ACME\0\x01\x014915112345678\0".to_vec();
    body.extend([text.esm_class, 0, 0, 0, 0, text.registered_delivery, 0, text.data_coding, 0]);
    body.push(text.message.len() as u8);
    body.extend(text.message);
    body.extend(text.tlvs);
    pdu(SUBMIT_SM, 0, seq, &body)
}

impl Client {
    pub async fn connect(smsc: &Smsc) -> Client {
        Client { stream: TcpStream::connect(smsc.addr()).await.unwrap(), clock: Clock::system() }
    }

    pub async fn bound(smsc: &Smsc, command: u32) -> Client {
        let mut client = Client::connect(smsc).await;
        assert_eq!(client.bind(command, "acme", "secret").await, 0);
        client
    }

    pub async fn bind(&mut self, command: u32, system_id: &str, password: &str) -> u32 {
        let body = format!("{system_id}\0{password}\0\0\x34\0\0\0");
        self.send(&pdu(command, 0, 1, body.as_bytes())).await;
        let response = self.receive().await;
        assert_eq!((response.command, response.seq), (command | RESPONSE, 1));
        response.status
    }

    pub async fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).await.unwrap();
    }

    pub async fn receive(&mut self) -> Pdu {
        let mut header = [0; 16];
        let read = self.clock.within(PATIENCE, self.stream.read_exact(&mut header)).await;
        read.expect("an answer in time").expect("an answer");
        let field = |i: usize| u32::from_be_bytes(header[i..i + 4].try_into().unwrap());
        let mut body = vec![0; field(0) as usize - 16];
        self.stream.read_exact(&mut body).await.unwrap();
        Pdu { command: field(4), status: field(8), seq: field(12), body }
    }

    /// What comes until the SMSC closes.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let mut chunk = [0; 1024];
        loop {
            match self.clock.within(PATIENCE, self.stream.read(&mut chunk)).await.expect("the end in time") {
                Ok(0) | Err(_) => return rest,
                Ok(octets) => rest.extend(&chunk[..octets]),
            }
        }
    }
}

pub async fn start(options: SmscOptions) -> Smsc {
    Smsc::start(options, Clock::system()).await.unwrap()
}

pub async fn start_with(fault: &str) -> Smsc {
    start(SmscOptions { faults: vec![fault.parse().unwrap()], ..with_control() }).await
}

pub fn with_control() -> SmscOptions {
    SmscOptions { control: Some(([127, 0, 0, 1], 0).into()), ..SmscOptions::default() }
}

pub async fn call(smsc: &Smsc, method: &str, path: &str, body: &str) -> (u16, String) {
    call_at(smsc.control_addr().unwrap(), method, path, body).await
}

/// One call of a simulator's control API; status and body of the answer.
pub async fn call_at(control: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(control).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

pub async fn stats(smsc: &Smsc) -> Value {
    serde_json::from_str(&call(smsc, "GET", "/stats", "").await.1).unwrap()
}

pub fn lines(path: &Path, kind: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|line| line["kind"] == kind).collect()
}

/// The text and the TLVs of a deliver_sm to ACME from a number.
pub fn delivered(pdu: &Pdu) -> (u8, Vec<u8>, Vec<u8>) {
    assert_eq!(pdu.command, 5);
    let mut at = 1;
    for _ in 0..2 {
        at += 2;
        at += pdu.body[at..].iter().position(|&octet| octet == 0).unwrap() + 1;
    }
    let esm_class = pdu.body[at];
    let length = usize::from(pdu.body[at + 9]);
    let text = pdu.body[at + 10..at + 10 + length].to_vec();
    (esm_class, text, pdu.body[at + 10 + length..].to_vec())
}

/// The wire log once the first connection has ended.
pub async fn ended(smsc: &Smsc) -> String {
    loop {
        let received = call(smsc, "GET", "/received", "").await.1;
        if received.contains("\"kind\":\"drop\"") {
            return received;
        }
        tokio::task::yield_now().await;
    }
}
