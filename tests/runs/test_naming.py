from bacl.runs.naming import variant


def test_without_changes_the_folder_is_default():
    assert (
        variant(["+experiment=bacl_demo", "seed=3", "trainer.devices=2", "job=test"]) == "default"
    )

    assert variant(["job=import", "checkpoint=a.pth", "output=b", "export.output=c"]) == "default"


def test_order_does_not_matter_and_slashes_do_not_make_folders():
    first = variant(["head.loss.alpha=0.7", "head.fhm.weights=../a/b"])
    assert first == variant(["head.fhm.weights=../a/b", "head.loss.alpha=0.7"])
    assert "/" not in first


def test_different_settings_get_different_folders():
    assert variant(["head.loss.alpha=0.7"]) != variant(["head.loss.alpha=0.8"])
    assert variant(["detector=faster_rcnn_r50"]) != variant([])


def test_a_long_command_keeps_apart_what_differs_at_its_end():
    many = [f"head.loss.option{index}=value" for index in range(40)]
    assert variant([*many, "z=1"]) != variant([*many, "z=2"])
    assert len(variant(many)) < 200
