// RUN: nitic opt --passes=fuse
// Bias, relu and the range of the result join the convolution; the shift by that range starts a kernel of its own, because
// the range is known only when the whole tensor is.
// CHECK:       %[[A:.*]], %[[R:.*]] = nn.fused %x, %w, %b, %base :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.conv
// CHECK-NEXT:  nn.bias
// CHECK-NEXT:  nn.relu
// CHECK-NEXT:  bfp.range
// CHECK-NEXT:  nn.yield {{.*}} : tensor<1x4x4x2xi32>, !bfp.range
// CHECK-NEXT:  }
// CHECK-NEXT:  %[[Y:.*]] = nn.fused %[[R]], %[[A]] :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  bfp.shift
// CHECK-NEXT:  bfp.round_shift
// CHECK-NEXT:  nn.yield
// CHECK-NEXT:  }
// CHECK-NEXT:  func.return %[[Y]]
func.func @predict(%base: !bfp.exp, %x: tensor<1x4x4x1xi8>, %w: tensor<2x3x3x1xi8>, %b: tensor<2xi32>) -> tensor<1x4x4x2xi8> {
  %acc1 = nn.conv %x, %w dilations = [1, 1] groups = 1 pads = [1, 1, 1, 1] strides = [1, 1] : (tensor<1x4x4x1xi8>, tensor<2x3x3x1xi8>) -> tensor<1x4x4x2xi32>
  %bias1 = nn.bias %acc1, %b, %base, %base : (tensor<1x4x4x2xi32>, tensor<2xi32>, !bfp.exp, !bfp.exp) -> tensor<1x4x4x2xi32>
  %a1 = nn.relu %bias1 : (tensor<1x4x4x2xi32>) -> tensor<1x4x4x2xi32>
  %r1 = bfp.range %a1 : (tensor<1x4x4x2xi32>) -> !bfp.range
  %s1 = bfp.shift %r1 bits = 7 : (!bfp.range) -> !bfp.exp
  %y1 = bfp.round_shift %a1, %s1 round = nearest to = i8 : (tensor<1x4x4x2xi32>, !bfp.exp) -> tensor<1x4x4x2xi8>
  func.return %y1 : tensor<1x4x4x2xi8>
}
