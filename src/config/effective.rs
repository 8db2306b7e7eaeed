//! The configuration as it counts, defaults and all, in the form of the file, with secrets masked. Pure.
//!
//! Invariant: what is printed here reads back to the same [`Config`]. Every struct is taken apart field by
//! field, so a new field does not compile until it is shown.

use std::fmt::{self, Write};

use super::check::{ALPHABETS, LONGS, POLICIES, RECEIPT_IDS, VENDORS};
use super::value::{
    self, CLASSES, LANGUAGES, ON_UNKNOWN, RETRY_CLASSES, show_duration, show_listen, show_word,
};
use super::{Config, Http, Inbound, Modem, Numbering, Payments, Queue, Redirect, Route, Smpp, Webhook};
use crate::reminder::name::Key;

/// Stands where the name of a secret's file stood, which the checked configuration no longer knows.
pub const MASKED: &str = "(masked)";

/// The configuration as TOML.
pub fn effective(config: &Config) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail; the type asks all the same.
    match write_config(&mut out, config) {
        Ok(()) => out,
        Err(fmt::Error) => String::new(),
    }
}

fn write_config(out: &mut String, config: &Config) -> fmt::Result {
    #[rustfmt::skip]
    let Config {
        state_dir, timezone, http, queue, inbound, payments, redirect, modems, smpp, routes, webhooks,
    } = config;
    writeln!(out, "state_dir = {}", quoted(&state_dir.display().to_string()))?;
    writeln!(out, "timezone = {}", quoted(timezone.name()))?;
    write_http(out, http)?;
    write_queue(out, queue)?;
    write_inbound(out, inbound)?;
    write_payments(out, payments)?;
    write_redirect(out, redirect)?;
    modems.iter().try_for_each(|link| write_modem(out, link))?;
    smpp.iter().try_for_each(|link| write_smpp(out, link))?;
    routes.iter().try_for_each(|route| write_route(out, route))?;
    webhooks.iter().try_for_each(|hook| write_hook(out, hook))
}

fn write_http(out: &mut String, http: &Http) -> fmt::Result {
    let Http { listen, trusted_proxy } = http;
    writeln!(out, "\n[http]")?;
    writeln!(out, "listen = {}", list(listen, show_listen))?;
    writeln!(out, "trusted_proxy = {trusted_proxy}")
}

fn write_queue(out: &mut String, queue: &Queue) -> fmt::Result {
    #[rustfmt::skip]
    let Queue {
        validity, retry, on_unknown, max_queued, min_free, retention, duplicate_window, national_tables,
    } = queue;
    writeln!(out, "\n[queue]")?;
    writeln!(out, "validity = {}", quoted(&show_duration(*validity)))?;
    writeln!(out, "retry = {}", list(retry, |wait| show_duration(*wait)))?;
    writeln!(out, "on_unknown = {}", quoted(show_word(*on_unknown, &ON_UNKNOWN)))?;
    writeln!(out, "max_queued = {max_queued}")?;
    writeln!(out, "min_free = {}", quoted(&value::show_size(*min_free)))?;
    writeln!(out, "retention = {}", quoted(&show_duration(*retention)))?;
    writeln!(out, "duplicate_window = {}", quoted(&show_duration(*duplicate_window)))?;
    writeln!(out, "national_tables = {}", list(national_tables, |l| show_word(*l, &LANGUAGES).to_owned()))
}

fn write_inbound(out: &mut String, inbound: &Inbound) -> fmt::Result {
    let Inbound { stop_reply, concat_timeout } = inbound;
    writeln!(out, "\n[inbound]")?;
    writeln!(out, "stop_reply = {}", quoted(stop_reply))?;
    writeln!(out, "concat_timeout = {}", quoted(&show_duration(*concat_timeout)))
}

fn write_payments(out: &mut String, payments: &Payments) -> fmt::Result {
    let Payments { drop } = payments;
    let drop = drop.as_ref().map(|drop| drop.display().to_string()).unwrap_or_default();
    writeln!(out, "\n[payments]\ndrop = {}", quoted(&drop))
}

fn write_redirect(out: &mut String, redirect: &Redirect) -> fmt::Result {
    let Redirect { listen, base, clicks, expires } = redirect;
    writeln!(out, "\n[redirect]")?;
    writeln!(out, "listen = {}", list(listen, show_listen))?;
    writeln!(out, "base = {}", quoted(base))?;
    writeln!(out, "clicks = {clicks}")?;
    writeln!(out, "expires = {}", quoted(&show_duration(*expires)))
}

fn write_modem(out: &mut String, link: &Modem) -> fmt::Result {
    #[rustfmt::skip]
    let Modem {
        name, port, baud, pin, smsc, vendor, rate, quota, recipients, sticky, receipts, route_class,
    } = link;
    let pin = pin.as_ref().map_or("", |_| MASKED);
    let smsc = smsc.as_ref().map(|number| number.to_e164()).unwrap_or_default();
    writeln!(out, "\n[[modem]]")?;
    writeln!(out, "name = {}", quoted(name.as_str()))?;
    writeln!(out, "port = {}", quoted(&value::show_port(port)))?;
    writeln!(out, "baud = {baud}")?;
    writeln!(out, "pin_file = {}", quoted(pin))?;
    writeln!(out, "smsc = {}", quoted(&smsc))?;
    writeln!(out, "vendor = {}", quoted(show_word(*vendor, &VENDORS)))?;
    writeln!(out, "rate = {}", quoted(&value::show_rate(*rate)))?;
    writeln!(out, "quota = {}", list(quota, |quota| value::show_quota(Some(*quota))))?;
    writeln!(out, "recipients = {}", quoted(&value::show_quota(*recipients)))?;
    writeln!(out, "sticky = {}", quoted(&show_duration(*sticky)))?;
    writeln!(out, "receipts = {receipts}")?;
    write_route_class(out, route_class.as_ref())
}

fn write_smpp(out: &mut String, link: &Smpp) -> fmt::Result {
    #[rustfmt::skip]
    let Smpp {
        name, account, address, system_id, password: _, system_type, window, rate, quota, sender,
        source, dest, alphabet, long, receipt_id, enquire_link, response_timeout, status, route_class,
    } = link;
    let sender = sender.as_ref().map(ToString::to_string).unwrap_or_default();
    let status: Vec<String> = status
        .iter()
        .map(|(code, class)| format!("\"0x{code:x}\" = {}", quoted(show_word(*class, &RETRY_CLASSES))))
        .collect();
    writeln!(out, "\n[[smpp]]")?;
    writeln!(out, "name = {}", quoted(name.as_str()))?;
    writeln!(out, "account = {}", quoted(account.as_str()))?;
    writeln!(out, "address = {}", quoted(address))?;
    writeln!(out, "system_id = {}", quoted(system_id))?;
    writeln!(out, "password_file = {}", quoted(MASKED))?;
    writeln!(out, "system_type = {}", quoted(system_type))?;
    writeln!(out, "window = {window}")?;
    writeln!(out, "rate = {}", quoted(&value::show_rate(*rate)))?;
    writeln!(out, "quota = {}", list(quota, |quota| value::show_quota(Some(*quota))))?;
    writeln!(out, "sender = {}", quoted(&sender))?;
    write_numbering(out, "source", *source)?;
    write_numbering(out, "dest", *dest)?;
    writeln!(out, "alphabet = {}", quoted(show_word(*alphabet, &ALPHABETS)))?;
    writeln!(out, "long = {}", quoted(show_word(*long, &LONGS)))?;
    writeln!(out, "receipt_id = {}", quoted(show_word(*receipt_id, &RECEIPT_IDS)))?;
    writeln!(out, "enquire_link = {}", quoted(&show_duration(*enquire_link)))?;
    writeln!(out, "response_timeout = {}", quoted(&show_duration(*response_timeout)))?;
    writeln!(out, "status = {{{}}}", status.join(", "))?;
    write_route_class(out, route_class.as_ref())
}

fn write_route_class(out: &mut String, class: Option<&Key>) -> fmt::Result {
    writeln!(out, "route_class = {}", quoted(class.map_or("", Key::as_str)))
}

fn write_numbering(out: &mut String, side: &str, numbering: Numbering) -> fmt::Result {
    let Numbering { ton, npi } = numbering;
    let shown = |number: Option<u8>| number.map_or_else(|| quoted("auto"), |n| n.to_string());
    writeln!(out, "{side}_ton = {}\n{side}_npi = {}", shown(ton), shown(npi))
}

fn write_route(out: &mut String, route: &Route) -> fmt::Result {
    let Route { to, class, sender, token, via, policy } = route;
    writeln!(out, "\n[[route]]")?;
    writeln!(out, "to = {}", list(to, Clone::clone))?;
    writeln!(out, "class = {}", list(class, |class| show_word(*class, &CLASSES).to_owned()))?;
    writeln!(out, "sender = {}", list(sender, ToString::to_string))?;
    writeln!(out, "token = {}", list(token, ToString::to_string))?;
    writeln!(out, "via = {}", list(via, ToString::to_string))?;
    writeln!(out, "policy = {}", quoted(show_word(*policy, &POLICIES)))
}

fn write_hook(out: &mut String, hook: &Webhook) -> fmt::Result {
    let Webhook { name, url, keys: _, authorities, events, include_text } = hook;
    writeln!(out, "\n[[webhook]]")?;
    writeln!(out, "name = {}", quoted(name.as_str()))?;
    writeln!(out, "url = {}", quoted(url))?;
    writeln!(out, "secret_file = {}", quoted(MASKED))?;
    writeln!(out, "tls_ca_file = {}", quoted(authorities.as_ref().map_or("", |trusted| &trusted.file)))?;
    writeln!(out, "events = {}", list(events, |pattern| pattern.as_str().to_owned()))?;
    writeln!(out, "include_text = {include_text}")
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn list<T>(entries: &[T], show: impl Fn(&T) -> String) -> String {
    let shown: Vec<String> = entries.iter().map(|entry| quoted(&show(entry))).collect();
    format!("[{}]", shown.join(", "))
}
