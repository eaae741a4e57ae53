"""The networks of the speed benchmarks, and the batch size of each."""

from models.lenet import lenet
from models.vgg_small import vgg_small

WRITERS = {"lenet": lenet, "vgg_small": vgg_small}
BATCHES = {"lenet": 64, "vgg_small": 256}
