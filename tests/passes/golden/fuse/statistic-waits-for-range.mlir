// RUN: nitic opt --passes=fuse
// The statistic needs an exponent that the product's kernel computes, but also the range of its result: it cannot join.
// CHECK:       %[[E:.*]], %[[A:.*]], %[[R:.*]] = nn.fused
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  bfp.exp_add
// CHECK-NEXT:  bfp.align
// CHECK-NEXT:  nn.gemm
// CHECK-NEXT:  nn.bias
// CHECK-NEXT:  bfp.range
// CHECK-NEXT:  nn.yield
// CHECK-NEXT:  }
// CHECK-NEXT:  %[[NEW:.*]] = nn.fused %top, %[[R]], %[[E]] :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  bfp.top
// CHECK-NEXT:  nn.yield
// CHECK-NEXT:  }
// CHECK-NEXT:  func.return %[[NEW]], %[[A]]
func.func @calibrate(%base: !bfp.exp, %x: tensor<1x3xi8>, %w: tensor<2x3xi8>, %b: tensor<2xi8>, %ex: !bfp.exp, %ew: !bfp.exp, %eb: !bfp.exp, %top: tensor<i32>) -> (tensor<i32>, tensor<1x2xi32>) {
  %e = bfp.exp_add %ex, %ew : (!bfp.exp, !bfp.exp) -> !bfp.exp
  %aligned = bfp.align %b, %eb, %e : (tensor<2xi8>, !bfp.exp, !bfp.exp) -> tensor<2xi32>
  %acc1 = nn.gemm %x, %w : (tensor<1x3xi8>, tensor<2x3xi8>) -> tensor<1x2xi32>
  %bias1 = nn.bias %acc1, %aligned, %base, %base : (tensor<1x2xi32>, tensor<2xi32>, !bfp.exp, !bfp.exp) -> tensor<1x2xi32>
  %r = bfp.range %bias1 : (tensor<1x2xi32>) -> !bfp.range
  %new = bfp.top %top, %r, %e : (tensor<i32>, !bfp.range, !bfp.exp) -> tensor<i32>
  func.return %new, %bias1 : tensor<i32>, tensor<1x2xi32>
}
