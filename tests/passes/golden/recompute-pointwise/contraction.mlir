// RUN: nitic opt --passes=recompute-pointwise{most=31},fuse{frugal=1}
// On a machine with little memory an accumulator of 32 bytes is computed twice, for its range and for its rounding, with
// what is behind it, and never stored.
// CHECK:       %[[R:.*]] = nn.fused %x, %w :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.gemm
// CHECK-NEXT:  nn.relu
// CHECK-NEXT:  bfp.range
// CHECK-NEXT:  nn.yield {{.*}} : !bfp.range
// CHECK:       nn.fused %[[R]], %x, %w :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  bfp.shift
// CHECK-NEXT:  nn.gemm
// CHECK-NEXT:  nn.relu
// CHECK-NEXT:  bfp.round_shift
// CHECK-NEXT:  nn.yield {{.*}} : tensor<4x2xi8>
// CHECK-NOT:   nn.fused
func.func @f(%x: tensor<4x3xi8>, %w: tensor<2x3xi8>) -> tensor<4x2xi8> {
  %a = nn.gemm %x, %w : (tensor<4x3xi8>, tensor<2x3xi8>) -> tensor<4x2xi32>
  %y = nn.relu %a : (tensor<4x2xi32>) -> tensor<4x2xi32>
  %r = bfp.range %y : (tensor<4x2xi32>) -> !bfp.range
  %s = bfp.shift %r bits = 7 : (!bfp.range) -> !bfp.exp
  %z = bfp.round_shift %y, %s round = nearest to = i8 : (tensor<4x2xi32>, !bfp.exp) -> tensor<4x2xi8>
  func.return %z : tensor<4x2xi8>
}
