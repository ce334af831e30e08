"""Certificates and keys for tests, made by openssl."""

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


class Issuer:
    """A root and an authority below it, as Let's Encrypt has them."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir()
        self.root = directory / "root.pem"
        self._key("root"), self._key("middle")
        openssl(
            "req", "-x509", "-key", self._path("root.key"), "-days", "30",
            "-subj", "/CN=test root", "-out", str(self.root),
        )
        self.intermediaries = self._sign(
            "middle", "root", "/CN=test authority",
            "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign",
        )
        (directory / "middle.pem").write_text(self.intermediaries)

    def _path(self, name):
        return str(self.directory / name)

    def _key(self, name, kind="ec"):
        text = make_key(kind)
        (self.directory / f"{name}.key").write_text(text)
        return text

    def _sign(self, name, by, subject, extensions):
        (self.directory / "ext").write_text(extensions + "\n")
        openssl(
            "req", "-new", "-key", self._path(f"{name}.key"),
            "-subj", subject, "-out", self._path("request"),
        )
        return openssl(
            "x509", "-req", "-in", self._path("request"), "-days", "30",
            "-CA", self._path(f"{by}.pem"), "-CAkey", self._path(f"{by}.key"),
            "-CAcreateserial", "-extfile", self._path("ext"),
        ).decode()

    def row(self, name, kind="2048", also=()):
        """Columns of track_certificates; an RSA key as Postal writes it."""
        key = self._key("leaf", kind)
        names = ",".join(f"DNS:{n}" for n in (name, *also))
        certificate = self._sign(
            "leaf", "middle", f"/CN={name}", f"subjectAltName={names}"
        )
        if kind != "ec":
            key = openssl("rsa", "-traditional", data=key.encode()).decode()
            assert "BEGIN RSA PRIVATE KEY" in key
        return {
            "certificate": certificate,
            "intermediaries": self.intermediaries,
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
