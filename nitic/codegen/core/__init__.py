"""What every kernel is made with: the builder of TVM functions, integer primitives, groups."""
