"""From @predict to a training step in floats: shapes, loss, gradients, updates."""
