"""What systemd does for a service: sockets from 3 up, NOTIFY_SOCKET, a store
of descriptors."""

import os
import re
import socket
import subprocess
import sys

# --- sockets ------------------------------------------------------------------

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


def listening(port=0, host="127.0.0.1"):
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((host, port))
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


# --- what the service says ----------------------------------------------------


class NotifySocket:
    """Of one start. Descriptors to keep go to the store, where there is one."""

    def __init__(self, path, store=None):
        self.path = str(path)
        self.store = store
        self.text = ""
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        os.chmod(self.path, 0o666)
        self.sock.setblocking(False)

    def read(self):
        """All that was said so far, a line a variable."""
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self.sock, 4096, 4)
            except BlockingIOError:
                return self.text
            text = data.decode()
            self.text += text + "\n"
            if self.store:
                self.store.take(text, fds)
            else:
                for fd in fds:
                    os.close(fd)

    def close(self):
        self.sock.close()


class DescriptorStore:
    """What a tracker asks to keep, by name, for its next start."""

    def __init__(self, tracker):
        self.kept = {}
        self.tracker = tracker
        tracker.descriptor_store = self

    def take(self, text, fds):
        name = re.search(r"FDNAME=(\S+)", text)
        if text.startswith("FDSTORE="):
            self.kept[name[1]] = socket.socket(fileno=fds[0])
        elif text.startswith("FDSTOREREMOVE="):
            self.kept.pop(name[1]).close()

    def names(self):
        self.tracker.notify.read()
        return sorted(self.kept)

    def pass_on(self, monkeypatch, more=()):
        """The next start has them, behind those of .socket units."""
        start_with(self.tracker, [*(s for _, s in more), *self.kept.values()],
                   monkeypatch, [*(n for n, _ in more), *self.kept])

    def close(self):
        for s in self.kept.values():
            s.close()
