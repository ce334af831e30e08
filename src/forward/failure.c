/*
 * failure.c - what kind of failure a number of the database means
 *
 * Pure. Numbers below 2000 and above 2999 are the server's, the same in MySQL
 * and MariaDB but for 19xx and 4xxx (MariaDB) and 3xxx (MySQL); 2xxx are the
 * client library's, 5xxx MariaDB's client library's. Sources: the error
 * references of MySQL 8.4 and MariaDB 11.
 */
#include "forward/failure.h"

#include "base/array.h"

/* clang-format off: one shape for all rows. */
const struct sql_failure_row sql_failures[] = {
    {1020, SQL_RETRY, "the row was changed by another one since it was read"},
    {1021, SQL_FULL, "the disk is full"},
    {1026, SQL_FULL, "cannot write a file; mostly for want of room"},
    {1027, SQL_RETRY, "the file is locked against change"},
    {1030, SQL_FULL, "the storage engine failed; mostly for want of room"},
    {1037, SQL_FULL, "out of memory"},
    {1038, SQL_FULL, "out of sort memory"},
    {1040, SQL_LOST, "too many connections"},
    {1041, SQL_FULL, "out of memory"},
    {1042, SQL_LOST, "the server cannot find out our host's name"},
    {1043, SQL_LOST, "bad handshake"},
    {1044, SQL_DENIED, "the user may not use the database"},
    {1045, SQL_DENIED, "wrong user or password"},
    {1047, SQL_LOST, "unknown command; a Galera node that is not ready"},
    {1048, SQL_DATA, "NULL in a column that takes none"},
    {1049, SQL_GONE, "unknown database"},
    {1053, SQL_LOST, "the server shuts down"},
    {1054, SQL_GONE, "unknown column"},
    {1062, SQL_DATA, "duplicate key"},
    {1080, SQL_LOST, "the server closes this connection"},
    {1114, SQL_FULL, "the table is full"},
    {1129, SQL_DENIED, "our host is blocked after too many failed logins"},
    {1130, SQL_DENIED, "our host may not connect"},
    {1142, SQL_DENIED, "no grant on the table"},
    {1143, SQL_DENIED, "no grant on the column"},
    {1146, SQL_GONE, "no such table"},
    {1152, SQL_LOST, "the connection was cut"},
    {1153, SQL_DATA, "larger than max_allowed_packet"},
    {1158, SQL_LOST, "cannot read from the connection"},
    {1159, SQL_LOST, "the server waited too long for us"},
    {1160, SQL_LOST, "cannot write to the connection"},
    {1161, SQL_LOST, "the server waited too long to write"},
    {1180, SQL_RETRY, "the commit failed"},
    {1184, SQL_LOST, "the connection was cut"},
    {1203, SQL_LOST, "too many connections of this user"},
    {1205, SQL_RETRY, "waited too long for a lock"},
    {1206, SQL_RETRY, "more locks than the lock table holds"},
    {1213, SQL_RETRY, "deadlock; the transaction was undone"},
    {1226, SQL_LOST, "a limit of this user is reached"},
    {1227, SQL_DENIED, "a privilege is missing"},
    {1263, SQL_DATA, "NULL in a column that takes none"},
    {1264, SQL_DATA, "number out of range"},
    {1265, SQL_DATA, "the value would be cut"},
    {1290, SQL_READONLY, "the server runs with --read-only"},
    {1292, SQL_DATA, "not a value of this type"},
    {1317, SQL_RETRY, "the statement was interrupted"},
    {1364, SQL_DATA, "a column without default got no value"},
    {1366, SQL_DATA, "not a value of this type or character set"},
    {1370, SQL_DENIED, "no grant on the routine"},
    {1390, SQL_OTHER, "more than 65535 parameters"},
    {1406, SQL_DATA, "longer than the column"},
    {1412, SQL_RETRY, "the table was altered since the transaction began"},
    {1451, SQL_DATA, "a row elsewhere refers to this one"},
    {1452, SQL_DATA, "refers to a row that is not there"},
    {1461, SQL_OTHER, "too many prepared statements on the server"},
    {1615, SQL_RETRY, "the statement has to be prepared again"},
    {1637, SQL_RETRY, "too many transactions under way"},
    {1665, SQL_OTHER, "binlog_format=STATEMENT and READ COMMITTED"},
    {1689, SQL_RETRY, "a lock was given up for another one's DDL"},
    {1690, SQL_DATA, "number out of range"},
    {1698, SQL_DENIED, "wrong user; it logs in by another way"},
    {1785, SQL_OTHER, "GTID: a table without transactions"},
    {1792, SQL_READONLY, "the transaction is read-only"},
    {1820, SQL_DENIED, "the password has to be changed first"},
    {1836, SQL_READONLY, "the server is in read-only mode"},
    {1862, SQL_DENIED, "the password has expired"},
    {1927, SQL_LOST, "the connection was killed"},
    {1969, SQL_RETRY, "over max_statement_time"},
    {2000, SQL_LOST, "unknown error of the client library"},
    {2001, SQL_LOST, "cannot make a Unix socket"},
    {2002, SQL_LOST, "cannot connect"},
    {2003, SQL_LOST, "cannot connect"},
    {2004, SQL_LOST, "cannot make a TCP socket"},
    {2005, SQL_LOST, "unknown host name"},
    {2006, SQL_LOST, "the server has gone away"},
    {2007, SQL_OTHER, "a server of another protocol"},
    {2008, SQL_LOST, "the client library is out of memory"},
    {2012, SQL_LOST, "error in the server's handshake"},
    {2013, SQL_LOST, "the connection broke, or a wait was too long"},
    {2014, SQL_LOST, "calls in an order that the protocol does not know"},
    {2020, SQL_DATA, "the packet is larger than max_allowed_packet"},
    {2026, SQL_LOST, "TLS failed: not the server's certificate or name?"},
    {2027, SQL_LOST, "a packet that is none"},
    {2048, SQL_LOST, "no connection"},
    {2055, SQL_LOST, "the connection broke"},
    {2059, SQL_DENIED, "a way to log in that cannot be loaded"},
    {2061, SQL_DENIED, "the way to log in failed"},
    {3024, SQL_RETRY, "over max_execution_time"},
    {3032, SQL_LOST, "the server is in offline mode"},
    {3118, SQL_DENIED, "the account is locked"},
    {3159, SQL_DENIED, "the server takes encrypted connections only"},
    {3572, SQL_RETRY, "a lock was not free"},
    {4031, SQL_LOST, "the server closed an idle connection"},
    {4151, SQL_DENIED, "the account is locked"},
    {5010, SQL_DENIED, "a way to log in that is not allowed here"},
    {5012, SQL_DENIED, "a way to log in that cannot be loaded"},
    {5013, SQL_LOST, "cannot read from the connection"},
    {5014, SQL_LOST, "cannot write to the connection"},
};
/* clang-format on */

const size_t sql_n_failures = ARRAY_LENGTH(sql_failures);

enum sql_failure
sql_classify(unsigned int number)
{
	size_t low = 0, high = sql_n_failures;

	if (number == 0)
		return SQL_OK;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (sql_failures[middle].number == number)
			return sql_failures[middle].failure;
		if (sql_failures[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return SQL_OTHER;
}

const char *
sql_failure_name(enum sql_failure failure)
{
	static const char *const names[] = {
	    [SQL_OK] = "ok",
	    [SQL_LOST] = "lost",
	    [SQL_RETRY] = "retry",
	    [SQL_GONE] = "gone",
	    [SQL_DENIED] = "denied",
	    [SQL_DATA] = "data",
	    [SQL_FULL] = "full",
	    [SQL_READONLY] = "read-only",
	    [SQL_OTHER] = "other",
	};

	return (size_t)failure < ARRAY_LENGTH(names) ? names[failure]
						     : "unknown";
}
