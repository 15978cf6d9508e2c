"""Which kind of host shows which marks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvixbuild_nb.build.doctor.host import FLAGS, MARK_FILES, NAMES, Marks, classify

DOCKER_MOUNTS = "600 580 254:1 /docker/volumes/docker/containers/4f/hosts /etc/hosts rw - ext4 /dev/vda1 rw"
HOST_OF_DOCKER = "99 28 0:52 / /var/lib/docker/containers/4f/mounts/shm rw - tmpfs shm rw"
CPU = "flags\t\t: fpu vme de hypervisor lahf_lm"

SEEN = {
    "bare metal": (Marks(files={"/proc/1/cgroup": "0::/init.scope", "/sys/class/dmi/id/sys_vendor": "LENOVO"}), "bare"),
    "kvm": (Marks(files={"/sys/class/dmi/id/sys_vendor": "QEMU\n", "/proc/cpuinfo": CPU}), "vm"),
    "firecracker": (Marks(files={"/proc/cpuinfo": CPU}), "vm"),
    "xen": (Marks(files={"/sys/hypervisor/type": "xen\n"}), "vm"),
    "hyper-v": (Marks(files={"/sys/class/dmi/id/product_name": "Virtual Machine\n"}), "vm"),
    "docker": (Marks(files={"/.dockerenv": "", "/proc/1/cgroup": "0::/"}), "docker"),
    "docker, cgroup v1": (Marks(files={"/proc/1/cgroup": "12:pids:/docker/4f5e\n"}), "docker"),
    "docker by its mounts": (Marks(files={"/proc/self/mountinfo": DOCKER_MOUNTS, "/proc/cpuinfo": CPU}), "docker"),
    "docker's host": (Marks(files={"/proc/self/mountinfo": HOST_OF_DOCKER}), "bare"),
    "VM of a docker image": (
        Marks(files={"/.dockerenv": "", "/proc/self/mountinfo": HOST_OF_DOCKER, "/proc/cpuinfo": CPU}),
        "vm",
    ),
    "podman": (Marks(env={"container": "podman"}, files={"/run/.containerenv": 'engine="podman-4.3.1"'}), "podman"),
    "pod": (Marks(env={"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, files={"/.dockerenv": ""}), "kubernetes"),
    "pod without services": (
        Marks(files={"/proc/1/cgroup": "1:name=systemd:/kubepods/burstable/pod7\n"}),
        "kubernetes",
    ),
    "binder": (Marks(env={"KUBERNETES_SERVICE_HOST": "10.0.0.1", "BINDER_SERVICE_HOST": "10.0.0.2"}), "binder"),
    "lxc": (Marks(env={"container": "lxc"}), "lxc"),
    "nspawn": (Marks(files={"/run/systemd/container": "systemd-nspawn\n"}), "nspawn"),
    "something else": (Marks(env={"container": "rkt"}), "container"),
    "wsl 2": (
        Marks(
            env={"WSL_DISTRO_NAME": "Debian"},
            files={
                "/proc/version": "Linux version 5.15.90.1-microsoft-standard-WSL2",
                "/proc/sys/kernel/osrelease": "5.15.90.1-microsoft-standard-WSL2\n",
                "/proc/cpuinfo": CPU,
            },
        ),
        "wsl",
    ),
    "docker in wsl": (Marks(files={"/.dockerenv": "", "/proc/version": "5.15.0-microsoft-standard-WSL2"}), "docker"),
    "macOS": (Marks(system="Darwin"), "not-linux"),
    "Windows": (Marks(system="Windows", env={"container": "docker"}), "not-linux"),
}


@pytest.mark.parametrize("name", SEEN)
def test_kind_and_evidence(name: str) -> None:
    marks, kind = SEEN[name]
    host = classify(marks)
    assert host.kind == kind
    assert bool(host.evidence) == (kind != "bare")
    assert host.name in str(host)


def test_wsl_1_is_told_to_become_2() -> None:
    marks = Marks(env={"WSL_INTEROP": "/x"}, files={"/proc/sys/kernel/osrelease": "4.4.0-19041-Microsoft"})
    assert "--set-version" in (classify(marks).note or "")
    assert classify(SEEN["wsl 2"][0]).note is None


def test_only_the_flags_that_are_needed_are_asked_for() -> None:
    docker = classify(SEEN["docker"][0])
    assert docker.start_with(["fuse", "proc"]) == (
        "docker run --security-opt systempaths=unconfined --device /dev/fuse IMAGE"
    )
    assert docker.start_with([]) is None
    assert docker.start_with(docker.flags) is not None
    assert classify(SEEN["kvm"][0]).start_with(["fuse"]) is None
    pod = classify(SEEN["pod"][0]).start_with(["privileges"])
    assert pod == "securityContext: allowPrivilegeEscalation: true"


def test_a_setting_that_serves_several_needs_is_named_once() -> None:
    text = classify(SEEN["lxc"][0]).start_with(["namespaces", "mount", "proc"])
    assert text is not None and text.count("security.nesting") == 1


def test_every_engine_with_flags_has_a_form() -> None:
    for kind in FLAGS:
        for marks, seen in SEEN.values():
            if seen == kind:
                assert classify(marks).start_with(FLAGS[kind])
    assert set(FLAGS) <= set(NAMES)


@given(
    st.builds(
        Marks,
        env=st.dictionaries(st.sampled_from(["container", "WSL_INTEROP", "KUBERNETES_SERVICE_HOST"]), st.text()),
        files=st.dictionaries(st.sampled_from(MARK_FILES), st.text()),
    )
)
def test_any_marks_have_a_kind(marks: Marks) -> None:
    assert classify(marks).kind in NAMES
