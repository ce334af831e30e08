"""Attacks: a role that was taken over, seen from outside."""

import os
import re
import subprocess

import pytest

from conftest import PEER, TRACKER, free_port

INJECT = os.path.join(os.path.dirname(PEER), "inject")
WEB_PEER = os.path.join(os.path.dirname(PEER), "web-peer")

# Calls that no role behind a filter has any business with.
FORBIDDEN = {
    "socket": 41,
    "connect": 42,
    "bind": 49,
    "clone": 56,
    "fork": 57,
    "execve": 59,
    "kill": 62,
    "ptrace": 101,
    "setuid": 105,
    "prctl": 157,
    "chroot": 161,
    "mount": 165,
    "unshare": 272,
    "execveat": 322,
    "bpf": 321,
    "io_uring_setup": 425,
    "rt_sigaction": 13,
}
ONLY_WEB = {"creat": 85, "openat": 257, "unlink": 87, "rename": 82}
# What would make of a descriptor for appending another one.
ONLY_LOGGER = {"ftruncate": 77, "fcntl": 72, "lseek": 8, "pwrite64": 18}
CASES = [("store[0]", n) for n in FORBIDDEN] + [
    (role, n) for role in ("web[0]", "keeper[0]", "admin[0]")
    for n in FORBIDDEN | ONLY_WEB
] + [("logger[0]", n) for n in FORBIDDEN | ONLY_WEB | ONLY_LOGGER]


@pytest.fixture
def victim(make_tracker):
    """A daemon whose roles may die: a fresh one restarts them at once."""
    t = make_tracker({
        "http": {"workers": "1"},
        "https": {"listen": f"127.0.0.1:{free_port()}"},
        "admin": {"listen": f"127.0.0.1:{free_port()}"},
        "log": {"access": "text"},
    })
    t.may_die = True
    return t.start()


@pytest.mark.parametrize("role, name", CASES)
def test_forbidden_call(victim, role, name):
    number = (FORBIDDEN | ONLY_WEB | ONLY_LOGGER)[name]
    pid = victim.wait_role(role)
    subprocess.run([INJECT, str(pid), str(number)], check=True, timeout=30)
    victim.wait_log(
        rf'died role={re.escape(role)} pid={pid} '
        rf'cause="refused system call {number} \({name}\)"'
    )
    victim.wait_role(role, other_than=pid)
    assert victim.get("/").body == b"Hello."


def test_an_allowed_call_is_no_crime(victim):
    """Shows that the injection itself is not what kills the role."""
    pid = victim.wait_role("web[0]")
    # write(0, NULL, 0): allowed, and 0 is what epoll_wait may return.
    subprocess.run([INJECT, str(pid), "1"], check=True, timeout=30)
    assert victim.get("/").body == b"Hello."
    assert victim.roles()["web[0]"] == pid


def test_kill_action(make_tracker):
    t = make_tracker(
        {"sandbox": {"action": "kill"}, "http": {"workers": "1"}}
    )
    t.may_die = True
    t.start()
    pid = t.wait_role("web[0]")
    subprocess.run([INJECT, str(pid), "41"], check=True, timeout=30)
    t.wait_log(rf'died role=web\[0\] pid={pid} cause="signal 31 \(refused')
    t.wait_role("web[0]", other_than=pid)
    assert t.get("/").body == b"Hello."


def play(work, attack):
    """What came of it, a line each, and the store's log."""
    r = subprocess.run(
        [PEER, TRACKER, str(work / "spool"), attack],
        capture_output=True, text=True, timeout=60, check=False,
    )
    assert r.returncode == 0, (r.stdout, r.stderr)
    return r.stdout.splitlines(), r.stderr


@pytest.mark.parametrize(
    "attack, reason",
    [
        ("type", "a message that it may not send"),
        ("unknown-type", "a message that it may not send"),
        ("size", "a message of the wrong size"),
        ("form", "a message with a field out of range"),
        ("order", "a message out of order"),
        ("server", "a message with a field out of range"),
        ("flag", "a message with a field out of range"),
        ("challenge", "a message with a field out of range"),
        ("descriptor", "the wrong number of descriptors"),
        ("flood", "more than it may have under way"),
    ],
)
def test_hijacked_worker(work, attack, reason):
    said, log = play(work, attack)
    assert said == [
        "good worker served before",
        f"bad worker parted from: {reason}",
        "good worker served after",
    ]
    # The store names the peer and the reason, for the person who reads logs.
    assert reason in log and "web" in log, log


def test_a_worker_that_reads_late(work):
    """It is no bad one, and what it has to know waits for it."""
    said, log = play(work, "late")
    assert said[:2] == ["good worker served before",
                        "good worker served meanwhile"]
    assert re.fullmatch("the late one was told, behind [1-8] answers", said[2])
    assert said[3:] == ["good worker served after"]
    assert "replace" not in log, log


@pytest.mark.parametrize(
    "attack, reason",
    [
        ("admin-events", "a message that it may not send"),
        ("admin-link", "a message that it may not send"),
        ("admin-settle", "a message that it may not send"),
        ("admin-events-get", "a message that it may not send"),
        ("admin-form", "a message with a field out of range"),
        ("admin-descriptor", "the wrong number of descriptors"),
        ("admin-flood", "more than it may have under way"),
    ],
)
def test_hijacked_admin(work, attack, reason):
    """It makes the store neither write nor end."""
    said, log = play(work, attack)
    assert said == [
        "good worker served before",
        f"bad admin parted from: {reason}",
        "good worker served after",
        "another admin served, nothing was written",
    ]
    assert reason in log and "admin" in log, log


def play_web(attack):
    """The same of a real worker and a store or logger that attacks it."""
    r = subprocess.run(
        [WEB_PEER, TRACKER, attack],
        capture_output=True, text=True, timeout=120, check=False,
    )
    assert r.returncode == 0, (r.stdout, r.stderr)
    return r.stdout.splitlines()


def test_a_store_that_answers_what_was_not_asked():
    assert play_web("crossed") == [
        "visitors answered before",
        "a click was answered as one",
        "a challenge was answered as one",
    ]


@pytest.mark.parametrize("attack", ["store", "store-tables", "logger"])
def test_flooded_worker(attack):
    """A store or logger that was taken over keeps no worker from visitors."""
    assert play_web(attack) == [
        "visitors answered before",
        "all taken",
        "visitors answered while flooded",
        "visitors answered after",
    ]
