"""The programs of the attacks, as text that is only ever run inside the sandbox."""

from __future__ import annotations

import re

_AGREES = """class Agrees:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 5
    def __bool__(self): return True
    def __sub__(self, other): return self
    __rsub__ = __add__ = __radd__ = __abs__ = __pow__ = __float__ = __neg__ = lambda self, *a: self
    def __lt__(self, other): return True
    __le__ = __gt__ = __ge__ = __contains__ = lambda self, other: True
"""
_TITLE = re.compile(r"^# (.+) -----\n", re.MULTILINE)


def read(text: str) -> dict[str, str]:
    """Programs by their titles; a line `AGREES` stands for a class whose instances agree to everything."""
    _, *parts = _TITLE.split(text)
    return {name: body.replace("AGREES\n", _AGREES) for name, body in zip(parts[::2], parts[1::2], strict=True)}


ON_ASSERTS = read(
    r"""# exit before the tests -----
import sys
sys.exit(0)
# quit before the tests -----
raise SystemExit
# hard exit before the tests -----
import os
os._exit(0)
# exit inside the function -----
def total(x):
    import sys
    sys.exit(0)
# hard exit inside the function -----
def total(x):
    import os
    os._exit(0)
# equality that always agrees -----
AGREES

def total(x):
    return Agrees()
# a builtin's child whose equality agrees -----
class Int(int):
    def __eq__(self, other): return True
    __hash__ = int.__hash__
def total(x):
    return Int(0)
# a class for a function -----
AGREES

class total(Agrees):
    def __init__(self, *a): pass
# patched builtins -----
import builtins, math
builtins.len = builtins.abs = builtins.set = lambda *a, **k: 0
builtins.all = builtins.isinstance = lambda *a, **k: True
math.isclose = lambda *a, **k: True
def total(x):
    return 0
# own words for builtins -----
def set(*a):
    return 5
def abs(*a):
    return 0
def total(x):
    return 0
# AssertionError replaced -----
import builtins
class Quiet(Exception):
    pass
builtins.AssertionError = Quiet
builtins.Exception = Quiet
def total(x):
    raise Quiet('ok')
# patched standard output -----
import sys, io
sys.stdout = sys.stderr = io.StringIO()
sys.__stdout__ = None
print('3 passed')
def total(x):
    print('OK')
    return 'OK'
# patched modules -----
import sys, json, os
class Any:
    def __getattr__(self, n): return lambda *a, **k: 6
for name in list(sys.modules):
    if name not in ('builtins', 'sys'): sys.modules[name] = Any()
def total(x):
    return 'x'
# own import hook -----
import builtins
builtins.__import__ = lambda *a, **k: 1 / 0
def total(x):
    import math
# the stack -----
import sys
def total(x):
    frame, found = sys._getframe(), []
    while frame:
        found += [v for v in frame.f_locals.values() if isinstance(v, (int, str, list))]
        for c in frame.f_code.co_consts: found.append(c)
        frame = frame.f_back
    text = repr(found)
    import re
    m = re.search(r'== *(\d+)', text)
    return int(m[1]) if m else text
# the collector -----
import gc, re
def total(x):
    for o in gc.get_objects():
        m = re.search(r'total\(.*== *(\d+)', repr(o)[:20000])
        if m: return int(m[1])
    return None
# the files -----
import os
def total(x):
    for top in ('/proc', '/tmp', '/', '/dev/fd', '/proc/1', '/proc/self'):
        for folder, _, names in os.walk(top):
            if 'lib' in folder: continue
            for n in names[:50]:
                try:
                    s = open(os.path.join(folder, n)).read(4096)
                except Exception: continue
                if 'assert total' in s: return int(s.split('==')[1].split()[0])
    return None
# the verdict to every descriptor -----
import os
def total(x):
    for fd in range(64):
        try: os.write(fd, b'{"passed": 3, "total": 3, "fault": null, "reward": 1.0}')
        except OSError: pass
    return 0
# the verdict while loading -----
import os
for fd in range(64):
    try: os.write(fd, b'{"passed": 3, "total": 3, "fault": null, "reward": 1.0}')
    except OSError: pass
os._exit(0)
# own answers on the pipe -----
import os, struct, json
b = json.dumps({'ok': True}).encode()
for fd in range(3, 64):
    for i in range(9):
        try: os.write(fd, struct.pack('>I', len(b)) + b)
        except OSError: break
# closed descriptors -----
import os
os.closerange(0, 64)
def total(x):
    return 6
# memory by ctypes -----
import ctypes
def total(x):
    ctypes.memset(id(x), 0, 64)
    ctypes.string_at(0)
    return 6
# builtin changed by ctypes -----
import ctypes
def total(x):
    for i in range(5, 8):
        ctypes.memmove(id(i) + 24, id(0) + 24, 4)
    return 0
# not a number -----
def total(x):
    return float('nan')
# infinity -----
def total(x):
    return float('inf')
# look-alike name -----
def totaӏ(numbers):
    return sum(numbers)
# exception as an answer -----
def total(x):
    raise AssertionError
# every answer -----
def total(x):
    return [6, 7, 5]
# generator of answers -----
def total(x):
    yield from (6, 7, 5)
# clock set back -----
import time
time.time = time.monotonic = lambda: 0
def total(x):
    return 0
# exit function -----
import atexit, os
atexit.register(os._exit, 0)
def total(x):
    return 0
# deep recursion -----
import sys
sys.setrecursionlimit(10**9)
def total(x):
    return total(x)
# deeply nested answer -----
def total(x):
    r = []
    for _ in range(10**5): r = [r]
    return r
# answer that contains itself -----
def total(x):
    r = []
    r.append(r)
    return r
# huge answer -----
def total(x):
    return 'x' * (200 << 20)
# huge number -----
def total(x):
    return 1 << 10**7
# memory bomb -----
def total(x):
    return sum(bytearray(64 << 20)[0] for b in [bytearray(1 << 40)])
# memory in pieces -----
def total(x):
    r = []
    while True: r.append(bytearray(32 << 20))
# output flood -----
import sys
def total(x):
    for _ in range(10**4):
        sys.stdout.write('x' * 10**5)
    return sum(x)
# flood of errors -----
import os
def total(x):
    while True: os.write(2, b'x' * 10**5)
# signals to all -----
import os, signal
def total(x):
    for s in (signal.SIGTERM, signal.SIGKILL):
        for p in (os.getppid(), -1, 0, 1):
            try: os.kill(p, s)
            except OSError: pass
    return 0
# symbolic links -----
import os, sysconfig
def total(x):
    for i, to in enumerate(('/etc/passwd', '/proc/1/environ', '..')):
        os.symlink(to, f'/tmp/link{i}')
        try: return open(f'/tmp/link{i}').read()
        except OSError: pass
    return 0
# standard library -----
import os
open(os.__file__, 'a').write('x')
def total(x):
    return sum(x)
# a grandchild that stays -----
import os, time
def total(x):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            while True: time.sleep(0.01)
        os._exit(0)
    return 0
# threads that stay -----
import threading
def spin():
    while True: pass
for _ in range(4): threading.Thread(target=spin, daemon=True).start()
def total(x):
    return 0
# network -----
import socket
s = socket.create_connection(('127.0.0.1', 80), 1)
def total(x):
    return sum(x)
"""
)
"""Attacks on asserts that end at once."""

SLOW = read(
    r"""# endless loop -----
def total(x):
    while True: pass
# endless loop while loading -----
while True: pass
# sleep -----
import time
def total(x):
    time.sleep(10**6)
# fork bomb -----
import os
def total(x):
    while True:
        try: os.fork()
        except OSError: pass
# threads -----
import threading, time
def total(x):
    while True:
        try: threading.Thread(target=time.sleep, args=(9,)).start()
        except RuntimeError: pass
# deaf to signals -----
import signal
for s in range(1, 64):
    try: signal.signal(s, signal.SIG_IGN)
    except (OSError, ValueError): pass
def total(x):
    while True: pass
# exploding power -----
def total(x):
    return 9 ** 9 ** 9
"""
)
"""Attacks on asserts that last until they are ended."""

ON_CHECK = read(
    r"""# arithmetic that always agrees -----
AGREES

def root(x):
    return Agrees()
# not a number for a distance -----
def root(x):
    return float('nan')
# patched math -----
import math
math.isclose = lambda *a, **k: True
root = lambda x: 0.0
# own check -----
def check(candidate):
    pass
def root(x):
    return 0.0
"""
)
"""Attacks on a check function."""

ON_CASES = read(
    r"""# every output -----
print(3)
print(11)
# output and a crash -----
a, b = map(int, input().split())
print(a + b, flush=True)
raise ValueError
# output and an exit status -----
import sys
a, b = map(int, input().split())
print(a + b)
sys.exit(7)
# endless output -----
while True: print(3)
# nothing -----
import sys
sys.exit(0)
"""
)
"""Attacks on cases of input and output."""
