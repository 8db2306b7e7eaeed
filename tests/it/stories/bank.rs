//! What the bank says came, and went back: files as they are rehearsed.

use nudged::cli::rehearse::{Bank, Said, What};
use nudged::reminder::bank;

use super::{Story, Told};

const ONE: &str = "+4915112345671";
const ID: &str = "R-2026-4711";

fn march() -> Story {
    Story::new("2026-03-02T00:00Z", "2026-04-01T00:00Z").case(ID, ONE, "2026-03-12")
}

/// One entry: C or RC, amount, the bank's reference, what the payer wrote.
fn mt940(mark: &str, amount: &str, reference: &str, text: &str) -> What {
    file(
        "bank.sta",
        &format!(
            ":20:STARTUMS\n:25:10020030/1234567\n:28C:1/1\n:60F:C260309EUR1000,00\n\
             :61:2603100310{mark}{amount}NTRFNONREF//{reference}\n:86:166?20{text}\n:62F:C260310EUR1120,50\n-\n"
        ),
    )
}

/// A debit of camt.053 that takes an earlier entry back.
fn returned(amount: &str, text: &str) -> What {
    file(
        "bank.xml",
        &format!(
            r#"<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt><Stmt>
            <Acct><Id><IBAN>DE02120300000000202051</IBAN></Id></Acct>
            <Ntry><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>DBIT</CdtDbtInd><RvslInd>true</RvslInd><Sts>BOOK</Sts>
            <BookgDt><Dt>2026-03-15</Dt></BookgDt><AcctSvcrRef>2026031500000001</AcctSvcrRef>
            <NtryDtls><TxDtls><RmtInf><Ustrd>{text}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>
            </Stmt></BkToCstmrStmt></Document>"#
        ),
    )
}

fn file(path: &str, text: &str) -> What {
    What::BankFile { path: path.to_owned(), entries: bank::read(text.as_bytes()).unwrap() }
}

/// What the files came to, in order.
fn came(told: &Told) -> Vec<Bank> {
    let files = told.lines.iter().filter_map(|line| match &line.said {
        Said::Bank(bank) => Some(bank.clone()),
        _ => None,
    });
    files.collect()
}

#[test]
fn a_payment_in_a_bank_file_ends_it_and_counts_once() {
    let pays = || mt940("C", "120,50", "BANKREF0001", "Rechnung R-2026-4711");
    let told = march().when("2026-03-10T12:00Z", pays()).when("2026-03-11T12:00Z", pays()).tell();
    assert_eq!(told.reminders(), ["R-2026-4711 before 2026-03-09"]);
    assert_eq!(told.fates(ID), ["exited paid"]);
    assert_eq!(told.tasks(), [""; 0]);
    let booked: Vec<_> = came(&told).iter().map(|bank| (bank.booked, bank.unchanged)).collect();
    assert_eq!(booked, [(1, 0), (0, 1)]);
}

#[test]
fn a_payment_that_the_bank_takes_back_begins_it_anew() {
    let told = march()
        .when("2026-03-10T12:00Z", mt940("C", "120,50", "BANKREF0001", "Rechnung R-2026-4711"))
        .when("2026-03-15T12:00Z", returned("120.50", "Retoure R-2026-4711"))
        .tell();
    assert_eq!(
        told.reminders(),
        ["R-2026-4711 before 2026-03-09", "R-2026-4711 after 2026-03-17", "R-2026-4711 last 2026-03-21"]
    );
    let bank = &came(&told)[1];
    assert_eq!((bank.path.as_str(), bank.entries, bank.reversed), ("bank.xml", 1, 1), "{bank:?}");
}

#[test]
fn a_doubtful_amount_is_a_task_and_changes_nothing_else() {
    let told = march().when("2026-03-10T12:00Z", mt940("C", "200,00", "BANKREF0001", "R-2026-4711")).tell();
    assert_eq!(told.reminders().len(), 4);
    assert_eq!(told.tasks()[0], "payment");
    assert_eq!(came(&told)[0].doubtful, 1);
}

#[test]
fn a_file_that_comes_while_the_daemon_is_down_counts_before_anything_goes() {
    let down = What::Down { until: super::at("2026-03-09T12:00Z") };
    let told = march()
        .when("2026-03-09T06:00Z", down)
        .when("2026-03-09T10:00Z", mt940("C", "120,50", "BANKREF0001", "R-2026-4711"))
        .tell();
    assert_eq!(told.reminders(), [""; 0]);
}
