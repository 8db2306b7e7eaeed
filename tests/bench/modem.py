#!/usr/bin/env python3
"""Messages a minute through one modem, as a share of what its service time allows.

  scripts/bench modem [--quick]

The modem is tests/foreign/pty_modem.py, which is not ours: service times 0.05, 0.3 and 2 s from Ctrl-Z to +CMGS,
fixed and drawn from a range, a status report for each message and a reply to every fifth. `nudged run` sends what was
queued by HTTP; rate and service times are read from the modem's wire log alone, from the first message to the last.
The limit is 60 / (mean service time + 20 ms) a minute; below 95 % of it, or when replies or reports did not come
through or a message came twice, the exit code is 1.

Then nudged, smsd and gammu-smsd on `nudged sim modem` with the same fixed times, for comparison. `--no-peers` leaves
that out; `--only 0.05` takes one service time. $NUDGED names another program than the release build.
"""

import argparse
import datetime
import math
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "foreign"))

from modem_clients import Gammu, Missing, Process, PtyModem, Smsd, lines_of, wait_for  # noqa: E402
from nudged_daemon import Daemon, binary  # noqa: E402

FIXED = ("0.05", "0.3", "2.0")
DRAWN = ("0.03-0.07", "0.2-0.4", "1.5-2.5")
# What a client may take between an answer and the next Ctrl-Z.
OVERHEAD_SECONDS = 0.02
TARGET = 0.95
LONG_SECONDS, SHORT_SECONDS, FEWEST = 25, 5, 12
PEER_MESSAGES = {False: (30, 12), True: (8, 4)}
REPLY_EVERY = 5


def mean_of(span):
    low, _, high = span.partition("-")
    return (float(low) + float(high or low)) / 2


def number_of(place):
    return f"+49151{place:07d}"


def text_of(place):
    return f"Reminder {place}: 25,00 EUR are due on Friday."


def rate(moments):
    return 60 * (len(moments) - 1) / (moments[-1] - moments[0])


def queue(daemon, count):
    results = daemon.queue([{"to": number_of(n), "text": text_of(n)} for n in range(count)])
    refused = [result for result in results if "id" not in result]
    if refused:
        raise Missing(f"not accepted: {refused[0]}")


def await_wire(path, kinds, count, seconds, *alive):
    """Waits until the log has that many messages; looks seldom, because it shares the machine."""
    end = time.monotonic() + seconds
    while len(lines_of(path, *kinds)) < count:
        for process in alive:
            process.must_live()
        if time.monotonic() > end:
            raise Missing(f"{len(lines_of(path, *kinds))} of {count} messages in {seconds:.0f} s")
        time.sleep(0.5)


class Result:
    def __init__(self, span, client, modem, rate_found, ceiling, note="", faults=()):
        self.span, self.client, self.modem, self.rate, self.ceiling = span, client, modem, rate_found, ceiling
        self.note, self.faults = note, list(faults)

    @property
    def share(self):
        return self.rate / self.ceiling

    def line(self):
        return (
            f"| {self.span} | {self.client} | {self.modem} | {self.rate:.1f} | {self.ceiling:.1f} "
            f"| {100 * self.share:.1f} % | {self.note} |"
        )


def on_foreign_modem(span, quick):
    """nudged on the modem that is not ours."""
    work = Path(tempfile.mkdtemp(prefix="nudged-bench-modem-"))
    mean = mean_of(span)
    count = max(FEWEST, math.ceil((SHORT_SECONDS if quick else LONG_SECONDS) / (mean + OVERHEAD_SECONDS)))
    options = ("--service-time", span, "--report-after", "0.2", "--reply-every", str(REPLY_EVERY), "--slots", "50")
    modem = PtyModem(work, "gsm1", *options)
    daemon = Daemon(work, {"gsm1": modem.link})
    try:
        daemon.start()
        queue(daemon, count)
        patience = 60 + 3 * count * (mean + 0.1)
        await_wire(modem.wire, ("answer",), count, patience, modem, daemon.process)
        submits, answers = lines_of(modem.wire, "submit"), lines_of(modem.wire, "answer")
        faults, note = checked(daemon, modem, count, submits)
    finally:
        daemon.end()
        modem.end()
    # The last one's service time is behind its Ctrl-Z and so not in the span that is measured.
    services = [line["service_s"] for line in answers[: count - 1]]
    ceiling = 60 / (sum(services) / len(services) + OVERHEAD_SECONDS)
    result = Result(span, "nudged", "foreign", rate([line["t"] for line in submits]), ceiling, note, faults)
    if result.share < TARGET:
        result.faults.append(f"{100 * result.share:.1f} % is below {100 * TARGET:.0f} %")
    if not result.faults:
        shutil.rmtree(work)
    return result


def checked(daemon, modem, count, submits):
    """What else has to be true of a run: each message once, reports and replies through."""
    faults = []
    if sorted(line["to"] for line in submits) != sorted(map(number_of, range(count))):
        faults.append(f"{len(submits)} on the wire, {len({line['to'] for line in submits})} numbers, {count} accepted")
    replies = count // REPLY_EVERY

    def through():
        return daemon.counts()["delivered"] == count and len(list(daemon.listed("/v1/inbound"))) >= replies

    try:
        wait_for("reports and replies", through, 30)
    except Missing as why:
        faults.append(str(why))
    delivered, read = daemon.counts()["delivered"], len(list(daemon.listed("/v1/inbound")))
    if not delivered or not read or modem.state()["replies_stored"]:
        faults.append(f"reports or replies do not flow: {modem.state()}")
    return faults, f"{count} messages, {delivered} delivered, {read} of {replies} replies"


class OwnSimulator:
    """`nudged sim modem`."""

    def __init__(self, work, span):
        self.link, self.wire = work / "sim.tty", work / "sim.wire"
        command = [binary(), "sim", "modem", "--link", self.link, "--service-time", f"{round(float(span) * 1000)}ms"]
        self.process = Process([*command, "--wire", self.wire], work / "sim.log")
        wait_for("the simulator", lambda: self.process.must_live() and self.link.is_symlink())

    def submits(self):
        return [line for line in lines_of(self.wire) if "submit" in line["kind"]]

    def moments(self):
        return [datetime.datetime.fromisoformat(line["at"].replace("Z", "+00:00")).timestamp() for line in self.submits()]


def on_own_modem(span, client_of, quick):
    work = Path(tempfile.mkdtemp(prefix="nudged-bench-modem-"))
    fast, slow = PEER_MESSAGES[quick]
    count = slow if float(span) >= 1 else fast
    sim = OwnSimulator(work, span)
    client = client_of(work, sim.link) if client_of else Daemon(work, {"gsm1": sim.link})
    try:
        if client_of:
            for place in range(count):
                client.queue(number_of(place), text_of(place), place)
            client.start()
        else:
            client.start()
            queue(client, count)
        end = time.monotonic() + 90 + count * (float(span) + 3)
        while len(sim.submits()) < count:
            sim.process.must_live()
            if time.monotonic() > end:
                raise Missing(f"{client_of.name if client_of else 'nudged'}: {len(sim.submits())} of {count} messages")
            time.sleep(0.5)
        moments = sim.moments()
    finally:
        client.end()
        sim.process.end()
    shutil.rmtree(work)
    ceiling = 60 / (float(span) + OVERHEAD_SECONDS)
    return Result(span, client_of.name if client_of else "nudged", "sim modem", rate(moments), ceiling, f"{count} messages")


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--only", action="append", choices=FIXED + DRAWN, default=[])
    options = parser.parse_args(["--quick" if argument == "quick" else argument for argument in arguments])
    runs = [(on_foreign_modem, span) for span in FIXED + DRAWN]
    if not options.no_peers:
        runs += [(on_own_modem, span, client) for span in FIXED for client in (None, Smsd, Gammu)]
    print("| service time, s | client | modem | messages/min | limit/min | share | |\n|---|---|---|---|---|---|---|", flush=True)
    faults = []
    for run, span, *more in runs:
        if options.only and span not in options.only:
            continue
        try:
            result = run(span, *more, options.quick)
        except Missing as why:
            faults.append(f"{span}, {more[0].name if more and more[0] else 'nudged'}: {why} (logs are kept in {tempfile.gettempdir()})")
            continue
        print(result.line(), flush=True)
        faults += [f"{span}: {fault}" for fault in result.faults]
    for fault in faults:
        print(f"bench modem: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
