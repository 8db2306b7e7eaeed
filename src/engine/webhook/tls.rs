//! TLS towards endpoints: whom a connection trusts, and in plain words why it does not.
//!
//! Invariants: every connection proves whose it is, by the name in the address and at the time of our clock; nothing
//! switches that off and no session of before stands in for it. What is trusted is read once, at the start.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, RootCertStore};

use crate::clock::{Clock, Timestamp};
use crate::config::Authorities;

/// Whose word an endpoint's certificate needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those in `tls_ca_file` and nobody else.
    File,
    /// Those that this machine trusts.
    Machine,
    /// The machine trusts nobody: every certificate is refused.
    Nobody,
}

/// # Errors
/// The library has none of the protocol versions that it was built with.
pub fn client(authorities: Option<&Authorities>, clock: Clock) -> io::Result<(ClientConfig, Trust)> {
    let (roots, trust) = match authorities {
        Some(authorities) => (authorities.roots(), Trust::File),
        None => of_machine(),
    };
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(ByClock(clock)))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // A resumed session would not look at the certificate again.
    config.resumption = Resumption::disabled();
    Ok((config, trust))
}

fn of_machine() -> (RootCertStore, Trust) {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(event = "authorities_unread", %error);
    }
    let mut roots = RootCertStore::empty();
    // Old ones that nobody can use are among them on every machine.
    let (taken, _) = roots.add_parsable_certificates(found.certs);
    (roots, if taken == 0 { Trust::Nobody } else { Trust::Machine })
}

#[derive(Debug)]
struct ByClock(Clock);

impl TimeProvider for ByClock {
    fn current_time(&self) -> Option<UnixTime> {
        let since_epoch = Duration::from_millis(self.0.now().wall.as_millis());
        Some(UnixTime::since_unix_epoch(since_epoch))
    }
}

/// Why there is no connection, where it is for TLS.
pub fn fault(error: &(dyn Error + 'static), trust: Trust) -> Option<String> {
    error.downcast_ref::<rustls::Error>().map(|error| match error {
        rustls::Error::InvalidCertificate(bad) => certificate(bad, trust),
        rustls::Error::InvalidMessage(_) => String::from("what answers there does not speak TLS"),
        rustls::Error::PeerIncompatible(_) => String::from("it has no TLS 1.2 or 1.3 that fits ours"),
        other => format!("TLS: {other}"),
    })
}

fn certificate(bad: &CertificateError, trust: Trust) -> String {
    let named = |at: &UnixTime| Timestamp::MIN.saturating_add(Duration::from_secs(at.as_secs())).to_rfc3339();
    match bad {
        CertificateError::UnknownIssuer => String::from(match trust {
            Trust::File => "its certificate was issued by none of those in tls_ca_file",
            Trust::Machine => {
                "its certificate was issued by nobody that this machine trusts: where that is the firm's own \
                 authority, name it with tls_ca_file"
            }
            Trust::Nobody => "this machine trusts no authority: install ca-certificates or set tls_ca_file",
        }),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("its certificate ended at {}", named(not_after))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("its certificate begins at {}: is this machine's clock right?", named(not_before))
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let presented: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
            let presented = if presented.is_empty() { String::from("no name") } else { presented.join(", ") };
            format!("its certificate is for {presented} and not for {}", expected.to_str())
        }
        CertificateError::BadSignature => {
            String::from("its certificate was not signed by the authority of ours that it names")
        }
        other => format!("its certificate is refused: {other}"),
    }
}

/// The library shows a name with its kind around it.
fn bare(presented: &str) -> &str {
    presented.split('"').nth(1).unwrap_or(presented)
}
