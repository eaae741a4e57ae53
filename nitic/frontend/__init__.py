"""From an ONNX file to @predict in floats, and the values of its parameters."""
