"""The emitters of operators, one file a family."""
