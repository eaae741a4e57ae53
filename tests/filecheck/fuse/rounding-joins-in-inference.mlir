// RUN: nitic opt --passes=fuse
// Where the shift is no range's, nothing has to be stored before the rounding.
// CHECK:       nn.fused %x, %w, %s :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.gemm
// CHECK-NEXT:  nn.relu
// CHECK-NEXT:  bfp.round_shift
// CHECK-NEXT:  nn.yield {{.*}} : tensor<2x4xi8>
// CHECK-NOT:   nn.fused
func.func @predict(%x: tensor<2x3xi8>, %w: tensor<4x3xi8>, %s: !bfp.exp) -> tensor<2x4xi8> {
  %acc = nn.gemm %x, %w : (tensor<2x3xi8>, tensor<4x3xi8>) -> tensor<2x4xi32>
  %y = nn.relu %acc : (tensor<2x4xi32>) -> tensor<2x4xi32>
  %z = bfp.round_shift %y, %s round = nearest to = i8 : (tensor<2x4xi32>, !bfp.exp) -> tensor<2x4xi8>
  func.return %z : tensor<2x4xi8>
}
