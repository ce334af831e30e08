"""Certificates and keys for tests, made by openssl."""

import datetime
import re
import subprocess


def openssl(*args, data=None):
    return subprocess.run(
        ["openssl", *args], input=data, check=True, capture_output=True
    ).stdout


def make_key(kind="ec"):
    """A private key, PEM."""
    if kind == "ec":
        options = ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    elif kind == "p384":
        options = ["EC", "-pkeyopt", "ec_paramgen_curve:P-384"]
    else:
        options = ["RSA", "-pkeyopt", f"rsa_keygen_bits:{kind}"]
    return openssl("genpkey", "-algorithm", *options).decode()


def make_chain(key, name, directory):
    """A certificate of its own issuer for name, PEM."""
    path = directory / "making.pem"
    path.write_text(key)
    try:
        return openssl(
            "req", "-x509", "-key", str(path), "-days", "30",
            "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
        ).decode()
    finally:
        path.unlink()


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
CA = ("-addext", "basicConstraints=critical,CA:TRUE")


def when(days):
    """So many days from now, as `openssl ca` wants it."""
    now = datetime.datetime.now(datetime.timezone.utc)
    at = now + datetime.timedelta(days=days)
    return at.strftime("%Y%m%d%H%M%SZ")


class Issuer:
    """An authority with an intermediate one."""

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
            "-addext",
            "subjectAltName=" + ",".join(f"DNS:{n}" for n in names),
        )
        (self.directory / "request").write_bytes(request)
        leaf = openssl(
            "ca", "-batch", "-notext", "-config", str(self.directory / "conf"),
            "-in", str(self.directory / "request"),
            # Some minutes more: so many whole days are left.
            "-startdate", when(start), "-enddate", when(end + 0.02),
        ).decode()
        return leaf + self.intermediate, key

    def row(self, name, kind="2048", also=()):
        """Columns of track_certificates; an RSA key as Postal writes it."""
        chain, key = self.issue(name, *also, key=make_key(kind))
        if kind != "ec":
            key = openssl("rsa", "-traditional", data=key.encode()).decode()
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
    text = openssl("pkey", "-noout", "-text", data=key.encode()).decode()
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
