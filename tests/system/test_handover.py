"""A forwarder that was taken over, on its channel for certificates and keys.

The monitor, which is root, has to part from it, name the rule that it broke,
and go on serving; no keeper and no worker may notice.
"""

import os
import re
import shutil
import socket
import struct
import time

import pytest

from certificates import Directory, make_chain, make_key
from conftest import free_port, wait_for
from fake_forwarder import (
    FIRST, LAST, Closed, Forwarder, Handover, mark, memory_file, rows, span8,
)
from test_keeper import handshake, served
from test_roles import descriptors

FORWARDER_UID = 60983
NAME = "a.example"


@pytest.fixture
def directory(work):
    return Directory(work / "certificates")


@pytest.fixture
def daemon(make_tracker, directory):
    t = make_tracker({
        "postal": {"mode": "mysql"},
        "forwarder": {"user": str(FORWARDER_UID)},
        "https": {
            "listen": f"127.0.0.1:{free_port()}",
            "certificates": str(directory.path),
        },
        "log": {"level": "debug"},
    })
    t.https_port = int(t.settings["https"]["listen"].split(":")[1])
    return t.start()


@pytest.fixture
def pair(work):
    key = make_key()
    return make_chain(key, NAME, work), key


@pytest.fixture
def serving(daemon, pair):
    """A pair came over the channel and is served."""
    with Handover(daemon, FORWARDER_UID) as h:
        assert h.name([(NAME, "1")], FIRST) == [0]
        assert h.give(NAME, "1", *pair) == h.OFFERED
        assert h.name([], LAST) == []
    served(daemon, 1)
    assert f"CN = {NAME}" in handshake(daemon, NAME)
    return daemon


def roles(t):
    return {**t.roles(), "monitor": t.process.pid}


# --- what goes right -------------------------------------------------------


def test_named_again(serving, pair):
    """The same mark is not wanted again, whoever names it; others are."""
    pids = roles(serving)
    with Handover(serving, FORWARDER_UID) as h:
        assert h.name([(NAME, "1"), ("b.example", "1")], FIRST) == [1]
        assert h.name([(NAME, "1")], LAST) == []
    assert f"CN = {NAME}" in handshake(serving, NAME)
    with Handover(serving) as h:
        assert h.name([(NAME, "2")], FIRST) == [0]
        # A new connection takes the place of this one; what was named in the
        # middle of it withdraws nothing.
        with Handover(serving) as other:
            assert other.name([(NAME, "1")], FIRST) == []
            with pytest.raises(Closed):
                h.name([], LAST)
    serving.wait_log("forwarder gone: what it gave stays served")
    assert f"CN = {NAME}" in handshake(serving, NAME)
    with Handover(serving) as h:
        h.name([])
        serving.wait_log(rf'name="track_certificates/{NAME}" is gone')
    wait_for(lambda: "unrecognized" in handshake(serving, NAME), "no pair")
    assert roles(serving) == pids


def test_names_that_came_to_nothing(serving, pair):
    """Two who name as many as there may be and go leave room for the next."""
    for n in range(3):
        with Handover(serving, FORWARDER_UID) as h:
            h.name([(f"n{i}.of{n}.example", "1") for i in range(1999)], FIRST)
    with Handover(serving, FORWARDER_UID) as h:
        assert h.name([(NAME, "1"), ("b.example", "1")], FIRST) == [1]
        assert h.give("b.example", "1", *pair) == h.OFFERED
        assert h.name([], LAST) == []
    served(serving, 2)


def test_stand_alone_has_no_such_socket(tracker):
    assert not os.path.exists(tracker.settings["spool"]["socket"] + ".keys")


def test_the_socket_goes_with_the_daemon(daemon):
    path = daemon.settings["spool"]["socket"] + ".keys"
    assert os.path.exists(path)
    daemon.stop()
    assert not os.path.exists(path)


# --- what it may not -------------------------------------------------------


def test_strangers(serving):
    """Only the forwarder's user and root; not the store's, nor a worker's."""
    for uid in (60982, 65534, 60981, 12345):
        with Handover(serving, uid) as h:
            with pytest.raises((Closed, ConnectionResetError)):
                h.name([])
    serving.wait_log(r"refused connection for certificates uid=60982: it is "
                     r"not \[forwarder\] user")
    assert f"CN = {NAME}" in handshake(serving, NAME)


def no_message(h, _):
    h.send_raw(b"\xff\xff")


def of_another_pair(h, _):
    h.send("NEW_NODE")


def pair_for_the_keeper(h, _):
    fd = memory_file(b"x")
    h.send_with("PAIR_CHAIN", struct.pack("<I", 9) + span8("x"), fd)


def too_long(h, _):
    h.send("ROW_KEY", b"x")


def too_short(h, _):
    h.send("CERTIFICATE_ROWS", b"\x01")


def bytes_left_over(h, _):
    h.send("CERTIFICATE_ROWS", struct.pack("<BH", FIRST, 0) + b"x")


def no_descriptor(h, _):
    h.name([(NAME, "2")], FIRST)
    h.send("ROW_CHAIN", span8(NAME) + mark("2"))


def two_descriptors(h, _):
    h.name([(NAME, "2")], FIRST)
    h.send_with("ROW_CHAIN", span8(NAME) + mark("2"), memory_file(b"x"),
                memory_file(b"y"))


def descriptor_of_none(h, _):
    h.send_with("CERTIFICATE_ROWS", struct.pack("<BH", FIRST, 0),
                memory_file(b"x"))


def no_first_part(h, _):
    h.name([(NAME, "2")], LAST)


def chain_before_rows(h, _):
    h.chain(NAME, "2", memory_file(b"x"))


def chain_of_a_stranger(h, _):
    h.name([(NAME, "2")], FIRST)
    h.chain("b.example", "2", memory_file(b"x"))


def chain_after_the_end(h, _):
    h.name([(NAME, "2")])
    h.chain(NAME, "2", memory_file(b"x"))


def two_chains(h, _):
    h.name([(NAME, "2")], FIRST)
    for _ in range(2):
        h.chain(NAME, "2", memory_file(b"x"))


def key_alone(h, _):
    h.name([(NAME, "2")], FIRST)
    h.key(memory_file(b"x"))


def rows_before_the_key(h, _):
    h.name([(NAME, "2")], FIRST)
    h.chain(NAME, "2", memory_file(b"x"))
    h.name([], LAST)


def unsealed(make):
    def attack(h, work):
        h.name([(NAME, "2")], FIRST)
        h.chain(NAME, "2", make(work))

    attack.__name__ = make.__name__
    return attack


def unsealed_key(h, _):
    h.name([(NAME, "2")], FIRST)
    h.chain(NAME, "2", memory_file(b"x"))
    h.key(memory_file(b"x", 0))


def without_seals(_):
    return memory_file(b"x", 0)


def still_to_be_written(_):
    return memory_file(b"x", 0x7)


def still_to_shrink(_):
    return memory_file(b"x", 0xD)


def more_seals_possible(_):
    return memory_file(b"x", 0xE)


def plain_file(work):
    (work / "plain").write_text("x")
    return os.open(work / "plain", os.O_RDONLY)


def of_proc(_):
    return os.open("/proc/self/mem", os.O_RDONLY)


def fifo(_):
    return os.pipe()[0]


def a_socket(_):
    return socket.socketpair()[0].detach()


def only_a_path(work):
    (work / "plain").write_text("x")
    return os.open(work / "plain", os.O_PATH)


def a_directory(work):
    return os.open(work, os.O_RDONLY)


def too_many(h, _):
    h.name([(f"n{i}.example", "1") for i in range(1999)], FIRST)
    h.name([("last.example", "1"), ("more.example", "1")], LAST)


def with_name(name):
    def attack(h, _):
        h.name([(name, "1")], FIRST)

    attack.__name__ = f"name_{name[:20]}"
    return attack


ORDER = "a message out of order"
FORM = "a message with a field out of range"
FDS = "the wrong number of descriptors"
SEALS = "a descriptor of no sealed memory file"
ATTACKS = [
    (no_message, "a message that it may not send"),
    (of_another_pair, "a message that it may not send"),
    (pair_for_the_keeper, "a message that it may not send"),
    (too_long, "a message of the wrong size"),
    (too_short, "a message of the wrong size"),
    (bytes_left_over, FORM),
    (no_descriptor, FDS), (two_descriptors, FDS), (descriptor_of_none, FDS),
    *((a, ORDER) for a in (
        no_first_part, chain_before_rows, chain_of_a_stranger,
        chain_after_the_end, two_chains, key_alone, rows_before_the_key)),
    *((unsealed(m), SEALS) for m in (
        without_seals, still_to_be_written, still_to_shrink,
        more_seals_possible, plain_file, of_proc, fifo, a_socket,
        only_a_path, a_directory)),
    (unsealed_key, SEALS),
    (too_many, "more than it may have under way"),
    *((with_name(n), FORM) for n in (
        "default", "localhost", "A.example", "*.example", "../x.y",
        ".example", "example.", "a..b", "a b.c", "a\n<3>monitor: x.y",
        "a/b.c", "\xe4.example", "a\0.example")),
]


@pytest.mark.parametrize(
    "attack, reason", ATTACKS, ids=[a.__name__ for a, _ in ATTACKS])
def test_hijacked(serving, pair, work, attack, reason):
    pids, files = roles(serving), len(descriptors(serving.process.pid))
    with Handover(serving, FORWARDER_UID) as h:
        with pytest.raises((Closed, ConnectionResetError, AssertionError)):
            attack(h, work)
            h.expect("ROW_TAKEN")
        serving.wait_log(
            rf'monitor: close forwarder message=\S+ reason="it sent the '
            rf'monitor {reason}"')
    # Nothing else happened, and nothing was left lying about.
    assert roles(serving) == pids
    assert len(descriptors(serving.process.pid)) <= files + 1
    assert f"CN = {NAME}" in handshake(serving, NAME)
    # It connects again, and all is as ever.
    with Handover(serving, FORWARDER_UID) as h:
        assert h.name([("b.example", "1")], FIRST) == [0]
        assert h.give("b.example", "1", *pair) == h.OFFERED
        h.name([], LAST)
        serving.wait_log(r'name="track_certificates/b.example" pair=\d+ taken')
    assert not re.search(r"^<3>monitor: x", serving.log(), re.M)


@pytest.mark.parametrize(
    "chain, key, why",
    [
        ("x" * 131073, None, "are longer than a chain may be"),
        (None, "x" * 16385, "the key is longer than a key may be"),
        ("", None, "columns certificate and intermediaries: "),
        (None, "", "column key: there is no private key in it"),
        ("\0" * 131072, None, "columns certificate and intermediaries: "),
        (None, "\xff" * 8000, "column key: "),
        (None, "-----BEGIN PRIVATE KEY-----\n" * 500, "column key: "),
    ],
    ids=["long-chain", "long-key", "no-chain", "no-key", "zeroes", "bytes",
         "beginnings"],
)
def test_hostile_content(serving, pair, chain, key, why):
    """The keepers live, and the pair before stays."""
    pids = roles(serving)
    with Handover(serving, FORWARDER_UID) as h:
        assert h.name([(NAME, "2")], FIRST) == [0]
        assert h.give(
            NAME, "2", pair[0] if chain is None else chain,
            pair[1] if key is None else key) == h.OFFERED
        # It is not wanted again.
        assert h.name([(NAME, "2")], FIRST | LAST) == []
    serving.wait_log(
        rf'certificate name="track_certificates/{NAME}" error="[^\n]*{why}'
        r'[^\n]*": the pair before it stays in use')
    assert f"CN = {NAME}" in handshake(serving, NAME)
    assert roles(serving) == pids


def test_a_flood_of_changes(serving, directory, pair):
    """It is told to come later; the directory is served meanwhile."""
    pids = roles(serving)
    given = later = 0
    with Handover(serving, FORWARDER_UID) as h:
        h.name([(NAME, "x")], FIRST)
        started = time.monotonic()
        for i in range(4000):
            if h.give(NAME, f"{i}", pair[0], "nonsense") == h.OFFERED:
                given += 1
            else:
                later += 1
        passed = time.monotonic() - started
        # 2000 at once, one of them before; then one a second.
        assert later > 0 and 1900 < given <= 2000 + passed + 1, (given, passed)
        serving.wait_log(r'is taken later: too many changes at a time')
        directory.put("mine")
        serving.wait_log(r'certificate name="mine" pair=\d+ taken')
        wait_for(
            lambda: "CN = mine.example" in handshake(serving, "mine.example"),
            "the directory")
    assert f"CN = {NAME}" in handshake(serving, NAME)
    assert roles(serving) == pids


def test_few_descriptors(make_tracker, directory, pair):
    """Rows get a share of them, and the one that gets none is named."""
    t = make_tracker({
        "postal": {"mode": "mysql"},
        "https": {
            "listen": f"127.0.0.1:{free_port()}",
            "certificates": str(directory.path),
        },
    }, command=["prlimit", "--nofile=400:400"])
    t.https_port = int(t.settings["https"]["listen"].split(":")[1])
    t.start()
    names = [(f"n{i}.example", "1") for i in range(51)]
    with Handover(t) as h:
        assert len(h.name(names, FIRST)) == 51
        said = [h.give(name, m, *pair) for name, m in names]
        h.name([], LAST)
    assert said == [h.OFFERED] * 50 + [h.LATER]
    t.wait_log(r'name="track_certificates/n50.example" is taken later: too '
               r"many pairs for the descriptors that this process may open")
    directory.put("mine")
    t.wait_log(r'certificate name="mine" pair=51 taken')
    served(t, 51)


def test_no_room_for_a_while(make_tracker, directory, pair):
    """What came too much is taken when others went: of the directory by
    itself, a row when it is named again."""
    directory.put("n0")
    for i in range(1, 100):
        shutil.copytree(directory.path / "n0", directory.path / f"n{i}")
    t = make_tracker({
        "http": {"workers": "1"},
        "postal": {"mode": "mysql"},
        "https": {
            "listen": f"127.0.0.1:{free_port()}",
            "certificates": str(directory.path),
        },
    }, command=["prlimit", "--nofile=256:256"])
    t.start()
    rest = int(t.wait_log(r" (\d+) are not served; raise LimitNOFILE=")[1])
    assert 2 < rest < 50
    served(t, 100 - rest)
    no_room = r'certificate name="(n\d+)" error="too many pairs: no desc'
    left_out = set(re.findall(no_room, t.log()))
    assert len(left_out) == rest
    with Handover(t) as h:
        assert h.name([(NAME, "1")], FIRST) == [0]
        assert h.give(NAME, "1", *pair) == h.LATER
        assert h.name([], LAST) == []
        t.wait_log(rf'name="track_certificates/{NAME}" is taken later: too '
                   r"many pairs: no descriptors, or no memory")
        # Room for those, and for one more.
        named = [f"n{i}" for i in range(100)]
        for name in [n for n in named if n not in left_out][:rest + 1]:
            shutil.rmtree(directory.path / name)
        wait_for(lambda: len(left_out & set(re.findall(
            r'certificate name="(n\d+)" pair=\d+ taken', t.log()))) == rest,
            "the rest of the directory", 60)
        # Said once of each, however often it was tried.
        assert len(re.findall(no_room, t.log())) == rest
        assert h.name([(NAME, "1")], FIRST) == [0]
        assert h.give(NAME, "1", *pair) == h.OFFERED
        assert h.name([], LAST) == []
        assert h.name([(NAME, "1")]) == []
    t.wait_log(rf'name="track_certificates/{NAME}" pair=\d+ taken')
    served(t, 100 - rest)


def test_a_channel_that_is_not_read(serving):
    """Answers that nobody takes end it."""
    with Handover(serving, FORWARDER_UID) as h:
        part = struct.pack("<B", FIRST) + rows(
            [span8(f"n{i}.example") + mark("1") for i in range(500)])
        with pytest.raises((Closed, socket.timeout, BlockingIOError)):
            h.sock.settimeout(5)
            for _ in range(20000):
                h.send("CERTIFICATE_ROWS", part)
    assert f"CN = {NAME}" in handshake(serving, NAME)


def test_the_store_has_no_part_in_it(daemon, pair):
    """Neither messages nor descriptors of it go over store.sock."""
    with Forwarder(daemon) as f:
        with pytest.raises(Closed):
            f.send("CERTIFICATE_ROWS", struct.pack("<BH", FIRST | LAST, 0))
            f.receive()
    daemon.wait_log(r'close forwarder .*reason="a message that it may not')
