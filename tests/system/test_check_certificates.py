"""`check` on certificates and tracking domains: a sentence and a remedy."""

import os
import re
import signal
import subprocess

import pytest

from certificates import Directory, Issuer, make_key
from conftest import TRACKER, free_port, wait_for
from fake_forwarder import Forwarder


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    return Issuer(tmp_path_factory.mktemp("issuer") / "ca")


@pytest.fixture
def directory(work):
    return Directory(work / "certificates")


@pytest.fixture
def put(directory, issuer):
    """put(name, …) makes a pair as the authority issues it."""

    def put(name, *names, **how):
        directory.write(name, *issuer.issue(*(names or [name]), **how))

    return put


@pytest.fixture
def make(make_tracker, directory):
    def make(**settings):
        return make_tracker({
            "https": {
                "listen": f"127.0.0.1:{free_port()}",
                "certificates": str(directory.path),
            },
            **settings,
        })

    return make


def run(t, hosts, command, *args):
    """A command for which names lead where hosts says."""
    inner = 'mount --bind "$0" /etc/hosts && exec "$@"'
    table = t.directory / "hosts"
    table.write_text("127.0.0.1 localhost\n" + "".join(
        f"{address} {name}\n" for name, address in (hosts or {}).items()
    ))
    r = subprocess.run(
        ["unshare", "-m", "sh", "-c", inner, str(table), TRACKER, command,
         "-c", str(t.conf), *args],
        capture_output=True, text=True, timeout=120, check=False,
    )
    assert r.returncode in (0, 69) and r.stderr == "", r.stderr
    return r


def look(t, hosts=None):
    """All lines of `check` on certificates and domains."""
    r = run(t, hosts, "check")
    words = r"^.{6}(certificate |certificates|domain |tracking domains|" \
        r"\[https\] certificates)"
    return [x for x in r.stdout.splitlines() if re.match(words, x)]


def one(lines, name):
    """The one line about it."""
    found = [x for x in lines if x[6:].startswith(f"certificate {name}: ")]
    assert len(found) == 1, lines
    return found[0]


def test_a_good_system(make, directory, put, issuer):
    put("a.example", "a.example", "b.example")
    put("wild", "*.wild.example", end=79)
    put("b.example-0001", "b.example", end=40)
    directory.put("default")
    t = make()
    lines = look(t)
    assert lines == [
        "ok    certificate a.example: EC, ends in 80 days, served to "
        "a.example b.example",
        "ok    certificate b.example-0001: EC, ends in 40 days, served to "
        "nobody (others that end no sooner have its names)",
        lines[2],
        "ok    certificate wild: EC, ends in 79 days, served to "
        "*.wild.example",
    ]
    # 30 days to the second, when it was made.
    assert re.fullmatch(
        r"ok    certificate default: EC, ends in (29|30) days, served to "
        "whoever asks for no name, or one without a certificate", lines[2])
    t.start()
    wait_for(lambda: len(t.status()["certificates"]) == 4, "all of them")
    assert [x for x in look(t) if " default" not in x] == \
        lines[:2] + lines[3:]
    # Nothing of it is left.
    assert set(t.roles()) == {"store[0]", "keeper[0]", "web[0]", "web[1]"}
    assert not [n for n in os.listdir(t.directory) if "empty" in n]
    states = {s["name"]: s for s in t.status()["certificates"]}
    assert states["a.example"]["chain"] == "complete"
    assert states["a.example"]["names"] == 2


def test_each_fault(make, directory, put, issuer):
    chain, key = issuer.issue("x.example")
    leaf = chain.replace(issuer.intermediate, "")
    directory.write("mismatch.example", chain, make_key())
    directory.write("nokey.example", chain)
    directory.write("broken.example", "-----BEGIN CERTIFICATE-----\n", key)
    put("old.example", start=-90, end=-3.5)
    put("soon.example", start=-80, end=9)
    put("short.example", start=-1, end=5)
    put("future.example", start=2, end=90)
    put("other.example", "elsewhere.example", "more.example")
    lone, lone_key = issuer.issue("lone.example")
    directory.write("lone.example", lone.replace(issuer.intermediate, ""),
                    lone_key)
    turned, turned_key = issuer.issue("turned.example")
    directory.write("turned.example", turned.replace(issuer.intermediate, "")
                    + leaf, turned_key)
    directory.put("self.example", host="self.example")
    put("open.example")
    (directory.path / "open.example/privkey.pem").chmod(0o644)
    lines = look(make())
    for name, verdict, words in (
        ("mismatch.example", "FAIL", "the private key does not belong to the "
         "certificate, so that it is not served; put fullchain.pem"),
        ("nokey.example", "FAIL", "privkey.pem: No such file"),
        ("broken.example", "FAIL", "fullchain.pem: broken PEM"),
        ("old.example", "FAIL", "it expired 3 days ago; renew it"),
        ("soon.example", "warn", "it ends in 9 days and was not renewed; "),
        ("short.example", "ok", "EC, ends in 5 days"),
        ("future.example", "FAIL", "it is not valid before 2"),
        ("other.example", "warn", "it is not for this name but for "
         "elsewhere.example and others; "),
        ("lone.example", "warn", "without the certificate that issued it"),
        ("turned.example", "FAIL", "do not follow one another; "),
        ("self.example", "warn", "it was issued by itself"),
        ("open.example", "warn", "everybody on this machine can read its "
         "privkey.pem (uid 0, gid 0, mode 644); `chmod 600`"),
    ):
        line = one(lines, name)
        assert line.startswith(verdict) and words in line, line
    assert len(lines) == 12
    # Out of reach by a directory: certbot did it like this.
    directory.path.chmod(0o700)
    assert one(look(make()), "open.example").startswith("ok")


def test_the_running_daemon(make, directory, put):
    put("a.example")
    t = make().start()
    wait_for(lambda: t.status()["certificates"], "the certificate")
    assert one(look(t), "a.example").startswith("ok")
    directory.write("a.example", key=make_key())
    wait_for(lambda: t.status()["certificates"][0]["state"] == "kept",
             "the refusal", 30)
    line = one(look(t), "a.example")
    assert line.startswith("FAIL") and "goes on with the pair before it" in line
    # With its eyes shut it serves what it has.
    t.process.send_signal(signal.SIGSTOP)
    try:
        put("a.example", end=50)
        put("b.example")
        lines = look(t)
        assert "the running daemon refused it: privkey.pem" in \
            one(lines, "a.example")
        assert "the running daemon has not taken it yet" in \
            one(lines, "b.example")
    finally:
        t.process.send_signal(signal.SIGCONT)


def test_no_certificates(make, directory):
    t = make()
    assert look(t) == [
        f"warn  [https] certificates {directory.path}: there is no pair in "
        "it, and every TLS handshake fails with unrecognized_name; get "
        "certificates: CERTIFICATES in postal-tracker(8)"]
    directory.path.rmdir()
    line = look(t)[0]
    assert line.startswith(f"FAIL  [https] certificates: {directory.path}: No")
    del t.settings["https"]["certificates"]
    t.write_conf()
    assert look(t)[0].startswith("FAIL  [https] certificates: it is not set")


def test_keys_are_read_by_a_keeper_only(make, put):
    put("a.example")
    t = make()
    trace = subprocess.run(
        ["strace", "-f", "-qq", "-s", "80",
         "-e", "trace=execve,execveat,pread64,read,recvmsg", TRACKER, "check",
         "-c", str(t.conf)],
        capture_output=True, text=True, timeout=120, check=False,
        # Which looks for leaks with the same means as strace.
        env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
    ).stderr.splitlines()

    def who(*words):
        return {x.split("]")[0] for x in trace if all(w in x for w in words)}

    assert who("BEGIN PRIVATE KEY") == who("exec", "keeper[0]") != set()
    assert len(who("BEGIN CERTIFICATE")) == 2


# --- tracking domains -------------------------------------------------------


@pytest.fixture
def scene(make):
    """A daemon with Postal's domains, without a Postal."""
    t = make(postal={"mode": "mysql"}, log={"level": "debug"}).start()
    return t


def appear(t, *names, ok=True):
    with Forwarder(t) as f:
        f.servers({1: "ctqu6f"})
        f.domains([(name, 1) for name in names], ok=ok)


def test_domains(scene, put):
    put("a.example")
    put("default", "any.example")
    t = scene
    appear(t, "a.example", "away.example", "gone.example", "plain.example",
           "both.example", "under_score.example")
    hosts = {"a.example": "127.0.0.1", "away.example": "192.0.2.7",
             "plain.example": "127.0.0.1", "both.example": "127.0.0.1"}
    lines = [x for x in look(t, hosts) if "domain" in x]
    assert lines[:-1] == [
        "warn  domain away.example: it leads to 192.0.2.7, which is no "
        "address of this machine, and it has no certificate; make its "
        "records lead here, or, if that address does, name it in [http] "
        "public_address",
        "warn  domain both.example: it has no certificate, visitors are "
        "shown that of `default`; get one: `systemctl start "
        "postal-tracker-acme`, or with the ACME client of your choice",
        lines[2],
        "warn  domain plain.example: it has no certificate, visitors are "
        "shown that of `default`; get one: `systemctl start "
        "postal-tracker-acme`, or with the ACME client of your choice",
        "warn  domain under_score.example: this is not the name of a host; "
        "correct it in Postal",
    ]
    assert re.match(r"warn  domain gone\.example: it does not resolve \(.+\), "
                    r"so that no visitor finds it, and it has no certificate; "
                    r"make a CNAME or address record", lines[2])
    assert lines[-1].startswith("warn  tracking domains: 5 of 6 are not in")

    # Behind another address all is well.
    hosts["here.example"] = "192.0.2.7"
    put("plain.example", "*.example")
    appear(t, "a.example", "away.example")
    t.settings["http"]["public_address"] = "here.example"
    t.write_conf()
    lines = [x for x in look(t, hosts) if "domain" in x]
    assert lines == ["ok    tracking domains: all 2 lead here and have a "
                     "certificate"]


def test_domains_looks_at_what_is_served(scene, directory, put):
    """A wildcard that ends later does not keep a name's own from being
    renewed: it is the own one that visitors get."""
    t = scene
    where = f"certificate {directory.path}"
    hosts = {f"{n}.example": "127.0.0.1" for n in "abcd"}
    hosts["click.example.org"] = "127.0.0.1"
    appear(t, *hosts)
    put("click.example.org", start=-70, end=20)
    put("wild", "*.example.org", end=79)
    put("a.example", start=-91, end=-1)
    put("a-too", "a.example", end=70)
    # Of two kinds of keys, the one that lasts.
    put("b.example", start=-70, end=20)
    put("b-too", "b.example", key=make_key("2048"), end=70)
    # What an ACME client would make anew is as good as new; it is served when
    # the longer one has ended.
    put("c.example", start=-1, end=5)
    put("c-too", "c.example", start=-70, end=20)
    put("d.example", start=1, end=90)
    lines = run(t, hosts, "domains").stdout.splitlines()
    assert lines == [
        f"ok          a.example: {where}/a-too, 70 days left",
        f"ok          b.example: {where}/b-too, 70 days left",
        f"ok          c.example: {where}/c-too, 20 days left",
        f"certificate click.example.org: {where}/click.example.org, 20 days "
        "left",
        f"certificate d.example: no certificate: {directory.path}/d.example "
        "has expired, is not valid yet or is of other names",
    ]
    assert run(t, hosts, "domains", "--needing").stdout.split() == [
        "click.example.org", "d.example"]
    # `check` says of both who is served them.
    wait_for(lambda: len(t.status()["certificates"]) == 9, "all of them")
    lines = look(t, hosts)
    assert one(lines, "click.example.org").endswith(
        "served to click.example.org")
    assert one(lines, "a-too").endswith("served to a.example")
    assert one(lines, "c.example").endswith(
        "served to nobody (others that end no sooner have its names)")


def test_what_postal_says_of_a_domain(scene, put):
    put("a.example")
    t = scene
    appear(t, "a.example", ok=False)
    lines = [x for x in look(t, {"a.example": "127.0.0.1"}) if "domain" in x]
    assert lines[0].startswith(
        "warn  domain a.example: Postal's own check of its DNS fails, so that "
        "new mail is sent without tracking; it has to be a CNAME of exactly"
    )
