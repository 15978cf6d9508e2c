"""What the command says: its own words, and the scripts that they name, as texts."""

from __future__ import annotations

from dataclasses import dataclass

from tvixbuild_nb.debug.facts import Facts

_MOST = 1 << 18


@dataclass(frozen=True, slots=True)
class Text:
    """A text that a shell or another interpreter was given; ``path`` inside, None for the command's own words."""

    path: str | None
    contents: str

    def line_of(self, position: int) -> str:
        """The line around a position."""
        start = self.contents.rfind("\n", 0, position) + 1
        return self.contents[start:].partition("\n")[0].strip()

    def line_before(self, position: int) -> str:
        """What stands on its line before a position."""
        return self.contents[self.contents.rfind("\n", 0, position) + 1 : position]


def scripts(facts: Facts) -> list[Text]:
    """The texts of a command: its arguments, and the files among them that are texts, up to 256 KiB of each."""
    words = facts.request.command_args
    found = [Text(None, "\n".join(words)[:_MOST])]
    for word in words if facts.view is not None else ():
        if "/" not in word or "\n" in word or "\0" in word:
            continue
        assert facts.view is not None
        entry = facts.view.resolve(word)
        file = facts.view.open(entry) if entry.kind == "file" else None
        if file is None:
            continue
        with file:
            data = file.read(_MOST)
        if b"\0" not in data:
            found.append(Text(entry.path, data.decode("utf-8", "replace")))
    return found
