"""Test accuracy beside torch fp32, and gradients beside exact ones."""
