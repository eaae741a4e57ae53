// RUN: nitic opt --passes=fuse{speculate=1}
// Where no range is taken, a rounding is in the kernel of what it rounds, and a residual connection in that of the operand
// that is made last.
// CHECK:       nn.fused %x, %w, %s, %b, %e, %es :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.conv
// CHECK-NEXT:  bfp.round_shift
// CHECK-NEXT:  nn.add
// CHECK-NEXT:  nn.relu
// CHECK-NEXT:  bfp.round_shift
// CHECK-NEXT:  nn.yield {{.*}} : tensor<1x4x4x2xi8>
func.func @predict(%x: tensor<1x4x4x2xi8>, %w: tensor<2x3x3x2xi8>, %b: tensor<1x4x4x2xi8>, %e: !bfp.exp, %es: !bfp.exp, %s: !bfp.exp) -> tensor<1x4x4x2xi8> {
  %acc = nn.conv %x, %w dilations = [1, 1] groups = 1 pads = [1, 1, 1, 1] strides = [1, 1] : (tensor<1x4x4x2xi8>, tensor<2x3x3x2xi8>) -> tensor<1x4x4x2xi32>
  %y = bfp.round_shift %acc, %s round = nearest to = i8 : (tensor<1x4x4x2xi32>, !bfp.exp) -> tensor<1x4x4x2xi8>
  %sum = nn.add %b, %y, %e, %es, %es : (tensor<1x4x4x2xi8>, tensor<1x4x4x2xi8>, !bfp.exp, !bfp.exp, !bfp.exp) -> tensor<1x4x4x2xi32>
  %relu = nn.relu %sum : (tensor<1x4x4x2xi32>) -> tensor<1x4x4x2xi32>
  %z = bfp.round_shift %relu, %s round = nearest to = i8 : (tensor<1x4x4x2xi32>, !bfp.exp) -> tensor<1x4x4x2xi8>
  func.return %z : tensor<1x4x4x2xi8>
}
