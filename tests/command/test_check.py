import pytest

from bacl.command import check
from bacl.command.check import check_command
from bacl.messages.errors import UserError
from bacl.options.comparison import require_right_options


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            ["head.loss.alfa=0.3"],
            r"head\.loss\.alfa: no such option; did you mean alpha\?.*threshold",
        ),
        (["sed=1"], r"sed: no such option; did you mean seed\?"),
        (["report.reference=bacll"], r"report\.reference=bacll: no such option; did you mean bacl"),
        (["+foo=1"], r"foo: no such option.*known here.*seed"),
        (["+report.imgs=3"], r"report\.imgs: no such option; did you mean images\?"),
        (["+experiment=bacl_dmo"], r"(?s)bacl_dmo.*bacl_demo"),
        (["data=lvis"], r"data=lvis: no such option; did you mean lvis_v.*builtin"),
        (["loss@head.loss=fcb"], r"loss=fcb: no such option; did you mean fcbl\?"),
        (["~head.loss.alpha"], "head.loss.alpha: is missing, and cannot be left out"),
        (["job=test", "output=x"], "output=x: job=test does not read it, only job=import"),
        (["checkpoint=x"], r"checkpoint=x: job=fit does not read it, only job=test\|predict"),
        (["+experiment=bacl_demo", "stages.classifier.shedule.epochs=3"], "did you mean schedule"),
        (
            ["+experiment=bacl_demo", "report={imgs:3}"],
            r"report\.imgs: no such option; did you mean im",
        ),
        (["+experiment=bacl_demo", "balanc=auto"], r"balanc: no such option; did you mean balance"),
        (
            ["+experiment=bacl_demo", "choice.price=0.1"],
            "^choice.price=0.1: choice is null here; it is set by balance=auto, balance=rebalance$",
        ),
        (["seed=1,2"], "^seed=1,2: one run has one value; with -m there is a run for each of"),
        (["data=builtin,photos", "hydra.mode=MULTIRUN"], "^data=builtin,photos: .*with -m"),
        (
            ["+experiment=bacl_demo", "balance=auto", "criterion=f1"],
            r"^criterion=f1: nothing here .*did you mean criterion@choice\.criterion=f1\?$",
        ),
        (
            ["+experiment=bacl_demo", "balance=auto", "criterion@choice.criteron=f1"],
            r"^criterion@choice\.criteron=f1: .*did you mean criterion@choice\.criterion=f1\?$",
        ),
        (["criterion=f1"], "^criterion=f1: nothing here is chosen by this word$"),
        (
            ["+experiment=bacl_demo", "balance=auto", "choice.criterion=f1"],
            r"^choice\.criterion=f1: expected.*; to choose it: criterion@choice\.criterion=f1$",
        ),
        (
            ["+experiment=bacl_demo", "pipeline=end_to_end"],
            r"(?s)^\+experiment=bacl_demo: (?!.*known here).*stages\.representation\.schedule",
        ),
        (
            ["+experiment=bacl_demo_end_to_end", "balance=auto"],
            r"representation' not found.*\(in conf/balance/auto\.yaml\)$",
        ),
    ],
)
def test_a_misspelt_option_is_refused_with_the_known_names(command, message):
    with pytest.raises(SystemExit, match=message):
        check_command(command)


def test_a_word_that_a_chosen_schedule_does_not_follow_is_refused(tmp_path):
    chosen = "schedule@stages.representation.schedule=adamw"
    custom = ["+experiment=bacl_custom", f"data.root={tmp_path}", "epochs=20", "--cfg", "job"]
    with pytest.raises(SystemExit, match=r"^epochs=20: schedule@.*=adamw does not follow.*has 16"):
        check_command([*custom, chosen])
    longer = "stages.representation.schedule={epochs:20,milestones:[14,18]}"
    check_command([*custom, chosen, longer])
    check_command([*custom, chosen.replace("adamw", "fitted_adamw")])


def test_good_commands_pass():
    check_command(["+experiment=bacl_demo", "head.loss.alpha=0.3", "--cfg", "job"])
    check_command(["--help"])
    # Of a head that the checkpoint knows, and this configuration does not.
    check_command(["job=test", "checkpoint=final.ckpt", "report.reference=fhm", "--cfg", "job"])


def test_an_empty_command_names_the_experiments():
    with pytest.raises(SystemExit, match="bacl_demo"):
        check_command([])


def test_a_command_is_composed_once(monkeypatch):
    composed, compose = [], check.composed
    monkeypatch.setattr(check, "composed", lambda given: composed.append(given) or compose(given))
    check_command(["+experiment=bacl_demo", "seed=1", "head.loss.alpha=0.3", "--cfg", "job"])
    assert len(composed) == 1


@pytest.mark.parametrize(("variable", "value"), [(check.CHECKED, "1"), ("LOCAL_RANK", "1")])
def test_what_was_checked_is_not_checked_again(variable, value, monkeypatch):
    with pytest.raises(SystemExit, match="no such option"):
        check_command(["sed=1"])
    monkeypatch.setenv(variable, value)
    check_command(["sed=1"])  # Hydra refuses it, should the first process not have


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("nowhere.at.all", "No module named 'nowhere'"),
        ("bacl.losses.FCLB", "FCLB"),
        ("bacl.losses.fcbl.torch.nothing", "nothing"),
        ("os", "a module, expected a class"),
        ("''", "metric._target_='': "),
        ("5", "metric._target_=5: expected the name of a class"),
        ("[os.system]", 'metric._target_=["os.system"]: expected the name of a class'),
        ("null", "metric._target_=null: expected the name of a class"),
        ("builtins.dict", "expected options with _partial_: true and a _target_ that makes an Av"),
    ],
)
def test_a_target_that_is_no_class_is_told_in_one_line(compose_config, target, told):
    with pytest.raises(UserError, match=r"^metric\._target_=[^\n]*$") as refused:
        require_right_options(compose_config(f"metric._target_={target}"))
    assert told in str(refused.value)
