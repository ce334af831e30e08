"""Ports for a daemon that may not open any: the binder, as systemd starts it,
and systemd's store of descriptors, in which open ports outlive a monitor.

`Manager` is what of systemd these need: it listens where [sandbox] binder says,
starts `postal-tracker bind` for each connection, and keeps what the daemon asks
it to keep. tests/packaging has the real one.
"""

import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from conftest import PROGRAMS, TRACKER, Connection, free_port, wait_for
from fake_forwarder import NUMBER
from service_manager import DescriptorStore, has_no_delay, listening
from test_hijack import FORBIDDEN, ONLY_WEB
from test_lifecycle import hello, reload

INJECT = f"{PROGRAMS}/inject"
BINDER_UID = 60990

# As PrivateNetwork= and RestrictAddressFamilies=AF_UNIX have it: no socket.
NO_NETWORK = """
import os, sys, seccomp, errno
f = seccomp.SyscallFilter(seccomp.ALLOW)
for family in (2, 10):
    f.add_rule(seccomp.ERRNO(errno.EAFNOSUPPORT), "socket",
        seccomp.Arg(0, seccomp.EQ, family))
f.load()
os.execv(sys.argv[1], sys.argv[1:])
"""
# Descriptors of the store at 3, 4, ..., with their names.


def setpriv(uid=BINDER_UID, capability="net_bind_service"):
    """What User=, CapabilityBoundingSet= and AmbientCapabilities= do."""
    sets = f"-all,+{capability}" if capability else "-all"
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups",
            f"--bounding-set={sets}", f"--inh-caps={sets}",
            f"--ambient-caps={sets}"]


class Manager:
    """Accept=yes of a .socket unit, with ListenSequentialPacket=."""

    def __init__(self, directory, prefix=None):
        self.path = str(directory / "binder.sock")
        self.log_path = directory / "binder.log"
        self.prefix = setpriv() if prefix is None else prefix
        self.processes = []
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.bind(self.path)
        self.sock.listen(8)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            self.answer(conn)

    def answer(self, conn):
        with conn, open(self.log_path, "ab") as log:
            self.processes.append(subprocess.Popen(
                [*self.prefix, TRACKER, "bind"],
                stdin=conn, stdout=log, stderr=log))

    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        self.thread.join(20)
        codes = [p.wait(20) for p in self.processes]
        assert "Sanitizer" not in self.log(), self.log()
        return codes


class Impostor(Manager):
    """Listens there, and answers what it likes: a function of the connection
    and the question."""

    def __init__(self, directory, say):
        self.say = say
        self.held = []
        super().__init__(directory)

    def answer(self, conn):
        asked = conn.recv(200)
        self.say(conn, asked)
        self.held.append(conn)


@pytest.fixture
def make_confined(make_tracker, work):
    """make_confined(listen) gives (tracker without a network, manager)."""
    made = []

    def make(listen=None, manager=None, **settings):
        m = manager or Manager(work)
        tracker = make_tracker({"sandbox": {"binder": m.path}, **settings})
        if listen:
            tracker.settings["http"]["listen"] = listen
            tracker.write_conf()
        tracker.command = ["/usr/bin/python3", "-c", NO_NETWORK]
        made.append((tracker, m))
        return tracker, m

    yield make
    for tracker, m in made:
        tracker.stop()
        codes = m.close()
        assert set(codes) <= {0}, m.log()


def listen_on(tracker, *addresses):
    tracker.settings["http"]["listen"] = " ".join(addresses)
    tracker.write_conf()


# --- ports ----------------------------------------------------------------------


def test_every_port_is_a_reload(make_confined):
    """HTTP of both families, another address, HTTPS, the admin port: asked for
    and served, without another monitor."""
    tracker, manager = make_confined()
    v4 = f"127.0.0.1:{tracker.port}"
    listen_on(tracker, v4, f"[::1]:{tracker.port}")
    tracker.start()
    pid = tracker.process.pid
    assert hello(tracker.port) and hello(tracker.port, "::1")
    assert len(manager.processes) == 1, "one connection for all"
    assert has_no_delay(tracker, tracker.port)
    assert has_no_delay(tracker, tracker.port, "::1")

    other, admin = free_port(), free_port()
    listen_on(tracker, v4, f"127.0.0.2:{other}")
    tracker.settings["admin"]["listen"] = f"127.0.0.1:{admin}"
    tracker.write_conf()
    reload(tracker, 2)
    assert hello(other, "127.0.0.2") and hello(tracker.port)
    with Connection(("127.0.0.1", admin)) as c:
        c.send(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c.reply().status == 200
    wait_for(lambda: not hello(tracker.port, "::1"), "the one left out to close")
    assert tracker.process.pid == pid and tracker.process.poll() is None
    opened = re.findall(r"open address=(\S+)", manager.log())
    assert opened == [v4, f"[::1]:{tracker.port}", f"127.0.0.2:{other}",
                      f"127.0.0.1:{admin}"]
    # It has said all, and is gone with the connection.
    wait_for(lambda: all(p.poll() == 0 for p in manager.processes), "its end")


@pytest.mark.parametrize("confined", [True, False])
def test_from_every_address_to_one_and_back(make_tracker, make_confined, confined):
    """0.0.0.0 keeps 127.0.0.2 from being bound: not when both are ours. No
    visitor is refused meanwhile."""
    if confined:
        tracker, _ = make_confined()
    else:
        tracker = make_tracker()
    every, one = f"0.0.0.0:{tracker.port}", f"127.0.0.2:{tracker.port}"
    listen_on(tracker, every)
    tracker.start()
    failures, done = [], threading.Event()

    def visit():
        while not done.is_set():
            with socket.socket() as s:
                s.settimeout(20)
                try:
                    s.connect(("127.0.0.2", tracker.port))
                    s.sendall(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
                    if not s.recv(100).startswith(b"HTTP/1.1 200"):
                        failures.append("no answer")
                except OSError as e:
                    failures.append(e)

    visitor = threading.Thread(target=visit)
    visitor.start()
    try:
        for i, address in enumerate((one, every, one)):
            listen_on(tracker, address)
            reload(tracker, 2 + i)
    finally:
        done.set()
        visitor.join()
    assert not failures, (failures, tracker.log())
    wait_for(lambda: not hello(tracker.port), "127.0.0.1 to be closed")
    # No other user may share the port now, whoever asks for it alike.
    code = ("import socket, sys; s = socket.socket(); "
            "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1); "
            f"s.bind(('127.0.0.2', {tracker.port}))")
    r = subprocess.run([*setpriv(12345), sys.executable, "-c", code],
                       capture_output=True, text=True, check=False, timeout=30)
    assert "Address already in use" in r.stderr, r


def test_taken_port(make_confined):
    """What systemd's side cannot open is said here, and what is served stays."""
    tracker, _ = make_confined()
    tracker.start()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        taken = s.getsockname()[1]
        listen_on(tracker, f"127.0.0.1:{tracker.port}", f"127.0.0.1:{taken}")
        reload(tracker, 2)
        tracker.wait_log(rf"reload failed: 127\.0\.0\.1:{taken}: the port is "
                         r"taken; `postal-tracker check`")
    assert hello(tracker.port)


def test_address_of_nobody(make_confined):
    tracker, _ = make_confined("198.51.100.1:8080")
    tracker.start(wait=False)
    assert tracker.process.wait(20) == 69
    tracker.wait_log(r"198\.51\.100\.1:8080: this address is not on this machine")


def test_without_the_capability(make_confined, work):
    tracker, _ = make_confined(
        "127.0.0.1:81", Manager(work, setpriv(capability=None)))
    tracker.start(wait=False)
    assert tracker.process.wait(20) == 77
    tracker.wait_log(r"127\.0\.0\.1:81: the binder may not open it")


def test_no_ipv6(make_tracker):
    """[::] is left out on a machine without IPv6, when something is beside it;
    alone, it is an error."""
    tracker = make_tracker()
    listen_on(tracker, f"127.0.0.1:{tracker.port}", f"[::]:{tracker.port}")
    tracker.command = ["/usr/bin/python3", "-c",
                       NO_NETWORK.replace("(2, 10)", "(10,)")]
    tracker.start()
    tracker.wait_log(r"listen left out: \[::\]:\d+: this machine has no IPv6")
    assert hello(tracker.port)
    alone = make_tracker()
    alone.command = tracker.command
    listen_on(alone, f"[::]:{alone.port}")
    alone.start(wait=False)
    assert alone.process.wait(20) == 69
    alone.wait_log(r"not started: \[::\]:\d+: this machine has no IPv6")


# --- without a binder, and with another one ----------------------------------------


@pytest.mark.parametrize("path", ["", "/nowhere/binder.sock"])
def test_no_binder(make_tracker, path):
    """What RestrictAddressFamilies= does to socket(2) is said as what it is."""
    tracker = make_tracker({"sandbox": {"binder": path}})
    tracker.command = ["/usr/bin/python3", "-c", NO_NETWORK]
    tracker.start(wait=False)
    assert tracker.process.wait(20) != 0
    tracker.wait_log(rf"127\.0\.0\.1:{tracker.port}: the service may not open "
                     r"ports itself.*systemctl start postal-tracker-binder\.socket")


def opened(fd):
    def say(conn, asked):
        with fd(asked) as f:
            socket.send_fds(conn, [struct.pack("<H", NUMBER["PORT_OPENED"])],
                            [f.fileno()])
    return say


def other_address(_asked):
    s = socket.socket()
    s.bind(("127.0.0.3", 0))
    return s


def datagrams(asked):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", struct.unpack_from("<H", asked, 18)[0]))
    return s


IMPOSTORS = {
    "closes": (lambda c, a: c.close(), "ended without an answer"),
    "garbage": (lambda c, a: c.send(b"\xff" * 40), "broke the rules"),
    "large": (lambda c, a: c.send(bytes(100000)), "broke the rules"),
    "no descriptor": (
        lambda c, a: c.send(struct.pack("<H", NUMBER["PORT_OPENED"])),
        "broke the rules"),
    "no error": (
        lambda c, a: c.send(struct.pack("<HI", NUMBER["PORT_REFUSED"], 0)),
        "broke the rules"),
    "of another role": (lambda c, a: c.send(struct.pack("<H", NUMBER["PONG"])),
                        "broke the rules"),
    "other address": (opened(other_address), "a socket of another address"),
    "datagrams": (opened(datagrams), "a socket of another address"),
    "a file": (opened(lambda a: open("/dev/null", "rb")),
               "a socket of another address"),
}


@pytest.mark.parametrize("kind", IMPOSTORS)
def test_impostor(make_confined, make_tracker, work, kind):
    """Root alone could put one there; still it gets nothing in."""
    say, text = IMPOSTORS[kind]
    tracker, _ = make_confined(manager=Impostor(work, say))
    tracker.start(wait=False)
    assert tracker.process.wait(20) == 69, tracker.log()
    tracker.wait_log(rf"not started: 127\.0\.0\.1:\d+: the binder at .*{text}")


def test_impostor_of_another_user(make_confined, work):
    """Whoever listens there is root, or it is not asked."""
    path = work / "theirs"
    path.mkdir()
    os.chmod(path, 0o777)
    theirs = subprocess.Popen(
        [*setpriv(12345, None), sys.executable, "-c",
         "import socket, sys, time\n"
         "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
         f"s.bind('{path}/binder.sock'); s.listen(); print(flush=True)\n"
         "print(s.accept()[0].recv(9) or 'nothing', flush=True)"],
        stdout=subprocess.PIPE, text=True)
    try:
        theirs.stdout.readline()
        tracker, _ = make_confined(sandbox={"binder": f"{path}/binder.sock"})
        tracker.start(wait=False)
        assert tracker.process.wait(20) == 77
        tracker.wait_log(r"cannot be asked at .* \(Operation not permitted\)")
        assert theirs.communicate(timeout=20)[0] == "nothing\n"
    finally:
        theirs.kill()
        theirs.wait()


# --- the binder itself ---------------------------------------------------------------


def question(address="127.0.0.1", port=0, share=0):
    ip = b"\0" * 10 + b"\xff\xff" + socket.inet_aton(address)
    return struct.pack("<H16sHIB", NUMBER["PORT_OPEN"], ip, port, 0, share)


@pytest.fixture
def start_binder(work):
    """start_binder() gives (our end, process); log is in work."""
    started = []

    def start(prefix=None, stdin=None, ours=None):
        if stdin is None:
            ours, stdin = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.settimeout(20)
        with open(work / "log", "ab") as log:
            p = subprocess.Popen(
                [*(setpriv() if prefix is None else prefix), TRACKER, "bind"],
                stdin=stdin, stdout=log, stderr=log)
        if hasattr(stdin, "close"):
            stdin.close()
        started.append((ours, p))
        return ours, p

    yield start
    for ours, p in started:
        if ours:
            ours.close()
        p.wait(20)
    assert "Sanitizer" not in (work / "log").read_text()


def ask(ours, *args):
    ours.send(question(*args))
    data, fds, _, _ = socket.recv_fds(ours, 100, 4)
    return struct.unpack_from("<H", data)[0], data[2:], fds


def test_a_socket_and_no_more(start_binder):
    """It does not listen yet, has the options of ours, and is IPv4's alone."""
    ours, _ = start_binder()
    port = free_port()
    kind, rest, fds = ask(ours, "127.0.0.1", port)
    assert (kind, rest, len(fds)) == (NUMBER["PORT_OPENED"], b"", 1)
    with socket.socket(fileno=fds[0]) as s:
        assert s.getsockname() == ("127.0.0.1", port)
        get = s.getsockopt
        assert get(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 0
        assert get(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1
        assert get(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0
        assert get(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        # Taken, by ourselves; and one that only the capability may have.
        s.listen()
        kind, rest, _ = ask(ours, "127.0.0.1", port)
        assert kind == NUMBER["PORT_REFUSED"]
        assert struct.unpack("<I", rest)[0] == 98  # EADDRINUSE
    kind, _, fds = ask(ours, "127.0.0.9", 81)
    assert kind == NUMBER["PORT_OPENED"]
    os.close(fds[0])


def test_what_it_is(start_binder):
    ours, p = start_binder()
    ask(ours, "127.0.0.1", free_port())
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{p.pid}/status").read_text().splitlines()
        if ":\t" in line)
    assert status["Uid"].split() == [str(BINDER_UID)] * 4
    assert status["Groups"].strip() == ""
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    for which in ("CapPrm", "CapEff", "CapBnd"):
        assert int(status[which], 16) == 1 << 10, which
    assert int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0
    fds = f"/proc/{p.pid}/fd"
    wait_for(lambda: sorted(os.listdir(fds)) == ["0", "1", "2"], "the socket to go")
    assert os.readlink(f"{fds}/0").startswith("socket:")
    limits = Path(f"/proc/{p.pid}/limits").read_text()
    assert re.search(r"Max processes\s+0\s", limits), limits


# setsockopt and socket: with other arguments than its own.
REFUSED = {k: v for k, v in (FORBIDDEN | ONLY_WEB).items() if k != "bind"} | {
    "listen": 50, "accept4": 288, "sendto": 44, "socketpair": 53,
    "setsockopt": 54}


@pytest.mark.parametrize("call", REFUSED)
def test_hijacked(start_binder, work, call):
    """Whoever took it over can do nothing else than it does."""
    ours, p = start_binder()
    ask(ours, "127.0.0.1", free_port())
    subprocess.run([INJECT, str(p.pid), str(REFUSED[call])], check=True,
                   timeout=30)
    assert p.wait(20) == 128 + 31
    assert f"<3>binder: died call={REFUSED[call]}: " in \
        (work / "log").read_text()


def test_only_root_may_ask(start_binder, work):
    """The kernel's word, of whoever made the connection."""
    code = (
        "import os, socket, subprocess, sys\n"
        "os.setresuid(12345, 12345, 0)\n"
        "a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        "os.setresuid(0, 0, 0)\n"
        "sys.exit(subprocess.call(sys.argv[1:], stdin=b))\n")
    with open(work / "log", "ab") as log:
        r = subprocess.run(
            [sys.executable, "-c", code, *setpriv(), TRACKER, "bind"],
            stdout=log, stderr=log, check=False, timeout=20)
    assert r.returncode == 77
    assert "uid 12345 asks for a port" in (work / "log").read_text()


@pytest.mark.parametrize("prefix, stdin, code, text", [
    ([], None, 77, "does not run as root"),
    (None, subprocess.DEVNULL, 69, "standard input is no connection"),
])
def test_started_wrongly(start_binder, work, prefix, stdin, code, text):
    _, p = start_binder(prefix, stdin)
    assert p.wait(20) == code
    assert text in (work / "log").read_text()


AGAINST_THE_RULES = {
    "short": b"\0", "type": b"\xff" * 25, "port 0": question(port=0),
    "cut": question(port=80)[:-1], "longer": question(port=80) + b"\0",
    "share": question(port=80, share=2), "empty": b"",
    "other": struct.pack("<H", NUMBER["PING"]), "large": bytes(150000),
}


@pytest.mark.parametrize("kind", AGAINST_THE_RULES)
def test_question_against_the_rules(start_binder, work, kind):
    ours, p = start_binder()
    # SO_SNDBUFFORCE
    ours.setsockopt(socket.SOL_SOCKET, 32, 1 << 20)
    ours.send(AGAINST_THE_RULES[kind])
    if kind == "empty":  # as a peer that is gone
        assert p.wait(20) == 0
        return
    assert p.wait(20) == 76  # EX_PROTOCOL
    assert "is the running daemon of another version?" in \
        (work / "log").read_text()


# --- systemd's store of descriptors -------------------------------------------


def test_ports_outlive_a_restart(make_confined, monkeypatch):
    """A visitor who comes while nobody is there waits, and is answered; a port
    that a reload gave up is not kept."""
    tracker, manager = make_confined()
    first, second, third = tracker.port, free_port(), free_port()
    store = DescriptorStore(tracker)
    listen_on(tracker, f"127.0.0.1:{first}", f"[::1]:{second}")
    tracker.start()
    assert store.names() == [f"listen-127.0.0.1_{first}",
                             f"listen-[__1]_{second}"]
    listen_on(tracker, f"127.0.0.1:{first}", f"127.0.0.1:{third}")
    reload(tracker, 2)
    assert store.names() == sorted([f"listen-127.0.0.1_{first}",
                                    f"listen-127.0.0.1_{third}"])
    asked = len(manager.processes)
    tracker.stop()
    with tracker.connect() as waiting:
        waiting.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        # Another configuration meanwhile: what it does not name is let go.
        listen_on(tracker, f"127.0.0.1:{first}")
        store.pass_on(monkeypatch)
        assert waiting.reply().status == 200
    assert len(manager.processes) == asked, "nobody had to be asked"
    assert store.names() == [f"listen-127.0.0.1_{first}"]
    assert "from=systemd" not in tracker.log()
    with pytest.raises(ConnectionRefusedError):
        Connection(("127.0.0.1", third))
    store.close()


def test_a_manager_that_is_slow(make_tracker):
    """More than its socket takes at once; what found no room is said again."""
    qlen = Path("/proc/sys/net/unix/max_dgram_qlen").read_text()
    n = min(int(qlen) + 4, 60)
    tracker = make_tracker()
    store = DescriptorStore(tracker)
    listen_on(tracker, "\n  ".join(
        f"127.0.0.{i + 1}:{tracker.port}" for i in range(n)))
    tracker.start(wait=False)
    tracker.wait_log("monitor: serving")
    wait_for(lambda: len(store.names()) == n, "all to be kept")
    store.close()


def test_kept_ipv6_is_not_ipv4(make_tracker, monkeypatch):
    """[::] that we opened is IPv6 alone, also when it comes back."""
    tracker = make_tracker()
    store = DescriptorStore(tracker)
    listen_on(tracker, f"[::]:{tracker.port}", f"0.0.0.0:{tracker.port}")
    tracker.start()
    tracker.stop()
    assert len(store.names()) == 2
    store.pass_on(monkeypatch)
    assert hello(tracker.port) and hello(tracker.port, "::1")
    store.close()


def test_units_sockets_are_not_stored(make_tracker, monkeypatch):
    """systemd has those anyway."""
    tracker = make_tracker()
    store = DescriptorStore(tracker)
    with listening() as s:
        theirs = s.getsockname()[1]
        listen_on(tracker, f"127.0.0.1:{tracker.port}", f"127.0.0.1:{theirs}")
        store.pass_on(monkeypatch, [("http", s)])
        assert hello(theirs)
    assert store.names() == [f"listen-127.0.0.1_{tracker.port}"]
    assert f"address=127.0.0.1:{theirs} from=systemd" in tracker.log()
    store.close()


def test_reload_while_the_binder_is_away(make_confined):
    """What is open stays open; what is new waits for it."""
    tracker, manager = make_confined()
    tracker.start()
    os.unlink(manager.path)
    other = free_port()
    listen_on(tracker, f"127.0.0.1:{tracker.port}", f"127.0.0.1:{other}")
    reload(tracker, 2)
    tracker.wait_log(r"reload failed: .*the binder that does cannot be asked")
    assert hello(tracker.port) and not hello(other)
    # A reload that needs nothing new does not ask.
    listen_on(tracker, f"127.0.0.1:{tracker.port}")
    tracker.settings["log"] = {"level": "debug"}
    tracker.write_conf()
    tracker.process.send_signal(signal.SIGHUP)
    tracker.wait_ready(3)
    assert tracker.log().count("reload failed") == 1
