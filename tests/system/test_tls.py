"""TLS as real clients see it, against tests/system/tls_server.c."""

import re
import socket
import ssl
import struct
import subprocess
import time

import pytest

from certificates import EC, RSA, make_pair, run_openssl
from conftest import PROGRAMS, wait_for
from https import SUITES

TLS_SERVER = f"{PROGRAMS}/tls-server"


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Paths of a chain and its key, by name."""
    d = tmp_path_factory.mktemp("certificates")
    made = [
        make_pair(d / name, algorithm, names, subject=name)
        for name, algorithm, names in (
            ("ec", EC, ["ec.example", "*.wild.example"]),
            ("rsa", RSA, ["rsa.example"]),
            ("rsa4096", ("-newkey", "rsa:4096"), ["big.example"]),
            ("default", EC, ["default.example"]),
        )
    ]
    return {pair.name: (str(pair / "fullchain.pem"), str(pair / "privkey.pem"))
            for pair in made}


class Server:
    def __init__(self, args, log):
        self.log = log
        with open(log, "w", encoding="utf-8") as err:
            self.process = subprocess.Popen(
                [TLS_SERVER, *args], stdout=subprocess.PIPE, stderr=err,
                text=True,
            )
        self.ports = []

    def port(self, i=0):
        while len(self.ports) <= i:
            line = self.process.stdout.readline()
            assert line.startswith("port "), self.said()
            self.ports.append(int(line.split()[1]))
        return self.ports[i]

    def said(self):
        return self.log.read_text()

    def wait_said(self, pattern):
        return wait_for(
            lambda: re.search(pattern, self.said()), f"{pattern} in the log"
        )

    def connect(self, i=0):
        return socket.create_connection(("127.0.0.1", self.port(i)), 20)


@pytest.fixture
def serve(tmp_path):
    started = []

    def start(*args):
        log = tmp_path / f"server{len(started)}.log"
        started.append(Server(args, log))
        return started[-1]

    yield start
    for server in started:
        alive = server.process.poll() is None
        server.process.terminate()
        server.process.wait()
        assert alive, server.said()
        assert "ERROR: AddressSanitizer" not in server.said()
        assert "runtime error" not in server.said()


@pytest.fixture
def server(serve, pairs):
    return serve("-c", *pairs["ec"], "-c", *pairs["rsa"],
                 "-c", *pairs["rsa4096"])


def s_client(server, *args, port=0, stdin=""):
    return run_openssl("s_client", "-connect",
                       f"127.0.0.1:{server.port(port)}", *args, data=stdin)


def alert_of(done):
    m = re.search(r"SSL alert number (\d+)", done.stderr)
    return int(m[1]) if m else None


def hello(name="ec.example", **settings):
    """The bytes of a real ClientHello."""
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    ctx.maximum_version = ssl.TLSVersion.TLSv1_2
    for key, value in settings.items():
        setattr(ctx, key, value)
    out = ssl.MemoryBIO()
    client = ctx.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


def refused(server, data):
    """Sends bytes; returns the number of the alert that comes back."""
    with server.connect() as s:
        s.sendall(data)
        got = b""
        while len(got) < 7:
            more = s.recv(100)
            if not more:
                break
            got += more
    return got[6] if got[:1] == b"\x15" and len(got) == 7 else got


def context(**settings):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    for key, value in settings.items():
        setattr(ctx, key, value)
    return ctx


def get(sock, size):
    sock.sendall(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % size)
    got = b""
    while b"\r\n\r\n" not in got:
        got += sock.recv(65536)
    body = got.split(b"\r\n\r\n", 1)[1]
    while len(body) < size:
        more = sock.recv(65536)
        assert more
        body += more
    return len(body)


# --- what is agreed on ------------------------------------------------------


@pytest.mark.parametrize("curve,group", [("X25519:P-256", 29), ("P-256", 23)])
@pytest.mark.parametrize(
    "name,suite", [(n, s) for n, suites in SUITES.items() for s in suites]
)
def test_each_suite_with_each_group(server, name, suite, curve, group):
    done = s_client(server, "-servername", name, "-cipher", suite,
                    "-curves", curve, "-tls1_2")
    assert f"Cipher    : {suite}" in done.stdout, done.stderr
    # "Server Temp Key: X25519": forward secrecy, in every suite.
    assert "Server Temp Key: " + {29: "X25519", 23: "ECDH, prime256v1"}[
        group] in done.stdout
    server.wait_said(f"open suite={suite} group={group} ")


def test_aes_is_preferred_where_it_is_quick(server):
    flags = open("/proc/cpuinfo", encoding="utf-8").read()
    if not re.search(r"\baes\b", flags) or "pclmulqdq" not in flags:
        pytest.skip("this processor has no AES")
    done = s_client(
        server, "-servername", "ec.example", "-tls1_2", "-cipher",
        "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256")
    assert "Cipher    : ECDHE-ECDSA-AES128-GCM-SHA256" in done.stdout


@pytest.mark.parametrize("sigalg", ["SHA256", "SHA384", "SHA512"])
@pytest.mark.parametrize("name,key", [("ec.example", "ECDSA"),
                                      ("rsa.example", "RSA"),
                                      ("big.example", "RSA")])
def test_each_signature(server, name, key, sigalg):
    done = s_client(server, "-servername", name, "-tls1_2",
                    "-sigalgs", f"{key}+{sigalg}")
    assert f"Peer signing digest: {sigalg}" in done.stdout, done.stderr


def test_clients_of_other_libraries(server):
    for name in ("ec.example", "rsa.example"):
        done = subprocess.run(
            ["gnutls-cli", "--insecure", "-p", str(server.port()),
             "--sni-hostname", name, "--priority",
             "NORMAL:-VERS-ALL:+VERS-TLS1.2", "127.0.0.1"],
            input="GET /3 HTTP/1.1\r\n\r\n", capture_output=True, text=True,
            check=False, timeout=60,
        )
        assert "Handshake was completed" in done.stdout, done.stderr
        done = subprocess.run(
            ["curl", "-sk", "--http1.1", "--resolve",
             f"{name}:{server.port()}:127.0.0.1",
             f"https://{name}:{server.port()}/70000"],
            capture_output=True, check=False, timeout=60,
        )
        assert done.returncode == 0 and len(done.stdout) == 70000


# --- names and protocols ----------------------------------------------------


def subject(done):
    return re.search(r"subject=CN = (\S+)", done.stdout)[1]


@pytest.mark.parametrize("name,served", [
    ("ec.example", "ec"), ("EC.Example", "ec"), ("ec.example.", "ec"),
    ("a.wild.example", "ec"), ("rsa.example", "rsa"),
])
def test_the_certificate_of_the_name(server, name, served):
    done = s_client(server, "-servername", name, "-tls1_2")
    assert subject(done) == served


@pytest.mark.parametrize("name", [
    "other.example", "wild.example", "a.b.wild.example", "example",
])
def test_an_unknown_name_is_refused(server, name):
    done = s_client(server, "-servername", name, "-tls1_2")
    assert alert_of(done) == 112
    server.wait_said(
        f'failed reason="unknown name" alert=112 .* name={name}')


def test_no_name_and_no_default(server):
    assert alert_of(s_client(server, "-noservername", "-tls1_2")) == 112
    server.wait_said('text="no name asked for, no default"')


def test_the_default_serves_what_is_unknown(serve, pairs):
    server = serve("-c", *pairs["ec"], "-d", *pairs["default"])
    for args in (["-noservername"], ["-servername", "other.example"]):
        assert subject(s_client(server, *args, "-tls1_2")) == "default"
    done = s_client(server, "-servername", "ec.example", "-tls1_2")
    assert subject(done) == "ec"


def test_alpn(server):
    base = ("-servername", "ec.example", "-tls1_2")
    done = s_client(server, *base, "-alpn", "h2,http/1.1")
    assert "ALPN protocol: http/1.1" in done.stdout
    assert "No ALPN negotiated" in s_client(server, *base).stdout
    assert alert_of(s_client(server, *base, "-alpn", "h2,smtp")) == 120
    server.wait_said('reason="no shared protocol" alert=120')


# --- what is refused, and why -----------------------------------------------


def test_versions(server):
    done = s_client(server, "-servername", "ec.example", "-tls1_3")
    assert alert_of(done) == 70
    server.wait_said('reason="no shared version" .*does not want TLS 1.2')
    old = bytearray(hello())
    old[9:11] = b"\x03\x02"
    assert refused(server, bytes(old)) == 70
    server.wait_said("nothing newer than TLS 1.1")
    # One that knows TLS 1.3 as well gets 1.2.
    done = s_client(server, "-servername", "ec.example")
    assert "Protocol  : TLSv1.2" in done.stdout


@pytest.mark.parametrize("args", [
    ("-cipher", "ECDHE-ECDSA-AES128-SHA256"),
    ("-cipher", "AES128-GCM-SHA256"),
    ("-cipher", "DHE-RSA-AES128-GCM-SHA256"),
    ("-cipher", "ECDHE-RSA-AES128-GCM-SHA256"),  # the key is EC
    ("-curves", "P-384"),
])
def test_nothing_in_common(server, args):
    done = s_client(server, "-servername", "ec.example", "-tls1_2", *args)
    assert alert_of(done) == 40
    server.wait_said('reason="no shared suite" alert=40')


def test_an_alert_of_the_client_is_named(server, pairs, tmp_path):
    done = s_client(server, "-servername", "ec.example", "-tls1_2",
                    "-verify_return_error", "-CAfile", pairs["rsa"][0])
    assert done.returncode != 0
    # 48 unknown_ca, or what this version of OpenSSL says instead.
    server.wait_said(r'failed reason="client alert" alert=(48|42|46|18|20)')


def test_other_protocols_and_garbage(server):
    assert refused(server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == 10
    server.wait_said("plain HTTP on a port for HTTPS")
    assert refused(server, b"\x80\x2e\x01\x03\x01" + bytes(50)) == 10
    assert refused(server, b"\x16\x03\x01\x00\x00") == 50
    assert refused(server, b"\x16\x03\x01\x40\x01") == 22
    assert refused(server, b"\x17\x03\x03\x00\x05hello") == 10
    assert refused(server, b"\x16\x03\x01\x00\x04\x02\x00\x00\x00") == 10
    # An alert before anything else is no reason to send one.
    assert refused(server, b"\x15\x03\x01\x00\x02\x02\x50") == b""
    server.wait_said('reason="client alert" alert=80')


def test_a_giant_hello(server):
    def message(size):
        body = hello()[9:]
        # One more extension, of an unknown type, makes it as long.
        at = 34 + 1 + body[34]
        at += 2 + int.from_bytes(body[at:at + 2], "big")
        at += 1 + body[at]
        extensions = body[at + 2:]
        extensions += struct.pack(
            ">HH", 0xFAFA, size - 4 - at - 2 - len(extensions) - 4)
        extensions += bytes(size - 4 - at - 2 - len(extensions))
        body = body[:at] + struct.pack(">H", len(extensions)) + extensions
        message = b"\x01" + len(body).to_bytes(3, "big") + body
        assert len(message) == size
        return message

    def records(m, cut):
        return b"".join(
            b"\x16\x03\x01" + len(m[i:i + cut]).to_bytes(2, "big")
            + m[i:i + cut] for i in range(0, len(m), cut))

    for m, cut in ((message(16384), 16384), (message(16384), 1000),
                   (message(600), 1), (message(300), 299)):
        with server.connect() as s:
            s.sendall(records(m, cut))
            assert s.recv(1) == b"\x16"
    assert refused(server, records(message(16385), 8000)) == 50
    server.wait_said("the ClientHello is too long")


def test_a_truncated_handshake(server):
    whole = hello()
    for n in (0, 1, 5, 6, 50, len(whole) - 1, len(whole)):
        with server.connect() as s:
            s.sendall(whole[:n])
            if n == len(whole):
                assert s.recv(1) == b"\x16"
    # It still serves.
    assert subject(s_client(server, "-servername", "ec.example",
                            "-tls1_2")) == "ec"


def test_bad_bytes_behind_the_hello(server):
    for tail, alert in ((b"\x16\x03\x03\x00\x04\x10\x00\x00\x00", 50),
                        (b"\x17\x03\x03\x00\x01x", 10),
                        (b"\x14\x03\x03\x00\x01\x01", 10),
                        (b"\x16\x03\x01\x00\x01\x10", 70)):
        with server.connect() as s:
            s.sendall(hello())
            flight = s.recv(65536)
            s.sendall(tail)
            while True:
                more = s.recv(65536)
                if not more:
                    break
                flight += more
        assert flight[-7:] == b"\x15\x03\x03\x00\x02\x02" + bytes([alert])


def test_the_keeper_refuses(serve, pairs):
    server = serve("-r", "-c", *pairs["ec"])
    done = s_client(server, "-servername", "ec.example", "-tls1_2")
    assert alert_of(done) == 80
    server.wait_said('reason="no signature" alert=80')


# --- bytes, however they come -----------------------------------------------


@pytest.mark.parametrize("name", ["ec.example", "rsa.example"])
@pytest.mark.parametrize("step", [1, 7, 100])
def test_fragments(server, name, step):
    ctx = context()
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ctx.wrap_bio(inward, outward, server_hostname=name)
    with server.connect() as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def flush():
            data = outward.read()
            for i in range(0, len(data), step):
                s.sendall(data[i:i + step])

        def until(act):
            while True:
                try:
                    got = act()
                    flush()
                    return got
                except ssl.SSLWantReadError:
                    flush()
                    inward.write(s.recv(step * 50))

        until(client.do_handshake)
        for _ in range(3):
            client.write(b"GET /10 HTTP/1.1\r\nHost: x\r\n\r\n")
            flush()
            got = b""
            while not got.endswith(b"\r\n\r\n" + bytes(10)):
                got += until(lambda: client.read(1000))


def test_keep_alive_pipelining_and_large_answers(server):
    with server.connect() as raw:
        with context().wrap_socket(raw, server_hostname="ec.example") as s:
            for size in (0, 1, 4096, 16384, 1000000):
                assert get(s, size) == size
            s.sendall(b"GET /5 HTTP/1.1\r\n\r\n" * 20)
            got = b""
            while got.count(b"200 OK") < 20 or not got.endswith(bytes(5)):
                got += s.recv(65536)


def test_small_fragments_are_granted(server):
    done = s_client(server, "-servername", "rsa.example", "-tls1_2",
                    "-maxfraglen", "512")
    assert "Cipher    : ECDHE-RSA" in done.stdout, done.stderr


def test_close_notify_is_answered(server):
    with server.connect() as raw:
        s = context().wrap_socket(raw, server_hostname="ec.example")
        assert get(s, 3) == 3
        # unwrap() waits for the close_notify of the other side.
        s.unwrap().close()


def test_renegotiation_is_refused(server):
    done = s_client(server, "-servername", "ec.example", "-tls1_2",
                    stdin="R\n")
    assert "no renegotiation" in done.stderr


# --- resumption -------------------------------------------------------------


def resumed(server, ctx, name, session, port=0):
    with server.connect(port) as raw:
        with ctx.wrap_socket(
                raw, server_hostname=name, session=session) as s:
            assert get(s, 5) == 5
            return s.session_reused, s.session


@pytest.mark.parametrize("name", ["ec.example", "rsa.example"])
@pytest.mark.parametrize("port", [0, 1])
def test_sessions_are_resumed_by_each_worker(serve, pairs, name, port):
    server = serve("-w", "2", "-c", *pairs["ec"], "-c", *pairs["rsa"])
    ctx = context(maximum_version=ssl.TLSVersion.TLSv1_2)
    reused, session = resumed(server, ctx, name, None)
    assert not reused
    for _ in range(3):
        reused, _ = resumed(server, ctx, name, session, port)
        assert reused
    pids = set(re.findall(r"pid=(\d+)", server.said()))
    assert len(pids) == port + 1
    assert len(re.findall("resumed=1", server.said())) == 3


def test_a_session_is_bound_to_its_name(server):
    ctx = context(maximum_version=ssl.TLSVersion.TLSv1_2)
    _, session = resumed(server, ctx, "ec.example", None)
    assert not resumed(server, ctx, "a.wild.example", session)[0]
    assert resumed(server, ctx, "EC.example", session)[0]


def test_a_session_needs_its_suite(server):
    ctx = context(maximum_version=ssl.TLSVersion.TLSv1_2)
    _, session = resumed(server, ctx, "ec.example", None)
    ctx.set_ciphers("ECDHE-ECDSA-CHACHA20-POLY1305")
    assert not resumed(server, ctx, "ec.example", session)[0]


def test_without_sessions_nothing_is_resumed(serve, pairs):
    server = serve("-s", "-c", *pairs["ec"])
    ctx = context(maximum_version=ssl.TLSVersion.TLSv1_2)
    _, session = resumed(server, ctx, "ec.example", None)
    assert not resumed(server, ctx, "ec.example", session)[0]


def test_a_half_open_handshake_takes_no_turn(server):
    """Many that stop in the middle; one that does not is served at once."""
    idle = []
    try:
        for i in range(200):
            idle.append(server.connect())
            idle[-1].sendall(hello()[:i + 1])
        start = time.monotonic()
        with server.connect() as raw:
            with context().wrap_socket(
                    raw, server_hostname="ec.example") as s:
                assert get(s, 3) == 3
        assert time.monotonic() - start < 5
    finally:
        for s in idle:
            s.close()
