//! camt.053 statements (ISO 20022 BankToCustomerStatement, versions 001.02 to 001.13), told by the names of their
//! elements: what nudged reads has the same names in all of them, and where a version moved one, both are known.
//!
//! Entities and document types are refused. Only booked entries are taken; a batch becomes its payments when each
//! has an amount and they add up, else it stays one.

use roxmltree::{Document, Node, ParsingOptions};

use jiff::civil::Date;

use super::super::money::{Currency, Money};
use super::{BankError, Direction, Draft, Entry, entries, joined, reference};

/// Elements, attributes' texts and texts of one file: about 100 octets of memory each.
const NODES_MAX: u32 = 1_000_000;

/// Reads the booked entries of all statements in a document.
///
/// # Errors
/// [`BankError::Xml`], [`BankError::Element`], [`BankError::Unknown`] for XML that holds no such statement.
pub fn read(text: &str) -> Result<Vec<Entry>, BankError> {
    let options = ParsingOptions { allow_dtd: false, nodes_limit: NODES_MAX, ..ParsingOptions::default() };
    let document =
        Document::parse_with_options(text, options).map_err(|why| BankError::Xml(why.to_string()))?;
    let root = document.root_element();
    let message = if name(root) == "BkToCstmrStmt" { Some(root) } else { child(root, "BkToCstmrStmt") };
    let message = message.ok_or(BankError::Unknown)?;
    let mut lines = Lines::new(text);
    let mut drafts = Vec::new();
    for statement in children(message, "Stmt") {
        let account = account(statement, &mut lines)?;
        for entry in children(statement, "Ntry") {
            read_entry(entry, &account, &mut lines, &mut drafts)?;
        }
    }
    Ok(entries(drafts))
}

/// Line numbers by octet, counted on from the last: positions only grow.
struct Lines<'t> {
    text: &'t str,
    at: usize,
    line: u32,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Lines<'t> {
        Lines { text, at: 0, line: 1 }
    }

    fn error(&mut self, node: Node<'_, '_>, element: &'static str, why: impl Into<String>) -> BankError {
        let to = node.range().start.max(self.at).min(self.text.len());
        let passed = &self.text.as_bytes()[self.at..to];
        self.line += u32::try_from(passed.iter().filter(|b| **b == b'\n').count()).unwrap_or(u32::MAX);
        self.at = to;
        BankError::Element { line: self.line, element, why: why.into() }
    }
}

fn account(statement: Node<'_, '_>, lines: &mut Lines<'_>) -> Result<String, BankError> {
    let id = child(statement, "Acct").and_then(|account| child(account, "Id"));
    let iban = id.and_then(|id| child(id, "IBAN"));
    let other = || id.and_then(|id| child(id, "Othr")).and_then(|other| child(other, "Id"));
    let said = iban.or_else(other).and_then(|id| reference(content(id)));
    said.ok_or_else(|| lines.error(statement, "Acct", "the statement names no account"))
}

fn read_entry(
    entry: Node<'_, '_>,
    account: &str,
    lines: &mut Lines<'_>,
    drafts: &mut Vec<Draft>,
) -> Result<(), BankError> {
    if !is_booked(entry, lines)? {
        return Ok(());
    }
    let whole = Draft {
        reference: child_content(entry, "AcctSvcrRef").and_then(reference),
        account: account.to_owned(),
        booked: booked(entry, lines)?,
        amount: amount(entry, lines)?,
        direction: direction(entry)
            .ok_or_else(|| lines.error(entry, "CdtDbtInd", "must be CRDT or DBIT"))?,
        reversal: child_content(entry, "RvslInd").is_some_and(|said| matches!(said, "true" | "1")),
        remittance: String::new(),
        end_to_end: None,
        debtor_name: None,
    };
    if !whole.amount.is_positive() {
        return Ok(());
    }
    let details: Vec<Node<'_, '_>> =
        children(entry, "NtryDtls").flat_map(|details| children(details, "TxDtls")).collect();
    match split(&details, &whole) {
        Some(pieces) => drafts.extend(pieces),
        None => drafts.push(detailed(&whole, entry, &details)),
    }
    Ok(())
}

/// Whether the entry is final: `Sts` holds the code itself in old versions and in `Cd` in newer ones.
fn is_booked(entry: Node<'_, '_>, lines: &mut Lines<'_>) -> Result<bool, BankError> {
    let status = child(entry, "Sts").ok_or_else(|| lines.error(entry, "Sts", "is missing"))?;
    let code = child(status, "Cd").or_else(|| child(status, "Prtry")).unwrap_or(status);
    Ok(content(code) == "BOOK")
}

fn booked(entry: Node<'_, '_>, lines: &mut Lines<'_>) -> Result<Date, BankError> {
    let date = child(entry, "BookgDt").or_else(|| child(entry, "ValDt"));
    let date = date.ok_or_else(|| lines.error(entry, "BookgDt", "is missing"))?;
    let said = child_content(date, "Dt").or_else(|| child_content(date, "DtTm")).unwrap_or_default();
    let day = said.get(..10).and_then(|day| day.parse().ok());
    day.ok_or_else(|| lines.error(date, "BookgDt", "must be a date as 2026-03-09"))
}

fn amount(entry: Node<'_, '_>, lines: &mut Lines<'_>) -> Result<Money, BankError> {
    let amount = child(entry, "Amt").ok_or_else(|| lines.error(entry, "Amt", "is missing"))?;
    money(amount).map_err(|why| lines.error(amount, "Amt", why))
}

fn money(amount: Node<'_, '_>) -> Result<Money, String> {
    let currency = Currency::parse(amount.attribute("Ccy").unwrap_or_default());
    let currency = currency.map_err(|why| why.to_string())?;
    Money::parse(content(amount), currency).map_err(|why| why.to_string())
}

fn direction(node: Node<'_, '_>) -> Option<Direction> {
    match child_content(node, "CdtDbtInd")? {
        "CRDT" => Some(Direction::Credit),
        "DBIT" => Some(Direction::Debit),
        _ => None,
    }
}

/// The payments of a batch, if they are told and add up to it.
fn split(details: &[Node<'_, '_>], whole: &Draft) -> Option<Vec<Draft>> {
    if details.len() < 2 {
        return None;
    }
    let mut sum = Money::zero(whole.amount.currency());
    let mut pieces = Vec::with_capacity(details.len());
    for node in details {
        let amount = piece_amount(*node)?;
        let side = direction(*node).unwrap_or(whole.direction);
        sum = if side == whole.direction { sum.plus(amount)? } else { sum.minus(amount)? };
        let own = child(*node, "Refs").and_then(|refs| child_content(refs, "AcctSvcrRef"));
        let mut piece = detailed(whole, *node, std::slice::from_ref(node));
        // The batch's reference is of all its payments; equal ones are told apart by their order.
        piece.reference = own.and_then(reference).or_else(|| whole.reference.clone());
        (piece.amount, piece.direction) = (amount, side);
        pieces.push(piece);
    }
    let whole_again = sum == whole.amount && pieces.iter().all(|piece| piece.amount.is_positive());
    whole_again.then_some(pieces)
}

/// The amount of one payment within a batch: `Amt` since version 001.04, `AmtDtls/TxAmt/Amt` before.
fn piece_amount(details: Node<'_, '_>) -> Option<Money> {
    let stated = || child(child(child(details, "AmtDtls")?, "TxAmt")?, "Amt");
    child(details, "Amt").or_else(stated).and_then(|amount| money(amount).ok())
}

/// `whole` with what its details say of payer and purpose.
fn detailed(whole: &Draft, entry: Node<'_, '_>, details: &[Node<'_, '_>]) -> Draft {
    let mut texts: Vec<&str> = details.iter().flat_map(|node| purpose(*node)).collect();
    if texts.is_empty() {
        texts.extend(child_content(entry, "AddtlNtryInf"));
        texts.extend(child_content(entry, "AddtlTxInf"));
    }
    let first = |read: fn(Node<'_, '_>) -> Option<String>| details.iter().find_map(|node| read(*node));
    let returned = details.iter().any(|node| child(*node, "RtrInf").is_some());
    Draft {
        reference: whole.reference.clone(),
        account: whole.account.clone(),
        booked: whole.booked,
        amount: whole.amount,
        direction: whole.direction,
        reversal: whole.reversal || (returned && whole.direction == Direction::Debit),
        remittance: joined(texts.into_iter()),
        end_to_end: first(end_to_end),
        debtor_name: first(debtor),
    }
}

/// What the payer wrote: `Ustrd` lines, and the reference of a structured one.
fn purpose<'a>(details: Node<'a, 'a>) -> Vec<&'a str> {
    let mut texts = Vec::new();
    for remittance in children(details, "RmtInf") {
        texts.extend(children(remittance, "Ustrd").map(content));
        for structured in children(remittance, "Strd") {
            texts.extend(child(structured, "CdtrRefInf").and_then(|info| child_content(info, "Ref")));
            texts.extend(children(structured, "AddtlRmtInf").map(content));
            let documents = children(structured, "RfrdDocInf");
            texts.extend(documents.filter_map(|document| child_content(document, "Nb")));
        }
    }
    texts
}

fn end_to_end(details: Node<'_, '_>) -> Option<String> {
    reference(child_content(child(details, "Refs")?, "EndToEndId")?)
}

/// `Dbtr/Nm` until version 001.06, `Dbtr/Pty/Nm` since.
fn debtor(details: Node<'_, '_>) -> Option<String> {
    let debtor = child(child(details, "RltdPties")?, "Dbtr")?;
    let party = child(debtor, "Pty").unwrap_or(debtor);
    let name = joined(std::iter::once(child_content(party, "Nm")?));
    (!name.is_empty()).then_some(name)
}

fn name<'a>(node: Node<'a, '_>) -> &'a str {
    node.tag_name().name()
}

fn children<'a, 'i: 'a>(node: Node<'a, 'i>, wanted: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |node| node.is_element() && name(*node) == wanted)
}

fn child<'a, 'i: 'a>(node: Node<'a, 'i>, wanted: &'static str) -> Option<Node<'a, 'i>> {
    children(node, wanted).next()
}

/// The text of an element, without blanks at its ends.
fn content<'a>(node: Node<'a, '_>) -> &'a str {
    node.text().unwrap_or_default().trim()
}

fn child_content<'a, 'i: 'a>(node: Node<'a, 'i>, wanted: &'static str) -> Option<&'a str> {
    child(node, wanted).map(content)
}
