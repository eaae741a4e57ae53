"""Whole networks as users have them, through both exporters of PyTorch."""
