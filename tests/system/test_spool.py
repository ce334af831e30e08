"""Durability: kills, full disks, read-only file systems, damaged files."""

import os
import random
import re
import signal
import subprocess
import threading

import pytest

from admin import Admin
from conftest import Tracker, check_law, wait_for
from disk import fill, small_disk

ROUNDS = int(os.environ.get("KILL_ROUNDS", "8"))


class Load(threading.Thread):
    """Opens pictures on keep-alive connections; remembers what was answered."""

    def __init__(self, tracker, name):
        super().__init__()
        self.tracker = tracker
        self.prefix = name
        self.answered = []
        self.asked = 0
        self.stop = threading.Event()

    def run(self):
        while not self.stop.is_set():
            try:
                with self.tracker.connect() as c:
                    while not self.stop.is_set():
                        token = f"{self.prefix}-{self.asked}"
                        self.asked += 1
                        c.send(
                            f"GET /img/load/{token} HTTP/1.1\r\n"
                            "Host: a\r\n\r\n".encode()
                        )
                        reply = c.reply()
                        if reply is None:
                            break
                        if reply.status == 200:
                            self.answered.append(token)
            except (ConnectionError, OSError, AssertionError):
                self.stop.wait(0.01)


def test_kill_rounds(make_tracker):
    """Every event that was answered is in the spool, once."""
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    t = make_tracker()
    t.may_die = True
    t.start()
    t.link("load")
    t.wait_server("load")
    answered = []
    for number in range(ROUNDS):
        loads = [Load(t, f"r{number}w{i}") for i in range(8)]
        for load in loads:
            load.start()
        wait_for(
            lambda: all(len(load.answered) > 5 for load in loads), "load"
        )
        threading.Event().wait(rng.random() * 0.05)
        victim = rng.choice([*t.roles(), "monitor", "all"])
        if victim in ("monitor", "all"):
            t.kill_all()
            t.start()
        else:
            pid = t.roles()[victim]
            os.kill(pid, signal.SIGKILL)
            t.wait_role(victim, other_than=pid)
        enough = [len(load.answered) + 5 for load in loads]
        wait_for(
            lambda: all(
                len(load.answered) > n for load, n in zip(loads, enough)
            ),
            f"load after killing {victim}",
        )
        for load in loads:
            load.stop.set()
        for load in loads:
            load.join()
            answered += load.answered
    stored = [e["token"] for e in t.events()]
    assert len(stored) == len(set(stored)), f"twice (seed {seed})"
    missing = set(answered) - set(stored)
    assert not missing, (missing, f"seed {seed}", t.status(), t.log())
    assert len(answered) > ROUNDS * 40
    assert t.status()["late"] == 0
    print(f"{ROUNDS} rounds, {len(answered)} answered, seed {seed}")


def test_sigterm_under_load_loses_nothing(make_tracker):
    t = make_tracker().start()
    t.link("load")
    t.wait_server("load")
    loads = [Load(t, f"w{i}") for i in range(16)]
    for load in loads:
        load.start()
    wait_for(lambda: all(len(load.answered) > 20 for load in loads), "load")
    t.process.send_signal(signal.SIGTERM)
    assert t.process.wait(5) == 0
    for load in loads:
        load.stop.set()
    for load in loads:
        load.join()
    answered = [token for load in loads for token in load.answered]
    stored = [e["token"] for e in t.events()]
    assert len(stored) == len(set(stored))
    assert set(answered) <= set(stored)


@pytest.fixture
def disk(work):
    """A file system of 8 MB."""
    with small_disk(work / "disk", "8m") as path:
        yield path


@pytest.fixture
def on_small_disk(disk, work):
    """A daemon with its spool there; it ends before the disk goes."""
    directory = work / "small"
    directory.mkdir()
    os.chmod(directory, 0o755)
    t = Tracker(directory, {"spool": {"directory": str(disk / "s")}})
    t.admin = Admin(t)
    t.start()
    assert t.link("ctqu6f", "H0zoVR7I") == "/ctqu6f/H0zoVR7I"
    t.wait_server("ctqu6f")
    yield t
    t.finish()


def test_full_disk(on_small_disk, disk):
    t = on_small_disk
    assert t.get("/img/ctqu6f/before").status == 200
    assert t.admin.ready()
    filler = fill(disk)

    def lost():
        assert t.get("/img/ctqu6f/during").status == 200
        assert t.get("/ctqu6f/H0zoVR7I").status == 307
        return t.status()["lost"] > 0

    wait_for(lost, "an event to be lost")
    status = t.status()
    check_law(status)
    assert not status["ready"] and status["reason"]

    def red():
        t.get("/img/ctqu6f/during")
        reply = t.admin.get("/ready")
        return reply if reply.status == 503 else None

    assert re.fullmatch(
        rb"not ready: [^\n]*(disk|space|full)[^\n]*\n",
        wait_for(red, "/ready to be red").body,
    )
    assert t.admin.get("/health").status == 200
    wait_for(lambda: t.admin.metrics()["ready"] == 0, "the metric")
    t.wait_log(r"lost .*(disk|space|full)")
    filler.unlink()

    def works_again():
        t.get("/img/ctqu6f/after")
        return any(e["token"] == "after" for e in t.events())

    wait_for(works_again, "events to be stored again")
    # Green again, with the same processes.
    wait_for(t.admin.ready, "ready")
    wait_for(lambda: t.admin.metrics()["ready"] == 1, "the metric")
    check_law(t.status())
    assert "died" not in t.log()


def test_read_only_file_system(on_small_disk, disk):
    t = on_small_disk
    assert t.get("/img/ctqu6f/before").status == 200
    # A lazy read-only remount is refused while files are open for writing;
    # the kernel does the same as after a disk error when forced.
    subprocess.run(
        ["mount", "-o", "remount,ro", disk], check=False,
        capture_output=True,
    )
    mounted_ro = any(
        str(disk) in line and " ro" in line
        for line in open("/proc/mounts", encoding="utf-8")
    )
    if not mounted_ro:
        # Files are open for writing: restart on the read-only disk instead.
        t.stop()
        subprocess.run(
            ["mount", "-o", "remount,ro", disk], check=True
        )
        t.start()
    assert t.get("/img/ctqu6f/during").status == 200
    wait_for(
        lambda: t.get("/ctqu6f/H0zoVR7I").status == 307, "the redirect"
    )
    wait_for(lambda: t.status()["lost"] > 0, "lost")
    assert not t.status()["ready"]
    wait_for(lambda: not t.admin.ready(), "/ready to be red")
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)

    # The spool is opened again within a second; until then it says why not.
    wait_for(t.admin.ready, "ready")
    assert t.get("/img/ctqu6f/after").status == 200
    assert "after" in [e["token"] for e in t.events()]
    check_law(t.status())


def damage_header(path):
    with open(path, "r+b") as f:
        f.write(b"this is no database" * 10)


def damage_middle(path):
    size = os.path.getsize(path)
    with open(path, "r+b") as f:
        for at in range(4096, size, 4096):
            f.seek(at)
            f.write(os.urandom(4096))


@pytest.mark.parametrize("damage", [damage_header, damage_middle])
def test_damaged_spool(tracker, damage):
    for i in range(300):
        assert tracker.get(f"/img/ctqu6f/m{i}").status == 200
    tracker.stop()
    damage(tracker.spool / "spool.db")
    tracker.start()
    wait_for(
        lambda: tracker.get("/ctqu6f/H0zoVR7I").status == 307, "redirects"
    )
    assert tracker.get("/img/ctqu6f/after").status == 200
    wait_for(
        lambda: "after" in [e["token"] for e in tracker.events()],
        "the new spool",
    )
    names = os.listdir(tracker.spool)
    damaged = [n for n in names if n.startswith("spool.db.damaged-")]
    assert damaged, names
    assert re.search(re.escape(damaged[0]), tracker.log()), tracker.log()
    assert tracker.status()["ready"]


def test_max_size(make_tracker):
    t = make_tracker({"spool": {"max_size": "1M"}}).start()
    t.link("ctqu6f", "H0zoVR7I")
    wait_for(lambda: t.get("/ctqu6f/no").status == 404, "server")
    agent = [("User-Agent", "u" * 1000)]

    def full():
        for _ in range(50):
            assert t.get("/img/ctqu6f/m", agent).status == 200
        return t.status()["lost"] > 0

    wait_for(full, "the spool to be full", 60)
    assert t.get("/ctqu6f/H0zoVR7I").status == 307
    t.wait_log(r"lost events=\d+ .*max_size = 1048576 bytes\); raise")
    check_law(t.status())
    # A new start makes no room, and says so before an event is lost.
    t.stop()
    t.start()
    assert "max_size = 1048576 bytes); raise" in t.status()["reason"]
    t.settings["spool"]["max_size"] = "64M"
    t.write_conf()
    t.process.send_signal(signal.SIGHUP)
    # It shows without a visitor.
    wait_for(lambda: t.status()["ready"], "the spool to have room")

    def stored():
        t.get("/img/ctqu6f/again")
        return any(e["token"] == "again" for e in t.events())

    wait_for(stored, "events to be stored again")


def test_late_when_the_store_does_not_answer(make_tracker):
    t = make_tracker({"spool": {"max_wait": "50ms"}}).start()
    t.link("ctqu6f")
    wait_for(lambda: t.get("/ctqu6f/no").status == 404, "server")
    store = t.roles()["store[0]"]
    os.kill(store, signal.SIGSTOP)
    assert t.get("/img/ctqu6f/late").status == 200
    os.kill(store, signal.SIGCONT)
    wait_for(lambda: t.status()["late"] == 1, "late to be counted")
    wait_for(lambda: [e["token"] for e in t.events()] == ["late"], "event")


def test_relaxed(make_tracker):
    t = make_tracker({"spool": {"durability": "relaxed"}}).start()
    t.link("ctqu6f")
    wait_for(lambda: t.get("/ctqu6f/no").status == 404, "server")
    for i in range(20):
        assert t.get(f"/img/ctqu6f/m{i}").status == 200
    wait_for(lambda: len(t.events()) == 20, "all events")


def test_retention(make_tracker):
    t = make_tracker({"spool": {"retention": "2s"}}).start()
    t.link("ctqu6f")
    wait_for(lambda: t.get("/ctqu6f/no").status == 404, "server")
    assert t.get("/img/ctqu6f/old").status == 200
    assert len(t.events()) == 1
    # It is looked for once a minute, and at the start.
    wait_for(lambda: t.status()["pending"] in (0, 1), "status")
    threading.Event().wait(2.1)
    t.stop()
    t.start()
    wait_for(lambda: t.events() == [], "the event to expire")
    assert t.status()["expired"] == 1


def test_without_daemon(tracker):
    """link and events open the spool themselves when no daemon runs."""
    assert tracker.get("/img/ctqu6f/m").status == 200
    tracker.stop()
    assert [e["token"] for e in tracker.events()] == ["m"]
    assert tracker.link("ctqu6f", "later") == "/ctqu6f/later"
    tracker.start()
    wait_for(lambda: tracker.get("/ctqu6f/later").status == 307, "the link")


def test_the_spool_survives_a_restart(tracker):
    assert tracker.get("/img/ctqu6f/one").status == 200
    node = tracker.status()["node"]
    tracker.stop()
    tracker.start()
    assert tracker.get("/img/ctqu6f/two").status == 200
    assert [(e["seq"], e["token"]) for e in tracker.events()] == [
        (1, "one"),
        (2, "two"),
    ]
    assert tracker.status()["node"] == node
    assert tracker.status()["accepted"] == 2
