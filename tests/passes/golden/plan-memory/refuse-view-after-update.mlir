// RUN: nitic opt --passes=schedule-calls,plan-memory
// A reshape is the same memory: a view of the old weight must not be read after the update either.
// ERROR: @train_step: a state is read after its update
func.func @train_step(%w: tensor<4x3xi8> {nn.name = "w", nn.role = "weight"}, %dw: tensor<4x3xi32> {nn.name = "dw", nn.role = "input"}, %gb: tensor<i32> {nn.name = "gb", nn.role = "hyper"}, %r: !bfp.range {nn.name = "r", nn.role = "input"}) -> (tensor<4x3xi8> {nn.name = "w", nn.role = "weight"}, tensor<12xi8> {nn.name = "output", nn.role = "output"}) {
  %view = nn.reshape %w shape = [12] : (tensor<4x3xi8>) -> tensor<12xi8>
  %new = nn.fused %w, %dw, %gb, %r : (tensor<4x3xi8>, tensor<4x3xi32>, tensor<i32>, !bfp.range) -> tensor<4x3xi8> {
  ^bb0(%w0: tensor<4x3xi8>, %dw0: tensor<4x3xi32>, %gb0: tensor<i32>, %r0: !bfp.range):
    %new0 = nn.update_niti %w0, %dw0, %gb0, %r0, %r0 round = pseudo_stochastic : (tensor<4x3xi8>, tensor<4x3xi32>, tensor<i32>, !bfp.range, !bfp.range) -> tensor<4x3xi8>
    nn.yield %new0 : tensor<4x3xi8>
  }
  %a = nn.fused %view : (tensor<12xi8>) -> tensor<12xi8> {
  ^bb0(%v: tensor<12xi8>):
    %a0 = nn.relu %v : (tensor<12xi8>) -> tensor<12xi8>
    nn.yield %a0 : tensor<12xi8>
  }
  func.return %new, %a : tensor<4x3xi8>, tensor<12xi8>
}
