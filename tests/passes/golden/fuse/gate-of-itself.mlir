// RUN: nitic opt --passes=fuse
// A product with what is computed from its other operand cannot join the rounding of that: it waits for the gate.
// CHECK:       %[[Y:.*]] = nn.fused %acc, %s :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  bfp.round_shift
// CHECK-NEXT:  nn.yield
// CHECK-NEXT:  }
// CHECK-NEXT:  %[[G:.*]] = nn.fused %[[Y]] :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.max_pool
// CHECK-NEXT:  nn.yield
// CHECK-NEXT:  }
// CHECK-NEXT:  nn.fused %[[Y]], %[[G]] :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.mul
func.func @predict(%acc: tensor<1x4x4x2xi32>, %s: !bfp.exp) -> tensor<1x4x4x2xi32> {
  %y = bfp.round_shift %acc, %s round = nearest to = i8 : (tensor<1x4x4x2xi32>, !bfp.exp) -> tensor<1x4x4x2xi8>
  %g, %i = nn.max_pool %y kernel = [4, 4] pads = [0, 0, 0, 0] strides = [1, 1] : (tensor<1x4x4x2xi8>) -> (tensor<1x1x1x2xi8>, tensor<1x1x1x2xi8>)
  %p = nn.mul %y, %g : (tensor<1x4x4x2xi8>, tensor<1x1x1x2xi8>) -> tensor<1x4x4x2xi32>
  func.return %p : tensor<1x4x4x2xi32>
}
