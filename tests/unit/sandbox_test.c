/*
 * sandbox_test.c - every call against every policy, the operators, the steps
 *
 * Each question is put by a child of its own, which loads the real filter and
 * tries the real call. The steps need root; without it they are skipped, and
 * that is said.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "sandbox/filter.h"

/* How a child ended, beside its own small exit codes. */
#define REFUSED 100
#define NO_FILTER 101
#define HIGHEST_CALL 460

static int wanted_call;

/* In the handler: the call that was refused has to be the one that was made. */
static void
refused(int call)
{
	_exit(call == wanted_call ? REFUSED : REFUSED + 2);
}

static int
end_of(pid_t pid)
{
	int status = 0;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* Loads the table in a child and makes the call there. */
static int
try_call(const struct sandbox_table *table, enum sandbox_action action,
    int call, const unsigned long args[6])
{
	struct err e;
	pid_t pid = fork();

	if (pid != 0)
		return end_of(pid);
	wanted_call = call;
	if (sandbox_no_new_privileges(&e) != 0 ||
	    sandbox_load_table(table, action, refused, &e) != 0)
		_exit(NO_FILTER);
	(void)syscall(
	    call, args[0], args[1], args[2], args[3], args[4], args[5]);
	_exit(0);
}

/* --- policies ---------------------------------------------------------- */

static bool
is_listed(const struct sandbox_table *table, int call)
{
	char name[64];

	(void)sandbox_call_name(call, name, sizeof(name));
	for (size_t i = 0; i < table->n_rules; i++)
		if (strcmp(table->rules[i].call, name) == 0)
			return true;
	return false;
}

/*
 * uretprobe and uprobe of x86-64: newer kernels let them past every filter.
 * Only their own trampolines can use them; anyone else gets an error or dies.
 */
static bool
is_exempt(int call)
{
#ifdef __x86_64__
	return call == 335 || call == 336;
#else
	(void)call;
	return false;
#endif
}

static void
test_what_is_not_listed_is_refused(void **state)
{
	static const unsigned long none[6] = {0};
	size_t tried = 0;

	(void)state;
	assert_int_equal(sandbox_n_tables, 7);
	for (size_t i = 0; i < sandbox_n_tables; i++) {
		const struct sandbox_table *table = &sandbox_tables[i];

		for (int call = 0; call <= HIGHEST_CALL; call++) {
			int end;

			if (is_listed(table, call) || is_exempt(call))
				continue;
			end = try_call(table, SANDBOX_TRAP, call, none);
			if (end != REFUSED)
				fail_msg("%s: call %d ended with %d",
				    table->role, call, end);
			tried++;
		}
	}
	assert_in_range(tried, 2275, 7 * HIGHEST_CALL);
}

/* Calls that only some arguments make harmless. */
static const struct {
	int call;
	unsigned long args[6];
	const char *role;
	bool allowed;
} conditions[] = {
    {SYS_mmap,
	{0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1UL, 0},
	"web", true},
    {SYS_mmap,
	{0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1UL, 0},
	"web", false},
    {SYS_mmap,
	{0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1UL, 0},
	"store", false},
#ifndef __SANITIZE_ADDRESS__
    /* The sanitizers' runtime maps its own way. */
    {SYS_mmap, {0, 4096, PROT_READ, MAP_SHARED, 0, 0}, "web", false},
    {SYS_mmap, {0, 4096, PROT_READ, MAP_PRIVATE, 0, 0}, "store", false},
#endif
    {SYS_madvise, {0, 0, MADV_DONTNEED}, "web", true},
    {SYS_madvise, {0, 0, MADV_MERGEABLE}, "web", false},
    {SYS_mmap,
	{0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1UL, 0},
	"keeper", false},
    {SYS_madvise, {0, 0, MADV_MERGEABLE}, "keeper", false},
    {SYS_pread64, {-1UL, 0, 0, 0}, "keeper", true},
    {SYS_sendto, {-1UL, 0, 0, 0, 0, 0}, "logger", true},
    {SYS_sendto, {-1UL, 0, 0, 0, 1, 16}, "logger", false},
    {SYS_sendto, {-1UL, 0, 0, 0, 0, 0}, "web", true},
    {SYS_sendto, {-1UL, 0, 0, 0, 1, 16}, "web", false},
    {SYS_recvfrom, {-1UL, 0, 0, 0, 0, 0}, "web", true},
    {SYS_recvfrom, {-1UL, 0, 0, 0, 1, 1}, "web", false},
    {SYS_shutdown, {-1UL, SHUT_WR}, "web", true},
    {SYS_shutdown, {-1UL, SHUT_RD}, "web", false},
    {SYS_shutdown, {-1UL, SHUT_WR}, "admin", true},
    {SYS_shutdown, {-1UL, SHUT_RD}, "admin", false},
    {SYS_shutdown, {-1UL, SHUT_RDWR}, "admin", false},
    {SYS_fcntl, {-1UL, F_SETLK}, "store", true},
    {SYS_fcntl, {-1UL, F_DUPFD}, "store", false},
    {SYS_fcntl, {-1UL, F_SETOWN}, "store", false},
    {SYS_fcntl, {-1UL, F_SETFL}, "store", false},
    {SYS_getsockopt, {-1UL, SOL_SOCKET, SO_PEERCRED}, "store", true},
    {SYS_getsockopt, {-1UL, SOL_SOCKET, SO_ERROR}, "store", false},
    {SYS_getsockopt, {-1UL, 6, SO_PEERCRED}, "store", false},
    {SYS_openat, {-1UL, 0, O_RDONLY | O_CLOEXEC}, "forwarder", true},
    {SYS_openat, {-1UL, 0, O_WRONLY}, "forwarder", false},
    {SYS_openat, {-1UL, 0, O_RDWR}, "forwarder", false},
    {SYS_openat, {-1UL, 0, O_RDONLY | O_CREAT}, "forwarder", false},
    {SYS_openat, {-1UL, 0, O_RDONLY | O_TRUNC}, "forwarder", false},
    {SYS_openat, {-1UL, 0, O_PATH}, "forwarder", false},
    {SYS_socket, {AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0}, "forwarder", true},
    {SYS_socket, {AF_INET6, SOCK_DGRAM, 0}, "forwarder", true},
    {SYS_socket, {AF_UNIX, SOCK_SEQPACKET, 0}, "forwarder", true},
    {SYS_socket, {AF_NETLINK, SOCK_RAW, 0}, "forwarder", true},
    {SYS_socket, {AF_NETLINK, SOCK_RAW, 12}, "forwarder", false},
    {SYS_socket, {AF_INET, SOCK_RAW, 6}, "forwarder", false},
    {SYS_socket, {AF_INET6, SOCK_RAW, 6}, "forwarder", false},
    {SYS_socket, {AF_PACKET, SOCK_DGRAM, 0}, "forwarder", false},
    {SYS_socket, {AF_VSOCK, SOCK_STREAM, 0}, "forwarder", false},
    {SYS_bind, {-1UL, 0, 12}, "forwarder", true},
    {SYS_bind, {-1UL, 0, 16}, "forwarder", false},
    {SYS_bind, {-1UL, 0, 28}, "forwarder", false},
    {SYS_setsockopt, {-1UL, SOL_SOCKET, SO_KEEPALIVE}, "forwarder", true},
    {SYS_setsockopt, {-1UL, SOL_SOCKET, SO_ATTACH_FILTER}, "forwarder", false},
    {SYS_setsockopt, {-1UL, IPPROTO_IP, 64}, "forwarder", false},
    {SYS_fcntl, {-1UL, F_SETFL}, "forwarder", true},
    {SYS_fcntl, {-1UL, F_SETOWN}, "forwarder", false},
    {SYS_ioctl, {-1UL, FIONREAD}, "forwarder", true},
#ifndef __SANITIZE_ADDRESS__
    {SYS_ioctl, {-1UL, TIOCSTI}, "forwarder", false},
    {SYS_mmap, {0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 0, 0}, "forwarder",
	false},
#endif
    {SYS_mmap, {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, 0, 0}, "forwarder",
	false},
    /* The upper half of an argument counts too. */
    {SYS_shutdown, {-1UL, 1UL << 32 | SHUT_WR}, "web", false},
};

static void
test_conditions(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(conditions); i++) {
		const struct sandbox_table *table =
		    sandbox_find_table(conditions[i].role);
		int end;

		assert_non_null(table);
		end = try_call(table, SANDBOX_TRAP, conditions[i].call,
		    conditions[i].args);
		if (end != (conditions[i].allowed ? 0 : REFUSED))
			fail_msg("row %zu ended with %d", i, end);
	}
}

static void
test_kill_ends_at_once(void **state)
{
	static const unsigned long none[6] = {0};

	(void)state;
	assert_int_equal(
	    try_call(sandbox_find_table("web"), SANDBOX_KILL, SYS_socket, none),
	    -SIGSYS);
}

#ifdef __x86_64__
/* How a child ends that makes a call of i386: getpid there, writev here. */
static int
try_int80(bool filtered)
{
	long number = 20;
	struct err e;
	pid_t pid = fork();

	if (pid != 0)
		return end_of(pid);
	/* cmocka has a handler of its own. */
	(void)signal(SIGSEGV, SIG_DFL);
	if (filtered &&
	    (sandbox_no_new_privileges(&e) != 0 ||
		sandbox_load_filter("web", SANDBOX_TRAP, refused, &e) != 0))
		_exit(NO_FILTER);
	__asm__ volatile("int $0x80" : "+a"(number) : : "memory");
	_exit(0);
}

/* The numbers of other tables of calls lead nowhere: i386 and x32. */
static void
test_other_call_tables(void **state)
{
	struct err e;
	pid_t pid;

	(void)state;
	/* A kernel without 32-bit calls ends both. */
	assert_int_equal(
	    try_int80(true), try_int80(false) == -SIGSEGV ? -SIGSEGV : -SIGSYS);
	pid = fork();
	if (pid == 0) {
		if (sandbox_no_new_privileges(&e) != 0 ||
		    sandbox_load_filter("web", SANDBOX_TRAP, refused, &e) != 0)
			_exit(NO_FILTER);
		(void)syscall(0x40000000 + SYS_read, -1, NULL, 0);
		_exit(0);
	}
	assert_int_not_equal(end_of(pid), 0);
}
#endif

/* --- operators --------------------------------------------------------- */

static const struct {
	const char *condition;
	unsigned long argument;
	bool allowed;
} operators[] = {
    {"arg0 == 5", 5, true},
    {"arg0 == 5", 6, false},
    {"arg0 == 5", 1UL << 32 | 5, false},
    {"arg0 != 5", 6, true},
    {"arg0 != 5", 5, false},
    {"arg0 < 5", 4, true},
    {"arg0 < 5", 5, false},
    {"arg0 <= 5", 5, true},
    {"arg0 <= 5", 6, false},
    {"arg0 > 5", 6, true},
    {"arg0 > 5", 5, false},
    {"arg0 >= 5", 5, true},
    {"arg0 >= 5", 4, false},
    {"arg0 & 6", 2, true},
    {"arg0 & 6", 4, true},
    {"arg0 & 6", 7, true},
    {"arg0 & 6", 9, false},
    {"arg0 & 6", 0, false},
    {"arg0 in 6", 0, true},
    {"arg0 in 6", 6, true},
    {"arg0 in 6", 2, true},
    {"arg0 in 6", 3, false},
    {"arg0 in 6", 1UL << 40, false},
    {"arg0 == 1 || arg0 == 3", 3, true},
    {"arg0 == 1 || arg0 == 3", 2, false},
    {"arg0 == 1 && arg1 == 0", 1, true},
    {"arg0 == 1 && arg1 == 9", 1, false},
};

static struct policy policy;

static struct sandbox_table
table_of(const char *condition)
{
	char text[256];
	struct err e;

	(void)snprintf(text, sizeof(text),
	    "write: 1\nexit_group: 1\nsigaltstack: 1\ngettid: 1\nfutex: 1\n"
	    "getppid: %s\n",
	    condition);
	if (policy_parse(span_of(text), "test", NULL, &policy, &e) != 0)
		fail_msg("%s", e.text);
	return (struct sandbox_table){"test", policy.rules, policy.n_rules};
}

static void
test_operators(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(operators); i++) {
		struct sandbox_table table = table_of(operators[i].condition);
		unsigned long args[6] = {operators[i].argument};
		int end = try_call(&table, SANDBOX_TRAP, SYS_getppid, args);

		if (end != (operators[i].allowed ? 0 : REFUSED))
			fail_msg("%s with %#lx ended with %d",
			    operators[i].condition, operators[i].argument, end);
	}
}

static void
test_return_gives_an_error(void **state)
{
	struct sandbox_table table = table_of("return EPERM");
	struct err e;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		if (sandbox_no_new_privileges(&e) != 0 ||
		    sandbox_load_table(&table, SANDBOX_TRAP, refused, &e) != 0)
			_exit(NO_FILTER);
		errno = 0;
		_exit(syscall(SYS_getppid) == -1 && errno == EPERM ? 7 : 8);
	}
	assert_int_equal(end_of(pid), 7);
}

static void
test_names(void **state)
{
	char name[64];

	(void)state;
	assert_string_equal(
	    sandbox_call_name(SYS_openat, name, sizeof(name)), "openat");
	assert_string_equal(
	    sandbox_call_name(4711, name, sizeof(name)), "call 4711");
	assert_null(sandbox_find_table("nobody"));
	assert_true(sandbox_kernel_has_filters());
}

/* --- steps ------------------------------------------------------------- */

/* Runs steps in a child; what it returns is its exit code. */
static int
in_child(int (*steps)(void))
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(steps());
	return end_of(pid);
}

static int
give_everything_up(void)
{
	struct sandbox_limits limits = {64, 0, 0};
	struct err e;
	int root = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fds[2];

	if (sandbox_limit(&limits, &e) != 0)
		return 1;
	if (sandbox_chroot(root, &e) != 0 || access("/self", F_OK) != 0)
		return 2;
	if (sandbox_drop_bounding(&e) != 0 ||
	    sandbox_set_ids(60000, 60000, &e) != 0 ||
	    sandbox_drop_capabilities(&e) != 0)
		return 3;
	if (sandbox_no_way_back(&e) != 0)
		return 4;
	if (sandbox_no_new_privileges(&e) != 0 ||
	    sandbox_hide_memory(&e) != 0 ||
	    sandbox_die_with(getppid(), &e) != 0)
		return 5;
	/* The limits hold: no process, no 65th descriptor. */
	if (fork() >= 0 || errno != EAGAIN)
		return 6;
	for (int i = 0; i < 64; i++)
		if (pipe(fds) != 0)
			return errno == EMFILE ? 0 : 7;
	return 8;
}

/* What is listed can be read, and nothing else; nothing can be made. */
static int
confine_to_files(void)
{
	static const struct sandbox_path paths[] = {{"/etc", false},
	    {"/proc/self/status", true}, {"/nonexistent", false}};
	const uint16_t ports[] = {1};
	struct sandbox_files files = {.paths = paths,
	    .n_paths = ARRAY_LENGTH(paths),
	    .ports = ports,
	    .n_ports = ARRAY_LENGTH(ports)};
	struct sockaddr_in to = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct err e;
	int fd;

	if (sandbox_no_new_privileges(&e) != 0 ||
	    sandbox_confine_files(&files, &e) != 0)
		return 1;
	if (open("/etc/passwd", O_RDONLY) < 0 ||
	    open("/proc/self/status", O_RDONLY) < 0)
		return 2;
	if (open("/proc/self/maps", O_RDONLY) >= 0 || errno != EACCES ||
	    open("/usr", O_RDONLY | O_DIRECTORY) >= 0)
		return 3;
	if (open("/etc/passwd", O_WRONLY) >= 0 || errno != EACCES ||
	    open("/etc/new", O_WRONLY | O_CREAT, 0600) >= 0 ||
	    mkdir("/etc/new", 0700) == 0 || unlink("/etc/hosts") == 0)
		return 4;
	if (execl("/bin/true", "true", NULL) == 0 || errno != EACCES)
		return 5;
	if (sandbox_landlock_version() < 4)
		return 0;
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(fd, (struct sockaddr *)&to, sizeof(to)) == 0 ||
	    errno != EACCES)
		return 6;
	to.sin_port = htons(2);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 ||
	    errno != EACCES)
		return 7;
	to.sin_port = htons(1);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 ||
	    errno != ECONNREFUSED)
		return 8;
	if (sandbox_landlock_version() >= 6 && kill(getppid(), 0) == 0)
		return 9;
	return 0;
}

static int
miss_a_required_file(void)
{
	static const struct sandbox_path paths[] = {{"/nonexistent", true}};
	struct sandbox_files files = {.paths = paths, .n_paths = 1};
	struct err e = {0};

	if (sandbox_no_new_privileges(&e) != 0 ||
	    sandbox_confine_files(&files, &e) != -1)
		return 1;
	/* Not half confined either. */
	return strstr(e.text, "/nonexistent") != NULL &&
		       open("/proc/self/maps", O_RDONLY) >= 0
		   ? 0
		   : 2;
}

/* Each step that was left out is noticed by the look back. */
static int
keep_root(void)
{
	struct err e;

	return sandbox_no_way_back(&e) == -1 ? 0 : 1;
}

static int
keep_a_saved_uid(void)
{
	struct err e;

	if (sandbox_drop_bounding(&e) != 0 || setresuid(60000, 60000, 0) != 0)
		return 2;
	return sandbox_no_way_back(&e) == -1 ? 0 : 1;
}

static int
refuse_root(void)
{
	struct err e;

	return sandbox_set_ids(0, 0, &e) == -1 && getuid() == 0 ? 0 : 1;
}

static int
refuse_a_stranger_as_parent(void)
{
	struct err e;

	return sandbox_die_with(getppid() + 1, &e) == -1 ? 0 : 1;
}

static void
test_steps(void **state)
{
	static int (*const steps[])(void) = {give_everything_up, keep_root,
	    keep_a_saved_uid, refuse_root, refuse_a_stranger_as_parent,
	    miss_a_required_file, confine_to_files};

	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: the steps need root\n");
		skip();
	}
	for (size_t i = 0; i < ARRAY_LENGTH(steps); i++) {
		int end;

		if (sandbox_landlock_version() == 0 &&
		    i + 2 >= ARRAY_LENGTH(steps)) {
			print_message("skipped: no Landlock in this kernel\n");
			continue;
		}
		end = in_child(steps[i]);

		if (end != 0)
			fail_msg("step test %zu ended with %d", i, end);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_is_not_listed_is_refused),
	    cmocka_unit_test(test_conditions),
	    cmocka_unit_test(test_kill_ends_at_once),
#ifdef __x86_64__
	    cmocka_unit_test(test_other_call_tables),
#endif
	    cmocka_unit_test(test_operators),
	    cmocka_unit_test(test_return_gives_an_error),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
