"""Whether a configuration is valid: by this package's own model always, by the published schema where it is here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvixbuild_nb.errors import InvalidSpec
from tvixbuild_nb.oci.spec import Spec

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

# Where distributions put it: Debian's golang-github-opencontainers-specs-dev, and what is installed by hand.
SCHEMA_PLACES = tuple(
    Path(prefix) / "share/gocode/src/github.com/opencontainers/runtime-spec/schema" for prefix in ("/usr", "/usr/local")
)
MOST = 20


@dataclass(frozen=True, slots=True)
class Validity:
    """The verdict: ``problems`` is empty when it is valid; ``checked_by`` says against what; ``note`` what was not."""

    problems: tuple[str, ...]
    checked_by: tuple[str, ...]
    note: str | None = None

    @property
    def ok(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        verdict = "valid" if self.ok else f"not valid: {'; '.join(self.problems)}"
        note = f"; {self.note}" if self.note else ""
        return f"{verdict} by {' and '.join(self.checked_by)}{note}"


def check_config(config: dict[str, Any]) -> Validity:
    """Check a configuration (JSON data)."""
    problems = _by_model(config)
    checked = ["this package's model"]
    validator, note = published_schema()
    if validator is not None:
        checked.append("the published schema")
        for error in list(validator.iter_errors(config))[:MOST]:
            place = "/".join(map(str, error.absolute_path)) or "config.json"
            problems.append(f"{place}: {error.message}")
    return Validity(tuple(problems), tuple(checked), note)


def _by_model(config: dict[str, Any]) -> list[str]:
    try:
        again = Spec.from_json(config).to_dict()
    except InvalidSpec as error:
        return [str(error)]
    return [] if again == config else ["read and written again it is not the same"]


@cache
def published_schema() -> tuple[Validator | None, str | None]:
    """A validator by the OCI runtime-spec's schema, or None and what is missing for it."""
    directory = next((place for place in SCHEMA_PLACES if (place / "config-schema.json").is_file()), None)
    if directory is None:
        return None, "the published schema is not on this host (apt-get install golang-github-opencontainers-specs-dev)"
    try:
        from jsonschema import Draft4Validator
        from referencing import Registry
        from referencing.jsonschema import DRAFT4
    except ImportError:
        return None, "the published schema was not tried: jsonschema is not installed"
    try:
        schemas = {path.name: json.loads(path.read_bytes()) for path in directory.glob("*.json")}
    except (OSError, ValueError) as error:
        return None, f"the published schema cannot be read: {error}"
    registry: Registry[Any] = Registry().with_resources(
        (name, DRAFT4.create_resource(schema)) for name, schema in schemas.items()
    )
    return Draft4Validator(schemas["config-schema.json"], registry=registry), None
