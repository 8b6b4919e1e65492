import pytest

from bacl.jobs.check import check_command


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            ["head.loss.alfa=0.3"],
            r"head\.loss\.alfa: no such option; did you mean alpha\?.*threshold",
        ),
        (["sed=1"], r"sed: no such option; did you mean seed\?"),
        (["+foo=1"], r"foo: no such option.*known here.*seed"),
        (["+report.imgs=3"], r"report\.imgs: no such option; did you mean images\?"),
        (["+experiment=bacl_dmo"], r"(?s)bacl_dmo.*bacl_demo"),
        (["data=lvis"], r"(?s)lvis.*lvis_v0\.5"),
        (["+experiment=bacl_demo", "stages.classifier.shedule.epochs=3"], "did you mean schedule"),
    ],
)
def test_a_misspelt_option_is_refused_with_the_known_names(command, message):
    with pytest.raises(SystemExit, match=message):
        check_command(command)


def test_good_commands_pass():
    check_command(["+experiment=bacl_demo", "head.loss.alpha=0.3", "--cfg", "job"])
    check_command(["--help"])


def test_an_empty_command_names_the_experiments():
    with pytest.raises(SystemExit, match="bacl_demo"):
        check_command([])
