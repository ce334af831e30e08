"""Starts the real binary and asks it as a stranger would.

Every test gets a `tracker` factory. What it started is ended, by pid, when
the test ends, and three things are then checked of every daemon: that its
numbers obey the conservation law (while it answers, and as each of its stores
logged them), that no sanitizer spoke, and that nothing died that the test did
not expect to die.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

import kernel
import mariadb
import postal
from ports import free_port
from service_manager import NotifySocket

TRACKER = os.environ.get("TRACKER", "build/postal-tracker")
# Programs of the tests themselves, beside the daemon in the build folder.
PROGRAMS = os.environ.get("PROGRAMS", "build")
PEER = f"{PROGRAMS}/peer"
PAYLOAD = f"{PROGRAMS}/payload"
WAIT_SECONDS = 20
# Before a command: it runs as nobody.
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


def wait_for(condition, what, seconds=WAIT_SECONDS):
    """Waits until condition() is true and returns what it gave.

    Many conditions start a program: asked ever more rarely, they leave the
    cores to what is waited for."""
    end = time.monotonic() + seconds
    pause = 0.005
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(pause)
        pause = min(pause * 1.2, 0.05)


class Reply:
    def __init__(self, status, reason, headers, body):
        self.status = status
        self.reason = reason
        self.headers = headers  # list of (name, value)
        self.body = body

    def header(self, name):
        values = [v for n, v in self.headers if n.lower() == name.lower()]
        assert len(values) <= 1, f"{name} twice: {values}"
        return values[0] if values else None


class Connection:
    """A raw HTTP connection: sends bytes as they are, reads replies."""

    def __init__(self, address, source=None):
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(WAIT_SECONDS)
        if source:
            self.sock.bind((source, 0))
        self.sock.connect(address)
        self.buffer = b""

    def send(self, data):
        self.sock.sendall(data)

    def _more(self):
        data = self.sock.recv(65536)
        self.buffer += data
        return data

    def reply(self, head=False):
        """The next reply, or None when the connection was closed."""
        while b"\r\n\r\n" not in self.buffer:
            try:
                if not self._more():
                    assert self.buffer == b"", self.buffer
                    return None
            except ConnectionResetError:
                return None
        raw, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = raw.decode("latin-1").split("\r\n")
        match = re.fullmatch(r"HTTP/1\.1 (\d{3}) (.+)", lines[0])
        assert match, lines[0]
        headers = [tuple(line.split(": ", 1)) for line in lines[1:]]
        reply = Reply(int(match[1]), match[2], headers, b"")
        length = 0 if head else int(reply.header("Content-Length"))
        while len(self.buffer) < length:
            assert self._more(), "closed inside a body"
        reply.body, self.buffer = self.buffer[:length], self.buffer[length:]
        return reply

    def is_closed(self):
        """Waits for the peer to close; false when it sends more."""
        try:
            return self.buffer == b"" and self._more() == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Logging:
    """One that writes its log to self.log_path."""

    def log(self):
        if not self.log_path.exists():
            return ""
        return self.log_path.read_text(errors="replace")

    def wait_log(self, pattern, seconds=WAIT_SECONDS):
        """Waits for a line; returns the match."""
        try:
            return wait_for(
                lambda: re.search(pattern, self.log()), pattern, seconds
            )
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.log()}") from None


class Tracker(Logging):
    """One daemon with its own ports, spool and socket."""

    def __init__(self, directory, settings=None, command=(), env=None):
        self.directory = Path(directory)
        self.port = free_port()
        self.settings = {
            "http": {"listen": f"127.0.0.1:{self.port}"},
            "spool": {
                "directory": str(self.directory / "spool"),
                "socket": str(self.directory / "store.sock"),
                # A loaded machine is no reason for a test to see `late`.
                "max_wait": "10s",
            },
            # Its default is one port for all; test_admin.py gives it one.
            "admin": {"listen": ""},
        }
        for section, keys in (settings or {}).items():
            self.settings.setdefault(section, {}).update(keys)
        self.conf = self.directory / "tracker.conf"
        self.log_path = self.directory / "log"
        self.command = list(command)
        self.env = dict(os.environ if env is None else env)
        self.process = None
        self.may_die = False
        self.notify = self.descriptor_store = None
        self.write_conf()

    def write_conf(self):
        text = ""
        for section, keys in self.settings.items():
            text += f"[{section}]\n"
            text += "".join(f"{k} = {v}\n" for k, v in keys.items())
        self.conf.write_text(text)

    @property
    def spool(self):
        return Path(self.settings["spool"]["directory"])

    def start(self, wait=True):
        self.notify = NotifySocket(
            self.directory / "notify.sock", self.descriptor_store)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command + [TRACKER, "run", "-c", str(self.conf)],
                stderr=log,
                stdout=log,
                stdin=subprocess.DEVNULL,
                env={**self.env, "NOTIFY_SOCKET": self.notify.path},
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, times=1):
        def ready():
            code = self.process.poll()
            assert code is None, f"exit {code}:\n{self.log()}"
            return self.notify.read().count("READY=1") >= times

        try:
            wait_for(ready, "READY=1")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.log()}") from None

    # --- asking ---------------------------------------------------------

    def connect(self, host="127.0.0.1", source=None):
        return Connection((host, self.port), source)

    def raw(self, data, head=False):
        """Sends bytes on a new connection, returns the reply."""
        with self.connect() as c:
            c.send(data)
            return c.reply(head)

    def get(self, target, headers=(), method="GET"):
        lines = [f"{method} {target} HTTP/1.1", "Host: track.example.com"]
        lines += [f"{n}: {v}" for n, v in headers]
        data = "\r\n".join(lines + ["Connection: close", "", ""])
        return self.raw(data.encode("latin-1"), head=method == "HEAD")

    def cli(self, *args, check=True):
        r = subprocess.run(
            [TRACKER, *args, "-c", str(self.conf)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            preexec_fn=kernel.IN_STEP if args[0] == "check" else None,
        )
        if check:
            assert r.returncode == 0, (args, r.stdout, r.stderr)
        return r

    def link(self, server, token=None, url="https://example.com/"):
        args = ["link", "add", "--server", server]
        if token:
            args += ["--token", token]
        return self.cli(*args, url).stdout.strip()

    def wait_server(self, server):
        """The workers know it, after the first link of it."""
        wait_for(lambda: self.get(f"/{server}/-").body == b"Link not found",
                 f"the workers to know {server}")

    def events(self, *args):
        out = self.cli("events", "--json", *args).stdout
        # Not splitlines(): agents may hold U+2028.
        return [json.loads(line) for line in out.split("\n") if line]

    def status(self):
        r = self.cli("status", "--json", check=False)
        out = json.loads(r.stdout)
        assert r.returncode == (0 if out["ready"] else 75), r
        return out

    # --- processes ------------------------------------------------------

    def roles(self):
        """pid by name ("web[0]") of the living roles."""
        found = {}
        children = Path(
            f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        )
        for pid in children.read_text().split():
            try:
                cmdline = Path(f"/proc/{pid}/cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            match = re.match(rb"postal-tracker: (\S+?)\0", cmdline)
            if match:
                found[match[1].decode()] = int(pid)
        return found

    def wait_role(self, name, other_than=None):
        """Waits until the role runs (again) and is ready."""

        def running():
            pid = self.roles().get(name)
            ready = re.search(
                rf"ready role={re.escape(name)} pid={pid}\b", self.log()
            )
            return pid if pid and pid != other_than and ready else None

        return wait_for(running, f"{name} to run")

    # --- ending ---------------------------------------------------------

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(WAIT_SECONDS)
        assert code == 0, f"exit {code}:\n{self.log()}"

    def kill_all(self):
        """As a power cut for the processes: all at once."""
        pids = [self.process.pid, *self.roles().values()]
        # Stopped first: none sees another one's end, and ends in good order.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
        self.process.wait(WAIT_SECONDS)
        for pid in pids[1:]:
            wait_for(lambda p=pid: not is_alive(p), f"pid {pid} to end")

    def finish(self):
        """What has to hold of every daemon when a test ends."""
        try:
            if self.process and self.process.poll() is None:
                check_law(self.status())
                self.stop()
        finally:
            if self.process and self.process.poll() is None:
                self.kill_all()
            if self.notify:
                self.notify.close()
        log = self.log() if self.log_path.exists() else ""
        assert "Sanitizer" not in log and "runtime error" not in log, log
        check_numbers(log)
        if not self.may_die:
            assert "died role=" not in log, log


def is_alive(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


LAW = "written unmatched duplicates set_aside expired pending lost".split()


def check_law(status):
    """accepted is the sum of what became of it; status: numbers by name."""
    total = sum(status[p] for p in LAW)
    assert status["accepted"] == total, status


# Where these stand in a daemon's log, some of what workers recorded is not in
# the numbers of its stores' two ends: the last counts of a worker died with
# it, a store had others before it (it died, or a reload replaced it), or it
# began without its spool.
OTHER_WORLD = re.compile(
    r"died role=(web|store)|replace role=store|degraded role=store|"
    r"file=spool\.db"
)


def check_numbers(log):
    """The law at both ends of each store that the log tells of, and between
    them: accepted grew by what the workers recorded."""
    start = None
    for line in re.finditer(r"store\[0\]: numbers when=(\w+) (.*)", log):
        n = {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", line[2])}
        assert n["accepted"] == sum(n[p] for p in LAW), line[0]
        if line[1] == "start":
            start = n
            continue
        begun = log.rfind("monitor: stopped exit=", 0, line.start())
        if not OTHER_WORLD.search(log[max(begun, 0):line.start()]):
            grown = n["accepted"] - start["accepted"]
            recorded = n["opens"] + n["clicks"]
            assert grown == recorded, (start, line[0])


@pytest.fixture
def say(request):
    """What a test measured or counted: printed when all have run."""
    return lambda text: request.node.user_properties.append(("said", text))


# A sanitizer's runtime opens files that the daemon does not, and is against
# being traced.
collect_ignore = ["test_apparmor.py"] if "sanitized" in TRACKER else []

# A file is run by one process. These take longest; they begin first, so that
# none of them is what all others wait for at the end.
LONG = ("test_track_certificates", "test_check_mysql", "test_tls_peers",
        "test_forward_once", "test_https", "test_golden", "test_acme",
        "test_forward_connect", "test_forward_rows", "test_forward_faults",
        "test_shapes", "test_postal", "test_handover", "test_forward_links",
        "test_selftest", "test_keeper")


# A test that starts no program of ours (it reads files of the tree, or has
# strangers read them) sees nothing else in the sanitized build:
# check-sanitized leaves it out. And the sanitizers' malloc ends a process that
# has no memory left, where the C library's says so.
def pytest_configure(config):
    config.addinivalue_line(
        "markers", "starts_nothing: no line of our C code runs in it")
    config.addinivalue_line(
        "markers", "own_malloc: with the C library's malloc only")


def pytest_collection_modifyitems(items):
    order = {name: i for i, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.stem, len(LONG)))


def pytest_terminal_summary(terminalreporter):
    for report in terminalreporter.getreports("passed"):
        for name, text in report.user_properties:
            if name == "said" and report.when == "call":
                terminalreporter.write_line(text)


@pytest.fixture
def work():
    """A directory that the roles' users may enter."""
    path = tempfile.mkdtemp(prefix="tracker-test-")
    os.chmod(path, 0o755)
    yield Path(path)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def make_tracker(work):
    """make_tracker(settings) gives a daemon that is not started yet."""
    made = []

    def make(settings=None, name=None, **kwargs):
        directory = work / (name or f"t{len(made)}")
        directory.mkdir()
        os.chmod(directory, 0o755)
        made.append(Tracker(directory, settings, **kwargs))
        return made[-1]

    yield make
    errors = []
    for t in made:
        try:
            t.finish()
        except AssertionError as e:
            errors.append(str(e))
    assert not errors, "\n".join(errors)


@pytest.fixture
def tracker(make_tracker):
    """A running daemon with one server and one link."""
    t = make_tracker().start()
    assert t.link("ctqu6f", "H0zoVR7I") == "/ctqu6f/H0zoVR7I"
    t.wait_server("ctqu6f")
    return t


@pytest.fixture
def make_mariadb(work):
    """make_mariadb(strict=…, options=…) gives a running server."""
    made = []

    def make(**kwargs):
        directory = work / f"mariadb{len(made)}"
        made.append(mariadb.MariaDB(directory, **kwargs))
        return made[-1].start()

    yield make
    for server in made:
        server.kill()


@pytest.fixture
def make_stack(work, make_mariadb):
    """make_stack() gives MariaDB and Postal, tracker and forwarder unstarted.

    main, message: servers to use (message: a host of its own); generation:
    of the schema; the rest goes to Stack.
    """
    # It uses the classes of this file.
    from forwarder import Stack

    made = []

    def make(main=None, message=None, generation="3.x", **kwargs):
        directory = work / f"s{len(made)}"
        db = postal.Postal(main or make_mariadb(), message, generation)
        made.append(Stack(directory, db, **kwargs))
        return made[-1]

    yield make
    errors = []
    for stack in made:
        try:
            stack.finish()
        except AssertionError as e:
            errors.append(str(e))
        stack.postal.close()
    assert not errors, "\n".join(errors)


@pytest.fixture
def stack(make_stack):
    """Tracker and forwarder running, with one server of Postal's."""
    from forward_help import QUICK, one_server

    one = make_stack(settings=QUICK)
    one_server(one.postal)
    return one.start()


@pytest.fixture
def two(make_stack):
    """The same with two servers that have the same tokens."""
    from forward_help import QUICK, one_server, second_server

    one = make_stack(settings=QUICK)
    one_server(one.postal)
    second_server(one.postal)
    return one.start()


@pytest.fixture(scope="session", autouse=True)
def root():
    assert os.geteuid() == 0, (
        "the system tests change users, roots and mounts: run them as root"
    )
