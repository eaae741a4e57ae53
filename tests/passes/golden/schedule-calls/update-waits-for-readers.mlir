// RUN: nitic opt --passes=fuse,schedule-calls
// An update writes the weight in place: it begins a phase after the product that reads it, though it needs nothing of it.
// CHECK:       nn.fused %x, %w phase = 0
// CHECK:       nn.fused %w, %dw, %gb, %r phase = 1
func.func @train_step(%w: tensor<4x3xi8>, %x: tensor<2x3xi8>, %dw: tensor<4x3xi32>, %gb: tensor<i32>, %r: !bfp.range) -> (tensor<4x3xi8>, tensor<2x4xi32>) {
  %acc = nn.gemm %x, %w : (tensor<2x3xi8>, tensor<4x3xi8>) -> tensor<2x4xi32>
  %new = nn.update_niti %w, %dw, %gb, %r, %r round = pseudo_stochastic : (tensor<4x3xi8>, tensor<4x3xi32>, tensor<i32>, !bfp.range, !bfp.range) -> tensor<4x3xi8>
  func.return %new, %acc : tensor<4x3xi8>, tensor<2x4xi32>
}
