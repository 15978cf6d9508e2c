"""What object storage says when it refuses, in words; never in its own, which may repeat credentials."""

from __future__ import annotations

import os
import re

from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

from tvixbuild_nb.errors import StoreError

# What the library raises: its own errors, FileNotFoundError (an OSError), and ValueError for what it does not take.
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_STATUS = re.compile(r"status code: (\d{3})")
_SYSTEM = re.compile(r"\(os error (\d+)\)")
_METADATA = "169.254."

CREDENTIALS = (
    "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and AWS_REGION say who asks, AWS_ENDPOINT_URL whom;"
    " AWS_SKIP_SIGNATURE=true reads a public bucket; listing must be allowed, too"
)
_REACH = "is AWS_ENDPOINT_URL (or the network, or a proxy) right?"


def store_error(error: Exception, address: str) -> StoreError:
    """The StoreError that says why ``address`` did not do what was asked; raise it ``from None``."""
    text = str(error)
    code = found.group(1) if (found := _CODE.search(text)) else None
    status = found.group(1) if (found := _STATUS.search(text)) else None
    if code == "NoSuchBucket":
        return StoreError(
            "there is no such bucket", path=address, hint="make it first; AWS_ENDPOINT_URL says where it is looked for"
        )
    if _METADATA in text:
        return StoreError("there are no credentials for this object storage", path=address, hint=CREDENTIALS)
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or status in ("401", "403"):
        said = code or ("401" if isinstance(error, UnauthenticatedError) else "403")
        return StoreError(f"the object storage refuses these credentials ({said})", path=address, hint=CREDENTIALS)
    if code is not None or status is not None:
        said = " ".join(part for part in (status, code) if part is not None)
        return StoreError(f"the object storage answered {said}", path=address, hint=_hint_of(code))
    if (found := _SYSTEM.search(text)) is not None:
        return StoreError(os.strerror(int(found.group(1))), path=address)
    if "kind: Timeout" in text or "operation timed out" in text or "TimedOut" in text:
        return StoreError("the object storage does not answer in time", path=address, hint=_REACH)
    if "kind: Connect" in text or "error sending request" in text:
        return StoreError("the object storage cannot be reached", path=address, hint=_REACH)
    return StoreError(f"the object storage failed ({type(error).__name__})", path=address, hint=_REACH)


def _hint_of(code: str | None) -> str | None:
    if code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"):
        return "the bucket is in another region: AWS_REGION names it"
    if code == "NotImplemented":
        return "a store needs conditional writes (If-None-Match), which this object storage does not offer"
    if code in ("SlowDown", "ServiceUnavailable", "InternalError"):
        return "try again later"
    return None
