"""A damaged plan is refused in one line."""

import pytest

from bacl.messages.errors import UserError
from bacl.one_pass.plan import PlannedJob, can_be_planned, read_plan, write_plan

ENTRY = "{folder: %s, overrides: [], config: %s, waiting: true, identity: x}"
CONFIG = "{name: a, head: {}, heads: %s, report: {}}"

WRONG = (
    ("identity: x", "identity: [x]"), ("identity: x", "identity: ''"), ("true", "1"),
    ("overrides: []", "overrides: a"), ("overrides: []", "overrides: [1]"),
)  # fmt: skip


def texts():
    yield from ("", "[]", "5", "jobs:", "jobs: ''", "jobs: [5]", "jobs: {a: 1}", "jobs: [[")
    yield f"jobs: [{ENTRY % (5, CONFIG % '{}')}]"
    yield f"jobs: [{ENTRY % ('../../..', CONFIG % '{}')}]"
    yield "jobs: [" + ENTRY % ('"a\\0"', CONFIG % "{}") + "]"
    yield "jobs: [" + ENTRY % ("a", "[]") + "]"


@pytest.mark.parametrize("text", texts())
def test_a_damaged_plan(tmp_path, text):
    folder = tmp_path / "one_pass/group"
    folder.mkdir(parents=True)
    (folder / "plan.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as told:
        read_plan(folder)
    assert "plan.yaml" in str(told.value)
    assert "\n" not in str(told.value)


def test_values_of_other_types_are_refused(tmp_path):
    folder = tmp_path / "one_pass/group"
    folder.mkdir(parents=True)
    entry = ENTRY % (tmp_path / "a", CONFIG % "{}")
    (folder / "plan.yaml").write_text(f"jobs: [{entry}]", encoding="utf-8")
    assert [job.identity for job in read_plan(folder)] == ["x"]
    for good, bad in WRONG:
        text = f"jobs: [{entry.replace(good, bad)}]"
        (folder / "plan.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match="waiting is true or false"):
            read_plan(folder)


@pytest.mark.parametrize("head", ["${heads.missing}", "${unfinished"])
def test_a_planned_head_that_refers_to_nothing(tiny, tmp_path, head):
    config = tiny()
    write_plan(tmp_path / "one_pass/group", [PlannedJob(tmp_path / "a/seed_0", [], config)])
    path = tmp_path / "one_pass/group/plan.yaml"
    path.write_text(path.read_text().replace("${head}", head), encoding="utf-8")
    with pytest.raises(UserError, match="damaged"):
        _ = [job.completed(config) for job in read_plan(path.parent)]


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("${oc.select:fitted.categories,8}", True),
        ("${seed}", True),
        ("${oc.env:HOME,8}", False),
        ("${oc.select:fitted.categories,99999999}", False),
        ("${oc.select:fitted.categories,8}/etc", False),
    ],
)
def test_what_a_planned_head_may_refer_to(tiny, value, fits):
    config = tiny()
    config.head.hallucination.categories = value
    assert can_be_planned(config) is fits
