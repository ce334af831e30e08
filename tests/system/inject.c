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

/* The process is in a system call, or behind one: just before its instruction pointer stands
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

static int
read_registers(pid_t pid, struct user_regs_struct *regs)
{
	struct iovec io = {regs, sizeof(*regs)};

	return (int)ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &io);
}

/* One that happens to compute goes on to its next call, and through it: where
 * it was, there is no such instruction. */
static int
go_to_a_call(pid_t pid, struct user_regs_struct *regs)
{
	int status;

	if (read_registers(pid, regs) != 0)
		return -1;
	if ((long long)regs->orig_rax >= 0)
		return 0;
	for (int i = 0; i < 2; i++)
		if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) != 0 ||
		    waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
			return -1;
	return read_registers(pid, regs);
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
	if (go_to_a_call(pid, &regs) != 0)
		return fail("read registers");
	aim(&regs, strtoull(argv[2], NULL, 10));
	if (ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &io) != 0)
		return fail("set registers");
	if (ptrace(PTRACE_DETACH, pid, NULL, NULL) != 0)
		return fail("detach");
	return 0;
}
