//! What the client commands share: one call of the HTTP API and what becomes of its answer.
//!
//! Invariants: the token goes to the named address only (no proxy, no redirect); nothing an answer holds
//! reaches the terminal raw. Exit codes: 0, 1 refused, 64 usage, 69 nobody answered.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, Url};
use serde_json::Value;

use super::{EXIT_UNREACHABLE, EXIT_USAGE, answer, plain};

/// The API answers within ten seconds whatever it is asked; beyond that nobody is there.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// A whole list goes out as it is read: a million rows take minutes.
const COPIED_WITHIN: Duration = Duration::from_secs(3_600);
/// A page of 500 messages of the longest texts stays well below.
const ANSWER_MAX: usize = 32 << 20;

#[derive(Clone, Debug, clap::Args)]
pub struct Server {
    /// Address of the daemon: http://HOST:PORT or unix:/PATH
    #[arg(long, value_name = "URL", env = "NUDGED_URL", default_value = "http://127.0.0.1:8025")]
    url: String,
    /// API token
    #[arg(long, value_name = "TOKEN", env = "NUDGED_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    pub method: Method,
    /// Segments of the path below the address; each is percent-encoded as it goes.
    pub path: &'a [&'a str],
    pub query: Vec<(&'static str, String)>,
    pub body: Option<Body>,
    pub idempotency_key: Option<String>,
    /// How long the answer may take.
    pub within: Duration,
}

/// What a request carries.
#[derive(Clone, Debug)]
pub enum Body {
    Json(Value),
    Csv(Vec<u8>),
    /// A file of another media type.
    File(&'static str, Vec<u8>),
}

/// Why a client command ends without an answer to show; each has its exit code.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("no daemon answers at {url}: {why}")]
    Unreachable { url: String, why: String },
    /// It went out, and whether it was taken is not known.
    #[error("{url} did not answer: {why}; whether the request was taken is not known")]
    NoAnswer { url: String, why: String },
    #[error("{url} is not a nudged daemon: {why}")]
    Stranger { url: String, why: String },
    #[error("{0}")]
    Refused(String),
    #[error("{}: {why}", path.display())]
    File { path: PathBuf, why: std::io::Error },
}

impl Failure {
    /// Says it, and gives the exit code.
    pub fn tell(&self) -> ExitCode {
        eprintln!("nudged: {}", plain(&self.to_string()));
        self.code()
    }

    fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Usage(_) => EXIT_USAGE,
            Failure::Refused(_) | Failure::File { .. } => 1,
            Failure::Unreachable { .. } | Failure::NoAnswer { .. } | Failure::Stranger { .. } => {
                EXIT_UNREACHABLE
            }
        })
    }
}

impl Call<'_> {
    pub fn get<'a>(path: &'a [&'a str]) -> Call<'a> {
        let (query, body, idempotency_key) = (Vec::new(), None, None);
        Call { method: Method::GET, path, query, body, idempotency_key, within: ANSWER_WITHIN }
    }

    pub fn post<'a>(path: &'a [&'a str]) -> Call<'a> {
        Call { method: Method::POST, ..Call::get(path) }
    }
}

impl Server {
    /// Makes the call and prints its answer: as it came with `--json`, else as `show` has it.
    pub fn run(&self, call: Call<'_>, show: impl Fn(&Value) -> String) -> ExitCode {
        self.run_judged(call, show, |_| ExitCode::SUCCESS)
    }

    /// The same, where an answer can say that not all of it was done.
    pub fn run_judged(
        &self,
        call: Call<'_>,
        show: impl Fn(&Value) -> String,
        judge: impl Fn(&Value) -> ExitCode,
    ) -> ExitCode {
        match self.wait(self.exchange(call)) {
            Ok(value) if self.json => answer(&format!("{value}\n"), judge(&value)),
            Ok(value) => answer(&show(&value), judge(&value)),
            Err(failure) => failure.tell(),
        }
    }

    /// Makes the call, for commands that make several.
    pub fn ask(&self, call: Call<'_>) -> Result<Value, Failure> {
        self.wait(self.exchange(call))
    }

    /// The answer is for a program.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Makes the call and copies its answer to standard output as it comes: a file, of any length.
    pub fn copy(&self, call: Call<'_>) -> ExitCode {
        match self.wait(self.download(call)) {
            Ok(code) => code,
            Err(failure) => failure.tell(),
        }
    }

    /// The same into a file, which is there whole or not at all.
    pub fn copy_to(&self, call: Call<'_>, file: &Path) -> ExitCode {
        let mut part = file.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let done = self.wait(self.save(call, &part));
        let kept = match done {
            Ok(()) => {
                std::fs::rename(&part, file).map_err(|why| Failure::File { path: file.to_owned(), why })
            }
            Err(failure) => Err(failure),
        };
        match kept {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                if let Err(error) = std::fs::remove_file(&part)
                    && error.kind() != std::io::ErrorKind::NotFound
                {
                    eprintln!("nudged: {}: {error}", part.display());
                }
                failure.tell()
            }
        }
    }

    async fn save(&self, call: Call<'_>, file: &Path) -> Result<(), Failure> {
        let failed = |why| Failure::File { path: file.to_owned(), why };
        let request = self.request(call)?.timeout(COPIED_WITHIN);
        let mut response = request.send().await.map_err(|error| self.lost(&error))?;
        if !response.status().is_success() {
            return self.judge(response).await.map(|_| ());
        }
        let mut out = std::fs::File::create(file).map_err(failed)?;
        while let Some(chunk) = response.chunk().await.map_err(|error| self.lost(&error))? {
            out.write_all(&chunk).map_err(failed)?;
        }
        out.sync_all().map_err(failed)
    }

    fn wait<T>(&self, exchange: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| self.unreachable(error.to_string()))?;
        runtime.block_on(exchange)
    }

    async fn download(&self, call: Call<'_>) -> Result<ExitCode, Failure> {
        let request = self.request(call)?.timeout(COPIED_WITHIN);
        let mut response = request.send().await.map_err(|error| self.lost(&error))?;
        if !response.status().is_success() {
            return self.judge(response).await.map(|_| ExitCode::FAILURE);
        }
        while let Some(chunk) = response.chunk().await.map_err(|error| self.lost(&error))? {
            let mut out = std::io::stdout().lock();
            match out.write_all(&chunk).and_then(|()| out.flush()) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => break,
                Err(error) => {
                    eprintln!("nudged: standard output: {error}");
                    return Ok(ExitCode::FAILURE);
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn exchange(&self, call: Call<'_>) -> Result<Value, Failure> {
        let response = self.request(call)?.send().await.map_err(|error| self.lost(&error))?;
        self.judge(response).await
    }

    async fn judge(&self, response: Response) -> Result<Value, Failure> {
        let status = response.status();
        let retry_after = header(&response, "retry-after");
        let bytes = self.read(response).await?;
        let value: Option<Value> = serde_json::from_slice(&bytes).ok();
        match value {
            Some(value) if status.is_success() => Ok(value),
            None if status.is_success() && bytes.is_empty() => Ok(Value::Null),
            Some(problem) if problem.get("title").is_some() => {
                Err(Failure::Refused(refusal(status.as_u16(), &problem, retry_after)))
            }
            _ => Err(Failure::Stranger {
                url: self.url.clone(),
                why: format!("it answered {status} without JSON of ours"),
            }),
        }
    }

    fn request(&self, call: Call<'_>) -> Result<RequestBuilder, Failure> {
        let builder = reqwest::Client::builder()
            .timeout(call.within)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        let (builder, base) = match self.url.strip_prefix("unix:") {
            Some(path) => (builder.unix_socket(path), "http://localhost"),
            None => (builder, self.url.as_str()),
        };
        let client = builder.build().map_err(|error| self.unreachable(causes(&error)))?;
        let url = address(base, &call)?;
        let mut request = client.request(call.method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = call.idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        Ok(match call.body {
            Some(Body::Json(value)) => request.json(&value),
            Some(Body::Csv(file)) => request.header("Content-Type", "text/csv; charset=utf-8").body(file),
            Some(Body::File(media, file)) => request.header("Content-Type", media).body(file),
            None => request,
        })
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.lost(&error))? {
            if bytes.len() + chunk.len() > ANSWER_MAX {
                let why = format!("its answer is larger than {ANSWER_MAX} octets");
                return Err(Failure::Stranger { url: self.url.clone(), why });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn lost(&self, error: &reqwest::Error) -> Failure {
        if error.is_builder() {
            return Failure::Usage(format!("the request cannot be made: {}", causes(error)));
        }
        if error.is_connect() {
            return self.unreachable(causes(error));
        }
        Failure::NoAnswer { url: self.url.clone(), why: causes(error) }
    }

    fn unreachable(&self, why: String) -> Failure {
        Failure::Unreachable { url: self.url.clone(), why }
    }
}

fn address(base: &str, call: &Call<'_>) -> Result<Url, Failure> {
    let bad = |why: &str| Failure::Usage(format!("{base} is not the address of a daemon: {why}"));
    let mut url = Url::parse(base).map_err(|error| bad(&error.to_string()))?;
    if url.scheme() != "http" {
        return Err(bad("write http://HOST:PORT or unix:/PATH"));
    }
    url.path_segments_mut().map_err(|()| bad("it has no path"))?.pop_if_empty().extend(call.path);
    if !call.query.is_empty() {
        url.query_pairs_mut().extend_pairs(&call.query);
    }
    Ok(url)
}

/// reqwest's own text leaves out what lies beneath, which is what a person needs.
fn causes(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// An RFC 9457 problem as one line and a line for each field.
fn refusal(status: u16, problem: &Value, retry_after: Option<String>) -> String {
    let text = |key: &str| problem.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut told = format!("refused ({status}): {}", text("title"));
    if !text("detail").is_empty() {
        told = format!("{told}: {}", text("detail"));
    }
    for error in problem.get("errors").and_then(Value::as_array).into_iter().flatten() {
        told = format!("{told}; {}: {}", field(error, "field"), field(error, "why"));
    }
    match retry_after {
        Some(seconds) => format!("{told}; try again in {seconds} s"),
        None => told,
    }
}

/// One field of an object for a person: empty where it is absent or null.
pub fn field(object: &Value, key: &str) -> String {
    match object.get(key) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => plain(text),
        Some(other) => plain(&other.to_string()),
    }
}

/// Rows with the named columns, each as wide as its widest entry.
pub fn table(rows: &[Value], columns: &[&str]) -> String {
    let heads = columns.iter().map(|column| column.to_uppercase()).collect();
    let lines: Vec<Vec<String>> = std::iter::once(heads)
        .chain(rows.iter().map(|row| columns.iter().map(|column| field(row, column)).collect()))
        .collect();
    let width =
        |at: usize| lines.iter().map(|line: &Vec<String>| line[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<String> =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Any value as `key: value` lines, what lies within another indented below it.
pub fn outline(value: &Value) -> String {
    let mut text = String::new();
    write_outline(&mut text, value, 0);
    text
}

fn write_outline(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(object) => {
            for (key, inner) in object {
                if is_leaf(inner) {
                    text.push_str(&format!("{indent}{}: {}\n", plain(key), field(value, key)));
                } else {
                    text.push_str(&format!("{indent}{}:\n", plain(key)));
                    write_outline(text, inner, depth + 1);
                }
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                text.push_str(&format!("{indent}{}.\n", index + 1));
                write_outline(text, inner, depth + 1);
            }
        }
        Value::Null => {}
        Value::String(leaf) => text.push_str(&format!("{indent}{}\n", plain(leaf))),
        other => text.push_str(&format!("{indent}{other}\n")),
    }
}

fn is_leaf(value: &Value) -> bool {
    match value {
        Value::Object(object) => object.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn url(base: &str, call: &Call<'_>) -> Result<String, Failure> {
        address(base, call).map(String::from)
    }

    #[test]
    fn path_and_query_are_encoded() {
        let mut call = Call::get(&["v1", "links", "../a b"]);
        assert_eq!(url("http://h:1/", &call).unwrap(), "http://h:1/v1/links/..%2Fa%20b");
        call.query.push(("to", String::from("+49")));
        assert!(url("http://h:1", &call).unwrap().ends_with("?to=%2B49"));
    }

    #[test]
    fn an_address_that_is_none_of_a_daemon_is_a_usage_error() {
        for bad in ["https://h:1", "h", "", "data:x", "ftp://h"] {
            let failure = url(bad, &Call::get(&["v1"])).unwrap_err();
            assert!(matches!(failure, Failure::Usage(_)), "{bad}");
        }
    }

    #[test]
    fn a_problem_is_told_with_its_fields() {
        let problem = json!({"title": "A field is refused", "detail": "two", "errors": [{"field": "to", "why": "no +"}]});
        let told = refusal(422, &problem, Some(String::from("5")));
        assert_eq!(told, "refused (422): A field is refused: two; to: no +; try again in 5 s");
    }

    #[test]
    fn a_table_is_as_wide_as_its_entries_and_shows_no_control_character() {
        let rows = [json!({"id": "msg_1", "text": "a\u{1b}b"}), json!({"id": "m", "text": null})];
        assert_eq!(table(&rows, &["id", "text"]), "ID     TEXT\nmsg_1  a\\u{1b}b\nm\n");
    }

    #[test]
    fn an_outline_indents_what_lies_within() {
        let value = json!({"a": 1, "b": {"c": "x"}, "d": [{"e": true}], "f": []});
        assert_eq!(outline(&value), "a: 1\nb:\n  c: x\nd:\n  1.\n    e: true\nf: []\n");
    }
}
