// RUN: nitic opt --passes=fuse
// A scalar is computed in the first kernel that needs it, and read from there by the second; there is no kernel of scalars.
// CHECK:       %[[E:.*]], %[[B:.*]] = nn.fused %{{.*}} : {{.*}} -> (!bfp.exp, tensor<1x2xi32>)
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  %[[C:.*]] = bfp.exp_const value = -5
// CHECK-NEXT:  %[[SUM:.*]] = bfp.exp_add %{{.*}}, %[[C]]
// CHECK-NEXT:  bfp.align
// CHECK-NEXT:  nn.gemm
// CHECK-NEXT:  nn.bias
// CHECK:       nn.fused %{{.*}}, %[[E]] :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  bfp.round_shift
// CHECK-NEXT:  nn.yield
// CHECK-NEXT:  }
// CHECK-NEXT:  func.return
func.func @predict(%base: !bfp.exp, %x: tensor<1x3xi8>, %w: tensor<2x3xi8>, %b: tensor<2xi8>, %eb: !bfp.exp, %ew: !bfp.exp, %z: tensor<4xi32>) -> (tensor<1x2xi32>, tensor<4xi8>) {
  %c = bfp.exp_const value = -5 : () -> !bfp.exp
  %e = bfp.exp_add %ew, %c : (!bfp.exp, !bfp.exp) -> !bfp.exp
  %aligned = bfp.align %b, %eb, %e : (tensor<2xi8>, !bfp.exp, !bfp.exp) -> tensor<2xi32>
  %acc1 = nn.gemm %x, %w : (tensor<1x3xi8>, tensor<2x3xi8>) -> tensor<1x2xi32>
  %bias1 = nn.bias %acc1, %aligned, %base, %base : (tensor<1x2xi32>, tensor<2xi32>, !bfp.exp, !bfp.exp) -> tensor<1x2xi32>
  %y = bfp.round_shift %z, %e round = nearest to = i8 : (tensor<4xi32>, !bfp.exp) -> tensor<4xi8>
  func.return %bias1, %y : tensor<1x2xi32>, tensor<4xi8>
}
