// RUN: nitic opt --passes=infer-shapes
// A broken shape rule names the ONNX node and the two numbers, and how to see the module.
// ERROR: node 'features.3' (conv): input has 64 channels but the filter expects 32
// ERROR:   note: raised by infer-shapes; rerun with --print-before=infer-shapes
func.func @predict(%x: tensor<1x4x4x64xf32>, %w: tensor<8x3x3x32xf32>) -> tensor<1x2x2x8xf32> {
  %acc1 = nn.conv %x, %w dilations = [1, 1] groups = 1 pads = [0, 0, 0, 0] strides = [1, 1] : (tensor<1x4x4x64xf32>, tensor<8x3x3x32xf32>) -> tensor<1x2x2x8xf32> loc("features.3")
  func.return %acc1 : tensor<1x2x2x8xf32>
}
