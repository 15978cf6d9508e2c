"""How programs of many kinds (C, Python, Node, Go, Rust, Java) say the same thing: regular expressions, no causes.

They meet logs that nobody chose: what is not a literal begins where a word does and has an end, so that a long line
takes no more time than its length.
"""

from __future__ import annotations

NO_NETWORK = (
    r"Could not resolve host|unable to resolve host|bad address '|[Nn]etwork is unreachable"
    r"|Temporary failure (?:in name resolution|resolving)|Name or service not known"
    r"|getaddrinfo (?:EAI_AGAIN|ENOTFOUND)|dial tcp: lookup \S+|UnknownHostException"
)
NO_CERTIFICATES = (
    r"unable to get local issuer certificate|SSL certificate problem|CERTIFICATE_VERIFY_FAILED"
    r"|certificate signed by unknown authority|server certificate verification failed"
)
READ_ONLY = r"[Rr]ead-only file system"
NO_SPACE = r"[Nn]o space left on device"
NO_FORK = r"(?:can't fork|\b(?:v?fork|clone|pthread_create)\b.{0,80}Resource temporarily unavailable)"
OPEN_FILES = r"[Tt]oo many open files"
NO_HOME = r"/homeless-shelter"
OWNERS = r"ch(?:own|grp)\b.*: Invalid argument|Cannot change ownership to "
# Of a child, as its parent says it; "signal 9" alone may be anything.
KILLED = (
    r"Killed signal terminated program|fatal error: Killed|internal compiler error: Killed|(?m:^Killed$)"
    r"|: line \d+: +\d+ Killed\b|terminated with signal 9|\(signal: 9, SIGKILL|signal 9 .*cc1"
    r"|LLVM ERROR: out of memory|[Oo]ut of memory|Cannot allocate memory|virtual memory exhausted"
)
# An absolute path, from its beginning; a group of this name goes around it.
PATH = r"(?<![^\s:'\"`(‘])/[^\s:]{1,400}"
_TOOL = r"['\"‘`]?(?P<tool>[^\s:/'\"`‘’]{1,100}?)(?:\\r)?['\"’]?"
# A program that is not there, as shells say it, make, and what executes a program for somebody.
NO_TOOL = (
    r"(?:\b(?:ba|da|a|k|mk|z|)sh(?:\[\d+\])?: (?:line )?(?:\d+: )?|(?<!\S)\S{1,400}: (?:line )?\d+: )"
    + _TOOL
    + r": (?:command |inaccessible or )?not found",
    r"(?<!\S)(?:zsh|fish|\S{1,400}:\d+): (?:command not found|Unknown command): " + _TOOL + r"(?=\s|$)",
    r"\bmake(?:\[\d+\])?: " + _TOOL + r": (?:No such file or directory|Command not found)",
    r"\b(?:env: (?:can't execute )?|failed to run command |Can't exec )" + _TOOL + r": No such file or directory",
)
# The x of "NAME: error while loading shared libraries: x: cannot open ...", and of musl's "Error loading ...".
NO_LIBRARY = (
    r"error while loading shared libraries: (?P<library>[^\s:]+): cannot open shared object file"
    r"|Error loading shared library (?P<musl>[^\s:]+): No such file or directory"
)
