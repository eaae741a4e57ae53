"""From @predict to a whole training step: shapes, loss, gradients, updates; still in floats."""
