"""A TCP proxy in front of MariaDB that fails on purpose.

It understands as much of the protocol as it needs to see where a packet
begins and which one is a COMMIT: the text (COM_QUERY) or the execution of a
prepared one. Faults happen by schedule, for the next commits, or at random
with a seed:

    cut_before_commit   the COMMIT does not arrive, the connection is gone
    drop_commit_reply   it is carried out; reply and connection are lost
    delay               a packet waits for a moment
    cut                 the connection is gone, at a packet of either side
    half_packet         it is gone in the middle of one
"""

import collections
import random
import select
import socket
import struct
import threading

COMMIT_FAULTS = ("cut_before_commit", "drop_commit_reply")
PACKET_FAULTS = ("delay", "cut", "half_packet")
COM_QUERY, COM_STMT_PREPARE, COM_STMT_EXECUTE = 0x03, 0x16, 0x17
COM_STMT_CLOSE = 0x19
CLIENT_SSL = 0x0800
LAST_STATEMENT = 0xFFFFFFFF
DELAY_SECONDS = 0.05


def is_commit_text(text):
    return text.strip().rstrip(b";").strip().upper().split()[:1] == [b"COMMIT"]


class Cut(Exception):
    """This connection ends now."""


class Packets:
    """Splits one direction into packets; keeps an incomplete end."""

    def __init__(self):
        self.buffer = b""
        self.continued = False

    def feed(self, data):
        """Yields (whole packet, its payload, whether it begins a command)."""
        self.buffer += data
        while len(self.buffer) >= 4:
            size = int.from_bytes(self.buffer[:3], "little")
            if len(self.buffer) < 4 + size:
                return
            packet, self.buffer = (
                self.buffer[: 4 + size],
                self.buffer[4 + size :],
            )
            begins = packet[3] == 0 and not self.continued
            self.continued = size == 0xFFFFFF
            yield packet, packet[4:], begins


class Link(threading.Thread):
    """One connection through the proxy."""

    def __init__(self, proxy, client, server):
        super().__init__(daemon=True)
        self.proxy = proxy
        self.client = client
        self.server = server
        self.from_client = Packets()
        self.from_server = Packets()
        self.opaque = False  # TLS: nothing to see
        self.commits = set()  # ids of prepared COMMITs
        self.preparing = None  # whether the text that is prepared is one
        self.last_is_commit = False
        self.drop_reply = False

    def run(self):
        try:
            while True:
                ready, _, _ = select.select([self.client, self.server], [], [])
                for sock in ready:
                    data = sock.recv(65536)
                    if not data:
                        raise Cut
                    if sock is self.client:
                        self.client_sent(data)
                    else:
                        self.server_sent(data)
        except (Cut, OSError, ValueError):
            pass
        finally:
            self.close()
            self.proxy.forget(self)

    def close(self):
        for sock in (self.client, self.server):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    # --- client to server -----------------------------------------------

    def client_sent(self, data):
        if self.opaque:
            self.server.sendall(data)
            return
        for packet, payload, begins in self.from_client.feed(data):
            if packet[3] == 1 and len(payload) == 32:
                flags = int.from_bytes(payload[:4], "little")
                self.opaque = bool(flags & CLIENT_SSL)
            if begins and self.is_commit(payload):
                self.commit()
            elif begins:
                self.packet_fault(packet, self.server)
            self.server.sendall(packet)
        if self.opaque and self.from_client.buffer:
            self.server.sendall(self.from_client.buffer)

    def is_commit(self, payload):
        command, rest = payload[:1], payload[1:]
        if command == bytes([COM_QUERY]):
            return is_commit_text(rest)
        if command == bytes([COM_STMT_PREPARE]):
            self.preparing = is_commit_text(rest)
            self.last_is_commit = self.preparing
        elif command == bytes([COM_STMT_EXECUTE]) and len(rest) >= 4:
            number = struct.unpack_from("<I", rest)[0]
            if number == LAST_STATEMENT:
                return self.last_is_commit
            return number in self.commits
        elif command == bytes([COM_STMT_CLOSE]) and len(rest) >= 4:
            self.commits.discard(struct.unpack_from("<I", rest)[0])
        return False

    def commit(self):
        fault = self.proxy.choose_commit_fault()
        if fault == "cut_before_commit":
            raise Cut
        self.drop_reply = fault == "drop_commit_reply"

    # --- server to client -----------------------------------------------

    def server_sent(self, data):
        if self.drop_reply:
            # There is a reply: it was carried out.
            raise Cut
        if not self.opaque:
            for packet, payload, _ in self.from_server.feed(data):
                if self.preparing is not None:
                    self.prepared(payload)
            self.packet_fault(data, self.client)
        self.client.sendall(data)

    def prepared(self, payload):
        if payload[:1] == b"\0" and len(payload) >= 12 and self.preparing:
            self.commits.add(struct.unpack_from("<I", payload, 1)[0])
        self.preparing = None

    # --- either way -----------------------------------------------------

    def packet_fault(self, data, to):
        fault = self.proxy.choose_packet_fault()
        if fault == "delay":
            self.proxy.pause.wait(DELAY_SECONDS)
        elif fault == "cut":
            raise Cut
        elif fault == "half_packet":
            to.sendall(data[: len(data) // 2])
            raise Cut


class FaultyProxy:
    """Listens on 127.0.0.1 and passes everything on to (host, port).

    rates: by fault, how probable it is for a commit or a packet; 0 at first.
    """

    def __init__(self, host, port, seed=0, rates=None):
        self.target = (host, port)
        self.rates = dict(rates or {})
        assert set(self.rates) <= {*COMMIT_FAULTS, *PACKET_FAULTS}
        self.counts = collections.Counter()  # what happened, and commits
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.plan = collections.deque()
        self.links = set()
        self.pause = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        self.pause.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.thread.join()
        self.cut_all()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self.target, timeout=10)
            except OSError:
                # As when nobody listens, as near as a proxy can.
                client.close()
                continue
            server.settimeout(None)
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = Link(self, client, server)
            with self.lock:
                self.links.add(link)
            link.start()

    def forget(self, link):
        with self.lock:
            self.links.discard(link)

    # --- what fails -----------------------------------------------------

    def schedule(self, *faults):
        """For the next commits, one each; None lets one pass."""
        with self.lock:
            self.plan.extend(faults)

    def calm(self):
        """From here on nothing fails."""
        with self.lock:
            self.rates.clear()
            self.plan.clear()

    def cut_all(self):
        """Every connection that there is now."""
        with self.lock:
            links = list(self.links)
        for link in links:
            link.close()
        for link in links:
            link.join(10)

    def _choose(self, faults):
        for fault in faults:
            if self.random.random() < self.rates.get(fault, 0):
                self.counts[fault] += 1
                return fault
        return None

    def choose_commit_fault(self):
        with self.lock:
            self.counts["commit"] += 1
            if self.plan:
                fault = self.plan.popleft()
                if fault is not None:
                    self.counts[fault] += 1
                return fault
            return self._choose(COMMIT_FAULTS)

    def choose_packet_fault(self):
        with self.lock:
            return self._choose(PACKET_FAULTS)
