"""Where a build here is not what Nix 2.8 gives its builders on Linux: one table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference, by a short name; ``variables`` are the environment variables it shows in."""

    name: str
    nix: str
    ours: str
    reason: str
    variables: tuple[str, ...] = ()


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "cores",
        "NIX_BUILD_CORES is the setting cores, by default the number of this host's",
        "NIX_BUILD_CORES is 0, all there are, unless the caller says a number",
        "the same derivation gives the same request on every host, as in Snix",
        ("NIX_BUILD_CORES",),
    ),
    Difference(
        "own-variables",
        "a derivation cannot set NIX_BUILD_TOP, NIX_LOG_FD, PWD, TEMP, TEMPDIR, TERM, TMP, TMPDIR",
        "a derivation's own value counts for these, too",
        "as in Snix",
        ("NIX_BUILD_TOP", "NIX_LOG_FD", "PWD", "TEMP", "TEMPDIR", "TERM", "TMP", "TMPDIR"),
    ),
    Difference(
        "attribute-files",
        "NIX_ATTRS_JSON_FILE and NIX_ATTRS_SH_FILE name the files by their place on the host, which no builder sees",
        "they name /build/.attrs.json and /build/.attrs.sh",
        "later versions of Nix mended it so",
        ("NIX_ATTRS_JSON_FILE", "NIX_ATTRS_SH_FILE"),
    ),
    Difference(
        "program-name",
        "the builder's argument 0 is the last part of its path",
        "it is the whole path",
        "a request's command_args say in one word what runs and what it is called",
    ),
    Difference(
        "encodings",
        "arguments and variables are any bytes, and a variable's name may be empty or hold =",
        "refused: they are UTF-8, and names are not empty",
        "requests are protobuf messages, whose texts are UTF-8",
    ),
    Difference(
        "fixed-references",
        "a fixed output that refers to store paths is registered at another path than the derivation says",
        "refused",
        "later versions of Nix refuse it so",
    ),
    Difference(
        "builtins",
        "builtin:fetchurl, builtin:buildenv and builtin:unpack-channel are done by Nix itself",
        "builtin:fetchurl is done, without mirrors and netrc, and from this host's files, too; the others are refused",
        "they are no programs that a sandbox can run",
    ),
    Difference(
        "impure-variables",
        "impureEnvVars have the values that they have in Nix's own environment",
        "they have those that the caller gives, and are empty without",
        "nothing of this process's environment gets into a request by itself",
    ),
    Difference(
        "substitution",
        "what is missing comes from the configured substituters; nothing is built whose outputs are there",
        "it comes from the one place that is named, else it is built; drv run builds even what is there",
        "an input's origin is part of what is asked for",
    ),
    Difference(
        "outputs",
        "they are moved into the store and registered, with times of 1 and without write permission",
        "they are in castore, which knows no times; nix-store --import takes an export of them",
        "as in Tvix",
    ),
    Difference(
        "settings",
        "nix.conf counts: sandbox-paths, system-features, timeouts, hooks, log limits and more",
        "of nix.conf only the trusted keys and require-sigs count; the rest are parameters of a run, or are not there",
        "a run's record holds all that made it",
    ),
    Difference(
        "user",
        "the builder has no capabilities, and besides its own ids 1000 and 100 there are none: chown to others fails",
        "it has the 14 capabilities of Tvix's rootless containers; id 0, which is nobody outside, is there, too",
        "as in Tvix; SpecOptions.for_host(capabilities=()) takes them away",
    ),
    Difference(
        "system-calls",
        "a seccomp filter refuses set-user-ID and set-group-ID bits, extended attributes and ACLs",
        "no filter: they can be set, and are no part of an output",
        "as in Tvix",
    ),
    Difference(
        "root",
        "all of / belongs to the builder and is writable; /build has mode 700, /nix/store 1775",
        "/ is read-only but for /build, /nix/store (both of mode 755), /tmp and /dev",
        "as in Tvix",
    ),
    Difference(
        "inputs",
        "they belong to whoever built them, and writing to them is a matter of permissions (EACCES)",
        "they belong to nobody, and their file system is read-only (EROFS)",
        "as in Tvix",
    ),
    Difference(
        "etc",
        "passwd gives everybody /noshell; with network there is an nsswitch.conf",
        "passwd gives /bin/sh; there is no nsswitch.conf, the C library's own order holds",
        "one /etc for all sandboxes; Tvix has none",
    ),
    Difference(
        "devices",
        "/dev/kvm where this host has it; /dev/shm may take half of the memory",
        "no /dev/kvm; /dev/shm has 64 MiB, from which nothing can be executed; /dev/mqueue",
        "as in Tvix",
    ),
    Difference(
        "kernel-files",
        "/proc is not covered, /sys is not there, and control groups are seen from the host's root",
        "parts of /proc are hidden or read-only, /sys is there, read-only, and control groups are seen from their own",
        "as in Tvix",
    ),
    Difference(
        "tmp",
        "/tmp is a directory on disk",
        "/tmp is a tmpfs: what is in it takes memory, and set-user-ID bits do nothing",
        "as in Tvix",
    ),
    Difference(
        "terminal",
        "standard output and error are a pseudo-terminal, and a builder that closes both is killed",
        "they are pipes, and may be closed; lines that begin with @nix are shown as they are",
        "Tvix's terminal needs one outside; SpecOptions.for_host(terminal=True) asks for one",
    ),
    Difference(
        "limits",
        "as many open files as Nix itself may have; no core dumps unless a builder asks",
        "1024 open files; core dumps as this process has them",
        "as in Tvix",
    ),
    Difference(
        "personality",
        "addresses are not randomised; builds for i686-linux on x86_64 find an i686 in uname",
        "they are; such builds find x86_64",
        "as in Tvix; runc before 1.2 knows no personality",
    ),
)
