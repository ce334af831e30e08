"""Postal's databases, as far as tracking can see them.

The schema is written out from the reference for three generations: the main
database (servers, domains, track domains, webhooks, the queue of webhook
requests; track_certificates is what 1.x left) and one database for each mail
server. What differs between the generations is in GENERATIONS.

    postal = Postal(mariadb)
    postal.add_server("ctqu6f", 1)
    postal.add_message(1, token="AbCdEfGhIjKlMnOp")
    postal.add_link(1, token="H0zoVR7I", message_id=1, url="https://…")
    settings = postal.forwarder_config(directory)
"""

import contextlib
import hashlib
import os
import re
import time
from pathlib import Path

import pymysql

LEDGER = "postal_tracker"
USER = "tracker"
PASSWORD = "t0p-s3cret pass'word"

# url: links.url before message-DB migration 20; collation: before 19.
GENERATIONS = {
    "1.x": {
        "locks": False,
        "url": "varchar(255)",
        "message_collation": "utf8mb3_unicode_ci",
        "version": 18,
        "datetime": "datetime",
    },
    "2.x": {
        "locks": False,
        "url": "text",
        "message_collation": "utf8mb4_unicode_ci",
        "version": 20,
        "datetime": "datetime(6)",
    },
    "3.x": {
        "locks": True,
        "url": "text",
        "message_collation": "utf8mb4_unicode_ci",
        "version": 20,
        "datetime": "datetime(6)",
    },
}
# The last 1.x had all 20 migrations; older ones are met in the field too.
GENERATIONS["1.x-last"] = {**GENERATIONS["2.x"]}

MAIN_COLLATION = "utf8mb4_general_ci"

MAIN_TABLES = """
CREATE TABLE servers (
  id int(11) NOT NULL AUTO_INCREMENT PRIMARY KEY,
  organization_id int(11), uuid varchar(255), name varchar(255),
  mode varchar(255), ip_pool_id int(11), token varchar(255),
  permalink varchar(255), message_retention_days int(11) DEFAULT 60,
  domains_not_to_click_track text, suspended_at {datetime},
  deleted_at {datetime}, created_at {datetime}, updated_at {datetime},
  KEY index_servers_on_token (token(6)), KEY index_servers_on_uuid (uuid(8))
);
CREATE TABLE domains (
  id int(11) NOT NULL AUTO_INCREMENT PRIMARY KEY,
  server_id int(11), uuid varchar(255), name varchar(255),
  owner_type varchar(255), owner_id int(11),
  created_at {datetime}, updated_at {datetime},
  KEY index_domains_on_server_id (server_id)
);
CREATE TABLE track_domains (
  id int(11) NOT NULL AUTO_INCREMENT PRIMARY KEY,
  uuid varchar(255), server_id int(11), domain_id int(11),
  name varchar(255), dns_checked_at {datetime}, dns_status varchar(255),
  dns_error varchar(255), created_at {datetime} NOT NULL,
  updated_at {datetime} NOT NULL, ssl_enabled tinyint(1) DEFAULT 1,
  track_clicks tinyint(1) DEFAULT 1, track_loads tinyint(1) DEFAULT 1,
  excluded_click_domains text
);
CREATE TABLE track_certificates (
  id int(11) NOT NULL AUTO_INCREMENT PRIMARY KEY,
  domain varchar(255), certificate text, intermediaries text, `key` text,
  expires_at {datetime}, renew_after {datetime},
  verification_path varchar(255), verification_string varchar(255),
  created_at {datetime} NOT NULL, updated_at {datetime} NOT NULL,
  KEY index_track_certificates_on_domain (domain(8))
);
CREATE TABLE webhooks (
  id int(11) NOT NULL AUTO_INCREMENT PRIMARY KEY,
  server_id int(11), uuid varchar(255), name varchar(255),
  url varchar(255), last_used_at datetime, all_events tinyint(1) DEFAULT 0,
  enabled tinyint(1) DEFAULT 1, sign tinyint(1) DEFAULT 1,
  created_at {datetime}, updated_at {datetime},
  KEY index_webhooks_on_server_id (server_id)
);
CREATE TABLE webhook_events (
  id int(11) NOT NULL AUTO_INCREMENT PRIMARY KEY,
  webhook_id int(11), event varchar(255), created_at {datetime},
  KEY index_webhook_events_on_webhook_id (webhook_id)
);
CREATE TABLE webhook_requests (
  id int(11) NOT NULL AUTO_INCREMENT PRIMARY KEY,
  server_id int(11), webhook_id int(11), url varchar(255),
  event varchar(255), uuid varchar(255), payload text,
  attempts int(11) DEFAULT 0, retry_after datetime(6), error text,
  created_at datetime(6){locks}
)
"""

LOCKS = """,
  locked_by varchar(255), locked_at datetime,
  KEY index_webhook_requests_on_locked_by (locked_by(8))"""

MESSAGE_TABLES = """
CREATE TABLE migrations (version int(11) NOT NULL PRIMARY KEY);
CREATE TABLE messages (
  id int(11) NOT NULL AUTO_INCREMENT PRIMARY KEY,
  token varchar(255), scope varchar(10), rcpt_to varchar(255),
  mail_from varchar(255), subject varchar(255), message_id varchar(255),
  timestamp decimal(18,6), route_id int(11), domain_id int(11),
  credential_id int(11), status varchar(255), held tinyint(1) DEFAULT 0,
  size varchar(255), last_delivery_attempt decimal(18,6),
  raw_table varchar(255), raw_body_id int(11), raw_headers_id int(11),
  inspected tinyint(1) DEFAULT 0, spam tinyint(1) DEFAULT 0,
  spam_score decimal(8,2) DEFAULT 0, threat tinyint(1) DEFAULT 0,
  threat_details varchar(255), bounce tinyint(1) DEFAULT 0,
  bounce_for_id int(11) DEFAULT 0, tag varchar(255),
  loaded decimal(18,6), clicked decimal(18,6), received_with_ssl tinyint(1),
  KEY on_message_id (message_id(8)), KEY on_token (token(6)),
  KEY on_scope (scope(1)), KEY on_timestamp (timestamp)
);
CREATE TABLE links (
  id int(11) NOT NULL AUTO_INCREMENT PRIMARY KEY,
  message_id int(11), token varchar(255), hash varchar(255), url {url},
  timestamp decimal(18,6),
  KEY on_message_id (message_id), KEY on_token (token(8))
);
CREATE TABLE clicks (
  id int(11) NOT NULL AUTO_INCREMENT PRIMARY KEY,
  message_id int(11), link_id int(11), ip_address varchar(255),
  country varchar(255), city varchar(255), user_agent varchar(255),
  timestamp decimal(18,6),
  KEY on_message_id (message_id), KEY on_link_id (link_id)
);
CREATE TABLE loads (
  id int(11) NOT NULL AUTO_INCREMENT PRIMARY KEY,
  message_id int(11), ip_address varchar(255), country varchar(255),
  city varchar(255), user_agent varchar(255), timestamp decimal(18,6),
  KEY on_message_id (message_id)
);
CREATE TABLE webhook_requests (
  id int(11) NOT NULL AUTO_INCREMENT PRIMARY KEY,
  uuid varchar(255), event varchar(255), attempt int(11),
  timestamp decimal(18,6), status_code int(1), body text, payload text,
  will_retry tinyint(1),
  KEY on_uuid (uuid(8)), KEY on_event (event(8)),
  KEY on_timestamp (timestamp)
);
CREATE TABLE `raw-2026-01-01` (
  id int(11) NOT NULL AUTO_INCREMENT PRIMARY KEY,
  data longblob, next int(11)
)
"""

# What the forwarder may do, for one message database (narrow form).
MESSAGE_GRANTS = {
    "links": "SELECT",
    "messages": "SELECT, UPDATE (loaded, clicked)",
    "migrations": "SELECT",
    "clicks": "INSERT",
    "loads": "INSERT",
}
MAIN_GRANTS = {
    "servers": "SELECT",
    "webhooks": "SELECT",
    "webhook_events": "SELECT",
    "track_domains": "SELECT",
    "domains": "SELECT",
    "track_certificates": "SELECT",
    "webhook_requests": "INSERT",
}

MESSAGE_DEFAULTS = {
    "scope": "outgoing",
    "rcpt_to": "anna@example.net",
    "mail_from": "news@example.com",
    "subject": "Hello Anna",
    "timestamp": "1712345678.123456",
    "status": "Sent",
}


def quote(name):
    return "`" + name.replace("`", "``") + "`"


class Session:
    """A connection as root that comes back after the server was away."""

    def __init__(self, server):
        self.server = server
        self.connection = None

    def execute(self, sql, args=None, many=None, as_dict=False):
        for attempt in (1, 2):
            if self.connection is None:
                self.connection = self.server.connect()
            kind = pymysql.cursors.DictCursor if as_dict else None
            try:
                with self.connection.cursor(kind) as cursor:
                    if many is not None:
                        cursor.executemany(sql, many)
                    else:
                        cursor.execute(sql, args)
                    return list(cursor.fetchall())
            except (
                pymysql.err.OperationalError,
                pymysql.err.InterfaceError,
            ) as e:
                lost = e.args and e.args[0] in (0, 2006, 2013)
                if not lost or attempt == 2:
                    raise
                self.close()
        raise AssertionError("unreachable")

    def close(self):
        if self.connection is not None:
            try:
                self.connection.close()
            except pymysql.err.Error:
                pass
            self.connection = None


class Postal:
    """One installation: a main database and its message databases.

    main, message: the MariaDB servers that hold them (message None: the same).
    """

    def __init__(
        self,
        main,
        message=None,
        generation="3.x",
        database="postal",
        prefix="postal",
        user=USER,
        password=PASSWORD,
    ):
        self.main_server = main
        self.message_server = message or main
        self.traits = GENERATIONS[generation]
        self.generation = generation
        self.database = database
        self.prefix = prefix
        self.user = user
        self.password = password
        self.main = Session(main)
        self.message = Session(self.message_server)
        self._create_main()

    def close(self):
        self.main.close()
        self.message.close()

    # --- schema and account ---------------------------------------------

    def servers_of_both(self):
        both = [self.main_server]
        if self.message_server is not self.main_server:
            both.append(self.message_server)
        return both

    def _create_main(self):
        name = quote(self.database)
        self.main.execute(f"DROP DATABASE IF EXISTS {name}")
        self.main.execute(
            f"CREATE DATABASE {name} CHARACTER SET utf8mb4 "
            f"COLLATE {MAIN_COLLATION}"
        )
        for server in self.servers_of_both():
            server.add_user(self.user, self.password, ())
        text = MAIN_TABLES.format(
            datetime=self.traits["datetime"],
            locks=LOCKS if self.traits["locks"] else "",
        )
        self._create_tables(self.main, name, text)
        self.grant_main()
        self.grant_ledger()

    @staticmethod
    def _create_tables(session, database, text):
        session.execute(f"USE {database}")
        for statement in text.split(";\n"):
            session.execute(statement)

    def grant_main(self):
        for table, what in MAIN_GRANTS.items():
            self.main.execute(
                f"GRANT {what} ON {quote(self.database)}.{table} "
                f"TO '{self.user}'@'%'"
            )

    def grant_ledger(self):
        """What the forwarder needs to make and keep its ledger."""
        for session in (self.main, self.message):
            session.execute(
                "GRANT CREATE, SELECT, INSERT, UPDATE, DELETE ON "
                f"{LEDGER}.* TO '{self.user}'@'%'"
            )

    def grant_message(self, server_id):
        for table, what in MESSAGE_GRANTS.items():
            self.message.execute(
                f"GRANT {what} ON {self.table(server_id, table)} "
                f"TO '{self.user}'@'%'"
            )

    def revoke_message(self, server_id, table):
        self.message.execute(
            f"REVOKE {MESSAGE_GRANTS[table]} ON "
            f"{self.table(server_id, table)} FROM '{self.user}'@'%'"
        )

    # --- message databases ----------------------------------------------

    def name_of(self, server_id):
        return f"{self.prefix}-server-{server_id}"

    def table(self, server_id, table):
        return f"{quote(self.name_of(server_id))}.{quote(table)}"

    def has_message_database(self, server_id):
        return bool(
            self.message.execute(
                "SELECT 1 FROM information_schema.schemata "
                "WHERE schema_name = %s",
                (self.name_of(server_id),),
            )
        )

    def create_message_database(self, server_id):
        name = quote(self.name_of(server_id))
        collation = self.traits["message_collation"]
        charset = collation.split("_", maxsplit=1)[0]
        self.message.execute(
            f"CREATE DATABASE {name} CHARACTER SET {charset} "
            f"COLLATE {collation}"
        )
        text = MESSAGE_TABLES.format(url=self.traits["url"])
        self._create_tables(self.message, name, text)
        self.message.execute(
            f"INSERT INTO {name}.migrations VALUES (%s)",
            many=[(v,) for v in range(1, self.traits["version"] + 1)],
        )
        self.grant_message(server_id)

    def drop_message_database(self, server_id):
        name = quote(self.name_of(server_id))
        self.message.execute(f"DROP DATABASE IF EXISTS {name}")

    # --- rows -----------------------------------------------------------

    @staticmethod
    def _insert(session, table, row):
        columns = ", ".join(quote(c) for c in row)
        marks = ", ".join(["%s"] * len(row))
        session.execute(
            f"INSERT INTO {table} ({columns}) VALUES ({marks})",
            tuple(row.values()),
        )
        return session.execute("SELECT LAST_INSERT_ID()")[0][0]

    def _main_table(self, table):
        return f"{quote(self.database)}.{table}"

    def add_server(self, token, server_id=None, database=True, **columns):
        """A mail server, with its database unless told otherwise."""
        row = {"token": token, "name": token, "mode": "Live", **columns}
        if server_id is not None:
            row["id"] = server_id
        made = self._insert(self.main, self._main_table("servers"), row)
        server_id = made if server_id is None else server_id
        if database:
            self.create_message_database(server_id)
        return server_id

    def add_track_domain(self, server_id, name, domain, status="OK"):
        """The tracking domain name.domain, and the domain itself."""
        database = quote(self.database)
        self.main.execute(
            f"INSERT INTO {database}.domains (name, server_id, created_at,"
            " updated_at) VALUES (%s, %s, NOW(), NOW())",
            (domain, server_id),
        )
        self.main.execute(
            f"INSERT INTO {database}.track_domains (name, server_id,"
            " domain_id, dns_status, created_at, updated_at) VALUES (%s, %s,"
            f" (SELECT MAX(id) FROM {database}.domains), %s, NOW(), NOW())",
            (name, server_id, status),
        )

    def add_message(self, server_id, **columns):
        row = {**MESSAGE_DEFAULTS, **columns}
        made = self._insert(
            self.message, self.table(server_id, "messages"), row
        )
        return columns.get("id", made)

    def add_link(self, server_id, token, url, message_id=None, **columns):
        row = {
            "token": token,
            "url": url,
            "message_id": message_id,
            "hash": hashlib.sha1((url or "").encode()).hexdigest(),
            "timestamp": f"{time.time():.6f}",
            **columns,
        }
        made = self._insert(self.message, self.table(server_id, "links"), row)
        return columns.get("id", made)

    def add_webhook(
        self, server_id, url, events=None, enabled=True, **columns
    ):
        """events None: all of them."""
        row = {
            "server_id": server_id,
            "name": url,
            "url": url,
            "all_events": events is None,
            "enabled": enabled,
            **columns,
        }
        made = self._insert(self.main, self._main_table("webhooks"), row)
        webhook_id = columns.get("id", made)
        for event in events or ():
            self.add_webhook_event(webhook_id, event)
        return webhook_id

    def set_all_events(self, webhook_id, value):
        self.main.execute(
            f"UPDATE {self._main_table('webhooks')} SET all_events = %s "
            "WHERE id = %s",
            (value, webhook_id),
        )

    @contextlib.contextmanager
    def transaction(self):
        """What is done to the main database comes into sight at once."""
        self.main.execute("START TRANSACTION")
        yield
        self.main.execute("COMMIT")

    def add_webhook_event(self, webhook_id, event, **columns):
        return self._insert(
            self.main,
            self._main_table("webhook_events"),
            {"webhook_id": webhook_id, "event": event, **columns},
        )

    def add_certificate(self, domain, days=60, **columns):
        """A row of Postal 1.x: certificate, intermediaries, key, …"""
        row = {
            "domain": domain,
            "expires_at": time.strftime(
                "%Y-%m-%d %H:%M:%S", time.gmtime(time.time() + days * 86400)
            ),
            "created_at": "2020-01-01",
            "updated_at": "2020-01-01",
            **columns,
        }
        return self._insert(
            self.main, self._main_table("track_certificates"), row
        )

    def change_certificate(self, domain, **columns):
        marks = ", ".join(f"{quote(c)} = %s" for c in columns)
        self.main.execute(
            f"UPDATE {self._main_table('track_certificates')} SET {marks} "
            "WHERE domain = %s",
            (*columns.values(), domain),
        )

    def remove_certificate(self, domain):
        self.main.execute(
            f"DELETE FROM {self._main_table('track_certificates')} "
            "WHERE domain = %s",
            (domain,),
        )

    def _rows(self, session, table, order="id"):
        return session.execute(
            f"SELECT * FROM {table} ORDER BY {order}", as_dict=True
        )

    def loads(self, server_id):
        return self._rows(self.message, self.table(server_id, "loads"))

    def clicks(self, server_id):
        return self._rows(self.message, self.table(server_id, "clicks"))

    def messages(self, server_id):
        return self._rows(self.message, self.table(server_id, "messages"))

    def webhook_requests(self):
        return self._rows(self.main, self._main_table("webhook_requests"))

    def ledger(self):
        """Rows of the ledger, of both servers when there are two."""
        rows = []
        sessions = [self.main]
        if self.message_server is not self.main_server:
            sessions.append(self.message)
        for session in sessions:
            try:
                rows += session.execute(
                    f"SELECT * FROM {LEDGER}.ledger", as_dict=True
                )
            except pymysql.err.Error as e:
                # Neither the database nor the table is there yet.
                if e.args[0] not in (1049, 1146):
                    raise
        return rows

    def plain_tokens(self):
        """Tokens of the servers that have a database and can be asked for."""
        return [
            token
            for number, token in self.main.execute(
                f"SELECT id, token FROM {self._main_table('servers')}"
            )
            if re.fullmatch("[A-Za-z0-9-]+", token or "")
            and self.has_message_database(number)
        ]

    def empty_main(self, *tables):
        for table in tables:
            self.main.execute(f"DELETE FROM {self._main_table(table)}")

    def empty_message(self, server_id, *tables):
        for table in tables:
            self.message.execute(f"DELETE FROM {self.table(server_id, table)}")

    # --- the forwarder's side -------------------------------------------

    def forwarder_config(self, directory, hosts=None, tls_ca=""):
        """Sections for tracker.conf; writes the password files.

        hosts: (host, port) to connect to instead of the server's, for main
        and message ("main", "message"), as when a proxy stands between.
        """
        hosts = hosts or {}
        password = Path(directory) / "db-password"
        password.write_text(self.password + "\n")
        os.chmod(password, 0o600)
        host, port = hosts.get("main", ("127.0.0.1", self.main_server.port))
        settings = {
            "postal": {"mode": "mysql"},
            "main_db": {
                "host": host,
                "port": port,
                "user": self.user,
                "password_file": str(password),
                "database": self.database,
            },
            "message_db": {"prefix": self.prefix},
        }
        if tls_ca:
            settings["main_db"]["tls_ca"] = tls_ca
        if self.message_server is not self.main_server or "message" in hosts:
            host, port = hosts.get(
                "message", ("127.0.0.1", self.message_server.port)
            )
            settings["message_db"].update(
                host=host,
                port=port,
                user=self.user,
                password_file=str(password),
            )
        return settings
