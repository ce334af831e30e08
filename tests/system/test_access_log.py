"""The access log: its lines, where they go, and that nobody waits for them."""

import array
import gzip
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from certificates import EC, make_pair
from conftest import TRACKER, free_port, wait_for
from disk import small_disk
from fake_forwarder import NUMBER
from https import Https

ROOT = Path(__file__).resolve().parents[2]
TIME = r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000"
KEYS = (
    "time address method target version status bytes referer user_agent "
    "server token tls_version tls_suite tls_name worker kind event took_us"
).split()


def with_log(make_tracker, access, settings=None, **log):
    """A running daemon that writes access.log beside its configuration."""
    t = make_tracker(settings)
    t.access = t.directory / "access.log"
    t.settings["log"] = {"access": access, "access_file": str(t.access), **log}
    t.write_conf()
    t.start()
    t.link("ctqu6f", "H0zoVR7I")
    t.wait_server("ctqu6f")
    return t


def lines_of(path):
    text = path.read_bytes()
    assert text == b"" or text.endswith(b"\n"), text[-200:]
    return text.decode().split("\n")[:-1]


def wait_line(path, pattern):
    def found():
        return [m for line in lines_of(path)
                if (m := re.search(pattern, line))]

    return wait_for(found, pattern)[0]


def wait_object(path, target):
    """The object of the request for this target."""

    def found():
        return [o for o in map(json.loads, lines_of(path))
                if o["target"] == target]

    (one,) = wait_for(found, target)
    assert list(one) == KEYS
    return one


# --- text -------------------------------------------------------------------


def test_text(make_tracker):
    t = with_log(make_tracker, "text")
    headers = [("Referer", "https://example.com/a?b"),
               ("User-Agent", "Mozilla/5.0 (X11)")]
    t.get("/img/ctqu6f/m", headers)
    t.get("/ctqu6f/H0zoVR7I")
    t.get("/ctqu6f/H0zoVR7I?x", method="HEAD")
    t.get("/ctqu6f/nope")
    for end in (
        r'"GET /img/ctqu6f/m HTTP/1\.1" 200 68 "https://example\.com/a\?b" '
        r'"Mozilla/5\.0 \(X11\)"',
        r'"GET /ctqu6f/H0zoVR7I HTTP/1\.1" 307 13 "-" "-"',
        r'"HEAD /ctqu6f/H0zoVR7I\?x HTTP/1\.1" 307 0 "-" "-"',
        r'"GET /ctqu6f/nope HTTP/1\.1" 404 14 "-" "-"',
    ):
        wait_line(t.access, rf"^127\.0\.0\.1 - - \[{TIME}\] {end}$")
    assert os.stat(t.access).st_mode & 0o777 == 0o640
    # Nothing of it in the daemon's own log.
    assert "H0zoVR7I" not in t.log() and "127.0.0.1 -" not in t.log()


REFUSED = [
    (b"GET / HTTP/1.1\r\n\r\n", 400, "GET / HTTP/1.1"),
    (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400, r"\x16\x03\x01\x02\x00\x01"),
    (b"nonsense\r\n\r\n", 400, "nonsense"),
    (b"DELETE /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 405,
     "DELETE /a HTTP/1.1"),
    (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414,
     "GET /" + "x" * 1784 + "..."),
    (b"GET /b HTTP/1.1\r\nHost: a\r\n" + b"a: b\r\n" * 200 + b"\r\n", 431,
     "GET /b HTTP/1.1"),
    (b"BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", 501, "BREW /pot HTTP/1.1"),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "GET / HTTP/2.0"),
]


@pytest.mark.parametrize("request_bytes, status, shown", REFUSED,
                         ids=[f"{i}-{r[1]}" for i, r in enumerate(REFUSED)])
def test_refused_requests(make_tracker, request_bytes, status, shown):
    t = with_log(make_tracker, "text", {"http": {"workers": "1"}})
    reply = t.raw(request_bytes)
    assert reply.status == status
    # A reason to refuse may come before the fields that a line shows.
    wait_line(t.access, rf'\] "{re.escape(shown)}" {status} '
                        rf'{len(reply.body)} "-" "-"$')


def test_a_head_that_does_not_come(make_tracker):
    t = with_log(make_tracker, "json", {"clients": {"header_timeout": "200ms"}})
    with t.connect() as c:
        c.send(b"GET /slow HTT")
        assert c.reply().status == 408
    one = wait_object(t.access, "/slow")
    assert (one["method"], one["version"], one["status"]) == ("GET", "HTT", 408)


def test_lines_cannot_be_forged(make_tracker):
    forged = '"\\ 1.2.3.4 - - [x] "GET / HTTP/1.1" 200 0 "-" "-'
    agent = forged + " \x9b31m \xff"
    target = '/img/ctqu6f/m?}{\\x22\\u0022\x80\x9b'
    headers = [("User-Agent", agent), ("Referer", forged)]
    for access in ("text", "json"):
        t = with_log(make_tracker, access)
        assert t.get(target, headers).status == 200
        wait_line(t.access, "31m")
        (line,) = [s for s in lines_of(t.access) if "31m" in s]
        if access == "json":
            one = json.loads(line)
            assert one["user_agent"] == \
                forged + " \ufffd31m \ufffd"
            assert one["referer"] == forged
            assert one["target"] == target.replace("\x80", "\ufffd").replace(
                "\x9b", "\ufffd")
            continue
        parts = line.split('"')
        assert len(parts) == 7
        shown = [re.sub(r"\\x([0-9A-F]{2})",
                        lambda m: chr(int(m[1], 16)), p) for p in parts]
        assert shown[1] == f"GET {target} HTTP/1.1"
        assert (shown[3], shown[5]) == (forged, agent)
        assert all(0x20 <= ord(c) < 0x7f for c in line)


# --- json -------------------------------------------------------------------


def test_json(make_tracker):
    t = with_log(make_tracker, "json")
    before = time.time()
    t.get("/img/ctqu6f/m1", [("User-Agent", "agent"), ("Referer", "")])
    one = wait_object(t.access, "/img/ctqu6f/m1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", one["time"])
    stamp = time.strptime(one["time"][:19], "%Y-%m-%dT%H:%M:%S")
    os.environ["TZ"] = "UTC"
    time.tzset()
    assert abs(time.mktime(stamp) - before) < 60
    assert 0 < one.pop("took_us") < 60_000_000
    assert one.pop("worker") in range(64)
    one.pop("time")
    assert one == {
        "address": "127.0.0.1", "method": "GET", "target": "/img/ctqu6f/m1",
        "version": "HTTP/1.1", "status": 200, "bytes": 68, "referer": "",
        "user_agent": "agent", "server": "ctqu6f", "token": "m1",
        "tls_version": None, "tls_suite": None, "tls_name": None,
        "kind": "open", "event": "stored",
    }


def test_json_says_what_became_of_the_event(make_tracker):
    t = with_log(make_tracker, "json", {"http": {"workers": "1"},
                                        "spool": {"max_wait": "300ms"}})

    def became(target, **kwargs):
        t.get(target, **kwargs)
        one = wait_object(t.access, target)
        return one["kind"], one["event"], one["server"], one["token"]

    assert became("/ctqu6f/H0zoVR7I") == (
        "click", "stored", "ctqu6f", "H0zoVR7I")
    assert became("/img/nobody/x") == ("none", "none", "nobody", "x")
    assert became("/img/ctqu6f/head", method="HEAD") == (
        "none", "none", "ctqu6f", "head")
    assert became("/robots.txt") == ("none", "none", None, None)
    os.kill(t.roles()["store[0]"], signal.SIGSTOP)
    try:
        assert became("/img/ctqu6f/late") == ("open", "late", "ctqu6f", "late")
        assert wait_object(t.access, "/img/ctqu6f/late")["took_us"] >= 290_000
        # A visitor who does not wait for his answer.
        with t.connect() as c:
            c.send(b"GET /img/ctqu6f/gone HTTP/1.1\r\nHost: a\r\n\r\n")
            # The one worker has read it when it answers a later request.
            assert t.get("/robots.txt").status == 200
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                              struct.pack("ii", 1, 0))
        one = wait_object(t.access, "/img/ctqu6f/gone")
        assert (one["status"], one["kind"], one["event"]) == (
            499, "open", "queued")
    finally:
        os.kill(t.roles()["store[0]"], signal.SIGCONT)


def test_json_relaxed(make_tracker):
    t = with_log(make_tracker, "json", {"spool": {"durability": "relaxed"}})
    t.get("/img/ctqu6f/m")
    assert wait_object(t.access, "/img/ctqu6f/m")["event"] == "queued"


def test_json_of_https(make_tracker, tmp_path):
    t = make_tracker()
    t.access = t.directory / "access.log"
    pair = make_pair(tmp_path / "ec", EC, ["ec.example"])
    https = Https(t, {"ec": pair}).start(
        {"log": {"access": "json", "access_file": str(t.access)}})
    https.get("/img/ctqu6f/tls", name="EC.example")
    one = wait_object(t.access, "/img/ctqu6f/tls")
    assert one["tls_version"] == "TLSv1.2"
    assert re.fullmatch(r"ECDHE-ECDSA-\S+", one["tls_suite"])
    assert one["tls_name"].lower() == "ec.example"


def test_the_clients_address(make_tracker):
    t = with_log(make_tracker, "json",
                 {"clients": {"trusted_proxies": "127.0.0.1"}})
    t.get("/img/ctqu6f/a", [("X-Forwarded-For", "2001:db8::7, 192.0.2.9")])
    assert wait_object(t.access, "/img/ctqu6f/a")["address"] == "192.0.2.9"
    # What stands in a head that was not read to its end is not believed.
    t.raw(b"GET /b HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n"
          b"broken\r\nX-Forwarded-For: 192.0.2.2\r\n\r\n")
    assert wait_object(t.access, "/b")["address"] == "127.0.0.1"


def test_addresses_elsewhere_in_the_log(make_tracker):
    """They are shown in other records when they are wanted in the log."""
    limits = {"clients": {"max_connections_per_address": "2"},
              "http": {"workers": "1"}}
    for access, shown in (("off", "-"), ("text", r"127\.0\.0\.5")):
        t = with_log(make_tracker, access, limits)
        held = [t.connect(source="127.0.0.5") for _ in range(2)]
        for c in held:
            c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert c.reply().status == 200
        with t.connect(source="127.0.0.5") as c:
            assert c.is_closed()
        t.wait_log(rf"refuse address={shown} reason=")
        for c in held:
            c.close()


# --- where it goes ----------------------------------------------------------


def test_standard_error(make_tracker):
    t = make_tracker({"log": {"access": "text"}}).start()
    t.get("/hello", [("User-Agent", "a")])
    t.wait_log(rf'(?m)^<6>127\.0\.0\.1 - - \[{TIME}\] "GET /hello HTTP/1\.1" '
               r'200 6 "-" "a"$')
    assert "logger[0]" in t.roles()


def test_off_by_default(make_tracker):
    t = make_tracker({"log": {"access_file": "/nonexistent/access.log"}})
    t.start()
    assert not any(name.startswith("logger") for name in t.roles())
    t.get("/hello")
    assert "/hello" not in t.log()


def flags_of(pid, fd):
    text = open(f"/proc/{pid}/fdinfo/{fd}", encoding="utf-8").read()
    return int(re.search(r"^flags:\s*(\d+)", text, re.M)[1], 8)


def test_what_the_logger_owns(make_tracker):
    """A file to append to, channels, and nothing else; the workers none."""
    t = with_log(make_tracker, "text")
    status = dict(
        line.split(":\t", 1)
        for line in open(f"/proc/{t.roles()['logger[0]']}/status",
                         encoding="utf-8").read().splitlines())
    assert status["Uid"].split() == ["65534"] * 4
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
    assert int(status["CapBnd"], 16) == int(status["CapEff"], 16) == 0
    for name, pid in t.roles().items():
        assert name.startswith("store") or \
            os.listdir(f"/proc/{pid}/root") == []
        files = []
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                target = os.readlink(f"/proc/{pid}/fd/{fd}")
            except FileNotFoundError:
                continue  # a connection of before, closed meanwhile
            if target == str(t.access):
                files.append(fd)
            elif not name.startswith("store") and int(fd) > 2:
                assert re.match(r"socket:|anon_inode:\[eventpoll\]$", target)
        assert len(files) == (1 if name == "logger[0]" else 0), name
        for fd in files:
            flags = flags_of(pid, fd)
            assert flags & os.O_ACCMODE == os.O_WRONLY
            assert flags & os.O_APPEND


@pytest.mark.parametrize("make, words", [
    (lambda p: None, r"make its directory: No such file"),
    (lambda p: (p.parent.mkdir(), p.symlink_to("/etc/passwd")),
     r"is a symbolic link: name the file itself"),
    (lambda p: (p.parent.mkdir(), os.mkfifo(p)),
     r"is a pipe, and nobody reads it: start its reader first"),
    (lambda p: p.mkdir(parents=True), r"Is a directory"),
], ids=["directory-missing", "symlink", "pipe", "directory"])
def test_a_file_that_cannot_be_used(make_tracker, make, words):
    t = make_tracker()
    path = t.directory / "log.d" / "access.log"
    make(path)
    t.settings["log"] = {"access": "text", "access_file": str(path)}
    t.write_conf()
    r = subprocess.run([TRACKER, "run", "-c", str(t.conf)], timeout=30,
                       capture_output=True, text=True, check=False)
    assert r.returncode != 0
    assert re.search(rf"not started: \[log\] access_file {path}.*{words}",
                     r.stderr), r.stderr


# --- reload -----------------------------------------------------------------


class Visitors:
    """Threads that ask for one token after another."""

    def __init__(self, tracker, n=3):
        self.tracker = tracker
        self.stop = threading.Event()
        self.answered = []
        self.threads = [threading.Thread(target=self.run, args=(i,))
                        for i in range(n)]
        for thread in self.threads:
            thread.start()

    def run(self, who):
        i = 0
        while not self.stop.is_set():
            token = f"v{who}-{i}"
            if self.tracker.get(f"/img/ctqu6f/{token}").status == 200:
                self.answered.append(token)
            i += 1

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        return self.answered


def tokens_in(*paths):
    return [m for path in paths
            for m in re.findall(r"GET /img/ctqu6f/(v\S+) ", path.read_text())]


@pytest.mark.parametrize("name", ["SIGUSR1", "SIGHUP"])
def test_renaming_the_file_loses_no_line(make_tracker, name):
    """As logrotate does it: rename, and a signal."""
    t = with_log(make_tracker, "text")
    rotated = [t.directory / f"access.log.{i}" for i in range(3)]
    visitors = Visitors(t)
    for i, path in enumerate(rotated):
        n = len(visitors.answered)
        wait_for(lambda n=n: len(visitors.answered) > n + 30, "requests")
        wait_for(lambda: tokens_in(t.access), "lines")
        os.rename(t.access, path)
        t.process.send_signal(signal.Signals[name])
        wait_for(t.access.exists, "another file")
        wait_for(lambda: tokens_in(t.access), "lines in it")
    n = len(visitors.answered)
    wait_for(lambda: len(visitors.answered) > n + 30, "requests")
    answered = visitors.end()
    t.stop()
    found = tokens_in(*rotated, t.access)
    assert sorted(found) == sorted(answered)
    assert tokens_in(t.access) and all(map(tokens_in, rotated))


def all_but_logger(t):
    return {k: v for k, v in t.roles().items() if k != "logger[0]"}


@pytest.mark.parametrize("with_systemd", [True, False])
def test_logrotate(make_tracker, with_systemd):
    """The file that is installed, with this daemon in the unit's place."""
    t = with_log(make_tracker, "text")
    source = ROOT / "packaging" / "logrotate" / "postal-tracker"
    text = source.read_text()
    kill = "systemctl kill --kill-who=main --signal=USR1 postal-tracker.service"
    for old, new in (
        ("\n/var/log/postal-tracker/*.log", f"\n{t.directory}/*.log"),
        (kill, f"kill -USR1 {t.process.pid}" if with_systemd
         else f"/nonexistent/{kill}"),
        ("/usr/sbin/postal-tracker status --json",
         "exit 1" if with_systemd else f"{TRACKER} status --json -c {t.conf}"),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    # The monitor tells the store of its roles once a second.
    wait_for(lambda: t.status()["roles"], "roles that are known")
    before = all_but_logger(t)
    conf = t.directory / "rotate.conf"
    conf.write_text(text)
    os.chmod(conf, 0o644)
    for i in range(2):
        t.get(f"/before/{i}")
        wait_line(t.access, f"/before/{i}")
        subprocess.run(
            ["logrotate", "--force", "--state", t.directory / "state", conf],
            check=True, timeout=60)
        wait_for(lambda i=i: t.log().count("reopen access_file=") == i + 1,
                 "the file to be another one")
        t.get(f"/after/{i}")
        wait_line(t.access, f"/after/{i}")
    # The first one is compressed by now, and nothing was lost.
    first = gzip.decompress(
        (t.directory / "access.log.2.gz").read_bytes()).decode()
    second = (t.directory / "access.log.1").read_text()
    assert "/before/0" in first and "/after/0" not in first
    assert "/after/0" in second and "/before/1" in second
    # It was no reload: what is in tracker.conf by now stays out of it.
    assert all_but_logger(t) == before


def test_logrotate_finds_no_daemon(make_tracker):
    """It ended, and whatever runs is left alone; that is no error."""
    t = with_log(make_tracker, "text")
    t.get("/before")
    wait_line(t.access, "GET /before ")
    t.stop()
    text = (ROOT / "packaging" / "logrotate" / "postal-tracker").read_text()
    conf = t.directory / "rotate.conf"
    conf.write_text(
        text.replace("/var/log/postal-tracker/*.log", f"{t.directory}/*.log")
        .replace("systemctl", "/nonexistent/systemctl")
        .replace("/usr/sbin/postal-tracker status",
                 f"{TRACKER} status -c {t.conf}"))
    os.chmod(conf, 0o644)
    r = subprocess.run(
        ["logrotate", "--force", "--state", t.directory / "state", conf],
        check=True, capture_output=True, text=True, timeout=60)
    assert r.stdout + r.stderr == ""
    assert (t.directory / "access.log.1").exists()


def test_rotation_while_the_configuration_is_broken(make_tracker):
    """The reload fails, and the file is another one all the same."""
    t = with_log(make_tracker, "text")
    t.get("/before")
    wait_line(t.access, "GET /before ")
    good = t.conf.read_text()
    t.conf.write_text(good + "[nonsense]\n")
    os.rename(t.access, t.directory / "access.log.1")
    t.process.send_signal(signal.SIGHUP)
    t.wait_log("reload failed")
    wait_for(t.access.exists, "a new file")

    def new_line():
        t.get("/after")
        return "GET /after " in t.access.read_text()

    wait_for(new_line, "lines in it")
    t.conf.write_text(good)


def test_a_file_that_cannot_be_made(make_tracker):
    """The one in use stays, until there is another one."""
    t = make_tracker()
    directory = t.directory / "logs"
    directory.mkdir()
    away = t.directory / "away"
    path = directory / "access.log"
    t.settings["log"] = {"access": "text", "access_file": str(path)}
    t.write_conf()
    t.start()
    os.rename(directory, away)
    t.process.send_signal(signal.SIGUSR1)
    t.wait_log(r"reopen failed: \[log\] access_file .*: make its directory: "
               r".*; the file in use stays")
    t.get("/still")
    wait_line(away / path.name, "GET /still ")


def test_no_file_to_open_anew(make_tracker):
    t = make_tracker().start()
    t.process.send_signal(signal.SIGUSR1)
    t.wait_log("reopen: requests are not logged to a file")
    assert t.get("/").status == 200


def test_more_rotations_than_processes(make_tracker):
    """Old loggers that cannot end leave the last one where it is."""
    t = with_log(make_tracker, "text", {"http": {"workers": "1"}})
    held = []
    try:
        while "reopen failed: too many processes" not in t.log():
            pid = t.roles()["logger[0]"]
            os.kill(pid, signal.SIGSTOP)
            held.append(pid)
            n = t.log().count("reopen ")
            t.process.send_signal(signal.SIGUSR1)
            wait_for(lambda n=n: t.log().count("reopen ") > n, "an answer")
        assert len(held) < 1000
        os.kill(held[-1], signal.SIGCONT)
        # One that was told to end would get no new worker.
        worker = t.roles()["web[0]"]
        t.may_die = True
        os.kill(worker, signal.SIGKILL)
        t.wait_role("web[0]", other_than=worker)
        t.get("/after")
        wait_line(t.access, "GET /after ")
    finally:
        for pid in held:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("name, said, ready", [
    ("SIGHUP", "reload: as soon as this serves", 2),
    ("SIGUSR1", "reopen access_file=", 1)])
def test_a_signal_that_comes_too_early(make_tracker, name, said, ready):
    """It waits for us when we begin, and is heard."""
    t = make_tracker(command=[sys.executable, "-c", SIGNAL_WAITS, name])
    path = t.directory / "access.log"
    t.settings["log"] = {"access": "text", "access_file": str(path)}
    t.write_conf()
    t.start()
    t.wait_log(said)
    t.wait_ready(ready)
    t.get("/first")
    wait_line(path, "GET /first ")


# exec keeps what is blocked, and what waits.
SIGNAL_WAITS = """
import os, signal, sys
number = signal.Signals[sys.argv[1]]
signal.pthread_sigmask(signal.SIG_BLOCK, {number})
os.kill(os.getpid(), number)
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_the_mode_of_the_file_under_a_mask(make_tracker):
    """As the unit has it: UMask=0077."""
    t = make_tracker(command=["sh", "-c", 'umask 077; exec "$@"', "-"])
    path = t.directory / "access.log"
    t.settings["log"] = {"access": "text", "access_file": str(path)}
    t.write_conf()
    t.start()
    assert os.stat(path).st_mode & 0o777 == 0o640


def test_a_slow_logger_finishes_before_it_ends(make_tracker):
    """What it was sent before the reload is in the file of before."""
    t = with_log(make_tracker, "text", {"http": {"workers": "1"}})
    old = t.roles()["logger[0]"]
    os.kill(old, signal.SIGSTOP)
    try:
        ask_many(t, 60)
        rotated = t.directory / "access.log.1"
        os.rename(t.access, rotated)
        t.process.send_signal(signal.SIGHUP)
        t.wait_ready(2)
        t.get("/new")
        wait_line(t.access, "GET /new ")
    finally:
        os.kill(old, signal.SIGCONT)

    def all_there():
        text = rotated.read_text() + t.access.read_text()
        return all(f"GET /long/{i}/" in text for i in range(60))

    wait_for(all_there, "all lines")
    assert "GET /long/0/" in rotated.read_text()
    wait_for(lambda: not os.path.exists(f"/proc/{old}"), "it to end")


def test_reload_turns_it_on_and_off(make_tracker):
    t = make_tracker().start()
    path = t.directory / "access.log"
    t.settings["log"] = {"access": "json", "access_file": str(path)}
    t.write_conf()
    t.process.send_signal(signal.SIGHUP)
    t.wait_ready(2)
    t.get("/on")
    wait_object(path, "/on")
    # What cannot be opened leaves everything as it is.
    t.settings["log"]["access_file"] = "/nonexistent/access.log"
    t.write_conf()
    t.process.send_signal(signal.SIGHUP)
    t.wait_log(r"reload failed: \[log\] access_file /nonexistent/access\.log: "
               r"make its directory: .*the configuration in use stays")
    t.get("/still")
    wait_object(path, "/still")
    t.settings["log"] = {"access": "off"}
    t.write_conf()
    t.process.send_signal(signal.SIGHUP)
    t.wait_ready(4)
    wait_for(lambda: not any(n.startswith("logger") for n in t.roles()),
             "the logger to end")
    t.get("/off")
    t.stop()
    assert "/off" not in path.read_text()


def test_the_logger_dies(make_tracker):
    t = with_log(make_tracker, "text", {"http": {"workers": "1"}})
    t.may_die = True
    pid = t.roles()["logger[0]"]
    os.kill(pid, signal.SIGKILL)
    assert t.get("/while-away").status == 200
    t.wait_role("logger[0]", other_than=pid)
    t.get("/again")
    wait_line(t.access, "/again")


def test_the_last_lines_before_the_end(make_tracker):
    t = with_log(make_tracker, "text")
    for i in range(20):
        t.get(f"/last/{i}")
    t.stop()
    text = t.access.read_text()
    assert all(f"GET /last/{i} " in text for i in range(20))


# --- nobody waits -----------------------------------------------------------


LONG = "x" * 1700


def ask_many(t, n, start=0):
    """n requests on one connection, with long lines; all are answered."""
    with t.connect() as c:
        for i in range(start, start + n):
            c.send(f"GET /long/{i}/{LONG} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert c.reply().status in (200, 404)


def dropped(t):
    return t.status()["counters"]["access_lines_dropped_total"]


@pytest.fixture
def unread(make_tracker):
    """A daemon that logs into a pipe, and the end that nobody reads yet."""
    t = make_tracker({"http": {"workers": "1"}})
    fifo = t.directory / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    t.settings["log"] = {"access": "text", "access_file": str(fifo)}
    t.write_conf()
    yield t.start(), reader
    os.close(reader)


def test_a_pipe_that_nobody_reads(unread):
    """Answers go on, lines are counted; what comes out is whole."""
    t, reader = unread
    asked = 0

    def some_are_dropped():
        nonlocal asked
        ask_many(t, 200, asked)
        asked += 200
        return dropped(t) > 0

    wait_for(some_are_dropped, "lines to be dropped", 60)
    t.wait_log(r"<4>web\[0\]: access log lines=1: dropped, because .* "
               r"more=\d+")
    assert t.get("/").body == b"Hello."
    # Somebody begins to read: every line is there, or counted.
    got = b""

    def all_are_there():
        nonlocal got
        try:
            got += os.read(reader, 1 << 20)
        except BlockingIOError:
            # The request for "/" beside the long ones.
            return got.count(b"\n") + dropped(t) >= asked + 1
        return False

    wait_for(all_are_there, "all lines, written or counted", 60)
    assert got.endswith(b"\n")
    lines = got.decode().split("\n")[:-1]
    assert len(lines) + dropped(t) == asked + 1
    for line in lines:
        assert re.fullmatch(
            rf'127\.0\.0\.1 - - \[{TIME}\] '
            rf'"GET /(long/\d+/{LONG})? HTTP/1\.1" \d+ \d+ "-" "-"', line)
    t.stop()


def test_a_pipe_that_nobody_reads_does_not_delay_the_end(unread):
    t, _ = unread
    ask_many(t, 400)
    t.stop()  # exit code 0
    assert "died role=" not in t.log() and "kill role=" not in t.log()


@pytest.fixture
def tiny_disk(work):
    """A file system of 64 KB."""
    with small_disk(work / "disk", "64k") as path:
        yield path


def test_a_full_disk(tiny_disk, make_tracker):
    t = make_tracker({"http": {"workers": "1"}})
    path, ballast = tiny_disk / "access.log", tiny_disk / "ballast"
    ballast.write_bytes(b"x" * 20000)
    t.settings["log"] = {"access": "text", "access_file": str(path)}
    t.write_conf()
    t.start()
    ask_many(t, 100)
    wait_for(lambda: dropped(t) > 0, "lines to be counted")
    ask_many(t, 20, 100)
    wait_for(lambda: dropped(t) >= 20, "more of them")
    said = r'<3>logger\[0\]: access log error="No space left on device"'
    t.wait_log(said)
    assert len(re.findall(said, t.log())) == 1
    assert not path.read_bytes().endswith(b"\n"), "a part of a line"
    # There is room again: the part ends, and a line begins behind it.
    ballast.unlink()
    t.get("/room-again")
    t.wait_log(r"<5>logger\[0\]: access log written again left_out=\d+")
    assert re.fullmatch(
        rf'127\.0\.0\.1 - - \[{TIME}\] "GET /room-again HTTP/1\.1" 200 6 '
        r'"-" "-"', lines_of(path)[-1])
    left_out = int(re.search(r"left_out=(\d+)", t.log())[1])
    wait_for(lambda: dropped(t) == left_out, "both numbers to be the same")
    # Each line is there or counted, once.
    there = sum(line.endswith(' "-" "-"') for line in lines_of(path))

    def all_of_them():
        counters = t.status()["counters"]
        return there + left_out == counters["requests_total"]

    wait_for(all_of_them, f"{there} and {left_out} to be all")
    t.stop()


# --- a hijacked worker ------------------------------------------------------


class Logger:
    """A logger role alone: the test is its monitor and its worker."""

    def __init__(self, path):
        self.monitor, theirs = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.monitor.settimeout(20)
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        root = os.open("/proc/self/fdinfo", os.O_RDONLY)
        self.errors_path = path.parent / "errors"
        with open(self.errors_path, "wb") as errors:
            self.process = subprocess.Popen(
                ["bash", "-c",
                 f'exec 3<&{theirs.fileno()} 4<&{root} 5>>"$1"; '
                 f'exec -a "postal-tracker: logger[0]" "$0"',
                 TRACKER, str(path)],
                pass_fds=[theirs.fileno(), root], stderr=errors)
        theirs.close()
        os.close(root)
        settings = struct.pack("<HB", NUMBER["LOGGER_SETTINGS"], 1)
        self.monitor.send(struct.pack(
            "<HBBHIIBH", NUMBER["PARAMS"], 0, 7, 0, 0, 0, 3, len(settings))
            + settings)
        self.expect("READY")
        self.worker, other = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.worker.settimeout(20)
        self.monitor.sendmsg(
            [struct.pack("<HBHQ", NUMBER["CHANNEL"], 2, 7, 4711)],
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
              array.array("i", [other.fileno()]))])
        other.close()

    def expect(self, name):
        data = self.monitor.recv(4096)
        assert struct.unpack("<H", data[:2])[0] == NUMBER[name], data
        return data[2:]

    def send(self, text):
        self.worker.send(
            struct.pack("<HH", NUMBER["LINES"], len(text)) + text)

    def close(self):
        os.close(self.file)
        self.monitor.close()
        self.worker.close()
        return self.process.wait(20)


@pytest.mark.parametrize("bad, breach", [
    (b"no newline at the end", 3),
    (b"\x1b[2J\n", 3),
    (b"carriage\rreturn\n", 3),
    (b"nul\0\n", 3),
    (b"x" * 61440 + b"\n", 2),
    (b"", 2),
])
def test_a_hijacked_worker(work, bad, breach):
    """Lies it may write, but only in whole and harmless lines."""
    path = work / "access.log"
    logger = Logger(path)
    logger.send(b"good\nlines \xc3\xa9\n")
    wait_for(lambda: path.read_bytes() == b"good\nlines \xc3\xa9\n", "lines")
    logger.send(bad)
    instance, reason = struct.unpack("<QB", logger.expect("REPLACE"))
    assert (instance, reason) == (4711, breach)
    assert logger.worker.recv(16) == b""  # parted from
    assert logger.close() == 0
    assert path.read_bytes() == b"good\nlines \xc3\xa9\n"
    assert "replace peer=web[7] message=LINES" in \
        logger.errors_path.read_text()


# --- check ------------------------------------------------------------------


def test_check(make_tracker):
    t = make_tracker({"http": {"listen": f"127.0.0.1:{free_port()}"}})
    path = t.directory / "logs" / "access.log"
    t.settings["log"] = {"access": "text", "access_file": str(path)}
    t.write_conf()
    r = t.cli("check", check=False)
    assert re.search(rf"^FAIL  \[log\] access_file {path}: its directory is "
                     rf"missing; `install -d {path.parent}`$", r.stdout, re.M)
    path.parent.mkdir()
    assert f"ok    [log] access_file {path}" in t.cli("check").stdout
    assert not path.exists(), "check changes nothing"
    t.settings["log"]["access"] = "off"
    t.write_conf()
    assert re.search(r"^warn  \[log\] access_file .* has no effect: \[log\] "
                     r"access is off$", t.cli("check").stdout, re.M)
