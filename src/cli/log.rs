//! The log: to standard error, a line an event, whatever an event holds.
//!
//! Under systemd each line begins with its priority, `<N>` of sd-daemon(3), and has no time, which the
//! journal adds. Control characters from outside are shown escaped, so that no text forges a line or
//! speaks to a terminal.

use std::fmt;
use std::os::unix::fs::MetadataExt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::plain;

#[derive(Clone, Debug, clap::Args)]
pub struct LogArgs {
    /// error, warn, info, debug or trace; also by module, as in info,nudged::link=debug
    #[arg(long, value_name = "LEVEL", env = "RUST_LOG", default_value = "info", value_parser = filter_text)]
    log_level: String,
    /// Form of the log lines
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl LogArgs {
    /// Warnings only, for a command whose output is for reading; `RUST_LOG` still has its way.
    pub fn warnings() -> LogArgs {
        let wished = std::env::var("RUST_LOG").ok().and_then(|text| filter_text(&text).ok());
        let log_level = wished.unwrap_or_else(|| String::from("warn"));
        LogArgs { log_level, log_format: LogFormat::Text }
    }
}

fn filter_text(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Begins to log. A second call changes nothing: the process has one log.
pub fn start(args: &LogArgs) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&args.log_level))
        .with_writer(std::io::stderr)
        .with_ansi(false);
    let begun = match (args.log_format, goes_to_journal()) {
        (LogFormat::Json, _) => builder.json().try_init(),
        (LogFormat::Text, true) => builder.event_format(Journal(Format::default().without_time())).try_init(),
        (LogFormat::Text, false) => builder.event_format(Terminal(Format::default())).try_init(),
    };
    if let Err(error) = begun {
        tracing::debug!(event = "log_started_before", %error);
    }
}

/// `JOURNAL_STREAM` names the device and inode of the stream that systemd made, and is inherited by
/// children whose standard error is another one (systemd.exec(5)).
fn goes_to_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else { return false };
    stream == format!("{}:{}", stderr.dev(), stderr.ino())
}

struct Terminal<T>(Format<Full, T>);

struct Journal(Format<Full, ()>);

impl<S, N, T> FormatEvent<S, N> for Terminal<T>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    Format<Full, T>: FormatEvent<S, N>,
{
    fn format_event(&self, at: &FmtContext<'_, S, N>, to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        one_line(&self.0, at, to, event)
    }
}

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, at: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        write!(to, "<{}>", priority(*event.metadata().level()))?;
        one_line(&self.0, at, to, event)
    }
}

fn one_line<S, N, F>(
    format: &F,
    at: &FmtContext<'_, S, N>,
    mut to: Writer<'_>,
    event: &Event<'_>,
) -> fmt::Result
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    let mut line = String::new();
    format.format_event(at, Writer::new(&mut line), event)?;
    writeln!(to, "{}", plain(line.trim_end_matches('\n')))
}

/// The priorities of syslog(3).
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_with_its_priority_whatever_it_holds() {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .event_format(Journal(Format::default().without_time()))
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let hostile = "x\n<0>forged\u{1b}[2J";
            tracing::warn!(sender = %hostile, "taken: {hostile}");
        });
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(text.starts_with("<4>") && !text.contains('\u{1b}'), "{text:?}");
    }

    #[test]
    fn a_filter_that_makes_no_sense_is_refused() {
        assert!(filter_text("info,nudged::link=debug").is_ok());
        assert!(filter_text("info,nudged=loud").is_err());
    }
}
