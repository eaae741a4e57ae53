// RUN: nitic opt --passes=fuse
// Where the shift is no range's, a cheap accumulator is not stored; that of a product is, whose kernel is large already.
// CHECK:       nn.fused %a, %b, %ea, %eb, %e, %s :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.add
// CHECK-NEXT:  nn.relu
// CHECK-NEXT:  bfp.round_shift
// CHECK-NEXT:  nn.yield {{.*}} : tensor<2x3xi8>
// CHECK:       nn.gemm
// CHECK-NEXT:  nn.yield {{.*}} : tensor<2x4xi32>
func.func @predict(%a: tensor<2x3xi8>, %b: tensor<2x3xi8>, %w: tensor<4x3xi8>, %ea: !bfp.exp, %eb: !bfp.exp, %e: !bfp.exp, %s: !bfp.exp) -> tensor<2x4xi8> {
  %sum = nn.add %a, %b, %ea, %eb, %e : (tensor<2x3xi8>, tensor<2x3xi8>, !bfp.exp, !bfp.exp, !bfp.exp) -> tensor<2x3xi32>
  %y = nn.relu %sum : (tensor<2x3xi32>) -> tensor<2x3xi32>
  %x = bfp.round_shift %y, %s round = nearest to = i8 : (tensor<2x3xi32>, !bfp.exp) -> tensor<2x3xi8>
  %acc = nn.gemm %x, %w : (tensor<2x3xi8>, tensor<4x3xi8>) -> tensor<2x4xi32>
  %z = bfp.round_shift %acc, %s round = nearest to = i8 : (tensor<2x4xi32>, !bfp.exp) -> tensor<2x4xi8>
  func.return %z : tensor<2x4xi8>
}
