"""Certificates and keys for tests, made by openssl."""

import datetime
import os
import re
import subprocess


EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
RSA = ("-newkey", "rsa:2048")
CA = ("-addext", "basicConstraints=critical,CA:TRUE")


def run_openssl(*args, data="", seconds=60):
    """What became of it, whatever that is."""
    return subprocess.run(
        ["openssl", *map(str, args)], input=data, capture_output=True,
        text=True, check=False, timeout=seconds,
    )


def openssl(*args, data=""):
    """What it prints; it has to succeed."""
    done = run_openssl(*args, data=data)
    assert done.returncode == 0, done.stderr
    return done.stdout


def alternative_names(names):
    return "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)


def make_key(kind="ec"):
    """A private key, PEM."""
    if kind == "ec":
        options = ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    elif kind == "p384":
        options = ["EC", "-pkeyopt", "ec_paramgen_curve:P-384"]
    else:
        options = ["RSA", "-pkeyopt", f"rsa_keygen_bits:{kind}"]
    return openssl("genpkey", "-algorithm", *options)


def make_chain(key, name, directory):
    """A certificate of its own issuer for name, PEM."""
    path = directory / "making.pem"
    path.write_text(key)
    try:
        return openssl(
            "req", "-x509", "-key", str(path), "-days", "30",
            "-subj", f"/CN={name}", "-addext", alternative_names([name]),
        )
    finally:
        path.unlink()


def make_pair(directory, algorithm, names, subject=None):
    """A self-signed pair as certbot would lay it out."""
    directory.mkdir(parents=True, exist_ok=True)
    chain, key = directory / "new.pem", directory / "new.key"
    openssl(
        "req", "-x509", "-nodes", "-days", "30",
        "-subj", f"/CN={subject or names[0]}", *algorithm,
        "-keyout", key, "-out", chain, "-addext", alternative_names(names),
    )
    # The key first: a chain without its key would be said to be broken.
    os.replace(key, directory / "privkey.pem")
    os.replace(chain, directory / "fullchain.pem")
    return directory


class Ca:
    """An authority whose pairs are as those of the public, for strangers."""

    def __init__(self, directory):
        self.directory = directory
        self.root, self.key = directory / "root.pem", directory / "root.key"
        openssl(
            "req", "-x509", "-nodes", "-days", "30", *EC,
            "-subj", "/O=postal-tracker/CN=root of the tests", *CA,
            "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout", self.key, "-out", self.root,
        )

    def issue(self, directory, algorithm, names):
        """For 90 days."""
        directory.mkdir()
        request, extensions = directory / "request", directory / "extensions"
        openssl(
            "req", "-new", "-nodes", "-subj", f"/CN={names[0]}", *algorithm,
            "-keyout", directory / "privkey.pem", "-out", request)
        extensions.write_text(
            "basicConstraints=critical,CA:FALSE\n"
            "keyUsage=critical,digitalSignature\n"
            "extendedKeyUsage=serverAuth\n"
            "subjectKeyIdentifier=hash\n"
            "authorityKeyIdentifier=keyid\n"
            "crlDistributionPoints=URI:http://ca.invalid/root.crl\n"
            + alternative_names(names) + "\n")
        openssl(
            "x509", "-req", "-in", request, "-days", "90",
            "-CA", self.root, "-CAkey", self.key, "-extfile", extensions,
            "-out", directory / "fullchain.pem")
        return directory


AUTHORITY_CONF = """
[ca]
default_ca = all
[all]
database = {d}/index
new_certs_dir = {d}
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
copy_extensions = copy
certificate = {d}/intermediate.pem
private_key = {d}/intermediate.key
[any]
commonName = supplied
"""


def when(days):
    """So many days from now, as `openssl ca` wants it."""
    now = datetime.datetime.now(datetime.timezone.utc)
    at = now + datetime.timedelta(days=days)
    return at.strftime("%Y%m%d%H%M%SZ")


class Issuer:
    """An authority with an intermediate one, for any time."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir()
        for name in ("root", "intermediate"):
            (directory / f"{name}.key").write_text(make_key())
        (directory / "index").touch()
        (directory / "conf").write_text(AUTHORITY_CONF.format(d=directory))
        root = ["-CA", str(directory / "root.pem"),
                "-CAkey", str(directory / "root.key")]
        for name, options in (("root", []), ("intermediate", root)):
            openssl(
                "req", "-x509", "-key", str(directory / f"{name}.key"),
                "-days", "900", "-subj", f"/CN={name}", *CA, *options,
                "-out", str(directory / f"{name}.pem"),
            )
        self.intermediate = (directory / "intermediate.pem").read_text()

    def issue(self, *names, key=None, start=-10, end=80):
        """The chain and the key; valid from and to so many days from now."""
        key = key or make_key()
        path = self.directory / "making.pem"
        path.write_text(key)
        request = openssl(
            "req", "-new", "-key", str(path), "-subj", f"/CN={names[0]}",
            "-addext", alternative_names(names),
        )
        (self.directory / "request").write_text(request)
        leaf = openssl(
            "ca", "-batch", "-notext", "-config", str(self.directory / "conf"),
            "-in", str(self.directory / "request"),
            # Some minutes more: so many whole days are left.
            "-startdate", when(start), "-enddate", when(end + 0.02),
        )
        return leaf + self.intermediate, key

    def row(self, name, kind="2048", also=()):
        """Columns of track_certificates; an RSA key as Postal writes it."""
        chain, key = self.issue(name, *also, key=make_key(kind))
        if kind != "ec":
            key = openssl("rsa", "-traditional", data=key)
            assert "BEGIN RSA PRIVATE KEY" in key
        return {
            "certificate": chain.removesuffix(self.intermediate),
            "intermediaries": self.intermediate,
            "key": key,
        }


class Directory:
    """[https] certificates: a directory for each pair."""

    def __init__(self, path):
        self.path = path
        path.mkdir()
        self.keys = {}

    def put(self, name, kind="ec", host=None):
        """A pair that is good; returns its key."""
        key = make_key(kind)
        chain = make_chain(key, host or f"{name}.example", self.path.parent)
        self.write(name, chain, key)
        return key

    def write(self, name, chain=None, key=None):
        """As an ACME client: each file is replaced by rename."""
        where = self.path / name
        where.mkdir(exist_ok=True)
        for file, text in (("privkey.pem", key), ("fullchain.pem", chain)):
            if text is None:
                continue
            new = where / "new"
            new.write_text(text)
            new.chmod(0o600)
            new.rename(where / file)
        self.keys[name] = key


def secrets_of(key):
    """What must be nowhere: by name, as raw big-endian bytes and as text."""
    text = openssl("pkey", "-noout", "-text", data=key)
    found = {}
    wanted = ("priv", "privateExponent", "prime1", "prime2", "exponent1",
              "exponent2", "coefficient")
    for match in re.finditer(r"^(\w+):\n((?: {4}[0-9a-f:]+\n)+)", text, re.M):
        if match[1] in wanted:
            digits = re.sub(r"[^0-9a-f]", "", match[2])
            found[match[1]] = bytes.fromhex(digits).lstrip(b"\0")
    assert "priv" in found or len(found) == 6, text
    lines = [x for x in key.splitlines() if not x.startswith("-----")]
    # The first line of PKCS#8 is much the same for all keys.
    for i, line in enumerate(lines[1:-1] if len(lines) > 3 else lines[1:]):
        found[f"line{i}"] = line.encode()
    return found
