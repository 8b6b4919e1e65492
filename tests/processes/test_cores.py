"""Cores are those that a process may use, not those of its machine."""

import os

import pytest

from bacl.processes import control_groups
from bacl.processes.cores import limit_threads, usable_cores

V2, V1 = "0::/{}\n", "4:memory:/elsewhere\n3:cpu,cpuacct:/{}\n0::/\n"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Of 16 cores; (membership, group, its files) -> cores that may be used."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.setattr(control_groups, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(control_groups, "MEMBERSHIP", tmp_path / "membership")

    def usable(membership, files):
        (tmp_path / "membership").write_text(membership)
        for name, text in files.items():
            file = tmp_path / "groups" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="latin-1", errors="replace")
        return usable_cores()

    return usable


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        *(("max 100000", 16), ("400000 100000", 4), ("150000 100000", 2), ("10000 100000", 1)),
        *(
            ("", 16),
            ("max", 16),
            ("200000", 16),
        ),  # as no kernel writes it, but a stand-in for one may
    ],
)
def test_a_containers_quota_counts(machine, limit, expected):
    assert machine(V2.format(""), {"cpu.max": f"{limit}\n"}) == expected


def test_the_narrowest_of_the_groups_around_counts(machine):
    limits = {"a.slice/cpu.max": "300000 100000", "a.slice/job/cpu.max": "max 100000"}
    assert machine(V2.format("a.slice/job"), limits) == 3


def test_a_path_of_the_host_is_looked_for_from_its_root(machine):
    assert machine(V2.format("docker/4f1"), {"cpu.max": "200000 100000"}) == 2


@pytest.mark.parametrize(("quota", "expected"), [("-1", 16), ("250000", 3)])
def test_the_first_version_of_control_groups(machine, quota, expected):
    files = {"cpu/job/cpu.cfs_quota_us": quota, "cpu/job/cpu.cfs_period_us": "100000\n"}
    assert machine(V1.format("job"), files) == expected


def test_a_quota_beyond_the_affinity_adds_no_core(machine, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
    assert machine(V2.format(""), {"cpu.max": "800000 100000"}) == 2


@pytest.mark.parametrize("limit", ["", "400000", "400000 0", "400000 max", "4 5 6", "\xff \u00b2"])
def test_what_cannot_be_read_as_a_quota_is_none(machine, limit):
    assert machine(V2.format(""), {"cpu.max": limit}) == 16


def test_lines_that_name_no_group_are_passed_over(machine, tmp_path):
    files = {"cpu.max": "300000 100000"}
    assert machine("\nnonsense\n1:name=systemd:/x:y\n" + V2.format("a"), files) == 3
    membership = tmp_path / "membership"
    membership.write_bytes(b"0::/\xff\x1c\n")
    assert usable_cores() == 3


def test_files_that_may_not_be_read_are_passed_over(machine, tmp_path):
    (tmp_path / "groups" / "cpu.max").mkdir(parents=True)  # an error of the system for anybody
    assert machine(V2.format(""), {}) == 16


def test_without_control_groups(machine, tmp_path, monkeypatch):
    monkeypatch.setattr(control_groups, "MEMBERSHIP", tmp_path / "none")
    assert usable_cores() == 16
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


@pytest.mark.parametrize(
    ("limit", "given", "expected"),
    [
        ("400000 100000", {}, {"OMP_NUM_THREADS": "4"}),
        ("400000 100000", {"OMP_NUM_THREADS": "8"}, {"OMP_NUM_THREADS": "8"}),
        ("max 100000", {}, {}),
    ],
)
def test_threads_are_limited_by_a_quota_alone(machine, limit, given, expected):
    machine(V2.format(""), {"cpu.max": limit})
    limit_threads(given)
    assert given == expected
