"""Namespaces, mounts, limits and privileges: the system calls that make the box and shut a process in."""

from __future__ import annotations

import ctypes
import os
import random
import resource
import stat
import sys
from collections.abc import Sequence
from typing import Any

MOUNT, CGROUP, UTS, IPC, USER, PID, NET = (
    0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
_RDONLY, _NOSUID, _NODEV, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 4, 32, 0x1000, 0x4000, 0x40000
_DETACH = 2
_SET_DEATH_SIGNAL, _SET_SECCOMP, _SET_SECUREBITS, _SET_NO_NEW_PRIVILEGES, _SET_SUBREAPER = 1, 22, 28, 38, 36
_GET_NO_NEW_PRIVILEGES = 39
_NO_ROOT = 0b11000011  # uid 0 brings no capabilities, none are inherited, and both stay so
NOBODY = 65534
_PIVOT = {"x86_64": 155, "aarch64": 41}
_LINUX = sys.platform == "linux"
_libc: Any = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leaves namespaces for new ones.

    Raises:
        OSError: if the kernel refuses, naming the call.
    """
    _check(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """The system call, with its error named."""
    encoded = [None if x is None else os.fsencode(x) for x in (source, target, kind)]
    done = _libc.mount(*encoded, ctypes.c_ulong(flags), None if data is None else data.encode())
    _check(done, f"mount {target}")


def die_with_parent() -> None:
    """Has the kernel kill this process when the thread that started it ends; only where that is a whole process."""
    if _LINUX:
        _libc.prctl(_SET_DEATH_SIGNAL, 9, 0, 0, 0)


def adopt_orphans() -> None:
    """Makes this process the parent of descendants whose own parent ends, so that they can be found and killed."""
    if _LINUX:
        _libc.prctl(_SET_SUBREAPER, 1, 0, 0, 0)


def new_user_namespace() -> None:
    """Enters a user namespace in which this process may do what the box needs, and the machine knows it by no more.

    The user becomes 0 inside. The real root's namespace also holds `nobody`, as whom its candidates run: the kernel
    limits no processes of its root.
    """
    uid, gid = os.geteuid(), os.getegid()
    maps = {"uid_map": f"0 {uid} 1\n", "gid_map": f"0 {gid} 1\n"}
    if uid == 0:
        maps = {name: f"0 0 1\n{NOBODY} {NOBODY} 1\n" for name in maps}
    ready = os.pipe()
    me = os.getpid()
    helper = os.fork()
    if helper == 0:  # maps of more than one line can be written from outside only
        code = 1
        try:
            os.close(ready[1])
            if os.read(ready[0], 1) == b"x":
                if uid:
                    _write(f"/proc/{me}/setgroups", "deny")
                for name, text in maps.items():
                    _write(f"/proc/{me}/{name}", text)
                code = 0
        finally:
            os._exit(code)
    os.close(ready[0])
    try:
        unshare(USER)
        os.write(ready[1], b"x")
    finally:
        os.close(ready[1])
        status = os.waitpid(helper, 0)[1]
    if status:
        raise OSError("user namespace: its table of users cannot be written")


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def build_root(view: Sequence[tuple[str, str]], hidden: Sequence[str], devices: Sequence[str]) -> None:
    """Replaces the file system by a read-only one that holds what `view` names and an empty `/tmp`.

    Args:
        view: pairs of what is shown and where it is.
        hidden: folders within it that are to be empty.
        devices: device files that are shown.
    """
    mount("none", "/", None, _REC | _PRIVATE)
    mount("box", "/tmp", "tmpfs", _NOSUID | _NODEV, "size=1m,mode=755")
    os.chdir("/tmp")
    os.mkdir("old")
    os.mkdir("new")
    mount("box", "new", "tmpfs", _NOSUID | _NODEV, "size=1m,mode=755")
    _pivot(".", "old")
    os.chdir("/")
    for source, target in view:
        _bind(f"/old{source}", f"/new{target}", _RDONLY | _NOSUID | _NODEV)
    for device in devices:
        _bind(f"/old{device}", f"/new{device}", _NOSUID)
    for folder in hidden:
        if os.path.isdir(f"/new{folder}"):
            mount("empty", f"/new{folder}", "tmpfs", _RDONLY | _NOSUID | _NODEV, "size=4k,mode=755")
    os.makedirs("/new/tmp", exist_ok=True)
    os.chdir("/new")
    _pivot(".", ".")
    _check(_libc.umount2(b".", _DETACH), "umount of the machine's files")
    os.chdir("/")
    mount("none", "/", None, _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV)


def _pivot(new: str, old: str) -> None:
    number = _PIVOT.get(os.uname().machine)
    if number is None:
        raise OSError(f"pivot_root: its number on {os.uname().machine} is not known")
    _check(_libc.syscall(number, os.fsencode(new), os.fsencode(old)), "pivot_root")


def _bind(source: str, target: str, flags: int) -> None:
    """Shows a file or folder; the flags that the kernel has locked on it stay."""
    if stat.S_ISDIR(os.stat(source).st_mode):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    mount(source, target, None, _BIND | _REC)
    has = os.statvfs(target).f_flag
    kept = sum(to for of, to in ((2, 2), (4, 4), (8, 8), (1024, 1024), (2048, 2048), (4096, 1 << 21)) if has & of)
    mount("none", target, None, _REMOUNT | _BIND | kept | flags)


def empty_tmp(megabytes: int) -> None:
    """An empty `/tmp` of this process's own, limited in size and in number of files."""
    mount("tmp", "/tmp", "tmpfs", _NOSUID | _NODEV, f"size={megabytes}m,nr_inodes=4096,mode=1777")


_LIMITS = {name[7:]: number for name, number in vars(resource).items() if name.startswith("RLIMIT_")}


def limit(**wanted: int) -> None:
    """Sets limits of this process and of what it starts, by their names without `RLIMIT_`; none can be raised again.

    Those that the system does not know are left out; none exceeds what this process may have itself.
    """
    for name, value in wanted.items():
        number = _LIMITS.get(name)
        if number is None:
            continue
        hard = resource.getrlimit(number)[1]
        if hard != resource.RLIM_INFINITY and hard < value:
            value = hard
        try:
            resource.setrlimit(number, (value, value))
        except ValueError:
            if _LINUX:  # macOS knows some that it does not set
                raise


def drop_privileges(*, boxed: bool, filter_code: bytes | None) -> None:
    """Gives up every capability for good, forbids gaining any, and installs the filter of system calls.

    Args:
        boxed: whether this process is 0 in a user namespace of its own, and has something to give up.
        filter_code: what `seccomp.program` gave.

    Raises:
        OSError: if a step fails; nothing untrusted may run then.
    """
    if not _LINUX:
        return
    if boxed:
        _check(_libc.prctl(_SET_SECUREBITS, _NO_ROOT, 0, 0, 0), "securebits")
        if _maps_nobody():
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        _check(_libc.capset(_CAPABILITY_HEADER, _NO_CAPABILITIES), "capset")
    if boxed and filter_code is not None:
        install_filter(filter_code)
    else:
        no_new_privileges()


def no_new_privileges() -> None:
    """Forbids this process, and all that it starts, to gain privileges by running a program."""
    if _LINUX:
        _check(_libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0), "no new privileges")


def fork() -> int:
    """`fork` of a process with one thread, by the C library: as `os.fork`, without what Python does for other threads.

    That (locks made anew, `random` seeded, hooks called) copies some hundred pages in the child, half of what a fork
    costs; and here no lock is held. `random` stays as the zygote has seeded it, so that programs repeat themselves.
    """
    if _LINUX:
        return int(_held.fork())
    pid = os.fork()
    if pid == 0:
        random.seed(0)
    return pid


_held: Any = ctypes.PyDLL(None, use_errno=True)  # calls with the interpreter's lock held, so that the child has it


def warm_up() -> None:
    """Looks up the functions that children call, before they are forked."""
    for name in ("prctl", "capset", "mount", "unshare", "setns"):
        getattr(_libc, name, None)
    if _LINUX:
        _libc.prctl(_GET_NO_NEW_PRIVILEGES, 0, 0, 0, 0)
    limit(CORE=0)


_CAPABILITY_HEADER = (ctypes.c_uint32 * 2)(0x20080522, 0)
_NO_CAPABILITIES = (ctypes.c_uint32 * 6)()
_nobody: list[bool] = []


def _maps_nobody() -> bool:
    return bool(_nobody and _nobody[0])


def note_users(nobody: bool) -> None:
    """Says once, before candidates come, whether the namespace holds `nobody`."""
    _nobody[:] = [nobody]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def install_filter(code: bytes) -> None:
    """Has the kernel apply a filter to this process and to all that it starts.

    Raises:
        OSError: if the kernel has no such filters.
    """
    no_new_privileges()
    wanted = _Program(len(code) // 8, code)
    _check(_libc.prctl(_SET_SECCOMP, 2, ctypes.byref(wanted), 0, 0), "seccomp")


def rejoin(pidfd: int) -> None:
    """Has later children start in the process namespace of `pidfd` again, after `unshare(PID)`."""
    _check(_libc.setns(pidfd, PID), "setns")
