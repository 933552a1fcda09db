"""The attacks, by what each is an instance of: bodies of a Python function that returns something true if it got out.

``OUTSIDE`` is a directory that was not granted, ``SECRET`` a file in it that holds *told*, ``RUNNER`` the process that
started the command; ``PORT`` and the like are listeners on the host. ``call`` makes a system call by its number, as on
x86_64; where a number differs the call fails, so those attacks count on that machine only.
"""

from __future__ import annotations

READING = {
    "absolute path": "return told(SECRET)",
    "dot-dot from the working directory": "return told('../outside/secret')",
    "dot-dot past the root": "return told('../' * 50 + SECRET.lstrip('/'))",
    "symlink to a file": "os.symlink(SECRET, 'l1'); return told('l1')",
    "symlink to a directory": "os.symlink(OUTSIDE, 'l2'); return told('l2/secret')",
    "relative symlink": "os.symlink('../outside/secret', 'l3'); return told('l3')",
    "chain of symlinks": "os.symlink('l5', 'l4'); os.symlink('../outside', 'l5'); return told('l4/secret')",
    "hard link": "os.link(SECRET, 'h1'); return told('h1')",
    "linkat of a descriptor": "fd = os.open(SECRET, os.O_PATH); return fd >= 0",
    "magic link of its own root": "return told('/proc/self/root' + SECRET)",
    "magic link of process 1's root": "return told('/proc/1/root' + SECRET)",
    "magic link of its parent's root": "return told(f'/proc/{os.getppid()}/root' + SECRET)",
    "magic link of the runner's root": "return told(f'/proc/{RUNNER}/root' + SECRET)",
    "magic link of a working directory": "return told('/proc/self/cwd/../outside/secret')",
    "magic link of its parent's working directory": "return told(f'/proc/{os.getppid()}/cwd/../outside/secret')",
    "magic link of the runner's descriptors": "return os.listdir(f'/proc/{RUNNER}/fd')",
    "inherited descriptor": """
for fd in range(3, 1024):
    try:
        os.stat(SECRET.lstrip('/'), dir_fd=fd); return True
    except OSError:
        pass
return any(name for name in os.listdir('/proc/self/fd') if int(name) > 3)""",
    "prefix sibling": "return told(os.getcwd() + '-evil/secret')",
    "metadata by stat": "return os.stat(SECRET)",
    "metadata by access": "return os.access(SECRET, os.F_OK)",
    "metadata by readlink": "return os.readlink('/etc/mtab')",
    "names by listing": "return os.listdir(OUTSIDE)",
    "names by listing above": "return 'outside' in os.listdir('..')",
    "file handle": "return call(303, -100, SECRET.encode(), ctypes.byref((ctypes.c_int * 40)(128)), ctypes.byref(ctypes.c_int()), 0) == 0",
    "open by a guessed file handle": "return call(304, os.open('.', os.O_RDONLY), ctypes.byref((ctypes.c_int * 8)(8, 1, 2, 0)), 0) >= 0",
    "chroot": "os.chroot('.'); return True",
    "chroot and climb": "os.mkdir('c'); os.chroot('c'); os.chdir('../' * 20); return told('.' + SECRET)",
    "extended attributes outside": "return os.listxattr(SECRET) is not None",
    "watching outside": "return libcall('inotify_add_watch', libcall('inotify_init1', 0), SECRET.encode(), 0xfff) >= 0",
    "fanotify": "return call(300, 0, 0) >= 0",
    "missing leaf under a symlinked ancestor": "os.symlink(OUTSIDE, 'l6'); open('l6/new', 'w'); return True",
    "name with a newline": "return os.stat(OUTSIDE + '/a\\nb/../secret')",
    "name of 255 bytes": "return os.stat(OUTSIDE + '/' + 'x' * 255 + '/../secret')",
    "name that is not UTF-8": "return os.stat(OUTSIDE.encode() + b'/\\xff/../secret')",
    "password hashes": "return open('/etc/shadow').read()",
    "root's home": "return os.listdir('/root')",
    "the operator's home": "return os.listdir(os.environ['HOME'])",
    "logs": "return os.listdir('/var/log')",
    "other users' temporary files": "return os.path.exists(TEMPORARY) or os.path.basename(TEMPORARY) in os.listdir('/tmp')",
    "kernel memory": "return open('/dev/mem', 'rb').read(1)",
    "kernel core": "return open('/proc/kcore', 'rb').read(1)",
    "kernel log": "return call(103, 3, ctypes.create_string_buffer(64), 64) > 0",
    "kernel symbols": "return open('/proc/kallsyms').read(1)",
    "disks": "return open('/dev/vda', 'rb').read(1)",
    "mount table": "return OUTSIDE in open('/proc/self/mountinfo').read()",
}

WRITING = {
    "absolute path": "open(SECRET, 'w').write('x'); return True",
    "through a symlink": "os.symlink(SECRET, 'w1'); open('w1', 'a').write('x'); return True",
    "truncation": "os.truncate(SECRET, 0); return True",
    "removal": "os.unlink(SECRET); return True",
    "renaming in": "os.rename(SECRET, 'mine'); return True",
    "renaming out": "os.rename('file', OUTSIDE + '/theirs'); return True",
    "exchanging": "return libcall('renameat2', -100, b'file', -100, SECRET.encode(), 2) == 0",
    "new directory": "os.mkdir(OUTSIDE + '/new'); return True",
    "new directory in the parent": "os.mkdir('../new'); return False",
    "mode": "os.chmod(SECRET, 0o777); return True",
    "owner": "os.chown(SECRET, os.getuid(), os.getgid()); return True",
    "owner of its own file": "os.chown('file', 0, 0); return os.getuid() != 0 and os.stat('file').st_uid == 0",
    "times": "os.utime(SECRET, (0, 0)); return True",
    "extended attribute": "os.setxattr(SECRET, 'user.x', b'x'); return True",
    "capability of a file": "os.setxattr('file', 'security.capability', struct.pack('<IIIII', 0x2000001, 1, 0, 0, 0)); return True",
    "the system's programs": "open('/usr/bin/evil', 'w'); return True",
    "the system's accounts": "open('/etc/passwd', 'a').write('x'); return True",
    "mode of the system's programs": "os.chmod('/usr/bin/env', 0o777); return True",
    "remounting for writing": "libcall('mount', b'none', b'/usr', None, 0x1020, None); open('/usr/evil', 'w'); return True",
    "unmounting a seal": "libcall('umount2', os.path.abspath('.git').encode(), 2); return True",
    "mounting over a seal": "libcall('mount', b'none', os.path.abspath('.git').encode(), b'tmpfs', 0, None); return True",
    "binding": "libcall('mount', b'/', b'/tmp', None, 0x1000, None); return True",
    "new mount calls": "return call(428, -100, b'/', 1) >= 0",
    "new file system": "return call(430, b'tmpfs', 0) >= 0",
    "attributes of a mount": "return call(442, -100, b'/usr', 0, ctypes.byref((ctypes.c_uint64 * 4)(0, 1, 0, 0)), 32) == 0",
    "another root": "return call(155, b'.', b'.') == 0",
    "character device": "os.mknod('dev', 0o20666, os.makedev(1, 1)); return True",
    "block device": "os.mknod('dev', 0o60666, os.makedev(254, 0)); return True",
    "system request": "open('/proc/sysrq-trigger', 'w').write('h'); return True",
    "core pattern": "os.open('/proc/sys/kernel/core_pattern', os.O_WRONLY); return True",
    "host name": "socket.sethostname('evil'); return True",
    "host name's file": "open('/proc/sys/kernel/hostname', 'w'); return True",
    "clock": "time.clock_settime(0, 0); return True",
    "control groups": "os.makedirs('/sys/fs/cgroup/evil'); return True",
}  # fmt: skip

SEALED = {
    "a hook": "open('.git/hooks/pre-commit', 'w').write('x'); return True",
    "a new hook": "open('.git/hooks/post-checkout', 'w').write('x'); return True",
    "a nested hook": "open('sub/.git/hooks/pre-commit', 'w').write('x'); return True",
    "moving a repository away": "os.rename('.git', 'moved'); return True",
    "moving hooks away": "os.rename('.git/hooks', '.git/old'); return True",
    "replacing configuration": "open('c', 'w').write('x'); os.rename('c', '.git/config'); return True",
    "where hooks are looked for": "open('.git/config', 'a').write('hooksPath = x'); return True",
    "removing a seal": "os.unlink('.git/config'); return True",
    "hard link to what is sealed": "os.link('.git/config', 'g'); open('g', 'a').write('x'); return True",
    "symlink to what is sealed": "os.symlink('.git/config', 'g2'); open('g2', 'a').write('x'); return True",
    "mode of what is sealed": "os.chmod('.git/hooks/pre-commit', 0o755); return True",
    "times of what is sealed": "os.utime('.git/config', (0, 0)); return True",
    "attribute of what is sealed": "os.setxattr('.git/config', 'user.x', b'x'); return True",
    "tek's configuration": "open('config/manifest.json', 'w').write('x'); return True",
    "tek's hooks": "open('config/hooks.json', 'w').write('x'); return True",
    "moving configuration away": "os.rename('config', 'c2'); return True",
    "the ledger": "open('runs/one/ledger.jsonl', 'a').write('x'); return True",
    "removing the ledger": "os.unlink('runs/one/ledger.jsonl'); return True",
    "moving runs away": "os.rename('runs', 'r2'); return True",
}  # fmt: skip

PRIVILEGES = {
    "set-user-id of its own file": "os.chmod('file', 0o4755); return True",
    "set-group-id of its own file": "fd = os.open('file', os.O_RDWR); os.fchmod(fd, 0o2755); return True",
    "set-user-id at creation": "os.open('s1', os.O_CREAT | os.O_WRONLY, 0o4755); return os.stat('s1').st_mode & 0o4000",
    "set-user-id by openat2": "return call(437, -100, b's2', ctypes.byref((ctypes.c_uint64 * 3)(0o101, 0o4755, 0)), 24) >= 0",
    "set-user-id by fchmodat2": "return call(452, -100, b'file', 0o4755, 0) == 0",
    "set-user-id by mknod": "os.mknod('s3', 0o104755); return True",
    "user 0": "return 0 in os.getresuid()",
    "becoming user 0": "os.setresuid(0, 0, 0); return True",
    "becoming group 0": "os.setresgid(0, 0, 0); return os.getgid() == 0 and os.getuid() != 0 and RUNNER and True",
    "adding groups": "os.setgroups([0]); return True",
    "capabilities": "return any(int(line.split()[1], 16) for line in open('/proc/self/status') if line.startswith(('CapEff', 'CapPrm', 'CapInh', 'CapAmb')))",
    "ambient capabilities": "return libcall('prctl', 47, 2, 21, 0, 0) == 0",
    "no_new_privs off": "libcall('prctl', 38, 0, 0, 0, 0); return True",
    "a set-user-id program": "return b'uid=0' in subprocess.run(['su', '-c', 'id'], stdin=subprocess.DEVNULL, capture_output=True, timeout=20).stdout",
    "without a filter": "return 'Seccomp:\\t2' not in open('/proc/self/status').read()",
    "new user namespace": "libcall('unshare', 0x10000000); return True",
    "new mount namespace": "libcall('unshare', 0x20000); return True",
    "new network namespace": "libcall('unshare', 0x40000000); return True",
    "new time namespace": "libcall('unshare', 0x80); return True",
    "new namespace by clone": "pid = call(56, 0x10000000 | 17, None, None, None, None)\nif pid == 0: os._exit(0)\nreturn True",
    "new namespace by clone3": "pid = call(435, ctypes.byref((ctypes.c_uint64 * 8)(0x10000000, 0, 0, 0, 17)), 64)\nif pid == 0: os._exit(0)\nreturn True",
    "entering process 1's namespace": "libcall('setns', os.open('/proc/1/ns/mnt', os.O_RDONLY), 0); return True",
    "entering the runner's namespace": "libcall('setns', os.open(f'/proc/{RUNNER}/ns/mnt', os.O_RDONLY), 0); return True",
    "entering by pidfd": "libcall('setns', os.pidfd_open(1), 0x20000); return True",
    "kernel module": "return call(313, os.open('/usr/bin/env', os.O_RDONLY), b'', 0) == 0",
    "another kernel": "return call(246, 0, 0, None, 0) == 0",
    "reboot": "return call(169, 0xfee1dead, 672274793, 0, None) == 0",
    "swap": "return call(167, b'file', 0) == 0",
    "bpf": "return call(321, 0, ctypes.byref((ctypes.c_uint64 * 16)(1 | 4 << 32, 4 | 1 << 32)), 72) >= 0",
    "perf events": "return call(298, ctypes.byref((ctypes.c_uint64 * 16)(0)), 0, -1, -1, 0) >= 0",
    "user faults": "return call(323, 1) >= 0",
    "io_uring": "return call(425, 4, ctypes.byref((ctypes.c_uint64 * 16)(0))) >= 0",
    "keys": "return call(250, 0, -3, 1) >= 0",
    "a new key": "return call(248, b'user', b'x', b'y', 1, -3) >= 0",
    "another personality": "return call(135, 0x0400000) >= 0 and call(135, 0xffffffff) == 0x0400000",
    "segments": "return call(154, 1, ctypes.byref((ctypes.c_uint64 * 2)(0)), 16) == 0",
    "ports": "return call(172, 3) == 0",
    "quotas": "return call(179, 0x800001 << 8, b'/dev/vda', 0, None) == 0",
    "accounting": "return call(163, b'file') == 0",
    "raising limits": "import resource; resource.setrlimit(resource.RLIMIT_NPROC, (10**6, 10**6)); return True",
    "real-time priority": "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99)); return True",
    "a terminal": "return os.open('/dev/tty', os.O_RDWR) >= 0",
    "typing into a terminal": "import fcntl; fcntl.ioctl(0, 0x5412, b'x'); return True",
    "typing with high bits set": "import pty; m, s = pty.openpty(); return True",
}  # fmt: skip

PROCESSES = {
    "signalling the runner": "os.kill(RUNNER, 0); return True",
    "ending the runner": "os.kill(RUNNER, 9); return True",
    "a descriptor of the runner": "return os.pidfd_open(RUNNER) >= 0",
    "ending process 1": "os.kill(1, 9); time.sleep(0.05); return False",
    "stopping process 1": "os.kill(1, 19); return open('/proc/1/stat').read().rpartition(')')[2].split()[0] == 'T'",
    "tracing process 1": "return libcall('ptrace', 16, 1, 0, 0) == 0",
    "tracing the runner": "return libcall('ptrace', 16, RUNNER, 0, 0) == 0",
    "memory of process 1": "return open('/proc/1/mem', 'rb').fileno() >= 0",
    "memory by a call": "return call(310, 1, ctypes.byref((ctypes.c_uint64 * 2)(0, 8)), 1, ctypes.byref((ctypes.c_uint64 * 2)(0, 8)), 1, 0) >= 0",
    "descriptors of process 1": "return call(438, os.pidfd_open(1), 3, 0) >= 0",
    "descriptors of process 1 by name": "return os.listdir('/proc/1/fd')",
    "environment of process 1": "return open('/proc/1/environ').read()",
    "environment of the runner": "return open(f'/proc/{RUNNER}/environ').read()",
    "processes of others": "return [p for p in os.listdir('/proc') if p.isdigit() and int(p) > 1 and int(p) not in (os.getpid(), os.getppid())]",
    "the operator's variables": "return 'API_KEY' in os.environ or b'API_KEY' in open('/proc/self/environ', 'rb').read()",
    "limits of the runner": "import resource; resource.prlimit(RUNNER, resource.RLIMIT_NOFILE, (3, 3)); return True",
    "processors of the runner": "os.sched_setaffinity(RUNNER, os.sched_getaffinity(0)); return True",
    "priority of the runner": "os.setpriority(os.PRIO_PROCESS, RUNNER, 19); return True",
    "scheduling of the runner": "os.sched_setscheduler(RUNNER, os.SCHED_IDLE, os.sched_param(0)); return True",
    "a process of the runner's user": "os.kill(os.getpgid(RUNNER), 0); return True",
    "comparing with process 1": "return call(312, os.getpid(), 1, 0, 0, 0) >= 0",
    "shared memory of others": "return call(29, 0x7e4, 64, 0o666) >= 0",
    "message queue of others": "return call(240, b'tek-test', 0, 0, None) >= 0",
}  # fmt: skip

NETWORK = {
    "TCP": "socket.create_connection(('127.0.0.1', PORT), 2); return True",
    "TCP 6": "socket.create_connection(('::1', PORT6), 2); return True",
    "TCP 6 mapped": "socket.create_connection(('::ffff:127.0.0.1', PORT), 2); return True",
    "MPTCP": "s = socket.socket(2, 1, 262); s.connect(('127.0.0.1', PORT)); return True",
    "TCP fast open": "s = socket.socket(); s.sendto(b'x', 0x20000000, ('127.0.0.1', PORT)); return True",
    "UDP": "s = socket.socket(2, 2); s.sendto(b'x', ('127.0.0.1', UDP)); return True",
    "UDP lite": "socket.socket(2, 2, 136); return True",
    "SCTP": "socket.socket(2, 1, 132); return True",
    "ping": "socket.socket(2, 2, 1); return True",
    "raw": "socket.socket(2, 3, 1); return True",
    "packet": "socket.socket(17, 3, 0); return True",
    "netlink": "socket.socket(16, 3, 0); return True",
    "vsock": "socket.socket(40, 1, 0); return True",
    "kernel cryptography": "socket.socket(38, 5, 0); return True",
    "bluetooth": "socket.socket(31, 3, 1); return True",
    "every other family": """
found = []
for family in range(2, 64):
    for kind in (1, 2, 3, 5):
        try:
            socket.socket(family, kind, 0).close(); found.append((family, kind))
        except OSError:
            pass
return found""",
    "a family with high bits set": "return call(41, 2 | 1 << 32, 1, 0) >= 0",
    "listening without an address": "s = socket.socket(); s.listen(); return True",
    "abstract unix socket": "s = socket.socket(1); s.connect(ABSTRACT); return True",
    "unix socket by its path": "s = socket.socket(1); s.connect('sock'); return True",
    "unix socket by a symlink": "os.symlink('sock', 'sock2'); s = socket.socket(1); s.connect('sock2'); return True",
    "unix datagram by its path": "s = socket.socket(1, 2); s.sendto(b'x', 'dgram'); return True",
    "unix datagram from a pair": "a, b = socket.socketpair(1, 2); a.sendto(b'x', 'dgram'); return True",
    "names by DNS": "return socket.gethostbyname('example.org')",
    "a foreign architecture": """
import mmap
code = bytes.fromhex('53b867010000bb02000000b901000000ba00000000cd805bc3')  # socket(AF_INET, SOCK_STREAM, 0) by int 0x80
page = mmap.mmap(-1, 4096, prot=7)
page.write(code)
pid = os.fork()
if pid == 0:
    result = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
    os._exit(1 if result >= 0 else 0)
return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1""",
    "the other 32 bits": """
pid = os.fork()
if pid == 0:
    libc.syscall(ctypes.c_long(0x40000000 + 41), 2, 1, 0); os._exit(1 if ctypes.get_errno() == 0 else 0)
return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1""",
}  # fmt: skip

ALL = {
    **{f"reading: {name}": body for name, body in READING.items()},
    **{f"writing: {name}": body for name, body in {**WRITING, **SEALED}.items()},
    **{f"privileges: {name}": body for name, body in PRIVILEGES.items()},
    **{f"processes: {name}": body for name, body in PROCESSES.items()},
    **{f"network: {name}": body for name, body in NETWORK.items()},
}

METADATA = frozenset(
    {
        "reading: metadata by stat",
        "reading: metadata by access",
        "reading: metadata by readlink",
        "reading: linkat of a descriptor",
        "reading: other users' temporary files",
    }
)
"""What the level ``landlock`` cannot hide, and says so: that a file is there, of what kind, size and date."""

HARMLESS = (
    "reading: absolute path", "reading: dot-dot from the working directory", "reading: symlink to a file",
    "reading: symlink to a directory", "reading: metadata by stat", "reading: names by listing", "reading: prefix sibling",
    "reading: other users' temporary files", "reading: magic link of its own root", "reading: names by listing above", "writing: mode", "writing: times",
    "writing: a hook", "writing: tek's configuration", "writing: moving a repository away", "writing: hard link to what is sealed",
    "processes: signalling the runner", "processes: a descriptor of the runner", "network: TCP", "network: TCP 6", "network: UDP",
    "network: abstract unix socket", "network: unix socket by its path", "network: unix datagram by its path",
    "privileges: set-user-id of its own file", "privileges: without a filter",
)  # fmt: skip
"""Attacks that succeed without confinement on any machine and can be tried there: the others would do harm, or need
rights that the one who tries may not have.
"""
