"""The admin listener: what it answers, whom it serves, what it may not do."""

import ctypes
import os
import re
import signal
import socket
import struct
import subprocess
import threading
from datetime import datetime

import pytest

import test_roles
from admin import Admin, check_law
from certificates import EC, make_pair
from conftest import Connection, free_port, wait_for
from fake_forwarder import NUMBER, Forwarder, span8, span16
from service_manager import listening, start_with

PIDFD_GETFD = 438


@pytest.fixture
def admin(make_tracker):
    """A daemon with one server and one link, and its admin listener."""
    a = Admin(make_tracker({"http": {"workers": "1"}}))
    a.tracker.start()
    a.tracker.link("ctqu6f", "H0zoVR7I")
    a.tracker.wait_server("ctqu6f")
    return a


@pytest.fixture
def postal(make_tracker):
    """The same with Postal, whose forwarder is the test."""
    a = Admin(make_tracker({"postal": {"mode": "mysql"}}))
    a.tracker.start()
    return a


# --- what it answers --------------------------------------------------------


def test_routes(admin):
    assert (admin.get("/health").status, admin.get("/health").body) == (
        200, b"healthy\n")
    assert (admin.get("/ready").status, admin.get("/ready").body) == (
        200, b"ready\n")
    metrics = admin.get("/metrics")
    assert metrics.header("Content-Type") == (
        "text/plain; version=0.0.4; charset=utf-8")
    for target in ("/", "/nope", "/health/x", "/metrics/", "/img/ctqu6f/m"):
        assert admin.get(target).status == 404, target
    # The numbers are not on the port of visitors, nor theirs here.
    assert admin.tracker.get("/metrics").body == b"Hello."
    assert admin.tracker.status()["pending"] == 0


def test_head_is_get_without_a_body(admin):
    for target in ("/health", "/ready", "/metrics", "/nope"):
        get, head = admin.get(target), admin.get(target, method="HEAD")
        assert (head.status, head.body) == (get.status, b"")
        if target != "/metrics":
            assert head.header("Content-Length") == str(len(get.body))


@pytest.mark.parametrize(
    "request_bytes, status",
    [
        (b"POST /ready HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"DELETE /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"BREW /ready HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"get /ready HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /ready HTTP/1.1\r\n\r\n", 400),
        (b"GET /ready HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET /ready\r\n\r\n", 400),
        (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", 400),
        (b"GET /ready HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9000, 431),
        (b"GET /" + b"x" * 9000, 414),
    ],
)
def test_improper_requests(admin, request_bytes, status):
    reply = admin.raw(request_bytes)
    assert reply.status == status
    if status == 405:
        assert reply.header("Allow") == "GET, HEAD"
    assert admin.ready()


def test_metrics_are_well_formed(admin):
    """promtool lints names, types, units and help texts."""
    admin.tracker.get("/img/ctqu6f/m")
    lint = subprocess.run(
        ["promtool", "check", "metrics"], input=admin.page(),
        capture_output=True, text=True, check=False, timeout=60,
    )
    assert (lint.returncode, lint.stdout, lint.stderr) == (0, "", "")


def test_metrics_say_what_happened(admin):
    t = admin.tracker
    before = admin.metrics()
    for i in range(5):
        assert t.get(f"/img/ctqu6f/m{i}").status == 200
    assert t.get("/ctqu6f/H0zoVR7I").status == 307
    assert t.get("/no-server/x").status == 404

    # The worker tells its counters once a second.
    def counted():
        now = admin.metrics()
        return now if now['answers_total{kind="click"}'] == 1 else None

    now = wait_for(counted, "the counters", 30)
    assert now['answers_total{kind="open"}'] == 5
    assert now['answers_total{kind="unknown_server"}'] == 1
    assert now["spool_accepted_total"] == now["spool_pending"] == 6
    assert now["spool_size_bytes"] > 0 and now["spool_limit_bytes"] > 0
    assert now["servers"] == now["links"] == 1
    assert now["ready"] == now["store_up"] == 1
    check_law(now)
    # Each of its commits is in the histogram.
    name = "commit_duration_seconds"
    assert now[f"{name}_count"] > before[f"{name}_count"]
    buckets = [v for k, v in now.items() if k.startswith(f"{name}_bucket")]
    assert buckets == sorted(buckets)
    assert buckets[-1] == now[f"{name}_count"]
    assert not [name for name in now if "forwarder" in name]


def test_every_counter_is_there(admin):
    """What status counts /metrics has too, without a list of its own."""
    names = admin.tracker.status()["counters"]
    groups = [
        name for name in admin.metrics()
        if re.match(r"(answers|tls_handshakes_failed)_total\{", name)
    ]
    lone = [name for name in names if name in admin.metrics()]
    assert len(groups) + len(lone) == len(names)


def test_roles_are_told(admin):
    def told():
        return {k: v for k, v in admin.metrics().items()
                if k.startswith("role_")}

    wait_for(lambda: len(told()) == 9, "store, web and admin")
    values = told()
    for role in ("store", "web", "admin"):
        which = f'{{role="{role}",index="0"}}'
        assert values[f"role_up{which}"] == 1
        assert values[f"role_starts_total{which}"] == 1
    admin.tracker.may_die = True
    pid = admin.tracker.roles()["web[0]"]
    os.kill(pid, signal.SIGKILL)
    wait_for(
        lambda: told()['role_starts_total{role="web",index="0"}'] == 2,
        "the restart to be told",
    )


def test_the_forwarder_is_told(postal):
    assert postal.metrics()["forwarder_up"] == 0
    with Forwarder(postal.tracker) as f:
        f.servers({1: "ctqu6f"})
        f.state(error="no grant", lag_ms=1500, databases=3, broken=1)

        def told():
            return postal.metrics().get("forwarder_error") == 1

        wait_for(told, "the state")
        now = postal.metrics()
        assert now["forwarder_up"] == now["forwarder_database_up"] == 1
        assert now["replica_lag_seconds"] == 1.5
        assert now["forwarder_events_per_second"] == 7
        assert (now["forwarder_databases"],
                now["forwarder_databases_failing"]) == (3, 1)
        # The text may hold what is nobody's business.
        assert "no grant" not in postal.page()
    wait_for(lambda: postal.metrics()["forwarder_up"] == 0, "its end")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return make_pair(tmp_path_factory.mktemp("pair") / "p", EC, ["a.example"])


def with_https(a, pair, names):
    certificates = a.tracker.directory / "certificates"
    certificates.mkdir()
    for name in names:
        os.symlink(pair, certificates / name)
    os.chmod(pair.parent, 0o755)
    a.tracker.settings["https"] = {
        "listen": f"127.0.0.1:{free_port()}",
        "certificates": str(certificates),
    }
    a.tracker.write_conf()
    a.tracker.start()
    return a


def test_certificates_are_told(make_tracker, pair):
    a = with_https(Admin(make_tracker()), pair, ["a.example"])
    broken = a.tracker.directory / "certificates" / "broken.example"
    broken.mkdir()
    (broken / "fullchain.pem").write_text("no chain")
    (broken / "privkey.pem").write_text("no key")

    def told():
        now = a.metrics()
        return now if now.get('certificates{state="refused"}') == 1 else None

    now = wait_for(told, "both pairs", 30)
    assert now['certificates{state="served"}'] == 1
    dates = subprocess.run(
        ["openssl", "x509", "-noout", "-dates", "-dateopt", "iso_8601",
         "-in", pair / "fullchain.pem"],
        check=True, capture_output=True, text=True, timeout=60,
    ).stdout.splitlines()
    for line, metric in zip(dates, ("start", "end"), strict=True):
        date = line.split("=")[1].removesuffix("Z")
        assert datetime.fromisoformat(date + "+00:00").timestamp() == (
            now[f'certificate_{metric}_time_seconds{{name="a.example"}}'])
    assert not [n for n in now if "broken.example" in n]


def test_more_certificates_than_one_message_holds(make_tracker, pair):
    """Names of 190 bytes, 700 of them: more than 131072 bytes."""
    tail = ".".join(["x" * 60] * 3)
    names = [f"{i:03}.{tail}" for i in range(700)]
    a = with_https(Admin(make_tracker()), pair, names)
    wait_for(
        lambda: a.metrics().get('certificates{state="served"}') == 700,
        "all pairs to be served", 60,
    )
    found = list(a.metrics())
    for name in ("certificate_start_time", "certificate_end_time"):
        assert len([n for n in found if n.startswith(name)]) == 700


# --- the permission for certificates ----------------------------------------


def permission(a, domain):
    return a.get(f"/tls-permission?domain={domain}").status


def test_permission(postal):
    assert permission(postal, "click.example.com") == 404
    with Forwarder(postal.tracker) as f:
        f.servers({1: "ctqu6f"})
        f.domains([("click.example.com", 1), ("Track.Example.NET", 1)])
        for yes in ("click.example.com", "CLICK.example.COM",
                    "track.example.net", "click.example.com.",
                    "click%2Eexample.com"):
            assert permission(postal, yes) == 200, yes
        for no in ("example.com", "x.click.example.com", "", "%",
                   "click.example.com%00", "click.example.com/",
                   "click.example.com&domain=example.com",
                   "'%20OR%201=1", "*.example.com"):
            assert permission(postal, no) == 404, no
        assert postal.get("/tls-permission").status == 404
        f.domains([("track.example.net", 1)])
        assert permission(postal, "click.example.com") == 404
    # MySQL and the forwarder may be away.
    assert permission(postal, "track.example.net") == 200


def test_permission_of_many(postal):
    """Each gets the answer to its own question."""
    with Forwarder(postal.tracker) as f:
        f.servers({1: "ctqu6f"})
        f.domains([(f"d{i}.example.com", 1) for i in range(0, 60, 2)])
        connections = [(i, postal.connect()) for i in range(60)]
        for i, c in connections:
            c.send(f"GET /tls-permission?domain=d{i}.example.com HTTP/1.1\r\n"
                   "Host: a\r\n\r\n".encode())
        for i, c in connections:
            assert c.reply().status == (404 if i % 2 else 200), i
            c.close()


def test_stand_alone_there_are_no_domains(admin):
    assert permission(admin, "click.example.com") == 404


# --- not ready --------------------------------------------------------------


def test_the_store_does_not_answer(admin):
    """One line says why not; what can be said without it is said."""
    store = admin.tracker.roles()["store[0]"]
    os.kill(store, signal.SIGSTOP)
    try:
        reply = admin.get("/ready")
        assert reply.status == 503
        assert reply.body == (
            b"not ready: the store does not answer; see the log\n")
        assert admin.get("/health").status == 200
        now = admin.metrics()
        assert now["store_up"] == now["ready"] == 0
        assert admin.get("/tls-permission?domain=a.example").status == 503
    finally:
        os.kill(store, signal.SIGCONT)
    wait_for(admin.ready, "ready again")
    check_law(admin.metrics())


def test_the_store_dies(admin):
    admin.tracker.may_die = True
    for _ in range(3):
        pid = admin.tracker.roles()["store[0]"]
        os.kill(pid, signal.SIGKILL)
        admin.tracker.wait_role("store[0]", other_than=pid)
        wait_for(admin.ready, "ready again")
        check_law(admin.metrics())
    assert admin.tracker.wait_role("admin[0]")
    assert len(re.findall(r"died role=admin", admin.tracker.log())) == 0


def test_the_store_dies_with_a_question(admin):
    """What it was asked is asked of the next one."""
    admin.tracker.may_die = True
    pid = admin.tracker.roles()["store[0]"]
    os.kill(pid, signal.SIGSTOP)
    assert admin.get("/ready").status == 503
    os.kill(pid, signal.SIGKILL)
    admin.tracker.wait_role("store[0]", other_than=pid)
    wait_for(admin.ready, "ready again")


def test_a_spool_that_cannot_be_opened(admin):
    """Links redirect, events are lost, and the reason is one line."""
    t = admin.tracker
    t.stop()
    spool, kept = t.spool / "spool.db", t.spool / "kept"
    os.rename(spool, kept)
    os.mkdir(spool)
    t.start()
    wait_for(lambda: t.get("/ctqu6f/H0zoVR7I").status == 307, "the redirect")
    wait_for(lambda: not admin.ready(), "/ready to be red")
    reply = admin.get("/ready")
    assert reply.status == 503
    assert re.fullmatch(rb"not ready: [^\n]+spool[^\n]+\n", reply.body)
    assert admin.metrics()["ready"] == 0
    wait_for(lambda: admin.metrics()["spool_lost_total"] == 1, "lost")
    check_law(admin.metrics())
    os.rmdir(spool)
    os.rename(kept, spool)
    wait_for(admin.ready, "ready again", 30)
    check_law(admin.metrics())


# --- slow and hostile clients -----------------------------------------------


def test_slow_clients_do_not_keep_others_away(admin):
    """Many times more than there is room for, saying nothing or half a
    request: each new one takes the place of the oldest."""
    idle = [admin.connect() for _ in range(500)]
    for c in idle[::2]:
        try:
            c.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n")
        except OSError:
            pass  # it had to make room already
    for _ in range(20):
        assert admin.get("/health").status == 200
        assert admin.ready()
    admin.tracker.wait_log(r"admin\[0\]: full connections=64")
    for c in idle:
        c.close()


def test_a_head_has_its_time(admin):
    with admin.connect() as c:
        c.send(b"GET /ready HTTP/1.1\r\n")
        assert c.reply().status == 408
        assert c.is_closed()
    with admin.connect() as c:
        assert c.is_closed()


def test_one_that_does_not_read(admin):
    """Its page waits for it, but not for ever, and nobody else does."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    s.connect(("127.0.0.1", admin.port))
    s.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
    for _ in range(20):
        assert admin.ready()
    s.close()
    assert admin.ready()


def test_half_closed_gets_its_answer(admin):
    with admin.connect() as c:
        c.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        c.sock.shutdown(socket.SHUT_WR)
        assert c.reply().status == 200


def test_bytes_a_byte_at_a_time(admin):
    with admin.connect() as c:
        for byte in b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n":
            c.send(bytes([byte]))
        assert c.reply().status == 200


def test_many_who_watch_cost_the_store_little(admin):
    """They share what it answered: visitors are served all the while."""
    stop = threading.Event()
    served = []

    def watch():
        while not stop.is_set():
            served.append(admin.get("/metrics").status)

    watchers = [threading.Thread(target=watch) for _ in range(4)]
    for w in watchers:
        w.start()
    try:
        for i in range(50):
            assert admin.tracker.get(f"/img/ctqu6f/w{i}").status == 200
    finally:
        stop.set()
        for w in watchers:
            w.join()
    assert served and set(served) == {200}
    check_law(admin.metrics())


# --- life and jail ----------------------------------------------------------


def test_restricted_as_a_worker(admin):
    pid = admin.tracker.roles()["admin[0]"]
    test_roles.assert_restricted(pid, 65534)
    assert os.listdir(f"/proc/{pid}/root") == []
    for fd, target in test_roles.descriptors(pid).items():
        assert fd <= 2 or re.match(
            r"socket:|anon_inode:\[eventpoll\]$", target), (fd, target)
    maps = open(f"/proc/{pid}/maps", encoding="utf-8").read()
    assert "mysql" not in maps and "mariadb" not in maps


def test_killed_it_is_started_again(admin):
    t = admin.tracker
    t.may_die = True
    pid = t.roles()["admin[0]"]
    others = {k: v for k, v in t.roles().items() if k != "admin[0]"}
    os.kill(pid, signal.SIGKILL)
    t.wait_log(rf'died role=admin\[0\] pid={pid} cause="signal 9')
    t.wait_role("admin[0]", other_than=pid)
    assert admin.ready()
    assert {k: v for k, v in t.roles().items() if k != "admin[0]"} == others


def test_hijacked_it_is_replaced(admin):
    """Its own channel to the store, in other hands."""
    t = admin.tracker
    t.may_die = True
    roles = t.roles()
    pid = roles["admin[0]"]
    libc = ctypes.CDLL(None, use_errno=True)
    process = os.pidfd_open(pid)
    store = None
    for fd in map(int, os.listdir(f"/proc/{pid}/fd")):
        taken = libc.syscall(PIDFD_GETFD, process, fd, 0)
        assert taken >= 0, os.strerror(ctypes.get_errno())
        try:
            s = socket.socket(fileno=taken)
        except OSError:
            os.close(taken)
            continue
        if s.type == socket.SOCK_SEQPACKET and fd > 3:
            store = s
        else:
            s.close()
    os.close(process)
    store.send(struct.pack("<H", NUMBER["LINK_ADD"]) + span8("ctqu6f")
               + span8("evil") + span16("https://evil.example/"))
    store.close()
    t.wait_log(
        rf'replace role=admin\[0\] pid={pid} reason="it sent the store a '
        'message that it may not send"'
    )
    t.wait_role("admin[0]", other_than=pid)
    wait_for(admin.ready, "ready again")
    assert t.status()["links"] == 1
    assert t.roles()["store[0]"] == roles["store[0]"]


def answers(port):
    try:
        with Connection(("127.0.0.1", port)) as c:
            c.send(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            reply = c.reply()
            return reply is not None and reply.status == 200
    except ConnectionRefusedError:
        return False


def reload(t, **settings):
    times = t.notify.read().count("READY=1")
    t.settings["admin"].update(settings)
    t.write_conf()
    t.process.send_signal(signal.SIGHUP)
    t.wait_ready(times=times + 1)


def test_reload_changes_the_addresses(admin):
    t, first, second = admin.tracker, admin.port, free_port()
    store = t.roles()["store[0]"]
    reload(t, listen=f"127.0.0.1:{first} 127.0.0.1:{second}")
    assert answers(first) and answers(second)
    reload(t, listen=f"127.0.0.1:{second}")
    assert answers(second)
    wait_for(lambda: not answers(first), "the first address to go")
    reload(t, listen="")
    wait_for(lambda: not answers(second), "the second address to go")
    wait_for(lambda: "admin[0]" not in t.roles(), "the role to end")
    reload(t, listen=f"127.0.0.1:{first}")
    wait_for(lambda: answers(first), "the first address again")
    assert t.roles()["store[0]"] == store
    assert "died" not in t.log()


def test_answers_survive_a_reload(admin):
    """None of those that ask all the while is turned away."""
    t, port, stop, results = admin.tracker, admin.port, threading.Event(), []

    def ask():
        while not stop.is_set():
            results.append(answers(port))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(3):
            reload(t)
    finally:
        stop.set()
        thread.join()
    assert results and all(results)


def test_a_taken_port_is_refused(make_tracker):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        t = make_tracker({"admin": {"listen": f"127.0.0.1:{port}"}})
        name = open("/proc/self/comm", encoding="utf-8").read().strip()
        words = (
            rf"127\.0\.0\.1:{port}: the port is taken: {re.escape(name)} "
            rf"\(pid {os.getpid()}\) listens .* or choose another \[admin\] "
            "listen"
        )
        check = t.cli("check", check=False)
        assert re.search(rf"^FAIL  \[admin\] listen {words}", check.stdout,
                         re.M), check.stdout
        t.start(wait=False)
        assert t.process.wait(30) == 69
        assert re.search(words, t.log()), t.log()


def test_a_taken_port_at_a_reload_changes_nothing(admin):
    t = admin.tracker
    with listening() as s:
        taken = s.getsockname()[1]
        reload(t, listen=f"127.0.0.1:{admin.port} 127.0.0.1:{taken}")
    t.wait_log(r"reload failed: .*the configuration in use stays")
    assert admin.ready()


def test_a_socket_of_systemd(make_tracker, monkeypatch):
    """Passed with those of HTTP, and told apart by its address."""
    t = make_tracker()
    a = Admin(t)
    with listening(a.port) as admin_socket, listening(t.port) as http_socket:
        start_with(t, [admin_socket, http_socket], monkeypatch)
    assert f"address=127.0.0.1:{a.port} for=admin from=systemd" in t.log()
    assert a.ready()
    assert a.get("/").status == 404
    assert t.get("/").body == b"Hello."


def test_check_warns_of_public_addresses(make_tracker):
    t = make_tracker()
    for address, public in (("127.0.0.1", False), ("0.0.0.0", True),
                            ("[::1]", False), ("[::]", True)):
        t.settings["admin"]["listen"] = f"{address}:{free_port()}"
        t.write_conf()
        said = t.cli("check", check=False).stdout
        warned = re.search(r"^warn  \[admin\] listen \S+: a public", said,
                           re.M)
        assert bool(warned) == public, said
        assert "no effect" not in said


def test_it_ends_with_the_daemon(admin):
    """A client that dawdles does not hold it up; its port is free then."""
    with admin.connect() as c:
        c.send(b"GET /metrics HTTP/1.1\r\n")
        admin.tracker.stop()
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", admin.port))
