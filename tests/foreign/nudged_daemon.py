"""`nudged run` as a child with a configuration of modems, and its HTTP API: for the measuring and the torturing of the
modem link.
"""

import http.client
import json
import os
import socket
import subprocess
from pathlib import Path

from modem_clients import Missing, Process, wait_for

ROOT = Path(__file__).resolve().parent.parent.parent
# Its stop waits up to 20 s for answers in flight, and a modem in trouble gives none.
STOP_SECONDS = 45
BATCH = 10_000


def binary():
    """$NUDGED, else the release build, else the debug build."""
    candidates = [os.environ.get("NUDGED"), ROOT / "target/release/nudged", ROOT / "target/debug/nudged"]
    for path in filter(None, candidates):
        if os.access(path, os.X_OK):
            return str(Path(path).resolve())
    raise Missing("no binary: cargo build --release, or set NUDGED")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Daemon:
    """`modems`: name -> port of each [[modem]]; `queue`: lines of the table [queue]."""

    def __init__(self, work, modems, queue=""):
        self.work, self.port, self.token, self.process = work, free_port(), None, None
        self.config = work / "nudged.toml"
        self.config.write_text(
            f'state_dir = "{work / "state"}"\n[http]\nlisten = ["127.0.0.1:{self.port}"]\n'
            f'[queue]\nmin_free = "1MiB"\n{queue}'
            + "".join(
                f'[[modem]]\nname = "{name}"\nport = "{port}"\nrate = "unlimited"\nquota = []\nrecipients = "unlimited"\nreceipts = true\n'
                for name, port in modems.items()
            )
        )
        self.config.chmod(0o600)

    def start(self):
        self.process = Process([binary(), "run", "--config", self.config], self.work / "daemon.log")
        wait_for("the daemon", self.is_up)
        if not self.token:
            command = [binary(), "token", "add", "referee", "--scope", "send,read", "--config", self.config]
            self.token = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        # It looks at its tokens from time to time, and answers the slower the more often it was asked in vain.
        wait_for("the token to be known", lambda: self.call("GET", "/v1/status")[0] == 200, pause=1.0)

    def is_up(self):
        self.process.must_live()
        try:
            return self.call("GET", "/healthz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def kill(self):
        self.process.child.kill()
        self.process.child.wait()

    def end(self):
        """Its exit code."""
        if self.process:
            self.process.end(STOP_SECONDS)
            return self.process.child.returncode
        return None

    def call(self, method, path, body=None, timeout=30):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            if body is not None:
                headers["Content-Type"] = "application/json"
                body = json.dumps(body).encode()
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            text = response.read()
            is_json = "json" in (response.headers.get("Content-Type") or "")
            return response.status, json.loads(text) if text and is_json else None
        finally:
            connection.close()

    def api(self, path):
        status, answer = self.call("GET", path)
        if status != 200:
            raise Missing(f"GET {path} was answered {status}: {answer}")
        return answer

    def listed(self, path):
        """All pages of a list."""
        cursor = ""
        while cursor is not None:
            page = self.api(f"{path}?limit=500" + (f"&cursor={cursor}" if cursor else ""))
            yield from page["data"]
            cursor = page["next_cursor"]

    def queue(self, messages):
        """Hands in a batch; the results in order, as they came."""
        assert len(messages) <= BATCH
        status, answer = self.call("POST", "/v1/messages/batch", messages)
        if status // 100 != 2:
            raise Missing(f"the batch was answered {status}: {answer}")
        return answer["results"]

    def counts(self):
        return self.api("/v1/status")["messages"]
