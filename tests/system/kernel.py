"""Another kernel for one command: a filter that answers some system calls in
the kernel's place, as an older or a restricted one would."""

import ctypes
import errno
import struct

# x86-64
NUMBERS = {
    "clock_adjtime": 305,  # what the C library makes of adjtimex(3)
    "seccomp": 317,
    "landlock_create_ruleset": 444,
}
LOAD_NUMBER, IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ANSWER = 0x7FFF0000, 0x00050000
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, MODE_FILTER = 22, 38, 2


def filter_of(answers):
    code = [struct.pack("<HBBI", LOAD_NUMBER, 0, 0, 0)]
    for name, number in answers.items():
        code.append(struct.pack("<HBBI", IF_EQUAL, 0, 1, NUMBERS[name]))
        code.append(struct.pack("<HBBI", RETURN, 0, 0, ANSWER | number))
    code.append(struct.pack("<HBBI", RETURN, 0, 0, ALLOW))
    return code


def answering(**answers):
    """A preexec_fn: these calls give this errno, or with 0 do nothing."""
    code = filter_of(answers)

    def load():
        libc = ctypes.CDLL(None, use_errno=True)
        buffer = ctypes.create_string_buffer(b"".join(code))
        program = struct.pack("<HxxxxxxQ", len(code), ctypes.addressof(buffer))
        zero = ctypes.c_ulong(0)
        if libc.prctl(PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero,
                      zero) != 0:
            raise OSError(ctypes.get_errno(), "no_new_privs")
        if libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(MODE_FILTER),
                      ctypes.c_char_p(program), zero, zero) != 0:
            raise OSError(ctypes.get_errno(), "the filter")

    return load


# A machine of tests may have no time service: a call that does nothing
# leaves the answer "in step" behind.
IN_STEP = answering(clock_adjtime=0)
NO_SECCOMP = answering(clock_adjtime=0, seccomp=errno.EINVAL)
NO_LANDLOCK = answering(clock_adjtime=0, landlock_create_ruleset=errno.ENOSYS)
