// RUN: nitic opt --passes=schedule-calls,plan-memory
// The old weight is gone once its update has run.
// ERROR: @train_step: a state is read after its update
func.func @train_step(%w: tensor<4x3xi8> {nn.name = "w", nn.role = "weight"}, %dw: tensor<4x3xi32> {nn.name = "dw", nn.role = "input"}, %gb: tensor<i32> {nn.name = "gb", nn.role = "hyper"}, %x: tensor<2x3xi8> {nn.name = "x", nn.role = "input"}) -> (tensor<4x3xi8> {nn.name = "w", nn.role = "weight"}, tensor<2x4xi32> {nn.name = "output", nn.role = "output"}) {
  %r = nn.fused %dw : (tensor<4x3xi32>) -> !bfp.range {
  ^bb0(%in: tensor<4x3xi32>):
    %r1 = bfp.range %in : (tensor<4x3xi32>) -> !bfp.range
    nn.yield %r1 : !bfp.range
  }
  %new = nn.fused %w, %dw, %gb, %r : (tensor<4x3xi8>, tensor<4x3xi32>, tensor<i32>, !bfp.range) -> tensor<4x3xi8> {
  ^bb0(%w0: tensor<4x3xi8>, %dw0: tensor<4x3xi32>, %gb0: tensor<i32>, %r0: !bfp.range):
    %new0 = nn.update_niti %w0, %dw0, %gb0, %r0, %r0 round = pseudo_stochastic : (tensor<4x3xi8>, tensor<4x3xi32>, tensor<i32>, !bfp.range, !bfp.range) -> tensor<4x3xi8>
    nn.yield %new0 : tensor<4x3xi8>
  }
  %acc = nn.fused %x, %w : (tensor<2x3xi8>, tensor<4x3xi8>) -> tensor<2x4xi32> {
  ^bb0(%x0: tensor<2x3xi8>, %w0: tensor<4x3xi8>):
    %acc0 = nn.gemm %x0, %w0 : (tensor<2x3xi8>, tensor<4x3xi8>) -> tensor<2x4xi32>
    nn.yield %acc0 : tensor<2x4xi32>
  }
  func.return %new, %acc : tensor<4x3xi8>, tensor<2x4xi32>
}
