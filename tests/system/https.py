"""Daemons that speak HTTPS, and clients for tests."""

import shutil
import socket
import ssl

from certificates import run_openssl
from conftest import Connection, free_port, wait_for

# What is spoken with the certificate of each name.
SUITES = {
    "ec.example": [
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    ],
    "rsa.example": [
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-RSA-CHACHA20-POLY1305",
    ],
}


def context(**settings):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    # An end without close_notify is an error (SSL_OP_IGNORE_UNEXPECTED_EOF).
    ctx.options &= ~0x80
    for key, value in settings.items():
        setattr(ctx, key, value)
    return ctx


class TlsConnection(Connection):
    """A raw HTTP connection inside of TLS."""

    def __init__(self, address, name="ec.example", session=None, ctx=None,
                 before=b""):
        super().__init__(address)
        if before:
            self.sock.sendall(before)
        self.context = ctx or context()
        self.sock = self.context.wrap_socket(
            self.sock, server_hostname=name, session=session,
            suppress_ragged_eofs=False,
        )


class Https:
    """A tracker with HTTPS; the pairs are ec, rsa and wild."""

    def __init__(self, tracker, pairs):
        self.tracker = tracker
        self.port = free_port()
        self.certificates = tracker.directory / "certificates"
        self.certificates.mkdir()
        for name in pairs:
            shutil.copytree(pairs[name], self.certificates / name)
        tracker.settings["https"] = {
            "listen": f"127.0.0.1:{self.port}",
            "certificates": str(self.certificates),
        }

    def start(self, settings=None):
        for section, keys in (settings or {}).items():
            self.tracker.settings.setdefault(section, {}).update(keys)
        self.tracker.write_conf()
        self.tracker.start()
        self.tracker.link("ctqu6f", "H0zoVR7I")
        self.tracker.wait_server("ctqu6f")
        return self

    def connect(self, name="ec.example", **kwargs):
        return TlsConnection(("127.0.0.1", self.port), name, **kwargs)

    def raw(self):
        return socket.create_connection(("127.0.0.1", self.port), 20)

    def get(self, target, name="ec.example", headers="", method="GET", **kw):
        with self.connect(name, **kw) as c:
            c.send(f"{method} {target} HTTP/1.1\r\nHost: {name}\r\n{headers}"
                   "Connection: close\r\n\r\n".encode("latin-1"))
            reply = c.reply(method == "HEAD")
            assert c.is_closed()
            return reply

    def s_client(self, *args, stdin=""):
        return run_openssl("s_client", "-connect", f"127.0.0.1:{self.port}",
                           "-tls1_2", *args, data=stdin)

    def counters(self):
        return self.tracker.status()["counters"]

    def wait_counter(self, name, least=1):
        wait_for(lambda: self.counters()[name] >= least, name)


class ByHand:
    """A client whose bytes the test sends itself."""

    def __init__(self, sock, name="ec.example", piece=None, ctx=None,
                 session=None):
        ctx = ctx or context(maximum_version=ssl.TLSVersion.TLSv1_2)
        self.sock = sock
        self.piece = piece  # bytes a segment; None: all at once
        self.into, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = ctx.wrap_bio(
            self.into, self.out, server_hostname=name, session=session)

    def send(self):
        data = self.out.read()
        step = self.piece or max(len(data), 1)
        for at in range(0, len(data), step):
            self.sock.sendall(data[at:at + step])

    def run(self, call, *args):
        """Calls until it needs no more bytes of the server."""
        while True:
            try:
                result = call(*args)
                self.send()
                return result
            except ssl.SSLWantReadError:
                self.send()
                data = self.sock.recv(65536)
                assert data, "closed"
                self.into.write(data)
