"""CPU time of whole handshakes and of bulk: our engine, OpenSSL, nginx.

usage: tls_bench.py BUILD

Each server has one process, TLS 1.2, the same certificate and suite. What is
measured is the CPU time of the server's process, kernel included (schedstat),
divided by what openssl s_time or curl got done: so it says little about how
busy the machine is with other things.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

BUILD = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
SUITES = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
SECONDS, ROUNDS, MEGABYTES = 3, 3, 64

NGINX = """daemon off; master_process off; worker_processes 1;
pid {d}/nginx.pid; error_log /dev/null;
events {{ worker_connections 1024; }}
http {{ access_log off; client_body_temp_path {d}/b;
  server {{ listen 127.0.0.1:{port} ssl; root {d};
    ssl_certificate {d}/{k}.pem; ssl_certificate_key {d}/{k}.key;
    ssl_protocols TLSv1.2; ssl_session_tickets off;
    ssl_session_cache shared:a:10m; ssl_ciphers {suites}; }} }}
"""


def cpu(pid):
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as f:
        return int(f.read().split()[0])


def make_pair(directory, kind):
    how = {"p256": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
           "rsa2048": ["rsa:2048"]}[kind]
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", "-days", "9", "-subj",
         "/CN=bench", "-newkey", *how, "-keyout", f"{directory}/{kind}.key",
         "-out", f"{directory}/{kind}.pem"],
        check=True, capture_output=True)


def start(who, kind, d):
    port = 20000 + os.getpid() % 10000 + len(who)
    chain, key = f"{d}/{kind}.pem", f"{d}/{kind}.key"
    if who == "ours":
        args = [f"{BUILD}/tls-server", "-p", str(port), "-d", chain, key]
    elif who == "openssl":
        args = ["openssl", "s_server", "-accept", str(port), "-cert", chain,
                "-key", key, "-tls1_2", "-quiet", "-no_ticket", "-WWW",
                "-cipher", SUITES]
    else:
        with open(f"{d}/nginx.conf", "w", encoding="utf-8") as f:
            f.write(NGINX.format(d=d, port=port, k=kind, suites=SUITES))
        args = ["nginx", "-c", f"{d}/nginx.conf", "-p", d]
    process = subprocess.Popen(
        args, cwd=d, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    for _ in range(200):
        probe = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}"],
            stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if probe.returncode == 0:
            return process, port
        time.sleep(0.02)
    raise SystemExit(f"{who} does not start")


def handshakes(process, port, mode):
    """Microseconds of CPU for each."""
    before = cpu(process.pid)
    out = subprocess.run(
        ["openssl", "s_time", "-connect", f"127.0.0.1:{port}", mode, "-time",
         str(SECONDS), "-tls1_2", "-cipher", SUITES],
        capture_output=True, text=True, check=False).stdout
    spent = cpu(process.pid) - before
    done = int(re.findall(r"(\d+) connections in .* real", out)[-1])
    return spent / done / 1000


def bulk(process, port, who):
    """Microseconds of CPU for each megabyte."""
    path = f"{MEGABYTES << 20}" if who == "ours" else "file"
    before = cpu(process.pid)
    subprocess.run(
        ["curl", "-sk", "-o", "/dev/null", "--http1.1",
         f"https://127.0.0.1:{port}/{path}"], check=True)
    return (cpu(process.pid) - before) / MEGABYTES / 1000


def main():
    rows = {}
    with tempfile.TemporaryDirectory() as d:
        os.chmod(d, 0o755)
        with open(f"{d}/file", "wb") as f:
            f.truncate(MEGABYTES << 20)
        for kind in ("p256", "rsa2048"):
            make_pair(d, kind)
        for _ in range(ROUNDS):
            for kind in ("p256", "rsa2048"):
                for who in ("ours", "openssl", "nginx"):
                    process, port = start(who, kind, d)
                    try:
                        for what, got in (
                            (f"full, {kind}, us",
                             handshakes(process, port, "-new")),
                            (f"resumed, {kind}, us",
                             handshakes(process, port, "-reuse")),
                            ("bulk, us/MB", bulk(process, port, who)),
                        ):
                            rows.setdefault(what, {}).setdefault(
                                who, []).append(got)
                    finally:
                        process.terminate()
                        process.wait()
    print(f"{'server CPU':24}{'ours':>10}{'s_server':>10}{'nginx':>10}"
          f"{'nginx/ours':>12}")
    for what, by in rows.items():
        median = {who: statistics.median(v) for who, v in by.items()}
        print(f"{what:24}{median['ours']:10.0f}{median['openssl']:10.0f}"
              f"{median['nginx']:10.0f}"
              f"{median['nginx'] / median['ours']:12.2f}")


main()
