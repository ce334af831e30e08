"""A forwarder that does what a test says: our messages, written out once more.

It shares no code with the store, so that both have to agree on the bytes.
"""

import fcntl
import os
import socket
import struct

TYPES = (
    "PARAMS WEB_SETTINGS STORE_SETTINGS CHANNEL STOP READY REFUSED_CALL "
    "REPLACE ROLES SERVERS EVENTS STORED LINK LINKED COUNTERS HELLO REFUSAL "
    "STATUS_GET STATUS LINK_ADD LINK_ADDED EVENTS_GET EVENT_ROWS WELCOME "
    "DUE_GET DUE SETTLE DONE ASIDE_GET ASIDE RETRY NEW_NODE KNOWN_SERVERS "
    "KNOWN_DOMAINS REPLICA_GET REPLICA KNOWN_LINKS SEARCH SEARCHED "
    "FORWARDER_STATE KEEPER_SETTINGS PAIR_CHAIN PAIR_KEY PAIR_RESULT "
    "PAIR_DROP CERTIFICATE CERTIFICATES_DONE SIGN SIGNED CHALLENGE "
    "CHALLENGED DOMAINS_GET DOMAINS ADMIN_SETTINGS COMMITS_GET COMMITS "
    "PERMISSION_GET PERMISSION CLIENTS_GET CLIENTS SELFTEST SELFTEST_STATE "
    "LOGGER_SETTINGS LINES LINES_LOST "
    "CERTIFICATE_STATES CERTIFICATES_GET CERTIFICATES "
    "CERTIFICATE_ROWS ROWS_WANTED ROW_CHAIN ROW_KEY ROW_TAKEN "
    "KNOWN_CHALLENGES CHALLENGES_DUE PING PONG "
    "PORT_OPEN PORT_OPENED PORT_REFUSED"
).split()
NUMBER = {name: i + 1 for i, name in enumerate(TYPES)}
VERSION = 6
FORWARDER, TOOL = 8, 16
FIRST, LAST = 1, 2
FOUND, NONE, UNAVAILABLE = 1, 2, 3
WRITTEN, UNMATCHED, ASIDE, DUPLICATE = 1, 2, 3, 4


def span8(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack("<B", len(value)) + value


def span16(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack("<H", len(value)) + value


def rows(parts):
    return struct.pack("<H", len(parts)) + b"".join(parts)


class Reader:
    def __init__(self, data):
        self.data = data

    def take(self, form):
        size = struct.calcsize("<" + form)
        values = struct.unpack("<" + form, self.data[:size])
        self.data = self.data[size:]
        return values if len(values) > 1 else values[0]

    def bytes(self, n):
        value, self.data = self.data[:n], self.data[n:]
        return value

    def span8(self):
        return self.bytes(self.take("B"))

    def span16(self):
        return self.bytes(self.take("H"))

    def end(self):
        assert self.data == b"", self.data


class Refused(Exception):
    pass


class Closed(Exception):
    pass


class Forwarder:
    """One connection to store.sock."""

    def __init__(
        self, tracker, hello=True, uid=None, role=FORWARDER, path=None
    ):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(20)
        self.searches = []  # (ask, server_id, token) that came unasked
        if uid is not None:
            # The kernel notes who connects at connect().
            os.seteuid(uid)
        try:
            self.sock.connect(path or tracker.settings["spool"]["socket"])
        finally:
            if uid is not None:
                os.seteuid(0)
        if hello:
            self.node, self.start_seq, self.last_seq = self.hello(role)

    def hello(self, role=FORWARDER):
        try:
            self.send("HELLO", struct.pack("<IB", VERSION, role))
        except Closed:
            pass  # it may have said why: the reason waits
        return self.welcome()

    def welcome(self):
        body = self.expect("WELCOME")
        values = body.bytes(16), *body.take("QQ")
        body.end()
        return values

    # --- the channel ----------------------------------------------------

    def send(self, name, body=b""):
        self.send_raw(struct.pack("<H", NUMBER[name]) + body)

    def send_raw(self, data):
        try:
            self.sock.send(data)
        except (BrokenPipeError, ConnectionResetError) as e:
            raise Closed from e

    def receive(self):
        try:
            data = self.sock.recv(131072)
        except ConnectionResetError:
            # It comes once, before what the store said until then.
            data = self.sock.recv(131072)
        if not data:
            raise Closed
        return TYPES[struct.unpack("<H", data[:2])[0] - 1], Reader(data[2:])

    def expect(self, name):
        while True:
            got, body = self.receive()
            if got == "SEARCH" and name != "SEARCH":
                self.searches.append((*body.take("QI"), body.span8()))
                continue
            if got == "REFUSAL":
                raise Refused(body.span16().decode())
            assert got == name, (got, name)
            return body

    def done(self):
        return self.expect("DONE").take("Q")

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- events ---------------------------------------------------------

    def ask_due(self, after=0, most=1000, wait=0):
        self.send("DUE_GET", struct.pack("<QHB", after, most, wait))

    def get_due(self):
        body = self.expect("DUE")
        events = []
        for _ in range(body.take("H")):
            names = "seq at kind method flags server_id link_id message_id"
            e = dict(zip(names.split(), body.take("QQBBBIQQ")))
            e["ip"] = body.bytes(16)
            e["token"] = body.span8().decode()
            e["user_agent"] = body.span16().decode()
            events.append(e)
        body.end()
        return events

    def due(self, after=0, most=1000, wait=0):
        self.ask_due(after, most, wait)
        return self.get_due()

    def settle(self, outcome, *ranges, reason="", retry=0):
        self.send(
            "SETTLE",
            struct.pack("<BB", outcome, retry)
            + span8(reason)
            + rows([struct.pack("<QI", *r) for r in ranges]),
        )
        return self.done()

    def asides(self, after=0):
        """Servers of which events may be tried again."""
        self.send("ASIDE_GET", struct.pack("<I", after))
        body = self.expect("ASIDE")
        found = [body.take("I") for _ in range(body.take("H"))]
        body.end()
        return found

    def retry(self, server_id, most=65535):
        self.send("RETRY", struct.pack("<IH", server_id, most))
        return self.done()

    def new_node(self):
        self.send("NEW_NODE")
        return self.welcome()[0]

    # --- Postal's tables ------------------------------------------------

    def servers(self, table, flags=FIRST | LAST):
        self.send(
            "KNOWN_SERVERS",
            struct.pack("<B", flags)
            + rows(
                [struct.pack("<I", i) + span8(t) for i, t in table.items()]
            ),
        )
        return self.done()

    def domains(self, table, flags=FIRST | LAST, ok=True):
        self.send(
            "KNOWN_DOMAINS",
            struct.pack("<B", flags)
            + rows(
                [struct.pack("<IBB", i, ok, 1) + span8(n) for n, i in table]
            ),
        )
        return self.done()

    def links(self, server_id, table, low, high, complete=1):
        """table: (id, token, url[, message_id])."""
        parts = []
        for link_id, token, url, *message in table:
            parts.append(
                struct.pack(
                    "<QBQ",
                    link_id,
                    1 if message else 0,
                    message[0] if message else 0,
                )
                + span8(token)
                + span16(url)
            )
        self.send(
            "KNOWN_LINKS",
            struct.pack("<IQQB", server_id, low, high, complete)
            + rows(parts),
        )
        return self.done()

    def replica(self, after=0):
        self.send("REPLICA_GET", struct.pack("<I", after))
        body = self.expect("REPLICA")
        found = [body.take("IQQB") for _ in range(body.take("H"))]
        body.end()
        return found

    # --- searches and state ---------------------------------------------

    def state(self, connected=1, error="", lag_ms=0, databases=2, broken=0):
        self.send(
            "FORWARDER_STATE",
            struct.pack(
                "<BQIQQQQII",
                connected, 11, 7, 12, 13, 14, lag_ms, databases, broken,
            )
            + span16(error),
        )

    def search(self):
        """The next SEARCH: (ask, server_id, token)."""
        if self.searches:
            return self.searches.pop(0)
        body = self.expect("SEARCH")
        found = (*body.take("QI"), body.span8())
        body.end()
        return found

    def has_search(self, seconds):
        if self.searches:
            return True
        self.sock.settimeout(seconds)
        try:
            self.searches.append(self.search())
            return True
        except TimeoutError:
            return False
        finally:
            self.sock.settimeout(20)

    def searched(self, ask, status, link_id=0, token="", url="", message=None):
        self.send(
            "SEARCHED",
            struct.pack(
                "<QBBQQ", ask, status, 0 if message is None else 1,
                link_id, message or 0,
            )
            + span8(token)
            + span16(url),
        )


def memory_file(data, seals=0xF):
    """Sealed as the monitor wants it: SEAL, SHRINK, GROW, WRITE."""
    fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


class Handover(Forwarder):
    """The forwarder's connection to the monitor."""

    OFFERED, LATER = 1, 2

    def __init__(self, tracker, uid=None):
        path = tracker.settings["spool"]["socket"] + ".keys"
        super().__init__(tracker, hello=False, uid=uid, path=path)

    def name(self, table, flags=FIRST | LAST):
        """table: (name, mark); gives the places of those that are wanted."""
        parts = [span8(n) + mark(m) for n, m in table]
        self.send(
            "CERTIFICATE_ROWS", struct.pack("<B", flags) + rows(parts))
        body = self.expect("ROWS_WANTED")
        wanted = [body.take("H") for _ in range(body.take("H"))]
        body.end()
        return wanted

    def send_with(self, name, body, *fds):
        data = struct.pack("<H", NUMBER[name]) + body
        try:
            socket.send_fds(self.sock, [data], fds)
        except (BrokenPipeError, ConnectionResetError) as e:
            raise Closed from e

    def chain(self, name, m, fd):
        self.send_with("ROW_CHAIN", span8(name) + mark(m), fd)

    def key(self, fd):
        self.send_with("ROW_KEY", b"", fd)

    def give(self, name, m, chain, key):
        """What the monitor says of it."""
        fds = memory_file(chain.encode()), memory_file(key.encode())
        try:
            self.chain(name, m, fds[0])
            self.key(fds[1])
        finally:
            for fd in fds:
                os.close(fd)
        return self.expect("ROW_TAKEN").take("B")


def mark(text):
    return text.encode().ljust(32, b"-")
