#!/usr/bin/env python3
"""What webhooks post, checked by the library of Standard Webhooks (PyPI standardwebhooks) behind OpenSSL's TLS.

  webhooks.py NUDGED     two webhooks, one that trusts a file and one that trusts what the machine does; each is refused
                         once; exit 1 with what was wrong

The first signs with two keys, as while a key is changed, and a receiver with either must be content.
"""

import base64
import os
import ssl
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from standardwebhooks import Webhook, WebhookVerificationError

from modem_clients import Missing, wait_for
from nudged_daemon import Daemon

HOST = "127.0.0.1"


def new_key():
    return "whsec_" + base64.b64encode(os.urandom(32)).decode()


def certificate(work):
    """A server's own certificate, which is its own authority."""
    names = ["-subj", "/CN=receiver", "-addext", f"subjectAltName=IP:{HOST}", "-addext", "basicConstraints=critical,CA:FALSE"]
    made = ["-newkey", "rsa:2048", "-nodes", "-keyout", work / "key.pem", "-out", work / "ca.pem", "-days", "2"]
    subprocess.run(["openssl", "req", "-x509", *made, *names], check=True, capture_output=True)


class Receiver(ThreadingHTTPServer):
    def __init__(self, work):
        self.posts = {}
        super().__init__((HOST, 0), Endpoint)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(work / "ca.pem", work / "key.pem")
        self.socket = context.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Endpoint(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        posts = self.server.posts.setdefault(self.path, [])
        self.send_response(204 if posts else 503)
        self.send_header("content-length", "0")
        self.end_headers()
        posts.append((dict(self.headers), body))

    def log_message(self, *_):
        pass


def hook(name, receiver, work, keys, more):
    secret = work / f"{name}.whsec"
    secret.write_text("\n".join(keys) + "\n")
    secret.chmod(0o600)
    return (
        f'[[webhook]]\nname = "{name}"\nurl = "https://{HOST}:{receiver.server_port}/{name}"\n'
        f'secret_file = "{secret.name}"\nevents = ["message.accepted"]\n{more}\n'
    )


def is_genuine(key, post):
    headers, body = post
    try:
        Webhook(key).verify(body, headers)
        return True
    except WebhookVerificationError:
        return False


def faults(name, posts, keys, stranger):
    ids = {headers["webhook-id"] for headers, _ in posts}
    if len(ids) != 1 or len({body for _, body in posts}) != 1:
        yield f"{name}: a retry brought another id or body: {ids}"
    for post in posts:
        for at, key in enumerate(keys):
            if not is_genuine(key, post):
                yield f"{name}: not genuine by key {at}: {post[0]}"
        if is_genuine(stranger, post):
            yield f"{name}: genuine by a key that it does not know"


def main():
    with tempfile.TemporaryDirectory(prefix="nudged-webhooks.") as name:
        work = Path(name)
        os.environ["NUDGED"] = sys.argv[1]
        certificate(work)
        # What this machine trusts, to the daemon.
        os.environ["SSL_CERT_FILE"] = str(work / "ca.pem")
        receiver = Receiver(work)
        keys = {"changed": [new_key(), new_key()], "plain": [new_key()]}
        daemon = Daemon(work, {})
        hooks = hook("changed", receiver, work, keys["changed"], 'tls_ca_file = "ca.pem"')
        hooks += hook("plain", receiver, work, keys["plain"], "")
        daemon.config.write_text(daemon.config.read_text() + hooks)
        try:
            daemon.start()
            daemon.queue([{"to": "+4915110000001", "text": "x"}])
            posts = receiver.posts
            wait_for("both posts of both webhooks", lambda: all(len(posts.get(f"/{name}", [])) >= 2 for name in keys))
        finally:
            daemon.end()
        wrong = [fault for name in keys for fault in faults(name, posts[f"/{name}"], keys[name], new_key())]
        for fault in wrong:
            print(f"webhooks: {fault}", file=sys.stderr)
        if not wrong:
            print("webhooks: every post is genuine to standardwebhooks, over TLS, by each key")
        return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Missing as missing:
        print(f"webhooks: {missing}", file=sys.stderr)
        sys.exit(1)
