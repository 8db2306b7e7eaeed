//! What is measured and what it is measured against: the simulated SMSC, the daemon and Kannel, each started
//! as an ordinary process in a directory of its own.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Fallible;
use crate::client::{self, Door, recipient_of, text_of};
use crate::process::{Process, until};

/// The program under test: the one built by the same cargo run, unless `NUDGED` names another.
pub fn program() -> String {
    std::env::var("NUDGED").unwrap_or_else(|_| String::from(env!("CARGO_BIN_EXE_nudged")))
}

/// The simulated SMSC and what it has seen.
#[derive(Debug)]
pub struct Sim {
    #[expect(dead_code, reason = "it ends when it is dropped")]
    process: Process,
    pub address: SocketAddr,
    pub control: SocketAddr,
    pub wire: PathBuf,
}

/// The counts of the SMSC that matter here.
#[derive(Debug, serde::Deserialize)]
pub struct Stats {
    pub received: u64,
    pub in_flight: u64,
    pub most_in_flight: u64,
    pub delivered: u64,
    pub receipts_asked: u64,
}

impl Sim {
    pub fn start(dir: &Path, delay: Duration) -> Fallible<Sim> {
        let wire = dir.join("wire");
        let mut command = Command::new(program());
        command.args(["sim", "smsc", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--quiet"]);
        command.arg("--delay").arg(format!("{}ms", delay.as_millis())).arg("--wire").arg(&wire);
        let (process, lines) = Process::start_and_read(&mut command, 2)?;
        let address = |line: &str| line.rsplit(' ').next().unwrap_or_default().parse::<SocketAddr>();
        Ok(Sim { process, address: address(&lines[0])?, control: address(&lines[1])?, wire })
    }

    pub fn stats(&self) -> Fallible<Stats> {
        let (_, body) = client::ask(self.control, "GET /stats HTTP/1.1\r\nHost: sim\r\n\r\n")?;
        Ok(serde_json::from_str(&body)?)
    }

    /// Until it has taken and answered `count` messages and has delivered every receipt.
    pub fn settled(&self, count: u64) -> Fallible<Stats> {
        let (mut last, mut still) = (0, 0);
        loop {
            let stats = self.stats()?;
            if stats.received >= count && stats.in_flight == 0 && stats.delivered >= stats.receipts_asked {
                return Ok(stats);
            }
            let moved = stats.received + stats.delivered;
            still = if moved == last { still + 1 } else { 0 };
            last = moved;
            if still == 200 {
                return Err(
                    format!("the SMSC has {} of {count} messages and no more come", stats.received).into()
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A simulated modem on a pty of its own.
#[derive(Debug)]
pub struct Gsm {
    #[expect(dead_code, reason = "it ends when it is dropped")]
    process: Process,
    pub port: PathBuf,
    pub control: SocketAddr,
    pub wire: PathBuf,
}

impl Gsm {
    pub fn start(dir: &Path, name: &str, service_time: Duration) -> Fallible<Gsm> {
        let (port, wire) = (dir.join(name), dir.join(format!("{name}.wire")));
        let mut command = Command::new(program());
        command.args(["sim", "modem", "--control", "127.0.0.1:0", "--quiet", "--link"]).arg(&port);
        command.arg("--service-time").arg(format!("{}ms", service_time.as_millis()));
        command.arg("--wire").arg(&wire);
        let (process, lines) = Process::start_and_read(&mut command, 2)?;
        let control = lines[1].rsplit(' ').next().unwrap_or_default().parse()?;
        Ok(Gsm { process, port, control, wire })
    }
}

/// One bind to the SMSC as a table of the configuration.
pub fn bind(name: &str, smsc: SocketAddr, window: u16) -> String {
    format!(
        "[[smpp]]\nname = \"{name}\"\naddress = \"{smsc}\"\nsystem_id = \"acme\"\n\
         password_file = \"carrier.pw\"\nwindow = {window}\nsender = \"ACME\"\n"
    )
}

/// The modem as a table of the configuration.
pub fn modem(name: &str, gsm: &Gsm) -> String {
    format!(
        "[[modem]]\nname = \"{name}\"\nport = \"{}\"\nrate = \"unlimited\"\nquota = []\nrecipients = \"unlimited\"\n",
        gsm.port.display()
    )
}

/// A reply of `from` by a simulator's control address; `to` is for a carrier, a modem has its own number.
pub fn reply(control: SocketAddr, from: &str, to: Option<&str>, text: &str) -> Fallible<()> {
    let body = serde_json::json!({ "from": from, "to": to, "text": text }).to_string();
    let head = "POST /reply HTTP/1.1\r\nHost: sim\r\nContent-Type: application/json";
    let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let (status, answer) = client::ask(control, &request)?;
    if status < 300 { Ok(()) } else { Err(format!("reply: {status} {answer}").into()) }
}

/// Writes the configuration and the carrier's password to `dir`; `links`: what comes after `[http]`.
pub fn configuration(dir: &Path, links: &str) -> Fallible<PathBuf> {
    let (config, password) = (dir.join("nudged.toml"), dir.join("carrier.pw"));
    fs::write(&password, "secret\n")?;
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600))?;
    fs::write(&config, format!("state_dir = \"state\"\n[http]\nlisten = [\"127.0.0.1:0\"]\n{links}"))?;
    Ok(config)
}

/// A daemon on the configuration in `dir`, and where it listens.
fn launch(mut command: Command, dir: &Path) -> Fallible<(Process, SocketAddr)> {
    command.args(["run", "--config"]).arg(dir.join("nudged.toml"));
    command.stderr(fs::File::create(dir.join("nudged.log"))?);
    let (process, lines) = Process::start_and_read(&mut command, 1)?;
    let address = lines[0].rsplit(' ').next().unwrap_or_default().trim_start_matches("http://");
    Ok((process, address.trim_end_matches('/').parse()?))
}

/// The daemon with one bind to an SMSC.
#[derive(Debug)]
pub struct Nudged {
    pub process: Process,
    pub address: SocketAddr,
    pub token: String,
    pub receipt: bool,
}

impl Nudged {
    pub fn start(dir: &Path, smsc: SocketAddr, window: u16) -> Fallible<Nudged> {
        Nudged::start_under(Command::new(program()), dir, smsc, window)
    }

    /// `command` runs the program, directly or under a tracer.
    pub fn start_under(command: Command, dir: &Path, smsc: SocketAddr, window: u16) -> Fallible<Nudged> {
        Nudged::start_with(command, dir, &bind("carrier", smsc, window))
    }

    /// `links`: what of the configuration comes after `[http]`.
    pub fn start_with(command: Command, dir: &Path, links: &str) -> Fallible<Nudged> {
        let config = configuration(dir, links)?;
        let (process, address) = launch(command, dir)?;
        let token = Command::new(program())
            .args(["token", "add", "bench", "--scope", "send,read,admin,reminders", "--config"])
            .arg(&config)
            .stderr(Stdio::inherit())
            .output()?;
        let token = String::from_utf8(token.stdout)?.trim().to_owned();
        let nudged = Nudged { process, address, token, receipt: false };
        nudged.until_ready()?;
        until("the token to be known", || Ok(nudged.call("GET", "/v1/status")?.0 == 200))?;
        Ok(nudged)
    }

    /// Ends it and starts it on what it left; from exec to ready.
    pub fn start_again(&mut self, dir: &Path) -> Fallible<Duration> {
        self.process.stop()?;
        let began = Instant::now();
        (self.process, self.address) = launch(Command::new(program()), dir)?;
        self.until_ready()?;
        Ok(began.elapsed())
    }

    fn until_ready(&self) -> Fallible<()> {
        until("the daemon to be ready", || {
            let (status, _) = client::ask(self.address, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
            Ok(status == 200)
        })
    }

    pub fn call(&self, method: &str, path: &str) -> Fallible<(u16, String)> {
        let Nudged { token, .. } = self;
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n");
        client::ask(self.address, &format!("{head}Content-Length: 0\r\n\r\n"))
    }

    pub fn pause(&self, on: bool) -> Fallible<()> {
        let (status, body) = self.call("POST", if on { "/v1/pause" } else { "/v1/resume" })?;
        if status < 300 { Ok(()) } else { Err(format!("pause: {status} {body}").into()) }
    }

    /// Commits so far: journal appends with their fdatasync.
    pub fn commits(&self) -> Fallible<u64> {
        let (_, body) = self.call("GET", "/metrics")?;
        let line = body.lines().find_map(|line| line.strip_prefix("nudged_store_commit_seconds_count "));
        Ok(line.ok_or("no nudged_store_commit_seconds_count")?.trim().parse()?)
    }
}

impl Door for Nudged {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn request(&self, number: u32, out: &mut Vec<u8>) {
        post(&self.token, number, self.receipt, out);
    }
}

/// The request to nudged for message `number`.
pub fn post(token: &str, number: u32, receipt: bool, out: &mut Vec<u8>) {
    let (to, text) = (recipient_of(number), text_of(number));
    let receipt = if receipt { "" } else { ",\"receipt\":false" };
    let body = format!("{{\"to\":\"+{to}\",\"text\":\"{text}\"{receipt}}}");
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body.as_bytes());
}

/// Kannel as Debian ships it: bearerbox and smsbox, file store, one transceiver bind.
#[derive(Debug)]
pub struct Kannel {
    pub bearerbox: Process,
    pub smsbox: Process,
    address: SocketAddr,
}

impl Kannel {
    pub fn start(dir: &Path, smsc: SocketAddr, window: u16) -> Fallible<Kannel> {
        let [admin, box_port, sendsms] = free_ports()?;
        let config = dir.join("kannel.conf");
        let here = dir.display();
        let text = format!(
            "group = core\nadmin-port = {admin}\nadmin-interface = 127.0.0.1\nadmin-password = bench\n\
             smsbox-port = {box_port}\nsmsbox-interface = 127.0.0.1\nlog-file = \"{here}/bearerbox.log\"\n\
             log-level = 2\nstore-type = file\nstore-location = \"{here}/kannel.store\"\n\n\
             group = smsc\nsmsc = smpp\nsmsc-id = carrier\nhost = {host}\nport = {port}\n\
             transceiver-mode = true\nsmsc-username = acme\nsmsc-password = secret\nsystem-type = \"\"\n\
             max-pending-submits = {window}\nreconnect-delay = 1\n\n\
             group = smsbox\nbearerbox-host = 127.0.0.1\nbearerbox-port = {box_port}\nsendsms-port = {sendsms}\n\
             sendsms-interface = 127.0.0.1\nlog-file = \"{here}/smsbox.log\"\nlog-level = 2\n\n\
             group = sendsms-user\nusername = bench\npassword = bench\nmax-messages = 1\n",
            host = smsc.ip(),
            port = smsc.port(),
        );
        fs::write(&config, text)?;
        let run = |program: &str| {
            let mut command = Command::new(program);
            command.arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
            Process::start(&mut command)
        };
        let bearerbox = run("bearerbox")?;
        until("bearerbox", || Ok(std::net::TcpStream::connect(("127.0.0.1", box_port)).is_ok()))?;
        let smsbox = run("smsbox")?;
        let status = |port| {
            client::ask(SocketAddr::from(([127, 0, 0, 1], port)), "GET /status HTTP/1.1\r\nHost: k\r\n\r\n")
        };
        until("Kannel's bind", || Ok(status(admin).is_ok_and(|(_, body)| body.contains("online"))))?;
        let address = SocketAddr::from(([127, 0, 0, 1], sendsms));
        until("smsbox", || Ok(std::net::TcpStream::connect(address).is_ok()))?;
        Ok(Kannel { bearerbox, smsbox, address })
    }
}

impl Door for Kannel {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn request(&self, number: u32, out: &mut Vec<u8>) {
        let (to, text) = (recipient_of(number), text_of(number).replace(' ', "+").replace(',', "%2C"));
        let path = format!("/cgi-bin/sendsms?username=bench&password=bench&from=12345&to={to}&text={text}");
        let request = format!("GET {path} HTTP/1.1\r\nHost: kannel\r\nConnection: keep-alive\r\n\r\n");
        out.extend_from_slice(request.as_bytes());
    }
}

/// Ports nobody listens on now: Kannel cannot take one of the system's choice.
fn free_ports() -> Fallible<[u16; 3]> {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0"));
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(listeners) {
        *port = listener?.local_addr()?.port();
    }
    Ok(ports)
}
