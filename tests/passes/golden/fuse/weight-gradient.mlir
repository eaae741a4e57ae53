// RUN: nitic opt --passes=fuse{speculate=1}
// The sums of a weight gradient are whole only when all of its blocks are done: it is rounded in a kernel of its own.
// CHECK:       %[[DW:.*]], %[[R:.*]] = nn.fused %x, %dy :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.conv_wgrad
// CHECK-NEXT:  bfp.range
// CHECK-NEXT:  nn.yield
// CHECK:       nn.fused %[[R]], %[[DW]] :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  bfp.shift
// CHECK-NEXT:  bfp.round_shift
func.func @predict(%x: tensor<1x4x4x1xi8>, %dy: tensor<1x4x4x2xi8>) -> tensor<2x3x3x1xi8> {
  %dw = nn.conv_wgrad %x, %dy dilations = [1, 1] groups = 1 kernel = [3, 3] pads = [1, 1, 1, 1] strides = [1, 1] : (tensor<1x4x4x1xi8>, tensor<1x4x4x2xi8>) -> tensor<2x3x3x1xi32>
  %r = bfp.range %dw : (tensor<2x3x3x1xi32>) -> !bfp.range
  %s = bfp.shift %r bits = 7 : (!bfp.range) -> !bfp.exp
  %y = bfp.round_shift %dw, %s round = nearest to = i8 : (tensor<2x3x3x1xi32>, !bfp.exp) -> tensor<2x3x3x1xi8>
  func.return %y : tensor<2x3x3x1xi8>
}
