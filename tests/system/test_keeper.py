"""The keeper and its keys: what it takes, what it signs, who else has them."""

import ctypes
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from certificates import Directory, make_chain, make_key, secrets_of
from conftest import PROGRAMS, TRACKER, free_port, wait_for
from test_roles import assert_restricted, descriptors

KEEPER_PEER = f"{PROGRAMS}/keeper-peer"


@pytest.fixture
def directory(work):
    return Directory(work / "certificates")


@pytest.fixture
def make_https(make_tracker, directory):
    """A daemon with [https], not started yet."""

    def make(keepers=1, **settings):
        t = make_tracker({
            "https": {
                "listen": f"127.0.0.1:{free_port()}",
                "certificates": str(directory.path),
                "keepers": str(keepers),
            },
            "log": {"level": "debug"},
            **settings,
        })
        t.https_port = int(t.settings["https"]["listen"].split(":")[1])
        return t

    return make


def served(t, n, times=1):
    """Waits until so many certificates were published, so many times."""
    wait_for(
        lambda: len(re.findall(rf"certificates served={n}\n", t.log()))
        >= times,
        f"{n} certificates",
    )


def handshake(t, name, *options):
    """What openssl s_client says of one."""
    r = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{t.https_port}",
         "-servername", name, "-tls1_2", *options],
        input=b"", capture_output=True, timeout=30, check=False,
    )
    return (r.stdout + r.stderr).decode(errors="replace")


# --- a hijacked worker -----------------------------------------------------


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    where = tmp_path_factory.mktemp("pair")
    key = make_key()
    (where / "key").write_text(key)
    (where / "chain").write_text(make_chain(key, "a.example", where))
    return where


def attack(where, name):
    return subprocess.run(
        [KEEPER_PEER, TRACKER, str(where / "chain"), str(where / "key"),
         name],
        capture_output=True, text=True, timeout=60, check=False,
    )


@pytest.mark.parametrize(
    "name, reason",
    [
        ("type", "a message that it may not send"),
        ("drop", "a message that it may not send"),
        ("key", "a message that it may not send"),
        ("unknown-type", "a message that it may not send"),
        ("size", "a message of the wrong size"),
        ("form", "a message with a field out of range"),
        ("hash", "a message with a field out of range"),
        ("descriptor", "the wrong number of descriptors"),
        ("flood", "more than it may have under way"),
    ],
)
def test_hijacked_worker(pair, name, reason):
    r = attack(pair, name)
    assert r.returncode == 0, (r.stdout, r.stderr)
    assert r.stdout.splitlines() == [
        "good worker served before",
        f"bad worker parted from: {reason}",
        "good worker served after",
    ]
    assert reason in r.stderr and "web" in r.stderr, r.stderr


def test_nothing_but_key_exchanges_is_signed(pair):
    r = attack(pair, "malformed")
    assert r.returncode == 0, (r.stdout, r.stderr)
    parted = "bad worker parted from: a message with a field out of range"
    lines = r.stdout.splitlines()
    assert lines[0] == "good worker served before"
    assert lines[-1] == "good worker served after"
    assert lines[2:-1:2] == [parted] * 19, lines


def test_a_worker_is_replaced_at_the_keepers_word(make_https, directory):
    """In the daemon: garbage on a worker's own channel to the keeper."""
    directory.put("a")
    t = make_https(http={"workers": "1"})
    t.may_die = True
    t.start()
    served(t, 1)
    web, keeper = t.wait_role("web[0]"), t.roles()["keeper[0]"]
    t.wait_log(r"complete role=keeper\[0\]")
    fd = steal_channel(web, keeper)
    os.write(fd, b"\xff\xff")
    os.close(fd)
    t.wait_log(
        r'keeper\[0\]: replace peer=web\[0\] message=\? '
        r'reason="a message that it may not send"'
    )
    t.wait_log(
        rf'monitor: replace role=web\[0\] pid={web} '
        r'reason="it sent the keeper a message that it may not send"'
    )
    t.wait_role("web[0]", other_than=web)
    assert t.roles()["keeper[0]"] == keeper
    wait_for(
        lambda: "CN = a.example" in handshake(t, "a.example"), "a handshake"
    )


def steal_channel(web, keeper):
    """A duplicate of web's end of its channel to keeper."""
    ours = {
        int(m[1]): fd for fd, x in descriptors(web).items()
        if (m := re.match(r"socket:\[(\d+)\]", x))
    }
    theirs = {
        int(m[1]) for x in descriptors(keeper).values()
        if (m := re.match(r"socket:\[(\d+)\]", x))
    }
    out = subprocess.run(
        ["ss", "-x", "-n", "-a"], capture_output=True, text=True, check=True
    ).stdout
    for line in out.splitlines():
        numbers = [int(x) for x in line.split() if x.isdigit()]
        mine = [n for n in numbers if n in ours]
        if mine and any(n in theirs for n in numbers):
            libc = ctypes.CDLL(None, use_errno=True)
            pidfd = os.pidfd_open(web)
            fd = libc.syscall(438, pidfd, ours[mine[0]], 0)
            os.close(pidfd)
            assert fd >= 0, os.strerror(ctypes.get_errno())
            return fd
    raise AssertionError(out)


# --- pairs -----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ec", "2048", "4096"])
def test_good_pairs(work, kind):
    key = make_key(kind)
    (work / "key").write_text(key)
    (work / "chain").write_text(make_chain(key, "a.example", work))
    r = attack(work, "pair")
    assert (r.returncode, r.stdout) == (0, "taken\n"), r


@pytest.mark.parametrize(
    "chain, key, reason",
    [
        ("ec", "other",
         "privkey.pem: the private key does not belong to the certificate"),
        ("ec", "2048", "privkey.pem: an RSA key for a certificate with EC"),
        ("ec", "empty", "privkey.pem: there is no private key in it"),
        ("ec", "chain", "privkey.pem: there is no private key in it"),
        ("ec", "cut", "privkey.pem: broken or encrypted PEM"),
        ("ec", "long", "privkey.pem: longer than 16384 bytes"),
        ("empty", "ec", "fullchain.pem: "),
        ("key", "ec", "fullchain.pem: "),
        ("cut", "ec", "fullchain.pem: "),
        ("long", "ec", "fullchain.pem: longer than 131072 bytes"),
        ("p384", "p384", "fullchain.pem: "),
    ],
)
def test_bad_pairs(work, chain, key, reason):
    good = make_key()
    good_chain = make_chain(good, "a.example", work)
    texts = {
        "other": make_key(), "empty": "", "key": good, "long": "x" * 200000,
    }
    if chain == "p384":
        texts["p384"] = make_key("p384")
    if key == "2048":
        texts["2048"] = make_key("2048")
    texts |= {"ec": good, "chain": good_chain, "cut": good[:100]}
    (work / "key").write_text(texts[key])
    texts |= {"ec": good_chain, "cut": good_chain[:200]}
    if chain == "p384":
        texts["p384"] = make_chain(texts["p384"], "a.example", work)
    (work / "chain").write_text(texts[chain])
    r = attack(work, "pair")
    assert r.returncode == 0 and r.stdout.startswith(reason), r
    assert len(r.stdout) > len(reason) or reason[-1] != " "


def test_pairs_are_served_and_change(make_https, directory):
    """EC, RSA, links as certbot makes them; replaced, broken, removed."""
    directory.put("a")
    directory.put("b", "2048")
    archive = directory.path.parent / "archive"
    directory.put("c")
    (directory.path / "c").rename(archive)
    (directory.path / "c").mkdir()
    for file in ("fullchain.pem", "privkey.pem"):
        (directory.path / "c" / file).symlink_to(f"../../archive/{file}")
    (directory.path / "README").write_text("not a pair")
    t = make_https(keepers=2).start()
    served(t, 3)
    for name in "abc":
        t.wait_log(rf'certificate name="{name}" pair=\d+ taken')
        assert f"CN = {name}.example" in handshake(t, f"{name}.example")
    # By itself: a new key for a, through links for c.
    directory.put("a")
    t.wait_log(r'certificate name="a" pair=4 replaced')
    key = make_key()
    chain = make_chain(key, "c.example", directory.path.parent)
    (archive / "privkey2.pem").write_text(key)
    (archive / "fullchain2.pem").write_text(chain)
    for file in ("fullchain", "privkey"):
        link = directory.path / "c" / f"{file}.pem"
        link.unlink()
        link.symlink_to(f"../../archive/{file}2.pem")
    t.wait_log(r'certificate name="c" pair=5 replaced')
    # The keepers forget the old ones a little later.
    t.wait_log(r"dropped pair=\d+\n(.*\n)*.*dropped pair=\d+")
    for name in "abc":
        assert f"CN = {name}.example" in handshake(t, f"{name}.example")
    # A directory that is removed takes its pair along.
    shutil.rmtree(directory.path / "b")
    t.wait_log(r'certificate name="b" is gone')
    served(t, 2)
    assert "unrecognized name" in handshake(t, "b.example")


def test_a_bad_pair_keeps_the_one_before(make_https, directory):
    directory.put("a")
    t = make_https().start()
    served(t, 1)
    directory.write("a", key=make_key())
    t.wait_log(
        r'certificate name="a" error="privkey.pem: the private key does not '
        r'belong to the certificate": the pair before it stays in use'
    )
    assert "CN = a.example" in handshake(t, "a.example")
    directory.write("a", chain="nonsense")
    t.wait_log(r'certificate name="a" error="fullchain.pem: .*stays in use')
    assert "CN = a.example" in handshake(t, "a.example")
    (directory.path / "a" / "privkey.pem").unlink()
    t.wait_log(r'error="privkey.pem: No such file .*stays in use')
    assert "CN = a.example" in handshake(t, "a.example")
    # Said once each, not at every look.
    assert t.log().count("does not belong") == 1
    # Mended: taken, at once after SIGHUP.
    directory.put("a")
    t.process.send_signal(signal.SIGHUP)
    t.wait_log(r'certificate name="a" pair=\d+ replaced')
    t.wait_ready(times=2)
    assert "CN = a.example" in handshake(t, "a.example")


def test_no_certificate(make_https, directory):
    t = make_https().start()
    t.wait_log(r"no certificate in .*: every TLS handshake fails with "
               r"unrecognized_name until")
    assert t.get("/").body == b"Hello."
    assert "unrecognized name" in handshake(t, "a.example")
    directory.put("a")
    served(t, 1)
    assert "CN = a.example" in handshake(t, "a.example")
    assert t.log().count("no certificate in") == 1


def test_the_directory_is_not_there(make_https, directory):
    directory.put("a")
    t = make_https().start()
    served(t, 1)
    directory.path.rename(directory.path.parent / "away")
    t.wait_log(r"\[https\] certificates .*: No such file or directory")
    assert "CN = a.example" in handshake(t, "a.example")
    assert t.log().count("No such file or directory") == 1


def test_default_pair(make_https, directory):
    directory.put("default", host="fallback.example")
    t = make_https().start()
    served(t, 1)
    assert "CN = fallback.example" in handshake(t, "whatever.example")


def test_a_thousand(make_https, directory):
    key = make_key()
    chain = make_chain(key, "a.example", directory.path.parent)
    for i in range(1000):
        directory.write(f"n{i}", chain, key)
    t = make_https(keepers=2)
    t.may_die = True
    t.start()
    served(t, 1000)
    keeper = t.roles()["keeper[1]"]
    os.kill(keeper, signal.SIGKILL)
    new = t.wait_role("keeper[1]", other_than=keeper)
    t.wait_log(rf"complete role=keeper\[1\] pid={new} pairs=1000")
    assert "CN = a.example" in handshake(t, "a.example")
    t.process.send_signal(signal.SIGHUP)
    t.wait_ready(times=2)
    assert "CN = a.example" in handshake(t, "a.example")
    died = re.findall(r"died role=(\S+)", t.log())
    assert died == ["keeper[1]"]


# --- the process -----------------------------------------------------------


def test_killed_keeper_comes_back_with_all_pairs(make_https, directory):
    for name in "abc":
        directory.put(name)
    t = make_https(http={"workers": "1"})
    t.may_die = True
    t.start()
    served(t, 3)
    keeper = t.wait_role("keeper[0]")
    os.kill(keeper, signal.SIGKILL)
    new = t.wait_role("keeper[0]", other_than=keeper)
    t.wait_log(rf"complete role=keeper\[0\] pid={new} pairs=3")
    for name in "abc":
        assert f"CN = {name}.example" in handshake(t, f"{name}.example")
    wait_for(
        lambda: [
            r for r in t.status()["roles"]
            if (r["role"], r["index"], r["pid"]) == ("keeper", 0, new)
        ],
        "status to show the keeper",
    )


def test_a_keeper_that_hangs_is_replaced(make_https, directory):
    directory.put("a")
    t = make_https()
    t.may_die = True
    t.start()
    served(t, 1)
    keeper = t.wait_role("keeper[0]")
    os.kill(keeper, signal.SIGSTOP)
    directory.put("b")
    t.wait_log(
        rf'kill role=keeper\[0\] pid={keeper} reason="it does not answer"'
    )
    served(t, 2)
    assert "CN = b.example" in handshake(t, "b.example")


def test_number_of_keepers_follows_the_configuration(make_https, directory):
    directory.put("a")
    t = make_https(keepers=1).start()
    served(t, 1)

    def keepers():
        return sorted(x for x in t.roles() if x.startswith("keeper"))

    assert keepers() == ["keeper[0]"]
    t.settings["https"]["keepers"] = "3"
    t.write_conf()
    t.process.send_signal(signal.SIGHUP)
    t.wait_ready(times=2)
    wait_for(lambda: len(keepers()) == 3, "three keepers")
    for i in (1, 2):
        t.wait_log(rf"complete role=keeper\[{i}\] pid=\d+ pairs=1")
    t.settings["https"]["keepers"] = "2"
    t.write_conf()
    t.process.send_signal(signal.SIGHUP)
    wait_for(
        lambda: keepers() == ["keeper[0]", "keeper[1]"], "two keepers"
    )
    t.wait_ready(times=3)
    assert "CN = a.example" in handshake(t, "a.example")
    t.settings["https"]["listen"] = ""
    t.write_conf()
    t.process.send_signal(signal.SIGHUP)
    wait_for(lambda: keepers() == [], "no keeper")
    assert t.get("/").body == b"Hello."


def test_an_address_cannot_be_both(make_https):
    t = make_https()
    t.settings["https"]["listen"] = t.settings["http"]["listen"]
    t.write_conf()
    t.start(wait=False)
    assert t.process.wait(20) == 78
    assert "[https] listen has" in t.log()


def test_only_the_keeper_maps_libcrypto(make_https, directory):
    directory.put("a")
    t = make_https().start()
    served(t, 1)
    roles = {**t.roles(), "monitor": t.process.pid}
    for name, pid in roles.items():
        maps = Path(f"/proc/{pid}/maps").read_text()
        assert ("libcrypto" in maps) == (name == "keeper[0]"), name


def test_keeper_has_nothing(make_https, directory):
    directory.put("a")
    t = make_https().start()
    served(t, 1)
    pid = t.wait_role("keeper[0]")
    assert_restricted(pid, 60981)
    assert os.listdir(f"/proc/{pid}/root") == []
    unix = Path("/proc/net/unix").read_text()
    for fd, target in descriptors(pid).items():
        if fd <= 2:
            assert target == str(t.log_path)
            continue
        match = re.match(r"socket:\[(\d+)\]", target)
        # The copies of its files are closed again, too.
        assert match or target == "anon_inode:[eventpoll]", (fd, target)
        assert not match or f" {match[1]}" in unix, (fd, target)
    cmdline = Path(f"/proc/{pid}/cmdline").read_bytes()
    assert cmdline == b"postal-tracker: keeper[0]\0"
    if "sanitized" not in TRACKER:
        smaps = Path(f"/proc/{pid}/smaps").read_text()
        heap = smaps[smaps.index("[heap]"):]
        flags = re.search(r"VmFlags: (.*)", heap)[1].split()
        assert "dd" in flags, flags


# --- where the keys are ----------------------------------------------------


def memory(pid):
    """All that can be read of a process, a region at a time."""
    with open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights = line.split()[:2]
            low, high = (int(x, 16) for x in span.split("-"))
            if rights[0] != "r" or line.endswith(("[vvar]", "[vsyscall]")):
                continue
            # The shadow of sanitizers: huge, and never copies of bytes.
            if "sanitized" in TRACKER and high - low > 1 << 28:
                continue
            while low < high:
                size = min(high - low, 8 << 20)
                try:
                    mem.seek(low)
                    yield mem.read(size)
                except (OSError, ValueError):
                    pass
                # Nothing that is cut by two readings is longer.
                low += size if size < 8 << 20 else size - 4096


def found_in(pid, secrets):
    """Names of those secrets that are there, in either order of bytes."""
    found = set()
    for region in memory(pid):
        for name, value in secrets.items():
            if value in region or value[::-1] in region:
                found.add(name)
    return found


@pytest.mark.parametrize("kind", ["ec", "2048"])
def test_keys_are_in_no_other_memory(make_https, directory, kind):
    old = directory.put("a", kind)
    t = make_https(keepers=2, http={"workers": "2"}).start()
    served(t, 1)
    assert "CN = a.example" in handshake(t, "a.example")
    new = directory.put("a", kind)
    t.wait_log(r'certificate name="a" pair=2 replaced')
    t.wait_log(r"dropped pair=1\b")
    assert "CN = a.example" in handshake(t, "a.example")
    secrets = {f"old {n}": v for n, v in secrets_of(old).items()}
    secrets |= {f"new {n}": v for n, v in secrets_of(new).items()}
    roles = {**t.roles(), "monitor": t.process.pid}
    assert {"keeper[0]", "keeper[1]", "web[0]", "web[1]", "store[0]",
            "monitor"} <= set(roles)
    for name, pid in roles.items():
        if not name.startswith("keeper"):
            assert found_in(pid, secrets) == set(), name
    # The search finds what is there: the keepers have the new key, as
    # numbers, and neither its text nor anything of the old one.
    for index in (0, 1):
        found = found_in(roles[f"keeper[{index}]"], secrets)
        wanted = "new priv" if kind == "ec" else "new prime1"
        assert wanted in found, found
        # A sanitizer keeps stack frames and registers of its own.
        if "sanitized" not in TRACKER:
            assert not [n for n in found if "line" in n or "old" in n], found


def test_the_kernels_copies_are_sealed(make_https, directory):
    directory.put("a")
    t = make_https().start()
    served(t, 1)
    copies = [
        fd for fd, x in descriptors(t.process.pid).items()
        if "postal-tracker-certificate" in x
    ]
    assert len(copies) == 2
    maps = Path(f"/proc/{t.process.pid}/maps").read_text()
    assert "postal-tracker-certificate" not in maps
    web = t.wait_role("web[0]")
    for x in descriptors(web).values():
        assert "postal-tracker-certificate" not in x
    for fd in copies:
        with pytest.raises(OSError):
            with open(f"/proc/{t.process.pid}/fd/{fd}", "r+b", 0) as f:
                f.write(b"x")


# --- an ACME user that was taken over ----------------------------------------

ACME_UID = 60990


def link_as(uid, target, path):
    path.symlink_to(target)
    os.chown(path, uid, uid, follow_symlinks=False)


def test_links_of_the_acme_user(make_https, directory, work):
    """No pair is served that only its owner and root can read, unless root
    put the link there."""
    bank = Directory(work / "bank")
    for name in ("bank", "shop"):
        bank.put(name)
    bank.path.chmod(0o700)
    home = directory.path
    directory.put("good")
    for path in (home, *home.rglob("*")):
        os.chown(path, ACME_UID, ACME_UID)
    # Its own, as packaging/acme has them.
    archive = work / "archive"
    (home / "good").rename(archive)
    link_as(ACME_UID, archive, home / "good")
    (home / "files").mkdir()
    for name in ("fullchain.pem", "privkey.pem"):
        link_as(ACME_UID, bank.path / "bank" / name, home / "files" / name)
    link_as(ACME_UID, bank.path / "bank", home / "directory")
    link_as(0, bank.path / "shop", home / "shop")
    t = make_https().start()
    served(t, 2)
    why = f"a link of uid {ACME_UID} leads to what belongs to uid 0; only " \
        "root may make such a link"
    t.wait_log(f'name="files" error="fullchain.pem: {why}": not served')
    t.wait_log(f'name="directory" error="{why}": not served')
    assert "unrecognized name" in handshake(t, "bank.example")
    for name in ("good", "shop"):
        assert f"CN = {name}.example" in handshake(t, f"{name}.example")
    out = t.cli("check", check=False).stdout
    assert f"FAIL  certificate directory: {why}, so that it is not" in out
    assert f"FAIL  certificate files: fullchain.pem: {why}, so that" in out
    # It is said once, and mended by root alone, without a reload.
    assert t.log().count(why) == 2
    (home / "directory").unlink()
    link_as(0, bank.path / "bank", home / "directory")
    served(t, 3)
    assert "CN = bank.example" in handshake(t, "bank.example")
    # The place of the whole directory may be that user's, too.
    home.rename(work / "away")
    link_as(ACME_UID, bank.path, home)
    t.wait_log(rf"\[https\] certificates {home}: {why}")
    assert "CN = good.example" in handshake(t, "good.example")
    assert "unrecognized name" in handshake(t, "files.example")
