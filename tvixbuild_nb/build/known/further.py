"""What builds say that fail of themselves: make, configure, linkers, patch, git, shells; and what a sandbox refuses."""

from __future__ import annotations

from tvixbuild_nb.build.known import words
from tvixbuild_nb.build.known.failure import Failure

FURTHER: tuple[Failure, ...] = (
    Failure(
        "build",
        words.NO_NAME,
        "the name of a file is empty: most likely a variable in it, such as $out, is not set",
        'sb.env["out"] = "/nix/store/out"  # the path of an output; or write that in the command',
        elsewhere="set it, or write the path itself; set -u at the top of the script says which one it is",
    ),
    Failure(
        "build",
        words.NO_DIRECTORY,
        "the directory of {path} is not there",
        "mkdir -p it before",
    ),
    Failure(
        "build",
        words.NOT_THERE,
        "{file}{redirected}{script} is not there, or not in the directory where the build is then",
        "give it as an input, or cd to where it is first (Nix: src, sourceRoot)",
    ),
    Failure(
        "exec",
        r"[Aa]rgument list too long",
        "the arguments and the environment of one command are larger than the kernel takes (about 2 MB together, "
        "128 KiB each)",
        "pass them in a file (@FILE, xargs, Nix: passAsFile), or leave large variables out of the environment",
    ),
    Failure(
        "build",
        r"[Tt]ext file busy",
        "a program was written to while it was executed, or executed while it was still open for writing",
        "write it under another name and mv it there; wait until it is closed",
    ),
    Failure(
        "build",
        words.UNSET,
        "the variable {name} is not set: a build has only the environment it is given",
        'sb.env["{name}"] = "..."',
        elsewhere='{name} = "...";  # in the derivation; or ${{name}:-} in the script, where it may be empty',
    ),
    Failure(
        "build",
        r"No rule to make target ['`‘](?P<target>[^'’\n]+)",
        "make has no rule for {target}, and no such file is there: the source is not whole, or it is another directory",
        "look at what is there: the inputs, and what was left in the scratch directory; sb.working_dir",
        elsewhere="look at what is there: ls before make (Nix: sourceRoot; nix-build --keep-failed leaves it there)",
    ),
    Failure(
        "build",
        r"No targets specified and no makefile found",
        "make was started where no Makefile is: the source is not there, or configure did not make one",
        "cd to the source first, or sb.working_dir; run configure or cmake before",
        elsewhere="cd to the source first (Nix: sourceRoot); run configure or cmake before",
    ),
    Failure(
        "build",
        r"C(?:\+\+)? compiler cannot create executables|cannot compute suffix of object files"
        r"|C(?:\+\+)? compiler \S+ is not able to compile",
        "the compiler is there and does not work; what it said stands in config.log (CMake: CMakeError.log)",
        "tail -n 100 config.log, in the directory of the build",
    ),
    Failure(
        "build",
        r"undefined reference to",
        "the linker finds no definition of what is used: a library is not on its command line, or stands before what "
        "uses it",
        "name the library with -l behind the objects that use it (LDLIBS, LIBS), and give it as an input",
    ),
    Failure(
        "build",
        r"Hunk #\d+ FAILED at|\bout of \d+ hunks? (?:FAILED|ignored)|error: patch failed:|can't find file to patch",
        "a patch does not fit the source: it is for another version, for another directory (-p), or it is in already",
        "make the patch again for this source, or leave it out; patch -p1 or -p0",
    ),
    Failure(
        "build",
        r"unable to auto-detect email address|Please tell me who you are|empty ident name",
        "git has neither a name nor an address for a commit: there is no ~/.gitconfig in a sandbox",
        'sb.env["GIT_AUTHOR_NAME"] = sb.env["GIT_COMMITTER_NAME"] = "builder"\n'
        'sb.env["GIT_AUTHOR_EMAIL"] = sb.env["GIT_COMMITTER_EMAIL"] = "builder@localhost"',
        elsewhere="export GIT_AUTHOR_NAME=builder GIT_COMMITTER_NAME=builder\n"
        "export GIT_AUTHOR_EMAIL=builder@localhost GIT_COMMITTER_EMAIL=builder@localhost",
    ),
    Failure(
        "build",
        r"\b(?:mknod|mount|umount|chroot|setcap|losetup|unshare|iptables)\b: .*"
        r"(?:Operation not permitted|[Pp]ermission denied|must be superuser|only root|drop permissions failed)",
        "that takes root or a capability, and the user of a sandbox has neither outside it",
        "leave it out of the build; what is made so would not be in the outputs",
    ),
    Failure(
        "build",
        r"line \d+: [^\s:/][^\s:]{0,400}: Permission denied",
        "it may not be written, for copies of inputs are as read-only as these; or executed, where it lacks the x bit",
        "cp --no-preserve=mode, or chmod u+w; chmod +x",
    ),
    Failure(
        "build",
        r"\b(?:chown|chgrp)\b[^\n]{0,400}: Operation not permitted"
        r"|Cannot change ownership to [^:\n]{0,80}: Operation not permitted",
        "the build's user may not give files to another owner",
        "leave owners alone (tar --no-same-owner, cp without -a): a store keeps none",
    ),
    Failure(
        "build",
        r"/dev/tty: No such device or address|could not open /dev/tty",
        "there is no terminal in a build",
        "tell the program not to ask: --batch, --yes, stdin from a file",
    ),
)
