"""Colours for source text, as runs of characters: pygments splits it, nothing of it becomes markup."""

from __future__ import annotations

import re
import time
from importlib import import_module

# Lexers are regular expressions, some of them slow on what nobody writes: short texts, short lines, a short time.
MAX_TEXT = 64 * 1024
MAX_LINE = 2_000
MAX_RUNS = 6_000
SECONDS = 0.15

Runs = list[tuple[int, str]]

# What a file is by the end of its name; the languages of builds and what they leave behind.
_BY_NAME = {
    "bash": "sh bash zsh ksh bats ebuild envrc",
    "c": "c h",
    "cmake": "cmake",
    "cpp": "cc cpp cxx hh hpp hxx",
    "css": "css",
    "diff": "diff patch",
    "docker": "dockerfile",
    "go": "go",
    "haskell": "hs",
    "html": "html htm xhtml",
    "ini": "ini cfg conf service socket timer desktop pc la properties gitconfig",
    "java": "java",
    "javascript": "js mjs cjs",
    "json": "json ipynb webmanifest",
    "lua": "lua",
    "make": "make mk mak makefile",
    "markdown": "md markdown",
    "nix": "nix",
    "ocaml": "ml mli",
    "perl": "pl pm",
    "protobuf": "proto",
    "python": "py pyi",
    "ruby": "rb",
    "rust": "rs",
    "sql": "sql",
    "toml": "toml lock",
    "typescript": "ts",
    "xml": "xml svg xsd xsl rng",
    "yaml": "yaml yml",
}
_LANGUAGES = {ending: language for language, endings in _BY_NAME.items() for ending in endings.split()}
_INTERPRETERS = {"sh": "bash", "bash": "bash", "dash": "bash", "zsh": "bash", "perl": "perl", "python": "python"}
_INTERPRETERS |= {"node": "javascript", "ruby": "ruby", "lua": "lua"}
_SHEBANG = re.compile(r"#! ?(?:\S*/)?(?:env +(?:-S +)?)?([a-z]+)[\d.]*(?:\s|\Z)")


def language(name: str, text: str) -> str | None:
    """What ``text`` is written in, by the file's name or its first line; None when that says nothing."""
    found = _LANGUAGES.get(name.lower().rpartition(".")[2])
    if found is None:
        shebang = _SHEBANG.match(text[:200])
        found = None if shebang is None else _INTERPRETERS.get(shebang[1])
    return found


def highlighted(text: str, name: str) -> Runs | None:
    """(characters, kind) one after the other: keyword, string, comment, number, name, or nothing.

    The runs may end before the text does: the rest is plain. None: nobody knows what it is written in.
    """
    known = language(name, text)
    if known is None:
        return None
    return _runs(known, _short(text))


def _short(text: str) -> str:
    """The beginning of ``text`` that lexers can be trusted with, whole lines of bearable length."""
    end = 0
    for line in text[:MAX_TEXT].splitlines(keepends=True):
        if len(line) > MAX_LINE:
            break
        end += len(line)
    return text[:end]


def _runs(known: str, text: str) -> Runs:
    # Loaded when there is something to colour; it comes with rich, and without types.
    lexer = import_module("pygments.lexers").get_lexer_by_name(known)
    runs: Runs = []
    deadline = time.monotonic() + SECONDS
    at = 0
    for start, token, value in lexer.get_tokens_unprocessed(text):
        if start != at or len(runs) >= MAX_RUNS or time.monotonic() > deadline:
            break
        kind = _kind(str(token))
        if runs and runs[-1][1] == kind:
            runs[-1] = (runs[-1][0] + len(value), kind)
        else:
            runs.append((len(value), kind))
        at += len(value)
    return runs


# The beginnings of pygments' names for tokens, the first that fits.
_KINDS = (
    ("Token.Keyword", "keyword"),
    ("Token.Operator.Word", "keyword"),
    ("Token.Name.Builtin", "keyword"),
    ("Token.Literal.String", "string"),
    ("Token.Literal.Number", "number"),
    ("Token.Comment", "comment"),
    ("Token.Name.Tag", "name"),
    ("Token.Name.Attribute", "name"),
    ("Token.Name.Function", "name"),
    ("Token.Name.Class", "name"),
    ("Token.Name.Variable", "name"),
    ("Token.Generic.Heading", "name"),
    ("Token.Generic.Inserted", "string"),
    ("Token.Generic.Deleted", "number"),
)


def _kind(token: str) -> str:
    return next((kind for beginning, kind in _KINDS if token.startswith(beginning)), "")
