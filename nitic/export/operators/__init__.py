"""How each operator of @predict is written in ONNX, one file a family: `FORMS` of each, by the operator's name."""
