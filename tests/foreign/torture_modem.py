#!/usr/bin/env python3
"""Tortures the modem link and then counts what became of every message and every reply.

  scripts/torture modem N

N cycles over one state directory, with one or two modems (pty_modem.py) that hang up, fall silent, boot anew and write
garbage at random octets of what they read and write, send floods of URCs, answer twice, and lose messages. A client
posts messages meanwhile, each again with its Idempotency-Key until it is taken; in some cycles the daemon is killed and
started again. Then the modems behave, and the referee waits until nothing is queued, sent or stored any more.

  --messages M             a cycle, on average 12
  --modems 1|2             2
  --kinds KIND,...         of hang-up, silence, reboot, garbage; noise too where replies may be damaged on the line,
                           which no modem protocol can mend: a reply lost by it is still counted
  --seed S                 of an earlier run, as far as the machine repeats it
  --keep                   the logs, also of a clean run
  --sabotage lose|double   the modem's log lies. The run must end with 1, or the referee is blind

Verdict from the client's list, the modems' wire logs and the API. twice: a segment with two lines, or two messages
for one request. lost: sent or delivered by the API and not wholly on the wire. denied: wholly on the wire, and the API
does not show it as sent, delivered, undelivered or unknown. unaccounted: accepted and not known to the API, on the
wire and never asked for, or anything sent in text mode. Replies: each once in GET /v1/inbound with its whole text,
and its places in the storages free. Exit 0 only if all that holds.
"""

import argparse
import collections
import http.client
import json
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from modem_clients import Missing, PtyModem, lines_of
from nudged_daemon import Daemon

KINDS = ("hang-up", "silence", "reboot", "garbage")
# Behind the header of a long message: 153 septets a segment, and each begins with the tag.
SEGMENT_CHARS = 153
TAG = re.compile(r"^T\d+(?=:)")
OPEN = ("scheduled", "queued", "sending")
ON_WIRE = ("sent", "delivered", "undelivered", "unknown")
PARTLY = ("unknown", "failed", "undelivered", "expired")
# Longer than 120 s without an answer, the wait for one, and twice a slow sweep of the storages.
QUIET_SECONDS = 420.0
# So short that a refused message is tried again within the cycle.
RETRY = 'retry = ["1s", "1s", "2s", "2s", "3s", "3s"]\n'


class Client:
    """Posts messages, each until it is taken, and remembers what was accepted."""

    def __init__(self, daemon, chance):
        self.daemon, self.chance = daemon, chance
        self.accepted, self.trouble, self.made = {}, [], 0

    def request(self):
        self.made += 1
        tag, kind = f"T{self.made:06d}", self.chance.random()
        if kind < 0.8:
            text = f"{tag}: 25,00 EUR are due on Friday."
        elif kind < 0.9:
            text = f"{tag}: \u0441\u0440\u043e\u043a \U0001f4b6"
        else:
            text = "".join(f"{tag}:{n}:".ljust(SEGMENT_CHARS, "x") for n in range(self.chance.choice((2, 3))))
        return tag, {"to": f"+49151{self.made:07d}", "text": text}

    def run(self, count, pause):
        for _ in range(count):
            tag, body = self.request()
            while not self.taken(tag, body):
                time.sleep(0.05)
            time.sleep(self.chance.uniform(0, 2 * pause))

    def taken(self, tag, body):
        try:
            status, answer = self.post(tag, body)
        except (OSError, http.client.HTTPException, ValueError):
            return False
        if status in (429, 503):
            return False
        if status // 100 != 2:
            self.trouble.append(f"{tag} was answered {status}: {answer}")
            return True
        self.accepted[tag] = {"id": answer["id"], "to": body["to"], "segments": answer["segment_count"]}
        return True

    def post(self, tag, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=10)
        headers = {"Authorization": f"Bearer {self.daemon.token}", "Content-Type": "application/json"}
        try:
            connection.request("POST", "/v1/messages", json.dumps(body), headers | {"Idempotency-Key": tag})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()


class Verdict:
    """What is wrong, by name."""

    def __init__(self):
        self.wrong = collections.defaultdict(list)
        self.statuses = collections.Counter()
        self.replies = self.never_sent = self.unreadable = 0

    def judge_messages(self, client, modems, kept):
        wire, tags = collections.Counter(), collections.defaultdict(set)
        for modem in modems:
            for line in lines_of(modem.wire, "submit"):
                wire[line["to"], line["number"]] += 1
                tag = TAG.match(line["text"])
                tags[line["to"]].add(tag.group() if tag else line["text"][:20])
            for line in lines_of(modem.wire, "text_mode"):
                self.wrong["unaccounted"].append(f"in text mode: {line['to']} {line['text'][:20]}")
        self.wrong["twice"] += [f"{to} segment {number}" for (to, number), lines in wire.items() if lines > 1]
        for tag, line in client.accepted.items():
            found = sum(bool(wire[line["to"], number]) for number in range(1, line["segments"] + 1))
            self.judge(tag, line, found, kept.get(line["id"], {}).get("status"))
            if not tags.pop(line["to"], {tag}) == {tag}:
                self.wrong["unaccounted"].append(f"{tag} with another text")
        self.wrong["unaccounted"] += [f"nobody wrote to {to}" for to in tags]
        ids = collections.Counter(TAG.match(message["text"]).group() for message in kept.values())
        self.wrong["twice"] += [f"{tag} was accepted twice" for tag, count in ids.items() if count > 1]

    def judge(self, tag, line, found, status):
        self.statuses[status] += 1
        whole = found == line["segments"]
        if status == "unknown" and not whole:
            self.never_sent += 1
        if status is None:
            self.wrong["unaccounted"].append(f"{tag} is not known to the API")
        elif status in OPEN:
            self.wrong["waiting"].append(f"{tag} ({status}, {found} of {line['segments']} on the wire)")
        elif not whole and status in ("sent", "delivered"):
            self.wrong["lost"].append(f"{tag} ({status}, {found} of {line['segments']} on the wire)")
        elif (whole and status not in ON_WIRE) or (found and not whole and status not in PARTLY):
            self.wrong["denied"].append(f"{tag} ({status}, {found} of {line['segments']} on the wire)")

    def judge_replies(self, modems, inbound):
        # What a reboot cut short may be shown raw: it is nobody's reply, and the reply itself still has to come.
        readable = [reply for reply in inbound if reply["text"] is not None]
        self.unreadable = len(inbound) - len(readable)
        shown = collections.Counter((reply["from"], reply["text"]) for reply in readable)
        for line in injected(modems):
            count = shown.pop((line["from"], line["text"]), 0)
            self.replies += 1
            if count != 1:
                self.wrong["replies lost" if not count else "replies twice"].append(f"{line['key']}, {count} times")
        self.wrong["replies unaccounted"] += [f"{number}: {text[:30]!r}" for number, text in shown]

    def sums(self):
        names = ("lost", "twice", "denied", "unaccounted", "replies lost", "replies twice", "replies unaccounted")
        return ", ".join(f"{name} {len(self.wrong[name])}" for name in names)

    def is_clean(self):
        return not any(self.wrong.values())


def injected(modems):
    return [line for modem in modems for line in lines_of(modem.inbound, "injected")]


class Run:
    def __init__(self, work, options):
        self.options, self.chance = options, random.Random(options.seed)
        cheat = ["--cheat", options.sabotage] if options.sabotage else []
        self.modems, self.daemon = [], None
        for number in range(1, options.modems + 1):
            self.modems.append(
                PtyModem(
                    work, f"gsm{number}", "--service-time", "0.05-0.6", "--report-after", "0.3", "--reply-every", "3",
                    "--reply-after", "0.0-1.0", "--slots", "10", "--chaos-every", "1000", "--seed", options.seed, *cheat,
                )
            )
        self.daemon = Daemon(work, {modem.link.stem: modem.link for modem in self.modems}, RETRY)
        self.client = Client(self.daemon, random.Random(f"{options.seed}/client"))
        self.faults, self.kills, self.counted = [], 0, collections.Counter()

    def cycle(self, number):
        began, kills = time.monotonic(), 0
        before = len(self.client.accepted)
        for modem in self.modems:
            kinds = self.chance.sample(self.options.kinds, self.chance.randint(1, len(self.options.kinds)))
            modem.tell(f"chaos {','.join(kinds)}")
        count = self.chance.randint(1, 2 * self.options.messages - 1)
        posting = threading.Thread(target=self.client.run, args=(count, 0.1), daemon=True)
        posting.start()
        storm = time.monotonic() + self.chance.uniform(4, 15)
        if self.chance.random() < 0.4:
            for _ in range(self.chance.randint(1, 2)):
                time.sleep(self.chance.uniform(0.05, 4))
                self.daemon.process.must_live()
                self.daemon.kill()
                time.sleep(self.chance.uniform(0, 0.5))
                self.daemon.start()
                kills += 1
        while time.monotonic() < storm and (posting.is_alive() or not self.is_quiet()):
            time.sleep(0.2)
        for modem in self.modems:
            modem.tell("chaos off")
        posting.join(60)
        if posting.is_alive():
            raise Missing("the client waits in vain to be taken")
        self.await_quiet()
        self.kills += kills
        verdict = self.judge()
        self.say(number, began, len(self.client.accepted) - before, kills, verdict)
        return verdict

    def is_quiet(self):
        self.daemon.process.must_live()
        try:
            if any(self.daemon.counts()[status] for status in OPEN):
                return False
            states = [modem.state() for modem in self.modems]
            if any(state["replies_stored"] or state["waiting"] or not state["ready"] for state in states):
                return False
            readable = [reply for reply in self.daemon.listed("/v1/inbound") if reply["text"] is not None]
            return len(readable) >= len(injected(self.modems))
        except (OSError, http.client.HTTPException):
            return False

    def await_quiet(self):
        """Reports and replies that are still to come take up to two seconds after the queue is empty."""
        end, since = time.monotonic() + QUIET_SECONDS, None
        while since is None or time.monotonic() < since + 2.5:
            if self.is_quiet():
                since = since or time.monotonic()
            else:
                since = None
                if time.monotonic() > end:
                    states = [modem.state() for modem in self.modems]
                    self.faults.append(f"not quiet after {QUIET_SECONDS:.0f} s: {self.daemon.counts()}, {states}")
                    return
            time.sleep(0.2)

    def judge(self):
        verdict = Verdict()
        kept = {message["id"]: message for message in self.daemon.listed("/v1/messages")}
        verdict.judge_messages(self.client, self.modems, kept)
        verdict.judge_replies(self.modems, list(self.daemon.listed("/v1/inbound")))
        for modem in self.modems:
            state = modem.state()
            if state["replies_stored"]:
                verdict.wrong["places not freed"].append(f"{modem.link.stem}: {state['stored']}")
        return verdict

    def say(self, number, began, accepted, kills, verdict):
        now = collections.Counter()
        for modem in self.modems:
            now.update(modem.state()["chaos"])
        fresh, self.counted = now - self.counted, now
        what = ", ".join(f"{name} {count}" for name, count in sorted(fresh.items()))
        print(
            f"{number:5d} {time.monotonic() - began:5.1f} s, {accepted:2d} accepted, {kills} kills; "
            f"{verdict.statuses['unknown']} unknown so far; {verdict.sums()}; {what}",
            flush=True,
        )

    def end(self):
        code = self.daemon.end() if self.daemon else None
        for modem in self.modems:
            modem.end()
        return code


def torture(run, cycles):
    run.daemon.start()
    verdict = Verdict()
    for number in range(1, cycles + 1):
        verdict = run.cycle(number)
        if run.faults or not verdict.is_clean():
            break
    for name, found in verdict.wrong.items():
        if found:
            print(f"{name}: {', '.join(found[:10])}{' ...' if len(found) > 10 else ''}")
    code = run.end()
    if code != 0:
        run.faults.append(f"the daemon ended with {code} when asked to stop")
    run.faults += run.client.trouble
    for fault in run.faults[:20]:
        print(f"fault: {fault}")
    statuses = ", ".join(f"{count} {status}" for status, count in sorted(verdict.statuses.items(), key=str))
    print(
        f"{number} of {cycles} cycles, {run.kills} kills; {len(run.client.accepted)} accepted: {statuses}; "
        f"{verdict.never_sent} of the unknown never left whole; {verdict.replies} replies, "
        f"{verdict.unreadable} more shown as unreadable\n{verdict.sums()}"
    )
    return 0 if verdict.is_clean() and not run.faults and run.client.accepted else 1


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cycles", type=int, metavar="N")
    parser.add_argument("--messages", type=int, default=12)
    parser.add_argument("--modems", type=int, choices=(1, 2), default=2)
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=KINDS)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--sabotage", choices=("lose", "double"))
    options = parser.parse_args(arguments)
    if options.cycles < 1 or options.messages < 1 or not set(options.kinds) <= {*KINDS, "noise"}:
        parser.error("N and M are at least 1, the kinds those named above")
    return options


def main(arguments):
    options = parse(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    work, run, code = Path(tempfile.mkdtemp(prefix="nudged-torture-modem-")), None, 1
    try:
        print(f"torture modem {options.cycles}, seed {options.seed}", flush=True)
        run = Run(work, options)
        code = torture(run, options.cycles)
    except Missing as why:
        print(f"torture: {why}", file=sys.stderr)
    finally:
        if run:
            run.end()
        if code == 0 and not options.keep:
            shutil.rmtree(work)
        else:
            print(f"torture: logs and lists are kept in {work}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
