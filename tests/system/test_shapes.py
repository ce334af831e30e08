"""The installation shapes of postal-tracker(8), each on a network of its own.

What runs is packaging/examples/<shape>, from the paths that it names and on
the addresses that it names: nginx or haproxy, Postal's database, DNS, an ACME
authority, and visitors who come over the wire.
"""

import os
import re
import signal
import ssl
import threading
import urllib.parse
from pathlib import Path

import pytest

import mariadb
import postal
from acme import Client, Pebble
from certificates import EC, Issuer, make_pair
from conftest import TRACKER, Connection, Tracker, wait_for
from forward_help import CLICK, OPEN, URL, one_server
from forwarder import Forwarder
from https import TlsConnection, context
from netns import AUTHORITY, DNS, VISITOR, VISITOR6, Internet

EXAMPLES = Path(__file__).resolve().parents[2] / "packaging/examples"
WEB = "postal.example.com"
NAME = "click.example.org"
# A second sender, later.
LATER = "news.example.net"

# Postal's web interface, as far as a proxy sees it.
WEB_STAND_IN = """
import http.server
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = f"Postal for {self.headers['X-Forwarded-For']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("127.0.0.1", 5000), H).serve_forever()
"""


class Authority(Pebble):
    """Pebble on the Internet; asks port 80 of what DNS says, as others do."""

    def __init__(self, work, net):
        super().__init__(work, 80, AUTHORITY)
        self.net = net
        self.client = None
        net.daemon(*self.command(f"{DNS}:53"), host=AUTHORITY, port=self.port,
                   env=self.ENV)
        wait_for(lambda: net.answers(AUTHORITY, self.manage), "pebble", 30)
        api = ssl.create_default_context(cafile=self.directory / "api.pem")
        with net.inside(), TlsConnection(
            (AUTHORITY, self.manage), AUTHORITY, ctx=api
        ) as c:
            c.send(b"GET /roots/0 HTTP/1.1\r\nHost: a\r\n\r\n")
            self.root = c.reply().body.decode()

    def trust(self, machine):
        """That machine believes pebble's API, and what pebble signs."""
        self.client = machine
        machine.write("/etc/ssl/certs/ca-certificates.crt",
                      (self.directory / "api.pem").read_text() + self.root)

    def run(self, command, uid=0, env=None, **kwargs):
        return self.client.run(
            "setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "--",
            *command, check=False, env={**os.environ, **(env or {})}, **kwargs,
        )


class Installed(Tracker):
    """A tracker on a machine, with the machine's tracker.conf."""

    def __init__(self, machine, directory):
        self.machine = machine
        super().__init__(directory, command=machine.prefix())
        self.conf = Path("/etc/postal-tracker/tracker.conf")

    def write_conf(self):
        """The test does."""

    def cli(self, *args, check=True):
        return self.machine.run(TRACKER, *args, "-c", self.conf, check=check)

    def reload(self):
        times = self.notify.read().count("READY=1") + 1
        self.process.send_signal(signal.SIGHUP)
        self.wait_ready(times)


class Visitor:
    """Asks by name, as browsers do."""

    def __init__(self, net, root):
        self.net = net
        self.ctx = context()
        self.ctx.load_verify_locations(cadata=root)
        self.ctx.check_hostname = True
        self.ctx.verify_mode = ssl.CERT_REQUIRED

    def get(self, url, agent="visitor", more="", kind="A", ctx=None,
            method="GET"):
        """The reply; ConnectionError when there is none."""
        at = urllib.parse.urlsplit(url)
        host = self.net.address(at.hostname, kind)
        tls = at.scheme == "https"
        address = (host, at.port or (443 if tls else 80))
        with self.net.inside():
            c = (TlsConnection(address, at.hostname, ctx=ctx or self.ctx)
                 if tls else Connection(address))
        with c:
            c.send(f"{method} {at.path} HTTP/1.1\r\nHost: {at.netloc}\r\n"
                   f"User-Agent: {agent}\r\n{more}Connection: close\r\n\r\n"
                   .encode())
            reply = c.reply(method == "HEAD")
        if reply is None:
            raise ConnectionError(f"{url}: closed without a reply")
        return reply

    def serial(self, name):
        with self.net.inside(), TlsConnection(
            (self.net.address(name), 443), name, ctx=self.ctx
        ) as c:
            return c.sock.getpeercert()["serialNumber"]


class Poller(threading.Thread):
    """Opens a picture again and again; every one has to be answered."""

    def __init__(self, visitor, url):
        super().__init__()
        self.visitor = visitor
        self.url = url
        self.agent = f"poller of {url.split(':', 1)[0]}"
        self.answered = 0
        self.failed = []
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(0.01):
            try:
                reply = self.visitor.get(self.url, self.agent)
                assert reply.status == 200, reply.status
                self.answered += 1
            except (OSError, AssertionError) as e:
                self.failed.append(repr(e))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


class Scene:
    """One shape, built and not yet started."""

    def __init__(self, work, shape):
        self.shape = shape
        self.example = EXAMPLES / shape
        zone = (self.example / "dns.zone").read_text()
        target = "track.postal.example.com."
        self.net = Internet(work, f"{zone}{LATER}. CNAME {target}\n")
        self.server = None  # MariaDB
        self.tracker = self.forwarder = None
        try:
            self.build(work, shape)
        except BaseException:
            self.finish()
            raise

    def build(self, work, shape):
        net = self.net
        first = [net.address(WEB)]
        second = [net.address(NAME)]
        if shape == "two-addresses":
            first += [net.address(WEB, "AAAA")] + second
            first += [net.address(NAME, "AAAA")]
        self.web = net.add("postal", first)
        self.machine = self.web
        if shape == "own-machine":
            self.machine = net.add("tracker", second)
        self.start_postal(work)
        self.install()
        self.authority = Authority(work, net)
        self.authority.trust(self.machine)
        self.client = Client(
            work, self.authority,
            self.machine.path("/var/lib/postal-tracker-acme"),
        )
        self.visitor = Visitor(net, self.authority.root)
        at = work / "installed"
        at.mkdir()
        self.tracker = Installed(self.machine, at)
        self.forwarder = Forwarder(self.tracker, self.machine.prefix())

    # --- Postal's machine -------------------------------------------------

    def start_postal(self, work):
        self.server = mariadb.MariaDB(
            work / "mariadb", within=self.web.prefix(),
            options=["--port=3306", *self.mariadb_options()],
        ).start()
        self.postal = postal.Postal(self.server)
        if self.shape == "own-machine":
            self.server.execute(
                f"ALTER USER '{self.postal.user}'@'%' REQUIRE SSL"
            )
        one_server(self.postal)
        tls = make_pair(self.web.path("/etc/ssl/postal"), EC, [WEB])
        (tls / "pair.pem").write_text(
            (tls / "fullchain.pem").read_text()
            + (tls / "privkey.pem").read_text()
        )
        self.web.daemon("python3", "-c", WEB_STAND_IN, port=5000)
        self.start_front()

    def mariadb_options(self):
        path = self.example / "mariadb.cnf"
        if not path.exists():
            return ["--bind-address=127.0.0.1"]
        tls = self.web.path("/etc/mysql/tls")
        tls.mkdir(parents=True)
        ca = mariadb.Authority(tls)
        ca.issue(f"DNS:{WEB}")
        self.machine.write("/etc/postal-tracker/db-ca.pem",
                           ca.cert.read_text())
        lines = [line.replace(" = ", "=") for line in
                 path.read_text().splitlines()]
        return [f"--{line}" for line in lines if line[:1].isalpha()]

    def start_front(self):
        """nginx or haproxy, as the distribution configures it, and ours."""
        self.front = True
        if self.shape == "own-machine":
            self.front = False
        elif self.shape == "haproxy":
            self.put("haproxy.cfg", "/etc/haproxy/haproxy.cfg")
            self.web.path("/var/lib/haproxy").mkdir()
            self.web.daemon("haproxy", "-db", "-f",
                            "/etc/haproxy/haproxy.cfg", port=8443)
        else:
            self.start_nginx()

    def put(self, name, to):
        return self.web.write(to, (self.example / name).read_text())

    def start_nginx(self):
        etc = self.web.path("/etc/nginx")
        (etc / "sites-enabled/default").unlink(missing_ok=True)
        self.put("nginx.conf", "/etc/nginx/conf.d/postal.conf")
        if self.shape == "nginx":
            self.put("nginx-stream.conf", "/etc/nginx/postal-stream.conf")
            with open(etc / "nginx.conf", "a", encoding="ascii") as f:
                f.write("include /etc/nginx/postal-stream.conf;\n")
        for one in ("lib", "log"):
            self.web.path(f"/var/{one}/nginx").mkdir()
        port = 8443 if self.shape == "other-port" else 80
        self.web.daemon("nginx", "-g", "daemon off;", port=port,
                        host=self.net.address(WEB))

    # --- the tracker's machine --------------------------------------------

    def install(self):
        """Without HTTPS, for a beginning."""
        whole = (self.example / "tracker.conf").read_text()
        without, n = re.subn(r"\[https\]\n(.+\n)+", "", whole)
        assert n == 1
        self.machine.write("/etc/postal-tracker/tracker.conf", without)
        self.machine.write("/etc/postal-tracker/db-password",
                           self.postal.password + "\n", 0o600)

    def turn_https_on(self):
        self.machine.write("/etc/postal-tracker/tracker.conf",
                           (self.example / "tracker.conf").read_text())
        self.tracker.reload()

    def start(self):
        self.tracker.start()
        self.forwarder.start()

        def known():
            assert self.forwarder.is_running(), self.forwarder.log()
            reply = self.visitor.get(f"http://{NAME}{OPEN}", method="HEAD")
            return reply.status == 200

        wait_for(known, f"Postal's servers\n{self.forwarder.log()}", 30)
        # One more worker may have to hear of it.
        wait_for(known, "Postal's servers, again", 30)

    def needing(self):
        return self.tracker.cli(
            "domains", "--needing", "--state", self.client.home / "state"
        ).stdout.split()

    def issue(self, name):
        """As the timer would have it."""
        self.client.run(self.needing())
        assert self.client.certificate(name).exists(), self.client.state(name)

    def put_own(self, name):
        """By hand, from another authority."""
        authority = Issuer(self.client.home / "authority")
        chain, key = authority.issue(name)
        made = self.client.home / "made"
        made.mkdir()
        (made / "fullchain.pem").write_text(chain)
        (made / "privkey.pem").write_text(key)
        (made / "privkey.pem").chmod(0o600)
        made.rename(self.client.home / "certificates" / name)
        self.visitor.ctx.load_verify_locations(
            authority.directory / "root.pem")

    def appear(self, name, certify):
        """A tracking domain is added in Postal's web interface."""
        label, domain = name.split(".", 1)
        self.postal.add_track_domain(1, label, domain)
        self.forwarder.reload()
        wait_for(lambda: self.needing() == [name], f"{name} to need one")
        certify(name)
        self.tracker.reload()
        self.wait_served(name)
        assert self.needing() == []

    def wait_served(self, name, other_than=None):
        def served():
            try:
                serial = self.visitor.serial(name)
            except (OSError, ssl.SSLError):
                return None
            return serial if serial != other_than else None

        return wait_for(served, f"{name} to be served", 30)

    def renew(self, name):
        before = self.visitor.serial(name)
        self.client.a_day_later(name)
        self.client.run([name])
        self.tracker.reload()
        self.wait_served(name, other_than=before)

    def add_address(self):
        """One more to listen on; how to reach it."""
        config = json_of(self.tracker)
        listen = config["http"]["listen"].split()
        host = listen[0].rsplit(":", 1)[0]
        if host.startswith("127."):
            new, seen = f"{host}:5012", (self.machine, host, 5012)
        else:
            extra = host.rsplit(".", 1)[0] + ".12"
            self.machine.ip(f"address add {extra}/24 dev eth0")
            new, seen = f"{extra}:80", (self.net, extra, 80)
        self.machine.write(
            "/etc/postal-tracker/tracker.conf.d/address.conf",
            "[http]\nlisten = " + " ".join([*listen, new]) + "\n",
        )
        assert not seen[0].answers(*seen[1:])
        self.tracker.reload()
        assert seen[0].answers(*seen[1:])

    def finish(self):
        errors = []
        for one in (self.forwarder, self.tracker):
            try:
                if one:
                    one.finish()
            except AssertionError as e:
                errors.append(str(e))
        if self.server:
            self.postal.close()
            self.server.kill()
        self.net.finish()
        assert not errors, "\n".join(errors)


def json_of(tracker):
    """What `config` prints, by section and key."""
    found, section = {}, None
    for line in tracker.cli("config").stdout.splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), {})
        elif " = " in line:
            key, value = line.split("  ;")[0].split(" = ", 1)
            section[key] = value.strip()
    return found


@pytest.fixture
def scene(work, request):
    s = Scene(work, request.param)
    yield s
    s.finish()


SHAPES = ["two-addresses", "nginx", "haproxy", "other-port", "own-machine"]


@pytest.mark.parametrize("scene", SHAPES, indirect=True)
def test_shape(scene):
    visitor = scene.visitor
    scene.start()
    with Poller(visitor, f"http://{NAME}{OPEN}") as plain:
        scene.turn_https_on()
        scene.appear(NAME, scene.issue)
        with Poller(visitor, f"https://{NAME}{OPEN}") as secure:
            scene.add_address()
            scene.appear(LATER, scene.put_own)
            scene.renew(NAME)
            enough = secure.answered + 20
            wait_for(lambda: secure.answered > enough or secure.failed,
                     "polls", 30)
    for poller in (plain, secure):
        assert poller.failed == [] and poller.answered > 20
    look(scene, plain, secure)


def content_check(scene):
    """What `check` prints, once it finds nothing: it hears of a pair that was
    taken within a second. The clock is the real machine's, whoever keeps it."""
    out = ""

    def nothing_found():
        nonlocal out
        out = scene.tracker.cli("check").stdout
        return not re.search(r"^(?:FAIL|warn)  (?!clock: )", out, re.M)

    try:
        wait_for(nothing_found, "check to find nothing", 30)
    except AssertionError as e:
        raise AssertionError(out) from e
    return out


def look(scene, plain, secure):
    """Who was there, as Postal has it; and what `check` says."""
    ask_all(scene)
    wait_for(lambda: scene.tracker.status()["pending"] == 0, "the drain", 60)
    clicks = scene.postal.clicks(1)
    assert [(c["ip_address"], c["user_agent"]) for c in clicks] == (
        [(VISITOR, "http")] * 2 + [(VISITOR, "https")] * 2
    )
    loads = scene.postal.loads(1)
    agents = [row["user_agent"] for row in loads]
    for poller in (plain, secure):
        assert agents.count(poller.agent) == poller.answered
    seen = {VISITOR}
    if scene.shape == "two-addresses":
        seen.add(VISITOR6)
    assert {row["ip_address"] for row in loads} == seen
    out = content_check(scene)
    assert "MySQL" in out and "all 2 lead here and have a certificate" in out, out
    for options in ([], ["--url", f"https://{NAME}"]):
        scene.tracker.cli("selftest", *options)
    assert len(scene.postal.clicks(1)) == len(clicks)


def ask_all(scene):
    """Each name and scheme, and Postal's web interface beside them."""
    visitor = scene.visitor
    lie = "X-Forwarded-For: 6.6.6.6\r\n"
    for scheme in ("http", "https"):
        for name in (NAME, LATER):
            reply = visitor.get(f"{scheme}://{name}{CLICK}", scheme, lie)
            assert reply.status == 307 and reply.header("Location") == URL
    if scene.shape == "two-addresses":
        for scheme in ("http", "https"):
            reply = visitor.get(f"{scheme}://{NAME}{OPEN}", kind="AAAA")
            assert reply.status == 200
    # By way of real DNS, too.
    out = scene.net.run("curl", "-sSi", f"http://{NAME}/robots.txt").stdout
    assert "200 OK" in out and "Disallow: /" in out
    if scene.front:
        port = ":8443" if scene.shape == "other-port" else ""
        reply = visitor.get(f"https://{WEB}{port}/", ctx=context(), more=lie)
        assert reply.body == f"Postal for {VISITOR}".encode()
    if scene.front and not port:
        assert visitor.get(f"http://{WEB}/").status == 301
