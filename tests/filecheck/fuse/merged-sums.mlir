// RUN: nitic opt --passes=fuse{merged_sums=1}
// A weight gradient stays alone: its kernel adds parts of sums, and the range is known when all are there.
// CHECK:       %[[DW:.*]] = nn.fused %x, %dy :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.conv_wgrad
// CHECK-NEXT:  nn.yield
// CHECK:       %[[R:.*]] = nn.fused %[[DW]] :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  bfp.range
// CHECK:       func.return %[[DW]], %[[R]]
func.func @predict(%x: tensor<1x4x4x1xi8>, %dy: tensor<1x4x4x2xi8>) -> (tensor<2x3x3x1xi32>, !bfp.range) {
  %dw = nn.conv_wgrad %x, %dy dilations = [1, 1] groups = 1 kernel = [3, 3] pads = [1, 1, 1, 1] strides = [1, 1] : (tensor<1x4x4x1xi8>, tensor<1x4x4x2xi8>) -> tensor<2x3x3x1xi32>
  %r = bfp.range %dw : (tensor<2x3x3x1xi32>) -> !bfp.range
  func.return %dw, %r : tensor<2x3x3x1xi32>, !bfp.range
}
