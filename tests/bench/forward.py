#!/usr/bin/python3
"""The forwarder against a real MariaDB: drain, idle databases, replica.

usage: forward.py TRACKER [--events N] [--databases N] [--links N]

MariaDB runs at its default settings on the same cores. Ratios count; absolute
figures depend on the machine.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "system"))
os.environ.setdefault("TRACKER", "build/postal-tracker")

from mariadb import MariaDB  # noqa: E402
from postal import Postal  # noqa: E402

from bench import free_port, wait_port  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
# What MariaDB would take by itself; the tests take less.
DEFAULTS = (
    "--innodb-buffer-pool-size=128M",
    "--innodb-log-file-size=96M",
)
MESSAGES = 20000
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Stack:
    """A tracker and, when it is wanted, its forwarder."""

    def __init__(self, binary, work, postal, settings=""):
        self.binary = binary
        self.port = free_port()
        self.conf = work / "tracker.conf"
        sections = postal.forwarder_config(work)
        text = (
            f"[http]\nlisten = 127.0.0.1:{self.port}\n"
            f"[spool]\ndirectory = {work}/spool\nsocket = {work}/store.sock\n"
            "max_size = 8G\n[admin]\nlisten =\n"
            f"[clients]\nmax_connections_per_address = 1000\n{settings}"
        )
        for section, keys in sections.items():
            text += f"[{section}]\n"
            text += "".join(f"{k} = {v}\n" for k, v in keys.items())
        self.conf.write_text(text)
        self.log = open(work / "log", "ab")
        self.daemon = subprocess.Popen(
            [binary, "run", "-c", self.conf], stderr=self.log
        )
        self.forwarder = None
        wait_port(self.port)

    def forward(self):
        self.forwarder = subprocess.Popen(
            [self.binary, "forward", "-c", self.conf], stderr=self.log
        )

    def stop_forwarder(self):
        if self.forwarder:
            self.forwarder.terminate()
            self.forwarder.wait()
            self.forwarder = None

    def status(self):
        return json.loads(
            subprocess.run(
                [self.binary, "status", "--json", "-c", self.conf],
                check=True, capture_output=True,
            ).stdout
        )

    def wait(self, condition, seconds=1800):
        end = time.monotonic() + seconds
        while not condition(self.status()):
            if time.monotonic() > end:
                sys.exit(f"waited too long: {self.status()}")
            time.sleep(0.05)

    def stop(self):
        self.stop_forwarder()
        self.daemon.terminate()
        self.daemon.wait()
        self.log.close()


def load(stack, servers, events, work):
    """So many opens of random messages, as fast as they are taken."""
    script = work / "open.lua"
    tokens = "','".join(message_tokens())
    script.write_text(
        f"local tokens = {{'{tokens}'}}\n"
        "request = function()\n"
        "  return string.format('GET /img/srv%03d/%s HTTP/1.1\\r\\n"
        "Host: a\\r\\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"
        " Gecko/20100101 Firefox/140.0\\r\\n\\r\\n',"
        f" math.random(1, {servers}), tokens[math.random(1, #tokens)])\n"
        "end\n"
    )
    while stack.status()["pending"] < events:
        subprocess.run(
            ["wrk", "-t2", "-c64", "-d1s", "-s", script,
             f"http://127.0.0.1:{stack.port}/"],
            check=True, capture_output=True,
        )


def message_tokens():
    """As Postal makes them: 16 random letters and digits."""
    rng = random.Random(7)
    return ["".join(rng.choices(LETTERS, k=16)) for _ in range(MESSAGES)]


def fill(postal, servers):
    tokens = message_tokens()
    for server in range(1, servers + 1):
        postal.add_server(f"srv{server:03}", server)
        rows = [
            (n, tokens[n - 1], "outgoing", "to@example.net",
             "from@example.com", "Subject", f"m{n}@example.com",
             "1712345678.123456", 0, 0)
            for n in range(1, MESSAGES + 1)
        ]
        name = postal.name_of(server)
        postal.message.execute(
            f"INSERT INTO `{name}`.messages (id, token, scope, rcpt_to,"
            " mail_from, subject, message_id, timestamp, inspected, spam)"
            " VALUES (%s,%s,%s,%s,%s,%s,%s,%s,%s,%s)",
            many=rows,
        )


def drain(binary, events, servers, webhooks):
    """Events a second from a full spool into the tables."""
    work = Path(tempfile.mkdtemp(prefix="tracker-bench-"))
    os.chmod(work, 0o755)
    with MariaDB(work / "mysql", options=DEFAULTS) as server:
        postal = Postal(server)
        fill(postal, servers)
        for number in range(1, servers + 1 if webhooks else 1):
            postal.add_webhook(number, "https://hooks.example/1")
        stack = Stack(binary, work, postal, "")
        try:
            # The servers have to be known before opens are taken.
            stack.forward()
            stack.wait(lambda s: s["servers"] == servers)
            stack.stop_forwarder()
            load(stack, servers, events, work)
            pending = stack.status()["pending"]
            before = cpu_seconds(server.pid)
            stack.forward()
            forwarder = stack.forwarder.pid
            started = time.monotonic()
            stack.wait(lambda s: s["pending"] == 0)
            took = time.monotonic() - started
            print(
                f"drain: {pending} opens, {servers} databases, webhooks "
                f"{'one each' if webhooks else 'off'}: "
                f"{pending / took:.0f} events/s; CPU mariadbd "
                f"{1e6 * (cpu_seconds(server.pid) - before) / pending:.1f} "
                f"us, forwarder "
                f"{1e6 * cpu_seconds(forwarder) / pending:.1f} us an event"
            )
        finally:
            stack.stop()
            postal.close()
    shutil.rmtree(work, ignore_errors=True)


def idle(binary, databases):
    """What so many databases cost when nothing happens."""
    work = Path(tempfile.mkdtemp(prefix="tracker-bench-"))
    os.chmod(work, 0o755)
    with MariaDB(work / "mysql", options=DEFAULTS) as server:
        postal = Postal(server)
        for number in range(1, databases + 1):
            postal.add_server(f"idle{number}", number)
            postal.add_link(number, "H0zoVR7I", "https://example.com/", 1)
        stack = Stack(binary, work, postal)
        try:
            stack.forward()
            stack.wait(lambda s: s["links"] >= databases)
            time.sleep(3)
            pids = {"forwarder": stack.forwarder.pid, "mariadbd": server.pid}
            before = {n: cpu_seconds(p) for n, p in pids.items()}
            time.sleep(20)
            print(
                f"idle: {databases} databases: "
                + ", ".join(
                    f"{n} {100 * (cpu_seconds(p) - before[n]) / 20:.2f} %"
                    for n, p in pids.items()
                )
                + " of a core"
            )
        finally:
            stack.stop()
            postal.close()
    shutil.rmtree(work, ignore_errors=True)


def replica(binary, links):
    """Builds a replica of so many links, and looks some up."""
    work = Path(tempfile.mkdtemp(prefix="tracker-bench-"))
    os.chmod(work, 0o755)
    rng = random.Random(1)
    with MariaDB(
        work / "mysql", options=("--innodb-flush-log-at-trx-commit=2",)
    ) as server:
        postal = Postal(server)
        postal.add_server("srv001", 1)
        name = postal.name_of(1)
        now = time.time()
        tokens = []
        for first in range(0, links, 20000):
            rows = []
            for n in range(first + 1, min(first + 20000, links) + 1):
                token = "".join(rng.choices(LETTERS, k=16))
                if n % max(1, links // 20000) == 0:
                    tokens.append(token)
                rows.append(
                    (n, n, token, f"https://example.com/offers/{n}?a=1",
                     f"{now - 3600:.6f}")
                )
            postal.message.execute(
                f"INSERT INTO `{name}`.links (id, message_id, token, url,"
                " timestamp) VALUES (%s,%s,%s,%s,%s)",
                many=rows,
            )
        stack = Stack(binary, work, postal)
        try:
            stack.forward()
            started = time.monotonic()
            stack.wait(lambda s: s["links"] >= links, 7200)
            took = time.monotonic() - started
            size = sum(
                p.stat().st_size for p in (work / "spool").glob("replica.db*")
            )
            print(
                f"replica: {links} links in {took:.0f} s "
                f"({links / took:.0f}/s), {size / links:.0f} bytes a link"
            )
            stack.stop_forwarder()
            for what in ("cold", "hot"):
                look_up(stack, tokens, what, work)
        finally:
            stack.stop()
            postal.close()
    shutil.rmtree(work, ignore_errors=True)


def look_up(stack, tokens, what, work):
    """CPU and time of the store for each look-up; new workers each time, so
    that none remembers a link."""
    if what == "cold":
        for path in (work / "spool").iterdir():
            with open(path, "rb") as f:
                os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    else:
        stack.daemon.send_signal(1)  # SIGHUP: new workers
        time.sleep(2)
    store = next(
        r["pid"] for r in stack.status()["roles"] if r["role"] == "store"
    )
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", stack.port)
    before = cpu_seconds(store)
    times = []
    for token in tokens[:5000]:
        started = time.perf_counter()
        connection.request("GET", f"/srv001/{token}")
        reply = connection.getresponse()
        reply.read()
        if reply.status != 307:
            sys.exit(f"{token}: {reply.status}")
        times.append(time.perf_counter() - started)
    times.sort()
    print(
        f"look-up, {what}: median {1e3 * times[len(times) // 2]:.2f} ms a "
        f"click, event stored included; store "
        f"{1e6 * (cpu_seconds(store) - before) / len(times):.0f} us of CPU"
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tracker")
    parser.add_argument("--events", type=int, default=300000)
    parser.add_argument("--databases", type=int, default=1000)
    parser.add_argument("--links", type=int, default=10000000)
    parser.add_argument("--only", default="drain,idle,replica")
    args = parser.parse_args()
    binary = os.path.abspath(args.tracker)
    if "drain" in args.only:
        drain(binary, args.events, 10, False)
        drain(binary, args.events // 3, 10, True)
    if "idle" in args.only:
        idle(binary, args.databases)
    if "replica" in args.only:
        replica(binary, args.links)


if __name__ == "__main__":
    main()
