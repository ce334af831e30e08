#!/usr/bin/python3
"""wrk against this tracker and against nginx, side by side in one run.

usage: bench.py TRACKER [--seconds N] [--rounds N] [--only http|https]

Both servers run at the same time on the same cores; short rounds alternate
between them, each with new connections, and their median is shown. nginx
serves empty_gif and `return 307` with a buffered access log, because the
tracker records too. Ratios count; absolute figures depend on the machine.
"""

import argparse
import os
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bench_https

MODES = [
    # name, connections, a connection per request
    ("64 keep-alive", 64, False),
    ("256 keep-alive", 256, False),
    ("64, one request each", 64, True),
]
IDLE = 10000


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    sys.exit(f"nothing listens on port {port}")


class Nginx:
    def __init__(self, work, certificates):
        self.port = free_port()
        self.https = {kind: free_port() for kind in certificates}
        servers = "".join(
            bench_https.nginx_server(self.https[kind], path)
            for kind, path in certificates.items())
        conf = work / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        conf.write_text(
            f"""
{user} daemon off; worker_processes auto; pid {work}/nginx.pid;
error_log {work}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log {work}/access.log combined buffer=64k flush=1s;
  keepalive_requests 1000000000;
  client_body_temp_path {work}/b; proxy_temp_path {work}/p;
  fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u;
  scgi_temp_path {work}/s;
  server {{
    listen 127.0.0.1:{self.port} backlog=4096;
    location /img/ {{ empty_gif; }}
    location / {{ return 307 https://example.com/landing?a=1; }}
  }}{servers}
}}
"""
        )
        nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        self.process = subprocess.Popen([nginx, "-c", conf, "-p", work])
        wait_port(self.port)

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Tracker:
    def __init__(self, binary, work, name, directory, certificates=None):
        self.binary = binary
        self.port = free_port()
        self.https = free_port()
        self.conf = work / f"{name}.conf"
        self.conf.write_text(
            f"[http]\nlisten = 127.0.0.1:{self.port}\n"
            f"[admin]\nlisten =\n[spool]\ndirectory = {directory}\n"
            f"socket = {work}/{name}.sock\n"
            "max_size = 8G\n"
            "[clients]\nmax_connections = 12000\n"
            "max_connections_per_address = 12000\n"
            + (f"[https]\nlisten = 127.0.0.1:{self.https}\n"
               f"certificates = {certificates}\n" if certificates else "")
        )
        self.log = open(work / f"{name}.log", "wb")
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [binary, "run", "-c", self.conf], stderr=self.log
        )
        self.first_answer_ms = self.wait_first_answer()
        self.cli("link", "add", "--server", "demo", "--token", "tok",
                 "https://example.com/landing?a=1")

    def wait_first_answer(self):
        while time.monotonic() - self.started < 10:
            try:
                with socket.create_connection(("127.0.0.1", self.port)) as s:
                    s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    if s.recv(4096).startswith(b"HTTP/1.1 200"):
                        return 1000 * (time.monotonic() - self.started)
            except ConnectionError:
                time.sleep(0.0005)
        sys.exit("the tracker does not answer")

    def cli(self, *args):
        return subprocess.run(
            [self.binary, *args, "-c", self.conf],
            check=True, capture_output=True, text=True,
        ).stdout

    def roles(self):
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        found = {}
        for pid in Path(path).read_text().split():
            name = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
            found[name.decode().split(": ")[1]] = int(pid)
        return found

    def resident_kb(self, role):
        status = Path(f"/proc/{self.roles()[role]}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.log.close()


def wrk(port, path, connections, close, seconds):
    command = [
        "wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "--latency",
        f"http://127.0.0.1:{port}{path}",
    ]
    if close:
        command[1:1] = ["-H", "Connection: close"]
    out = subprocess.run(
        command, check=True, capture_output=True, text=True
    ).stdout
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])

    def percentile(name):
        value, unit = re.search(rf"{name}%\s+([\d.]+)(\w+)", out).groups()
        return float(value) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]

    errors = re.search(r"Socket errors: connect (\d+), read (\d+), "
                       r"write (\d+), timeout (\d+)", out)
    if errors and (errors[1] != "0" or errors[4] != "0"):
        print(f"  wrk: {errors[0]}", file=sys.stderr)
    non_2xx = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    if non_2xx:
        sys.exit(f"{path}: {non_2xx[0]}")
    return rate, percentile("50"), percentile("99")


def measure(servers, paths, mode, seconds, rounds):
    """{server: (rate, p50, p99)}, medians of alternating rounds."""
    _, connections, close = mode
    results = {name: [] for name in servers}
    for _ in range(rounds):
        for name, server in servers.items():
            results[name].append(
                wrk(server.port, paths[name], connections, close, seconds)
            )
    return {
        name: tuple(statistics.median(column) for column in zip(*rows))
        for name, rows in results.items()
    }


def show(kind, mode, got):
    base = got["nginx"]
    for name, (rate, p50, p99) in got.items():
        print(
            f"{kind:<6} {mode[0]:<21} {name:<14} {rate:>9.0f} "
            f"{rate / base[0]:>6.2f} {p50:>8.2f} {p99:>8.2f} "
            f"{p99 / base[2]:>6.2f}"
        )


def idle_memory(tracker, connections):
    """Resident memory of the workers, in kB, before and with so many."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    before = sum(
        tracker.resident_kb(r) for r in tracker.roles() if "web" in r
    )
    held = []
    for _ in range(connections):
        s = socket.create_connection(("127.0.0.1", tracker.port))
        s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        if not s.recv(4096):
            sys.exit(f"closed after {len(held)} idle connections")
        held.append(s)
    after = sum(
        tracker.resident_kb(r) for r in tracker.roles() if "web" in r
    )
    for s in held:
        s.close()
    return before, after


def bench_http(args, binary, work, shm, nginx, started):
    disk = Tracker(binary, work, "disk", work / "spool")
    started.append(disk)
    memory = Tracker(binary, work, "tmpfs", shm / "spool")
    started.append(memory)
    time.sleep(1)  # workers learn of the new server
    print(f"first answer after exec: {disk.first_answer_ms:.1f} ms")
    for role in disk.roles():
        print(f"resident, idle: {role} {disk.resident_kb(role)} kB")
    print(f"\n{'':<6} {'':<21} {'':<14} {'req/s':>9} {'ratio':>6} "
          f"{'p50 ms':>8} {'p99 ms':>8} {'ratio':>6}")
    servers = {
        "nginx": nginx, "tracker": disk, "tracker, tmpfs": memory
    }
    for kind, path in (("open", "/img/demo/message"),
                       ("click", "/demo/tok")):
        for mode in MODES:
            paths = {name: path for name in servers}
            show(kind, mode, measure(
                servers, paths, mode, args.seconds, args.rounds))
    before, after = idle_memory(disk, IDLE)
    print(f"\n{IDLE} idle connections: workers {before} kB -> {after} kB "
          f"({(after - before) / 1000:.1f} MB)")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tracker")
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--only", choices=("http", "https"))
    args = parser.parse_args()
    binary = os.path.abspath(args.tracker)
    work = Path(tempfile.mkdtemp(prefix="tracker-bench-"))
    os.chmod(work, 0o755)
    shm = Path(tempfile.mkdtemp(prefix="tracker-bench-", dir="/dev/shm"))
    os.chmod(shm, 0o755)
    certificates = bench_https.make_pairs(work)
    started = []
    try:
        nginx = Nginx(work, certificates)
        started.append(nginx)
        if args.only != "https":
            bench_http(args, binary, work, shm, nginx, started)
        if args.only != "http":
            servers = {}
            for kind, path in certificates.items():
                tracker = Tracker(binary, work, kind, work / f"spool-{kind}",
                                  path)
                started.append(tracker)
                wait_port(tracker.https)
                servers[kind] = {
                    "nginx": (nginx.process.pid, nginx.https[kind]),
                    "tracker": (tracker.process.pid, tracker.https),
                }
            memory = Tracker(binary, work, "https-tmpfs",
                             shm / "spool-https", certificates["P-256"])
            started.append(memory)
            wait_port(memory.https)
            servers["P-256"]["tracker, tmpfs"] = (
                memory.process.pid, memory.https)
            time.sleep(1)  # workers learn of the new server
            bench_https.run(servers, args.seconds, args.rounds)
    finally:
        for server in started:
            server.stop()
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(shm, ignore_errors=True)


if __name__ == "__main__":
    main()
