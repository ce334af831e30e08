"""An ACME authority on loopback (pebble), whose validations reach a tracker.

    authority = Authority(work, http_port=tracker.port)
    authority.run(["uacme", …])     # sees names of `hosts`, trusts pebble

Names are answered for pebble by pebble-challtestsrv (127.0.0.1 for each), and
for what is run here by a hosts file, in a mount namespace of its own.
"""

import json
import os
import shutil
import ssl
import subprocess
import urllib.request
from pathlib import Path

from conftest import TRACKER, free_port, wait_for

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "packaging/acme/postal-tracker-acme"
UID = 60990
# Of its certificates, in seconds.
LIFE = 90 * 86400


def is_listening(port):
    import socket

    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def make_certificate(directory, address):
    """An authority of its own for pebble's HTTPS, and its certificate."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=pebble", "-addext", f"subjectAltName=IP:{address}",
         "-addext", "basicConstraints=critical,CA:TRUE",
         "-keyout", directory / "api.key", "-out", directory / "api.pem"],
        check=True, capture_output=True,
    )


class Pebble:
    """Its files, and how it is started; where, is another's to say."""

    ENV = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0",
           "PEBBLE_AUTHZREUSE": "0"}

    def __init__(self, work, http_port, address="127.0.0.1", life=LIFE):
        self.directory = Path(work) / "authority"
        self.directory.mkdir()
        os.chmod(self.directory, 0o755)
        make_certificate(self.directory, address)
        self.port, self.manage = free_port(), free_port()
        self.url = f"https://{address}:{self.port}/dir"
        config = {
            "pebble": {
                "listenAddress": f"{address}:{self.port}",
                "managementListenAddress": f"{address}:{self.manage}",
                "certificate": str(self.directory / "api.pem"),
                "privateKey": str(self.directory / "api.key"),
                "httpPort": http_port,
                "tlsPort": free_port(),
                "ocspResponderURL": "",
                "externalAccountBindingRequired": False,
                "certificateValidityPeriod": life,
            }
        }
        (self.directory / "config.json").write_text(json.dumps(config))

    def command(self, dns):
        return ["pebble", "-config", str(self.directory / "config.json"),
                "-dnsserver", dns]


class Authority(Pebble):
    def __init__(self, work, http_port, life=LIFE):
        super().__init__(work, http_port, life=life)
        self.processes = []
        self.hosts = self.directory / "hosts"
        self.set_hosts({})
        self.dns, self.dns_manage = free_port(), free_port()
        self.start(
            ["pebble-challtestsrv", "-http01", "", "-https01", "",
             "-tlsalpn01", "", "-dns01", f"127.0.0.1:{self.dns}",
             "-management", f"127.0.0.1:{self.dns_manage}",
             "-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""],
            self.dns_manage,
        )
        self.start(self.command(f"127.0.0.1:{self.dns}"), self.port)

    def start(self, command, port):
        with open(self.directory / f"{command[0]}.log", "ab") as log:
            self.processes.append(
                subprocess.Popen(
                    command, stdout=log, stderr=log,
                    stdin=subprocess.DEVNULL,
                    env={**os.environ, **self.ENV},
                )
            )
        wait_for(lambda: is_listening(port), command[0])

    def log(self):
        return (self.directory / "pebble.log").read_text()

    def root(self):
        """The root of the certificates that it issues, PEM."""
        ctx = ssl.create_default_context(
            cafile=str(self.directory / "api.pem"))
        url = f"https://127.0.0.1:{self.manage}/roots/0"
        with urllib.request.urlopen(url, timeout=10, context=ctx) as reply:
            return reply.read().decode()

    def fail_dns(self, name):
        """From now on the authority's look-ups of this name fail."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.dns_manage}/set-servfail",
            json.dumps({"host": name}).encode(),
        )
        urllib.request.urlopen(request, timeout=10).close()

    def set_hosts(self, table):
        self.hosts.write_text(
            "127.0.0.1 localhost\n"
            + "".join(f"{a} {n}\n" for n, a in table.items())
        )

    def run(self, command, uid=0, env=None, **kwargs):
        """Runs a command that sees our names and trusts our authority."""
        inner = (
            'mount --bind "$1" /etc/hosts && mount -t tmpfs none /etc/ssl && '
            "mkdir /etc/ssl/certs && "
            'cp "$2" /etc/ssl/certs/ca-certificates.crt && shift 2 && '
            'exec setpriv --reuid "$0" --regid "$0" --clear-groups -- "$@"'
        )
        return subprocess.run(
            ["unshare", "-m", "sh", "-c", inner, str(uid), str(self.hosts),
             str(self.directory / "api.pem"), *map(str, command)],
            capture_output=True, text=True, timeout=300, check=False,
            env={**os.environ, **(env or {})}, **kwargs,
        )

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()


class Client:
    """packaging/acme with a home of its own, as its own user."""

    def __init__(self, work, authority, home=None):
        self.authority = authority
        self.home = home or Path(work) / "acme"
        self.home.mkdir()
        os.chown(self.home, UID, UID)
        # The tree may be where that user cannot go.
        self.bin = Path(work) / "bin"
        self.bin.mkdir()
        for name in ("postal-tracker-acme", "postal-tracker-acme-hook"):
            shutil.copy(SCRIPT.with_name(name), self.bin / name)
        for name in ("challenges", "certificates"):
            (self.home / name).mkdir()
            os.chown(self.home / name, UID, UID)
        self.settings = {}

    def run(self, names, check=True):
        r = self.authority.run(
            [self.bin / "postal-tracker-acme", "-"], UID,
            {"ACME_HOME": str(self.home), "ACME_URL": self.authority.url,
             **self.settings},
            input="".join(f"{n}\n" for n in names),
        )
        assert not check or r.returncode == 0, (r.stdout, r.stderr)
        return r

    def certificate(self, name):
        return self.home / "certificates" / name / "fullchain.pem"

    def a_day_later(self, name, seconds=90000):
        """As if its certificate were older: it may be replaced."""
        link = self.home / "certificates" / name
        archive = self.home / "archive" / name
        at = Path(os.readlink(link)).name
        old = str(int(at) - seconds)
        # The one before it may have come in the same second.
        while (archive / old).exists():
            old = str(int(old) - 1)
        os.rename(archive / at, archive / old)
        new = link.with_name(".new")
        os.symlink(f"../archive/{name}/{old}", new)
        os.rename(new, link)

    def state(self, name):
        """What it noted of a failure, or nothing."""
        path = self.home / "state" / name
        if not path.exists():
            return {}
        return dict(
            line.split("=", 1) for line in path.read_text().splitlines()
        )


# --- what `domains` says -----------------------------------------------------


def domains(t, *args, check=True, url=None):
    """With another authority than ours, when it is given."""
    r = t.authority.run(
        [TRACKER, "domains", *args, "-c", t.conf,
         "--state", t.client.home / "state"],
        env={"ACME_URL": t.authority.url if url is None else url},
    )
    assert not check or r.returncode == 0, (r.stdout, r.stderr)
    return r


def needing(t):
    return domains(t, "--needing").stdout.split()


def by_name(t):
    out = domains(t, "--json").stdout
    rows = [json.loads(line) for line in out.splitlines()]
    return {row["name"]: row for row in rows}
