// RUN: nitic opt --passes=fuse,schedule-calls
// Calls that need nothing of each other share a phase; one that reads what the phase writes, be it through a view, begins
// the next.
// CHECK:       nn.fused %x, %w1 phase = 0
// CHECK:       nn.fused %x, %w2 phase = 0
// CHECK:       nn.reshape
// CHECK-NEXT:  nn.fused %{{.*}}, %s phase = 1
// CHECK:       nn.fused %{{.*}}, %s phase = 1
// CHECK:       nn.fused %{{.*}}, %w3 phase = 2
func.func @predict(%x: tensor<2x3xi8>, %w1: tensor<4x3xi8>, %w2: tensor<4x3xi8>, %w3: tensor<1x8xi8>, %s: !bfp.exp) -> (tensor<1x1xi32>, tensor<2x4xi8>) {
  %acc1 = nn.gemm %x, %w1 : (tensor<2x3xi8>, tensor<4x3xi8>) -> tensor<2x4xi32>
  %acc2 = nn.gemm %x, %w2 : (tensor<2x3xi8>, tensor<4x3xi8>) -> tensor<2x4xi32>
  %view = nn.reshape %acc1 shape = [1, 8] : (tensor<2x4xi32>) -> tensor<1x8xi32>
  %y1 = bfp.round_shift %view, %s round = nearest to = i8 : (tensor<1x8xi32>, !bfp.exp) -> tensor<1x8xi8>
  %y2 = bfp.round_shift %acc2, %s round = nearest to = i8 : (tensor<2x4xi32>, !bfp.exp) -> tensor<2x4xi8>
  %acc3 = nn.gemm %y1, %w3 : (tensor<1x8xi8>, tensor<1x8xi8>) -> tensor<1x1xi32>
  func.return %acc3, %y2 : tensor<1x1xi32>, tensor<2x4xi8>
}
