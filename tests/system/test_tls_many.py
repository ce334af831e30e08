"""Thousands of idle TLS connections, and what they cost."""

import re
import resource
import select
import socket
from pathlib import Path

import pytest

from certificates import EC, make_pair
from conftest import TRACKER
from https import ByHand, Https, context

PROMISED = 10000
PROMISED_KB = 200e6 / 1024
# Sanitizers have memory of their own, and take their time.
SANITIZED = "sanitized" in TRACKER
IDLE = 2000 if SANITIZED else PROMISED
# Below [clients] max_connections_per_address.
OF_AN_ADDRESS = 400


def raise_limit(least):
    """Descriptors of this process and of what it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE,
                       (max(soft, least), max(hard, least)))


@pytest.fixture
def https(make_tracker, tmp_path):
    raise_limit(IDLE + 1000)
    pair = make_pair(tmp_path / "ec", EC, ["ec.example"])
    t = make_tracker({"http": {"workers": "2"}})
    # Workers need not get the same share of them.
    return Https(t, {"ec": pair}).start({"clients": {
        "max_connections": str(2 * IDLE), "idle_timeout": "1h"}})


def resident_kb(tracker):
    """Of all roles and the monitor; what they share counts in each."""
    pids = [tracker.process.pid, *tracker.roles().values()]
    status = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
    return sum(int(re.search(r"VmRSS:\s+(\d+)", s)[1]) for s in status)


def visit(https, number, ctx, session):
    """A connection with a request behind it; its client."""
    sock = socket.socket()
    sock.settimeout(30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.bind((f"127.1.0.{1 + number // OF_AN_ADDRESS}", 0))
    sock.connect(("127.0.0.1", https.port))
    client = ByHand(sock, ctx=ctx, session=session)
    client.run(client.tls.do_handshake)
    client.run(client.tls.write, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"Hello." in client.run(client.tls.read, 4096)
    return client


def test_idle_connections(https, say):
    ctx = context()
    first = visit(https, 0, ctx, None)
    # Memory that the first ones touch stays, however many there are.
    for i in range(100):
        visit(https, i, ctx, first.tls.session).sock.close()
    before = resident_kb(https.tracker)

    # Only the socket is kept of each: the other end cannot tell.
    poll = select.poll()
    held = {}
    for i in range(IDLE):
        sock = visit(https, i, ctx, first.tls.session).sock
        held[sock.fileno()] = sock
        poll.register(sock, select.POLLIN)
    after = resident_kb(https.tracker)
    each = (after - before) / IDLE
    say(f"{IDLE} idle TLS connections: all roles {before / 1024:.0f} MB -> "
        f"{after / 1024:.0f} MB, {each:.1f} kB each")

    assert poll.poll(0) == [], "some were closed"
    assert https.get("/").status == 200
    first.run(first.tls.write, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"Hello." in first.run(first.tls.read, 4096)
    for sock in held.values():
        sock.close()
    https.wait_counter("tls_resumptions_total", IDLE)
    assert each < 20
    if not SANITIZED:
        assert after < PROMISED_KB
