// RUN: nitic opt --passes=recompute-pointwise
// A convolution is not cheap, and without a range nothing is computed twice.
// CHECK-COUNT-1: nn.conv
// CHECK-NOT:     nn.conv
// CHECK-COUNT-1: nn.add
// CHECK-NOT:     nn.add
func.func @predict(%x: tensor<1x4x4x1xi8>, %w: tensor<2x3x3x1xi8>, %a: tensor<2x3xi8>, %e: !bfp.exp) -> (tensor<1x4x4x2xi8>, tensor<2x3xi8>) {
  %acc = nn.conv %x, %w dilations = [1, 1] groups = 1 pads = [1, 1, 1, 1] strides = [1, 1] : (tensor<1x4x4x1xi8>, tensor<2x3x3x1xi8>) -> tensor<1x4x4x2xi32>
  %r = bfp.range %acc : (tensor<1x4x4x2xi32>) -> !bfp.range
  %s = bfp.shift %r bits = 7 : (!bfp.range) -> !bfp.exp
  %y = bfp.round_shift %acc, %s round = nearest to = i8 : (tensor<1x4x4x2xi32>, !bfp.exp) -> tensor<1x4x4x2xi8>
  %sum = nn.add %a, %a, %e, %e, %e : (tensor<2x3xi8>, tensor<2x3xi8>, !bfp.exp, !bfp.exp, !bfp.exp) -> tensor<2x3xi32>
  %z = bfp.round_shift %sum, %e round = nearest to = i8 : (tensor<2x3xi32>, !bfp.exp) -> tensor<2x3xi8>
  func.return %y, %z : tensor<1x4x4x2xi8>, tensor<2x3xi8>
}
