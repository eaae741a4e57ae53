"""`--format integer`: the bits of @predict in onnxruntime, at every optimisation level, and in onnx.reference."""

import numpy as np
import pytest

from nitic.arithmetic.activations import FUNCTIONS
from nitic.ir.function import function
from nitic.ops.activation import ActivationOp
from tests.export.predictions import BATCH, check, trained

NETWORKS = (
    "mlp",
    "lenet",
    "vgg_narrow",
    "resnet8",
    "mobile",
    "densenet",
    "inception",
    "shufflenet",
    "resnext",
    "alexnet",
)


@pytest.mark.parametrize("name", NETWORKS)
def test_whole_networks_predict_the_same_bits(name: str) -> None:
    prediction = trained(name)
    assert len(np.unique(prediction.logits)) > 20, "nothing to tell right from wrong"
    model = check(prediction)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N", "any number of samples"
    properties = {each.key: each.value for each in model.metadata_props}
    assert properties["nitic.logits.exponent"] == str(prediction.exponent)
    assert properties["nitic.recipe"] == "niti16"


def test_every_table_and_average_pools() -> None:
    prediction = trained("tables", steps=2)
    ops = function(prediction.net.module, "predict").body.block.ops
    assert {op.function.data for op in ops if isinstance(op, ActivationOp)} == {*FUNCTIONS}
    check(prediction)


@pytest.mark.parametrize("name", ["recurrent", "quotients"])
def test_what_joins_samples_with_other_axes_fixes_the_batch(name: str) -> None:
    """W multiplies a row for each sample and step, a mean over channels is of a row for each sample and pixel."""
    model = check(trained(name, batches=1))
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == BATCH
