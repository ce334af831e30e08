"""Listening sockets for the daemon as systemd passes them: 3, 4, ..."""

import socket
import subprocess
import sys

# Puts the given descriptors there, closes all others and becomes the program.
PASS = """
import fcntl, os, sys
fds = [int(n) for n in sys.argv[1].split(",")]
# Above all that they become.
high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 3 + len(fds)) for fd in fds]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
os.closerange(3 + len(fds), os.sysconf("SC_OPEN_MAX"))
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)))
if sys.argv[2]:
    os.environ["LISTEN_FDNAMES"] = sys.argv[2]
os.execvp(sys.argv[3], sys.argv[3:])
"""


def listening(port=0):
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", port))
    s.listen(128)
    return s


def start_with(tracker, sockets, monkeypatch, names=()):
    """Starts the tracker with sockets of ours, which Popen would close."""
    fds = [s.fileno() for s in sockets]
    before = tracker.command
    tracker.command = [sys.executable, "-c", PASS, ",".join(map(str, fds)),
                       ":".join(names), *before]
    popen = subprocess.Popen
    with monkeypatch.context() as m:
        m.setattr(subprocess, "Popen",
                  lambda *a, **k: popen(*a, pass_fds=fds, **k))
        tracker.start()
    tracker.command = before
