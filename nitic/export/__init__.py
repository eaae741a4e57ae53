"""From a trained program back to ONNX: in integers, with the bits that the program predicts."""
