from benchmarks.mixed_policy import mixed_policy
from rlcompress.network.spec_cards import built_in_specs


def test_a_third_of_the_layers_is_pruned_and_the_policy_fits() -> None:
    policy = mixed_policy("mobilenet_v2", seed=0)
    policy.check_fits(built_in_specs("mobilenet_v2"))
    choices = list(policy.choices.values())
    pruned = [choice for choice in choices if choice.granularity == "element"]
    assert len(pruned) == len(choices) // 3
    assert {choice.keep_ratio for choice in pruned} == {0.8}
    assert {choice.weight_bits for choice in choices} == {5, 6, 7, 8}
    assert {choice.activation_bits for choice in choices} == {7, 8}
    assert mixed_policy("mobilenet_v2", seed=0) == policy != mixed_policy("mobilenet_v2", seed=1)
