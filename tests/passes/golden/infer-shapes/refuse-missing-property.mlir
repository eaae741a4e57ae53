// RUN: nitic opt --passes=infer-shapes
// An operator that lacks a property is refused before its shape is asked for.
// ERROR: conv:
// ERROR: strides
func.func @predict(%x: tensor<1x4x4x1xf32>, %w: tensor<1x3x3x1xf32>) -> tensor<1x2x2x1xf32> {
  %acc1 = nn.conv %x, %w dilations = [1, 1] groups = 1 pads = [0, 0, 0, 0] : (tensor<1x4x4x1xf32>, tensor<1x3x3x1xf32>) -> tensor<1x2x2x1xf32>
  func.return %acc1 : tensor<1x2x2x1xf32>
}
