from rlcompress.spec import CompressionPolicy, LayerChoice, NetworkReference
from rlcompress.spec.changes import LayerChange, policy_changes

NETWORK = NetworkReference(name="net", fingerprint="0" * 16)


def policy(**choices):
    return CompressionPolicy.of(choices, network=NETWORK, hardware="npu_int8")


def test_only_what_differs_is_named():
    narrow, wide = LayerChoice(weight_bits=3), LayerChoice(weight_bits=5)
    first, second = policy(a=narrow, b=wide, c=wide), policy(a=narrow, b=narrow, d=wide)
    assert policy_changes(first, first) == ()
    assert policy_changes(first, second) == (
        LayerChange("b", wide, narrow), LayerChange("c", wide, None), LayerChange("d", None, wide),
    )  # fmt: skip
