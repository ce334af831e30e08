"""Certificates that come by themselves: domains, the script, the challenges."""

import os
import re
import signal
import subprocess
import time

import pytest

from acme import (
    LIFE, ROOT, SCRIPT, UID, Authority, Client, by_name, domains, needing,
)
from certificates import Issuer, openssl
from conftest import TRACKER, free_port, wait_for
from fake_forwarder import FIRST, LAST, Forwarder, Handover
from forward_help import QUICK, one_server

NAMES = ("click.example.com", "track.example.org")


@pytest.fixture
def scene(work, make_tracker, request):
    """Tracker, authority and client; the domains are in Postal.

    Parameter: how long a certificate lives.
    """
    home = work / "acme"
    t = make_tracker(
        {
            "postal": {"mode": "mysql"},
            "https": {
                "acme_challenges": str(home / "challenges"),
                "certificates": str(home / "certificates"),
            },
        }
    )
    authority = Authority(work, t.port, getattr(request, "param", LIFE))
    t.authority = authority
    t.client = Client(work, authority)
    t.start()
    yield t
    authority.stop()


def appear(t, *names):
    with Forwarder(t) as f:
        f.servers({1: "ctqu6f"})
        f.domains([(name, 1) for name in names])


def snapshot(directory):
    """Every file with its time and inode."""
    return {
        str(p): (p.lstat().st_mtime_ns, p.lstat().st_ino)
        for p in directory.rglob("*") if p.name != "lock"
        and p.name not in ("issued", "work")
    }


def test_issued_by_itself(scene):
    t, client = scene, scene.client
    t.authority.set_hosts({name: "127.0.0.1" for name in NAMES})
    appear(t, *NAMES)
    assert needing(t) == list(NAMES)
    before = by_name(t)["click.example.com"]
    assert before["needs"] == "certificate" and before["here"]
    assert before["postal_dns_ok"] and before["certificate"] is None

    client.run(needing(t))
    for name in NAMES:
        chain = client.certificate(name)
        key = chain.with_name("privkey.pem")
        # A pair, of this name, P-256, with the authority's chain.
        public = openssl("x509", "-in", chain, "-noout", "-pubkey")
        assert public == openssl("pkey", "-in", key, "-pubout")
        text = openssl("x509", "-in", chain, "-noout", "-text")
        assert f"DNS:{name}" in text and "prime256v1" in text
        assert chain.read_text().count("BEGIN CERTIFICATE") >= 2
        assert os.stat(key).st_mode & 0o077 == 0
        assert os.stat(key).st_uid == UID
    # Challenges were ours, came over HTTP, and are gone.
    assert os.listdir(client.home / "challenges") == []

    assert needing(t) == []
    after = by_name(t)["click.example.com"]
    assert after["needs"] == "nothing"
    assert after["certificate"]["names"] == ["click.example.com"]
    assert after["certificate"]["days_left"] >= 60
    assert "ok          click.example.com: certificate" in domains(t).stdout
    assert t.status()["accepted"] == 0, "a challenge is no event"

    # Again: nothing to do, and even when asked to it touches nothing.
    files = snapshot(client.home)
    client.run(needing(t))
    client.run(NAMES)
    assert snapshot(client.home) == files


def test_renewal_is_one_step(scene):
    """Whoever opens the directory has a pair, before and after."""
    client = scene.client
    name = NAMES[0]
    client.run([name])
    client.a_day_later(name)
    link = client.home / "certificates" / name
    held = os.open(link, os.O_RDONLY | os.O_DIRECTORY)
    before = client.certificate(name).read_bytes()

    client.run([name])
    assert client.certificate(name).read_bytes() != before
    with open(os.open("fullchain.pem", os.O_RDONLY, dir_fd=held), "rb") as f:
        assert f.read() == before, "the old pair is whole"
    with open(os.open("privkey.pem", os.O_RDONLY, dir_fd=held), "rb") as f:
        assert f.read() != client.certificate(name).with_name(
            "privkey.pem"
        ).read_bytes(), "a new key"
    os.close(held)
    # A renewal is not counted as new.
    assert len((client.home / "issued").read_text().splitlines()) == 1


def full_disk(client, where):
    """From now on cp fails as on a full disk, where its target has this."""
    cp = client.bin / "cp"
    cp.write_text(
        "#!/bin/sh\n"
        "for target; do :; done\n"
        f"case $target in *{where})\n"
        '\t: >"$target"\n'
        "\techo 'cp: No space left on device' >&2\n"
        "\texit 1\n"
        "esac\n"
        'exec /bin/cp "$@"\n'
    )
    cp.chmod(0o755)
    client.settings["PATH"] = f"{client.bin}:{os.environ['PATH']}"


@pytest.mark.parametrize("file", ["fullchain.pem", "privkey.pem"])
def test_full_disk_leaves_the_pair_in_use(scene, file):
    client = scene.client
    name, other = NAMES
    client.run([name])
    client.a_day_later(name)
    link = client.home / "certificates" / name
    before = os.readlink(link)
    chain = client.certificate(name).read_bytes()

    full_disk(client, f"/archive/*/{file}")
    for failures in ("1", "2", "3", "4"):
        r = client.run([name, other], check=False)
        assert r.returncode == 75, r.stderr
        assert f"{name} failed ({failures})" in r.stderr
        assert "cannot be put into" in r.stderr
        assert "has a new certificate" not in r.stderr
        # Other names would only be asked for in vain.
        assert other not in r.stderr
        assert os.readlink(link) == before
        assert client.certificate(name).read_bytes() == chain
        archive = client.home / "archive" / name
        assert os.listdir(archive) == [os.path.basename(before)]
        assert sorted(os.listdir(link.parent)) == [name]
        # It is noted, so that the authority is not asked every hour.
        state = client.state(name)
        assert state["failures"] == failures
        assert int(state["next"]) >= time.time() + 3500
        path = client.home / "state" / name
        path.write_text(re.sub("next=.*", "next=0", path.read_text()))
    assert len((client.home / "issued").read_text().splitlines()) == 1

    (client.bin / "cp").unlink()
    client.run([name])
    assert os.readlink(link) != before
    assert client.state(name) == {}


def test_full_disk_and_a_new_name(scene):
    client = scene.client
    full_disk(client, "/archive/*/privkey.pem")
    r = client.run([NAMES[0]], check=False)
    assert r.returncode == 75, r.stderr
    assert os.listdir(client.home / "certificates") == []
    assert os.listdir(client.home / "archive" / NAMES[0]) == []
    assert (client.home / "issued").read_text() == ""


def orders(t):
    return t.authority.log().count("POST /order-plz")


@pytest.mark.parametrize("place", ["state", "work", "issued"])
def test_what_cannot_be_kept_is_not_ordered(scene, place):
    t, client = scene, scene.client
    client.run([NAMES[0]])
    n = orders(t)
    assert n == 1
    if place == "state":
        os.chmod(client.home / "state", 0o500)
    elif place == "work":
        full_disk(client, "/private/key.pem")
    else:
        os.chown(client.home / "issued", 0, 0)
        os.chmod(client.home / "issued", 0o600)
    r = client.run([NAMES[1]], check=False)
    assert r.returncode == 75, r.stderr
    assert "cannot be written" in r.stderr
    assert orders(t) == n
    assert os.listdir(client.home / "certificates") == [NAMES[0]]


def test_a_run_that_is_cut_off_counts(scene):
    """As by a power cut between the order and its end."""
    client = scene.client
    uacme = client.bin / "uacme"
    client.run([NAMES[1]])
    uacme.write_text('#!/bin/sh\nkill -9 "$(ps -o ppid= -p $PPID)"\n')
    uacme.chmod(0o755)
    client.settings["PATH"] = f"{client.bin}:{os.environ['PATH']}"
    r = client.run([NAMES[0]], check=False)
    assert r.returncode != 0
    state = client.state(NAMES[0])
    assert state["failures"] == "1" and state["error"] == "it was cut off"


def test_oldest_pairs_go(scene):
    client = scene.client
    name = NAMES[0]
    for _ in range(5):
        client.run([name])
        client.a_day_later(name, 90000)
    # One of a clock that ran ahead is no reason to remove the newest.
    archive = client.home / "archive" / name
    for i in range(4):
        (archive / str(4000000000 + i)).mkdir()
    client.run([name])
    assert client.certificate(name).exists()
    assert len(os.listdir(archive)) == 3


@pytest.mark.parametrize("scene", [86400], indirect=True)
def test_certificate_of_a_day(scene):
    """It is due after 16 hours, which is within a day."""
    client = scene.client
    name = NAMES[0]
    client.run([name])
    link = client.home / "certificates" / name
    client.a_day_later(name, 3 * 3600)
    before = os.readlink(link)
    r = client.run([name])
    # It lives for a second less.
    assert f"{name} has to wait: its certificate came 180 min ago, another " \
        "may come after 239 min" in r.stderr
    assert os.readlink(link) == before
    client.a_day_later(name, 3600)
    before = os.readlink(link)
    client.run([name])
    assert os.readlink(link) != before


def test_notes_of_another_authority(scene):
    """A failed try at a staging authority holds up nothing."""
    t, client = scene, scene.client
    name, fails = NAMES
    t.authority.set_hosts({name: "127.0.0.1" for name in NAMES})
    appear(t, *NAMES)
    t.authority.fail_dns(fails)
    client.run([])
    staging = "https://staging.example/directory"
    note = "failures=5\ntried=1\nnext={}\nurl={}\nerror=x\n"
    for n in NAMES:
        (client.home / "state" / n).write_text(
            note.format(int(time.time()) + 90000, staging))
    out = domains(t, "--needing", url=staging).stdout
    assert out == ""
    assert "5 failed, next try" in domains(t, url=staging).stdout
    assert needing(t) == list(NAMES)
    assert by_name(t)[name]["acme"] is None
    client.run(needing(t))
    assert client.certificate(name).exists()
    state = client.state(fails)
    assert state["failures"] == "1" and state["url"] == t.authority.url

    # Without a setting it is the one that the script asks then.
    usual = re.search(r"ACME_URL:-(\S+)}", SCRIPT.read_text()).group(1)
    (client.home / "state" / fails).write_text(
        note.format(int(time.time()) + 90000, usual))
    assert "5 failed, next try" in domains(t, url="").stdout
    assert needing(t) == [fails]


def test_tried_again_at_once(scene):
    """As postal-tracker-acme(8) says."""
    t, client = scene, scene.client
    name = NAMES[0]
    t.authority.set_hosts({name: "127.0.0.1"})
    appear(t, name)
    page = (ROOT / "packaging/man/postal-tracker-acme.8").read_text()
    command = re.search(r"(?m)^# (rm \S+/state/click.example.com)$", page)
    state = client.home / "state" / name
    client.run([])
    state.write_text("failures=5\ntried=1\nnext=4000000000\n"
                     f"url={t.authority.url}\nerror=x\n")
    r = client.run([name])
    assert f"{name} has to wait: it failed, next try after 2096-10-02T" \
        in r.stderr
    subprocess.run(
        command.group(1).replace("/var/lib/postal-tracker-acme",
                                 str(client.home)),
        shell=True, check=True,
    )
    client.run(needing(t))
    assert client.certificate(name).exists()


def test_after_a_staging_authority(scene):
    """As postal-tracker-acme(8) says: at once, and what is ours stays."""
    client = scene.client
    ours = client.home / "certificates/ours.example.com"
    due_certificate(ours, "ours.example.com", 90)
    client.run([NAMES[0]])
    before = client.certificate(NAMES[0]).read_bytes()
    page = (ROOT / "packaging/man/postal-tracker-acme.8").read_text()
    commands = re.search(r"(?ms)^# cd /var.*?^# systemctl", page).group()
    commands = commands.removesuffix("# systemctl").replace(
        "/var/lib/postal-tracker-acme", str(client.home))
    subprocess.run(
        re.sub("(?m)^# ", "", commands), shell=True, check=True)
    assert os.listdir(ours.parent) == [ours.name]
    client.settings["ACME_NEW_A_WEEK"] = "1"
    client.run([NAMES[0]])
    assert client.certificate(NAMES[0]).read_bytes() != before
    assert sorted(os.listdir(ours)) == ["fullchain.pem", "privkey.pem"]


def test_a_second_that_has_a_pair(scene):
    """Whoever removed its link asks again at once."""
    client = scene.client
    archive = client.home / "archive" / NAMES[0]
    now = int(time.time())
    seconds = [archive / str(now + i) for i in range(60)]
    for directory in (archive.parent, archive, *seconds):
        directory.mkdir()
        os.chown(directory, UID, UID)
    client.run([NAMES[0]])
    assert client.certificate(NAMES[0]).exists()
    link = client.home / "certificates" / NAMES[0]
    assert os.readlink(link) == f"../archive/{NAMES[0]}/{now + 60}"


def test_last_line_without_an_end(scene):
    client = scene.client
    r = client.authority.run(
        [client.bin / "postal-tracker-acme", "-"], UID,
        {"ACME_HOME": str(client.home), "ACME_URL": client.authority.url},
        input=NAMES[0],
    )
    assert r.returncode == 0
    assert client.certificate(NAMES[0]).exists()


def test_broken_dns(scene):
    """One that does not lead here is said, and never asked for."""
    t = scene
    t.authority.set_hosts(
        {"click.example.com": "127.0.0.1", "away.example.com": "192.0.2.7"}
    )
    appear(t, "click.example.com", "away.example.com", "gone.example.com",
           "under_score.example.com", "CLICK.example.com", "$(reboot).com")
    assert needing(t) == ["click.example.com"]
    rows = by_name(t)
    assert rows["away.example.com"]["needs"] == "dns"
    assert rows["away.example.com"]["addresses"] == ["192.0.2.7"]
    assert rows["gone.example.com"]["needs"] == "dns"
    assert rows["gone.example.com"]["dns_error"]
    assert rows["under_score.example.com"]["needs"] == "name"
    assert rows["$(reboot).com"]["needs"] == "name"
    text = domains(t).stdout
    assert "away.example.com: no certificate; resolves elsewhere: 192.0.2.7" \
        in text
    assert "gone.example.com: no certificate; does not resolve: " in text
    # Behind an address that this machine does not have itself.
    out = domains(t, "--needing", "--target", "192.0.2.7").stdout.split()
    assert out == ["away.example.com", "click.example.com"]
    out = domains(t, "--needing", "--target", "away.example.com").stdout
    assert out.split() == ["away.example.com", "click.example.com"]


def test_failure_is_shown_and_backs_off(scene):
    """The authority cannot resolve a name that leads here for us."""
    t, client = scene, scene.client
    t.authority.set_hosts({name: "127.0.0.1" for name in NAMES})
    appear(t, *NAMES)
    t.authority.fail_dns(NAMES[0])
    begin = int(time.time())
    r = client.run(needing(t))
    assert f"{NAMES[0]} failed (1)" in r.stderr
    # The other one is not held up.
    assert client.certificate(NAMES[1]).exists()
    assert not (client.home / "certificates" / NAMES[0]).exists()
    state = client.state(NAMES[0])
    assert state["failures"] == "1"
    assert 3600 <= int(state["next"]) - begin <= 3700
    assert needing(t) == []
    row = by_name(t)[NAMES[0]]
    assert row["needs"] == "wait" and row["acme"]["failures"] == 1
    assert "urn:ietf:params:acme:error" in row["acme"]["error"]
    text = domains(t).stdout
    assert f"wait        {NAMES[0]}: no certificate; 1 failed, next " in text
    # Not even when it is asked for.
    client.run([NAMES[0]])
    assert client.state(NAMES[0]) == state

    # It doubles, up to two days.
    path = client.home / "state" / NAMES[0]
    for failures, wait in ((1, 7200), (4, 57600), (6, 172800), (40, 172800)):
        path.write_text(f"failures={failures}\ntried=0\nnext=0\nerror=x\n")
        now = int(time.time())
        client.run([NAMES[0]])
        state = client.state(NAMES[0])
        assert state["failures"] == str(failures + 1)
        assert 0 <= int(state["next"]) - now - wait <= 60, (failures, state)


def test_limits(scene):
    client = scene.client
    names = [f"c{i}.example.com" for i in range(3)]
    client.settings = {"ACME_ORDERS_A_RUN": "1"}
    r = client.run(names)
    assert "1 orders in this run" in r.stderr
    made = sorted(os.listdir(client.home / "certificates"))
    assert made == names[:1]
    client.settings = {"ACME_NEW_A_WEEK": "2"}
    r = client.run(names + ["c.example.org"])
    assert "c2.example.com has to wait: 2 new names of example.com" in r.stderr
    made = sorted(os.listdir(client.home / "certificates"))
    assert made == ["c.example.org", "c0.example.com", "c1.example.com"]
    # A week later.
    issued = client.home / "issued"
    issued.write_text(
        "".join(
            f"{int(line.split()[0]) - 604801} {line.split(' ', 1)[1]}\n"
            for line in issued.read_text().splitlines()
        )
    )
    client.run(names)
    assert (client.home / "certificates" / "c2.example.com").exists()


def test_certificate_of_others_is_left_alone(scene):
    t, client = scene, scene.client
    theirs = client.home / "certificates" / NAMES[0]
    theirs.mkdir()
    (theirs / "fullchain.pem").write_text("broken")
    r = client.run([NAMES[0]])
    assert "is not of this script" in r.stderr
    assert (theirs / "fullchain.pem").read_text() == "broken"
    appear(t, NAMES[0])
    t.authority.set_hosts({NAMES[0]: "127.0.0.1"})
    row = by_name(t)[NAMES[0]]
    assert "fullchain.pem" in row["certificate_error"]


def test_authority_is_away(scene):
    t, client = scene, scene.client
    t.authority.stop()
    r = client.run([NAMES[0]], check=False)
    assert r.returncode == 75
    assert "no account at https://127.0.0.1" in r.stderr
    assert client.state(NAMES[0]) == {}


@pytest.mark.parametrize(
    "name", ["", "-c", "..", "a/../b.com", "a b.com", "$(id).com", "a.com/",
             "UPPER.com", "a..com", ".com", "a.com.", "localhost"]
)
def test_script_takes_only_names(scene, name):
    r = scene.client.run([name])
    assert "not a name" in r.stderr
    assert os.listdir(scene.client.home / "certificates") == []


def due_certificate(directory, name, days):
    directory.mkdir()
    openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt",
        "ec_paramgen_curve:prime256v1", "-nodes", "-days", str(days),
        "-subj", "/CN=x", "-addext", f"subjectAltName=DNS:{name}",
        "-keyout", directory / "privkey.pem",
        "-out", directory / "fullchain.pem",
    )


def put_pair(directory, chain, key):
    directory.mkdir()
    (directory / "fullchain.pem").write_text(chain)
    (directory / "privkey.pem").write_text(key)


def test_what_is_due(scene):
    t = scene
    home = t.client.home / "certificates"
    names = [f"{n}.example.com" for n in ("a", "b", "c", "wild", "e")]
    t.authority.set_hosts({name: "127.0.0.1" for name in names})
    appear(t, *names)
    due_certificate(home / "a.example.com", "a.example.com", 90)
    due_certificate(home / "b.example.com", "other.example.com", 90)
    due_certificate(home / "c.example.com", "c.example.com", 90)
    (home / "c.example.com" / "privkey.pem").unlink()
    assert needing(t) == ["b.example.com", "c.example.com", "e.example.com",
                          "wild.example.com"]
    text = domains(t).stdout
    assert "b.example.com has expired, is not valid yet or is of other" in text
    assert "c.example.com/privkey.pem: No such file" in text
    # One for all of them, under another name; but a worker takes the pair of a
    # name's own directory, whatever is in it.
    due_certificate(home / "default", "*.example.com", 40)
    assert needing(t) == ["b.example.com"]


def test_rows_of_postal(scene, work):
    """What Postal 1.x keeps valid needs no second certificate."""
    t = scene
    t.settings["https"]["listen"] = f"127.0.0.1:{free_port()}"
    t.write_conf()
    t.process.send_signal(signal.SIGHUP)
    t.wait_ready(2)
    issuer = Issuer(work / "issuer")
    # Postal renews when 31 to 21 days are left.
    rows = {"good": (-10, 80), "late": (-75, 15), "ends": (-77, 13),
            "over": (-90, -1), "shadow": (-10, 80), "broken": (-10, 80)}
    names = [f"{n}.example.com" for n in (*rows, "none")]
    t.authority.set_hosts({name: "127.0.0.1" for name in names})
    appear(t, *names)
    with Handover(t) as h:
        h.name([(f"{n}.example.com", "1") for n in rows], FIRST)
        for n, (start, end) in rows.items():
            chain, key = issuer.issue(f"{n}.example.com", start=start, end=end)
            if n == "broken":
                chain = "nonsense"
            h.give(f"{n}.example.com", "1", chain, key)
        h.name([], LAST)
    # A worker takes what is in the directory, also when it has ended.
    put_pair(t.client.home / "certificates/shadow.example.com",
             *issuer.issue("shadow.example.com", start=-90, end=-1))
    due = [f"{n}.example.com"
           for n in ("broken", "ends", "none", "over", "shadow")]
    # The daemon tells the store once a second.
    wait_for(lambda: needing(t) == due, "the rows")
    found = by_name(t)
    assert found["good.example.com"]["track_certificates"]["days_left"] == 80
    assert found["ends.example.com"]["track_certificates"]["days_left"] == 13
    assert found["shadow.example.com"]["track_certificates"] is None
    assert found["none.example.com"]["track_certificates"] is None
    text = domains(t).stdout
    assert "ok          late.example.com: certificate of Postal's " \
        "track_certificates, 15 days left\n" in text
    assert "certificate none.example.com: no certificate\n" in text
    out = check(t)
    assert "domain good.example.com" not in out, out
    assert "domain ends.example.com" not in out, out
    assert "warn  domain none.example.com: it has no certificate" in out


def test_arguments(scene, make_tracker):
    t = scene
    assert domains(t, "extra", check=False).returncode == 64
    assert domains(t, "--since", "1", check=False).returncode == 64
    assert domains(t).stdout == ""
    alone = make_tracker().start()
    r = alone.cli("domains", check=False)
    assert r.returncode == 69 and "standalone" in r.stderr
    r = alone.cli("domains", "--needing", check=False)
    assert r.returncode == 78 and "[https] certificates" in r.stderr
    alone.stop()
    r = alone.cli("domains", check=False)
    assert r.returncode == 69 and "no daemon listens" in r.stderr


def test_thousands_of_domains(scene):
    """More than one message."""
    t = scene
    names = [f"{'x' * 60}.d{i:04}.example.com" for i in range(3000)]
    with Forwarder(t) as f:
        f.servers({1: "ctqu6f"})
        for at in range(0, 3000, 1000):
            flags = (1 if at == 0 else 0) | (2 if at == 2000 else 0)
            f.domains([(n, 1) for n in names[at:at + 1000]], flags)
    wait_for(lambda: t.status()["domains"] == 3000, "the domains")
    t.authority.set_hosts({name: "127.0.0.1" for name in names})
    assert needing(t) == names


def test_units(scene):
    """systemd takes them as they are; it only looks, nothing is started."""
    units = scene.directory / "units"
    units.mkdir()
    (scene.client.bin / "postal-tracker").symlink_to(os.path.abspath(TRACKER))
    for name in ("postal-tracker-acme.service", "postal-tracker-acme.timer"):
        text = (ROOT / "packaging/systemd" / name).read_text()
        (units / name).write_text(
            text.replace("/usr/sbin/", f"{scene.client.bin}/")
        )
    r = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units.iterdir()],
        capture_output=True, text=True, timeout=60, check=False,
    )
    assert (r.returncode, r.stdout, r.stderr) == (0, "", "")


def check(t):
    return t.authority.run([TRACKER, "check", "-c", t.conf]).stdout


def test_check(scene):
    """Every name without certificate, with the reason."""
    t = scene
    t.authority.set_hosts(
        {"click.example.com": "127.0.0.1", "away.example.com": "192.0.2.7"}
    )
    appear(t, "click.example.com", "away.example.com")
    challenges = t.client.home / "challenges"
    out = check(t)
    assert f"ok    [https] acme_challenges {challenges}\n" in out
    assert "warn  domain away.example.com: it leads to 192.0.2.7, which is " \
        "no address of this machine, and it has no certificate; " in out
    assert "warn  domain click.example.com: it has no certificate, its " \
        "visitors get unrecognized_name; get one: `systemctl start " in out
    assert "tracking domains: 2 of 2 are not in order; all" in out
    os.chmod(challenges, 0o700)
    assert "FAIL  [https] acme_challenges" in check(t)
    os.chmod(challenges, 0o755)
    due_certificate(t.client.home / "certificates/default", "*.example.com", 90)
    t.authority.set_hosts(
        {"click.example.com": "127.0.0.1", "away.example.com": "127.0.0.1"}
    )
    assert "ok    tracking domains: all 2 lead here and have a certificate" \
        in check(t)
    t.stop()
    assert "tracking domains: not looked at: no daemon listens" in check(t)


def test_domains_of_postal(work, make_stack):
    """From Postal's tables, by the real forwarder, to a certificate."""
    home = work / "acme"
    stack = make_stack(
        settings={
            **QUICK,
            "https": {
                "acme_challenges": str(home / "challenges"),
                "certificates": str(home / "certificates"),
            },
        }
    )
    one_server(stack.postal)
    t = stack.tracker
    t.authority = Authority(work, t.port)
    try:
        t.client = Client(work, t.authority)
        stack.start()
        assert needing(t) == []
        stack.postal.add_track_domain(1, "click", "example.com", "OK")
        stack.postal.add_track_domain(1, "old", "example.com", "Missing")
        t.authority.set_hosts({"click.example.com": "127.0.0.1"})
        # Read when it begins, and every so often after that.
        stack.forwarder.reload()
        wait_for(lambda: t.status()["domains"] == 2, "the domains")
        assert needing(t) == ["click.example.com"]
        rows = by_name(t)
        assert rows["click.example.com"]["postal_dns_ok"]
        assert not rows["old.example.com"]["postal_dns_ok"]
        assert "Postal's check of its CNAME fails" in domains(t).stdout
        t.client.run(needing(t))
        assert needing(t) == []
        assert t.client.certificate("click.example.com").exists()
    finally:
        t.authority.stop()
