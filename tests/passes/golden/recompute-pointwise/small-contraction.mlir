// RUN: nitic opt --passes=recompute-pointwise{most=32},fuse{frugal=1}
// An accumulator that is no larger than that is stored.
// CHECK:       nn.gemm
// CHECK-NEXT:  nn.relu
// CHECK-NEXT:  bfp.range
// CHECK-NEXT:  nn.yield {{.*}} : tensor<4x2xi32>, !bfp.range
// CHECK:       nn.fused
// CHECK-NOT:   nn.gemm
// CHECK:       bfp.round_shift
// CHECK-NOT:   nn.gemm
func.func @f(%x: tensor<4x3xi8>, %w: tensor<2x3xi8>) -> tensor<4x2xi8> {
  %a = nn.gemm %x, %w : (tensor<4x3xi8>, tensor<2x3xi8>) -> tensor<4x2xi32>
  %y = nn.relu %a : (tensor<4x2xi32>) -> tensor<4x2xi32>
  %r = bfp.range %y : (tensor<4x2xi32>) -> !bfp.range
  %s = bfp.shift %r bits = 7 : (!bfp.range) -> !bfp.exp
  %z = bfp.round_shift %y, %s round = nearest to = i8 : (tensor<4x2xi32>, !bfp.exp) -> tensor<4x2xi8>
  func.return %z : tensor<4x2xi8>
}
