"""The base of this package's frozen pydantic values: their refusals are our own typed errors."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from tvixbuild_nb.errors import InvalidValue


class Value(BaseModel):
    """A frozen value that knows no unknown field; what breaks a rule raises ``error_type``.

    Neither the constructor nor :meth:`model_validate` nor :meth:`replace` lets pydantic's own
    ValidationError out: users get one error, with the field and the position in it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, arbitrary_types_allowed=True)

    error_type: ClassVar[type[InvalidValue]] = InvalidValue

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise translated(error, type(self)) from None

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """The value of a mapping (or of another instance); raises ``error_type``."""
        try:
            return super().model_validate(obj, **options)
        except ValidationError as error:
            raise translated(error, cls) from None

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """The value of its JSON; raises ``error_type``."""
        try:
            return super().model_validate_json(json_data, **options)
        except ValidationError as error:
            raise translated(error, cls) from None

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, validated like a new one."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**{**fields, **changes})

    def model_copy(self, *, update: Any = None, deep: bool = False) -> Self:
        """As pydantic's, except that an ``update`` is validated: an instance stays a proof."""
        return self.replace(**update) if update else super().model_copy(deep=deep)


def translated(error: ValidationError, model: type[Value]) -> InvalidValue:
    """The first of pydantic's complaints as ``model.error_type``, with field, position and hint."""
    first = error.errors(include_url=False)[0]
    inner = first.get("ctx", {}).get("error")
    if isinstance(inner, InvalidValue):
        return inner
    location = list(first["loc"])
    index = location.pop() if location and isinstance(location[-1], int) else None
    path = ".".join(str(part) for part in location) or None
    if first["type"] == "extra_forbidden":
        return unknown_field(str(first["loc"][-1]), model.model_fields, model.error_type, path=path)
    message = "is required" if first["type"] == "missing" else first["msg"].removeprefix("Value error, ")
    return model.error_type(message, path=path, index=index if isinstance(index, int) else None)


def unknown_field(
    name: str, known: Iterable[str], error_type: type[InvalidValue], *, path: str | None = None
) -> InvalidValue:
    """The error for a field that does not exist, with the nearest that does as a hint."""
    known = list(known)
    return error_type(f"there is no field {name!r}", path=path or name, hint=did_you_mean(name, known))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?`` when something is near, else the list of what is known."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(known)
