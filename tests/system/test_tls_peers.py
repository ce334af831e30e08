"""What independent clients and scanners find: nothing but one version of TLS.

Every client but the scanners trusts the authority of the tests and verifies
the chain and the name.
"""

import json
import os
import re
import subprocess
import xml.etree.ElementTree as xml

import pytest

from certificates import EC, RSA, Ca
from chromium import Chromium
from conftest import TRACKER, wait_for
from https import Https

NAMES = ("ec.example", "rsa.example")
KEYS = {"ec.example": "ECDSA", "rsa.example": "RSA"}
PICTURE = "/img/ctqu6f/m"
CLICK = "/ctqu6f/H0zoVR7I"
GET = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def suites_of(name):
    return {f"ECDHE-{KEYS[name]}-{cipher}" for cipher in (
        "AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")}


@pytest.fixture(scope="module")
def issued(tmp_path_factory):
    """The authority, and pairs of its making."""
    directory = tmp_path_factory.mktemp("ca")
    authority = Ca(directory)
    pairs = {
        "ec": authority.issue(directory / "ec", EC, ["ec.example"]),
        "rsa": authority.issue(directory / "rsa", RSA, ["rsa.example"]),
    }
    return authority, pairs


@pytest.fixture
def peers(make_tracker, issued):
    """A daemon with both; scanners that ask for no name get default."""

    def make(default):
        authority, pairs = issued
        t = make_tracker({"http": {"workers": "2"}})
        https = Https(t, {**pairs, "default": pairs[default]}).start()
        https.root = authority.root
        return https

    return make


@pytest.fixture
def https(peers):
    return peers("ec")


def run(*args, stdin="", seconds=300, **kwargs):
    return subprocess.run(
        [str(a) for a in args], input=stdin, capture_output=True, text=True,
        check=False, timeout=seconds, **kwargs)


# --- scanners ---------------------------------------------------------------

# Groups of checks. With RSA only those whose outcome depends on the key, with
# sanitizers only those that send what no client would: the rest of -U are
# ordinary handshakes with other lists of ciphers, minutes of them, and what
# they find is the same in both builds. check-long (TESTSSL=all) makes the rest, too: the order of ciphers, HTTP's headers, all
# ciphers one by one and by strength, simulated clients, faults of others.
TESTSSL = {"ec.example": ("-p", "-f", "-S", "-U"),
           "rsa.example": ("-f", "-S", "-U")}
TESTSSL_SANITIZED = ("-R", "-H", "-I", "-T", "-BB")
TESTSSL_REST = ("-p", "-P", "-h", "-s", "-e", "-c", "-g")
# Whatever is neither OK nor information has to stand here.
EXPLAINED = {
    # Of the machine that scans.
    "engine_problem": "no GOST in the OpenSSL here",
    # Tracking links are old mail's: http has to go on working, and the
    # name is often below a domain that is not ours to decide for.
    "HSTS": "not offered",
}
# What has to have been looked at in each group, and the outcome.
VULNERABILITIES = {
    "-R": {"secure_renego": "supported",
           "secure_client_renego": "not vulnerable"},
    "-H": {"heartbleed": "not vulnerable, no heartbeat extension"},
    "-I": {"CCS": "not vulnerable"},
    "-T": {"ticketbleed": "no session ticket extension"},
    "-BB": {"ROBOT": "not vulnerable, no RSA key transport cipher"},
    "-C": {"CRIME_TLS": "not vulnerable"},
    "-L": {"LUCKY13": "not vulnerable"},
    "-W": {"SWEET32": "not vulnerable"},
}
FOUND = {
    **VULNERABILITIES,
    "-U": {k: v for each in VULNERABILITIES.values() for k, v in each.items()},
    "-p": {
        "SSLv2": "not offered", "SSLv3": "not offered",
        "TLS1": "not offered", "TLS1_1": "not offered", "TLS1_2": "offered",
        "TLS1_3": "not offered", "ALPN": "http/1.1",
    },
    "-f": {"PFS": "offered", "PFS_ECDHE_curves": "prime256v1 X25519"},
    "-P": {"cipher_order": "server"},
    "-S": {
        "cert_chain_of_trust": "passed.", "cert_trust": "Ok via SAN",
        "sessionresumption_ID": "supported",
        "sessionresumption_ticket": "not supported",
    },
    "-h": {"HTTP_status_code": "200 OK", "HSTS": "not offered"},
}


@pytest.mark.parametrize("name", NAMES)
def test_testssl(peers, work, name):
    https = peers(name.split(".", maxsplit=1)[0])
    groups = set(
        TESTSSL_SANITIZED if "sanitized" in TRACKER else TESTSSL[name])
    if os.environ.get("TESTSSL") == "all":
        groups.update(TESTSSL_REST)
    out = work / "testssl.json"
    done = run("testssl", "--quiet", "--color", "0", "--warnings", "batch",
               "--nodns", "none", "--ip", "127.0.0.1", "--add-ca",
               https.root, "--jsonfile", out, *sorted(groups),
               f"{name}:{https.port}", seconds=900)
    findings = json.loads(out.read_text())
    bad = [f for f in findings if f["severity"] not in ("OK", "INFO")
           and f["id"] not in EXPLAINED]
    assert bad == [], done.stdout
    found = {f["id"].split(" ")[0]: f["finding"] for f in findings}
    for group in groups & FOUND.keys():
        for what, outcome in FOUND[group].items():
            assert found[what].startswith(outcome), (what, found[what])
    if "-f" in groups:
        assert set(found["PFS_ciphers"].split()) == suites_of(name)


def sslscan(https, name):
    done = run("sslscan", "--no-colour", f"--sni-name={name}", "--xml=-",
               f"127.0.0.1:{https.port}")
    tree = xml.fromstring(done.stdout)
    assert tree.find("error") is None, done.stdout
    return tree.find("ssltest")


@pytest.mark.parametrize("name", NAMES)
def test_sslscan(https, name):
    test = sslscan(https, name)
    versions = {f"{p.get('type')}{p.get('version')}"
                for p in test.iter("protocol") if p.get("enabled") == "1"}
    assert versions == {"tls1.2"}
    ciphers = test.findall("cipher")
    assert {c.get("cipher") for c in ciphers} == suites_of(name)
    assert {c.get("strength") for c in ciphers} == {"strong"}
    assert {c.get("curve") for c in ciphers} == {"25519"}
    assert test.find("renegotiation").get("supported") == "0"
    assert test.find("compression") is None or \
        test.find("compression").get("supported") == "0"
    assert [h.get("vulnerable") for h in test.iter("heartbleed")] == ["0"]
    # Its list of groups wants each message in a record of its own, as RFC
    # 5246 does not; the groups are looked at below.
    pk = test.find("certificates/certificate/pk")
    assert pk.get("error") == "false"
    assert pk.get("type") == ("EC" if name == "ec.example" else "RSA")


# --- GnuTLS -------------------------------------------------------------------

GNUTLS = "NORMAL:-VERS-ALL:+VERS-TLS1.2"


def gnutls(https, name, *args, priority=GNUTLS):
    return run("gnutls-cli", "--x509cafile", https.root, "--priority",
               priority, "--sni-hostname", name, "--verify-hostname", name,
               *args, "-p", https.port, "127.0.0.1", stdin=GET)


@pytest.mark.parametrize("name", NAMES)
def test_gnutls(https, name):
    done = gnutls(https, name)
    assert done.returncode == 0, done
    assert "Hello." in done.stdout
    assert re.search(r"Description: \(TLS1\.2-X\.509\)-\(ECDHE-X25519\)-"
                     rf"\({KEYS[name]}-SHA256\)-\(AES-128-GCM\)", done.stdout)
    assert "certificate is trusted" in done.stdout
    done = gnutls(https, name, "--resume")
    assert "This is a resumed session" in done.stdout, done
    assert "Hello." in done.stdout


def test_gnutls_has_no_way_without_forward_secrecy(https):
    for name in NAMES:
        done = gnutls(https, name, priority=f"{GNUTLS}:-KX-ALL:+RSA")
        assert done.returncode != 0 and "alert" in done.stdout + done.stderr
    done = gnutls(https, "ec.example",
                  priority=f"{GNUTLS}:-GROUP-ALL:+GROUP-SECP384R1")
    assert done.returncode != 0


# --- OpenSSL ------------------------------------------------------------------


def s_client(https, name, *args, stdin=""):
    return run("openssl", "s_client", "-connect", f"127.0.0.1:{https.port}",
               "-servername", name, "-CAfile", https.root,
               "-verify_hostname", name, "-verify_return_error", *args,
               stdin=stdin)


@pytest.mark.parametrize("name", NAMES)
def test_openssl_verifies_and_resumes(https, name):
    done = s_client(https, name, "-quiet", "-ign_eof", stdin=GET)
    assert "Hello." in done.stdout, done
    # Five more connections with the session of the first one.
    done = s_client(https, name, "-tls1_2", "-reconnect")
    assert done.stdout.count("New, TLSv1.2") == 1, done.stdout
    assert done.stdout.count("Reused, TLSv1.2") == 5
    assert "Verify return code: 0 (ok)" in done.stdout
    assert "Secure Renegotiation IS supported" in done.stdout
    assert "TLS session ticket:" not in done.stdout
    wait_for(lambda: https.counters()["tls_resumptions_total"] == 5,
             "the resumptions")


@pytest.mark.parametrize("name", NAMES)
def test_openssl_finds_no_other_suite(https, name):
    """Each suite that it knows, alone."""
    known = run("openssl", "ciphers", "-tls1_2", "ALL:COMPLEMENTOFALL:"
                "@SECLEVEL=0").stdout.strip().split(":")
    assert len(known) > 50
    taken = set()
    for suite in known:
        done = s_client(https, name, "-tls1_2", "-cipher",
                        f"{suite}:@SECLEVEL=0")
        if f"Cipher    : {suite}" in done.stdout:
            taken.add(suite)
    assert taken == suites_of(name)


def test_openssl_finds_no_other_group_and_version(https):
    for group, taken in (("X25519", True), ("P-256", True), ("P-384", False),
                         ("P-521", False), ("X448", False),
                         ("brainpoolP256r1", False)):
        # With an EC certificate P-256 has to be among them (RFC 8422, 5.1).
        done = s_client(https, "rsa.example", "-tls1_2", "-curves", group)
        assert ("Server Temp Key" in done.stdout) == taken, group
    for version in ("-tls1_3", "-tls1_1", "-tls1"):
        done = s_client(https, "ec.example", version, "-cipher",
                        "ALL:@SECLEVEL=0")
        assert "alert number 70" in done.stderr, (version, done)


# --- curl ---------------------------------------------------------------------


def curl(https, *args):
    resolve = [x for n in NAMES
               for x in ("--resolve", f"{n}:{https.port}:127.0.0.1")]
    return run("curl", "-sS", "--cacert", https.root, *resolve, *args)


def test_curl(https):
    home = f"https://rsa.example:{https.port}/"
    https.tracker.link("ctqu6f", "Home", home)
    done = curl(https, "-L", "--http2", "-w",
                "%{http_version} %{ssl_verify_result} %{num_redirects} "
                "%{url_effective}\n",
                f"https://ec.example:{https.port}/ctqu6f/Home")
    assert done.stdout == f"Hello.1.1 0 1 {home}\n", done
    done = curl(https, "-o", "/dev/null", "-w", "%{size_download}",
                f"https://ec.example:{https.port}{PICTURE}")
    assert done.stdout == "68", done
    done = curl(https, "--tlsv1.3", home)
    assert done.returncode == 35, done
    done = run("curl", "-sS", "--resolve",
               f"ec.example:{https.port}:127.0.0.1",
               f"https://ec.example:{https.port}/")
    assert done.returncode == 60, "the root is not trusted by itself"
    kinds = [e["kind"] for e in https.tracker.events()]
    assert kinds == ["click", "open"]


# --- Chromium -----------------------------------------------------------------

IMAGE = """new Promise((done, failed) => {
    const image = new Image();
    image.onload = () => done(`${image.naturalWidth}x${image.naturalHeight}`);
    image.onerror = () => failed(new Error("no picture"));
    image.src = "%s";
})"""


def test_chromium(https, work):
    """A mail in the browser: its picture, a click, and where that leads."""
    ec, rsa = (f"https://{name}:{https.port}" for name in NAMES)
    https.tracker.link("ctqu6f", "Home", f"{rsa}/robots.txt")
    with Chromium(work, https.root) as browser:
        assert browser.open(f"{ec}/") is None
        assert browser.script("document.body.innerText") == "Hello."
        for i in (1, 2):
            assert browser.script(IMAGE % f"{ec}{PICTURE}{i}") == "1x1"
        assert browser.open(f"{ec}/ctqu6f/Home") is None
        assert browser.script("location.href") == f"{rsa}/robots.txt"
        assert "Disallow: /" in browser.script("document.body.innerText")
        seen = [r for r in browser.responses() if "favicon" not in r["url"]]
    assert [(r["status"], r["url"]) for r in seen] == [
        (200, f"{ec}/"), (200, f"{ec}{PICTURE}1"), (200, f"{ec}{PICTURE}2"),
        (307, f"{ec}/ctqu6f/Home"), (200, f"{rsa}/robots.txt")]
    for r in seen:
        details = r["securityDetails"]
        assert r["securityState"] == "secure", r
        assert details["protocol"] == "TLS 1.2"
        assert details["keyExchange"].startswith("ECDHE_"), details
        assert details["keyExchangeGroup"] == "X25519"
        assert details["cipher"] == "AES_128_GCM"
        assert r["protocol"] == "http/1.1"
    # Kept alive.
    assert seen[1]["connectionReused"] and seen[2]["connectionReused"]
    events = https.tracker.events()
    assert [e["kind"] for e in events] == ["open", "open", "click"]
    assert all("Chrome/" in e["user_agent"] for e in events)


def test_chromium_trusts_nothing_else(https, work):
    """What it says of the chain above is not said of any chain."""
    with Chromium(work) as browser:
        error = browser.open(f"https://ec.example:{https.port}/")
        assert error == "net::ERR_CERT_AUTHORITY_INVALID"
    https.wait_counter("tls_failed_client_alert_total")
