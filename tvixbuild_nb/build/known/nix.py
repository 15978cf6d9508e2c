"""The verdicts of Nix itself, of all its versions since 2.8."""

from __future__ import annotations

from tvixbuild_nb.build.known.failure import Failure

VERDICTS: tuple[Failure, ...] = (
    Failure(
        "output",
        r"failed to produce output path for output '(?P<output>[^']*)'",
        "the build ended well and never wrote its output {output}",
        "write to ${output}; nix-build --keep-failed leaves what it wrote instead, tvixbuild-nb drv run DRV lists it",
    ),
    Failure(
        "output",
        r"hash mismatch in fixed-output derivation",
        "what was fetched is not what was written down: the source changed upstream, or the hash is wrong",
        "check the source, then write the hash after 'got:' down",
    ),
    Failure(
        "output",
        r"should be a non-executable regular file since recursive hashing is not enabled",
        "outputHashMode is flat, and the output is a directory or executable",
        'outputHashMode = "recursive"',
    ),
    Failure(
        "output",
        r"is not allowed to refer to the following paths",
        "an output holds a reference it must not have",
        "find where it stands (path and offset) and remove it: remove-references-to, a separate output",
    ),
    Failure(
        "output",
        r"cycle detected in build of",
        "the outputs refer to each other in a circle",
        "move what is referred to into the output it is used from",
    ),
    Failure(
        "output",
        r"suspicious ownership or permission on",
        "an output is writable for its group or for others",
        "chmod go-w it at the end of the build",
    ),
    Failure(
        "output",
        r"has an unsupported type|: only files, directories and symlinks can be stored",
        "the output holds a FIFO, a socket or a device",
        "remove it at the end of the build",
    ),
    Failure(
        "setup",
        r"is required to build '(?P<drv>[^']*)', but I am a '(?P<here>[^']+)'",
        "the derivation is for another system, or wants features this machine ({here}) does not offer",
        "build on such a machine, or list the features in the configuration",
    ),
    Failure(
        "output",
        r"may not be deterministic",
        "two builds of the same derivation gave different outputs",
        "compare them (diffoscope); look for times, random numbers and the order of files",
    ),
    Failure(
        "setup",
        r"Reason: required system or feature not available",
        "the derivation is for another system, or wants features this machine does not offer; the lines below "
        "say which",
        "build on such a machine, or list the features in the configuration (system-features, extra-platforms)",
    ),
    Failure(
        "output",
        r"fixed-output derivations? .*(?:must not reference store paths|is not allowed to refer to other store paths)"
        r"|illegal path references in fixed-output derivation",
        "a fixed output refers to store paths, which nobody could fetch with it",
        "leave them out of it: no patchShebangs and no fixup in that derivation (dontFixup = true)",
    ),
    Failure(
        "output",
        r"path '(?P<path>[^']+)' is too large at (?P<size>\d+) bytes; limit is (?P<limit>\d+) bytes",
        "{path} has {size} bytes with what is counted, and may have {limit}",
        "find what is large (nix path-info -rsS), or raise maxSize or maxClosureSize in outputChecks",
    ),
    Failure(
        "output",
        r"contains an illegal reference specifier '(?P<what>[^']+)'",
        "a check of outputs names {what}, which is neither a store path nor an output",
        "correct allowedReferences, disallowedReferences and the like",
    ),
    Failure(
        "build",
        r"timed out after (?P<seconds>\d+) seconds of silence",
        "the build wrote nothing for {seconds} s, and was ended for that",
        "see what it waits for (a prompt, a lock, the network, another process): tvixbuild-nb drv run DRV "
        "--silent-timeout {seconds}, then tvixbuild-nb explain RUN; last, raise max-silent-time",
    ),
    Failure(
        "build",
        r"timed out after (?P<seconds>\d+) seconds",
        "the time limit of {seconds} s passed, and the build was ended",
        "see what it waited for at the end of its log, or whether it still worked: tvixbuild-nb drv run DRV "
        "--timeout {seconds}, then tvixbuild-nb explain RUN; last, raise timeout",
    ),
    Failure(
        "build",
        r"killed after writing more than (?P<bytes>\d+) bytes of log output",
        "the build wrote more than {bytes} bytes of log, and was ended for that",
        "raise max-log-size, or make the build say less",
    ),
    Failure(
        "build",
        r"builder .*failed (?:with exit code 137|due to signal 9 \(Killed\))",
        "the builder was killed, most likely for lack of memory",
        "look at dmesg, build with fewer jobs (--cores 1 -j 1), give it more memory",
    ),
    Failure(
        "build",
        r"builder .*failed due to signal (?P<number>\d+) \((?P<name>[^)]+)\)",
        "the builder was ended by signal {number} ({name})",
        "look at the end of its log: nix log",
    ),
    Failure(
        "setup",
        r"[Uu]nable to start any build; either increase '--max-jobs' or enable remote builds",
        "max-jobs is 0, and there is no remote builder for this system",
        "--max-jobs 1, or builders in nix.conf",
    ),
    Failure(
        "build",
        r"Reason: \d+ dependenc(?:y|ies) failed|dependenc(?:y|ies) of derivation '[^']+' failed to build",
        "something that has to be built first failed; its own error stands in the lines above",
        "read the first error, or nix log of the first derivation that failed",
        symptom=True,
    ),
)
