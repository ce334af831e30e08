/*
 * inject.c - makes a running process execute a system call of our choice
 *
 * As an attacker who has taken over a role would: the process is stopped with
 * ptrace (which the test, being root, may), its registers are set to the call
 * and it is let go. The call then meets the filter of the real process.
 *
 * usage: inject PID NUMBER
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#include <elf.h>

#define TRIES 5000

static int
fail(const char *what)
{
	(void)fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
	return 1;
}

/*
 * A process that waits in epoll_wait has the instruction that enters the
 * kernel just before its instruction pointer. false: it was stopped elsewhere.
 */
static bool
is_in_call(pid_t pid, const struct user_regs_struct *regs)
{
#ifdef __x86_64__
	long word;

	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, pid, regs->rip - 2, NULL);
	return errno == 0 && (word & 0xffff) == 0x050f;
#else
#error "say here how a system call is entered on this machine"
#endif
}

static void
aim(struct user_regs_struct *regs, uint64_t number)
{
#ifdef __x86_64__
	regs->orig_rax = (unsigned long long)-1;
	regs->rax = number;
	regs->rip -= 2;
	regs->rdi = regs->rsi = regs->rdx = regs->r10 = regs->r8 = 0;
	regs->r9 = 0;
#else
#error "say here how a system call is entered on this machine"
#endif
}

/* Stops it in a system call; 0 when it was. A busy machine stops it in between
 * now and then, so that is tried again. */
static int
stop_in_call(pid_t pid, struct user_regs_struct *regs)
{
	struct iovec io = {regs, sizeof(*regs)};
	int status;

	for (int i = 0; i < TRIES; i++) {
		if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) != 0)
			return fail("attach");
		if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
			return fail("wait");
		if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &io) != 0)
			return fail("read registers");
		if (is_in_call(pid, regs))
			return 0;
		if (ptrace(PTRACE_DETACH, pid, NULL, NULL) != 0)
			return fail("detach");
		(void)usleep(1000);
	}
	errno = EBUSY;
	return fail("it is never in a system call");
}

int
main(int argc, char **argv)
{
	struct user_regs_struct regs;
	struct iovec io = {&regs, sizeof(regs)};
	pid_t pid;

	if (argc != 3) {
		(void)fprintf(stderr, "usage: inject PID NUMBER\n");
		return 2;
	}
	pid = (pid_t)strtol(argv[1], NULL, 10);
	if (stop_in_call(pid, &regs) != 0)
		return 1;
	aim(&regs, strtoull(argv[2], NULL, 10));
	if (ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &io) != 0)
		return fail("set registers");
	if (ptrace(PTRACE_DETACH, pid, NULL, NULL) != 0)
		return fail("detach");
	return 0;
}
