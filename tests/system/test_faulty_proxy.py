"""The proxy that fails on purpose does fail, where it says it does."""

import threading

import pymysql
import pytest

from faulty_proxy import FaultyProxy, Packets, is_commit_text

pytestmark = pytest.mark.starts_nothing


@pytest.fixture
def server(make_mariadb):
    one = make_mariadb()
    one.execute("CREATE DATABASE d")
    one.execute("CREATE TABLE d.t (a INT PRIMARY KEY)")
    one.add_user("u", "p")
    return one


def through(proxy):
    return pymysql.connect(
        host="127.0.0.1",
        port=proxy.port,
        user="u",
        password="p",
        database="d",
        read_timeout=10,
    )


def rows(server):
    return sorted(r[0] for r in server.execute("SELECT a FROM d.t"))


def insert(connection, number):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (%s)", (number,))
    connection.commit()


def test_nothing_fails_unasked(server):
    with FaultyProxy("127.0.0.1", server.port) as proxy:
        connection = through(proxy)
        for number in range(50):
            insert(connection, number)
        with connection.cursor() as cursor:
            cursor.execute("SELECT REPEAT('x', 15000000)")
            assert len(cursor.fetchone()[0]) == 15000000
        connection.close()
    assert rows(server) == list(range(50))
    assert proxy.counts == {"commit": 50}


def test_cut_before_commit(server):
    with FaultyProxy("127.0.0.1", server.port) as proxy:
        proxy.schedule(None, "cut_before_commit")
        connection = through(proxy)
        insert(connection, 1)
        with pytest.raises(pymysql.err.OperationalError):
            insert(connection, 2)
    assert rows(server) == [1]


def test_drop_commit_reply(server):
    with FaultyProxy("127.0.0.1", server.port) as proxy:
        proxy.schedule("drop_commit_reply")
        with pytest.raises(pymysql.err.OperationalError):
            insert(through(proxy), 3)
    assert rows(server) == [3]


def prepare(connection, text):
    """COM_STMT_PREPARE; the statement's id."""
    connection._execute_command(0x16, text)
    first = connection._read_packet().get_all_data()
    for _ in range(int.from_bytes(first[5:7], "little")):
        connection._read_packet()
    return first[1:5]


def execute(connection, number):
    connection._execute_command(0x17, number + b"\0\1\0\0\0")
    return connection._read_packet().is_ok_packet()


def test_prepared_commit(server):
    with FaultyProxy("127.0.0.1", server.port) as proxy:
        connection = through(proxy)
        other, number = prepare(connection, "DO 1"), prepare(
            connection, "commit"
        )
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO t VALUES (4)")
        assert execute(connection, other)
        assert proxy.counts["commit"] == 0
        proxy.schedule("drop_commit_reply")
        with pytest.raises(pymysql.err.OperationalError):
            execute(connection, number)
    assert rows(server) == [4]


def test_cut_and_half_packet(server):
    for fault in ("cut", "half_packet"):
        with FaultyProxy("127.0.0.1", server.port) as proxy:
            connection = through(proxy)
            proxy.rates[fault] = 1
            with pytest.raises(pymysql.err.OperationalError):
                insert(connection, 5)
            proxy.calm()
            through(proxy).close()
            assert proxy.counts[fault] == 1
    assert rows(server) == []


def test_cut_all_and_server_away(server):
    with FaultyProxy("127.0.0.1", server.port) as proxy:
        connection = through(proxy)
        proxy.cut_all()
        with pytest.raises(pymysql.err.OperationalError):
            insert(connection, 6)
        server.stop()
        with pytest.raises(pymysql.err.OperationalError):
            through(proxy)
        server.start()
        insert(through(proxy), 7)
    assert rows(server) == [7]


def carry(proxy, server, numbers):
    """A client that does not guess: it looks whether a commit happened."""
    connection = None
    for number in numbers:
        while True:
            try:
                if connection is None:
                    connection = through(proxy)
                insert(connection, number)
                break
            except pymysql.err.MySQLError:
                connection = None
                # The server needs a moment to end the dead session.
                if server.execute(
                    "SELECT a FROM d.t WHERE a = %s FOR UPDATE", (number,)
                ):
                    break


def test_at_random(server):
    """With a seed; a careful client gets everything across, once."""
    rates = {
        "cut_before_commit": 0.05,
        "drop_commit_reply": 0.05,
        "cut": 0.02,
        "half_packet": 0.02,
        "delay": 0.01,
    }
    with FaultyProxy("127.0.0.1", server.port, 7, rates) as proxy:
        threads = [
            threading.Thread(
                target=carry, args=(proxy, server, range(i * 50, i * 50 + 50))
            )
            for i in range(4)
        ]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert rows(server) == list(range(200))
    assert set(proxy.counts) == {*rates, "commit"}, proxy.counts


def test_packets_in_pieces():
    one = b"\x02\0\0\0\x03a"
    two = b"\x03\0\0\0\x03bc"
    packets = Packets()
    seen = []
    for byte in one + two:
        seen += [p for p, _, _ in packets.feed(bytes([byte]))]
    assert seen == [one, two]


def test_commit_text():
    for text in (b"COMMIT", b" commit ;", b"Commit AND CHAIN"):
        assert is_commit_text(text)
    for text in (b"COMMITS", b"SELECT 'COMMIT'", b"", b"ROLLBACK"):
        assert not is_commit_text(text)
