//! Whole statements, made up, good and bad.

use proptest::prelude::*;

use super::*;

/// Version 001.02: the status is text, the debtor's name stands below the debtor, amounts of a batch in `AmtDtls`.
const OLD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt><GrpHdr><MsgId>1</MsgId></GrpHdr>
<Stmt><Id>S1</Id><Acct><Id><IBAN>DE02120300000000202051</IBAN></Id></Acct>
<Ntry><NtryRef>1</NtryRef><Amt Ccy="EUR">120.50</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts>
  <BookgDt><Dt>2026-03-09</Dt></BookgDt><AcctSvcrRef>2026030912345678</AcctSvcrRef>
  <NtryDtls><TxDtls><Refs><EndToEndId>R-2026-4711</EndToEndId></Refs>
    <RltdPties><Dbtr><Nm>Jo Doe</Nm></Dbtr></RltdPties>
    <RmtInf><Ustrd>Invoice R-2026-</Ustrd><Ustrd>4711 &amp; thanks</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>
<Ntry><Amt Ccy="EUR">9.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>PDNG</Sts></Ntry>
<Ntry><Amt Ccy="EUR">30.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts>
  <BookgDt><DtTm>2026-03-09T10:00:00+01:00</DtTm></BookgDt>
  <NtryDtls><Btch><NbOfTxs>2</NbOfTxs></Btch>
  <TxDtls><Refs><EndToEndId>NOTPROVIDED</EndToEndId></Refs><AmtDtls><TxAmt><Amt Ccy="EUR">10.00</Amt></TxAmt></AmtDtls>
    <RmtInf><Ustrd>first</Ustrd></RmtInf></TxDtls>
  <TxDtls><AmtDtls><TxAmt><Amt Ccy="EUR">20.00</Amt></TxAmt></AmtDtls>
    <RmtInf><Strd><CdtrRefInf><Ref>RF18539007547034</Ref></CdtrRefInf></Strd></RmtInf></TxDtls></NtryDtls></Ntry>
</Stmt></BkToCstmrStmt></Document>"#;

/// Version 001.13: the status has a code, the debtor a party, each payment its own amount.
const NEW: &str = r#"<n:Document xmlns:n="urn:iso:std:iso:20022:tech:xsd:camt.053.001.13"><n:BkToCstmrStmt>
<n:Stmt><n:Acct><n:Id><n:Othr><n:Id>4711-0</n:Id></n:Othr></n:Id></n:Acct>
<n:Ntry><n:Amt Ccy="CHF">20.00000</n:Amt><n:CdtDbtInd>DBIT</n:CdtDbtInd><n:RvslInd>true</n:RvslInd>
  <n:Sts><n:Cd>BOOK</n:Cd></n:Sts><n:BookgDt><n:Dt>2026-03-09</n:Dt></n:BookgDt><n:AcctSvcrRef>REF-77-0001</n:AcctSvcrRef>
  <n:NtryDtls><n:TxDtls><n:RltdPties><n:Dbtr><n:Pty><n:Nm>Ann Öz</n:Nm></n:Pty></n:Dbtr></n:RltdPties></n:TxDtls></n:NtryDtls>
  <n:AddtlNtryInf>returned</n:AddtlNtryInf></n:Ntry>
<n:Ntry><n:Amt Ccy="CHF">5.00</n:Amt><n:CdtDbtInd>DBIT</n:CdtDbtInd><n:Sts><n:Cd>BOOK</n:Cd></n:Sts>
  <n:BookgDt><n:Dt>2026-03-09</n:Dt></n:BookgDt>
  <n:NtryDtls><n:TxDtls><n:RtrInf><n:Rsn><n:Cd>AC04</n:Cd></n:Rsn></n:RtrInf></n:TxDtls></n:NtryDtls></n:Ntry>
</n:Stmt></n:BkToCstmrStmt></n:Document>"#;

const MT940: &str = ":20:STARTUMS\r\n:25:12030000/202051\r\n:28C:00001/001\r\n:60F:C260308EUR1000,00\r\n\
:61:2603090309CR120,50N051NONREF//BANKREF1\r\n\
:86:166?00GUTSCHRIFT?109310?20EREF+R-2026-?214711?22SVWZ+Invoice R-2026-?234711 thank you?30BYLADEM1001?31DE\r\n\
021203000000?32Jo ?33Doe\r\n\
:61:2603091231RC10,N051NONREF\r\n:86:returned, see letter\r\nof Monday\r\n\
:61:260309D5,00NDDTNONREF\r\n:86:109?00RETOURE?20SVWZ+R\u{fc}ckgabe\r\n\
:61:2603090309D7,00NTRFRENT\r\n\
:62F:C260309EUR1098,50\r\n:86:for the whole statement\r\n-\r\n";

fn eur(minor: i64) -> Money {
    Money::new(minor, super::super::money::Currency::parse("EUR").unwrap()).unwrap()
}

#[test]
fn an_old_statement_gives_its_booked_entries() {
    let entries = read(OLD.as_bytes()).unwrap();
    assert_eq!(entries.len(), 3, "{entries:?}");
    let first = &entries[0];
    assert_eq!((first.amount, first.direction, first.reversal), (eur(12_050), Direction::Credit, false));
    assert_eq!(
        (first.external_id.as_str(), first.account.as_str()),
        ("2026030912345678@1171092d", "DE02120300000000202051")
    );
    assert_eq!(first.remittance, "Invoice R-2026- 4711 & thanks");
    assert_eq!(
        (first.end_to_end.as_deref(), first.debtor_name.as_deref()),
        (Some("R-2026-4711"), Some("Jo Doe"))
    );
    assert_eq!(first.booked.to_string(), "2026-03-09");
}

#[test]
fn a_batch_becomes_its_payments_when_they_add_up() {
    let entries = read(OLD.as_bytes()).unwrap();
    assert_eq!([entries[1].amount, entries[2].amount], [eur(1_000), eur(2_000)]);
    assert_eq!(entries[1].end_to_end, None);
    assert_eq!(entries[2].remittance, "RF18539007547034");
    let off = read(OLD.replace(">20.00<", ">20.01<").as_bytes()).unwrap();
    assert_eq!((off.len(), off[1].amount), (2, eur(3_000)), "what does not add up stays whole");
    assert_eq!(off[1].remittance, "first RF18539007547034");
}

#[test]
fn a_new_statement_with_prefixes_and_reversals_is_read() {
    let entries = read(NEW.as_bytes()).unwrap();
    let told: Vec<_> = entries.iter().map(|entry| (entry.direction, entry.reversal)).collect();
    assert_eq!(
        told,
        [(Direction::Debit, true), (Direction::Debit, true)],
        "by its mark, and by a return's reason"
    );
    assert_eq!(unmarked(entries[0].external_id.as_str()), "REF-77-0001/debit");
    assert_eq!(
        (entries[0].debtor_name.as_deref(), entries[0].remittance.as_str()),
        (Some("Ann Öz"), "returned")
    );
    assert_eq!(entries[0].amount.to_string(), "20.00 CHF");
}

#[test]
fn the_same_file_gives_the_same_ids_and_equal_entries_are_two() {
    let entry = ":61:2603090309C1,00NTRFNONREF\n:86:same\n";
    let file = format!(":20:x\n:25:acc\n:60F:C260309EUR0,00\n{}:62F:C260309EUR3,00\n", entry.repeat(3));
    let ids = |file: &str| -> Vec<String> {
        read(file.as_bytes()).unwrap().into_iter().map(|entry| entry.external_id.to_string()).collect()
    };
    let first = ids(&file);
    assert_eq!(first, ids(&file));
    assert_eq!(first.iter().collect::<std::collections::HashSet<_>>().len(), 3);
    assert_ne!(ids(&file.replace("same", "other"))[0], first[0]);
    assert_ne!(ids(&file.replace(":25:acc", ":25:bcc"))[0], first[0]);
}

#[test]
fn the_same_reference_on_another_account_is_another_entry() {
    let of = |account: &str| {
        let file = OLD.replace("DE02120300000000202051", account);
        read(file.as_bytes()).unwrap()[0].external_id.to_string()
    };
    let (one, other) = (of("DE02120300000000202051"), of("DE89370400440532013000"));
    assert_ne!(one, other);
    assert_eq!((unmarked(&one), unmarked(&other)), ("2026030912345678".into(), "2026030912345678".into()));
    for (id, plain) in
        [("a@12345678#2", "a#2"), ("jo@firm", "jo@firm"), ("a@1234567", "a@1234567"), ("@", "@")]
    {
        assert_eq!(unmarked(id), plain);
    }
}

#[test]
fn an_mt940_statement_with_structured_fields_is_read() {
    let latin: Vec<u8> = MT940.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let entries = read(&latin).unwrap();
    let told: Vec<_> =
        entries.iter().map(|entry| (entry.amount.minor(), entry.direction, entry.reversal)).collect();
    let (credit, debit) = (Direction::Credit, Direction::Debit);
    assert_eq!(
        told,
        [(12_050, credit, false), (1_000, debit, true), (500, debit, true), (700, debit, false)]
    );
    let first = &entries[0];
    assert_eq!(
        (first.end_to_end.as_deref(), first.debtor_name.as_deref()),
        (Some("R-2026-4711"), Some("Jo Doe"))
    );
    assert_eq!(first.remittance, "Invoice R-2026- 4711 thank you");
    assert_eq!(entries[1].booked.to_string(), "2025-12-31", "the booking lies nearest to its value");
    assert_eq!(entries[1].remittance, "returned, see letter of Monday");
    assert_eq!(entries[2].remittance, "Rückgabe");
    assert_eq!(entries[3].end_to_end.as_deref(), Some("RENT"));
    assert_eq!(read(MT940.as_bytes()).unwrap()[2].remittance, "Rückgabe", "in UTF-8 too");
}

#[test]
fn swift_blocks_and_slashed_words_are_read() {
    let file = "{1:F01BANKNL2AXXXX}{2:I940X}{4:\n:20:940\n:25:NL00BANK01\n:28C:1\n:60M:C260308EUR0,00\n\
        :61:2603090309CD3,00NTRFEREF//77\n/TRCD/00100/\n\
        :86:/TRTP/SEPA/EREF/R-1-2-3/NAME/J DOE/REMI/for R-1-2-3/\n:62M:C260309EUR3,00\n-}\n";
    let entries = read(file.as_bytes()).unwrap();
    assert_eq!(entries[0].end_to_end.as_deref(), Some("R-1-2-3"));
    assert_eq!(entries[0].debtor_name.as_deref(), Some("J DOE"));
    assert!(entries[0].remittance.ends_with("REMI/for R-1-2-3/"));
}

#[test]
fn what_is_wrong_names_its_line() {
    for (from, to, wanted) in [
        (
            ":62F:C260309EUR1098,50\r\n:86:for the whole statement\r\n",
            "",
            "line 14: the statement does not end",
        ),
        ("CR120,50", "CR120.50", "line 5: :61: must have an amount with a comma"),
        ("CR120,50", "X120,50", "line 5: :61: must have C, D, RC or RD"),
        ("2603090309CR", "2613090309CR", "line 5: :61: has a date that no calendar has"),
        ("2603090309CR", "2603090230CR", "line 5: :61: has a booking date"),
        (":60F:C260308EUR1000,00", ":60F:1000", "line 4: :60F: must be a balance"),
        (":60F:C260308EUR1000,00\r\n", "", "line 4: :61: stands before the opening balance"),
        (":25:12030000/202051\r\n", "", "line 4: :61: stands before the account"),
        (":28C:00001/001", "28C", "line 3"),
    ] {
        let file = MT940.replace(from, to);
        assert_ne!(file, MT940, "{from}");
        match read(file.as_bytes()) {
            Err(error) => assert!(error.to_string().starts_with(wanted), "{wanted}: {error}"),
            // A line that is no field goes on with the one before.
            Ok(_) => assert_eq!(to, "28C"),
        }
    }
}

#[test]
fn what_is_wrong_names_its_element() {
    for (from, to, wanted) in [
        ("<Amt Ccy=\"EUR\">120.50", "<Amt Ccy=\"EUR\">120,50", "line 4: Amt: must be digits"),
        ("<Amt Ccy=\"EUR\">120.50", "<Amt>120.50", "line 4: Amt: the currency"),
        (
            "CRDT</CdtDbtInd><Sts>BOOK</Sts>\n  <BookgDt><Dt>",
            "X</CdtDbtInd><Sts>BOOK</Sts>\n  <BookgDt><Dt>",
            "line 4: CdtDbtInd",
        ),
        ("<Dt>2026-03-09", "<Dt>2026-02-30", "line 5: BookgDt"),
        ("<IBAN>DE02120300000000202051</IBAN>", "", "line 3: Acct"),
        ("<Sts>PDNG</Sts>", "", "line 9: Sts: is missing"),
        ("</BkToCstmrStmt>", "", "the XML cannot be read"),
        ("BkToCstmrStmt>", "BkToCstmrAcctRpt>", "neither camt.053 nor MT940"),
    ] {
        let told = read(OLD.replace(from, to).as_bytes()).unwrap_err().to_string();
        assert!(told.starts_with(wanted), "{wanted}: {told}");
    }
}

#[test]
fn entities_and_document_types_are_refused() {
    let bomb = r#"<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><Document>&b;</Document>"#;
    let outside = r#"<!DOCTYPE d [<!ENTITY a SYSTEM "file:///etc/passwd">]><Document>&a;</Document>"#;
    for file in [bomb, outside, "<Document>&a;</Document>"] {
        assert!(matches!(read(file.as_bytes()), Err(BankError::Xml(_))), "{file}");
    }
}

#[test]
fn what_is_too_large_or_too_deep_is_refused() {
    assert_eq!(read(&vec![b' '; FILE_MAX + 1]), Err(BankError::TooLarge));
    let deep = "<a>".repeat(200_000) + &"</a>".repeat(200_000);
    assert!(read(deep.as_bytes()).is_err());
    let wide = format!("<a>{}</a>", "<b/>".repeat(1_100_000));
    assert!(matches!(read(wide.as_bytes()), Err(BankError::Xml(_))));
    let long = format!(":20:x\n:86:{}", "y\n".repeat(10_000));
    assert!(read(long.as_bytes()).unwrap_err().to_string().contains("too many lines"));
}

#[test]
fn what_is_no_statement_is_told_so() {
    for file in ["", "external_id,obligation\n", "hello"] {
        assert_eq!(read(file.as_bytes()), Err(BankError::Unknown), "{file}");
    }
}

#[test]
fn an_entry_is_stored_and_read_back() {
    let entry = read(OLD.as_bytes()).unwrap().remove(0);
    let stored = postcard::to_stdvec(&entry).unwrap();
    assert_eq!(postcard::from_bytes::<Entry>(&stored).unwrap(), entry);
}

fn bounded(octets: &[u8]) {
    if let Ok(entries) = read(octets) {
        assert!(entries.iter().all(|entry| entry.amount.is_positive()));
        assert!(entries.iter().all(|entry| entry.remittance.chars().count() <= REMITTANCE_MAX));
    }
}

proptest! {
    #[test]
    fn any_octets_are_read_without_a_panic(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        bounded(&octets);
        bounded(&[b":20:", &octets[..]].concat());
        bounded(&[b"<Document>", &octets[..]].concat());
    }

    #[test]
    fn a_statement_with_any_octets_in_it_is_read_without_a_panic(
        at in 0usize..3_000, gone in 0usize..40, new in proptest::collection::vec(any::<u8>(), 0..20)
    ) {
        for file in [OLD, NEW, MT940] {
            let mut octets = file.as_bytes().to_vec();
            let at = at % octets.len();
            let end = (at + gone).min(octets.len());
            octets.splice(at..end, new.clone());
            bounded(&octets);
        }
    }

    #[test]
    fn statement_lines_of_their_alphabet_are_read_without_a_panic(line in "[0-9CDRN,/A-Zé]{0,30}", text in "[0-9?+A-Zé\n]{0,60}") {
        let file = format!(":20:x\n:25:a\n:60F:C260309EUR0,00\n:61:{line}\n:86:{text}\n:61:260309C1,00NTRFx\n:86:166?{text}\n:62F:C260309EUR0,00");
        bounded(file.as_bytes());
    }
}
