"""Certificates, keys and challenges of Postal 1.x, out of its own table."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from certificates import Directory, Issuer, make_key, openssl, secrets_of
from conftest import TRACKER, free_port, wait_for
from forward_help import QUICK, one_server
from test_keeper import found_in, handshake, served

NAME = "click.example.com"
ROW = f"track_certificates/{NAME}"
CHALLENGES = "/.well-known/acme-challenge/"


@pytest.fixture
def issuer(work):
    return Issuer(work / "issuer")


@pytest.fixture
def make_world(make_stack, work):
    """Tracker with HTTPS, forwarder and Postal 1.x; not started yet."""

    def make(generation="1.x", settings=None, https=True, **kwargs):
        merged = {**QUICK, "log": {"level": "debug"}, **(settings or {})}
        port = free_port()
        if https:
            merged["https"] = {
                "listen": f"127.0.0.1:{port}", **merged.get("https", {})
            }
        s = make_stack(generation=generation, settings=merged, **kwargs)
        s.tracker.https_port = port
        one_server(s.postal)
        return s

    return make


@pytest.fixture
def world(make_world):
    return make_world()


def fingerprint(certificate):
    out = openssl("x509", "-noout", "-fingerprint", "-sha256",
                  data=certificate)
    return out.split("=")[1].strip()


def shown(t, name=NAME):
    """Fingerprint of the leaf that is served, or None."""
    out = handshake(t, name)
    found = re.search("-----BEGIN CERT.*?END CERTIFICATE-----", out, re.S)
    return fingerprint(found[0]) if found else None


def wait_shown(t, row, name=NAME):
    want = fingerprint(row["certificate"])
    try:
        wait_for(lambda: shown(t, name) == want, f"the certificate of {name}")
    except AssertionError as e:
        raise AssertionError(f"{e}\n{t.log()}") from None


def wait_checked(t, pattern):
    """The daemon tells once a second; what `check` says."""

    def said():
        out = t.cli("check", check=False).stdout
        return out if re.search(pattern, out) else None

    return wait_for(said, pattern)


def wait_unknown(t, name=NAME):
    wait_for(
        lambda: "unrecognized name" in handshake(t, name),
        f"{name} to be unknown",
    )


def row_files(pid):
    """Memory files of rows that a process has open."""
    found = []
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(entry.path)
        except FileNotFoundError:
            continue  # closed meanwhile
        if "postal-tracker-row" in target:
            found.append(target)
    return found


# --- certificates ----------------------------------------------------------


def test_served_with_its_chain(world, issuer):
    """A real client, which knows the root alone, is content."""
    t = world.tracker
    row = issuer.row(NAME)
    world.postal.add_certificate(NAME.upper(), **row)
    # None that Postal's own server would have taken.
    world.postal.add_certificate("old.example.com", days=-1, **row)
    world.postal.add_certificate("never.example.com", key=row["key"])
    world.postal.add_certificate("default", **row)
    world.postal.add_certificate("*.example.net", **row)
    world.start()
    wait_shown(t, row)
    r = subprocess.run(
        ["curl", "-sS", "--tls-max", "1.2", "--cacert", issuer.directory / "root.pem",
         "--resolve", f"{NAME}:{t.https_port}:127.0.0.1",
         f"https://{NAME}:{t.https_port}/ctqu6f/H0zoVR7I", "-w",
         "%{http_code} %{redirect_url}", "-o", "/dev/null"],
        capture_output=True, text=True, timeout=30, check=False,
    )
    assert r.stdout.startswith("307 https://example.com/landing"), r
    chain = handshake(t, NAME, "-showcerts")
    assert chain.count("BEGIN CERTIFICATE") >= 2, chain
    assert "CN = intermediate" in chain
    t.wait_log(rf'certificate name="{ROW}" pair=\d+ taken')
    # They are not in the way: no line says anything of them.
    assert "old.example.com" not in t.log() + world.forwarder.log()
    for name in ("old.example.com", "never.example.com", "default",
                 "a.example.net", "other.example.com"):
        assert "unrecognized name" in handshake(t, name), name
    assert "error=" not in world.forwarder.log()


def test_renewed_broken_removed(world, issuer):
    t, postal = world.tracker, world.postal
    row = issuer.row(NAME)
    postal.add_certificate(NAME, **row)
    world.start()
    wait_shown(t, row)
    renewed = issuer.row(NAME, "ec")
    postal.change_certificate(NAME, **renewed)
    wait_shown(t, renewed)
    t.wait_log(rf'certificate name="{ROW}" pair=\d+ replaced')
    t.wait_log(r"dropped pair=1\b")
    said = wait_checked(
        t, "ok    certificates: 1 of Postal's track_certificates are served")
    assert "it is not set" not in said
    # Broken, in each of its parts: one line each, and the one before stays.
    for columns, why in (
        ({"key": make_key()},
         "column key: [^\\n]*does not belong to the certificate"),
        ({"key": None}, "column key: there is no private key in it"),
        ({"key": "x" * 20000}, "the key is longer than a key may be"),
        ({"certificate": "nonsense", "intermediaries": None},
         "columns certificate and intermediaries: "),
    ):
        postal.change_certificate(NAME, **{**renewed, **columns})
        t.wait_log(rf'certificate name="{ROW}" error="[^\n]*{why}[^\n]*: the '
                   r"pair before it stays in use")
        assert shown(t) == fingerprint(renewed["certificate"])
        wait_checked(t, rf"FAIL  certificate of {NAME} in track_certificates: "
                     rf"[^\n]*{why}[^\n]*the one before it is served")
    # As long as MySQL lets it be.
    postal.change_certificate(
        NAME, **{**renewed, "intermediaries": "\n" * 65535,
                 "certificate": renewed["certificate"] + "\n" * 60000})
    t.wait_log(rf'certificate name="{ROW}" pair=\d+ replaced\n(.*\n)*'
               rf'.*certificate name="{ROW}" pair=\d+ replaced')
    assert t.log().count("stays in use") == 4
    # A row that is not active any more, or gone, is not served.
    postal.change_certificate(NAME, expires_at="2020-01-01")
    wait_unknown(t)
    t.wait_log(rf'certificate name="{ROW}" is gone')
    postal.change_certificate(NAME, expires_at="2200-01-01")
    wait_for(lambda: shown(t), "the certificate again")
    postal.remove_certificate(NAME)
    wait_unknown(t)
    assert "error=" not in world.forwarder.log()


def test_mysql_away_and_a_role_killed(world, issuer):
    """What was served stays; a role that is started again gets it too."""
    t, postal = world.tracker, world.postal
    t.may_die = True
    row = issuer.row(NAME)
    postal.add_certificate(NAME, **row)
    world.start()
    wait_shown(t, row)
    postal.main_server.stop()
    for name in ("keeper[0]", "web[0]", "store[0]"):
        pid = t.wait_role(name)
        os.kill(pid, signal.SIGKILL)
        t.wait_role(name, other_than=pid)
        wait_shown(t, row)
    world.forwarder.stop()
    t.process.send_signal(signal.SIGHUP)
    t.wait_ready(times=2)
    wait_shown(t, row)
    # Keys are on no disk: after a restart they come with the forwarder.
    t.stop()
    t.start()
    assert "unrecognized name" in handshake(t, NAME)
    world.forwarder.start()
    postal.main_server.start()
    wait_shown(t, row)


def test_a_forwarder_started_again_changes_nothing(world, issuer):
    t, postal = world.tracker, world.postal
    rows = {f"n{i}.example.com": issuer.row(f"n{i}.example.com", "ec")
            for i in range(20)}
    for name, row in rows.items():
        postal.add_certificate(name, **row)
    world.start()
    served(t, 20)
    for name, row in rows.items():
        assert shown(t, name) == fingerprint(row["certificate"])
    # In one go, not one after the other.
    assert len(re.findall(r"certificates served=\d+", t.log())) <= 5, t.log()
    before = len(re.findall("certificate name=", t.log()))
    world.forwarder.stop()
    # What changed while it was away it says when it is back.
    postal.remove_certificate("n7.example.com")
    new = issuer.row("n8.example.com", "ec")
    postal.change_certificate("n8.example.com", **new)
    world.forwarder.start()
    wait_unknown(t, "n7.example.com")
    wait_shown(t, new, "n8.example.com")
    lines = re.findall("certificate name=.*", t.log())[before:]
    assert len(lines) == 2, lines


def test_the_directory_wins(make_world, issuer, work):
    """For the same name, and for what a wildcard of it covers."""
    directory = Directory(work / "certificates")
    world = make_world(settings={
        "https": {"certificates": str(directory.path)}})
    t, postal = world.tracker, world.postal
    rows = {n: issuer.row(n, "ec", also=["victim.example.com"])
            for n in (NAME, "a.wild.example", "alone.example.com")}
    for name, row in rows.items():
        postal.add_certificate(name, **row)
    directory.put("mine", host=NAME)
    directory.put("wild", host="*.wild.example")
    world.start()
    wait_shown(t, rows["alone.example.com"], "alone.example.com")
    served(t, 5)
    for name in (NAME, "a.wild.example"):
        assert shown(t, name) not in (
            None, *(fingerprint(r["certificate"]) for r in rows.values()))
    # A row is served for its own domain, whatever else is in it.
    assert "unrecognized name" in handshake(t, "victim.example.com")
    # Out of the directory: the row is what is left, at once.
    for file in ("privkey.pem", "fullchain.pem"):
        (directory.path / "mine" / file).unlink()
    (directory.path / "mine").rmdir()
    wait_shown(t, rows[NAME])
    directory.put("mine", host=NAME)
    wait_for(lambda: shown(t) not in
             (None, fingerprint(rows[NAME]["certificate"])), "the directory's")


def test_https_by_reload(make_world, issuer):
    """Turned on, off and on again while the forwarder runs."""
    world = make_world(https=False)
    t = world.tracker
    row = issuer.row(NAME)
    world.postal.add_certificate(NAME, **row)
    world.start()
    assert found_in(t.process.pid, secrets_of(row["key"])) == set()
    for times, listen in ((2, f"127.0.0.1:{t.https_port}"), (3, ""),
                          (4, f"127.0.0.1:{t.https_port}")):
        t.settings.setdefault("https", {})["listen"] = listen
        t.write_conf()
        t.process.send_signal(signal.SIGHUP)
        t.wait_ready(times=times)
        if listen:
            wait_shown(t, row)
        else:
            assert row_files(t.process.pid) == []


@pytest.mark.parametrize("how", ["dropped", "forbidden"])
def test_without_the_table(make_world, issuer, how):
    """Postal 2.x and 3.x: no error, no line in the log."""
    world = make_world("3.x")
    t, postal = world.tracker, world.postal
    if how == "dropped":
        postal.main.execute("DROP TABLE postal.track_certificates")
        # One who has a grant on the database is told that it is not there.
        postal.main.execute(
            f"GRANT SELECT ON postal.* TO '{postal.user}'@'%'")
    else:
        postal.main.execute(
            "REVOKE SELECT ON postal.track_certificates "
            f"FROM '{postal.user}'@'%'")
    world.start()
    for name in ("x", "", "../x"):
        assert t.get(CHALLENGES + name).body == b"Hello."
    world.forwarder.reload()
    time.sleep(1)
    for log in (world.forwarder.log(), t.log()):
        assert "track_certificates" not in log, log
    assert t.status()["forwarder"]["error"] is None


def test_many(make_world, issuer):
    """More than are served: one line, and the rest works."""
    world = make_world()
    t, postal = world.tracker, world.postal
    row = issuer.row(NAME, "ec")
    columns = ", ".join(f"`{c}`" for c in row)
    postal.main.execute(
        "INSERT INTO postal.track_certificates (domain, expires_at, "
        f"created_at, updated_at, {columns}) SELECT CONCAT('n', seq, "
        "'.example.com'), '2200-01-01', NOW(), NOW(), %s, %s, %s "
        "FROM seq_1_to_2001", tuple(row.values()))
    world.start()
    wait_for(lambda: "certificates served=2000\n" in t.log(),
             "2000 certificates", 120)
    world.forwarder.wait_log("more than 2000 certificates: the others are")
    wait_shown(t, row, "n2000.example.com")
    assert "unrecognized name" in handshake(t, "n2001.example.com")


# --- where the keys are ----------------------------------------------------


@pytest.mark.parametrize("kind, tls", [("2048", False), ("ec", True)])
def test_keys_are_in_no_other_memory(
    make_world, make_mariadb, issuer, kind, tls
):
    """Nor in a file; the forwarder forgets them when they are handed over."""
    server = make_mariadb(tls=tls)
    settings = {"http": {"workers": "2"}, "https": {"keepers": "2"}}
    if tls:
        settings["main_db"] = {"tls_ca": server.ca}
    world = make_world(main=server, settings=settings)
    t, postal = world.tracker, world.postal
    old, new = issuer.row(NAME, kind), issuer.row(NAME, kind)
    postal.add_certificate(NAME, **old)
    world.start()
    wait_shown(t, old)
    postal.change_certificate(NAME, **new)
    wait_shown(t, new)
    t.wait_log(r"dropped pair=1\b")
    if tls:
        assert re.search("connected .* tls=TLS", world.forwarder.log())
    secrets = {f"old {n}": v for n, v in secrets_of(old["key"]).items()}
    secrets |= {f"new {n}": v for n, v in secrets_of(new["key"]).items()}
    roles = {**t.roles(), "monitor": t.process.pid,
             "forwarder": world.forwarder.process.pid}
    assert {"keeper[0]", "keeper[1]", "web[0]", "web[1]", "store[0]"} <= set(
        roles)
    # The search finds what is there: the keepers have the new key.
    for index in (0, 1):
        found = found_in(roles[f"keeper[{index}]"], secrets)
        assert ("new priv" if kind == "ec" else "new prime1") in found
    for name, pid in roles.items():
        if name.startswith("keeper"):
            continue
        # A sanitizer keeps what was freed.
        if name == "forwarder" and "sanitized" in TRACKER:
            continue
        assert found_in(pid, secrets) == set(), name
    # Only the monitor holds the files, of the pair that is served.
    for name, pid in roles.items():
        files = row_files(pid)
        assert len(files) == (2 if name == "monitor" else 0), (name, files)
    maps = Path(f"/proc/{t.process.pid}/maps").read_text()
    assert "postal-tracker-row" not in maps
    # Nothing of it is on a disk.
    for path in t.spool.iterdir():
        data = path.read_bytes()
        assert not [n for n, v in secrets.items() if v in data], path
    world.forwarder.stop()
    t.stop()
    for path in t.spool.iterdir():
        data = path.read_bytes()
        assert not [n for n, v in secrets.items() if v in data], path
    for text in (t.log(), world.forwarder.log()):
        assert "PRIVATE KEY" not in text


def test_a_log_that_is_no_file(make_world, issuer):
    """As under systemd, where the limit on file sizes is in force."""
    world = make_world(command=["bash", "-c", 'exec "$@" 2> >(cat)', "-"])
    row = issuer.row(NAME)
    world.postal.add_certificate(NAME, **row)
    world.start()
    pid = world.forwarder.process.pid
    assert "pipe:" in os.readlink(f"/proc/{pid}/fd/2")
    limits = Path(f"/proc/{pid}/limits").read_text()
    assert re.search(r"Max file size +131073 ", limits), limits
    wait_shown(world.tracker, row)


# --- challenges ------------------------------------------------------------


def test_challenges(world):
    t, postal = world.tracker, world.postal
    text = "AbC-_9.0123456789012345678901234567890123456789012"
    postal.add_certificate(
        NAME, verification_path=CHALLENGES[1:] + "AbC-_9",
        verification_string=text)
    world.start()
    wait_for(lambda: t.get(CHALLENGES + "AbC-_9").status == 200, "it")
    for target in ("AbC-_9", "aBc-_9", "AbC-_9?x=y"):
        reply = t.get(CHALLENGES + target)
        assert (reply.status, reply.body) == (200, text.encode()), target
        assert reply.header("Content-Type").startswith("text/plain")
        assert reply.header("Cache-Control") == "no-store"
    # Postal 1.x answers so what it does not know.
    for target in ("AbC-_", "AbC-_90", "", "../x", "AbC-_9/"):
        reply = t.get(CHALLENGES + target)
        assert (reply.status, reply.body) == (
            404, b"Verification not found"), target
    # Of two that differ in case, the one that is meant.
    postal.add_certificate(
        "b.example", verification_path=CHALLENGES[1:] + "abc-_9",
        verification_string="other")
    wait_for(lambda: t.get(CHALLENGES + "abc-_9").body == b"other", "the new")
    assert t.get(CHALLENGES + "AbC-_9").body == text.encode()
    assert t.status()["accepted"] == 0
    # MySQL away, the forwarder away, the store killed: still.
    t.may_die = True
    postal.main_server.stop()
    world.forwarder.stop()
    pid = t.wait_role("store[0]")
    os.kill(pid, signal.SIGKILL)
    t.wait_role("store[0]", other_than=pid)
    assert t.get(CHALLENGES + "AbC-_9").body == text.encode()
    assert t.get(CHALLENGES + "none").status == 404


def test_a_challenge_is_there_at_once(world, say):
    """Postal writes it, and the authority asks in the same second."""
    t, postal = world.tracker, world.postal
    world.start()
    # The forwarder has looked at the table, which is empty.
    world.forwarder.reload()
    times = []
    for i in range(10):
        token = f"Fresh{i}"
        postal.add_certificate(
            f"n{i}.example", verification_path=CHALLENGES[1:] + token,
            verification_string=f"{token}.key")
        started = time.monotonic()
        reply = t.get(CHALLENGES + token)
        times.append(time.monotonic() - started)
        assert (reply.status, reply.body) == (200, f"{token}.key".encode()), i
    say(f"a new challenge: {max(times) * 1000:.0f} ms at most")
    # Strangers who ask for nothing are answered, and cost little.
    before = reads(postal)
    started = time.monotonic()
    for i in range(20):
        assert t.get(CHALLENGES + f"scan{i}").status == 404
    passed = time.monotonic() - started
    assert reads(postal) - before <= passed / 0.5 * 4 + 8


def reads(postal):
    rows = postal.main.execute("SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'")
    return int(rows[0][1])


def test_challenges_of_the_directory_come_first(make_world, work):
    path = work / "challenges"
    path.mkdir()
    os.chmod(path, 0o755)
    (path / "one").write_text("of the directory")
    world = make_world(settings={"https": {"acme_challenges": str(path)}})
    t, postal = world.tracker, world.postal
    for token in ("one", "two"):
        postal.add_certificate(
            f"{token}.example", verification_path=CHALLENGES[1:] + token,
            verification_string="of the table")
    world.start()
    wait_for(lambda: t.get(CHALLENGES + "two").body == b"of the table", "it")
    assert t.get(CHALLENGES + "one").body == b"of the directory"
    assert t.get(CHALLENGES + "three").status == 404
