"""From a bare process to the box with the zygote in it.

The launcher stays outside and waits: the box ends when the launcher is killed, and the launcher ends with the box.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from . import confine  # the package has another name inside the box


def main(config: dict[str, Any], command: Sequence[str], control: int) -> None:
    """Makes the box that `config` asks for and starts the zygote in it.

    Args:
        config: `mode` is `bwrap`, `direct` or `unsafe`; `view`, `hidden`, `devices` and `bwrap` say what is shown.
        command: how the zygote is started; its program is at the same place inside.
        control: the socket to whom the zygote answers; told about a failure.
    """
    try:
        if config["mode"] == "unsafe":
            os.execve(command[0], list(command), config["environment"])
        confine.new_user_namespace()
        flags = confine.MOUNT | confine.NET | confine.IPC | confine.UTS | confine.PID
        if config["mode"] == "direct":
            confine.unshare(flags)
        child = os.fork()
        if child == 0:
            _inside(config, command, control)
    except OSError as error:
        _tell(control, error)
        os._exit(1)
    os.close(control)
    os.waitpid(child, 0)
    os._exit(0)


def _inside(config: dict[str, Any], command: Sequence[str], control: int) -> None:
    try:
        confine.die_with_parent()
        if config["mode"] == "direct":
            confine.build_root(config["view"], config["hidden"], config["devices"])
        else:
            command = [*bwrap_command(config), *command]
        os.execve(command[0], list(command), config["environment"])
    except OSError as error:
        _tell(control, error)
    finally:
        os._exit(1)


def bwrap_command(config: dict[str, Any]) -> list[str]:
    """The bubblewrap call that makes the same box; it comes before the zygote's own command."""
    found = [
        config["bwrap"], "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
        "--die-with-parent", "--new-session", "--as-pid-1", "--cap-add", "ALL", "--dir", "/tmp",
    ]  # fmt: skip
    targets = [*(target for _, target in config["view"]), *config["devices"]]
    folders = {f for target in targets for f in _above(target)}
    for folder in sorted(
        folders
    ):  # made here, else bubblewrap gives them the modes of the machine's own: 0700 for /root
        found += ["--perms", "0755", "--dir", folder]
    for source, target in config["view"]:
        found += ["--ro-bind", source, target]
    for device in config["devices"]:
        found += ["--dev-bind", device, device]
    for folder in config["hidden"]:
        if os.path.isdir(folder):
            found += ["--tmpfs", folder, "--remount-ro", folder]
    return [*found, "--remount-ro", "/", "--chdir", "/", "--"]


def _above(path: str) -> list[str]:
    """The folders that a path lies in, without the root."""
    found = []
    while (path := os.path.dirname(path)) != "/":
        found.append(path)
    return found


def _tell(control: int, error: OSError) -> None:
    os.write(control, f'{{"failed": {ascii(str(error)).replace(chr(34), chr(39))!s:.300}}}'.encode())
    sys.stderr.flush()
