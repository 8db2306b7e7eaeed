"""Compares the wire log of the simulated SMSC with what foreign clients say they sent. Usage: compare.py WIRE SENT...
Exit 1 with the differences, also when a client says nothing.
"""

import json
import sys

FIELDS = ("message_id", "from", "to", "text", "udh")


def read(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def main(wire, *clients):
    log = read(wire)
    taken = sorted(tuple(line[f] or "" for f in FIELDS) for line in log if line["kind"] == "submit_sm")
    sent = []
    for client in clients:
        lines = read(client)
        if not lines:
            sys.exit(f"foreign: {client}: the client sent nothing")
        sent += [tuple(line[f] or "" for f in FIELDS) for line in lines]
    sent.sort()
    if taken != sent:
        for name, one, other in (("only in the wire log", taken, sent), ("only at the client", sent, taken)):
            for line in one:
                if line not in other:
                    print(f"foreign: {name}: {line}", file=sys.stderr)
        sys.exit(f"foreign: {len(taken)} messages in the wire log, {len(sent)} at the clients")
    unbinds = sum(line["kind"] == "unbind" for line in log)
    refused = [line for line in log if line["kind"] == "refused"]
    delivered = sum(line["kind"] == "deliver_sm" and line["status"] == 0 for line in log)
    if unbinds != len(clients) or refused or delivered != len(sent) + len(clients):
        sys.exit(f"foreign: {unbinds} unbinds, {delivered} deliver_sm answered, refused: {refused}")
    print(f"foreign: {len(sent)} messages of {len(clients)} clients, each once in the wire log; "
          f"{delivered} receipts and replies taken")


if __name__ == "__main__":
    main(*sys.argv[1:])
