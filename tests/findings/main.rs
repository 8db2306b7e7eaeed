//! Findings.
mod support {
    use nudged::config::{Config, Secret, check};
    use nudged::engine::Draft;
    use nudged::message::{Class, Encoding, Msisdn, Priority};
    pub fn checked(text: &str) -> Config {
        check(text, &|_| Ok(Secret::new(String::from("pw")))).unwrap()
    }
    pub fn draft(to: Msisdn, text: &str) -> Draft {
        Draft {
            to,
            text: String::from(text),
            sender: None,
            link: None,
            class: Class::default(),
            priority: Priority::default(),
            send_at: None,
            valid_until: None,
            encoding: Encoding::Gsm7,
            segment_count: 1,
            on_unknown: None,
            flash: false,
            receipt: true,
            client_ref: None,
            unique_ref: false,
            allow_duplicate: true,
            metadata: None,
            token: "crm".into(),
            idempotency: None,
        }
    }
}
mod firm;
mod proofs;
