#!/usr/bin/env python3
"""smsd (Debian smstools) and gammu-smsd as clients of a modem, for the benchmark and for proving a modem.

  modem_clients.py       each sends five messages through pty_modem.py and reads two; exit 1 with what was missing

Neither needs more than the link of the pty; configurations after the daemons' own manuals.
"""

import json
import os
import signal
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SMSD, GAMMU = "/usr/sbin/smsd", "/usr/bin/gammu-smsd"
PATIENCE_SECONDS = 90


class Missing(Exception):
    """A program is not installed, ended, or did not do its work; the text says which."""


def wait_for(what, condition, seconds=PATIENCE_SECONDS, pause=0.02):
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise Missing(f"waited {seconds:.0f} s for {what}")
        time.sleep(pause)
    return value


class Process:
    """A child with its standard input open and both outputs in a file; `end` asks, waits, and then kills."""

    def __init__(self, arguments, log, **more):
        if not shutil.which(str(arguments[0])):
            raise Missing(f"{arguments[0]} is not installed")
        self.log = Path(log)
        with open(log, "ab") as file:
            self.child = subprocess.Popen(
                list(map(str, arguments)), stdin=subprocess.PIPE, stdout=file, stderr=file, start_new_session=True, **more
            )

    def tell(self, line):
        self.child.stdin.write(f"{line}\n".encode())
        self.child.stdin.flush()

    def must_live(self):
        if self.child.poll() is not None:
            tail = self.log.read_text(errors="replace").splitlines()[-10:]
            raise Missing(f"{self.child.args[0]} ended with {self.child.returncode}:\n" + "\n".join(tail))
        return True

    def end(self, seconds=10):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                # The group is its own (start_new_session), so that its children end too.
                os.killpg(self.child.pid, signal.SIGKILL)
                self.child.wait()
        self.child.stdin.close()


class PtyModem(Process):
    """pty_modem.py with its logs in `work`; names are unique in a run."""

    def __init__(self, work, name, *options):
        self.link, self.wire, self.inbound = work / f"{name}.tty", work / f"{name}.wire", work / f"{name}.inbound"
        command = [sys.executable, HERE / "pty_modem.py", "--link", self.link, "--wire", self.wire]
        super().__init__([*command, "--inbound", self.inbound, "--name", name, *options], work / f"{name}.log")
        wait_for("the modem", lambda: self.must_live() and os.path.lexists(self.link))

    def state(self):
        """What the command `state` prints."""
        size = self.log.stat().st_size
        self.tell("state")

        def answer():
            self.must_live()
            with open(self.log, encoding="utf-8", errors="replace") as log:
                log.seek(size)
                return [line for line in log if line.startswith("{") and line.endswith("}\n")]

        return json.loads(wait_for("the state of the modem", answer)[-1])


def lines_of(path, *kinds):
    if not path.exists():
        return []
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file if line.endswith("\n")]
    return [line for line in lines if not kinds or line["kind"] in kinds]


class Smsd:
    name, program = "smsd", SMSD

    def __init__(self, work, link):
        self.dir = work / "smsd"
        directories = ("outgoing", "checked", "failed", "incoming", "sent")
        for directory in directories:
            (self.dir / directory).mkdir(parents=True)
        config = self.dir / "smsd.conf"
        config.write_text(
            "devices = GSM1\n"
            + "".join(f"{directory} = {self.dir / directory}\n" for directory in directories)
            + f"infofile = {self.dir}/smsd.working\npidfile = {self.dir}/smsd.pid\nlogfile = {self.dir}/smsd.log\n"
            "loglevel = 7\ndelaytime = 2\nerrorsleeptime = 3\nblocktime = 20\n"
            f"[GSM1]\ndevice = {link}\nbaudrate = 115200\nrtscts = no\nincoming = yes\nreport = yes\n"
        )
        self.command = [self.program, "-c", config, "-t"]
        self.process = None

    def start(self):
        self.process = Process(self.command, self.dir / "output")

    def queue(self, number, text, place):
        # Written elsewhere on the same file system, then moved: smsd may look at any time.
        file = self.dir / f"message{place:04d}"
        file.write_text(f"To: {number.removeprefix('+')}\n\n{text}\n")
        file.rename(self.dir / "outgoing" / file.name)

    def received(self):
        return [path.read_text(errors="replace") for path in (self.dir / "incoming").iterdir()]

    def failures(self):
        return list((self.dir / "failed").iterdir())

    def settled(self):
        """Nothing waits and nothing is being sent."""
        return not any(os.listdir(self.dir / directory) for directory in ("outgoing", "checked"))

    def end(self):
        if self.process:
            self.process.end()


class Gammu(Smsd):
    name, program = "gammu-smsd", GAMMU

    def __init__(self, work, link):
        self.dir = work / "gammu"
        paths = {"inboxpath": "inbox", "outboxpath": "outbox", "sentsmspath": "sent", "errorsmspath": "error"}
        for directory in paths.values():
            (self.dir / directory).mkdir(parents=True)
        config = self.dir / "gammu.conf"
        config.write_text(
            f"[gammu]\ndevice = {link}\nconnection = at115200\n"
            f"[smsd]\nservice = files\nlogfile = {self.dir}/smsd.log\ndebuglevel = 255\n"
            + "".join(f"{key} = {self.dir / directory}/\n" for key, directory in paths.items())
            + "commtimeout = 1\nreceivefrequency = 3\ndeliveryreport = log\n"
        )
        self.command = [self.program, "-c", config, "-p", self.dir / "gammu.pid"]
        self.process = None

    def queue(self, number, text, place):
        file = self.dir / f"message{place:04d}"
        file.write_text(text)
        # Priority, date, time and serial number, recipient: gammu-smsd sends in the order of names. d asks for a report.
        file.rename(self.dir / "outbox" / f"OUTA20260101_{place:06d}_00_{number}_reminder.txtd")

    def received(self):
        return [path.read_text(errors="replace") for path in (self.dir / "inbox").iterdir() if path.suffix == ".txt"]

    def failures(self):
        return list((self.dir / "error").iterdir())

    def settled(self):
        return not os.listdir(self.dir / "outbox")


def prove(client_of, work):
    """Five out, two in, through our own modem."""
    modem = PtyModem(work, client_of.name, "--service-time", "0.05-0.3", "--report-after", "0.5")
    client = client_of(work, modem.link)
    sent = {f"+35840111{n:04d}": f"Message {n}: 12,50 EUR {{x}} are due" for n in range(5)}
    try:
        for place, (number, text) in enumerate(sent.items()):
            client.queue(number, text, place)
        client.start()
        modem.tell("reply +358401119001 Yes, first")
        wait_for(f"{client.name} to send", lambda: len(lines_of(modem.wire, "submit")) >= len(sent))
        modem.tell("reply +358401119002 Yes, second: [€]")
        wait_for(f"{client.name} to receive", lambda: len(client.received()) >= 2)
        wait_for(f"{client.name} to free the places", lambda: not modem.state()["replies_stored"], 20)
        wait_for(f"{client.name} to hear the last answer", client.settled, 20)
    finally:
        client.end()
        modem.end()
    wire = {line["to"]: line["text"] for line in lines_of(modem.wire, "submit")}
    received = "\n".join(client.received())
    wrong = [f"{number} got {wire.get(number)!r}" for number, text in sent.items() if wire.get(number) != text]
    wrong += [f"{text!r} was not received" for text in ("Yes, first", "Yes, second: [") if text not in received]
    wrong += [f"failed: {path}" for path in client.failures()]
    if len(lines_of(modem.wire, "submit")) != len(sent):
        wrong.append(f"wire: {lines_of(modem.wire)}")
    for line in wrong:
        print(f"{client.name}: {line}", file=sys.stderr)
    if not wrong:
        print(f"{client.name}: {len(sent)} messages sent and 2 received through the foreign modem")
    return not wrong


def main():
    work = Path(tempfile.mkdtemp(prefix="nudged-modem-"))
    good = all([prove(client, work) for client in (Smsd, Gammu)])
    if good:
        shutil.rmtree(work)
    else:
        print(f"logs are kept in {work}", file=sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Missing as why:
        sys.exit(f"modem_clients: {why}")
