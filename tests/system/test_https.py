"""HTTPS of the real daemon, as real clients see it."""

import mmap
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest

from certificates import EC, RSA, make_pair, run_openssl
from conftest import TRACKER, WAIT_SECONDS, wait_for
from https import SUITES, ByHand, Https, context

PICTURE = "/img/ctqu6f/m"
# Every handshake of these ends at once; the others may wait as ever.
HURRIED = {"https": {"handshake_timeout": "1s"}}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    d = tmp_path_factory.mktemp("pairs")
    return {
        "ec": make_pair(d / "ec", EC, ["ec.example", "*.wild.example"]),
        "rsa": make_pair(d / "rsa", RSA, ["rsa.example"]),
        "default": make_pair(d / "default", EC, ["default.example"]),
    }


@pytest.fixture
def make_https(make_tracker, pairs):
    def make(names=("ec", "rsa"), settings=None):
        t = make_tracker({"http": {"workers": "2"}})
        return Https(t, {n: pairs[n] for n in names}).start(settings)

    return make


@pytest.fixture
def https(make_https):
    return make_https()


def hello(name="ec.example", **settings):
    """The bytes of a real ClientHello, and what goes on with it."""
    settings.setdefault("maximum_version", ssl.TLSVersion.TLSv1_2)
    ctx = context(**settings)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ctx.wrap_bio(to_client, to_server, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return to_server.read()


# --- requests ---------------------------------------------------------------


def test_pixel_click_and_the_rest_as_on_http(https):
    for target in (PICTURE, "/ctqu6f/H0zoVR7I", "/", "/robots.txt",
                   "/ctqu6f/nope", "/nobody/nope"):
        plain, tls = https.tracker.get(target), https.get(target)
        assert tls.status == plain.status, target
        assert tls.body == plain.body
        dates = {"Date"}
        assert [h for h in tls.headers if h[0] not in dates] == \
            [h for h in plain.headers if h[0] not in dates]
    events = https.tracker.events()
    assert sorted(e["kind"] for e in events) == ["click"] * 2 + ["open"] * 2
    assert {e["ip"] for e in events} == {"127.0.0.1"}


def test_curl(https):
    done = subprocess.run(
        ["curl", "-sk", "--tlsv1.2", "--resolve",
         f"ec.example:{https.port}:127.0.0.1", "-w",
         "%{http_code} %{num_connects}\n", "-o", "/dev/null",
         "-o", "/dev/null",
         f"https://ec.example:{https.port}/robots.txt",
         f"https://ec.example:{https.port}/"],
        capture_output=True, text=True, check=True, timeout=60,
    )
    assert re.findall(r"200 (\d)", done.stdout) == ["1", "0"], done


def test_curl_verifies_the_chain(https):
    done = subprocess.run(
        ["curl", "-s", "--resolve", f"ec.example:{https.port}:127.0.0.1",
         "--cacert", str(https.certificates / "ec" / "fullchain.pem"),
         f"https://ec.example:{https.port}/"],
        capture_output=True, text=True, check=True, timeout=60,
    )
    assert done.stdout == "Hello."


def test_gnutls(https):
    done = subprocess.run(
        ["gnutls-cli", "--insecure", "--priority",
         "NORMAL:-VERS-ALL:+VERS-TLS1.2", "--sni-hostname", "rsa.example",
         "-p", str(https.port), "127.0.0.1"],
        input="GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        capture_output=True, text=True, check=False, timeout=60,
    )
    assert "Hello." in done.stdout, done
    assert "prematurely" not in done.stdout + done.stderr


def test_keep_alive_and_pipelining(https):
    request = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
    with https.connect() as c:
        for _ in range(3):
            c.send(request % PICTURE.encode())
            assert c.reply().status == 200
        c.send(request % PICTURE.encode() * 20 + request % b"/ctqu6f/H0zoVR7I"
               + request % b"/robots.txt")
        assert [c.reply().status for _ in range(22)] == \
            [200] * 20 + [307, 200]
        # One record a request, all in one segment.
        c.sock.setblocking(True)
        for _ in range(5):
            c.send(request % b"/")
        assert [c.reply().body for _ in range(5)] == [b"Hello."] * 5
    assert len(https.tracker.events()) == 24


def test_head_and_large_heads(https):
    assert https.get(PICTURE, method="HEAD").status == 200
    assert https.get("/", headers="X: " + "a" * 6000 + "\r\n").status == 200
    with https.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nX: " + b"a" * 100000)
        assert c.reply().status == 431
        assert c.is_closed()


def test_a_long_redirect_to_a_slow_reader(make_https):
    """More than the kernel holds for one that does not read."""
    https = make_https(settings={"clients": {"idle_timeout": "5m"}})
    url = "https://example.com/" + "a" * 60000
    https.tracker.link("ctqu6f", "Long", url)

    def stands_still():
        clicks = https.tracker.status()["accepted"]
        time.sleep(0.3)
        return clicks and https.tracker.status()["accepted"] == clicks

    with https.connect() as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        c.send(b"GET /ctqu6f/Long HTTP/1.1\r\nHost: x\r\n\r\n" * 150)
        wait_for(stands_still, "the buffers to be full")
        assert https.tracker.status()["accepted"] < 150
        for _ in range(150):
            assert c.reply().header("Location") == url
        c.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert c.reply().body == b"Hello."


def test_byte_by_byte(https):
    """Every byte of a whole connection in a segment of its own."""
    with https.raw() as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = ByHand(s, piece=1)
        client.run(client.tls.do_handshake)
        client.run(client.tls.write, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"Hello." in client.run(client.tls.read, 4096)


# --- certificates -----------------------------------------------------------


@pytest.mark.parametrize("curve,key", [("X25519:P-256", "X25519"),
                                       ("P-256", "ECDH, prime256v1")])
@pytest.mark.parametrize(
    "name,suite", [(n, s) for n, suites in SUITES.items() for s in suites])
def test_each_suite_with_each_group(https, name, suite, curve, key):
    done = https.s_client("-servername", name, "-cipher", suite,
                          "-curves", curve)
    assert f"Cipher    : {suite}" in done.stdout, done.stderr
    assert f"Server Temp Key: {key}" in done.stdout


def subject(https, name):
    args = ["-servername", name] if name else ["-noservername"]
    done = https.s_client(*args)
    m = re.search(r"subject=CN ?= ?(\S+)", done.stdout)
    alert = re.search(r"SSL alert number (\d+)", done.stderr)
    return m[1] if m else alert and int(alert[1])


def test_names(make_https):
    https = make_https()
    assert subject(https, "ec.example") == "ec.example"
    assert subject(https, "EC.example") == "ec.example"
    assert subject(https, "rsa.example") == "rsa.example"
    assert subject(https, "a.wild.example") == "ec.example"
    for name in ("b.a.wild.example", "wild.example", "other.example", None):
        assert subject(https, name) == 112, name
    https.wait_counter("tls_failed_name_total", 4)
    https.tracker.wait_log(
        r'tls failed reason="unknown name" detail="[^"]+" alert=112 '
        r'name="b\.a\.wild\.example" address=- more=0')


def test_the_default(make_https):
    https = make_https(("ec", "default"))
    assert subject(https, "ec.example") == "ec.example"
    assert subject(https, "other.example") == "default.example"
    assert subject(https, None) == "default.example"


def requests_until(https, stop, failures, count):
    while not stop.is_set():
        try:
            assert https.get(PICTURE).status == 200
            count.append(1)
        except (OSError, AssertionError) as e:
            failures.append(repr(e))


def under_load(https, act, threads=4):
    """Requests, each with its handshake, while act() runs."""
    stop, failures, count = threading.Event(), [], []
    crowd = [threading.Thread(target=requests_until,
                              args=(https, stop, failures, count))
             for _ in range(threads)]
    for t in crowd:
        t.start()
    try:
        wait_for(lambda: len(count) > 20, "load")
        act()
        n = len(count)
        wait_for(lambda: len(count) > n + 20 or failures, "load to go on")
    finally:
        stop.set()
        for t in crowd:
            t.join()
    assert failures == []
    return len(count)


def serial(https):
    with https.connect() as c:
        return c.sock.getpeercert(True)


@pytest.mark.parametrize("signal_too", [True, False])
def test_reload_of_a_certificate_under_load(https, signal_too):
    old = serial(https)

    def renew():
        make_pair(https.certificates / "ec", EC, ["ec.example"])
        if signal_too:
            https.tracker.process.send_signal(signal.SIGHUP)
        wait_for(lambda: serial(https) != old, "the new certificate", 90)

    under_load(https, renew)


# --- sessions ---------------------------------------------------------------


def test_sessions_are_resumed_by_all_workers(https, work):
    saved = str(work / "session")
    done = https.s_client("-servername", "ec.example", "-sess_out", saved)
    assert "New, TLSv1.2" in done.stdout
    before = https.counters()["tls_resumptions_total"]
    for _ in range(20):
        done = https.s_client("-servername", "ec.example", "-sess_in", saved)
        assert "Reused, TLSv1.2" in done.stdout, done.stdout
    # Of the next second's report: those that left at once are done, too.
    wait_for(
        lambda: https.counters()["tls_resumptions_total"] == before + 20,
        "resumptions")


HEAD, ENTRY, SESSIONS = 512, 128, 16 << 20


def sessions_memory(t):
    """The table that the workers share, by the monitor's descriptor."""
    fds = Path(f"/proc/{t.process.pid}/fd")
    fd, = (f for f in fds.iterdir() if "postal-tracker-web" in os.readlink(f)
           and f.stat().st_size == SESSIONS)
    with open(fd, "r+b") as f:
        return mmap.mmap(f.fileno(), SESSIONS)


def test_sessions_that_ended_are_wiped(https):
    """By workers that have nothing else to do."""
    body = b"\1" * 88
    ended, lives = (body + struct.pack("<IIQQQQ", 0xc02b, end, 0, 0, 0, 9)
                    for end in (1, 0xffffffff))
    assert len(ended) == len(lives) == ENTRY
    with sessions_memory(https.tracker) as table:
        n = (SESSIONS - HEAD) // ENTRY // 2
        assert table[:HEAD] == bytes(HEAD)
        table[HEAD:HEAD + n * 2 * ENTRY] = (ended + lives) * n
        # Nobody looks where nobody has written.
        table[:HEAD] = b"\xff" * HEAD
        wait_for(lambda: table[:].count(bytes(ENTRY) + lives) > 4000,
                 "some to be wiped", 60)
        assert table[:].count(lives) == n


def test_sessions_outlive_a_reload(https, work):
    saved = str(work / "session")
    https.s_client("-servername", "ec.example", "-sess_out", saved)
    https.tracker.process.send_signal(signal.SIGHUP)
    https.tracker.wait_ready(2)
    done = https.s_client("-servername", "ec.example", "-sess_in", saved)
    assert "Reused, TLSv1.2" in done.stdout, done.stdout


# --- ends -------------------------------------------------------------------


def test_our_close_notify(https):
    # suppress_ragged_eofs is off: an end without one would raise.
    assert https.get("/").status == 200


def test_their_close_notify_is_answered(https):
    with https.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert c.reply().body == b"Hello."
        c.sock.unwrap()  # waits for the answer


def test_request_and_close_notify_at_once(https):
    """The reply comes before the good-bye that answers theirs."""
    for target in ("/", PICTURE, "/ctqu6f/H0zoVR7I"):
        with https.raw() as s:
            client = ByHand(s)
            client.run(client.tls.do_handshake)
            client.tls.write(
                f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            with pytest.raises(ssl.SSLWantReadError):
                client.tls.unwrap()
            client.send()
            s.shutdown(socket.SHUT_WR)
            got = b""
            while True:
                data = s.recv(65536)
                if not data:
                    break
                got += data
        # Application data, then the alert.
        assert got[0] == 23 and len(got) > 100, (target, got)
        at = 0
        types = []
        while at < len(got):
            types.append(got[at])
            at += 5 + int.from_bytes(got[at + 3:at + 5], "big")
        assert types == [23, 21], target


def test_half_closed_sockets(https):
    """Without close_notify: also answered, then closed at once."""
    with https.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        c.sock.shutdown(socket.SHUT_WR)
    for _ in range(20):
        with https.tracker.connect() as c:
            c.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert c.reply().body == b"Hello."
            c.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            c.sock.shutdown(socket.SHUT_WR)
            c.sock.settimeout(3)
            assert c.reply().body == b"Hello."
            assert c.is_closed()


def test_idle_ones_get_a_good_bye(make_https):
    https = make_https(settings={"clients": {"idle_timeout": "1s"}})
    with https.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert c.reply().body == b"Hello."
        assert c.is_closed()  # raises without a close_notify


# --- failures: each is counted and said -------------------------------------


def fail_plain(https):
    with https.raw() as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        got = s.recv(4096)
        assert b"HTTP" not in got
        assert got == b"" or s.recv(4096) == b""


def fail_version(https):
    done = https.s_client("-servername", "ec.example")
    assert "TLSv1.2" in done.stdout
    done = run_openssl("s_client", "-connect", f"127.0.0.1:{https.port}",
                       "-tls1_1", "-cipher", "ALL:@SECLEVEL=0",
                       "-servername", "ec.example")
    assert "alert number 70" in done.stderr


def fail_suite(https):
    done = https.s_client("-servername", "ec.example", "-cipher",
                          "AES128-SHA")
    assert "alert number 40" in done.stderr


def fail_name(https):
    done = https.s_client("-servername", 'a"b\n.example')
    assert "alert number 112" in done.stderr


def fail_protocol(https):
    done = https.s_client("-servername", "ec.example", "-alpn", "h2")
    assert "alert number 120" in done.stderr


def fail_client_alert(https):
    ctx = ssl.create_default_context()
    with pytest.raises(ssl.SSLCertVerificationError):
        https.connect(ctx=ctx)


def fail_broken(https):
    with https.raw() as s:
        data = bytearray(hello())
        data[9] = 9  # the version of the message
        data[6:9] = b"\0\0\5"  # its length
        s.sendall(data)
        assert s.recv(4096)[:1] == b"\x15"


def fail_closed(https):
    with https.raw() as s:
        s.sendall(hello()[:50])


def fail_timeout(https):
    with https.raw() as s:
        s.sendall(hello()[:50])
        s.settimeout(WAIT_SECONDS)
        assert s.recv(100) == b""


FAILURES = [
    (fail_plain, "not_tls", "not TLS"),
    (fail_version, "version", "no shared version"),
    (fail_suite, "suite", "no shared suite"),
    (fail_name, "name", "unknown name"),
    (fail_protocol, "protocol", "no shared protocol"),
    (fail_client_alert, "client_alert", "client alert"),
    (fail_broken, "broken", "broken"),
    (fail_closed, "closed", "closed"),
    (fail_timeout, "timeout", "timeout"),
]


@pytest.mark.parametrize("act,counter,reason", FAILURES,
                         ids=[f[1] for f in FAILURES])
def test_failures_are_counted_and_said(make_https, act, counter, reason):
    https = make_https(settings=HURRIED if counter == "timeout" else None)
    act(https)
    https.wait_counter(f"tls_failed_{counter}_total")
    https.tracker.wait_log(
        rf'<4>web\[\d\]: tls failed reason="{reason}" detail="[^"]+" '
        r'alert=\d+ name="\S*" address=- more=\d+\n')
    failed = {k: v for k, v in https.counters().items()
              if k.startswith("tls_failed") and v}
    assert failed == {f"tls_failed_{counter}_total": 1}
    assert https.get("/").status == 200


def test_failures_are_said_once_in_a_while(https):
    for _ in range(20):
        fail_plain(https)
    https.wait_counter("tls_failed_not_tls_total", 20)
    assert https.tracker.log().count("tls failed") <= 2


def test_who_says_nothing_is_no_failure(https):
    for _ in range(5):
        https.raw().close()
    assert https.get("/").status == 200
    wait_for(lambda: https.counters()["tls_handshakes_total"] == 1, "counters")
    assert https.counters()["tls_failed_closed_total"] == 0


# --- keepers ----------------------------------------------------------------


def test_keeper_killed_under_load(https):
    https.tracker.may_die = True
    with https.connect() as c:

        def kill():
            for _ in range(3):
                pid = https.tracker.roles()["keeper[0]"]
                os.kill(pid, signal.SIGKILL)
                # An open connection does not notice.
                for _ in range(20):
                    c.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                    assert c.reply().body == b"Hello."
                https.tracker.wait_role("keeper[0]", other_than=pid)
                assert https.get("/").status == 200

        under_load(https, kill)


def test_a_keeper_that_does_not_answer(make_https):
    """Stopped, not dead: handshakes end by their time; others go on."""
    https = make_https(settings=HURRIED)
    pid = https.tracker.roles()["keeper[0]"]
    with https.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert c.reply().body == b"Hello."
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises((ssl.SSLError, OSError)):
                https.connect()
            https.wait_counter("tls_failed_signature_total")
            https.tracker.wait_log(r'tls failed reason="no signature"')
            c.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert c.reply().body == b"Hello."
        finally:
            os.kill(pid, signal.SIGCONT)
    assert https.get("/").status == 200


def end_at_last(pid):
    """The monitor may have lost patience with it before."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def test_two_keepers_share_the_work(make_https):
    https = make_https(settings={"https": {"keepers": "2"}})
    https.tracker.may_die = True
    pids = [https.tracker.roles()[f"keeper[{i}]"] for i in (0, 1)]
    os.kill(pids[0], signal.SIGSTOP)
    try:
        # What it was asked before is waiting; it dies, and is asked again.
        under_load(https, lambda: end_at_last(pids[0]))
    finally:
        https.tracker.wait_role("keeper[0]", other_than=pids[0])


# --- many -------------------------------------------------------------------


def test_half_open_handshakes_do_not_slow_others(make_https, say):
    https = make_https(settings={
        "http": {"workers": "1"},
        "clients": {"max_connections_per_address": "5000",
                    "max_connections": "5000"},
    })
    first = hello()
    held = []

    def worst(c, target):
        """The longest of so many requests, in seconds."""
        longest = 0
        for _ in range(200):
            start = time.monotonic()
            c.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert c.reply().status == 200
            longest = max(longest, time.monotonic() - start)
        return longest

    with https.connect() as c, https.tracker.connect() as plain:
        # More than one worker takes: the rest waits in the kernel.
        for i in range(1500):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", https.port))
            held.append(s)
        for s in held:
            try:
                s.sendall(first)
            except OSError:
                pass
        slow = max(worst(c, "/"), worst(plain, "/"))
        say(f"worst request beside 1500 half-open handshakes: {slow:.3f} s")
        assert slow < 0.5
        # A new visitor has his turn: slow ones make room.
        start = time.monotonic()
        assert https.get("/").status == 200
        waited = time.monotonic() - start
        say(f"a new visitor waits {waited:.1f} s")
        assert waited < 4
        https.wait_counter("tls_failed_timeout_total")
    for s in held:
        s.close()


def resident_kb(https):
    """Memory of the workers' own; the sessions that they share is not."""
    total = 0
    for name, pid in https.tracker.roles().items():
        if name.startswith("web"):
            with open(f"/proc/{pid}/status", encoding="utf-8") as f:
                total += int(re.search(r"RssAnon:\s+(\d+)", f.read())[1])
    return total


# Sanitizers keep a shadow (an eighth), room around each block, and for a while
# what was freed.
KB_EACH, KEPT = (24, 0.75) if "sanitized" in TRACKER else (20, 0.5)


def hold(make_https, n, *requests):
    """n connections that idle behind these requests; how many kilobytes the
    workers had before, and has each."""
    https = make_https(settings={
        "clients": {"max_connections_per_address": "5000"}})

    def connect():
        c = https.connect()
        for request in requests:
            c.send(request)
            assert c.reply().status == 200
        return c

    # What a worker needs once is not of the connections.
    for _ in range(20):
        connect().close()
    before = resident_kb(https)
    held = [connect() for _ in range(n)]
    return https, held, before, (resident_kb(https) - before) / n


def test_memory_of_idle_connections(make_https, say):
    https, held, before, each = hold(
        make_https, 1000, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    say(f"an idle TLS connection: {each:.1f} kB")
    for c in held:
        c.close()
    assert each < KB_EACH
    wait_for(lambda: resident_kb(https) - before < 1000 * each * KEPT,
             "the memory to be given back")


def test_memory_after_large_requests(make_https, say):
    """The pages of a large record go back when the connection idles."""
    large = b"GET / HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n" % (b"x" * 12000)
    _, held, _, each = hold(make_https, 300, large, large)
    say(f"an idle TLS connection after a large request: {each:.1f} kB")
    assert each < KB_EACH
    # It has lost nothing by it.
    for c in held:
        c.send(large)
        assert c.reply().status == 200
        c.close()


def test_one_of_a_thousand_is_renewed(make_https, pairs, work, say):
    """The worker reads the new chain, and not all others again."""
    n, name = 1000, "n0000.example"
    https = make_https(names=(), settings={"http": {"workers": "1"}})
    for i in range(n):
        shutil.copytree(pairs["rsa"], https.certificates / f"n{i:04}.example")
    https.tracker.process.send_signal(signal.SIGHUP)
    https.tracker.wait_log(f"certificates served={n}\n", 60)
    wait_for(lambda: https.tracker.roles().get("web[0]"), "a worker")

    def served():
        try:
            with https.connect(name) as c:
                return c.sock.getpeercert(binary_form=True)
        except (OSError, ssl.SSLError):
            return None

    def used_ms():
        pid = https.tracker.roles()["web[0]"]
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as f:
            return int(f.read().split()[0]) / 1e6

    old = wait_for(served, "the first one")
    before = used_ms()
    make_pair(https.certificates / name, EC, [name])
    https.tracker.wait_log(rf'name="{name}" pair=\d+ replaced', 60)
    wait_for(lambda: served() not in (None, old), "the new one")
    spent = used_ms() - before
    say(f"one of {n} certificates renewed: {spent:.0f} ms of the worker")
    assert spent < 150


def test_limits_of_handshakes_are_reloaded(make_https):
    """Beyond max_handshakes slow ones make room, all end in time."""
    https = make_https(settings={"http": {"workers": "1"}})

    def half_open(n):
        held = [https.raw() for _ in range(n)]
        for s in held:
            s.sendall(hello())
        assert https.get("/").status == 200
        return held

    held = half_open(20)
    assert https.counters()["connections_recycled_total"] == 0
    for s in held:
        s.close()
    https.tracker.settings["https"].update(
        {"max_handshakes": "16", "handshake_timeout": "2s"})
    https.tracker.write_conf()
    https.tracker.process.send_signal(signal.SIGHUP)
    https.tracker.wait_ready(2)
    held = half_open(20)
    https.wait_counter("connections_recycled_total")
    https.wait_counter("tls_failed_timeout_total", 16)
    for s in held:
        assert s.recv(1 << 16) != b""  # its ServerHello
        s.close()


def test_half_open_handshakes_make_room_in_a_full_worker(make_https):
    https = make_https(settings={
        "http": {"workers": "1"}, "clients": {"max_connections": "4"},
        "https": {"handshake_timeout": "60s"}})
    held = [https.raw() for _ in range(4)]
    try:
        for s in held:
            s.sendall(hello())
        assert https.get("/").status == 200
        assert https.tracker.get("/").status == 200
    finally:
        for s in held:
            s.close()
    assert "full connections=4" in https.tracker.log()


def test_many_keepers_leave_descriptors_for_connections(make_https):
    https = make_https(settings={
        "http": {"workers": "1"}, "clients": {"max_connections": "20"},
        "https": {"keepers": "16"}})
    held = []
    try:
        for _ in range(20):
            held.append(https.tracker.connect())
            held[-1].send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert held[-1].reply().body == b"Hello."
    finally:
        for c in held:
            c.close()
    assert "accept error" not in https.tracker.log()


def test_http_goes_on_beside(https):
    stop = threading.Event()
    slow = []

    def plain():
        with https.tracker.connect() as c:
            while not stop.is_set():
                start = time.monotonic()
                c.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert c.reply().body == b"Hello."
                slow.append(time.monotonic() - start)

    t = threading.Thread(target=plain)
    t.start()
    try:
        under_load(https, lambda: time.sleep(1))
    finally:
        stop.set()
        t.join()
    assert len(slow) > 100
    assert sorted(slow)[len(slow) * 99 // 100] < 0.1


# --- turned on and off -------------------------------------------------------


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def test_turned_on_and_off_by_a_reload(make_tracker, pairs):
    """Workers of before finish what they have; none of them is harmed."""
    t = make_tracker({"http": {"workers": "2"}})
    https = Https(t, {"ec": pairs["ec"]})
    settings = t.settings.pop("https")
    https.start()
    for times, section in ((2, settings), (3, {}), (4, settings)):
        with t.connect() as c:
            c.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert c.reply().body == b"Hello."
            t.settings["https"] = section
            t.write_conf()
            t.process.send_signal(signal.SIGHUP)
            t.wait_ready(times)
        if section:
            assert https.get(PICTURE).status == 200
        else:
            wait_for(lambda: not listens(https.port), "the port to close")


# --- PROXY ------------------------------------------------------------------

PROXY_V1 = b"PROXY TCP4 198.51.100.7 192.0.2.1 4000 443\r\n"
PROXY_V2 = (b"\r\n\r\n\0\r\nQUIT\n" + b"\x21\x11\0\x0c"
            + socket.inet_aton("198.51.100.7")
            + socket.inet_aton("192.0.2.1") + b"\x0f\xa0\x01\xbb")
PROXIED = {"clients": {"proxy_protocol": "yes",
                       "trusted_proxies": "127.0.0.1"}}


@pytest.mark.parametrize("header", [PROXY_V1, PROXY_V2], ids=["v1", "v2"])
def test_proxy_in_front_of_tls(make_https, header):
    https = make_https(settings=PROXIED)
    assert https.get(PICTURE, before=header).status == 200
    # The header cut anywhere, and together with the ClientHello.
    for cut in (1, 7, len(header) - 1, len(header)):
        with https.raw() as s:
            data = header + hello()
            s.sendall(data[:cut])
            time.sleep(0.02)
            s.sendall(data[cut:])
            assert s.recv(1) == b"\x16", cut
    assert [e["ip"] for e in https.tracker.events()] == ["198.51.100.7"]


def test_bad_and_missing_proxy_headers(make_https):
    https = make_https(settings=PROXIED)
    with https.raw() as s:
        s.sendall(b"PROXY nonsense\r\n" + hello())
        try:
            assert s.recv(100) == b""
        except ConnectionResetError:
            pass
    assert https.get(PICTURE).status == 200  # its own address is used
    https.wait_counter("proxy_headers_bad_total", 2)
    assert [e["ip"] for e in https.tracker.events()] == ["127.0.0.1"]


def test_proxy_header_in_front_of_tls_alone(make_https):
    """As behind nginx: HTTPS by its stream block, HTTP by its http block."""
    https = make_https(settings={"clients": {
        "proxy_protocol": "https", "trusted_proxies": "127.0.0.1"}})
    assert https.get(PICTURE, before=PROXY_V2).status == 200
    forwarded = [("X-Forwarded-For", "198.51.100.8")]
    assert https.tracker.get(PICTURE, forwarded).status == 200
    # HTTP that begins with a PROXY header is not HTTP.
    plain = PROXY_V1 + f"GET {PICTURE} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    assert https.tracker.raw(plain).status == 400
    assert [e["ip"] for e in https.tracker.events()] == [
        "198.51.100.7", "198.51.100.8"]
    assert https.counters()["proxy_headers_bad_total"] == 0


# --- the end of the daemon --------------------------------------------------


def test_stop_with_open_connections(https):
    with https.connect() as idle, https.raw() as quiet, https.connect() as c:
        idle.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.reply().status == 200
        c.send(b"GET / HTTP/1.1\r\n")
        https.tracker.process.send_signal(signal.SIGTERM)
        assert idle.is_closed()  # with a close_notify
        c.send(b"Host: x\r\n\r\n")
        assert c.reply().header("Connection") == "close"
        assert c.is_closed()
        assert quiet.recv(10) == b""
        assert https.tracker.process.wait(WAIT_SECONDS) == 0
