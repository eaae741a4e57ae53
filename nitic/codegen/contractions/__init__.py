"""The emitters of convolutions and matrix products, for each kind of machine."""
