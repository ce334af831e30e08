"""What became of each pair: said by `status`, from the process that knows."""

import calendar
import math
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time

import pytest

from admin import Admin
from certificates import Directory, Issuer, make_chain, make_key
from conftest import free_port, wait_for


@pytest.fixture
def directory(work):
    return Directory(work / "certificates")


@pytest.fixture
def make_https(make_tracker, directory):
    def make(**how):
        return make_tracker({
            "https": {
                "listen": f"127.0.0.1:{free_port()}",
                "certificates": str(directory.path),
            },
        }, **how)

    return make


def states(t):
    return {row["name"]: row for row in t.status()["certificates"]}


def wait_states(t, **wanted):
    """Waits until the names have these states; gives all rows."""

    def there():
        rows = states(t)
        found = {name: row["state"] for name, row in rows.items()}
        return [rows] if found == wanted else None

    try:
        return wait_for(there, f"{wanted}", 30)[0]
    except AssertionError as e:
        raise AssertionError(f"{e}: {states(t)}\n{t.log()}") from None


def not_after(pem):
    out = subprocess.run(
        ["openssl", "x509", "-noout", "-enddate", "-dateopt", "iso_8601"],
        input=pem, capture_output=True, text=True, check=True,
    ).stdout
    stamp = re.search(r"notAfter=(.*)Z", out)[1]
    return calendar.timegm(time.strptime(stamp, "%Y-%m-%d %H:%M:%S"))


def test_no_https(tracker):
    assert tracker.status()["certificates"] == []
    assert "\ncertificates" not in tracker.cli("status").stdout


def test_each_state(make_https, directory):
    directory.put("good")
    directory.put("rsa", "2048")
    directory.write("mismatch", make_chain(make_key(), "m.example",
                                           directory.path.parent), make_key())
    directory.write("nokey", make_chain(make_key(), "n.example",
                                        directory.path.parent))
    t = make_https()
    admin = Admin(t)
    t.start()
    rows = wait_states(t, good="served", rsa="served", mismatch="refused",
                       nokey="refused")
    metrics = admin.metrics()
    assert metrics['certificates{state="served"}'] == 2
    assert metrics['certificates{state="refused"}'] == 2
    assert {k: v for k, v in metrics.items() if "end_time" in k} == {
        f'certificate_end_time_seconds{{name="{name}"}}':
            rows[name]["not_after"] for name in ("good", "rsa")}
    pem = (directory.path / "good/fullchain.pem").read_text()
    assert rows["good"]["not_after"] == not_after(pem)
    assert rows["good"]["names"] == 1 and rows["good"]["chain_length"] == 1
    assert rows["good"]["chain"] == "self-issued"
    assert rows["good"]["reason"] is None
    # What of a refused pair can be read is said.
    assert "does not belong to the certificate" in rows["mismatch"]["reason"]
    assert rows["mismatch"]["not_after"] is not None
    assert rows["nokey"]["reason"].startswith("privkey.pem")
    assert rows["nokey"]["not_after"] is None
    # 30 days to the second, when it was made.
    text = wait_for(
        lambda: [x for x in [t.cli("status").stdout] if "29 days" in x],
        "it to be less than 30 days",
    )[0]
    assert "\ncertificates: 2 served, 2 refused\n" in text
    assert '  "good": ends in 29 days\n' in text
    assert '  "mismatch": REFUSED, not served: "' in text

    # A pair that is replaced by a broken one stays.
    before = rows["good"]["not_after"]
    directory.write("good", key=make_key())
    rows = wait_states(t, good="kept", rsa="served", mismatch="refused",
                       nokey="refused")
    assert rows["good"]["not_after"] == before
    assert "does not belong to the certificate" in rows["good"]["reason"]
    assert '"good": the one before it is served, the newest was refused: "' \
        in t.cli("status").stdout

    # Mended, gone, and told to a store that is started again.
    directory.put("good")
    directory.put("nokey")
    for file in (directory.path / "mismatch").iterdir():
        file.unlink()
    end = {"good": "served", "rsa": "served", "nokey": "served"}
    wait_states(t, **end)
    t.may_die = True
    pid = t.roles()["store[0]"]
    os.kill(pid, signal.SIGKILL)
    t.wait_role("store[0]", other_than=pid)
    wait_states(t, **end)


def test_https_off_by_a_reload(make_https, directory):
    directory.put("good")
    t = make_https().start()
    wait_states(t, good="served")
    del t.settings["https"]
    t.write_conf()
    t.process.send_signal(signal.SIGHUP)
    wait_states(t)


def test_a_thousand_names(make_https, directory):
    """More than a record holds, on both ways."""
    names = [f"{'x' * 100}-{i:04}.example" for i in range(1000)]
    for name in names:
        directory.write(name, "no certificate\n")
    t = make_https()
    admin = Admin(t)
    t.start()
    rows = wait_for(
        lambda: len(t.status()["certificates"]) == 1000 and states(t),
        "a thousand names", 60,
    )
    assert sorted(rows) == names
    assert {row["state"] for row in rows.values()} == {"refused"}
    assert admin.metrics()['certificates{state="refused"}'] == 1000
    # Over and over, whatever the store was told before.
    directory.put("good")
    t.process.send_signal(signal.SIGHUP)
    wait_for(lambda: states(t).get("good", {}).get("state") == "served",
             "one more", 60)
    assert len(states(t)) == 1001


# --- dates ------------------------------------------------------------------


def shown(t, name):
    """The certificate that a visitor gets, PEM."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    host, port = t.settings["https"]["listen"].split(":")
    with socket.create_connection((host, int(port)), timeout=30) as s, \
            context.wrap_socket(s, server_hostname=name) as tls:
        return ssl.DER_cert_to_PEM_cert(tls.getpeercert(binary_form=True))


def seconds(n):
    """As days for an issuer, without what it adds."""
    return n / 86400 - 0.02


def test_what_has_ended_gives_way(make_https, directory, work):
    """To whatever else is for the name and valid, while it is served; and to
    nothing that is not."""
    issuer = Issuer(work / "issuer")
    leaf = {}

    def put(directory_name, *names, **how):
        chain, key = issuer.issue(*names, **how)
        directory.write(directory_name, chain, key)
        leaf[directory_name] = chain.removesuffix(issuer.intermediate)

    put("wild", "*.example.org")
    put("old", "a.example", start=-90, end=-1)
    put("a.example", "a.example", key=make_key("2048"))
    put("future", "b.example", start=1, end=90)
    put("b.example", "b.example", end=30)
    put("over.example", "over.example", start=-90, end=-1)
    put("default", "any.example")
    t = make_https()
    # The time to start.
    put("click.example.org", "click.example.org", end=seconds(20))
    t.start()
    wait_states(t, **{name: "served" for name in leaf})
    assert shown(t, "click.example.org") == leaf["click.example.org"]
    assert shown(t, "a.example") == leaf["a.example"]
    assert shown(t, "b.example") == leaf["b.example"]
    assert shown(t, "over.example") == leaf["over.example"]
    assert shown(t, "unknown.example") == leaf["default"]
    wait_for(lambda: shown(t, "click.example.org") == leaf["wild"],
             "the certificate to end", 60)


# --- descriptors ------------------------------------------------------------

FEW = ["prlimit", "--nofile=256:256"]
N = 150


@pytest.fixture
def many(directory):
    directory.put("n000")
    for i in range(1, N):
        shutil.copytree(directory.path / "n000", directory.path / f"n{i:03}")


def served(t):
    return sum(x["state"] == "served" for x in t.status()["certificates"])


def may_raise():
    """Root may, but not where a container has taken CAP_SYS_RESOURCE away."""
    with open("/proc/self/status", encoding="ascii") as f:
        return int(re.search(r"CapEff:\s+(\w+)", f.read())[1], 16) >> 24 & 1


def limits(t):
    with open(f"/proc/{t.process.pid}/limits", encoding="ascii") as f:
        found = re.search(r"Max open files +(\d+) +(\d+)", f.read())
    return int(found[1]), int(found[2])


def test_the_limit_of_descriptors_is_raised(make_https, many):
    """As far as it may be without a privilege; that is enough for all."""
    t = make_https(command=["prlimit", "--nofile=256:"]).start()
    wait_for(lambda: served(t) == N, "all of them", 60)
    soft, hard = limits(t)
    assert soft == hard >= 2 * 4096
    assert "descriptors" not in t.log()


def test_the_hard_limit_of_descriptors_is_raised(make_https, many, work):
    """It asks for enough. Where the kernel must refuse it, the next test shows
    what then."""
    trace = work / "trace"
    t = make_https(
        command=[*FEW, "strace", "-D", "-X", "raw", "-o", str(trace),
                 "-e", "trace=prlimit64"],
        # Which looks for leaks with the same means as strace.
        env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
    ).start()
    asked = re.search(
        r"^prlimit64\(0, 0x7, \{rlim_cur=(.+), rlim_max=\1\}, NULL\) = (.+)",
        trace.read_text(), re.M)
    assert asked, trace.read_text()
    wanted = math.prod(int(x) for x in asked[1].split("*"))
    assert wanted >= 2 * 4096
    if not may_raise():
        assert "EPERM" in asked[2]
        return
    wait_for(lambda: served(t) == N, "all of them", 60)
    assert limits(t) == (wanted, wanted)
    assert "descriptors" not in t.log()


def test_too_few_descriptors(make_https, many):
    """Said in one line; what is served is, and roles can be restarted."""
    t = make_https(command=[
        "setpriv", "--bounding-set", "-sys_resource", *FEW]).start()
    line = t.wait_log(
        rf"<3>monitor: {N} certificates need (\d+) descriptors, and this "
        r"process may open 256: (\d+) are not served; raise LimitNOFILE= of "
        r"the unit or `ulimit -n`, and restart\n")
    rest = int(line[2])
    assert int(line[1]) > 256 and 0 < rest < N
    wait_for(lambda: served(t) == N - rest, "the others", 60)
    assert {x["reason"] for x in t.status()["certificates"]} == {
        None, "too many pairs: no descriptors, or no memory"}
    assert t.log().count("are not served;") == 1
    r = t.cli("check", check=False)
    assert re.search(
        rf"^FAIL  \[https\] certificates: {N} pairs need \d+ descriptors, and "
        r"the running daemon may open 256, so that not all are served; set "
        r"LimitNOFILE=\d+ in its unit", r.stdout, re.M), r.stdout
    t.may_die = True
    for name in ("web[0]", "keeper[0]", "store[0]"):
        pid = t.roles()[name]
        os.kill(pid, signal.SIGKILL)
        t.wait_role(name, other_than=pid)
    t.process.send_signal(signal.SIGHUP)
    t.wait_ready(2)
    wait_for(lambda: served(t) == N - rest, "the same as before", 60)
