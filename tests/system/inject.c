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
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <elf.h>

static int
fail(const char *what)
{
	(void)fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
	return 1;
}

/* The process waits in epoll_wait: just before its instruction pointer stands
 * the instruction that enters the kernel. */
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

int
main(int argc, char **argv)
{
	struct user_regs_struct regs;
	struct iovec io = {&regs, sizeof(regs)};
	pid_t pid;
	int status;

	if (argc != 3) {
		(void)fprintf(stderr, "usage: inject PID NUMBER\n");
		return 2;
	}
	pid = (pid_t)strtol(argv[1], NULL, 10);
	if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) != 0)
		return fail("attach");
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return fail("wait");
	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &io) != 0)
		return fail("read registers");
	aim(&regs, strtoull(argv[2], NULL, 10));
	if (ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &io) != 0)
		return fail("set registers");
	if (ptrace(PTRACE_DETACH, pid, NULL, NULL) != 0)
		return fail("detach");
	return 0;
}
