import torch


def draws_of_the_backbone(bench, seed):
    """What a backbone with stochastic depth would draw in every step."""
    table = bench("representation")
    drawn = []
    table.stage.detector.backbone.register_forward_pre_hook(
        lambda *_: drawn.append(torch.rand(3).tolist())
    )
    torch.manual_seed(seed)  # the state that the process happens to be in
    stage = table.fit()
    return drawn, stage.state_dict()


def test_a_step_draws_the_same_in_a_resumed_process(bench):
    first, ours = draws_of_the_backbone(bench, 1)
    second, theirs = draws_of_the_backbone(bench, 2)
    assert len(first) == 4
    assert first == second
    assert first[0] != first[1]
    for name, value in ours.items():
        assert not isinstance(value, torch.Tensor) or torch.equal(value, theirs[name])
