// RUN: nitic opt --passes=fuse,schedule-calls,plan-memory
// State comes first, at 0; the update has no buffer of its own: it writes the weight where it is. The range has 64 slots of
// 8 bytes behind the named tensors.
// CHECK:       nn.arena = [[#ARENA:]] : i64, nn.state = 128 : i64
// CHECK:       nn.fused %x, %w buffers = [256, 0, 448]
// CHECK:       nn.fused %dw buffers = [128, [[#RANGE:]]]
// CHECK:       nn.fused %w, %dw, %gb, %{{.*}} buffers = [0, 128, 384, [[#RANGE]]]
func.func @train_step(%w: tensor<4x3xi8> {nn.name = "w", nn.role = "weight"}, %dw: tensor<4x3xi32> {nn.name = "dw", nn.role = "input"}, %gb: tensor<i32> {nn.name = "gb", nn.role = "hyper"}, %x: tensor<2x3xi8> {nn.name = "x", nn.role = "input"}) -> (tensor<4x3xi8> {nn.name = "w", nn.role = "weight"}, tensor<2x4xi32> {nn.name = "output", nn.role = "output"}) {
  %acc = nn.gemm %x, %w : (tensor<2x3xi8>, tensor<4x3xi8>) -> tensor<2x4xi32>
  %r = bfp.range %dw : (tensor<4x3xi32>) -> !bfp.range
  %new = nn.update_niti %w, %dw, %gb, %r, %r round = pseudo_stochastic : (tensor<4x3xi8>, tensor<4x3xi32>, tensor<i32>, !bfp.range, !bfp.range) -> tensor<4x3xi8>
  func.return %new, %acc : tensor<4x3xi8>, tensor<2x4xi32>
}
