"""HTTPS of the whole daemon beside nginx; a part of bench.py.

Both are limited to TLS 1.2 and the same suites, and have the same certificate.
Handshakes are made by several `openssl s_time` at once, kept-alive requests by
wrk. On few cores the clients take most of the time, so the CPU that all
processes of a server spent is shown too: it is what bounds it elsewhere. A
request is an event that is stored before its answer leaves: those are measured
with the spool on the disk and on tmpfs. A handshake stores nothing.
"""

import re
import shutil
import statistics
import subprocess
from pathlib import Path

SUITES = ("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
          "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
          "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305")
KINDS = {
    "P-256": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "RSA-2048": ["rsa:2048"],
}
CLIENTS = 4


def make_pairs(work):
    """Directories as [https] certificates has them, by kind of key."""
    made = {}
    for kind, how in KINDS.items():
        made[kind] = work / f"certificates-{kind}"
        pair = made[kind] / "default"
        pair.mkdir(parents=True)
        subprocess.run(
            ["openssl", "req", "-x509", "-nodes", "-days", "9", "-subj",
             "/CN=bench", "-newkey", *how, "-addext",
             "subjectAltName=DNS:bench.example",
             "-keyout", pair / "privkey.pem", "-out", pair / "fullchain.pem"],
            check=True, capture_output=True)
    return made


def nginx_server(port, certificates):
    """The block of one server, for the configuration of nginx."""
    return f"""
  server {{
    listen 127.0.0.1:{port} ssl backlog=4096;
    ssl_certificate {certificates}/default/fullchain.pem;
    ssl_certificate_key {certificates}/default/privkey.pem;
    ssl_protocols TLSv1.2; ssl_ciphers {SUITES};
    ssl_prefer_server_ciphers on; ssl_session_tickets off;
    ssl_session_cache shared:tls{port}:16m; ssl_session_timeout 12h;
    location /img/ {{ empty_gif; }}
  }}"""


def family(pid):
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [pid, *map(int, children.split())]


def cpu_us(pid):
    """CPU time of all of them so far."""
    total = 0
    for p in family(pid):
        total += int(Path(f"/proc/{p}/schedstat").read_text().split()[0])
    return total / 1000


def handshakes(port, mode, seconds):
    """How many a second, of all clients together."""
    clients = [
        subprocess.Popen(
            ["openssl", "s_time", "-connect", f"127.0.0.1:{port}", mode,
             "-time", str(seconds), "-tls1_2", "-cipher", SUITES],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for _ in range(CLIENTS)
    ]
    done = 0
    for client in clients:
        out = client.communicate()[0]
        n, real = re.findall(r"(\d+) connections in (\d+) real", out)[-1]
        done += int(n) / max(int(real), 1)
    return done


def requests(port, connections, seconds):
    out = subprocess.run(
        ["wrk", "-t2", f"-c{connections}", f"-d{seconds}s",
         f"https://127.0.0.1:{port}/img/demo/message"],
        check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        print(f"  wrk: {out}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])


def measure(pid, work, seconds):
    """(a second, µs of the server's CPU for each)."""
    before = cpu_us(pid)
    rate = work()
    return rate, (cpu_us(pid) - before) / (rate * seconds)


def run(servers, seconds, rounds):
    """servers: {kind of key: {name: (pid, port)}}; nginx is the first one."""
    if not shutil.which("wrk"):
        raise SystemExit("there is no wrk")
    print(f"\n{'HTTPS':<31} {'':<14} {'a second':>9} {'ratio':>6} "
          f"{'CPU us':>8} {'ratio':>6}")
    for kind, named in servers.items():
        no_events = [name for name in named if "tmpfs" not in name]
        tests = [
            ("full handshakes", no_events,
             lambda p: handshakes(p, "-new", seconds)),
            ("resumed handshakes", no_events,
             lambda p: handshakes(p, "-reuse", seconds)),
        ]
        if kind == "P-256":
            tests += [
                (f"requests, {n} keep-alive", list(named),
                 lambda p, n=n: requests(p, n, seconds)) for n in (64, 256)]
        for what, names, work in tests:
            got = {name: [] for name in names}
            for _ in range(rounds):
                for name in names:
                    pid, port = named[name]
                    got[name].append(
                        measure(pid, lambda p=port: work(p), seconds))
            base = None
            for name, rows in got.items():
                rate, cpu = (statistics.median(c) for c in zip(*rows))
                base = base or (rate, cpu)
                print(f"{kind + ', ' + what:<31} {name:<14} {rate:>9.0f} "
                      f"{rate / base[0]:>6.2f} {cpu:>8.0f} "
                      f"{base[1] / cpu:>6.2f}")
