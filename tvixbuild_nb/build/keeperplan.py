"""What a keeper is told of one build: a planned build and its context, as the keeper's own BuildPlan."""

from __future__ import annotations

from tvixbuild_nb.build.janitor import make_janitor
from tvixbuild_nb.build.places import RUNTIME_STATE
from tvixbuild_nb.build.plan import PlannedBuild
from tvixbuild_nb.build.service import BuildContext
from tvixbuild_nb.keeper.client import BuildPlan, RuntimePlan, ViewPlan
from tvixbuild_nb.oci import Bundle


def keeper_plan(plan: PlannedBuild, context: BuildContext, bundle: Bundle, view: ViewPlan | None) -> BuildPlan:
    """The plan for a keeper that builds ``plan`` in ``bundle``.

    ``view``: what it mounts the inputs from; None where they are in the bundle, or there are none.
    """
    record, policy, place = context.record, context.policy, bundle.path
    return BuildPlan(
        bundle=str(place),
        # The bundle's unguessable name, so that two never meet.
        container=f"tvixbuild-{place.name.rpartition('.')[2][:16]}",
        runtime=RuntimePlan(plan.runtime.path, plan.runtime.kind, str(place / RUNTIME_STATE), plan.cgroup is not None),
        view=view,
        own=plan.owned,
        user=plan.sandbox_ids,
        log=str(record.log_path),
        index=str(record.index_path),
        timeout=policy.timeout,
        silent_timeout=policy.silent_timeout,
        hold=context.hold == "created",
        grace=policy.grace,
        observe=str(record.inside_path) if policy.observe else None,
        processors=policy.processors,
        sample=str(record.sample_path),
        processes=str(record.processes_path),
        door=str(record.path.absolute()),
        terminal=plan.options.terminal,
        cgroup=plan.cgroup,
        adopt=plan.adopt,
        seeded=context.scratch is not None,
        janitor=make_janitor(bundle, plan) if plan.needs_janitor else None,
    )
