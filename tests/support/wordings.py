"""Lines as other versions and other programs word what the sandbox's own runtimes, shells and Nix report.

Each with words that the cause or the cure must hold, and the stage. From the sources of runc 1.2 to 1.4, crun and Nix
master, of shells and libcs, or from public issues that quote them.
"""

from __future__ import annotations

RUNC = "runc run failed: unable to start container process: error during container init: "
CRUN = "2026-11-24T10:00:00.000000Z: "
WORDINGS = [
    (RUNC + 'error mounting "proc" to rootfs at "/proc": mount src=proc, dst=/proc, dstFd=/proc/thread-self/fd/8, '
     "flags=MS_NOSUID|MS_NODEV|MS_NOEXEC: operation not permitted", "unmasked", "setup"),
    (RUNC + 'error mounting "sysfs" to rootfs at "/sys": mount src=sysfs, dst=/sys, dstFd=/proc/thread-self/fd/15, '
     "flags=MS_RDONLY|MS_NOSUID|MS_NODEV|MS_NOEXEC: operation not permitted", "bind the", "setup"),
    (RUNC + 'error mounting "/b/in" to rootfs at "/in": mount src=/b/in, dst=/in, dstFd=/proc/thread-self/fd/9, '
     "flags=MS_RDONLY|MS_REMOUNT|MS_BIND: operation not permitted", "nosuid", "setup"),
    (RUNC + 'error mounting "/b/in" to rootfs at "/in": create mountpoint for /in mount: make mountpoint '
     '"/in": mkdirat '
     "/b/root/in: permission denied", "beforehand", "setup"),
    (RUNC + "error setting rlimits for ready process: error setting rlimit type 7: operation not permitted",
     "hard limit", "setup"),
    (RUNC + "open sysctl net.ipv4.ip_unprivileged_port_start file: reopen fd 8: permission denied", "LXC", "setup"),
    (RUNC + "error closing exec fds: get handle to /proc/thread-self/fd: unsafe procfs detected: openat2 "
     "fsmount:fscontext:proc/thread-self/fd/: operation not permitted", "seccomp", "setup"),
    (RUNC + "unable to join session keyring: unable to create session key: disk quota exceeded", "maxkeys", "setup"),
    ("unable to join session keyring:unable to create session key: operation not permitted", "keyctl", "setup"),
    ("nsexec-1[264231]: failed to unshare user namespace: Operation not permitted", "userns_clone", "setup"),
    ("nsexec-1[7]: failed to unshare user namespace: No space left on device", "max_user_namespaces", "setup"),
    ('runc run failed: unable to start container process: unable to apply cgroup configuration: rootless '
     'needs no limits '
     "+ no cgrouppath when no permission is granted for cgroups: mkdir /sys/fs/cgroup/x: permission denied",
     "delegated", "setup"),
    ("unable to apply cgroup configuration: unable to start unit \"x.scope\": Interactive authentication required.",
     "linger", "setup"),
    (RUNC + 'exec: "/in": is a directory', "directory", "exec"),
    (RUNC + "exec /bin/x: exec format error", "architecture", "exec"),
    (RUNC + 'exec: "/bin/x": stat /bin/x: no such file or directory', "/bin/x", "exec"),
    (CRUN + "mount `proc` to `proc`: Operation not permitted", "unmasked", "setup"),
    (CRUN + "mount `sysfs` to `sys`: Operation not permitted", "bind the", "setup"),
    (CRUN + "remount `in`: Operation not permitted", "nosuid", "setup"),
    (CRUN + "setrlimit `RLIMIT_NOFILE`: Operation not permitted", "hard limit", "setup"),
    (CRUN + "writing file `/proc/9/gid_map`: Operation not permitted", "AppArmor", "setup"),
    (CRUN + "cannot setresuid to 100: Invalid argument", "id maps", "setup"),
    (CRUN + "creating cgroup directory `/sys/fs/cgroup/pids/x`: Permission denied", "delegated", "setup"),
    (CRUN + "cgroups in hybrid mode not supported, move to cgroup v2", "runc", "setup"),
    (CRUN + "exec container process `/bin/x`: Exec format error", "architecture", "exec"),
    (CRUN + "exec container process `/bin/x`: Permission denied", "chmod +x", "exec"),
    (CRUN + "exec container process (missing dynamic library?) `/bin/x`: No such file or directory", "loader", "exec"),
    (CRUN + "executable file `gcc` not found in $PATH: No such file or directory", "gcc", "exec"),
    (CRUN + "executable file `/bin/x` not found: No such file or directory", "/bin/x", "exec"),
    # Programs that are not there: shells, make, env of coreutils and of busybox, Perl
    ("/bin/sh: 1: foo: not found", "the tool foo", "build"),
    ("./configure: 3: foo: not found", "the tool foo", "build"),
    ("./configure: line 3: foo: not found", "the tool foo", "build"),
    ("/nix/store/x-bash/bin/bash: line 1: foo: command not found", "the tool foo", "build"),
    ("/build/x.sh: line 12: g++: command not found", "the tool g++", "build"),
    ("mksh: foo: inaccessible or not found", "the tool foo", "build"),
    ("ksh[3]: foo: not found [No such file or directory]", "the tool foo", "build"),
    ("zsh: command not found: foo", "the tool foo", "build"),
    ("./x.zsh:3: command not found: foo", "the tool foo", "build"),
    ("fish: Unknown command: foo", "the tool foo", "build"),
    ("make[2]: foo: No such file or directory", "the tool foo", "build"),
    ("make: foo: Command not found", "the tool foo", "build"),
    ("/usr/bin/env: ‘python’: No such file or directory", "the tool python", "build"),
    ("env: 'python': No such file or directory", "the tool python", "build"),
    ("env: can't execute 'bash': No such file or directory", "the tool bash", "build"),
    ("timeout: failed to run command ‘foo’: No such file or directory", "the tool foo", "build"),
    ("Can't exec \"gcc\": No such file or directory at x.pl line 3.", "the tool gcc", "build"),
    ("configure: error: no acceptable C compiler found in $PATH", "C compiler", "build"),
    # What is there and cannot be executed
    ("bash: line 1: /in/x: cannot execute: required file not found", "/in/x is there", "build"),
    ("bash: line 1: /in/x: cannot execute binary file: Exec format error", "/in/x is for another", "build"),
    ("zsh: exec format error: /in/x", "/in/x is for another", "build"),
    ("zsh: ./x: bad interpreter: /bin/none: no such file or directory", "names /bin/none", "build"),
    ("bash: ./x: /bin/sh^M: bad interpreter: No such file or directory", "CR LF", "build"),
    ("/usr/bin/env: ‘bash\\r’: No such file or directory", "CR LF", "build"),
    # Loaders of glibc and musl
    ("/in/x: error while loading shared libraries: libz.so.1: cannot open shared object file: No such file or "
     "directory",
     "shared library libz.so.1", "build"),
    ("Error loading shared library libz.so.1: No such file or directory (needed by /in/x)",
     "shared library libz.so.1", "build"),
    ("/in/x: /lib/libc.so.6: version `GLIBC_2.38' not found (required by /in/x)", "lacks GLIBC_2.38", "build"),
    ("Error relocating /in/x: fcntl64: symbol not found", "lacks fcntl64", "build"),
    # The same in Python, Node, Go, Rust, Java, tar, GNU wget, apt
    ("OSError: [Errno 30] Read-only file system: '/x'", "scratch path", "build"),
    ("Error: EROFS: read-only file system, mkdir '/x'", "scratch path", "build"),
    ("mkdir /x: read-only file system", "scratch path", "build"),
    ("OSError: [Errno 28] No space left on device", "free space", "build"),
    ("write /x: no space left on device", "free space", "build"),
    ("OSError: [Errno 24] Too many open files: 'x'", "1024", "build"),
    ("Error: EMFILE: too many open files, open 'x'", "1024", "build"),
    ("socket.gaierror: [Errno -3] Temporary failure in name resolution", "network", "build"),
    ("Error: getaddrinfo EAI_AGAIN registry.npmjs.org", "network", "build"),
    ("go: x: Get \"https://x\": dial tcp: lookup proxy.golang.org on [::1]:53: read: connection refused",
     "network", "build"),
    ("java.net.UnknownHostException: repo1.maven.org", "network", "build"),
    ("wget: unable to resolve host address ‘example.org’", "network", "build"),
    ("ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "SSL_CERT", "build"),
    ("x509: certificate signed by unknown authority", "SSL_CERT", "build"),
    ("tar: x: Cannot change ownership to uid 1000, gid 1000: Invalid argument", "id maps", "build"),
    # Lack of memory in a child
    ("c++: internal compiler error: Killed (program cc1plus)", "memory", "build"),
    ("collect2: fatal error: ld terminated with signal 9 [Killed]", "memory", "build"),
    ("process didn't exit successfully: `rustc` (signal: 9, SIGKILL: kill)", "memory", "build"),
    ("./x.sh: line 3:    17 Killed                  cc1plus", "memory", "build"),
    ("Killed", "memory", "build"),
    ("cc1: out of memory allocating 65536 bytes after a total of 1 bytes", "memory", "build"),
    # What no input has
    ("x.c:1:10: fatal error: zlib.h: No such file or directory", "zlib.h", "build"),
    ("/usr/bin/ld: cannot find -lz: No such file or directory", "-lz", "build"),
    ("ModuleNotFoundError: No module named 'setuptools'", "setuptools", "build"),
    ("No package 'zlib' found", "zlib", "build"),
    ("Package zlib was not found in the pkg-config search path.", "zlib", "build"),
    # Nix since 2.8
    ("error: executing \"/bin/bash\": No such file or directory", "builder /bin/bash", "exec"),
    ("error: builder for '/x.drv' failed to produce output path for output 'out' at \"/nix/store/y\"",
     "write to $out", "output"),
    ("       Reason: required system or feature not available", "another system", "setup"),
    ("error: a 'aarch64-linux' with features {kvm} is required to build '/x.drv', but I am a 'x86_64-linux' "
     "with features "
     "{benchmark}", "x86_64-linux", "setup"),
    ("error: fixed-output derivations must not reference store paths: '/x.drv' references 1 distinct paths, e.g. '/y'",
     "dontFixup", "output"),
    ("error: illegal path references in fixed-output derivation '/x.drv'", "dontFixup", "output"),
    ("error: path '/nix/store/x' is too large at 7 bytes; limit is 3 bytes", "may have 3", "output"),
    ("error: closure of path '/nix/store/x' is too large at 7 bytes; limit is 3 bytes", "may have 3", "output"),
    ("error: derivation '/x.drv' output check for 'out' contains an illegal reference specifier 'dev', "
     "expected store path",
     "names dev", "output"),
    ("error: building of '/x.drv' timed out after 10 seconds of silence", "wrote nothing for 10 s", "build"),
    ("error: '/x.drv' timed out after 600 seconds", "limit of 600 s", "build"),
    ("error: '/x.drv' killed after writing more than 5 bytes of log output", "max-log-size", "build"),
    ("error: builder for '/x.drv' failed with exit code 137;", "memory", "build"),
    ("       Reason: builder failed due to signal 9 (Killed).", "memory", "build"),
    ("       Reason: builder failed due to signal 11 (Segmentation fault).", "signal 11", "build"),
    ("error: unable to start any build; either increase '--max-jobs' or enable remote builds.", "max-jobs", "setup"),
    ("error: cloning builder process: Operation not permitted", "user namespaces", "setup"),
    ("error: this system does not support the kernel namespaces that are required for sandboxing; use "
     "'--no-sandbox' to "
     "disable sandboxing", "user namespaces", "setup"),
    ("       Reason: 1 dependency failed.", "first error", "build"),
    ("error: 2 dependencies of derivation '/x.drv' failed to build", "first error", "build"),
]  # fmt: skip
