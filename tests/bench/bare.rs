//! The limit: a bare SMPP client on rusmpp's types with nothing behind it. TCP_NODELAY, the window kept full,
//! one write for each batch of PDUs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use rusmpp::decode::DecodeWithLength;
use rusmpp::encode::{Length, owned::Encode};
use rusmpp::pdus::{BindTransceiver, DeliverSmResp, SubmitSm};
use rusmpp::types::{COctetString, OctetString};
use rusmpp::values::{InterfaceVersion, Npi, RegisteredDelivery, Ton};
use rusmpp::{Command, CommandStatus, Pdu};

use crate::Fallible;
use crate::client::{recipient_of, text_of};

/// Nothing takes this long here.
const PATIENCE: Duration = Duration::from_secs(30);

/// Submits all `numbers` with at most `window` unanswered, and returns when all are answered.
pub fn submit_all(smsc: SocketAddr, numbers: Range<u32>, window: usize) -> Fallible<()> {
    let mut bare = Bare { stream: TcpStream::connect(smsc)?, input: BytesMut::new(), sequence: 0 };
    bare.stream.set_nodelay(true)?;
    bare.stream.set_read_timeout(Some(PATIENCE))?;
    bare.bind()?;
    let (mut left, mut unanswered, mut out) = (numbers, 0, BytesMut::new());
    loop {
        out.clear();
        while unanswered < window {
            let Some(number) = left.next() else { break };
            bare.put(submit(number)?, &mut out);
            unanswered += 1;
        }
        bare.stream.write_all(&out)?;
        if unanswered == 0 {
            return Ok(());
        }
        for command in bare.read()? {
            match command.pdu() {
                Some(Pdu::SubmitSmResp(_)) if command.status() == CommandStatus::EsmeRok => unanswered -= 1,
                other => return Err(format!("{:?} {other:?} for an answer", command.status()).into()),
            }
        }
    }
}

struct Bare {
    stream: TcpStream,
    input: BytesMut,
    sequence: u32,
}

impl Bare {
    fn bind(&mut self) -> Fallible<()> {
        let bind = BindTransceiver::builder()
            .system_id(COctetString::from_string("bare".to_owned())?)
            .password(COctetString::from_string("secret".to_owned())?)
            .interface_version(InterfaceVersion::Smpp3_4)
            .build();
        let mut out = BytesMut::new();
        self.put(bind, &mut out);
        self.stream.write_all(&out)?;
        match self.read()?.first().map(Command::status) {
            Some(CommandStatus::EsmeRok) => Ok(()),
            other => Err(format!("bind answered with {other:?}").into()),
        }
    }

    fn put(&mut self, pdu: impl Into<Pdu>, out: &mut BytesMut) {
        self.sequence += 1;
        let command = Command::new(CommandStatus::EsmeRok, self.sequence, pdu);
        let length = 4 + command.length();
        out.reserve(length);
        out.put_u32(length as u32);
        command.encode(out);
    }

    /// At least one PDU.
    fn read(&mut self) -> Fallible<Vec<Command>> {
        let mut commands = Vec::new();
        let mut buffer = [0; 32 * 1024];
        while commands.is_empty() {
            let octets = self.stream.read(&mut buffer)?;
            if octets == 0 {
                return Err("the SMSC closed the connection".into());
            }
            self.input.extend_from_slice(&buffer[..octets]);
            while let Some(mut frame) = self.split() {
                let length = frame.len();
                commands.push(Command::decode(&mut frame, length)?.0);
            }
        }
        Ok(commands)
    }

    /// The next whole PDU without its length.
    fn split(&mut self) -> Option<BytesMut> {
        let length = u32::from_be_bytes(self.input.get(..4)?.try_into().ok()?) as usize;
        if self.input.len() < length {
            return None;
        }
        let mut frame = self.input.split_to(length);
        frame.advance(4);
        Some(frame)
    }
}

fn submit(number: u32) -> Fallible<SubmitSm> {
    Ok(SubmitSm::builder()
        .source_addr_ton(Ton::Alphanumeric)
        .source_addr(COctetString::from_string("ACME".to_owned())?)
        .dest_addr_ton(Ton::International)
        .dest_addr_npi(Npi::Isdn)
        .destination_addr(COctetString::from_string(recipient_of(number))?)
        .registered_delivery(RegisteredDelivery::from(0))
        .short_message(OctetString::from_vec(text_of(number).into_bytes())?)
        .build())
}

/// An SMSC of one connection that takes and answers at once and tells each message's instant, finer than the
/// milliseconds of a wire log.
pub mod smsc {
    use super::*;
    use rusmpp::pdus::{BindTransceiverResp, SubmitSmResp};
    use std::net::TcpListener;
    use std::sync::mpsc::Sender;
    use std::time::Instant;

    /// Serves one client until it closes; sends the number at the front of each text with its instant.
    pub fn serve(listener: &TcpListener, taken: &Sender<(u32, Instant)>) -> Fallible<()> {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut bare = Bare { stream, input: BytesMut::new(), sequence: 0 };
        loop {
            let commands = bare.read()?;
            let now = Instant::now();
            let mut out = BytesMut::new();
            for command in commands {
                let answer: Pdu = match command.pdu() {
                    Some(Pdu::BindTransceiver(_)) => BindTransceiverResp::default().into(),
                    Some(Pdu::SubmitSm(submit)) => {
                        let text = String::from_utf8_lossy(submit.short_message().as_ref()).into_owned();
                        let number = text.get(..8).and_then(|digits| digits.parse().ok());
                        taken.send((number.ok_or("a text without a number")?, now))?;
                        let id = COctetString::from_string(format!("{}", command.sequence_number()))?;
                        SubmitSmResp::builder().message_id(id).build().into()
                    }
                    Some(Pdu::EnquireLink) => Pdu::EnquireLinkResp,
                    Some(Pdu::DeliverSm(_)) => DeliverSmResp::default().into(),
                    Some(Pdu::Unbind) => Pdu::UnbindResp,
                    _ => continue,
                };
                bare.sequence = command.sequence_number() - 1;
                bare.put(answer, &mut out);
            }
            bare.stream.write_all(&out)?;
        }
    }
}
