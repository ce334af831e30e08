"""What people type, and what it answers when something is wrong."""

import json
import os
import re
import signal
import socket
import subprocess

import pytest

from conftest import TRACKER, free_port, wait_for

NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


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


def test_status_without_daemon(make_tracker):
    t = make_tracker()
    r = t.cli("status", check=False)
    assert r.returncode == 69
    assert "no daemon listens on" in r.stderr


def test_strangers_may_not_ask(tracker):
    """store.sock may be reached by anyone; the kernel says who it is."""
    for args in (["status"], ["events"],
                 ["link", "add", "--server", "x", "https://a.example/"]):
        r = run(*args, "-c", str(tracker.conf), prefix=NOBODY)
        assert r.returncode != 0 and r.stdout == ""
        assert re.search(r"only root and uid \d+ may ask here; you are uid "
                         r"65534", r.stderr), r.stderr
    assert tracker.status()["servers"] == 1
