// RUN: nitic opt --passes=fuse
// A clip joins the convolution as a relu does, with the exponent that its bounds are moved to; behind the rounding come
// the operators on mantissas, up to the range of the next accumulator.
// CHECK:       %[[A:.*]], %[[R:.*]] = nn.fused %x, %w, %x_exp, %w_exp :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.conv
// CHECK-NEXT:  bfp.exp_add
// CHECK-NEXT:  nn.clip
// CHECK-NEXT:  bfp.range
// CHECK-NEXT:  nn.yield {{.*}} : tensor<1x4x4x2xi32>, !bfp.range
// CHECK-NEXT:  }
// CHECK-NEXT:  nn.fused
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  bfp.shift
// CHECK-NEXT:  bfp.round_shift
// CHECK-NEXT:  nn.neg
// CHECK-NEXT:  nn.mul
// CHECK-NEXT:  bfp.range
// CHECK-NEXT:  nn.yield {{.*}} : tensor<1x4x4x2xi32>, !bfp.range
func.func @predict(%x: tensor<1x4x4x1xi8>, %w: tensor<2x1x1x1xi8>, %b: tensor<2xi8>, %x_exp: !bfp.exp, %w_exp: !bfp.exp) -> (tensor<1x4x4x2xi32>, !bfp.range) {
  %acc1 = nn.conv %x, %w dilations = [1, 1] groups = 1 pads = [0, 0, 0, 0] strides = [1, 1] : (tensor<1x4x4x1xi8>, tensor<2x1x1x1xi8>) -> tensor<1x4x4x2xi32>
  %e1 = bfp.exp_add %x_exp, %w_exp : (!bfp.exp, !bfp.exp) -> !bfp.exp
  %a1 = nn.clip %acc1, %e1 high = 6.0 low = 0.0 : (tensor<1x4x4x2xi32>, !bfp.exp) -> tensor<1x4x4x2xi32>
  %r1 = bfp.range %a1 : (tensor<1x4x4x2xi32>) -> !bfp.range
  %s1 = bfp.shift %r1 bits = 7 : (!bfp.range) -> !bfp.exp
  %y1 = bfp.round_shift %a1, %s1 round = nearest to = i8 : (tensor<1x4x4x2xi32>, !bfp.exp) -> tensor<1x4x4x2xi8>
  %n1 = nn.neg %y1 : (tensor<1x4x4x2xi8>) -> tensor<1x4x4x2xi8>
  %p1 = nn.mul %n1, %b : (tensor<1x4x4x2xi8>, tensor<2xi8>) -> tensor<1x4x4x2xi32>
  %r2 = bfp.range %p1 : (tensor<1x4x4x2xi32>) -> !bfp.range
  func.return %p1, %r2 : tensor<1x4x4x2xi32>, !bfp.range
}
