//! The binary from outside: exit codes, what goes where, and what the clients put on the wire.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

const LINK: &str = "[[smpp]]\nname = 'c'\naddress = 'h:1'\nsystem_id = 's'\npassword_file = 'pw'\n";

fn nudged(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nudged"));
    for name in ["NUDGED_URL", "NUDGED_TOKEN", "RUST_LOG", "CREDENTIALS_DIRECTORY"] {
        command.env_remove(name);
    }
    command.args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn ended(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
}

/// Runs a client command against a server that reads one request and answers with `answer`; gives the
/// request too.
fn with_server(answer: &str, arguments: &[&str]) -> (Output, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = answer.to_owned();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut octets = [0; 4096];
        while !is_whole(&request) {
            let read = stream.read(&mut octets).unwrap();
            assert_ne!(read, 0, "the request ended early");
            request.extend_from_slice(&octets[..read]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        text(&request)
    });
    let output = nudged(&[arguments, &["--url", &url]].concat());
    (output, server.join().unwrap())
}

fn response(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn is_whole(request: &[u8]) -> bool {
    let text = text(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

fn config_in(directory: &Path, text: &str) -> String {
    let path = directory.join("nudged.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn arguments_that_make_no_sense_end_with_64() {
    for arguments in [
        &["nonsense"][..],
        &[],
        &["send"],
        &["status", "--url", "https://h"],
        &["run", "--log-level", "x=loud"],
        &["messages", "--limit", "501"],
        &["messages", "--to", "+491", "--batch", "b"],
    ] {
        ended(&nudged(arguments), 64);
    }
    ended(&nudged(&["--help"]), 0);
}

#[test]
fn a_refused_configuration_ends_with_78_and_names_every_problem_on_standard_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = config_in(directory.path(), "windw = 1\n[queue]\nvalidity = 'x'\n");
    for command in ["check", "run"] {
        let output = nudged(&[command, "--config", &path]);
        ended(&output, 78);
        assert_eq!(text(&output.stderr).lines().count(), 2, "{output:?}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn check_shows_what_counts_without_the_secret() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("pw");
    std::fs::write(&secret, "geheim\n").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let path = config_in(directory.path(), LINK);
    let output = nudged(&["check", "--config", &path]);
    ended(&output, 0);
    let shown = text(&output.stdout);
    assert!(shown.contains("window = 64") && !shown.contains("geheim"), "{shown}");
}

#[test]
fn a_message_goes_out_with_its_token_and_key_and_comes_back_with_its_id() {
    let answer =
        response("202 Accepted", "{\"id\":\"msg_1\",\"status\":\"queued\",\"warnings\":[\"a\\u001bb\"]}");
    let line =
        ["send", "--to", "+4915112345678", "--text", "x", "--token", "ndg_t", "--idempotency-key", "k"];
    let (output, request) = with_server(&answer, &line);
    ended(&output, 0);
    assert_eq!(text(&output.stdout), "msg_1 queued\nwarning: a\\u{1b}b\n");
    assert!(request.starts_with("POST /v1/messages HTTP/1.1\r\n"), "{request}");
    let head = request.to_lowercase();
    assert!(head.contains("authorization: bearer ndg_t") && head.contains("idempotency-key: k"), "{request}");
    assert!(request.ends_with("{\"text\":\"x\",\"to\":\"+4915112345678\"}"), "{request}");
}

#[test]
fn a_refusal_ends_with_1_and_says_which_field() {
    let answer = response(
        "422 Unprocessable Content",
        "{\"title\":\"A field is refused\",\"errors\":[{\"field\":\"to\",\"why\":\"needs a +\"}]}",
    );
    let (output, _) = with_server(&answer, &["send", "--to", "49", "--text", "x"]);
    ended(&output, 1);
    assert!(text(&output.stderr).contains("to: needs a +"), "{output:?}");
    assert!(output.stdout.is_empty());
}

#[test]
fn whoever_is_no_daemon_of_ours_counts_as_not_reachable() {
    for answer in
        [response("200 OK", "<html>"), response("404 Not Found", "{}"), String::from("SSH-2.0-x\r\n")]
    {
        ended(&with_server(&answer, &["status"]).0, 69);
    }
}

#[test]
fn a_lost_answer_is_not_passed_off_as_a_refusal() {
    let (output, _) = with_server("", &["send", "--to", "+4915112345678", "--text", "x"]);
    ended(&output, 69);
    assert!(text(&output.stderr).contains("whether the request was taken is not known"), "{output:?}");
}

#[test]
fn nobody_at_the_address_ends_with_69() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    ended(&nudged(&["links", "--url", &format!("http://{free}")]), 69);
    ended(&nudged(&["links", "--url", "unix:/nonexistent/socket"]), 69);
}

#[test]
fn the_answer_as_json_is_the_answer() {
    let answer = response("200 OK", "{\"data\":[{\"name\":\"gsm1\"}]}");
    let (output, request) = with_server(&answer, &["links", "--json"]);
    ended(&output, 0);
    assert_eq!(text(&output.stdout), "{\"data\":[{\"name\":\"gsm1\"}]}\n");
    assert!(request.starts_with("GET /v1/links HTTP/1.1\r\n"), "{request}");
}

#[test]
fn a_link_is_looked_at_or_connected_anew_by_its_name() {
    let answer = response("200 OK", "{\"name\":\"gsm1\",\"signal\":{\"dbm\":-71}}");
    let (output, request) = with_server(&answer, &["links", "gsm1"]);
    assert!(request.starts_with("GET /v1/links/gsm1 HTTP/1.1\r\n"), "{request}");
    assert!(text(&output.stdout).contains("dbm: -71"), "{output:?}");
    let (output, request) = with_server(&answer, &["links", "restart", "gsm1"]);
    ended(&output, 0);
    assert!(request.starts_with("POST /v1/links/gsm1/restart HTTP/1.1\r\n"), "{request}");
    ended(&nudged(&["links", "restart"]), 64);
    ended(&nudged(&["links", "--json", "restart", "gsm1"]), 64);
}

#[test]
fn an_import_sends_the_file_and_ends_with_1_when_a_row_was_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("list.csv");
    std::fs::write(&file, "number\n+4915112345678\nx\n").unwrap();
    let refused = r#"{"added":1,"already":0,"refused":1,"results":[{"line":3,"number":"x","error":{"errors":[{"field":"number","why":"needs +"}]}}]}"#;
    let line = ["optout", "import", file.to_str().unwrap()];
    let (output, request) = with_server(&response("200 OK", refused), &line);
    ended(&output, 1);
    assert_eq!(text(&output.stdout), "added 1, already 0, refused 1\nline 3: x: number: needs +\n");
    assert!(request.starts_with("POST /v1/optouts HTTP/1.1\r\n"), "{request}");
    assert!(request.to_lowercase().contains("content-type: text/csv"), "{request}");
    assert!(request.ends_with("number\n+4915112345678\nx\n"), "{request}");
    let taken = r#"{"added":1,"already":0,"refused":0,"results":[]}"#;
    ended(&with_server(&response("200 OK", taken), &line).0, 0);
    ended(&nudged(&["optout", "import", "/nonexistent/list.csv"]), 1);
}

#[test]
fn an_export_is_the_file_as_it_came() {
    let file = "number,reason\r\n+4915112345678,\"'=1\"\r\n";
    let (output, request) = with_server(&response("200 OK", file), &["optout", "export"]);
    ended(&output, 0);
    assert_eq!(text(&output.stdout), file);
    assert!(request.starts_with("GET /v1/optouts.csv HTTP/1.1\r\n"), "{request}");
    let problem = response("403 Forbidden", r#"{"title":"Forbidden","status":403}"#);
    ended(&with_server(&problem, &["optout", "export"]).0, 1);
}

#[test]
fn opt_outs_and_replies_are_asked_for_by_number() {
    let added = response("201 Created", r#"{"number":"+4915112345678","source":"token"}"#);
    let line = ["optout", "add", "+4915112345678", "--reason", "letter"];
    let (output, request) = with_server(&added, &line);
    ended(&output, 0);
    assert!(request.ends_with(r#"{"number":"+4915112345678","reason":"letter"}"#), "{request}");
    let removed = response("200 OK", r#"{"number":"+4915112345678"}"#);
    let (_, request) = with_server(&removed, &["optout", "remove", "+4915112345678"]);
    assert!(request.starts_with("DELETE /v1/optouts/+4915112345678 HTTP/1.1\r\n"), "{request}");
    let page = response("200 OK", r#"{"data":[{"id":"inb_1","from":"+49","text":"hi"}],"next_cursor":null}"#);
    let (output, request) = with_server(&page, &["inbound", "--from", "+4915112345678"]);
    assert!(text(&output.stdout).contains("inb_1"), "{output:?}");
    assert!(request.starts_with("GET /v1/inbound?from=%2B4915112345678 HTTP/1.1\r\n"), "{request}");
}

#[test]
fn a_token_is_printed_alone_and_only_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = config_in(directory.path(), "state_dir = 'state'\n");
    let add = ["token", "add", "crm", "--scope", "send,read", "--config", &path];
    ended(&nudged(&add), 1);
    std::fs::create_dir(directory.path().join("state")).unwrap();
    let output = nudged(&add);
    ended(&output, 0);
    assert_eq!(text(&output.stdout).lines().count(), 1);
    let listed = nudged(&["token", "list", "--config", &path]);
    assert!(text(&listed.stdout).starts_with("crm\tsend,read\t"), "{listed:?}");
    assert!(!text(&listed.stdout).contains(text(&output.stdout).trim()));
    ended(&nudged(&add), 1);
    ended(&nudged(&["token", "add", "x", "--scope", "root", "--config", &path]), 64);
    ended(&nudged(&["token", "revoke", "crm", "--config", &path]), 0);
    ended(&nudged(&["token", "revoke", "crm", "--config", &path]), 1);
}
