"""python-smpplib against `nudged sim smsc`: bind, submit (GSM 7-bit, UCS-2, long with UDH), answers, receipts, a
reply, a query, unbind. Prints one JSON line a message it sent and was answered; says what was wrong and exits 1.
Usage: smpplib_client.py HOST PORT CONTROL_URL
"""

import json
import re
import sys
import time
import urllib.request

import smpplib.client
import smpplib.consts
import smpplib.gsm

PATIENCE_SECONDS = 20
TO = "4915112345602"
REPLY = "Zahle am Freitag, €"
LONG = "A long text of smpplib, in more than one segment. " * 5
TEXTS = ["Hello from python: 12,50 {x}", "Привет из python", LONG]
# esm_class of an SMSC delivery receipt, SMPP 3.4 section 5.2.12.
ESM_RECEIPT = 0x04
# message_state of a message that was delivered, section 5.2.28.
DELIVERED = 2
RECEIPT = re.compile(r"^id:(\S+) sub:001 dlvrd:001 .* stat:DELIVRD err:000 text:")


def fail(why):
    print(f"smpplib: {why}", file=sys.stderr)
    sys.exit(1)


class Run:
    def __init__(self, host, port):
        self.sent = {}
        self.answered = []
        self.receipts = set()
        self.replies = []
        self.client = smpplib.client.Client(host, int(port), timeout=5, allow_unknown_opt_params=True)
        self.client.set_message_sent_handler(self.on_sent)
        self.client.set_message_received_handler(self.on_received)
        self.queries = []
        self.client.set_query_resp_handler(self.queries.append)
        self.client.set_error_pdu_handler(lambda pdu: fail(f"{pdu.command}: status {pdu.status:#x}"))

    def on_sent(self, pdu):
        line = self.sent.pop(pdu.sequence)
        self.answered.append({"message_id": pdu.message_id.decode(), **line})

    def on_received(self, pdu):
        text = pdu.short_message
        if pdu.esm_class & ESM_RECEIPT:
            match = RECEIPT.match(text.decode("ascii"))
            if not match or match[1] != pdu.receipted_message_id.decode().rstrip("\0") or pdu.message_state != 2:
                fail(f"receipt: {text}")
            self.receipts.add(match[1])
        else:
            self.replies.append(text)
        return 0

    def send(self, text):
        segments, data_coding, esm_class = smpplib.gsm.make_parts(text)
        for octets in segments:
            udh = octets[:6] if len(segments) > 1 else b""
            alphabet = "utf-16-be" if data_coding == smpplib.consts.SMPP_ENCODING_ISO10646 else "ascii"
            plain = octets[len(udh):].replace(b"\x1b\x28", b"{").replace(b"\x1b\x29", b"}").decode(alphabet)
            pdu = self.client.send_message(
                source_addr_ton=smpplib.consts.SMPP_TON_ALNUM,
                source_addr="PYTHON",
                dest_addr_ton=smpplib.consts.SMPP_TON_INTL,
                dest_addr_npi=smpplib.consts.SMPP_NPI_ISDN,
                destination_addr=TO,
                short_message=octets,
                data_coding=data_coding,
                esm_class=esm_class,
                registered_delivery=True,
            )
            line = {"from": "PYTHON", "to": f"+{TO}", "text": plain, "udh": udh.hex() or None}
            self.sent[pdu.sequence] = line

    def done(self):
        ids = {line["message_id"] for line in self.answered}
        return not self.sent and ids <= self.receipts and self.replies


def read_until(run, done):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        if time.monotonic() > deadline:
            fail(f"not done in time: {len(run.sent)} unanswered, {len(run.receipts)} receipts")
        run.client.read_once(ignore_error_codes=())


def main(host, port, control):
    run = Run(host, port)
    run.client.connect()
    run.client.bind_transceiver(system_id="python", password="secret")
    for text in TEXTS:
        run.send(text)
    body = json.dumps({"from": f"+{TO}", "to": "PYTHON", "text": REPLY}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{control}/reply", data=body, method="POST")).read()
    read_until(run, run.done)
    if run.replies != [REPLY.replace("€", "\x1be").encode("ascii")]:
        fail(f"replies: {run.replies}")
    message_id = run.answered[0]["message_id"]
    run.client.query_message(
        message_id=message_id, source_addr_ton=smpplib.consts.SMPP_TON_ALNUM, source_addr_npi=0, source_addr="PYTHON"
    )
    read_until(run, lambda: run.queries)
    state = run.queries[0]
    if (state.message_id, state.message_state) != (message_id.encode(), DELIVERED):
        fail(f"query: {state.message_id}, state {state.message_state}")
    run.client.unbind()
    run.client.disconnect()
    for line in run.answered:
        print(json.dumps(line))


if __name__ == "__main__":
    main(*sys.argv[1:])
