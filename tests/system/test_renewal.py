"""A tracking domain's whole life: a row of Postal's, a certificate, the next.

Everything is real but the authority, which is pebble: MariaDB with Postal's
tables, the forwarder, `domains`, the script with uacme, the daemon's own
challenges, and clients that verify what they are served.
"""

import re
import ssl
import threading
import time

import pytest

from acme import Authority, Client, by_name, domains, needing
from certificates import openssl
from conftest import free_port, wait_for
from forward_help import QUICK, one_server
from https import TlsConnection

NAME = "click.example.com"
MINUTE = 60
CLIENTS = 3


@pytest.fixture
def town(work, make_stack):
    """All of them, running; there is no tracking domain yet."""
    home = work / "acme"
    port = free_port()
    stack = make_stack(settings={
        **QUICK,
        "https": {
            "listen": f"127.0.0.1:{port}",
            "acme_challenges": str(home / "challenges"),
            "certificates": str(home / "certificates"),
        },
    })
    one_server(stack.postal)
    t = stack.tracker
    t.https_port = port
    t.authority = Authority(work, t.port)
    try:
        t.client = Client(work, t.authority)
        stack.start()
        yield stack
    finally:
        t.authority.stop()


def add_domains(stack, *names):
    """Rows appear in Postal's tables, and are known here."""
    for name in names:
        stack.postal.add_track_domain(1, *name.split(".", maxsplit=1))
    stack.forwarder.reload()
    stack.wait_status(lambda s: s["domains"] == len(names), "the domains")


def trusting(t):
    """What a browser would be: the root, the chain, the name."""
    return ssl.create_default_context(cadata=t.authority.root())


def serial_of_file(t, name):
    out = openssl("x509", "-noout", "-serial", "-in",
                  t.client.certificate(name))
    return out.strip().removeprefix("serial=")


def visit(t, ctx):
    """A new handshake and a request; the serial number served."""
    with TlsConnection(("127.0.0.1", t.https_port), NAME, ctx=ctx) as c:
        c.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert c.reply().body == b"Hello."
        assert c.is_closed()
        return c.sock.getpeercert()["serialNumber"]


def is_served(t, ctx):
    try:
        return visit(t, ctx)
    except ssl.SSLError:
        return None


class Load:
    """New handshakes all the time, a bounded number a second."""

    def __init__(self, t, ctx):
        self.t, self.ctx = t, ctx
        self.stop = threading.Event()
        self.serials, self.failures = [], []
        self.threads = [threading.Thread(target=self.run)
                        for _ in range(CLIENTS)]

    def run(self):
        while not self.stop.is_set():
            try:
                self.serials.append(visit(self.t, self.ctx))
            except (OSError, AssertionError) as e:
                self.failures.append(repr(e))
            time.sleep(0.02)

    def more(self, number=50):
        """Waits for so many more."""
        least = len(self.serials) + number
        wait_for(lambda: len(self.serials) >= least or self.failures,
                 "handshakes", MINUTE)
        assert self.failures == []

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def test_from_a_row_to_a_renewed_certificate(town, say):
    t, client = town.tracker, town.tracker.client
    t.authority.set_hosts({NAME: "127.0.0.1"})
    ctx = trusting(t)
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        visit(t, ctx)
    assert needing(t) == []

    add_domains(town, NAME)
    assert needing(t) == [NAME]
    assert "no certificate" in domains(t).stdout

    client.run(needing(t))
    begin = time.monotonic()
    wait_for(lambda: is_served(t, ctx), "the certificate", MINUTE)
    say(f"served {time.monotonic() - begin:.1f} s after it was issued")
    first = serial_of_file(t, NAME)
    assert needing(t) == []
    assert by_name(t)[NAME]["needs"] == "nothing"

    client.a_day_later(NAME)
    with TlsConnection(("127.0.0.1", t.https_port), NAME, ctx=ctx) as old, \
            Load(t, ctx) as load:
        load.more()
        client.run([NAME])
        second = serial_of_file(t, NAME)
        assert second != first
        wait_for(lambda: second in load.serials[-CLIENTS:] or load.failures,
                 "the new certificate", MINUTE)
        # Both workers.
        load.more()
        n = len(load.serials)
        load.more(100)
        # Whoever came before notices nothing.
        old.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert old.reply().body == b"Hello."
    assert load.failures == []
    say(f"{len(load.serials)} handshakes while it was renewed, none failed")
    assert load.serials[0] == first
    assert set(load.serials) == {first, second}
    assert set(load.serials[n:]) == {second}
    assert "reload" not in t.log()
    failed = {k: v for k, v in t.status()["counters"].items()
              if k.startswith("tls_failed") and v}
    assert failed.keys() == {"tls_failed_name_total"}, failed
    assert f"ok          {NAME}: certificate" in domains(t).stdout


def test_a_broken_name_says_why(town):
    """One without an address, and one that only the authority cannot see."""
    t, client = town.tracker, town.tracker.client
    gone, hidden = "gone.example.com", "hidden.example.com"
    t.authority.set_hosts({NAME: "127.0.0.1", hidden: "127.0.0.1"})
    t.authority.fail_dns(hidden)
    add_domains(town, NAME, gone, hidden)
    assert needing(t) == [NAME, hidden]
    client.run(needing(t))
    text = domains(t).stdout
    assert f"dns         {gone}: no certificate; does not resolve: " in text
    assert re.search(
        rf"wait        {hidden}: no certificate; 1 failed, next try after \S+: "
        r'"urn:ietf:params:acme:error:connection Get .*could not resolve URL '
        rf'.*{hidden}.*"\n', text), text
    assert "uacme" not in text
    # The others of the same run have theirs.
    wait_for(lambda: is_served(t, trusting(t)), "the certificate", MINUTE)
    assert needing(t) == []
