"""What keeps a command from being executed, in the words of runc, crun and Nix; and what commands say that fail."""

from __future__ import annotations

from tvixbuild_nb.build.known import words
from tvixbuild_nb.build.known.absent import NOT_FOUND
from tvixbuild_nb.build.known.failure import Failure
from tvixbuild_nb.build.known.further import FURTHER

EXEC: tuple[Failure, ...] = (
    Failure(
        "exec",
        r"missing dynamic library\?",
        "the program is there, but its ELF loader or a shared library is not",
        "give the loader and the libraries as inputs (add_host_program finds them), or use a static program",
        elsewhere="give the loader and the libraries as inputs (Nix: autoPatchelfHook), or use a static program",
    ),
    Failure(
        "exec",
        r"executing ['\"](?P<program>[^'\"]+)['\"]: No such file or directory",
        "the derivation's builder {program} is not among the inputs",
        "add the store path that holds {program} to the inputs",
    ),
    Failure(
        "exec",
        r"exec:? \"?(?P<program>/[^\s\":]+)\"?: (?:stat \S+: )?no such file or directory",
        "{program}, its ELF loader, or the interpreter in its #! line is not inside (or the #! line ends in CR)",
        "add the file or its interpreter as an input, check the #! line (file, readelf -l), convert CR LF line ends",
    ),
    Failure(
        "exec",
        r"(?:exec:? \"?|exec container process `)(?P<program>/[^\s\":`]+)[\"`]?: [Ee]xec format error",
        "{program} is for another architecture, or is a script without a #! line",
        "check with file and uname -m; start scripts with #!/bin/sh",
    ),
    Failure(
        "exec",
        r"exec:? \"?(?P<program>/[^\s\":]+)\"?: (?:permission denied|is a directory)|open executable: Permission denied"
        r"|exec container process `\S+`: Permission denied"
        r"|the path `\S+` (?:is not a regular file|exists but it is not executable)",
        "the command is not executable, or is a directory (runc says the same of both)",
        "chmod +x it before it becomes an input",
    ),
    Failure(
        "exec",
        r"exec:? \"?(?P<program>[^\s\"/:]+)\"?: executable file not found in \$?PATH",
        "{program} is in no directory of the build's PATH",
        "give the full path, or set PATH in the environment",
    ),
    Failure(
        "exec",
        r"executable file `(?P<program>/[^`]+)` not found",
        "{program} is not inside",
        "add it as an input, or name where it is: look with run.inputs",
        elsewhere="add what has it to the inputs, or name where it is",
    ),
    Failure(
        "exec",
        r"executable file `(?P<program>[^`]+)` not found in \$PATH",
        "{program} is in no directory of the build's PATH",
        "give the full path, or set PATH in the environment",
    ),
)

BUILD: tuple[Failure, ...] = (
    Failure(
        "build",
        rf"bad interpreter: /\S{{1,400}}\^M|{words.PATH}\^M: bad interpreter"
        r"|env: \S{1,400}\\r['’]?: No such file or directory",
        "a script's #! line ends in CR LF, so that its interpreter's name ends in CR",
        "convert its line ends: sed -i 's/\\r$//' SCRIPT",
    ),
    Failure(
        "build",
        rf"(?P<interpreter>{words.PATH}): bad interpreter: No such file or directory",
        "a script's #! line names {interpreter}, which the sandbox does not have",
        "patchShebangs, or give the interpreter as an input",
    ),
    Failure(
        "build",
        r"bad interpreter: (?P<interpreter>/[^\s:]+): no such file or directory",
        "a script's #! line names {interpreter}, which the sandbox does not have",
        "patchShebangs, or give the interpreter as an input",
    ),
    Failure(
        "build",
        rf"(?P<program>{words.PATH}): cannot execute: (?:required file not found|No such file or directory)",
        "{program} is there, but its ELF interpreter or the one in its #! line is not inside (or that line ends in CR)",
        "give the interpreter as an input, check the #! line (file, readelf -l), convert CR LF line ends",
    ),
    Failure(
        "build",
        rf"(?P<program>{words.PATH}): (?:cannot execute binary file|[Ee]xec format error)"
        r"|(?:cannot execute binary file|exec format error): (?P<zsh>/\S+)",
        "{program}{zsh} is for another architecture, or is no program",
        "check with file and uname -m; build it for this machine",
    ),
    Failure(
        "build",
        words.NO_LIBRARY,
        "no directory where the loader looks has the shared library {library}{musl}",
        "give the package that has {library}{musl} as an input, and its lib directory in LD_LIBRARY_PATH or a RUNPATH",
        elsewhere="give the package that has {library}{musl} as an input (Nix: buildInputs; for a program built "
        "elsewhere autoPatchelfHook puts it into the RUNPATH)",
    ),
    Failure(
        "build",
        r"version `(?P<version>[^']+)' not found \(required by (?P<program>[^)]+)\)",
        "{program} was linked against a newer library than the one inside, which lacks {version}",
        "take program and libraries from one distribution, or build it against what is inside",
    ),
    Failure(
        "build",
        r"Error relocating (?P<program>[^\s:]+): (?P<symbol>\S+): symbol not found",
        "{program} was linked for another libc (glibc) than the one inside (musl), which lacks {symbol}",
        "take a program built for musl or a static one, or give glibc and its loader as inputs",
    ),
    *(
        Failure(
            "build",
            pattern,
            "the tool {tool} is not in the sandbox, or not in PATH",
            "give an input that has {tool} (Nix: nativeBuildInputs) and put its bin directory into PATH",
        )
        for pattern in words.NO_TOOL
    ),
    Failure(
        "build",
        words.NO_HOME,
        "HOME is /homeless-shelter on purpose: builds must not depend on a home directory",
        "export HOME=$TMPDIR in the build (Nix: writableTmpDirAsHomeHook)",
    ),
    Failure(
        "build",
        words.NO_NETWORK,
        "the sandbox has no network; with network access it can also be a resolv.conf that leads nowhere inside",
        "fetch beforehand and give it as an input (Nix: a fixed-output derivation), or ask for network_access",
        elsewhere="fetch beforehand and give it as an input: Nix's fetchurl and its like are fixed-output derivations, "
        "which have the network",
    ),
    Failure(
        "build",
        words.LOOPBACK,
        "nothing answers there: without network a sandbox has a loopback of its own, where no server of the host is",
        "start the server in the build, or ask for network_access",
        elsewhere="start the server in the build",
    ),
    Failure(
        "build",
        words.NO_CERTIFICATES,
        "the file with the certificate authorities is not in the sandbox",
        "give it as an input and point SSL_CERT_FILE at it (Nix: cacert)",
    ),
    Failure(
        "build",
        r"chmod: .*: Operation not permitted",
        "setuid and setgid bits are refused in a build (Nix filters them); other bits, where a file is somebody else's",
        "leave the bits out, they would not survive in a store anyway; of inputs change a copy",
    ),
    Failure(
        "build",
        words.OWNERS,
        "the owner asked for is not in the container's id maps",
        "do not change owners: a store keeps none",
    ),
    Failure(
        "build",
        r"detected dubious ownership in repository at '(?P<path>[^']+)'",
        "inputs belong to nobody (65534), an id outside the maps, and git wants {path} to be the user's own",
        "export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*', or copy it first",
    ),
    Failure(
        "build",
        words.NO_MEMORY,
        "an allocation of memory was refused: by a limit of the process (ulimit -v, a heap's size) or by the host",
        "raise that limit, use less, or build with fewer jobs",
    ),
    Failure(
        "build",
        words.KILLED,
        "a child of the build was killed, most likely for lack of memory; the exit status need not be 137",
        "look at memory.events of the cgroup (run.usage), raise the memory limit, build with fewer jobs",
        elsewhere="see dmesg for the kernel's word; raise the memory limit, or build with fewer jobs (--cores 1 -j 1)",
    ),
    Failure(
        "build",
        rf"{words.COPIES}|{words.READ_ONLY}",
        "inputs are read-only, and copies made from them keep that",
        "cp --no-preserve=mode, and write below a scratch path (the mount table lists what is writable)",
        elsewhere="cp --no-preserve=mode, or chmod -R u+w the copy; and write below a scratch path ($TMPDIR, $out)",
    ),
    Failure(
        "build",
        r"auto-patchelf could not satisfy dependency (?P<library>\S+)",
        "no input has the shared library {library}",
        "add the package that holds it to buildInputs",
    ),
    Failure(
        "build",
        words.CLOSED,
        "a read-only view can be closed to the build's user: FUSE mounted without allow_other",
        "doctor() says whether allow_other works here; inputs='checkout' does without FUSE",
        elsewhere="tvixbuild-nb doctor says whether allow_other works there; --inputs checkout does without FUSE",
    ),
    Failure(
        "build",
        words.NO_SPACE,
        "the disk below the bundle, or a tmpfs in the sandbox (/dev/shm has 64 MB), is full",
        "free space below the bundle root, or write below a scratch path",
    ),
    Failure(
        "build",
        words.NO_FORK,
        "as many processes and threads run as may (limits.pids, or RLIMIT_NPROC)",
        "from tvixbuild_nb import SpecOptions; "
        'sb.options = (sb.options or SpecOptions.for_host()).replace(limits={"pids": 4096})  # or fewer jobs at a time',
        elsewhere="raise that limit (ulimit -u, the cgroup's pids.max), or build with fewer jobs (Nix: --cores 1 -j 1)",
    ),
    Failure(
        "build",
        words.OPEN_FILES,
        "a process has more files open than its limit (in our sandboxes 1024)",
        "from tvixbuild_nb import SpecOptions; "
        'sb.options = (sb.options or SpecOptions.for_host()).replace(rlimits={"NOFILE": 65536})  # outside: ulimit -n',
        elsewhere="raise it (ulimit -n; for Nix LimitNOFILE of nix-daemon.service), or open fewer at a time",
    ),
    *NOT_FOUND,
    Failure(
        "build",
        r"no acceptable C compiler found in \$PATH|Unknown compiler\(s\)|No CMAKE_C\w*_COMPILER could be found"
        r"|CMAKE_C\w*_COMPILER not set",
        "there is no C compiler in PATH",
        "give one as an input (Nix: stdenv instead of stdenvNoCC) and put its bin directory into PATH",
    ),
    *FURTHER,
)
