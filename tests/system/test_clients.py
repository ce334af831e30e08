"""Who asked, and how much one may ask: PROXY, forwarded lists, limits."""

import os
import re
import shutil
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest

from conftest import free_port, wait_for

OPEN = "/img/ctqu6f/m"
HELLO = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def start(make_tracker, clients):
    t = make_tracker({"clients": clients, "http": {"workers": "2"}}).start()
    t.link("ctqu6f", "H0zoVR7I")
    wait_for(lambda: t.get("/ctqu6f/no").status == 404, "server")
    return t


def addresses(t):
    return [e["ip"] for e in t.events()]


FORWARDED = [
    (["198.51.100.7"], "198.51.100.7"),
    (["6.6.6.6, 198.51.100.7"], "198.51.100.7"),
    (["6.6.6.6, 198.51.100.7, 127.0.0.1"], "198.51.100.7"),
    (["6.6.6.6, 198.51.100.7, 10.1.2.3"], "198.51.100.7"),
    (["198.51.100.7:443"], "198.51.100.7"),
    (["[2001:db8::5]:443"], "2001:db8::5"),
    (["2001:DB8:0::5"], "2001:db8::5"),
    (["::ffff:198.51.100.7"], "198.51.100.7"),
    (["unknown"], "127.0.0.1"),
    (["6.6.6.6, garbage, 10.1.2.3"], "10.1.2.3"),
    ([""], "127.0.0.1"),
    (["6.6.6.6", "198.51.100.7"], "198.51.100.7"),
    (["10.0.0.5, 10.0.0.6"], "10.0.0.5"),
    (["999.1.2.3"], "127.0.0.1"),
    ([], "127.0.0.1"),
]


def test_forwarded_list_of_a_trusted_proxy(make_tracker):
    t = start(make_tracker, {"trusted_proxies": "127.0.0.1 10.0.0.0/8"})
    for lines, _ in FORWARDED:
        headers = [("X-Forwarded-For", line) for line in lines]
        assert t.get(OPEN, headers).status == 200
    assert addresses(t) == [ip for _, ip in FORWARDED]


def test_forwarded_list_of_a_stranger_is_ignored(tracker):
    assert tracker.get(OPEN, [("X-Forwarded-For", "6.6.6.6")]).status == 200
    tracker.get(OPEN, [("Forwarded", "for=6.6.6.6")])
    tracker.get(OPEN, [("X_Forwarded_For", "6.6.6.6")])
    assert addresses(tracker) == ["127.0.0.1"] * 3


REQUEST = f"GET {OPEN} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
V2 = b"\r\n\r\n\0\r\nQUIT\n"


def v2(command, family, body):
    return V2 + struct.pack(">BBH", 0x20 | command, family, len(body)) + body


def tcp4(source):
    return socket.inet_aton(source) + socket.inet_aton("192.0.2.1") + (
        struct.pack(">HH", 1000, 80)
    )


PROXY = [
    (b"PROXY TCP4 198.51.100.7 192.0.2.1 1000 80\r\n", "198.51.100.7"),
    (b"PROXY TCP6 2001:db8::5 2001:db8::1 1000 80\r\n", "2001:db8::5"),
    (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    (v2(1, 0x11, tcp4("198.51.100.7")), "198.51.100.7"),
    (v2(1, 0x11, tcp4("198.51.100.7") + b"\x04\0\x01x"), "198.51.100.7"),
    (
        v2(
            1,
            0x21,
            socket.inet_pton(socket.AF_INET6, "2001:db8::5") * 2
            + struct.pack(">HH", 1, 2),
        ),
        "2001:db8::5",
    ),
    (v2(0, 0x00, b""), "127.0.0.1"),
    (b"", "127.0.0.1"),  # missing: served, and said
]


def test_proxy_header(make_tracker):
    t = start(
        make_tracker,
        {"proxy_protocol": "yes", "trusted_proxies": "127.0.0.1"},
    )
    for header, _ in PROXY:
        assert t.raw(header + REQUEST).status == 200, header
    assert addresses(t) == [ip for _, ip in PROXY]
    t.wait_log(r"proxy address=127\.0\.0\.1 .*no PROXY header")
    for bad in (b"PROXY TCP4 1.2.3 4.5.6.7 1 2\r\n", V2 + b"\xff\0\0\0"):
        assert t.raw(bad + REQUEST).status == 400
    # In single bytes, and with a forwarded list behind it.
    header = b"PROXY TCP4 127.0.0.1 192.0.2.1 1000 80\r\n"
    with t.connect() as c:
        for byte in header + REQUEST[:-2] + b"X-Forwarded-For: 6.6.6.6\r\n":
            c.send(bytes([byte]))
        c.send(b"\r\n")
        assert c.reply().status == 200
    assert addresses(t)[-1] == "6.6.6.6"


def test_proxy_header_of_a_stranger_is_refused(make_tracker):
    t = start(
        make_tracker, {"proxy_protocol": "yes", "trusted_proxies": "10.0.0.1"}
    )
    assert t.raw(PROXY[0][0] + REQUEST).status == 400
    assert t.raw(REQUEST).status == 200
    assert addresses(t) == ["127.0.0.1"]


def test_what_is_no_proxy_header_is_not_counted_as_one(tracker):
    """What a header of version 2 begins with, and nothing of it behind."""
    counters = lambda: tracker.status()["counters"]
    for refused in (b"\r\n\r\n", PROXY[0][0] + REQUEST, PROXY[3][0]):
        assert tracker.raw(refused).status == 400
    wait_for(lambda: counters()["requests_refused_total"] == 3, "the count")
    assert counters()["proxy_headers_unexpected_total"] == 2


class Front:
    """A real proxy in front of the tracker, ended by pid."""

    def __init__(self, command, port):
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        self.port = port

        def up():
            code = self.process.poll()
            assert code is None, self.process.stderr.read()
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", port)) == 0

        wait_for(up, f"{command[0]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)


def ask(port, source):
    with socket.socket() as s:
        s.settimeout(20)
        s.bind((source, 0))
        s.connect(("127.0.0.1", port))
        s.sendall(b"GET /img/ctqu6f/m HTTP/1.1\r\nHost: a\r\n"
                  b"Connection: close\r\n\r\n")
        data = b""
        while chunk := s.recv(65536):
            data += chunk
        return data.split(b"\r\n")[0]


def test_behind_nginx(make_tracker, work):
    t = start(make_tracker, {"trusted_proxies": "127.0.0.1"})
    port = free_port()
    conf = work / "nginx.conf"
    conf.write_text(
        f"""
daemon off; pid {work}/nginx.pid; error_log {work}/nginx.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {work}/b; proxy_temp_path {work}/p;
  fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u;
  scgi_temp_path {work}/s;
  upstream tracker {{ server 127.0.0.1:{t.port}; keepalive 4; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://tracker;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}
}}
"""
    )
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    with Front([nginx, "-c", str(conf), "-p", str(work)], port):
        assert b" 200 " in ask(port, "127.0.0.9")
        assert b" 200 " in ask(port, "127.0.0.10")
    assert addresses(t) == ["127.0.0.9", "127.0.0.10"]


@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2"])
def test_behind_haproxy(make_tracker, work, option):
    t = start(
        make_tracker,
        {"proxy_protocol": "yes", "trusted_proxies": "127.0.0.1"},
    )
    port = free_port()
    conf = work / "haproxy.cfg"
    conf.write_text(
        f"""
defaults
  mode tcp
  timeout connect 10s
  timeout client 10s
  timeout server 10s
listen tracking
  bind 127.0.0.1:{port}
  server tracker 127.0.0.1:{t.port} {option}
"""
    )
    haproxy = shutil.which("haproxy") or "/usr/sbin/haproxy"
    with Front([haproxy, "-db", "-f", str(conf)], port):
        assert b" 200 " in ask(port, "127.0.0.9")
    # The probe of wait_for connected and went away without a word.
    assert addresses(t) == ["127.0.0.9"]


def test_connections_per_address(make_tracker):
    t = start(make_tracker, {"max_connections_per_address": "10"})
    held = []
    try:
        for _ in range(10):
            c = t.connect(source="127.0.0.5")
            c.send(HELLO)
            assert c.reply().status == 200
            held.append(c)
        for _ in range(3):
            with t.connect(source="127.0.0.5") as c:
                assert c.is_closed()
        with t.connect(source="127.0.0.6") as c:
            c.send(REQUEST)
            assert c.reply().status == 200
        held.pop().close()

        def again():
            with t.connect(source="127.0.0.5") as c:
                c.send(HELLO)
                return c.reply() is not None

        wait_for(again, "room for one more")
    finally:
        for c in held:
            c.close()
    t.wait_log(r"refuse address=- .*max_connections_per_address")
    wait_for(
        lambda: t.status()["counters"]["connections_refused_total"] >= 3,
        "the count",
    )


def test_workers_take_turns(make_tracker):
    """Who comes while both workers sleep does not always wake the same one."""
    t = start(make_tracker, {"max_connections_per_address": "100"})
    workers = [pid for name, pid in t.roles().items() if name.startswith("web")]

    def open_files():
        return [len(os.listdir(f"/proc/{pid}/fd")) for pid in workers]

    before = open_files()
    held = []
    try:
        for _ in range(40):
            held.append(t.connect())
            held[-1].send(HELLO)
            assert held[-1].reply().status == 200
        taken = [n - b for n, b in zip(open_files(), before)]
        assert min(taken) >= 12, taken
    finally:
        for c in held:
            c.close()


def test_connections_in_all(make_tracker):
    """Idle connections make room for new ones; nobody is turned away."""
    t = start(make_tracker, {"max_connections": "20"})
    held = []
    try:
        for _ in range(60):
            c = t.connect()
            c.send(HELLO)
            assert c.reply().status == 200
            held.append(c)
    finally:
        for c in held:
            c.close()
    wait_for(
        lambda: t.status()["counters"]["connections_recycled_total"] >= 40,
        "the count",
    )


@pytest.mark.parametrize("said", [b"", HELLO[:9], HELLO])
def test_a_full_worker_lets_the_next_one_in(make_tracker, said):
    """As soon as one of those that fill it is slow, or idles."""
    t = make_tracker({
        "http": {"workers": "1"},
        "clients": {"max_connections": "4", "header_timeout": "60s",
                    "idle_timeout": "60s"},
    }).start()
    held = [t.connect() for _ in range(4)]
    try:
        with t.connect() as c:
            c.send(HELLO)
            t.wait_log("full connections=4")
            for other in held:
                other.send(said)
            assert c.reply().body == b"Hello."
    finally:
        for other in held:
            other.close()
    wait_for(
        lambda: t.status()["counters"]["connections_recycled_total"] == 1,
        "the count",
    )


def limit(pid, name, soft):
    """As the user that it runs as: root may lack CAP_SYS_RESOURCE."""
    status = Path(f"/proc/{pid}/status").read_text()
    user, group = (
        int(re.search(rf"^{who}:\t(\d+)", status, re.M)[1])
        for who in ("Uid", "Gid"))
    subprocess.run(["prlimit", f"--pid={pid}", f"--{name}={soft}:"],
                   check=True, user=user, group=group, extra_groups=[])


def busy_s(pid):
    """How long it ran, or would have, had others left it a core."""
    ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return (int(ran) + int(waited)) / 1e9


def test_no_descriptor_is_left(make_tracker):
    """The worker rests, and takes who waits when there is one again."""
    t = make_tracker({"http": {"workers": "1"}}).start()
    web = t.roles()["web[0]"]
    with t.connect() as before:
        before.send(HELLO)
        assert before.reply().status == 200
        limit(web, "nofile", "0")
        with t.connect() as c:
            c.send(HELLO)
            t.wait_log('accept error="Too many open files"')
            begun = busy_s(web)
            time.sleep(1)
            assert busy_s(web) - begun < 0.5
            before.send(HELLO)
            assert before.reply().status == 200
            limit(web, "nofile", "64")
            assert c.reply().body == b"Hello."


@pytest.mark.own_malloc
def test_no_memory_is_left_for_a_link(make_tracker):
    """Found is found: the page tries again, and does not say not found."""
    t = make_tracker({"http": {"workers": "1"}}).start()
    path = t.link("ctqu6f", "long", "https://example.com/" + "é" * 30000)
    t.wait_server("ctqu6f")
    web = t.roles()["web[0]"]
    limit(web, "as", "0")
    reply = t.get(path)
    assert reply.status == 503 and reply.header("Retry-After")
    limit(web, "as", "unlimited")
    assert t.get(path).status == 307


def test_header_time_out(make_tracker):
    t = start(make_tracker, {"header_timeout": "1s"})
    with t.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost:")
        reply = c.reply()
        assert reply.status == 408 and reply.header("Connection") == "close"
        assert c.is_closed()
    with t.connect() as c:  # nothing sent: nothing said
        assert c.is_closed()


def test_a_time_out_behind_a_head_request(make_tracker):
    """What is not complete has no method yet: the answer has its body."""
    t = start(make_tracker, {"header_timeout": "1s"})
    with t.connect() as c:
        c.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c.reply(head=True).status == 200
        c.send(b"GET / HT")
        assert c.reply().body == b"Request Timeout"
        assert c.is_closed()


def test_a_dribbled_head_times_out(make_tracker):
    t = start(make_tracker, {"header_timeout": "1s"})
    with t.connect() as c:
        c.sock.settimeout(0.1)
        for _ in range(100):
            try:
                c.send(b"X")
                if c.sock.recv(1, socket.MSG_PEEK):
                    break
            except TimeoutError:
                continue
        c.sock.settimeout(20)
        assert c.reply().status in (400, 408)


def test_idle_time_out(make_tracker):
    t = start(make_tracker, {"idle_timeout": "1s"})
    with t.connect() as c:
        c.send(REQUEST)
        assert c.reply().status == 200
        assert c.is_closed()


def test_header_size(make_tracker):
    t = start(make_tracker, {"max_header_size": "2k"})
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n"
    assert t.raw(head % (b"x" * 1500)).status == 200
    assert t.raw(head % (b"x" * 2500)).status == 431


def test_a_slow_reader_of_many_replies(tracker):
    """Pipelines without reading: its memory is bounded, others are served."""
    with tracker.connect() as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.sock.setblocking(False)
        try:
            for _ in range(20000):
                c.sock.send(HELLO)
        except BlockingIOError:
            pass
        assert tracker.get(OPEN).status == 200
        c.sock.setblocking(True)
        c.sock.settimeout(20)
        assert c.reply().body == b"Hello."
