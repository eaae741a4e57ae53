// RUN: nitic opt --passes=check-range
// A product of that length is int64, and with it what bias and relu make of it; the rounding brings it back to int8.
// CHECK:       nn.gemm %x, %w : {{.*}} -> tensor<1x2xi64>
// CHECK-NEXT:  nn.bias {{.*}} : (tensor<1x2xi64>, tensor<2xi32>, !bfp.exp, !bfp.exp) -> tensor<1x2xi64>
// CHECK-NEXT:  nn.relu {{.*}} -> tensor<1x2xi64>
// CHECK-NEXT:  bfp.round_shift {{.*}} : (tensor<1x2xi64>, !bfp.exp) -> tensor<1x2xi8>
func.func @predict(%base: !bfp.exp, %x: tensor<1x70000xi8>, %w: tensor<2x70000xi8>, %b: tensor<2xi32>, %s: !bfp.exp) -> tensor<1x2xi8> {
  %acc1 = nn.gemm %x, %w : (tensor<1x70000xi8>, tensor<2x70000xi8>) -> tensor<1x2xi32>
  %acc2 = nn.bias %acc1, %b, %base, %base : (tensor<1x2xi32>, tensor<2xi32>, !bfp.exp, !bfp.exp) -> tensor<1x2xi32>
  %a = nn.relu %acc2 : (tensor<1x2xi32>) -> tensor<1x2xi32>
  %y = bfp.round_shift %a, %s round = nearest to = i8 : (tensor<1x2xi32>, !bfp.exp) -> tensor<1x2xi8>
  func.return %y : tensor<1x2xi8>
}
