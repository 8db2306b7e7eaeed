"""Tries `nudged sim modem` with the two daemons everybody knows: smsd (smstools), gammu and gammu-smsd. Usage:
modem.py NUDGED. For a generic modem and a Huawei each client sends and receives, configured as its manual says; what
it says it sent and received is compared with the wire log. Exit 1 with the differences, or when a program is missing.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.request

PROGRAMS = ("smsd", "gammu", "gammu-smsd")
VENDORS = ("generic", "huawei")
LONG = "Rechnung 4711 ist offen. " * 9
REPLIES = (("+4915112345678", "Yes, tomorrow"), ("+4915112345679", "STOP"))
PATIENCE = 45

SMSD = """devices = GSM1
outgoing = {d}/outgoing
checked = {d}/checked
failed = {d}/failed
incoming = {d}/incoming
sent = {d}/sent
infofile = {d}/smsd.working
pidfile = {d}/smsd.pid
logfile = {d}/smsd.log
loglevel = 7
delaytime = 1
errorsleeptime = 3
blocktime = 20
[GSM1]
device = {d}/tty
baudrate = 115200
rtscts = no
incoming = yes
report = yes
memory_start = {start}
"""

GAMMU = """[gammu]
device = {d}/tty
connection = at115200
[smsd]
service = files
logfile = {d}/smsd.log
debuglevel = 255
inboxpath = {d}/inbox/
outboxpath = {d}/outbox/
sentsmspath = {d}/sent/
errorsmspath = {d}/error/
commtimeout = 1
receivefrequency = 3
deliveryreport = log
"""


class Failed(Exception):
    """What differs."""


def expect(truth, what):
    if not truth:
        raise Failed(what)


def wait_for(what, condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        expect(time.monotonic() < end, f"{what}: not within {PATIENCE} s")
        time.sleep(0.1)


def stop(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Modem:
    """A simulated modem at `tty` in a directory of its own."""

    def __init__(self, nudged, directory, vendor, subdirectories):
        self.d = directory
        for name in subdirectories:
            os.makedirs(os.path.join(directory, name))
        with open(os.path.join(directory, "log"), "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [nudged, "sim", "modem", "--link", f"{directory}/tty", "--vendor", vendor, "--service-time", "50ms",
                 "--receipts", "--wire", f"{directory}/wire", "--control", "127.0.0.1:0"],
                stdout=subprocess.PIPE, stderr=log, text=True)
        lines = [self.process.stdout.readline() for _ in range(2)]
        expect(lines[0].startswith("listening on "), f"the simulator said {lines}")
        self.control = "http://" + lines[1].removeprefix("control on ").strip()

    def write(self, name, text):
        path = os.path.join(self.d, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def hand_over(self, name, text):
        """Into a spool directory in one step."""
        os.rename(self.write("new", text), os.path.join(self.d, name))

    def files(self, name):
        texts = []
        for file in sorted(os.listdir(os.path.join(self.d, name))):
            with open(os.path.join(self.d, name, file), encoding="utf-8", errors="replace") as text:
                texts.append(text.read())
        return texts

    def reply(self, number, text):
        body = json.dumps({"from": number, "text": text}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.control}/reply", body, method="POST"), timeout=10).close()

    def wire(self, kind):
        with open(os.path.join(self.d, "wire"), encoding="utf-8") as lines:
            return [line for line in map(json.loads, lines) if line["kind"] == kind]

    def messages(self):
        """Number and whole text of what the modem took, and how many lines that was."""
        lines, texts = self.wire("sms_submit"), {}
        for line in lines:
            segment = line["segment"]
            key = (line["to"], segment["ref"] if segment else f"one {line['seq']}")
            texts.setdefault(key, {})[segment["number"] if segment else 1] = line["text"]
        return sorted((key[0], "".join(text[n] for n in sorted(text)).strip()) for key, text in texts.items()), len(lines)

    def check_sent(self, sent, segments):
        taken, lines = self.messages()
        expect(taken == sorted(sent), f"in the wire log {taken}, at the client {sorted(sent)}")
        expect(lines == segments, f"{lines} segments in the wire log instead of {segments}")
        refused = self.wire("refused")
        expect(not refused, f"refused: {refused}")

    def check_replies_taken(self):
        replies = [line["id"] for line in self.wire("sms_deliver") if line["report"] is None]
        taken = [line["id"] for line in self.wire("sms_taken")]
        expect(len(replies) == len(REPLIES), f"{len(replies)} replies came")
        expect(all(taken.count(reply) == 1 for reply in replies), f"replies {replies}, deleted {taken}")


def try_smsd(nudged, directory, vendor):
    modem = Modem(nudged, directory, vendor, ("outgoing", "checked", "failed", "incoming", "sent"))
    # A Huawei counts its slots from 0, which smsd has to be told.
    conf = modem.write("conf", SMSD.format(d=directory, start=0 if vendor == "huawei" else 1))
    with open(os.path.join(directory, "out"), "w", encoding="utf-8") as out:
        smsd = subprocess.Popen([shutil.which("smsd"), "-c", conf, "-t"], stdout=out, stderr=out)
    try:
        texts = ["Please pay", "Grüße, 12 € offen", "Καλημέρα σας", LONG.strip(), "Thank you"]
        alphabets = ["ISO", "UTF-8", "UTF-8", "ISO", "ISO"]
        sent = [(f"+35840111222{n}", text) for n, text in enumerate(texts)]
        for n, ((number, text), alphabet) in enumerate(zip(sent, alphabets)):
            modem.hand_over(f"outgoing/m{n}", f"To: {number}\nAlphabet: {alphabet}\n\n{text}")
        for number, text in REPLIES:
            modem.reply(number, text)
        wait_for("smsd sends", lambda: len(modem.files("sent") + modem.files("failed")) == len(sent))
        wait_for("smsd receives", lambda: len(modem.wire("sms_taken")) >= len(REPLIES))
        wait_for("smsd keeps", lambda: len(modem.files("incoming")) == len(REPLIES))
    finally:
        stop(smsd)
        stop(modem.process)
    expect(not modem.files("failed"), "smsd failed messages")
    modem.check_sent(sent, len(sent) + 1)
    modem.check_replies_taken()
    ids = sorted(line.split(": ")[1] for text in modem.files("sent") for line in text.splitlines()
                 if line.startswith("Message_id: "))
    references = {str(line["reference"]) for line in modem.wire("sms_submit")}
    expect(len(ids) == len(sent) and set(ids) <= references, f"smsd knows {ids}, the modem gave {references}")
    for number, text in REPLIES:
        came = [reply for reply in modem.files("incoming") if f"From: {number[1:]}\n" in reply]
        expect(len(came) == 1 and came[0].endswith("\n\n" + text), f"smsd keeps of {number}: {came}")
    return f"{len(sent)} sent, {len(REPLIES)} received"


def gammu(conf, *arguments):
    run = subprocess.run(["gammu", "-c", conf, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False)
    expect(run.returncode == 0, f"gammu {arguments[0]}: exit code {run.returncode}: {run.stdout} {run.stderr}")
    return run.stdout


def try_gammu(nudged, directory, vendor):
    modem = Modem(nudged, directory, vendor, ("inbox", "outbox", "sent", "error"))
    conf, daemon = modem.write("conf", GAMMU.format(d=directory)), None
    try:
        identity = gammu(conf, "identify")
        for part in ("490154203237518", "262991234567890", {"generic": "SIMULATED", "huawei": "E173"}[vendor]):
            expect(part in identity, f"gammu identify without {part}: {identity}")
        gammu(conf, "sendsms", "TEXT", "+358401112229", "-text", "From the command line")
        modem.reply(*REPLIES[0])
        wait_for("the reply", lambda: len(modem.wire("sms_deliver")) == 1)
        read = gammu(conf, "getallsms")
        expect(all(part in read for part in REPLIES[0]), f"gammu getallsms: {read}")
        with open(os.path.join(directory, "out"), "w", encoding="utf-8") as out:
            daemon = subprocess.Popen(["gammu-smsd", "-c", conf, "-p", f"{directory}/pid"], stdout=out, stderr=out)
        sent = [(f"+35840111222{n}", f"Message {n}") for n in range(3)]
        for number, text in sent:
            modem.hand_over(f"outbox/OUT{number}.txt", text)
        modem.reply(*REPLIES[1])
        wait_for("gammu-smsd sends", lambda: len(os.listdir(f"{directory}/sent") + os.listdir(f"{directory}/error")) == 3)
        wait_for("gammu-smsd receives", lambda: len(os.listdir(f"{directory}/inbox")) == len(REPLIES))
    finally:
        if daemon:
            stop(daemon)
        stop(modem.process)
    expect(not os.listdir(f"{directory}/error"), "gammu-smsd failed messages")
    modem.check_sent(sent + [("+358401112229", "From the command line")], 4)
    modem.check_replies_taken()
    expect(sorted(modem.files("inbox")) == sorted(text for _, text in REPLIES), f"gammu-smsd keeps {modem.files('inbox')}")
    return "gammu identified, sent 1 and read 1; gammu-smsd 3 sent, 2 received"


def run(trial, nudged, directory, vendor, outcomes):
    try:
        outcomes.append((True, f"{vendor}: {trial(nudged, directory, vendor)}"))
    except Exception as why:  # Whatever it is, the trial has failed and the others go on.
        detail = why if isinstance(why, Failed) else traceback.format_exc()
        outcomes.append((False, f"{vendor}: {trial.__name__}: {detail}"))


def main(nudged):
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        sys.exit(f"foreign: missing: {' '.join(missing)}")
    outcomes, threads = [], []
    with tempfile.TemporaryDirectory(prefix="nudged-modem-") as work:
        for trial in (try_smsd, try_gammu):
            for vendor in VENDORS:
                directory = os.path.join(work, f"{trial.__name__}-{vendor}")
                os.mkdir(directory)
                threads.append(threading.Thread(target=run, args=(trial, nudged, directory, vendor, outcomes)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for passed, text in sorted(outcomes):
        print(f"foreign: {text}", file=sys.stdout if passed else sys.stderr)
    if not all(passed for passed, _ in outcomes):
        sys.exit(1)


if __name__ == "__main__":
    # smsd lives where only root looks.
    os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"
    main(*sys.argv[1:])
