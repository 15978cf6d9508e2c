"""Every part of a config.json explained: what it does, who asked for it, where it is specified, what it is good for."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.oci.explain_linux import LINUX_RULES
from tvixbuild_nb.oci.explain_mounts import MOUNT_RULES
from tvixbuild_nb.oci.explain_process import PROCESS_RULES
from tvixbuild_nb.oci.explanation import Explanation, Place, Rule, keys_of, parts
from tvixbuild_nb.oci.mounts import planned_mounts
from tvixbuild_nb.oci.options import SpecOptions
from tvixbuild_nb.oci.render import render_spec
from tvixbuild_nb.request import BuildRequest

# Pattern -> what is said: a JSON pointer in which an asterisk stands for any index of a list.
RULES: dict[str, Rule] = {**PROCESS_RULES, **MOUNT_RULES, **LINUX_RULES}


def explain(
    request: BuildRequest, options: SpecOptions, config: dict[str, Any] | None = None
) -> dict[str, Explanation]:
    """Explanations of every object, list and value of the rendered configuration, by JSON pointer, outer ones first.

    ``config``: the rendering as JSON data, where it is at hand.
    """
    if config is None:
        config = render_spec(request, options).to_dict()
    planned = planned_mounts(request, options)
    found = {}
    for path, value in parts(config):
        keys = tuple(keys_of(path))
        pattern = "".join("/*" if key.isdigit() else f"/{key}" for key in keys)
        found[path] = RULES[pattern].at(Place(keys, value, config, request, options, planned))
    return found
