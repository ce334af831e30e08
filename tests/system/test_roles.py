"""What the processes may do, looked at from outside while they serve."""

import os
import re
import signal
import sqlite3
import stat
from pathlib import Path

from conftest import wait_for


def fields(pid):
    text = Path(f"/proc/{pid}/status").read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines())


def descriptors(pid):
    found = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        found[int(fd)] = os.readlink(f"/proc/{pid}/fd/{fd}")
    return found


def assert_restricted(pid, uid):
    status = fields(pid)
    assert status["Uid"].split() == [str(uid)] * 4
    assert status["Gid"].split()[0] != "0"
    assert status["Groups"].split() == []
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2", "a filter"
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, name
    # What is not dumpable belongs to root in /proc.
    assert os.stat(f"/proc/{pid}/environ").st_uid == 0
    assert Path(f"/proc/{pid}/environ").read_bytes() == b""


def test_a_table_larger_than_a_channel(make_tracker):
    """200 000 servers with short names, or a few with long ones: the workers
    get all, in parts, and nobody takes that for a flood."""
    n = 20000
    t = make_tracker().start()
    t.link("first")
    t.stop()
    with sqlite3.connect(t.spool / "links.db") as db:
        db.executemany("INSERT INTO server (token) VALUES (?)",
                       ((f"{i:0200}",) for i in range(n)))
    db.close()
    t.start()
    before = t.roles()
    for i in (0, n // 2, n - 1):
        t.wait_server(f"{i:0200}")
    # One more begins it again, also for those who are in the middle of it.
    for name in ("second", "third"):
        t.link(name)
    t.wait_server("third")
    assert t.roles() == before
    assert "replace" not in t.log()


def test_web_worker(tracker):
    with tracker.connect() as c:  # it has a connection while we look
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c.reply().status == 200
        for name, pid in tracker.roles().items():
            if not name.startswith("web["):
                continue
            assert_restricted(pid, 65534)
            assert os.listdir(f"/proc/{pid}/root") == []
            for fd, target in descriptors(pid).items():
                if fd <= 2:
                    assert target == str(tracker.log_path)
                else:
                    assert re.match(
                        r"socket:|anon_inode:\[eventpoll\]$", target
                    ), (fd, target)
            maps = Path(f"/proc/{pid}/maps").read_text()
            assert "mysql" not in maps and "mariadb" not in maps
            assert "yaml" not in maps


def test_store(tracker):
    pid = tracker.roles()["store[0]"]
    assert_restricted(pid, os.stat(tracker.spool).st_uid)
    # The kernel's own list of internet sockets has none of its descriptors.
    inodes = set()
    for table in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines():
            inodes.add(line.split()[9])
    for fd, target in descriptors(pid).items():
        match = re.match(r"socket:\[(\d+)\]", target)
        assert not match or match[1] not in inodes, (fd, target)
    root = os.readlink(f"/proc/{pid}/root")
    assert root == str(tracker.spool)
    assert stat.S_IMODE(os.stat(tracker.spool).st_mode) == 0o700
    for name in os.listdir(tracker.spool):
        assert stat.S_IMODE(os.stat(tracker.spool / name).st_mode) == 0o600


def test_monitor_has_few_capabilities(tracker):
    status = fields(tracker.process.pid)
    names = {  # capability numbers of linux/capability.h
        2: "DAC_READ_SEARCH",
        5: "KILL",
        6: "SETGID",
        7: "SETUID",
        8: "SETPCAP",
        10: "NET_BIND_SERVICE",
        18: "SYS_CHROOT",
    }
    allowed = sum(1 << n for n in names)
    for kind in ("CapPrm", "CapEff", "CapBnd"):
        assert int(status[kind], 16) & ~allowed == 0, kind
    assert int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0
    assert status["NoNewPrivs"] == "1"


def test_one_worker_a_core_and_their_names(tracker):
    cores = len(os.sched_getaffinity(0))
    expected = {f"web[{i}]" for i in range(cores)} | {"store[0]"}
    assert set(tracker.roles()) == expected
    for pid in tracker.roles().values():
        assert fields(pid)["Name"] == "postal-tracker"


def test_each_role_is_restarted_alone(tracker):
    tracker.may_die = True
    before = tracker.roles()
    for name, pid in before.items():
        os.kill(pid, signal.SIGKILL)
        tracker.wait_log(
            rf"died role={re.escape(name)} pid={pid} "
            r'cause="signal 9 \(Killed\)"'
        )
        tracker.wait_role(name, other_than=pid)
        assert tracker.get("/img/ctqu6f/m").status == 200
    after = tracker.roles()
    assert set(after) == set(before)
    assert all(after[name] != before[name] for name in before)
    assert len(tracker.events()) == len(before)


def test_restarts_slow_down(make_tracker):
    t = make_tracker({"http": {"workers": "1"}})
    t.may_die = True
    t.start()
    pid = t.wait_role("web[0]")
    for _ in range(3):
        os.kill(pid, signal.SIGKILL)
        pid = t.wait_role("web[0]", other_than=pid)
    starts = {r["role"]: r["starts"] for r in wait_for(
        lambda: [
            r for r in t.status()["roles"]
            if r["role"] == "web" and r["pid"] == pid
        ],
        "status to show the worker",
    )}
    assert starts["web"] == 4


def test_store_dies_while_requests_wait(tracker):
    """A batch that was under way is sent again, and stored once."""
    tracker.may_die = True
    store = tracker.roles()["store[0]"]
    os.kill(store, signal.SIGSTOP)
    with tracker.connect() as c:
        c.send(b"GET /img/ctqu6f/waiting HTTP/1.1\r\nHost: a\r\n\r\n")
        os.kill(store, signal.SIGKILL)
        assert c.reply().status == 200
    assert [e["token"] for e in tracker.events()] == ["waiting"]
    assert tracker.status()["late"] == 0


def test_roles_end_with_the_monitor(tracker):
    pids = list(tracker.roles().values())
    tracker.process.kill()
    tracker.process.wait()
    for pid in pids:
        wait_for(lambda p=pid: not Path(f"/proc/{p}/exe").exists(), "the end")


def test_a_role_is_not_started_by_hand(tracker):
    import subprocess
    from conftest import TRACKER

    r = subprocess.run(
        ["postal-tracker: web[0]"],
        executable=TRACKER,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert r.returncode != 0
    assert "postal-tracker run" in r.stderr
