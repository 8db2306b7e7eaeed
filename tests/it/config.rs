//! The configuration from outside: every kind of problem with its line, all at once, and the shipped file.

use std::collections::BTreeSet;
use std::time::Duration;

use nudged::config::effective::MASKED;
use nudged::config::{Config, Port, Problem, Secret, Vendor, check, effective};
use nudged::quota::{Period, Quota};
use nudged::sms::national::Language;

const LINK: &str = "[[smpp]]\nname = 'c'\naddress = 'h:1'\nsystem_id = 's'\npassword_file = 'pw'\n";
const MODEM: &str = "[[modem]]\nname = 'm'\nport = '/dev/ttyUSB0'\n";
const ANNOTATED: &str = include_str!("../../config/nudged.toml");

/// 24 octets.
const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn secrets(name: &str) -> Result<Secret, String> {
    match name {
        name if name.ends_with("whsec") || name == "key" => Ok(Secret::new(String::from(KEY))),
        "missing" => Err(String::from("cannot be read")),
        "pin" => Ok(Secret::new(String::from("0000"))),
        "long" => Ok(Secret::new(String::from("ninechars"))),
        "three" => Ok(Secret::new([KEY; 3].join("\n"))),
        _ => Ok(Secret::new(String::from("secret"))),
    }
}

fn read(text: &str) -> Result<Config, Vec<Problem>> {
    check(text, &secrets)
}

/// The text, and of its one problem: the line, the key, a word of why, a word of the remedy.
type Case = (&'static str, usize, &'static str, &'static str, &'static str);

fn assert_refused(cases: &[Case], before: &str) {
    let offset = before.lines().count();
    for (text, line, key, why, remedy) in cases {
        let problems = read(&format!("{before}{text}")).expect_err(text);
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        let problem = &problems[0];
        assert_eq!((problem.line, problem.key.as_str()), (Some(line + offset), *key), "{text}");
        assert!(problem.why.contains(why), "{text}: {}", problem.why);
        assert!(problem.remedy.contains(remedy), "{text}: {}", problem.remedy);
        assert_eq!(problem.to_string().lines().count(), 1, "{text}");
    }
}

#[test]
fn an_empty_table_of_settings_gives_the_defaults_of_the_contract() {
    let config = read("# nothing\n").unwrap();
    assert_eq!(config.state_dir.to_str(), Some("/var/lib/nudged"));
    assert_eq!(config.queue.validity, Duration::from_secs(48 * 3600));
    assert_eq!(config.queue.retry.len(), 4);
    assert_eq!(config.queue.max_queued, 2_000_000);
    assert_eq!(config.queue.min_free, 256 << 20);
    assert!(config.smpp.is_empty() && config.routes.is_empty());
}

#[test]
fn problems_of_the_top_level_and_http_say_line_key_why_and_remedy() {
    assert_refused(
        &[
            ("a = = 1\n", 1, "", "not TOML", "syntax"),
            ("[queue]\nvalidity = '1h'\nvalidity = '2h'\n", 3, "", "not TOML", "syntax"),
            ("\nstate_dri = '/x'\n", 2, "state_dri", "not a key", "did you mean state_dir?"),
            ("zzz = 1\n", 1, "zzz", "not a key", "remove it"),
            ("timezone = 'Mars/Base'\n", 1, "timezone", "IANA", "Europe/Berlin"),
            ("state_dir = ''\n", 1, "state_dir", "no directory", "path"),
            ("state_dir = 7\n", 1, "state_dir", "integer", "quotes"),
            ("http = 1\n", 1, "http", "integer", "[http]"),
            ("[http]\n[http.tls]\ncert_file = 'c'\n", 2, "http.tls", "not supported", "remove"),
            ("[http]\nlisten = '127.0.0.1:1'\n", 2, "http.listen", "string", "list"),
            ("[http]\nlisten = []\n", 2, "http.listen", "empty", "at least one"),
            ("[http]\nlisten = [\n'127.0.0.1:1',\n'x']\n", 4, "http.listen", "not an address", "IP:PORT"),
            ("[http]\nlisten = ['unix:x']\n", 2, "http.listen", "no socket", "absolute"),
            ("[http]\nlisten = ['[::1]:1', '[::1]:1']\n", 2, "http.listen", "twice", "remove"),
            ("[http]\nlisten = ['0.0.0.0:1']\n", 2, "http.listen", "beyond loopback", "trusted_proxy"),
            ("[http]\ntrusted_proxy = 'yes'\n", 2, "http.trusted_proxy", "string", "true or false"),
        ],
        "",
    );
}

#[test]
fn problems_of_the_queue_say_line_key_why_and_remedy() {
    assert_refused(
        &[
            ("validity = '48'\n", 1, "queue.validity", "not a duration", "48h"),
            ("validity = '1s'\n", 1, "queue.validity", "out of range", "1m to 30d"),
            ("retry = ['30s', '9d']\n", 1, "queue.retry", "out of range", "7d"),
            ("retry = [30]\n", 1, "queue.retry", "integer", "quotes"),
            (
                "retry = ['1s','1s','1s','1s','1s','1s','1s','1s','1s','1s','1s','1s','1s','1s','1s','1s']\n",
                1,
                "queue.retry",
                "16 waits",
                "at most 15",
            ),
            ("on_unknown = 'retry'\n", 1, "queue.on_unknown", "not one of", "\"hold\" or \"resend\""),
            ("max_queued = 0\n", 1, "queue.max_queued", "out of range", "1 to"),
            ("max_queued = -1\n", 1, "queue.max_queued", "out of range", "1 to"),
            ("max_queued = 1.5\n", 1, "queue.max_queued", "float", "whole number"),
            ("max_queued = 99999999999999999999999\n", 1, "queue.max_queued", "out of range", "1 to"),
            ("min_free = '256MB'\n", 1, "queue.min_free", "not a size", "256MiB"),
            ("min_free = '1B'\n", 1, "queue.min_free", "out of range", "1MiB to 1TiB"),
            ("retention = '6d'\n", 1, "queue.retention", "out of range", "7d to"),
            (
                "validity = '10d'\nretention = '8d'\n",
                2,
                "queue.retention",
                "shorter than validity",
                "as long as",
            ),
            ("national_tables = ['klingon']\n", 1, "queue.national_tables", "not one of", "\"turkish\""),
            ("national_tables = ['urdu', 'urdu']\n", 1, "queue.national_tables", "twice", "remove one"),
            ("duplicate_window = '31d'\n", 1, "queue.duplicate_window", "out of range", "0s to 30d"),
            ("normal_per_hour = 0\n", 1, "queue.normal_per_hour", "not supported", "remove"),
            ("validty = '1h'\n", 1, "queue.validty", "not a key", "did you mean validity?"),
        ],
        "[queue]\n",
    );
}

#[test]
fn problems_of_a_link_say_line_key_why_and_remedy() {
    assert_refused(
        &[
            ("account = 'a b'\n", 1, "smpp[1].account", "not a name", "1 to 32"),
            ("system_type = 'thirteenchars'\n", 1, "smpp[1].system_type", "at most 12", "3.4"),
            ("window = 0\n", 1, "smpp[1].window", "out of range", "1 to 1000"),
            ("window = 1001\n", 1, "smpp[1].window", "out of range", "1 to 1000"),
            ("window = '64'\n", 1, "smpp[1].window", "string", "without quotes"),
            ("rate = '50/day'\n", 1, "smpp[1].rate", "not a rate", "unlimited"),
            ("sender = 'twelve chars'\n", 1, "smpp[1].sender", "not a sender", "short code"),
            ("source_ton = 7\n", 1, "smpp[1].source_ton", "out of range", "0 to 6, or \"auto\""),
            ("source_npi = 19\n", 1, "smpp[1].source_npi", "out of range", "0 to 18"),
            ("dest_ton = 'no'\n", 1, "smpp[1].dest_ton", "string", "auto"),
            ("dest_npi = 19\n", 1, "smpp[1].dest_npi", "out of range", "0 to 18"),
            ("alphabet = 'utf8'\n", 1, "smpp[1].alphabet", "not one of", "latin1"),
            ("long = 'payload'\n", 1, "smpp[1].long", "not supported", "udh"),
            ("long = 'x'\n", 1, "smpp[1].long", "not one of", "sar"),
            ("receipt_id = 'hex'\n", 1, "smpp[1].receipt_id", "not one of", "hex-to-dec"),
            ("enquire_link = '0s'\n", 1, "smpp[1].enquire_link", "out of range", "1s to 10m"),
            ("response_timeout = '1h'\n", 1, "smpp[1].response_timeout", "out of range", "10m"),
            ("status = []\n", 1, "smpp[1].status", "array", "table"),
            ("[smpp.status]\n0x0 = 'park'\n", 2, "smpp[1].status", "command_status", "other than 0"),
            ("[smpp.status]\n0x45 = 'later'\n", 2, "smpp[1].status", "not one of", "temporary"),
            ("tls = true\n", 1, "smpp[1].tls", "not supported", "remove"),
            ("windw = 1\n", 1, "smpp[1].windw", "not a key", "did you mean window?"),
            (LINK, 2, "smpp[2].name", "another link", "own"),
        ],
        LINK,
    );
}

#[test]
fn problems_of_a_modem_say_line_key_why_and_remedy() {
    assert_refused(
        &[
            ("baud = 0\n", 1, "modem[1].baud", "out of range", "300 to"),
            ("baud = '115200'\n", 1, "modem[1].baud", "string", "without quotes"),
            ("pin_file = 'missing'\n", 1, "modem[1].pin_file", "cannot be read", "PIN alone"),
            ("pin_file = 'long'\n", 1, "modem[1].pin_file", "4 to 8 digits", "PIN alone"),
            ("smsc = '0171'\n", 1, "modem[1].smsc", "not a number", "write +"),
            ("vendor = 'nokia'\n", 1, "modem[1].vendor", "not one of", "\"huawei\""),
            ("rate = '10/day'\n", 1, "modem[1].rate", "not a rate", "unlimited"),
            ("receipts = 'yes'\n", 1, "modem[1].receipts", "string", "true or false"),
            ("quota = ['500/week']\n", 1, "modem[1].quota", "not a quota", "/month"),
            ("quota = ['5/day', '6/day']\n", 1, "modem[1].quota", "two for a day", "lower"),
            ("recipients = '250'\n", 1, "modem[1].recipients", "not a quota", "unlimited"),
            ("sticky = '2d'\n", 1, "modem[1].sticky", "out of range", "1d"),
            ("route_class = 'us a2p'\n", 1, "modem[1].route_class", "no class", "us_a2p"),
            ("imei = '1'\n", 1, "modem[1].imei", "not supported", "remove"),
            ("auto = true\n", 1, "modem[1].auto", "not supported", "remove"),
            ("ussd_balance = '*100#'\n", 1, "modem[1].ussd_balance", "not supported", "remove"),
            ("baut = 1\n", 1, "modem[1].baut", "not a key", "did you mean baud?"),
            ("[[modem]]\nname = 'm'\nport = '/dev/x'\n", 2, "modem[2].name", "another link", "own"),
            (
                "[[modem]]\nname = 'n'\nport = '/dev/ttyUSB0'\n",
                3,
                "modem[2].port",
                "another modem",
                "own port",
            ),
            ("[[modem]]\nname = 'n'\n", 1, "modem[2].port", "required", "add port"),
            ("[[modem]]\nport = '/dev/x'\n", 1, "modem[2].name", "required", "add name"),
            ("[[modem]]\nname = 'n'\nport = 'ttyUSB0'\n", 3, "modem[2].port", "not a port", "a path"),
            ("[[modem]]\nname = 'n'\nport = 'tcp:host'\n", 3, "modem[2].port", "not HOST:PORT", "a host"),
            ("[[modem]]\nname = 'n'\nport = ''\n", 3, "modem[2].port", "not a port", "tcp:HOST:PORT"),
        ],
        MODEM,
    );
    let named = LINK.replace("name = 'c'", "name = 'm'");
    assert_refused(&[(&*named.leak(), 2, "smpp[1].name", "another link", "own")], MODEM);
    let account = format!("{LINK}account = 'm'\n");
    assert_refused(&[(&*account.leak(), 6, "smpp[1].account", "names a modem", "carrier")], MODEM);
}

#[test]
fn a_modem_has_the_defaults_of_the_contract_and_routes_may_name_it() {
    let config = read(&format!("{MODEM}{LINK}[[route]]\nvia = ['m', 'c']\n")).unwrap();
    let [modem] = &config.modems[..] else { panic!("{:?}", config.modems) };
    assert_eq!(modem.port, Port::Device("/dev/ttyUSB0".into()));
    assert_eq!((modem.baud, modem.vendor, modem.receipts), (115_200, Vendor::Auto, true));
    assert_eq!((&modem.pin, &modem.smsc), (&None, &None));
    assert_eq!(modem.rate.unwrap().per_second(), 10.0 / 60.0);
    assert_eq!(modem.quota, [Quota { count: 500, per: Period::Day }]);
    assert_eq!(modem.recipients, Some(Quota { count: 250, per: Period::Month }));
    assert_eq!((modem.sticky, &config.smpp[0].quota[..]), (Duration::from_secs(1_800), &[][..]));
    assert_eq!(config.routes[0].via.len(), 2);
}

#[test]
fn the_effective_modem_reads_back_to_itself_and_masks_the_pin() {
    let text = "[[modem]]\nname = 'm'\nport = 'tcp:[::1]:2000'\nbaud = 9600\npin_file = 'pin'\nsmsc = '+491710760000'\n\
                vendor = 'huawei'\nrate = 'unlimited'\nreceipts = false\n\
                quota = ['3/min', '9000/month']\nrecipients = 'unlimited'\nsticky = '0s'\nroute_class = 'us_p2p'\n";
    let config = read(text).unwrap();
    assert_eq!(config.modems[0].port, Port::Tcp(String::from("[::1]:2000")));
    let shown = effective(&config);
    assert!(shown.contains("pin_file = \"(masked)\"") && !shown.contains("= \"0000\""), "{shown}");
    let pins = |_: &str| Ok(Secret::new(String::from("0000")));
    assert_eq!(check(&shown, &pins).unwrap(), config);
}

#[test]
fn what_a_link_cannot_do_without_is_asked_for() {
    assert_refused(
        &[
            ("smpp = 1\n", 1, "smpp", "integer", "[[smpp]]"),
            ("smpp = [1]\n", 1, "smpp", "integer", "[[smpp]]"),
            ("[smpp]\nname = 'c'\n", 1, "smpp", "table", "[[smpp]]"),
        ],
        "",
    );
    for (key, bad, why) in [
        ("name", "'a b'", "not a name"),
        ("name", "''", "not a name"),
        ("address", "'host'", "not HOST:PORT"),
        ("system_id", "''", "empty"),
        ("system_id", "'sixteen-letters-'", "at most 15"),
        ("system_id", "'ümlaut'", "ASCII"),
        ("password_file", "'missing'", "cannot be read"),
        ("password_file", "'long'", "at most 8"),
    ] {
        let lines = LINK.lines().map(|line| match line.split_once(" = ") {
            Some((k, _)) if k == key => format!("{key} = {bad}"),
            _ => line.to_owned(),
        });
        let problems = read(&lines.collect::<Vec<_>>().join("\n")).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].key, format!("smpp[1].{key}"));
        assert!(problems[0].why.contains(why), "{}", problems[0]);
        assert!(!problems[0].to_string().contains("ninechars"), "a password in an error text");
    }
    for key in ["name", "address", "system_id", "password_file"] {
        let without: Vec<&str> = LINK.lines().filter(|line| !line.starts_with(key)).collect();
        let problems = read(&format!("\n{}", without.join("\n"))).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!((problems[0].line, problems[0].why.as_str()), (Some(2), "is required"), "{key}");
    }
}

#[test]
fn problems_of_a_route_say_line_key_why_and_remedy() {
    assert_refused(
        &[
            ("[[route]]\n", 1, "route[1].via", "names nothing", "add via"),
            ("[[route]]\nvia = []\n", 2, "route[1].via", "names nothing", "add via"),
            ("[[route]]\nvia = ['c', 'd']\n", 2, "route[1].via", "no link is named", "one of: c"),
            ("[[route]]\nvia = ['c', 'c']\n", 2, "route[1].via", "twice", "remove"),
            ("[[route]]\nvia = ['c']\nto = ['49']\n", 3, "route[1].to", "prefix", "+49"),
            ("[[route]]\nvia = ['c']\nto = ['']\n", 3, "route[1].to", "prefix", "+49"),
            ("[[route]]\nvia = ['c']\nclass = ['spam']\n", 3, "route[1].class", "not one of", "reminder"),
            ("[[route]]\nvia = ['c']\nsender = ['!']\n", 3, "route[1].sender", "not a sender", "must"),
            ("[[route]]\nvia = ['c']\ntoken = ['a b']\n", 3, "route[1].token", "not a name", "1 to 64"),
            ("[[route]]\nvia = ['c']\npolicy = 'random'\n", 3, "route[1].policy", "not one of", "balance"),
            ("[[route]]\nvia = ['c']\nvai = 1\n", 3, "route[1].vai", "not a key", "did you mean via?"),
        ],
        LINK,
    );
}

#[test]
fn all_problems_come_at_once_in_the_order_of_their_lines() {
    let text = "stat_dir = 'x'\n[http]\nlisten = ['0.0.0.0:1', 'x']\n[queue]\nretry = ['a', 'b']\nzzz = 1\n\
                [[smpp]]\nname = 'c'\nwindow = 0\n[[route]]\nvia = ['d']\n";
    let problems = read(text).unwrap_err();
    let found: Vec<(usize, &str)> = problems.iter().map(|p| (p.line.unwrap_or(0), p.key.as_str())).collect();
    assert_eq!(
        found,
        [
            (1, "stat_dir"),
            (3, "http.listen"),
            (3, "http.listen"),
            (5, "queue.retry"),
            (5, "queue.retry"),
            (6, "queue.zzz"),
            (7, "smpp[1].address"),
            (7, "smpp[1].password_file"),
            (7, "smpp[1].system_id"),
            (9, "smpp[1].window"),
            (11, "route[1].via"),
        ]
    );
}

#[test]
fn a_problem_with_control_characters_stays_one_line() {
    let problem = &read("[queue]\nvalidity = \"\\u001b[2J\\n\"\n").unwrap_err()[0];
    assert!(!problem.to_string().contains(['\n', '\u{1b}']), "{problem:?}");
}

#[test]
fn beyond_loopback_passes_behind_a_trusted_proxy() {
    assert!(read("[http]\nlisten = ['0.0.0.0:80', 'unix:/run/x.sock']\ntrusted_proxy = true\n").is_ok());
}

#[test]
fn the_effective_configuration_reads_back_to_itself_and_masks_the_secret() {
    let text = format!(
        "state_dir = \"/x \\\" y\"\n[http]\nlisten = ['[::1]:0', 'unix:/run/x']\n[queue]\nretry = []\nvalidity = '90s'\n\
         {LINK}account = 'acc'\nsender = '+49151234567'\nsource_ton = 5\ndest_npi = 1\nrate = '12/min'\nlong = 'sar'\n\
         status = {{ '0x45' = 'temporary', '1041' = 'opted-out' }}\n\
         [[route]]\nto = ['+49', '+43']\nclass = ['otp']\nsender = ['ACME']\ntoken = ['crm']\nvia = ['c']\npolicy = 'balance'\n"
    );
    let config = read(&text).unwrap();
    let shown = effective(&config);
    assert!(shown.contains(MASKED) && !shown.contains("= \"secret\""), "{shown}");
    assert_eq!(read(&shown).unwrap(), config);
}

const HOOK: &str = "[[webhook]]\nname = 'h'\nurl = 'http://h/'\nsecret_file = 'key'\nevents = ['*']\n";

#[test]
fn problems_of_a_webhook_say_line_key_why_and_remedy() {
    for (key, bad, why, remedy) in [
        ("name", "'a b'", "not a name", "use"),
        ("url", "'crm'", "not an address", "https://"),
        ("url", "'http://u:geheim@crm/'", "password", "leave it out"),
        ("secret_file", "'missing'", "cannot be read", "whsec_"),
        ("secret_file", "'long'", "not whsec_", "owner only"),
        ("secret_file", "'three'", "3 lines", "the one before"),
        ("events", "[]", "names nothing", "add events"),
        ("events", "['messages.*']", "no event fits", "message.sent"),
    ] {
        let lines = HOOK.lines().map(|line| match line.split_once(" = ") {
            Some((k, _)) if k == key => format!("{key} = {bad}"),
            _ => line.to_owned(),
        });
        let problems = read(&lines.collect::<Vec<_>>().join("\n")).unwrap_err();
        assert_eq!(problems.len(), 1, "{bad}: {problems:?}");
        assert_eq!(problems[0].key, format!("webhook[1].{key}"));
        assert!(problems[0].why.contains(why), "{}", problems[0]);
        assert!(problems[0].remedy.contains(remedy), "{}", problems[0]);
        assert!(!problems[0].to_string().contains("ninechars"), "a key in an error text");
        assert!(!problems[0].to_string().contains("geheim"), "a password in an error text");
    }
    for key in ["name", "url", "secret_file", "events"] {
        let without: Vec<&str> = HOOK.lines().filter(|line| !line.starts_with(key)).collect();
        let problems = read(&without.join("\n")).unwrap_err();
        assert_eq!((problems.len(), problems[0].key.as_str()), (1, &*format!("webhook[1].{key}")));
    }
    assert_refused(&[(HOOK, 2, "webhook[2].name", "another webhook", "own")], HOOK);
    let ca = ("tls_ca_file = 'ca.pem'\n", 1, "webhook[1].tls_ca_file", "without TLS", "https://");
    assert_refused(&[ca], HOOK);
    let secure = HOOK.replace("http:", "https:");
    let config = read(&format!("{secure}tls_ca_file = 'ca.pem'\n")).unwrap();
    assert!(effective(&config).contains("tls_ca_file = \"ca.pem\""), "the file is no secret");
}

#[test]
fn the_effective_webhook_reads_back_to_itself_and_masks_the_key() {
    let config = read(&format!("{HOOK}include_text = true\n")).unwrap();
    let shown = effective(&config);
    assert!(shown.contains("secret_file = \"(masked)\"") && !shown.contains("whsec_"), "{shown}");
    assert!(!format!("{config:?}").contains("MfKQ9r8G"), "a key is never shown");
    let keys = |_: &str| Ok(Secret::new(String::from(KEY)));
    assert_eq!(check(&shown, &keys).unwrap(), config);
}

#[test]
fn the_annotated_file_shows_every_key_and_no_other() {
    let config = read(ANNOTATED).unwrap();
    let in_code = keys(&effective(&config));
    assert_eq!(keys(ANNOTATED), in_code);
    assert!(in_code.contains("queue.duplicate_window"), "the comparison compares something");
}

#[test]
fn the_annotated_file_shows_the_defaults() {
    let required = "[[modem]]\nname = 'gsm1'\nport = '/dev/serial/by-id/usb-HUAWEI_Mobile-if02-port0'\n\
                    [[smpp]]\nname = 'carrier'\naddress = 'smsc.example.net:2775'\nsystem_id = 'acme'\n\
                    password_file = 'carrier.pw'\n[[route]]\nto = ['+49']\nvia = ['carrier']\n\
                    [[webhook]]\nname = 'crm'\nurl = 'http://127.0.0.1:9000/nudged'\nsecret_file = 'crm.whsec'\n\
                    events = ['message.*', 'inbound.*', 'optout.*', 'task.*', 'payment.requested']\n";
    assert_eq!(read(ANNOTATED).unwrap(), read(required).unwrap());
}

/// The keys of a file with the path of their tables; those below `status` are values.
fn keys(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect("", &toml::Value::Table(text.parse().unwrap()), &mut found);
    found
}

fn collect(path: &str, value: &toml::Value, found: &mut BTreeSet<String>) {
    match value {
        toml::Value::Table(table) if path != "smpp.status" => {
            for (key, value) in table {
                let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect(&inner, value, found);
            }
        }
        toml::Value::Array(list) if list.iter().any(toml::Value::is_table) => {
            list.iter().for_each(|value| collect(path, value, found));
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

#[test]
fn national_tables_go_only_with_binds_that_carry_septets() {
    let tables = "[queue]\nnational_tables = ['turkish', 'spanish']\n";
    let config = read(&format!("{tables}{LINK}")).unwrap();
    assert_eq!(config.queue.national_tables, [Language::Turkish, Language::Spanish]);
    assert!(effective(&config).contains("national_tables = [\"turkish\", \"spanish\"]"));
    let problems = read(&format!("{tables}{LINK}alphabet = 'latin1'\n")).unwrap_err();
    assert_eq!((problems.len(), problems[0].line), (1, Some(8)));
    assert!(problems[0].to_string().contains("queue.national_tables"));
}
