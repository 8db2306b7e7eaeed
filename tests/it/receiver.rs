//! An endpoint of webhooks that does what a test tells it and remembers what it got, with TLS or without. It knows
//! nothing of how nudged signs: it computes HMAC by its definition (RFC 2104).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nudged::clock::Clock;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::support::{HOOK_KEY, until};

/// What becomes of a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    Answer(u16),
    /// 429 or 503 with a `Retry-After`.
    Defer(u16, &'static str),
    /// 200 and a body that has no end.
    Flood,
    Hang,
    Reset,
}

/// One post as it came.
#[derive(Clone, Debug)]
pub struct Post {
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    pub met: Does,
}

impl Post {
    pub fn id(&self) -> String {
        self.headers["webhook-id"].clone()
    }

    /// Seconds since 1970.
    pub fn at(&self) -> u64 {
        self.headers["webhook-timestamp"].parse().unwrap()
    }

    /// What it must be signed with, a signature for each key.
    pub fn signatures(&self, keys: &[&str]) -> Vec<String> {
        let mut signed = format!("{}.{}.", self.id(), self.at()).into_bytes();
        signed.extend_from_slice(&self.body);
        let octets = |key: &str| STANDARD.decode(key.strip_prefix("whsec_").unwrap()).unwrap();
        keys.iter().map(|key| format!("v1,{}", STANDARD.encode(hmac(&octets(key), &signed)))).collect()
    }

    pub fn event(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

struct Shared {
    does: Does,
    posts: Vec<Post>,
    /// `None`: plain HTTP.
    tls: Option<TlsAcceptor>,
}

pub struct Receiver {
    addr: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    pub async fn start() -> Receiver {
        Receiver::start_with(None).await
    }

    /// An endpoint that shows a certificate first.
    pub async fn start_tls(tls: TlsAcceptor) -> Receiver {
        Receiver::start_with(Some(tls)).await
    }

    async fn start_with(tls: Option<TlsAcceptor>) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Shared { does: Does::Answer(204), posts: Vec::new(), tls }));
        let own = shared.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let shared = own.clone();
                tokio::spawn(async move { admit(stream, &shared).await });
            }
        });
        Receiver { addr, shared, task }
    }

    /// A `[[webhook]]` table that leads here.
    pub fn hook(&self, name: &str, more: &str) -> String {
        let url = format!("http://{}/{name}", self.addr);
        format!("[[webhook]]\nname = '{name}'\nurl = '{url}'\nsecret_file = 'whsec'\n{more}\n")
    }

    /// The same over TLS, by the name `host` of this machine.
    pub fn secure_hook(&self, name: &str, host: &str, more: &str) -> String {
        let url = format!("https://{host}:{}/{name}", self.addr.port());
        format!("[[webhook]]\nname = '{name}'\nurl = '{url}'\nsecret_file = 'whsec'\n{more}\n")
    }

    /// Shows another certificate from the next connection on.
    pub fn shows(&self, tls: TlsAcceptor) {
        self.shared.lock().unwrap().tls = Some(tls);
    }

    pub fn does(&self, does: Does) {
        self.shared.lock().unwrap().does = does;
    }

    pub fn posts(&self) -> Vec<Post> {
        self.shared.lock().unwrap().posts.clone()
    }

    /// The events of the posts that were answered with success, in the order they came.
    pub fn events(&self) -> Vec<Value> {
        self.posts()
            .iter()
            .filter(|post| matches!(post.met, Does::Answer(200..=299)))
            .map(Post::event)
            .collect()
    }

    pub fn types(&self) -> Vec<String> {
        self.events().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }

    pub async fn await_posts(&self, count: usize, clock: &Clock) -> Vec<Post> {
        let look = async || Some(self.posts()).filter(|posts| posts.len() >= count);
        until(clock, &format!("{count} posts"), look).await
    }

    pub async fn await_events(&self, count: usize, clock: &Clock) -> Vec<Value> {
        let look = async || Some(self.events()).filter(|events| events.len() >= count);
        until(clock, &format!("{count} events taken"), look).await
    }

    /// Every post is signed with the key, its id is that of its event, and a repeated id brings the same body.
    pub fn assert_signed_and_same(&self) {
        let mut bodies = BTreeMap::new();
        for post in self.posts() {
            assert_eq!([post.headers["webhook-signature"].clone()], post.signatures(&[HOOK_KEY])[..]);
            assert_eq!(post.event()["id"], post.id());
            assert_eq!(bodies.entry(post.id()).or_insert(post.body.clone()), &post.body, "{}", post.id());
        }
    }
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    assert!(key.len() <= 64);
    let pad = |with: u8| (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ with).collect::<Vec<u8>>();
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

async fn admit(stream: TcpStream, shared: &Mutex<Shared>) {
    let socket: OwnedFd = stream.as_fd().try_clone_to_owned().unwrap();
    let tls = shared.lock().unwrap().tls.clone();
    match tls {
        None => converse(stream, socket, shared).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                converse(stream, socket, shared).await;
            }
        }
    }
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, socket: OwnedFd, shared: &Mutex<Shared>) {
    while let Some((headers, body)) = read(&mut stream).await {
        let met = {
            let mut shared = shared.lock().unwrap();
            let met = shared.does;
            shared.posts.push(Post { headers, body, met });
            met
        };
        match met {
            Does::Answer(status) => {
                let answer =
                    format!("HTTP/1.1 {status} X\r\nlocation: /else\r\ncontent-length: 6\r\n\r\nheard\n");
                let answer = if status == 204 { String::from("HTTP/1.1 204 X\r\n\r\n") } else { answer };
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
            Does::Defer(status, after) => {
                let answer =
                    format!("HTTP/1.1 {status} X\r\nretry-after: {after}\r\ncontent-length: 0\r\n\r\n");
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
            Does::Flood => {
                let mut more = stream.write_all(b"HTTP/1.1 200 X\r\nconnection: close\r\n\r\n").await;
                while more.is_ok() {
                    more = stream.write_all(&[b'f'; 4096]).await;
                }
                return;
            }
            Does::Hang => std::future::pending().await,
            Does::Reset => {
                socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
                return;
            }
        }
    }
}

/// One request; `None`: the client is gone.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<(BTreeMap<String, String>, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        let octet = stream.read_u8().await.ok()?;
        bytes.push(octet);
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let lines = head.lines().skip(1).map(|line| line.split_once(": ").unwrap());
    let headers: BTreeMap<String, String> =
        lines.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    Some((headers, body))
}
