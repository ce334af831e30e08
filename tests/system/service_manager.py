"""What systemd does for a service: sockets from 3 up, NOTIFY_SOCKET, a store
of descriptors."""

import ctypes
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


def copies_of(pid):
    """The sockets of a process, which are still its own."""
    getfd = 438  # pidfd_getfd
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    process = os.pidfd_open(pid)
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            if os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:"):
                copy = syscall(getfd, process, int(fd), 0)
                assert copy >= 0, os.strerror(ctypes.get_errno())
                yield socket.socket(fileno=copy)
    finally:
        os.close(process)


def has_no_delay(tracker, port, host="127.0.0.1"):
    """Of a connection that a worker accepted there: TCP_NODELAY."""
    found = []
    with socket.create_connection((host, port), timeout=20) as c:
        c.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c.recv(9) == b"HTTP/1.1 "
        for name, pid in tracker.roles().items():
            for s in copies_of(pid) if name.startswith("web") else ():
                with s:
                    if s.family in (socket.AF_INET, socket.AF_INET6) \
                            and is_peer(s, c.getsockname()):
                        found.append(s.getsockopt(
                            socket.IPPROTO_TCP, socket.TCP_NODELAY))
    assert len(found) == 1, found
    return found[0] != 0


def is_peer(s, name):
    try:
        return s.getpeername() == name
    except OSError:
        return False


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

    def fill(self):
        """Nothing more finds room until somebody reads."""
        while True:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
                s.setblocking(False)
                try:
                    s.sendto(b"FULL=1", self.path)
                except BlockingIOError:
                    return

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
