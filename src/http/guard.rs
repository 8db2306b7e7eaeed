//! What holds for every request before its call is looked up, and for every answer after it.
//!
//! A web page in a browser of this machine must not be able to use the API: the Host must be ours on a
//! loopback listener (DNS rebinding), a change must not come from another site, nothing is allowed by CORS.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, ORIGIN, REFERRER_POLICY, TRANSFER_ENCODING,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::http::Request;

use super::problem::Problem;
use super::wire::{Trace, is_plainly_chunked};

const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Which names a request may call us by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// A loopback listener: loopback's names, with any port because it may be forwarded.
    Loopback,
    /// A unix socket, which no browser reaches, or a listener behind a proxy that minds the names.
    Any,
}

/// Refuses what no call should see.
pub fn check(request: &Request<Incoming>, names: Names, trace: &Trace) -> Result<(), Problem> {
    check_framing(request.headers(), trace)?;
    let host = host(request)?;
    if names == Names::Loopback && !is_loopback_name(host.host()) {
        let detail = "This daemon does not go by the name in Host.";
        return Err(Problem::closing(StatusCode::MISDIRECTED_REQUEST, "foreign_host", detail));
    }
    check_site(request.method(), request.headers(), &host)
}

fn check_framing(headers: &HeaderMap, trace: &Trace) -> Result<(), Problem> {
    if !headers.contains_key(TRANSFER_ENCODING) {
        trace.forget();
        return Ok(());
    }
    if is_plainly_chunked(&trace.take()) {
        return Ok(());
    }
    let detail = "Content-Length and Transfer-Encoding do not go together.";
    Err(Problem::closing(StatusCode::BAD_REQUEST, "ambiguous_length", detail))
}

/// Exactly one Host, and no other name in the request line.
fn host(request: &Request<Incoming>) -> Result<Authority, Problem> {
    let bad = |detail: &str| Problem::closing(StatusCode::BAD_REQUEST, "bad_host", detail);
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(bad("A request has exactly one Host."));
    };
    let host: Authority =
        host.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(|| bad("Host is no name."))?;
    if host.as_str().contains('@') {
        return Err(bad("Host is no name."));
    }
    if request.uri().authority().is_some_and(|other| *other != host) {
        return Err(bad("Host and the request line name different hosts."));
    }
    Ok(host)
}

fn is_loopback_name(name: &str) -> bool {
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// A browser says where a request comes from; only our own pages may change anything.
fn check_site(method: &Method, headers: &HeaderMap, host: &Authority) -> Result<(), Problem> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter().peekable();
    // A form of a page without a referrer has the origin null, ours like anybody's; the site tells.
    let is_said_own = sites.peek().is_some();
    let is_own_site = |site: &HeaderValue| site == "same-origin" || site == "none";
    let all_own = sites.all(is_own_site);
    let is_own = |origin: &HeaderValue| is_own_origin(origin, host) || (is_said_own && origin == "null");
    if !all_own || !headers.get_all(ORIGIN).iter().all(is_own) {
        let detail = "A page of another site may not use this API.";
        return Err(Problem::closing(StatusCode::FORBIDDEN, "cross_site", detail));
    }
    Ok(())
}

fn is_own_origin(origin: &HeaderValue, host: &Authority) -> bool {
    let Ok(origin) = origin.to_str() else { return false };
    let name = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    name.is_some_and(|name| name.eq_ignore_ascii_case(host.as_str()))
}

/// Headers of every answer.
pub fn finish(response: &mut Response, request_id: HeaderValue) {
    let fixed = [
        (CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    let headers = response.headers_mut();
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-request-id"), request_id);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_without_a_referrer_is_ours_only_where_the_browser_says_so() {
        let host: Authority = "localhost:8025".parse().unwrap();
        let allowed = |pairs: &[(HeaderName, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            check_site(&Method::POST, &HeaderMap::from_iter(pairs), &host).is_ok()
        };
        assert!(allowed(&[(ORIGIN, "null"), (SEC_FETCH_SITE, "same-origin")]));
        assert!(!allowed(&[(ORIGIN, "null")]));
        assert!(!allowed(&[(ORIGIN, "null"), (SEC_FETCH_SITE, "cross-site")]));
        assert!(!allowed(&[(ORIGIN, "null"), (SEC_FETCH_SITE, "same-site")]));
        assert!(!allowed(&[(ORIGIN, "http://evil.example"), (SEC_FETCH_SITE, "same-origin")]));
    }

    #[test]
    fn only_loopbacks_own_names_are_ours() {
        for name in ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]"] {
            assert!(is_loopback_name(name), "{name}");
        }
        for name in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "0.0.0.0", ""] {
            assert!(!is_loopback_name(name), "{name}");
        }
    }

    #[test]
    fn an_origin_is_ours_only_with_our_host_and_port() {
        let host: Authority = "localhost:8025".parse().unwrap();
        let own = |text| is_own_origin(&HeaderValue::from_static(text), &host);
        assert!(own("http://localhost:8025") && own("https://localhost:8025"));
        for foreign in ["null", "http://localhost:9", "http://evil.example", "localhost:8025", ""] {
            assert!(!own(foreign), "{foreign}");
        }
    }
}
