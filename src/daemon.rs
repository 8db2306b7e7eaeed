//! The daemon put together: store, core, links and HTTP, started in order and stopped in order. Floor 5.
//!
//! `run`, `demo` and the tests all use [`Daemon`] as it is. What fails at the start is a [`StartError`] that
//! names an exit code; what fails later ends the whole daemon in order, and systemd starts it again.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::cli::{EXIT_CONFIG, EXIT_IO, EXIT_LOCKED};
use crate::clock::{BUILT, Clock, Now};
use crate::config::{Config, EventName, Modem, Smpp};
use crate::engine::core::{Core, Settings};
use crate::engine::imports::drop;
use crate::engine::memory::Memory;
use crate::engine::recover::RecoverError;
use crate::engine::reminders::ReminderSettings;
use crate::engine::run::{Loop, Parts, engine, quarantined};
use crate::engine::suppressions::Suppressions;
use crate::engine::{Engine, View, webhook};
use crate::http::{App, serve};
use crate::link::modem::connect::ModemConnect;
use crate::link::run::Connect;
use crate::link::smpp::connect::SmppConnect;
use crate::link::{self, LinkEnd, LinkFacts, LinkPort};
use crate::message::LinkName;
use crate::pace::Shared;
use crate::quota::Limits;
use crate::reminder::name::Key;
use crate::route::LaneClash;
use crate::store::{self, Opened, Options, Store, StoreError};

/// How long requests in flight may take at a stop.
const HTTP_GRACE: Duration = Duration::from_secs(5);
/// How much more time a start that goes on asks for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the watchdog hears of us, as a share of what systemd allows.
const WATCHDOG_SHARE: u32 = 3;

/// A modem sends one segment at a time, and a crash leaves no more than that unknown.
const MODEM_WINDOW: u16 = 1;

/// Why the daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("configuration: {0}")]
    Lanes(#[from] LaneClash),
    #[error("cannot listen: {0}")]
    Listen(io::Error),
    #[error(transparent)]
    Webhooks(#[from] webhook::StartError),
    #[error("cannot use the state directory {0}: {1}")]
    StateDir(String, io::Error),
}

impl StartError {
    fn exit_code(&self) -> ExitCode {
        match self {
            StartError::Store(StoreError::Locked(_)) => ExitCode::from(EXIT_LOCKED),
            StartError::Store(_) | StartError::StateDir(..) => ExitCode::from(EXIT_IO),
            StartError::Lanes(_) => ExitCode::from(EXIT_CONFIG),
            StartError::Webhooks(webhook::StartError::Store(_)) => ExitCode::from(EXIT_IO),
            StartError::Listen(_) | StartError::Webhooks(_) => ExitCode::FAILURE,
        }
    }
}

impl From<RecoverError> for StartError {
    fn from(error: RecoverError) -> StartError {
        match error {
            RecoverError::Store(error) => StartError::Store(error),
            RecoverError::Lanes(error) => StartError::Lanes(error),
        }
    }
}

/// Why a running daemon ended.
#[derive(Debug)]
pub enum Ended {
    /// It was asked to.
    Stopped,
    /// A write, a sync or a read of the state failed.
    Store(StoreError),
    /// A part that never ends did.
    Broken(&'static str),
}

impl Ended {
    fn exit_code(&self) -> ExitCode {
        match self {
            Ended::Stopped => ExitCode::SUCCESS,
            Ended::Store(_) => ExitCode::from(EXIT_IO),
            Ended::Broken(_) => ExitCode::FAILURE,
        }
    }
}

/// A running daemon.
pub struct Daemon {
    pub engine: Engine,
    /// Addresses it listens on, for people.
    pub addresses: Vec<String>,
    /// The first TCP address.
    pub address: Option<std::net::SocketAddr>,
    /// The first TCP address of payment links.
    pub redirect: Option<std::net::SocketAddr>,
    /// A daemon that is dropped leaves no thread behind.
    stop: DropGuard,
    /// Cancelled when the core's thread has ended.
    core_ended: CancellationToken,
    core: Option<JoinHandle<Result<(), StoreError>>>,
    tasks: JoinSet<&'static str>,
}

impl fmt::Debug for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Daemon({})", self.addresses.join(", "))
    }
}

impl Daemon {
    /// Opens the store, recovers, binds, and starts everything. Ready when it returns.
    pub async fn start(config: Config, clock: Clock) -> Result<Daemon, StartError> {
        Daemon::start_with(config, clock, Options::default()).await
    }

    /// The same with sizes of the store that are not the usual ones: tests and the demo need no large files.
    pub async fn start_with(config: Config, clock: Clock, options: Options) -> Result<Daemon, StartError> {
        make_state_dir(&config)?;
        let (stop, core_ended) = (CancellationToken::new(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        let (dir, now) = (config.state_dir.clone(), clock.now().wall);
        // Before the address: a second daemon of the same configuration must hear that there is a first.
        let opened = tokio::task::block_in_place(|| store::open(&dir.join("store"), options, now))?;
        let bound = serve::bind(&config.http).map_err(StartError::Listen)?;
        let redirects = serve::bind_redirect(&config.redirect).map_err(StartError::Listen)?;
        let addresses = bound.iter().map(ToString::to_string).collect();
        let address = bound.iter().find_map(serve::Bound::address);
        let (engine, core) = match opened {
            Opened::Ready { store, recovery } => {
                tracing::info!(event = "store_open", recovery = ?recovery);
                let started =
                    tokio::task::block_in_place(|| ready(&config, store, &clock, &stop, &mut tasks))?;
                (started.0, Some(spawn_core(started.1, core_ended.clone())?))
            }
            Opened::Quarantined { reader, why } => {
                tracing::error!(event = "quarantined", %why);
                let view =
                    reader.map_or_else(|| View::new(Arc::new(Memory::default())), |r| View::new(Arc::new(r)));
                let (engine, refuse) = quarantined(view, why, now, stop.clone());
                tasks.spawn(async move {
                    refuse.await;
                    "the quarantine"
                });
                (engine, None)
            }
        };
        let app = App::with_tables(engine.clone(), clock.clone(), &dir, config.queue.national_tables.clone());
        let redirect = redirects.iter().find_map(serve::Bound::address);
        spawn_imports(&config, (&app, redirects), &clock, &stop, &mut tasks);
        let http_stop = stop.clone();
        tasks.spawn(async move {
            if let Err(error) = serve::serve(bound, app, http_stop, HTTP_GRACE).await {
                tracing::error!(event = "http_failed", %error);
            }
            "the HTTP server"
        });
        let stop = stop.drop_guard();
        Ok(Daemon { engine, addresses, address, redirect, stop, core_ended, core, tasks })
    }

    /// Until the daemon ends by itself; nothing but `stop` ends a healthy one.
    pub async fn ended(&mut self) {
        tokio::select! {
            () = self.core_ended.cancelled(), if self.core.is_some() => {}
            Some(_) = self.tasks.join_next() => {}
        }
    }

    /// Stops in order: intake and leases, links, the last commit, the store; then says how it went.
    pub async fn stop(mut self) -> Ended {
        let asked = !self.core_ended.is_cancelled();
        self.stop.disarm().cancel();
        let result = match self.core.take() {
            Some(core) => tokio::task::spawn_blocking(move || core.join()).await,
            None => Ok(Ok(Ok(()))),
        };
        if !matches!(result, Ok(Ok(Ok(())))) {
            // Nothing more can be written down, so nothing is waited for.
            self.tasks.abort_all();
        }
        while self.tasks.join_next().await.is_some() {}
        match result {
            Ok(Ok(Ok(()))) if asked => Ended::Stopped,
            Ok(Ok(Ok(()))) => Ended::Broken("the core"),
            Ok(Ok(Err(error))) => Ended::Store(error),
            Ok(Err(_)) | Err(_) => Ended::Broken("the core"),
        }
    }
}

/// What the configuration asks for beside the API: the listener of payment links, and the drop folder.
fn spawn_imports(
    config: &Config,
    (app, redirects): (&App, Vec<serve::Bound>),
    clock: &Clock,
    stop: &CancellationToken,
    tasks: &mut JoinSet<&'static str>,
) {
    if !redirects.is_empty() {
        let (app, settings, stop) = (app.clone(), config.redirect.clone(), stop.clone());
        tasks.spawn(async move {
            if let Err(error) = serve::serve_redirect(redirects, app, settings, stop, HTTP_GRACE).await {
                tracing::error!(event = "http_failed", %error);
            }
            "the payment links"
        });
    }
    let (imports, asked) = (app.imports().clone(), stop.clone());
    tasks.spawn(async move {
        asked.cancelled().await;
        imports.finish().await;
        "the imports"
    });
    if let Some(directory) = config.payments.drop.clone() {
        let (imports, clock, stop) = (app.imports().clone(), clock.clone(), stop.clone());
        tasks.spawn(async move {
            drop::watch(directory, imports, clock, stop).await;
            "the drop folder"
        });
    }
}

fn make_state_dir(config: &Config) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let dir = &config.state_dir;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| StartError::StateDir(dir.display().to_string(), error))
}

/// What tokens of payment links are made from: random, made once, and kept out of the journal and its copies.
fn link_secret(state_dir: &Path) -> Result<[u8; 32], StartError> {
    let path = state_dir.join("link.key");
    let failed = |error| StartError::StateDir(path.display().to_string(), error);
    match std::fs::read(&path) {
        Ok(octets) => {
            let wrong =
                |_| failed(io::Error::other("must hold 32 octets; remove it and links get new tokens"));
            octets.try_into().map_err(wrong)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut secret = [0; 32];
            getrandom::fill(&mut secret).map_err(|error| failed(io::Error::other(error.to_string())))?;
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
            file.write_all(&secret).and_then(|()| file.sync_all()).map_err(failed)?;
            Ok(secret)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Recovers the core from the store and starts its links.
fn ready(
    config: &Config,
    mut store: Store,
    clock: &Clock,
    stop: &CancellationToken,
    tasks: &mut JoinSet<&'static str>,
) -> Result<(Engine, Loop), StartError> {
    let settings = settings(config, link_secret(&config.state_dir)?);
    let now = clock.now();
    let core = match recover(settings, &mut store, now) {
        Err(RecoverError::Store(StoreError::Damaged(why))) => {
            store.suspect(&why)?;
            return Err(StoreError::Damaged(why).into());
        }
        other => other?,
    };
    let mut core = core.limit(limits(config), &store.reader(), now)?;
    heed_restore(&config.state_dir, &mut core, &mut store, now)?;
    let suppressions = heed_suppressions(&config.state_dir, &mut core, &mut store, now)?;
    let bell = Arc::new(Notify::new());
    let ports = start_links(config, &bell, clock, tasks)?;
    let min_free = config.queue.min_free;
    let (clock, stop) = (clock.clone(), stop.clone());
    let parts = Parts { store, core, suppressions, ports, bell, clock: clock.clone(), min_free, stop };
    let (engine, runner) = engine(parts);
    let webhooks = webhook::start(&config.webhooks, &engine, &clock, tasks)?;
    Ok((engine.with_webhooks(webhooks), runner))
}

/// What each link may send.
pub(crate) fn limits(config: &Config) -> BTreeMap<LinkName, Limits> {
    let modems = config.modems.iter().map(|modem| {
        let Modem { name, quota, recipients, sticky, .. } = modem;
        (name.clone(), Limits { segments: quota.clone(), recipients: *recipients, sticky: *sticky })
    });
    let binds = config
        .smpp
        .iter()
        .map(|bind| (bind.name.clone(), Limits { segments: bind.quota.clone(), ..Limits::default() }));
    modems.chain(binds).collect()
}

/// A file `restored` beside the store says that it came from a backup; it goes once that is written down.
fn heed_restore(state_dir: &Path, core: &mut Core, store: &mut Store, now: Now) -> Result<(), StartError> {
    let marker = state_dir.join("restored");
    let failed = |error| StartError::StateDir(marker.display().to_string(), error);
    if !marker.try_exists().map_err(failed)? {
        return Ok(());
    }
    let batch = core.restored(&store.reader(), now)?;
    store.commit(&batch, now.wall)?;
    std::fs::remove_file(&marker).map_err(failed)
}

/// The list of opt-outs beside the store: what it knows and a state from a backup does not is taken over, before
/// anything goes.
fn heed_suppressions(
    state_dir: &Path,
    core: &mut Core,
    store: &mut Store,
    now: Now,
) -> Result<Suppressions, StoreError> {
    let (mut suppressions, mut told) = Suppressions::open(state_dir, core)?;
    while let Some(batch) = core.catch_up(&mut told, &store.reader(), now)? {
        store.commit(&batch, now.wall)?;
    }
    suppressions.settle(&told, core, &store.reader(), now)?;
    Ok(suppressions)
}

/// What the core is told; the links in the order of `[[modem]]`, then `[[smpp]]`.
pub(crate) fn settings(config: &Config, link_secret: [u8; 32]) -> Settings {
    let links = config.modems.iter().map(modem_facts).chain(config.smpp.iter().map(smpp_facts));
    Settings {
        queue: config.queue.clone(),
        inbound: config.inbound.clone(),
        routes: config.routes.clone(),
        links: links.collect(),
        clock_floor: BUILT,
        reminders: ReminderSettings {
            home: config.timezone.clone(),
            link_secret,
            redirect: Some(config.redirect.base.clone()).filter(|base| !base.is_empty()),
            route_classes: route_classes(config),
            takes_payments: config.webhooks.iter().any(|hook| hook.takes(EventName::PaymentRequested)),
        },
    }
}

fn route_classes(config: &Config) -> BTreeMap<LinkName, Key> {
    let modems = config.modems.iter().map(|modem| (&modem.name, &modem.route_class));
    let binds = config.smpp.iter().map(|smpp| (&smpp.name, &smpp.route_class));
    let named = |(name, class): (&LinkName, &Option<Key>)| Some((name.clone(), class.clone()?));
    modems.chain(binds).filter_map(named).collect()
}

fn modem_facts(modem: &Modem) -> LinkFacts {
    // References of a SIM mean nothing elsewhere, and a modem takes one message at a time.
    let (name, account) = (modem.name.clone(), modem.name.clone());
    LinkFacts { name, account, kind: "modem", window: MODEM_WINDOW }
}

fn smpp_facts(smpp: &Smpp) -> LinkFacts {
    let (name, account) = (smpp.name.clone(), smpp.account.clone());
    LinkFacts { name, account, kind: "smpp", window: smpp.window }
}

/// In the order of [`Settings::links`].
fn start_links(
    config: &Config,
    bell: &Arc<Notify>,
    clock: &Clock,
    tasks: &mut JoinSet<&'static str>,
) -> Result<Vec<LinkPort>, StartError> {
    let now = clock.now();
    let mut ports = Vec::new();
    for modem in &config.modems {
        let connect = ModemConnect::new(modem.clone(), &config.state_dir, clock.clone());
        let connect =
            connect.map_err(|error| StartError::StateDir(config.state_dir.display().to_string(), error))?;
        let (port, end) = link::channel(modem_facts(modem), bell.clone(), now.wall);
        ports.push(port);
        spawn_link(connect, end, clock.clone(), tasks);
    }
    // The carrier throttles the account, not the bind.
    let mut paces = HashMap::new();
    for smpp in &config.smpp {
        let (port, end) = link::channel(smpp_facts(smpp), bell.clone(), now.wall);
        ports.push(port);
        let account = paces.entry(&smpp.account).or_insert_with(|| Shared::new(now.mono));
        spawn_link(SmppConnect::new(smpp.clone(), account, clock.clone()), end, clock.clone(), tasks);
    }
    Ok(ports)
}

/// The core as the store has it, with everything a crash or another configuration changed written down.
fn recover(settings: Settings, store: &mut Store, now: Now) -> Result<Core, RecoverError> {
    let (mut core, batch) = Core::recover(settings, &store.reader(), now)?;
    store.commit(&batch, now.wall)?;
    loop {
        let moved = core.move_lanes(&store.reader(), now)?;
        if moved.is_empty() {
            return Ok(core);
        }
        store.commit(&moved, now.wall)?;
    }
}

fn spawn_link(
    connect: impl Connect + 'static,
    end: LinkEnd,
    clock: Clock,
    tasks: &mut JoinSet<&'static str>,
) {
    // Only the jitter of the back-off comes from it: links must not knock in step.
    let mut seed = [0; 8];
    if let Err(error) = getrandom::fill(&mut seed) {
        tracing::warn!(event = "no_randomness", %error);
    }
    tasks.spawn(async move {
        link::run::run(connect, end, clock, u64::from_le_bytes(seed)).await;
        "a link"
    });
}

fn spawn_core(
    runner: Loop,
    ended: CancellationToken,
) -> Result<JoinHandle<Result<(), StoreError>>, StartError> {
    let thread = std::thread::Builder::new().name(String::from("core"));
    let body = move || {
        // Dropped however the thread ends, a panic included.
        let _ended = ended.drop_guard();
        runner.run()
    };
    let doing = String::from("starting the core's thread");
    thread.spawn(body).map_err(|source| StartError::Store(StoreError::Io { doing, source }))
}

/// `nudged run`: the daemon until a signal, under systemd's eyes where it runs there.
pub fn main(config: Config) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(event = "runtime_failed", %error);
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(run(config))
}

async fn run(config: Config) -> ExitCode {
    let clock = Clock::system();
    // From here on a stop that is asked for is one in order, however far the start has come.
    let asked = crate::cli::signal();
    let patience = tokio::spawn(ask_patience(clock.clone()));
    let started = Daemon::start(config, clock.clone()).await;
    patience.abort();
    let mut daemon = match started {
        Ok(daemon) => daemon,
        Err(error) => {
            tracing::error!(event = "start_failed", %error);
            return error.exit_code();
        }
    };
    for address in &daemon.addresses {
        println!("listening on {address}");
    }
    notify(&[sd_notify::NotifyState::Ready]);
    let watchdog = tokio::spawn(feed_watchdog(daemon.engine.clone(), clock));
    tokio::select! {
        () = asked => {}
        () = daemon.ended() => {}
    }
    notify(&[sd_notify::NotifyState::Stopping]);
    let ended = daemon.stop().await;
    watchdog.abort();
    match &ended {
        Ended::Stopped => tracing::info!(event = "stopped"),
        Ended::Store(error) => tracing::error!(event = "store_failed", %error),
        Ended::Broken(part) => tracing::error!(event = "part_ended", part),
    }
    ended.exit_code()
}

/// Recovery may take long (a rebuild reads the whole journal), so systemd hears that it goes on.
async fn ask_patience(clock: Clock) {
    loop {
        notify(&[sd_notify::NotifyState::ExtendTimeoutUsec(PATIENCE.as_micros() as u32)]);
        clock.sleep(PATIENCE / 3).await;
    }
}

/// Feeds the watchdog only while the core answers.
async fn feed_watchdog(engine: Engine, clock: Clock) {
    let Some(allowed) = sd_notify::watchdog_enabled() else { return };
    loop {
        clock.sleep(allowed / WATCHDOG_SHARE).await;
        if clock.within(allowed / WATCHDOG_SHARE, engine.ping()).await == Some(true) {
            notify(&[sd_notify::NotifyState::Watchdog]);
        }
    }
}

/// Nobody listens outside systemd, and then nothing is sent.
fn notify(states: &[sd_notify::NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(event = "notify_failed", %error);
    }
}
