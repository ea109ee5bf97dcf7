"""The system calls that a candidate may not make, as a filter in the kernel's own byte code.

Denied calls fail with `EPERM`, as they would for lack of a privilege, so that a program that merely asks goes on.
`clone3` fails with `ENOSYS`: its flags lie in memory, where a filter cannot look, and C libraries then use
`clone`, whose flags can be seen. Source: Linux, Documentation/userspace-api/seccomp_filter.rst.
"""

from __future__ import annotations

import errno
import platform
import struct

NAMESPACES = 0x7E020080
"""Flags of `clone` that make namespaces: time, mount, cgroup, UTS, IPC, user, process, network."""

# name: number on x86-64, number on arm64 (None where the architecture has none)
CALLS: dict[str, tuple[int | None, int | None]] = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "move_mount": (429, 429), "open_tree": (428, 428),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "unshare": (272, 97), "setns": (308, 268), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "swapon": (167, 224),
    "swapoff": (168, 225), "acct": (163, 89), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266),
    "syslog": (103, 116), "vhangup": (153, 58), "personality": (135, 92), "sethostname": (170, 161),
    "setdomainname": (171, 162), "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None),
    "uselib": (134, None), "lookup_dcookie": (212, 18), "nfsservctl": (180, 42), "fanotify_init": (300, 262),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "socket": (41, 198), "shmget": (29, 194),
    "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "semop": (65, 193), "semtimedop": (220, 192),
    "semctl": (66, 191), "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187),
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "mq_open": (240, 180), "mq_unlink": (241, 181),
}  # fmt: skip
_CLONE, _CLONE3 = (56, 220), (435, 435)
_AUDIT = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_X32 = 0x40000000


BUILDERS = ("mount", "umount2", "unshare", "setns")
"""What the zygote itself needs to make namespaces: its own filter leaves these, and its children deny them too."""


def program(machine: str | None = None, *, zygote: bool = False) -> bytes | None:
    """The filter's instructions.

    Filters add up and are inherited, so the zygote takes the long one once, and what it forks only the short rest.

    Args:
        machine: `x86_64` or `aarch64`; this machine's by default.
        zygote: everything but `BUILDERS` and namespaces by `clone`; otherwise these alone.

    Returns:
        The byte code, eight bytes an instruction, or None for an architecture whose numbers are not in the table.
    """
    known = _AUDIT.get(machine or platform.machine())
    if known is None:
        return None
    column, audit = known
    rows = [row for name, row in CALLS.items() if (name in BUILDERS) is not zygote]
    denied = sorted({number for row in rows if (number := row[column]) is not None})
    code = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_EQUAL, audit, yes=1),
        _instruction(_RETURN, _KILL),  # a call of another architecture has other numbers
        _instruction(_LOAD, _NUMBER),
        _instruction(_AT_LEAST, _X32, no=1),
        _instruction(_RETURN, _KILL),  # so has the x32 form; no number of arm64 is as large
        _instruction(_EQUAL, _CLONE3[column], no=1),
        _instruction(_RETURN, _ERRNO | errno.ENOSYS),
    ]
    for number in denied:
        code += [_instruction(_EQUAL, number, no=1), _instruction(_RETURN, _ERRNO | errno.EPERM)]
    if not zygote:
        code += [
            _instruction(_EQUAL, _CLONE[column], no=3),
            _instruction(_LOAD, _FIRST_ARGUMENT),
            _instruction(_BITS, NAMESPACES, no=1),
            _instruction(_RETURN, _ERRNO | errno.EPERM),
        ]
    return b"".join([*code, _instruction(_RETURN, _ALLOW)])


def _instruction(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("HBBI", code, yes, no, value)
