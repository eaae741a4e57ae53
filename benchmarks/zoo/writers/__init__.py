"""ONNX files of many writers: whether nitic reads each as onnxruntime does, trains it, and gives it back."""
