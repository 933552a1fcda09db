"""Start a command and write what it took: ``launch.py FD OUTPUT PROGRAM ARGUMENT...``.

What a process inherits from the one that started it counts in its peak memory, so the commands that are measured are
started by this small one, which imports little.
"""

import os
import sys
import time

_DESCRIPTOR, _OUTPUT, *_COMMAND = sys.argv[1:]
_FILES = [
    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
    (os.POSIX_SPAWN_OPEN, 1, _OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
    (os.POSIX_SPAWN_DUP2, 1, 2),
]
_SINCE = time.perf_counter()
_PID = os.posix_spawnp(_COMMAND[0], _COMMAND, os.environ, file_actions=_FILES)
_, _STATUS, _USAGE = os.wait4(_PID, 0)
_SECONDS = time.perf_counter() - _SINCE
_TAKEN = [os.waitstatus_to_exitcode(_STATUS), _SECONDS, _USAGE.ru_maxrss, _USAGE.ru_utime + _USAGE.ru_stime]
os.write(int(_DESCRIPTOR), " ".join(map(str, _TAKEN)).encode())
