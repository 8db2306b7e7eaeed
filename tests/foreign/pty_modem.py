#!/usr/bin/env python3
"""A GSM modem on a pty that shares no code with nudged: AT commands in PDU mode after 3GPP TS 27.005, 27.007 and
23.040 (V.250 for the line), a service centre behind it, and phones that answer. smsd and gammu-smsd run through it.

  pty_modem.py --link PATH [--service-time 0.05 | 0.04-0.06] [--wire FILE] [--inbound FILE]

  --service-time S     from Ctrl-Z to +CMGS, seconds, or a range of which each message draws
  --report-after S     from +CMGS to the status report where one was asked for; absent: none
  --reply-every N      the phone of each N-th message answers with a numbered text; every eighth answer is long
  --reply-after S|A-B  from the message to its answer
  --wire FILE          kind "submit": a message taken by the network, in the file before it is answered: t (monotonic),
                       to, text, reference, total, number (of segments), mr, service_s as drawn. Kind "answer": mr, and
                       service_s as it was. Kind "text_mode": somebody sent without AT+CMGF=0
  --inbound FILE       kind "injected": from, text, key, segments; "stored", "deleted", "acked": key, segment
  --slots N            places of the SIM; the ME has 100
  --chaos KIND,...     hang-up, silence, reboot, garbage; each falls at random byte offsets of what is read and what is
                       written, and with any of them come URC floods between lines, reports before +CMGS, OK twice, and
                       messages that are taken and never sent. noise: garbage also in the PDUs of replies
  --chaos-every B      octets between two faults, on average
  --cheat lose|double  the wire log lies: a message that was sent is left out, or stands there twice
  --seed S

Prints "ready PATH". Commands on standard input, a line each: `chaos KIND,...`, `chaos off`, `hang-up`, `reboot`,
`silence SECONDS`, `reply FROM TEXT`, `state` (prints one JSON line), `quit`; its end, like SIGTERM, is `quit`.

A message is sent to the network once Ctrl-Z came behind a complete and valid PDU, whatever is answered. Under chaos
some are lost before: no wire line, and an error or no answer. An error that means "certainly not sent" is never given
for one that was.
"""

import argparse
import collections
import errno
import fcntl
import heapq
import json
import os
import random
import re
import select
import signal
import sys
import termios
import time
import tty

import gsm_pdu

CTRL_Z, ESC, CR, LF, BACKSPACE = 0x1A, 0x1B, 0x0D, 0x0A, 0x08
SERVICE_CENTRE = "+491710760000"
ME_SLOTS = 100
# TS 24.011: what the network waits for the acknowledgement of what it delivered.
CNMA_SECONDS = 15.0
# How long the service centre waits before it delivers again.
AGAIN_SECONDS = 3.0
LONGEST_LINE = 2048
# A pty holds 4 KiB; what a client does not read for so long is lost, as on a serial line.
UNSENT_OCTETS = 1 << 16
CLOSED_POLL_SECONDS = 0.01
# Answers that leave open whether the message went out (vendors answer so after sending).
OPEN_ERRORS = ("+CMS ERROR: 500", "+CMS ERROR: 332", "ERROR")
# Answers by which it certainly did not, and may go out later.
SURE_ERRORS = ("+CMS ERROR: 38", "+CMS ERROR: 42", "+CMS ERROR: 41")
FLOOD = (
    "RING", "+CREG: 1", "^RSSI:18", '^HCSQ:"LTE",45,40,80,20', "+CGEV: NW DETACH", "+CTZV: +04", "+CIEV: 2,3",
    '+CMTI: "SM",199', "^MODE:5,4", '+CLIP: "+4930123456",145', "+CUSD: 2", "$QCRMCALL: 1", "^DSFLOWRPT:0,0,0",
)
HALF_LINES = (b"\r\n+CM", b"+CMGS", b"\r\n+CMTI: \"S", b"O", b"\r\n^RS", b"+CMS ERR", b"\r\n\r\n", b"AT")
# Neither ESC nor Ctrl-Z nor a digit: those would make another honest command or answer, and nobody could tell.
NOISE = bytes([*range(0x01, 0x07), 0x0E, 0x11, 0x13, 0x7F, *range(0x80, 0x100), 0xFF, 0xFF]) + b"#~qz"


class Loop:
    """Timers and file descriptors; `call` runs once at its time."""

    def __init__(self):
        self.timers, self.made, self.poll, self.readers = [], 0, select.poll(), {}

    def after(self, seconds, call):
        self.made += 1
        timer = [time.monotonic() + seconds, self.made, call]
        heapq.heappush(self.timers, timer)
        return timer

    @staticmethod
    def cancel(timer):
        if timer:
            timer[2] = None

    def watch(self, fd, events, call):
        self.poll.register(fd, events)
        self.readers[fd] = call

    def unwatch(self, fd):
        if self.readers.pop(fd, None):
            self.poll.unregister(fd)

    def turn(self):
        wait = 1000.0 if not self.timers else max(0.0, (self.timers[0][0] - time.monotonic()) * 1000)
        # poll counts whole milliseconds: the last of them is spent awake, so that a service time is exact.
        for fd, events in self.poll.poll(int(wait)):
            if fd in self.readers:
                self.readers[fd](events)
        while self.timers and self.timers[0][0] <= time.monotonic():
            call = heapq.heappop(self.timers)[2]
            if call:
                call()


class Port:
    """The pty and its link. Holds no slave open, so that it sees when a client closes it."""

    def __init__(self, loop, link, on_octets, on_closed):
        self.loop, self.link, self.on_octets, self.on_closed = loop, link, on_octets, on_closed
        self.master, self.open, self.unsent, self.life = None, False, b"", 0

    def plug_in(self):
        self.master, slave = os.openpty()
        self.slave = os.ttyname(slave)
        tty.setraw(slave)
        os.close(slave)
        os.set_blocking(self.master, False)
        fresh = f"{self.link}.new"
        if os.path.lexists(fresh):
            os.unlink(fresh)
        os.symlink(self.slave, fresh)
        os.replace(fresh, self.link)
        self.life += 1
        self.await_client(self.life)

    def unplug(self):
        if self.master is None:
            return
        if os.path.lexists(self.link):
            os.unlink(self.link)
        self.loop.unwatch(self.master)
        os.close(self.master)
        self.master, self.open, self.unsent = None, False, b""

    def await_client(self, life):
        if life != self.life or self.master is None:
            return
        probe = select.poll()
        probe.register(self.master, select.POLLIN)
        if any(events & select.POLLHUP for _, events in probe.poll(0)):
            self.loop.after(CLOSED_POLL_SECONDS, lambda: self.await_client(life))
            return
        self.open = True
        self.loop.watch(self.master, select.POLLIN, self.ready)

    def ready(self, events):
        if events & select.POLLOUT:
            self.flush()
        if events & (select.POLLIN | select.POLLHUP) and self.master is not None:
            try:
                octets = os.read(self.master, 4096)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                octets = b""
            if octets:
                self.on_octets(octets)
            else:
                self.closed()

    def closed(self):
        self.loop.unwatch(self.master)
        self.open, self.unsent = False, b""
        # The last close of a serial device throws away what nobody read, and its exclusive lock.
        slave = os.open(self.slave, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(slave)
        termios.tcflush(slave, termios.TCIOFLUSH)
        fcntl.ioctl(slave, termios.TIOCNXCL)
        os.close(slave)
        self.on_closed()
        self.await_client(self.life)

    def write(self, octets):
        if self.open and len(self.unsent) < UNSENT_OCTETS:
            self.unsent += octets
            self.flush()

    def flush(self):
        try:
            while self.unsent:
                self.unsent = self.unsent[os.write(self.master, self.unsent) :]
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self.unsent = b""
        if self.master in self.loop.readers:
            self.loop.poll.modify(self.master, select.POLLIN | (select.POLLOUT if self.unsent else 0))


class Log:
    """NDJSON; a line is with the kernel when `write` returns."""

    def __init__(self, path):
        self.file = open(path, "a", buffering=1) if path else None

    def write(self, kind, **fields):
        if self.file:
            self.file.write(json.dumps({"kind": kind, "t": time.monotonic(), **fields}) + "\n")


class Mobile:
    """What the network delivers to the SIM: a reply's segment or a status report."""

    def __init__(self, tpdu, is_report, key=None, segment=1):
        self.tpdu, self.is_report, self.key, self.segment = tpdu, is_report, key, segment
        self.read = self.again = False

    @property
    def pdu(self):
        """With the address of the service centre before it."""
        centre = gsm_pdu.address(SERVICE_CENTRE)[1:]
        return (bytes([len(centre)]) + centre + self.tpdu).hex().upper()


class Network:
    """The service centre and the phones. Delivers one thing at a time, and again until the modem has it."""

    def __init__(self, loop, options, wire, inbound, chance):
        self.loop, self.options, self.wire, self.inbound, self.chance = loop, options, wire, inbound, chance
        self.waiting = collections.deque()
        self.modem = None
        self.taken = self.replies = self.cheats = 0

    def take(self, fields, mr, service, chaos):
        """The message is sent."""
        self.taken += 1
        self.log_submit(fields, mr, service)
        if self.options.report_after is not None and fields["srr"]:
            # Before +CMGS now and then, where nothing is as it should be.
            early = chaos and self.chance.random() < 0.2
            after = self.chance.uniform(0, service) if early else service + self.options.report_after
            sent = gsm_pdu.now()
            self.loop.after(after, lambda: self.report(fields["to"], mr, sent))
        every = self.options.reply_every
        if every and fields["number"] == fields["total"] and self.taken % every == 0 and fields["to"][1:].isdecimal():
            self.loop.after(service + self.chance.uniform(*self.options.reply_after), lambda: self.answer(fields["to"]))

    def log_submit(self, fields, mr, service):
        keys = ("to", "text", "reference", "total", "number", "dcs", "srr")
        line = {key: fields[key] for key in keys} | {"mr": mr, "service_s": service}
        cheat = self.options.cheat if self.taken % 4 == 2 else None
        if cheat == "lose":
            return
        for _ in range(2 if cheat == "double" else 1):
            self.wire.write("submit", **line)

    def report(self, to, mr, sent):
        self.deliver(Mobile(gsm_pdu.encode_report(mr, to, sent, gsm_pdu.now(), 0), True))

    def answer(self, number):
        self.replies += 1
        place = f"{self.options.name}-{self.replies:05d}"
        text = f"Reply {place}"
        if self.replies % 8 == 0:
            text += ": " + "we talk about it on the phone, {please}. " * 7
        elif self.replies % 8 == 4:
            text += ": \u0434\u0430 \U0001f44d"
        self.inject(number, text)

    def inject(self, number, text):
        key = f"{self.options.name}/{number}/{text.split(':')[0]}"
        tpdus = gsm_pdu.encode_delivers(number, text, gsm_pdu.now(), self.replies)
        self.inbound.write("injected", key=key, segments=len(tpdus), **{"from": number, "text": text})
        for segment, tpdu in enumerate(tpdus, 1):
            self.deliver(Mobile(tpdu, False, key, segment))

    def deliver(self, mobile):
        self.waiting.append(mobile)
        self.go_on()

    def go_on(self):
        """What the modem refuses now (no room, no network, one not acknowledged) waits for the next turn."""
        while self.waiting and self.modem.deliver(self.waiting[0]):
            self.waiting.popleft()

    def again(self, mobile):
        self.waiting.append(mobile)
        self.loop.after(AGAIN_SECONDS, self.go_on)


class Chaos:
    """When and where things go wrong. Without kinds, nothing does."""

    def __init__(self, kinds, every, chance):
        self.kinds, self.every, self.chance = list(kinds), every, chance
        self.counts = collections.Counter()
        self.until = {"read": 0, "write": 0}
        self.redraw("read")
        self.redraw("write")

    def redraw(self, way):
        self.until[way] = 1 + int(self.chance.expovariate(1 / self.every))

    def cut(self, way, length):
        """Where in the next `length` octets a fault falls and which, or None."""
        faults = [kind for kind in self.kinds if kind != "noise"]
        if not faults:
            return None
        if self.until[way] > length:
            self.until[way] -= length
            return None
        offset = self.until[way] - 1
        self.redraw(way)
        kind = self.chance.choice(faults)
        self.counts[f"{kind} on {way}"] += 1
        return offset, kind

    def happens(self, share):
        return bool(self.kinds) and self.chance.random() < share

    def noise(self):
        if self.chance.random() < 0.5:
            return self.chance.choice(HALF_LINES)
        return bytes(self.chance.choice(NOISE) for _ in range(self.chance.randrange(1, 12)))


class Modem:
    """The AT interpreter. `busy` while a command waits for its final result: what comes meanwhile is read after it."""

    def __init__(self, loop, options, network, chance):
        self.loop, self.options, self.network, self.chance = loop, options, network, chance
        self.chaos = Chaos(options.chaos, options.chaos_every, chance)
        self.port = Port(loop, options.link, self.on_octets, self.on_closed)
        self.stores = {"SM": {}, "ME": {}}
        self.sizes = {"SM": options.slots, "ME": ME_SLOTS}
        self.mr = chance.randrange(256)
        self.fresh = collections.deque(maxlen=4)
        self.life = 0
        self.mute_until = self.deaf_until = 0.0
        self.late = None
        self.submitting = 0
        self.unacked = self.unacked_timer = None
        self.defaults()
        self.reset_input()
        self.ready = self.registered = self.powered = True

    def defaults(self):
        self.echo, self.errors, self.text_mode = True, 0, True
        self.cnmi, self.csms, self.cmms = [0, 0, 0, 0, 0], 0, 0
        self.creg = {"CREG": 0, "CGREG": 0, "CEREG": 0}
        self.memories = ["SM", "SM", "SM"]
        self.charset, self.function, self.operator_form = "IRA", 1, 0

    def power_down(self):
        self.life += 1
        self.late, self.mute_until, self.deaf_until = None, 0.0, 0.0
        self.powered = self.ready = self.registered = False
        self.defaults()
        self.reset_input()
        if self.unacked:
            self.network.waiting.appendleft(self.unacked)
            self.unacked = None
        self.redeliver_some()

    def reset_input(self):
        self.line, self.body, self.expected, self.target = bytearray(), None, 0, None
        self.busy, self.typed_ahead = False, b""

    # Power and plug.

    def on_closed(self):
        """The client closed the port; the modem runs on, and a prompt it left open is as good as escaped."""
        self.late = None
        if self.body is not None:
            self.reset_input()

    def hang_up(self):
        self.port.unplug()
        self.power_down()
        self.loop.after(self.chance.uniform(0.2, 1.5), self.come_back)

    def come_back(self):
        self.port.plug_in()
        self.power_up(self.life)

    def reboot(self):
        self.power_down()
        life = self.life
        self.loop.after(self.chance.uniform(0.2, 1.5), lambda: self.power_up(life))

    def redeliver_some(self):
        """The network may not have heard that the modem had stored the last of what it delivered."""
        now = time.monotonic()
        for stored, mobile in self.fresh:
            if now - stored < 2 and not mobile.is_report and not mobile.again and self.chaos.happens(0.5):
                self.chaos.counts["delivered again"] += 1
                copy = Mobile(mobile.tpdu, False, mobile.key, mobile.segment)
                copy.again = True
                self.network.waiting.append(copy)
        self.fresh.clear()

    def power_up(self, life):
        if life != self.life:
            return
        self.powered = True
        steps = ["RDY", "+CFUN: 1", "+CPIN: READY", "Call Ready", "SMS Ready"]
        self.boot_step(steps, life)

    def boot_step(self, steps, life):
        if life != self.life:
            return
        self.urc(steps[0])
        if steps[1:]:
            self.loop.after(self.chance.uniform(0.02, 0.2), lambda: self.boot_step(steps[1:], life))
        else:
            self.ready = self.registered = True
            self.network.go_on()

    def silence(self, seconds, kind):
        """deaf: nothing is read. never: nothing is written. late: it is written afterwards."""
        self.chaos.counts[f"silence {kind}"] += 1
        end = time.monotonic() + seconds
        if kind == "deaf":
            self.deaf_until = end
            return
        self.mute_until = end
        if kind == "late":
            self.late, life = [], self.life
            self.loop.after(seconds, lambda: self.speak_again(life))

    def speak_again(self, life):
        late, self.late = self.late, None
        if life == self.life and late:
            self.mute_until = 0.0
            self.port.write(b"".join(late))

    # Faults.

    def fault(self, kind):
        if kind == "hang-up":
            self.hang_up()
        elif kind == "reboot":
            self.reboot()
        elif kind == "silence":
            self.random_silence()

    def random_silence(self):
        """Most silences end by a watchdog's reboot; the others are as long as they are."""
        kind = self.chance.choice(("deaf", "never", "late", "late"))
        seconds = self.chance.uniform(0.3, 12)
        self.silence(seconds, kind)
        if kind != "late" and self.chance.random() < 0.8:
            life = self.life
            self.loop.after(seconds, lambda: self.reboot() if life == self.life else None)

    # What comes in.

    def on_octets(self, octets):
        cut = self.chaos.cut("read", len(octets))
        if not cut:
            self.hear(octets)
            return
        offset, kind = cut
        if kind == "garbage":
            self.hear(octets[:offset] + self.garble(octets[offset:]))
            return
        self.hear(octets[:offset])
        life = self.life
        self.fault(kind)
        if self.life == life:
            self.hear(octets[offset:])

    def garble(self, octets):
        """Noise before them; in a PDU also one to three of them missing, which makes its length wrong."""
        if self.body is None or self.chance.random() < 0.5:
            return bytes(self.chance.choice(NOISE) for _ in range(self.chance.randrange(1, 6))) + octets
        missing = self.chance.randrange(1, 4)
        return octets[missing:] if octets[missing:] else bytes([0xFF])

    def hear(self, octets):
        if not self.powered or time.monotonic() < self.deaf_until:
            return
        for place, octet in enumerate(octets):
            if self.busy:
                self.typed_ahead += octets[place:]
                return
            life = self.life
            self.on_octet(octet)
            if life != self.life:
                return

    def finished(self):
        """The final result is out: on with what was typed meanwhile."""
        self.busy = False
        octets, self.typed_ahead = self.typed_ahead, b""
        if octets:
            self.hear(octets)

    def on_octet(self, octet):
        if self.body is not None:
            self.on_body(octet)
            return
        if self.echo and octet not in (ESC, LF):
            self.write(bytes([octet]))
        if octet == CR:
            line = bytes(self.line).decode("latin-1")
            self.line.clear()
            self.execute(line)
        elif octet == BACKSPACE:
            del self.line[-1:]
        elif octet not in (LF, ESC, CTRL_Z, 0) and len(self.line) < LONGEST_LINE:
            self.line.append(octet)

    def on_body(self, octet):
        if octet == ESC:
            self.body = None
            self.final("OK")
        elif octet == CTRL_Z:
            body, self.body = bytes(self.body), None
            if self.echo:
                self.write(b"\r\n")
            self.submit(body)
        elif octet not in (CR, LF) and len(self.body) < LONGEST_LINE:
            self.body.append(octet)
            if self.echo:
                self.write(bytes([octet]))

    # What goes out.

    def write(self, octets, safe=False):
        """`safe`: nothing is changed in it, or it would say something else that is just as valid."""
        if not self.powered or not octets:
            return
        cut = self.chaos.cut("write", len(octets))
        if not cut:
            self.emit(octets)
            return
        offset, kind = cut
        if kind == "garbage":
            offset = 0 if safe else offset
            noise = self.chaos.noise() + (b"\r\n" if safe else b"")
            self.emit(octets[:offset] + noise + octets[offset:])
            return
        self.emit(octets[:offset])
        life = self.life
        self.fault(kind)
        if self.life == life:
            self.emit(octets[offset:])

    def emit(self, octets):
        if self.late is not None:
            self.late.append(octets)
        elif time.monotonic() >= self.mute_until:
            self.port.write(octets)

    def urc(self, *lines):
        """A line that nobody asked for; a header and its body are one piece."""
        safe = len(lines) > 1 and "noise" not in self.chaos.kinds
        self.write(("\r\n" + "".join(f"{line}\r\n" for line in lines)).encode(), safe)

    def flood(self):
        for _ in range(self.chance.randrange(1, 6)):
            self.chaos.counts["flood"] += 1
            self.urc(self.chance.choice(FLOOD))

    def say(self, *lines):
        """Lines of an answer, with a flood between two of them now and then."""
        for line in lines:
            if self.chaos.happens(0.06):
                self.flood()
            is_pdu = len(line) > 20 and re.fullmatch("[0-9A-F]+", line)
            self.write(f"\r\n{line}\r\n".encode(), bool(is_pdu) and "noise" not in self.chaos.kinds)

    def final(self, result, safe=False):
        life = self.life
        if self.chaos.happens(0.06):
            self.flood()
        self.write(f"\r\n{result}\r\n".encode(), safe)
        if result == "OK" and self.chaos.happens(0.04) and life == self.life:
            self.chaos.counts["OK twice"] += 1
            self.write(b"\r\nOK\r\n")

    def failed(self, code, family="CME"):
        self.final("ERROR" if self.errors == 0 and family == "CME" else f"+{family} ERROR: {code}")

    # Commands.

    def execute(self, line):
        start = line.upper().find("AT")
        if start < 0:
            return
        rest = line[start + 2 :].strip()
        for command in self.parts(rest):
            life = self.life
            result = self.command(command)
            if life != self.life or result == "pending":
                return
            if result is not None:
                kind, code = result
                self.failed(code, kind)
                return
        self.final("OK")

    @staticmethod
    def parts(rest):
        """V.250 5.4: basic commands run together, extended ones end with a semicolon."""
        found = []
        while rest:
            basic = re.match(r"(?i)(&[A-Z]|S\d+=|S\d+\?|[A-Z])\d*;?", rest)
            if basic:
                found.append(basic.group().rstrip(";"))
                rest = rest[basic.end() :].lstrip()
                continue
            extended = re.match(r'(?:[^;"]|"[^"]*"?)*', rest).group()
            found.append(extended.strip())
            rest = rest[len(extended) + 1 :].lstrip()
        return [command for command in found if command]

    def command(self, text):
        """None for OK, ("CME" | "CMS", code) for an error, "pending" where the final result comes later."""
        match = re.match(r"([+^$#*]\w+)(=\?|\?|=|$)(.*)", text, re.S)
        if not match:
            return self.basic(text.upper())
        name, form, rest = match.group(1).upper(), match.group(2), match.group(3)
        method = getattr(self, "at_" + name[1:].lower(), None) if name[0] == "+" else None
        if method is None:
            return "CME", 4
        if not self.ready and name in SIM_COMMANDS:
            return ("CMS", 314) if name in SMS_COMMANDS else ("CME", 14)
        return method(form, rest.strip())

    def basic(self, text):
        if text in ("E0", "E1", "E"):
            self.echo = text == "E1"
        elif text in ("Z", "Z0", "&F", "&F0"):
            self.defaults()
        elif not re.fullmatch(r"V1|Q0|Q|X\d?|&[CDKSW]\d?|H0?|S\d+=\d*|I\d?|M\d|L\d", text):
            return "CME", 4
        return None

    @staticmethod
    def numbers(rest):
        return [int(one) if one.strip().isdecimal() else None for one in rest.split(",")]

    @staticmethod
    def strings(rest):
        return [one.strip().strip('"').upper() for one in rest.split(",")]

    def at_cmee(self, form, rest):
        if form == "=" and rest in ("0", "1", "2"):
            # Words instead of numbers (2) are not there: TS 27.007 9.1 lets the modem choose.
            self.errors = min(int(rest), 1)
        elif form == "=?":
            self.say("+CMEE: (0,1)")
        elif form == "?":
            self.say(f"+CMEE: {self.errors}")
        else:
            return "CME", 50
        return None

    def fixed(self, *lines):
        self.say(*lines)

    def at_cgmi(self, form, rest):
        return self.fixed(*(["Foreign"] if form == "" else []))

    def at_cgmm(self, form, rest):
        return self.fixed(*(["PTY-1"] if form == "" else []))

    def at_cgmr(self, form, rest):
        return self.fixed(*(["1.00"] if form == "" else []))

    def at_cgsn(self, form, rest):
        return self.fixed(*([self.options.imei] if form == "" else []))

    def at_cimi(self, form, rest):
        return self.fixed(*([self.options.imsi] if form == "" else []))

    def at_ccid(self, form, rest):
        return self.fixed(*([f"+CCID: {self.options.iccid}"] if form in ("", "?") else []))

    def at_gmi(self, form, rest):
        return self.at_cgmi(form, rest)

    def at_gmm(self, form, rest):
        return self.at_cgmm(form, rest)

    def at_gmr(self, form, rest):
        return self.at_cgmr(form, rest)

    def at_cpin(self, form, rest):
        if form == "?":
            self.say("+CPIN: READY")
        elif form == "=":
            # No PIN is asked for: TS 27.007 8.3.
            return "CME", 3
        return None

    def at_csq(self, form, rest):
        return self.fixed("+CSQ: 21,99" if form == "" else "+CSQ: (0-31,99),(0-7,99)")

    def at_cbc(self, form, rest):
        return self.fixed("+CBC: 0,95")

    def at_cgatt(self, form, rest):
        return self.fixed(*(["+CGATT: 1"] if form == "?" else []))

    def at_cfun(self, form, rest):
        if form == "?":
            self.say(f"+CFUN: {self.function}")
        elif form == "=?":
            self.say("+CFUN: (0,1,4),(0,1)")
        elif rest == "1,1":
            self.final("OK")
            self.loop.after(0.05, self.reboot)
            return "pending"
        elif form == "=" and rest.split(",")[0] in ("0", "1", "4"):
            self.function = int(rest.split(",")[0])
            self.registered = self.function == 1
            self.network.go_on()
        else:
            return "CME", 50
        return None

    def registration(self, name, form, rest):
        status = 1 if self.registered else 2
        if form == "=?":
            self.say(f"+{name}: (0-2)")
        elif form == "?":
            where = ',"00C3","0A5F31B2"' if self.creg[name] == 2 else ""
            self.say(f"+{name}: {self.creg[name]},{status}{where}")
        elif form == "=" and rest in ("0", "1", "2"):
            self.creg[name] = int(rest)
        else:
            return "CME", 50
        return None

    def at_creg(self, form, rest):
        return self.registration("CREG", form, rest)

    def at_cgreg(self, form, rest):
        return self.registration("CGREG", form, rest)

    def at_cereg(self, form, rest):
        return self.registration("CEREG", form, rest)

    def at_cops(self, form, rest):
        if form == "?":
            name = ('"Foreign Net"', '"Foreign"', '"26299"')[self.operator_form]
            self.say(f"+COPS: 0,{self.operator_form},{name}")
        elif form == "=?":
            self.say('+COPS: (2,"Foreign Net","Foreign","26299"),,(0,1,3),(0-2)')
        elif form == "=":
            numbers = self.numbers(rest)
            if numbers[0] == 3 and len(numbers) > 1 and numbers[1] in (0, 1, 2):
                self.operator_form = numbers[1]
        return None

    def at_cscs(self, form, rest):
        if form == "=?":
            self.say('+CSCS: ("GSM","IRA","UCS2")')
        elif form == "?":
            self.say(f'+CSCS: "{self.charset}"')
        elif self.strings(rest)[0] in ("GSM", "IRA", "UCS2"):
            self.charset = self.strings(rest)[0]
        else:
            return "CME", 50
        return None

    def at_csca(self, form, rest):
        if form == "?":
            self.say(f'+CSCA: "{SERVICE_CENTRE}",145')
        return None

    def at_chup(self, form, rest):
        return None

    def at_cusd(self, form, rest):
        if form == "=?":
            self.say("+CUSD: (0-2)")
        return None

    def at_clip(self, form, rest):
        return None

    def at_cmms(self, form, rest):
        if form == "=?":
            self.say("+CMMS: (0-2)")
        elif form == "?":
            self.say(f"+CMMS: {self.cmms}")
        elif rest in ("0", "1", "2"):
            self.cmms = int(rest)
        else:
            return "CMS", 302
        return None

    def at_cmgf(self, form, rest):
        if form == "=?":
            self.say("+CMGF: (0,1)")
        elif form == "?":
            self.say(f"+CMGF: {int(self.text_mode)}")
        elif form == "=" and rest in ("0", "1"):
            self.text_mode = rest == "1"
        else:
            return "CMS", 302
        return None

    def at_csms(self, form, rest):
        if form == "=?":
            self.say("+CSMS: (0,1)")
        elif form == "?":
            self.say(f"+CSMS: {self.csms},1,1,1")
        elif form == "=" and rest in ("0", "1"):
            self.csms = int(rest)
            self.say("+CSMS: 1,1,1")
        else:
            return "CMS", 302
        return None

    # Storages: TS 27.005 3.2.2 and 4.1.

    def at_cpms(self, form, rest):
        counts = lambda name: f"{len(self.stores[name])},{self.sizes[name]}"
        if form == "=?":
            self.say('+CPMS: ("SM","ME"),("SM","ME"),("SM","ME")')
        elif form == "?":
            self.say("+CPMS: " + ",".join(f'"{name}",{counts(name)}' for name in self.memories))
        else:
            wanted = self.strings(rest)
            if not 1 <= len(wanted) <= 3 or any(name not in self.stores for name in wanted):
                return "CMS", 302
            self.memories[: len(wanted)] = wanted
            self.say("+CPMS: " + ",".join(counts(name) for name in self.memories))
        return None

    def at_cnmi(self, form, rest):
        if form == "=?":
            self.say("+CNMI: (0-2),(0-3),(0-3),(0-2),(0,1)")
        elif form == "?":
            self.say("+CNMI: " + ",".join(map(str, self.cnmi)))
        else:
            numbers = self.numbers(rest) if rest else [0]
            limits = (2, 3, 3, 2, 1)
            if len(numbers) > 5 or any(n is None or n > most for n, most in zip(numbers, limits)):
                return "CMS", 302
            self.cnmi[: len(numbers)] = numbers
            self.loop.after(0, self.network.go_on)
        return None

    def stored(self):
        return self.stores[self.memories[0]]

    def at_cmgl(self, form, rest):
        if form == "=?":
            self.say("+CMGL: (0-4)")
            return None
        if self.text_mode:
            return "CMS", 303
        wanted = rest or "0"
        if wanted not in ("0", "1", "2", "3", "4"):
            return "CMS", 302
        for index, mobile in sorted(self.stored().items()):
            state = int(mobile.read)
            if wanted in (str(state), "4"):
                life = self.life
                self.listed(f"+CMGL: {index},{state}", mobile)
                if life != self.life:
                    return "pending"
        return None

    def listed(self, head, mobile):
        """The body is the line right behind, but for URCs that fall between."""
        mobile.read = True
        if self.chaos.happens(0.1):
            self.say(f"{head},,{len(mobile.tpdu)}", mobile.pdu)
        else:
            text = f"\r\n{head},,{len(mobile.tpdu)}\r\n{mobile.pdu}\r\n"
            self.write(text.encode(), "noise" not in self.chaos.kinds)

    def at_cmgr(self, form, rest):
        if form == "=?":
            return None
        if self.text_mode:
            return "CMS", 303
        index = self.numbers(rest)[0]
        mobile = self.stored().get(index)
        if mobile is None:
            return "CMS", 321
        self.listed(f"+CMGR: {int(mobile.read)}", mobile)
        return None

    def at_cmgd(self, form, rest):
        if form == "=?":
            used = ",".join(map(str, sorted(self.stored())))
            self.say(f"+CMGD: ({used}),(0-4)")
            return None
        numbers = self.numbers(rest)
        flag = numbers[1] if len(numbers) > 1 else 0
        if numbers[0] is None or flag is None or flag > 4:
            return "CMS", 302
        if not flag and numbers[0] >= self.sizes[self.memories[0]]:
            return "CMS", 321
        for index, mobile in list(self.stored().items()):
            if (flag == 0 and index == numbers[0]) or (flag in (1, 2, 3) and mobile.read) or flag == 4:
                del self.stored()[index]
                self.note("deleted", mobile, index=index)
        self.loop.after(0, self.network.go_on)
        return None

    def note(self, kind, mobile, **more):
        if mobile.key:
            self.network.inbound.write(kind, key=mobile.key, segment=mobile.segment, read=mobile.read, **more)

    # Delivery: TS 27.005 3.4.1.

    def deliver(self, mobile):
        """False: not now."""
        if not self.ready or not self.registered or self.unacked:
            return False
        if mobile.is_report:
            return self.deliver_report(mobile)
        if self.cnmi[1] == 2 and not self.text_mode:
            return self.route(mobile, f"+CMT: ,{len(mobile.tpdu)}")
        return self.store(mobile, "+CMTI" if self.cnmi[1] in (1, 3) else None)

    def deliver_report(self, mobile):
        if self.cnmi[3] == 0:
            return True
        if self.cnmi[3] == 2:
            return self.store(mobile, "+CDSI")
        return self.route(mobile, f"+CDS: {len(mobile.tpdu)}") if not self.text_mode else True

    def store(self, mobile, indication):
        memory = self.memories[2]
        free = [index for index in range(self.sizes[memory]) if index not in self.stores[memory]]
        if not free:
            return False
        self.stores[memory][free[0]] = mobile
        self.fresh.append((time.monotonic(), mobile))
        self.note("stored", mobile, memory=memory, index=free[0])
        if indication and self.cnmi[0]:
            self.urc(f'{indication}: "{memory}",{free[0]}')
        return True

    def route(self, mobile, head):
        if self.csms:
            self.unacked, life = mobile, self.life
            self.unacked_timer = self.loop.after(CNMA_SECONDS, lambda: self.not_acked(mobile, life))
        self.urc(head, mobile.pdu)
        return True

    def not_acked(self, mobile, life):
        """RP-ERROR to the network, and nothing is routed any more until AT+CNMI says so again."""
        if self.unacked is mobile and life == self.life:
            self.unacked = None
            self.cnmi[1] = self.cnmi[3] = 0
            self.network.again(mobile)

    def at_cnma(self, form, rest):
        if form == "=?":
            self.say("+CNMA: (0-2)")
            return None
        if not self.csms or not self.unacked:
            return "CMS", 340
        mobile, self.unacked = self.unacked, None
        self.loop.cancel(self.unacked_timer)
        if rest.split(",")[0] == "2":
            self.network.again(mobile)
        else:
            self.note("acked", mobile)
        self.loop.after(0, self.network.go_on)
        return None

    # Sending: TS 27.005 3.5.1 and 4.3.

    def at_cmgs(self, form, rest):
        if form == "=?":
            return None
        if self.text_mode:
            self.target = rest
        elif not rest.isdecimal() or not 7 <= int(rest) <= 164:
            return "CMS", 304
        else:
            self.target, self.expected = None, int(rest)
        self.body = bytearray()
        life = self.life
        if self.chaos.happens(0.06):
            self.flood()
        if life == self.life:
            self.write(b"\r\n> ")
        return "pending"

    def submit(self, body):
        taken_at = time.monotonic()
        if self.target is not None:
            self.network.wire.write("text_mode", to=self.target, text=body.decode("latin-1"))
            self.failed(302, "CMS")
            return
        try:
            octets = bytes.fromhex(body.decode("ascii"))
            centre = octets[0] + 1 if octets else 0
            if len(octets) - centre != self.expected:
                raise gsm_pdu.Malformed(f"{len(octets) - centre} octets of TPDU, {self.expected} announced")
            fields = gsm_pdu.decode_submit(octets[centre:])
        except (ValueError, gsm_pdu.Malformed) as why:
            print(f"refused: {why}: {body[:400]!r}", file=sys.stderr)
            self.failed(304, "CMS")
            return
        if not self.registered:
            self.failed(331, "CMS")
            return
        service = self.chance.uniform(*self.options.service_time)
        self.busy = True
        if self.chaos.happens(0.06):
            self.lose(service)
            return
        self.mr = (self.mr + 1) % 256
        self.network.take(fields, self.mr, service, bool(self.chaos.kinds))
        self.later(taken_at + service - time.monotonic(), lambda mr=self.mr: self.taken(mr, taken_at))

    def later(self, seconds, call):
        life = self.life
        self.loop.after(seconds, lambda: call() if life == self.life else None)

    def taken(self, mr, taken_at):
        self.network.wire.write("answer", mr=mr, service_s=time.monotonic() - taken_at)
        life = self.life
        if self.chaos.happens(0.04):
            self.chaos.counts["sent, answered by an error"] += 1
            self.final(self.chance.choice(OPEN_ERRORS), safe=True)
        elif self.chaos.happens(0.04):
            self.chaos.counts["OK before +CMGS"] += 1
            self.write(f"\r\nOK\r\n\r\n+CMGS: {mr}\r\n\r\nOK\r\n".encode())
        else:
            self.say(f"+CMGS: {mr}")
            if life == self.life:
                self.final("OK")
        if life == self.life:
            self.finished()

    def lose(self, service):
        """Taken from the client and never sent: an error, or nothing until the watchdog boots it anew."""
        how = self.chance.random()
        self.chaos.counts["lost before the network"] += 1
        if how < 0.4:
            answer = self.chance.choice(SURE_ERRORS)
        elif how < 0.6:
            answer = self.chance.choice(OPEN_ERRORS)
        else:
            self.later(self.chance.uniform(1, 10), self.reboot)
            return
        self.later(service, lambda: (self.final(answer, safe=True), self.finished()))

    def state(self):
        counts = {name: len(store) for name, store in self.stores.items()}
        replies = sum(bool(mobile.key) for store in self.stores.values() for mobile in store.values())
        return {
            "stored": counts, "replies_stored": replies, "cnmi": self.cnmi, "ready": self.ready,
            "waiting": sum(bool(mobile.key) for mobile in self.network.waiting),
            "taken": self.network.taken, "replies": self.network.replies, "chaos": dict(self.chaos.counts),
        }


SMS_COMMANDS = {"+CMGS", "+CMGL", "+CMGR", "+CMGD", "+CPMS", "+CNMI", "+CSMS", "+CNMA", "+CMMS"}
SIM_COMMANDS = SMS_COMMANDS | {"+CIMI", "+CCID", "+CSCA"}


class Control:
    """Standard input."""

    def __init__(self, loop, modem):
        self.loop, self.modem, self.buffer, self.running = loop, modem, b"", True
        loop.watch(sys.stdin.fileno(), select.POLLIN, self.ready)

    def ready(self, _events):
        octets = os.read(sys.stdin.fileno(), 4096)
        if not octets:
            # /dev/null means that nobody wants to say anything, a pipe that ended means that we are alone.
            self.loop.unwatch(sys.stdin.fileno())
            self.running = not os.path.exists("/dev/stdin") or os.path.samefile("/dev/stdin", "/dev/null")
            return
        *lines, self.buffer = (self.buffer + octets).split(b"\n")
        for line in lines:
            self.command(*line.decode().strip().partition(" ")[::2])

    def command(self, word, rest):
        modem = self.modem
        if word == "quit":
            self.running = False
        elif word == "chaos":
            modem.chaos.kinds = [] if rest == "off" else kinds(rest)
        elif word == "hang-up":
            modem.hang_up()
        elif word == "reboot":
            modem.reboot()
        elif word == "silence":
            modem.silence(float(rest), "never")
        elif word == "reply":
            number, _, text = rest.partition(" ")
            modem.network.inject(number, text)
        elif word == "state":
            print(json.dumps(modem.state()), flush=True)
        elif word:
            print(f"pty_modem: no command {word!r}", file=sys.stderr)


def kinds(text):
    found = [kind for kind in text.split(",") if kind]
    for kind in found:
        if kind not in ("hang-up", "silence", "reboot", "garbage", "noise"):
            raise argparse.ArgumentTypeError(f"{kind!r} is no kind of chaos")
    return found


def span(text):
    low, _, high = text.partition("-")
    return float(low), float(high or low)


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--link", required=True)
    parser.add_argument("--service-time", type=span, default=(0.3, 0.3))
    parser.add_argument("--report-after", type=float)
    parser.add_argument("--reply-every", type=int, default=0)
    parser.add_argument("--reply-after", type=span, default=(0.1, 0.5))
    parser.add_argument("--wire")
    parser.add_argument("--inbound")
    parser.add_argument("--slots", type=int, default=30)
    parser.add_argument("--chaos", type=kinds, default=[])
    parser.add_argument("--chaos-every", type=int, default=3000)
    parser.add_argument("--cheat", choices=("lose", "double"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="modem")
    options = parser.parse_args(arguments)
    # Another SIM and device for another name.
    own = f"{sum(ord(c) * (n + 1) for n, c in enumerate(options.name)) % 10**6:06d}"
    options.imei, options.imsi, options.iccid = f"35693803{own}0", f"262990000{own}", f"894930000000{own}0"
    return options


def main(arguments):
    options = parse(arguments)
    chance, loop = random.Random(f"{options.seed}/{options.name}"), Loop()
    network = Network(loop, options, Log(options.wire), Log(options.inbound), chance)
    modem = network.modem = Modem(loop, options, network, chance)
    control = Control(loop, modem)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    modem.port.plug_in()
    print(f"ready {options.link}", flush=True)
    try:
        while control.running:
            loop.turn()
    finally:
        modem.port.unplug()


if __name__ == "__main__":
    main(sys.argv[1:])
