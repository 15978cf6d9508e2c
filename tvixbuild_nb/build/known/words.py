"""How programs of many kinds (C, Python, Node, Go, Rust, Java) say the same thing: regular expressions, no causes.

They meet logs that nobody chose: what is not a literal begins where a word does and has an end, so that a long line
takes no more time than its length.
"""

from __future__ import annotations

NO_NETWORK = (
    r"Could not resolve host|unable to resolve host|bad address '|[Nn]etwork is unreachable"
    r"|Temporary failure (?:in name resolution|resolving)|Name or service not known"
    r"|getaddrinfo (?:EAI_AGAIN|ENOTFOUND)|dial tcp: lookup \S+|UnknownHostException|\bENETUNREACH\b|No route to host"
    r"|Failed to connect to (?!localhost|127\.|::1|\[::1)\S+ port \d+"
)
# Its own loopback, on which nothing of the host listens.
LOOPBACK = (
    r"Failed to connect to (?:localhost|127\.[\d.]+|\[?::1\]?) port \d+"
    r"|(?:connect|connection|dial)\b.{0,80}\b(?:localhost|127\.[\d.]+|::1)\]?.{0,40}[Cc]onnection refused"
    r"|ECONNREFUSED (?:127\.|::1|localhost)"
)
NO_CERTIFICATES = (
    r"unable to get local issuer certificate|SSL certificate problem|CERTIFICATE_VERIFY_FAILED"
    r"|certificate signed by unknown authority|server certificate verification failed"
)
READ_ONLY = r"[Rr]ead-only file system"
# Of a redirection in ash and dash, when the directory is not there.
NO_PARENT = r"(?:nonexistent directory|[Dd]irectory nonexistent)"
# What was to be a file's name is empty: a variable that is not set.
NO_NAME = (
    r"(?:can't|cannot) (?:create|open) : |: ambiguous redirect|\b(?:touch|mkdir|cp|mv|ln|install): : No such file"
    r"|(?:can't|cannot) [a-z]+ (?:[a-z]+ )*(?:''|‘’|\"\"): "
)
# What set -u makes of a variable that is not set.
UNSET = r"\b(?P<name>[A-Za-z_]\w{0,60}): (?:unbound variable|parameter (?:null or )?not set)"
# A file to be read is not there, in the words of busybox and of Python.
NOT_THERE = (
    r"can't open '(?P<file>[^'\n]{1,400})': (?:\[Errno 2\] )?No such file or directory"
    r"|can't open (?P<redirected>[^\s':]{1,400}): no such file|can't open file '(?P<script>[^'\n]{1,400})': \[Errno 2\]"
)
NO_DIRECTORY = rf"(?:can't|cannot) create (?P<path>[^\s:]{{1,400}}): {NO_PARENT}"
NO_SPACE = r"[Nn]o space left on device"
NO_FORK = r"(?:can't fork|\b(?:v?fork|clone|pthread_create)\b.{0,80}Resource temporarily unavailable)"
OPEN_FILES = r"[Tt]oo many open files"
# Where something failed because of it: logs name the variable's value for many reasons.
NO_HOME = (
    r"(?m:^)(?=[^\n]*(?i:denied|read-only|no such file|not found|cannot|can't|could not|fail|unable|\berror))"
    r"[^\n]*/homeless-shelter"
)
CLOSED = r"(?:ls|find|cat): [^\n]{0,40}?(?P<path>/[^\s'’:]*)['’]?: Permission denied"
OWNERS = r"ch(?:own|grp)\b.*: Invalid argument|Cannot change ownership to [^:\n]{0,80}: Invalid argument"
# Of a child, as its parent says it; "signal 9" alone may be anything.
KILLED = (
    r"Killed signal terminated program|fatal error: Killed|internal compiler error: Killed|(?m:^Killed$)"
    r"|: line \d+: +\d+ Killed\b|terminated with signal 9|\(signal: 9, SIGKILL|signal 9 .*cc1"
)
# An allocation that was refused, while nothing was killed: a limit of the process's own, or its heap's.
NO_MEMORY = (
    r"[Oo]ut of memory|Cannot allocate memory|virtual memory exhausted|(?m:^MemoryError\b)|std::bad_alloc"
    r"|java\.lang\.OutOfMemoryError"
)
# Copies of inputs are as read-only as these were.
COPIES = (
    r"couldn't open temporary file .*Permission denied"
    r"|can(?:not|'t) (?:remove|create|open|touch|move|overwrite)\b[^'‘\n]{0,40}['‘][^'’\n]{1,400}['’][^:\n]{0,40}: "
    r"Permission denied|can't create \S{1,400}: Permission denied"
)
# A path that is absolute, or begins at . or .., from its beginning; a group of this name goes around it.
PATH = r"(?<![^\s:'\"`(‘])\.{0,2}/[^\s:]{1,400}"
_TOOL = r"['\"‘`]?(?P<tool>[^\s:/'\"`‘’]{1,100}?)(?:\\r)?['\"’`]?"
# A program that is not there, as shells say it, make, and what executes a program for somebody.
NO_TOOL = (
    r"(?:\b(?:ba|da|a|k|mk|z|)sh(?:\[\d+\])?: (?:line )?(?:\d+: )?|(?<!\S)\S{1,400}: (?:line )?\d+: )"
    + _TOOL
    + r": (?:command |inaccessible or )?not found",
    r"(?<!\S)(?:zsh|fish|\S{1,400}:\d+): (?:command not found|Unknown command): " + _TOOL + r"(?=\s|$)",
    # Not what make says of a Makefile.
    r"\bmake(?:\[\d+\])?: (?!\S*(?:[Mm]akefile|\.mk\b))" + _TOOL + r": (?:No such file or directory|Command not found)",
    r"\b(?:env: (?:can't execute )?|failed to run command |Can't exec |xargs: )"
    + _TOOL
    + r": No such file or directory",
    r"\b(?:linker|Program) " + _TOOL + r" not found",
    r"\bspawn " + _TOOL + r" ENOENT",
)
# The x of "NAME: error while loading shared libraries: x: cannot open ...", and of musl's "Error loading ...".
NO_LIBRARY = (
    r"error while loading shared libraries: (?P<library>[^\s:]+): cannot open shared object file"
    r"|Error loading shared library (?P<musl>[^\s:]+): No such file or directory"
)
