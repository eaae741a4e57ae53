// RUN: nitic opt --passes=fuse{speculate=1}
// A rounding is in the group that takes the range for it, and so is the gate behind it. What somebody else reads as an
// accumulator (%a2) is rounded in a kernel of its own, and no range is taken of what is rounded by a guess.
// CHECK:       %[[R1:.*]], %[[Y1:.*]] = nn.fused %x, %w, %dy :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.conv
// CHECK-NEXT:  nn.relu
// CHECK-NEXT:  bfp.range
// CHECK-NEXT:  bfp.shift
// CHECK-NEXT:  bfp.round_shift
// CHECK-NEXT:  nn.relu_dgrad
// CHECK-NEXT:  nn.yield {{.*}} : !bfp.range, tensor<1x4x4x2xi8>
// CHECK:       %[[A2:.*]], %[[R2:.*]] = nn.fused %[[Y1]], %v :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.conv
// CHECK-NEXT:  bfp.range
// CHECK-NEXT:  nn.yield
// CHECK:       nn.fused %[[R2]], %[[A2]] :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  bfp.shift
// CHECK-NEXT:  bfp.round_shift
// CHECK-NEXT:  nn.yield
// CHECK:       nn.fused %[[Y1]] :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  bfp.range
func.func @predict(%x: tensor<1x4x4x1xi8>, %w: tensor<2x3x3x1xi8>, %v: tensor<2x3x3x2xi8>, %dy: tensor<1x4x4x2xi8>) -> (tensor<1x4x4x2xi32>, tensor<1x4x4x2xi8>, !bfp.range) {
  %a1 = nn.conv %x, %w dilations = [1, 1] groups = 1 pads = [1, 1, 1, 1] strides = [1, 1] : (tensor<1x4x4x1xi8>, tensor<2x3x3x1xi8>) -> tensor<1x4x4x2xi32>
  %p1 = nn.relu %a1 : (tensor<1x4x4x2xi32>) -> tensor<1x4x4x2xi32>
  %r1 = bfp.range %p1 : (tensor<1x4x4x2xi32>) -> !bfp.range
  %s1 = bfp.shift %r1 bits = 7 : (!bfp.range) -> !bfp.exp
  %y1 = bfp.round_shift %p1, %s1 round = nearest to = i8 : (tensor<1x4x4x2xi32>, !bfp.exp) -> tensor<1x4x4x2xi8>
  %g1 = nn.relu_dgrad %y1, %dy : (tensor<1x4x4x2xi8>, tensor<1x4x4x2xi8>) -> tensor<1x4x4x2xi8>
  %a2 = nn.conv %g1, %v dilations = [1, 1] groups = 1 pads = [1, 1, 1, 1] strides = [1, 1] : (tensor<1x4x4x2xi8>, tensor<2x3x3x2xi8>) -> tensor<1x4x4x2xi32>
  %r2 = bfp.range %a2 : (tensor<1x4x4x2xi32>) -> !bfp.range
  %s2 = bfp.shift %r2 bits = 7 : (!bfp.range) -> !bfp.exp
  %y2 = bfp.round_shift %a2, %s2 round = nearest to = i8 : (tensor<1x4x4x2xi32>, !bfp.exp) -> tensor<1x4x4x2xi8>
  %r3 = bfp.range %g1 : (tensor<1x4x4x2xi8>) -> !bfp.range
  func.return %a2, %y2, %r3 : tensor<1x4x4x2xi32>, tensor<1x4x4x2xi8>, !bfp.range
}
