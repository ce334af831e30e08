"""What people type, and what it answers when something is wrong."""

import json
import os
import re
import signal
import socket
import subprocess

import pytest

from conftest import NOBODY, TRACKER, free_port, wait_for


def run(*args, prefix=()):
    return subprocess.run(
        [*prefix, TRACKER, *args],
        capture_output=True, text=True, timeout=60, check=False,
    )


@pytest.fixture
def holder():
    """A program of another name that holds a port."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        yield s.getsockname()[1]


# --- check ------------------------------------------------------------------


def lines_of(result):
    return [line.split(None, 1) for line in result.stdout.splitlines()]


def test_check_on_a_good_system(make_tracker):
    t = make_tracker({"sandbox": {"store_user": "60982"}})
    before = t.cli("check")
    assert {kind for kind, _ in lines_of(before)} == {"ok"}, before.stdout
    assert f"127.0.0.1:{t.port}: free" in before.stdout
    # It leaves nothing behind.
    assert sorted(os.listdir(t.directory)) == ["tracker.conf"]
    t.start()
    during = t.cli("check")
    assert {kind for kind, _ in lines_of(during)} == {"ok"}, during.stdout
    assert f"served by postal-tracker (pid {t.process.pid})" in during.stdout


def test_a_taken_port_is_explained(make_tracker, holder):
    t = make_tracker({"http": {"listen": f"127.0.0.1:{holder}"}})
    name = open("/proc/self/comm", encoding="utf-8").read().strip()
    words = (
        rf"127\.0\.0\.1:{holder}: the port is taken: {re.escape(name)} "
        rf"\(pid {os.getpid()}\) listens on 127\.0\.0\.1:{holder}; "
        r"stop it, .* or choose another"
    )
    check = t.cli("check", check=False)
    assert check.returncode == 69
    assert re.search(rf"^FAIL  \[http\] listen {words}", check.stdout, re.M)
    started = run("run", "-c", str(t.conf))
    assert started.returncode == 69
    assert re.search(words, started.stderr)


def test_a_port_taken_on_all_addresses(make_tracker):
    """The way nginx takes port 80 of every address."""
    with socket.socket() as s:
        s.bind(("0.0.0.0", 0))
        s.listen()
        port = s.getsockname()[1]
        t = make_tracker({"http": {"listen": f"127.0.0.1:{port}"}})
        r = run("run", "-c", str(t.conf))
        assert r.returncode == 69
        assert f"(pid {os.getpid()}) listens on 0.0.0.0:{port}" in r.stderr


def test_a_privileged_port_without_root(make_tracker):
    t = make_tracker(
        {"http": {"listen": "127.0.0.1:80"}}, command=NOBODY
    )
    os.chmod(t.directory, 0o777)
    for command, code in (("run", 77), ("check", 69)):
        r = run(command, "-c", str(t.conf), prefix=NOBODY)
        assert r.returncode == code, r.stderr
        text = r.stdout + r.stderr
        assert "127.0.0.1:80: ports below 1024 need root" in text
        assert "CAP_NET_BIND_SERVICE" in text
        assert "socket activation" in text
        assert "never setcap" in text


def test_an_address_of_another_machine(make_tracker):
    t = make_tracker({"http": {"listen": f"192.0.2.77:{free_port()}"}})
    for command in ("run", "check"):
        r = run(command, "-c", str(t.conf))
        assert r.returncode == 69
        assert "is not on this machine" in r.stdout + r.stderr


def test_check_sees_a_spool_of_somebody_else(make_tracker):
    t = make_tracker()
    t.spool.mkdir()
    (t.spool / "file").write_text("mine")
    r = t.cli("check", check=False)
    assert r.returncode != 0
    assert re.search(r"^FAIL  \[spool\] directory .* belongs to uid 0, the "
                     r"store runs as uid \d+; `chown", r.stdout, re.M)
    assert run("run", "-c", str(t.conf)).returncode != 0
    assert (t.spool / "file").read_text() == "mine"
    # An empty one is taken over.
    (t.spool / "file").unlink()
    t.start()
    assert os.stat(t.spool).st_uid != 0


# --- configuration ----------------------------------------------------------


COMMANDS = [
    ["run"], ["check"], ["config"], ["status"], ["events"],
    ["link", "add", "--server", "a", "https://example.com/"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_wrong_keys_have_file_and_line(work, command):
    conf = work / "bad.conf"
    conf.write_text("; a comment\n[http]\nlistn = 1\n[clients]\n"
                    "idle_timeout = soon\n")
    r = run(*command, "-c", str(conf))
    assert r.returncode == 78
    assert f"{conf}:3: [http] listn: there is no such key; did you mean " \
           "listen?" in r.stderr
    assert f"{conf}:5: [clients] idle_timeout" in r.stderr


def test_config_shows_every_key_and_can_be_read_again(make_tracker):
    t = make_tracker({"clients": {"idle_timeout": "7s"}})
    shown = t.cli("config").stdout
    assert re.search(rf"^idle_timeout = 7s  ; {t.conf}:\d+$", shown, re.M)
    assert re.search(r"^header_timeout = 10s  ; default$", shown, re.M)
    again = t.directory / "again.conf"
    again.write_text(shown)
    def values(text):
        return re.sub(r"  ;.*", "", text)

    second = run("config", "-c", str(again))
    assert second.returncode == 0, second.stderr
    assert values(second.stdout) == values(shown)


def test_drop_ins_win_and_are_named(make_tracker):
    t = make_tracker()
    (t.directory / "tracker.conf.d").mkdir()
    drop_in = t.directory / "tracker.conf.d" / "10-local.conf"
    drop_in.write_text("[clients]\nidle_timeout = 9s\n")
    assert f"idle_timeout = 9s  ; {drop_in}:2" in t.cli("config").stdout


@pytest.mark.parametrize(
    "args, code",
    [
        (["nonsense"], 64),
        ([], 64),
        (["status", "--bogus"], 64),
        (["status", "extra"], 64),
        (["status", "--watch", "soon"], 64),
        (["status", "--watch=0"], 64),
        (["status", "--watch", "1", "2"], 64),
        (["events", "--since", "x"], 64),
        (["link", "remove"], 64),
        (["status", "-c", "/nonexistent/tracker.conf"], 78),
        (["help"], 0),
    ],
)
def test_usage(args, code):
    r = run(*args)
    assert r.returncode == code
    assert (r.stdout if code == 0 else r.stderr) != ""


@pytest.mark.parametrize(
    "command", ["run", "check", "config", "events", "sql", "domains",
                "selftest", "forward"])
def test_a_word_too_many(command):
    """The file of `check tracker.conf` would not be the one that is read."""
    r = run(command, "tracker.conf")
    assert r.returncode == 64
    assert f"{command}: takes no arguments" in r.stderr


def test_options_stand_anywhere(tracker):
    conf = str(tracker.conf)
    r = run("link", "-c", conf, "add", "https://a.example/", "--token", "T1",
            "--server", "ctqu6f")
    assert (r.returncode, r.stdout) == (0, "/ctqu6f/T1\n"), r.stderr


# --- link, events, status ---------------------------------------------------


def test_link_add(tracker):
    made = tracker.link("ctqu6f")
    assert re.fullmatch(r"/ctqu6f/[A-Za-z0-9]{16}", made)
    wait_for(lambda: tracker.get(made).status == 307, "the new link")
    again = tracker.cli("link", "add", "--server", "ctqu6f", "--token",
                        "H0zoVR7I", "https://b.example/", check=False)
    assert again.returncode != 0
    assert "exists already and leads to https://example.com/" in again.stderr
    bad = tracker.cli("link", "add", "--server", "ctqu6f",
                      "javascript:alert(1)", check=False)
    assert bad.returncode != 0 and "http:// or https://" in bad.stderr


def test_a_new_server_is_known_at_once(tracker):
    assert tracker.get("/img/fresh/m").body == b"Invalid Server Token"
    tracker.link("fresh")
    wait_for(lambda: tracker.get("/img/fresh/m").status == 200, "the server")


def test_events(tracker):
    agent = 'Mozilla "5.0" \\ \u00e9'
    tracker.get("/img/ctqu6f/first",
                [("User-Agent", agent.encode().decode("latin-1"))])
    tracker.get("/ctqu6f/H0zoVR7I")
    tracker.get("/img/ctqu6f/head", method="HEAD")
    opened, clicked = tracker.events()
    assert list(opened) == [
        "seq", "at", "kind", "server", "token", "message_id", "link_id",
        "url", "ip", "user_agent", "method",
    ]
    assert opened["seq"] == 1 and opened["kind"] == "open"
    assert opened["user_agent"] == agent and opened["method"] == "GET"
    assert opened["url"] is None and opened["link_id"] is None
    assert abs(opened["at"] - os.stat(tracker.log_path).st_mtime) < 3600
    assert clicked["kind"] == "click"
    assert clicked["url"] == "https://example.com/"
    assert clicked["user_agent"] is None
    assert [e["seq"] for e in tracker.events("--since", "1")] == [2]
    text = tracker.cli("events").stdout
    assert "first" in text and "https://example.com/" in text
    assert len(text.splitlines()) >= 2


def test_a_terminal_obeys_nobody(tracker):
    """CSI has two forms; the one that HTTP lets through is U+009B."""
    agent = "x\u009b2J".encode().decode("latin-1")
    tracker.get("/img/ctqu6f/first", [("User-Agent", agent)])
    out = tracker.cli("events").stdout
    assert "x\\u009B2J" in out and "\u009b" not in out
    (event,) = tracker.events()
    assert event["user_agent"] == "x\u009b2J"


def test_count_head(make_tracker):
    t = make_tracker({"tracking": {"count_head": "yes"}}).start()
    t.link("ctqu6f", "H0zoVR7I")
    wait_for(lambda: t.get("/ctqu6f/H0zoVR7I", method="HEAD").status == 307,
             "the link")
    assert {e["method"] for e in t.events()} == {"HEAD"}


def test_events_follow(tracker):
    with subprocess.Popen(
        [TRACKER, "events", "-c", str(tracker.conf), "--json", "--follow"],
        stdout=subprocess.PIPE, text=True,
        # As a terminal would start it, wherever the tests were started.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as p:
        try:
            for i in range(3):
                tracker.get(f"/img/ctqu6f/m{i}")
                # As it comes, through a pipe.
                assert json.loads(p.stdout.readline())["token"] == f"m{i}"
        finally:
            p.send_signal(signal.SIGINT)
        assert p.wait(20) in (0, 130, -signal.SIGINT)


def test_status_is_for_people_too(tracker):
    tracker.get("/img/ctqu6f/m")

    def shown():
        text = tracker.cli("status").stdout
        return text if re.search(r"^web\[0\] +\d+ ", text, re.M) else None

    text = wait_for(shown, "the roles")
    assert text.startswith("ready, mode standalone, node ")
    assert re.search(r"^store\[0\] +\d+ +", text, re.M)
    status = tracker.status()
    for key in ("pending", "set_aside", "lost", "late", "ready"):
        assert key in status
    assert status["pending"] == 1 and status["ready"] is True


def test_status_shows_what_matters_first(tracker):
    wait_for(lambda: tracker.status()["rates"], "two samples")
    for _ in range(5):
        tracker.get("/img/ctqu6f/m")

    def shown():
        text = tracker.cli("status").stdout
        return text if re.search(r"^a second +0\.[1-9] opens, 0\.0 clicks, "
                                 r"[0-9.]+ requests \(over the last \d+ s\)$",
                                 text, re.M) else None

    text = wait_for(shown, "the rate of opens")
    assert re.search(rf"^serves +127\.0\.0\.1:{tracker.port}$", text, re.M)
    assert re.search(r"^spool +5 kept, the oldest for \d+s; \d+k of 1G$", text,
                     re.M)
    assert re.search(r"^knows +servers: 1, links: 1$", text, re.M)
    assert re.search(r"^ +5  opens_total +Pictures", text, re.M)
    assert re.search(r"^web\[0\] +\d+ +\d+\w +0$", text, re.M), "no restart"
    # What is 0 is not worth a line, unless all is wanted.
    assert not re.search(r"^ +0  ", text, re.M)
    assert "lost" not in text
    everything = tracker.cli("status", "--all").stdout
    assert re.search(r"^ +0  lost ", everything, re.M)
    assert re.search(r"^ +0  tls_failed_timeout_total ", everything, re.M)
    assert len(everything.splitlines()) > len(text.splitlines()) + 20


def test_status_counts_restarts(tracker):
    tracker.may_die = True
    pid = tracker.roles()["web[0]"]
    os.kill(pid, signal.SIGKILL)
    pid = tracker.wait_role("web[0]", other_than=pid)
    wait_for(
        lambda: re.search(rf"^web\[0\] +{pid} +\d+s +1$",
                          tracker.cli("status").stdout, re.M),
        "the restart in status",
    )


JSON_KEYS = (
    "mode node ready reason started accepted pending written unmatched "
    "duplicates set_aside expired lost late last_seq servers links domains "
    "searches searches_limited spool_bytes spool_max_bytes forwarder "
    "set_aside_reasons counters roles oldest rates listeners"
).split()


def test_status_json(tracker):
    assert tracker.status()["oldest"] is None
    tracker.get("/img/ctqu6f/m")
    (event,) = tracker.events()
    wait_for(lambda: tracker.status()["rates"], "two samples")
    out = tracker.cli("status", "--json").stdout
    assert out.count("\n") == 1
    status = json.loads(out)
    assert set(JSON_KEYS) <= set(status), "scripts rely on them"
    assert status["oldest"] == event["at"]
    assert status["listeners"] == [{
        "address": f"127.0.0.1:{tracker.port}", "tls": False,
        "admin": False, "systemd": False}]
    assert 0 < status["rates"]["seconds"] < 20
    assert wait_for(lambda: tracker.status()["rates"].get("opens_total"),
                    "the rate of opens") < 10


def test_status_after_the_store_died(tracker):
    """What workers counted before is no rate of now."""
    tracker.may_die = True
    wait_for(lambda: tracker.status()["rates"], "two samples")
    for _ in range(300):
        tracker.get("/img/ctqu6f/m")
    wait_for(lambda: tracker.status()["counters"]["opens_total"] == 300,
             "the counters")
    pid = tracker.roles()["store[0]"]
    os.kill(pid, signal.SIGKILL)
    tracker.wait_role("store[0]", other_than=pid)
    status = wait_for(
        lambda: (s := tracker.status())["rates"]
        and s["counters"]["opens_total"] == 300 and s,
        "the counters of the workers",
    )
    assert status["rates"].get("opens_total", 0) == 0


def test_status_when_events_cannot_be_stored(make_tracker):
    t = make_tracker({"spool": {"max_size": "1M"}}).start()
    t.link("ctqu6f")
    wait_for(lambda: t.get("/img/ctqu6f/m").status == 200, "the server")

    def full():
        with t.connect() as c:
            for _ in range(50):
                c.send(b"GET /img/ctqu6f/m HTTP/1.1\r\nHost: a\r\n"
                       b"User-Agent: " + "\u20ac".encode() * 1000 + b"\r\n"
                       b"\r\n")
                assert c.reply().status == 200
        return not t.status()["ready"]  # it looks at the exit code, too

    wait_for(full, "a full spool", 60)
    r = t.cli("status", check=False)
    assert r.returncode == 75
    assert re.match(r"NOT READY, mode standalone, .*\n  \".+\"\n", r.stdout)
    assert re.search(r"^ +\d+  lost +not stored", r.stdout, re.M)


def test_status_without_daemon(make_tracker):
    t = make_tracker()
    for args in ((), ("--json",), ("--all",)):
        r = t.cli("status", *args, check=False)
        assert (r.returncode, r.stdout) == (69, "")
        assert "no daemon listens on" in r.stderr


class Watch:
    """`status --watch`, whose output is read as it comes."""

    def __init__(self, t, *args, stdout=subprocess.PIPE, source=None):
        self.process = subprocess.Popen(
            [TRACKER, "status", "-c", str(t.conf), *args], stdout=stdout)
        self.fd = source if source is not None else \
            self.process.stdout.fileno()
        os.set_blocking(self.fd, False)
        self.text = ""

    def wait(self, pattern, times=1):
        def found():
            try:
                self.text += os.read(self.fd, 1 << 16).decode()
            except BlockingIOError:
                pass
            return len(re.findall(pattern, self.text, re.M)) >= times

        wait_for(found, f"{pattern} {times} times", 30)

    def end(self, number=signal.SIGINT):
        self.process.send_signal(number)
        assert self.process.wait(20) == 0


@pytest.mark.parametrize("args", [("--watch", "1"), ("--watch=1",)])
def test_status_watch(tracker, args):
    w = Watch(tracker, *args)
    w.wait(r"^ready, mode standalone", 3)
    # Through a restart of the daemon.
    tracker.stop()
    w.wait(r"^AWAY: no daemon listens on .*\nLooking again every 1 s\.$")
    n = len(re.findall("^ready", w.text, re.M))
    tracker.start()
    w.wait(r"^ready, mode standalone", n + 2)
    assert "\x1b" not in w.text, "blocks are appended where no terminal is"
    assert "\n\nready, " in w.text
    w.end()


def test_status_watch_json(tracker):
    w = Watch(tracker, "--json", "--watch", "1")
    w.wait(r"^\{.*\}$", 2)
    tracker.stop()
    w.wait(r'^\{"ready":false,"reason":"no daemon listens on .*"\}$')
    tracker.start()
    w.wait(r'"ready":true', 4)
    w.end(signal.SIGTERM)
    for line in w.text.splitlines():
        assert "ready" in json.loads(line)


def test_status_watch_on_a_terminal(tracker):
    ours, theirs = os.openpty()
    w = Watch(tracker, "--watch", "1", stdout=theirs, source=ours)
    os.close(theirs)
    w.wait(r"\x1b\[H\x1b\[Jready, mode standalone", 3)
    w.end()
    os.close(ours)


def test_strangers_may_not_ask(tracker):
    """store.sock may be reached by anyone; the kernel says who it is."""
    for args in (["status"], ["events"],
                 ["link", "add", "--server", "x", "https://a.example/"]):
        r = run(*args, "-c", str(tracker.conf), prefix=NOBODY)
        assert r.returncode != 0 and r.stdout == ""
        assert re.search(r"only root and uid \d+ may ask here; you are uid "
                         r"65534", r.stderr), r.stderr
    assert tracker.status()["servers"] == 1
