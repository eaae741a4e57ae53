"""GPUs of NVIDIA, from sm_80 on: contractions on tensor cores, sums in parts, roundings by guessed shifts."""

from nitic.targets import tensor_cores
from nitic.targets.base import Code, Rule, Target, Variant
from nitic.targets.common import COMMON, DGRAD, FORWARD, WGRAD, is_depthwise, sums_in_int64

CUDA = Variant(
    name="cuda",
    code=Code.CUDA,
    lanes=1,
    speculates=True,
    rules=(
        Rule(WGRAD, "gpu_filters", when=is_depthwise),
        Rule((*FORWARD, *DGRAD), "by_element", when=sums_in_int64),
        Rule((*FORWARD, *DGRAD), "gpu_depthwise", when=is_depthwise),
        Rule(FORWARD, "tensor_cores", layouts=tensor_cores.weights, also=tensor_cores.writes_batch_last),
        Rule(DGRAD, "tensor_cores_dgrad", layouts=tensor_cores.weights, also=tensor_cores.writes_batch_last),
        Rule(WGRAD, "tensor_cores_wgrad", layouts=tensor_cores.batch_last),
        Rule(("nn.bias_grad", "nn.scale_grad", "nn.mul_sum", "nn.reduce_sum"), "gpu_sums"),
        Rule(("nn.batch_norm_statistics",), "gpu_statistics"),
        *COMMON,
    ),
)

TARGETS = (Target("cuda", (CUDA,), device="cuda"),)
