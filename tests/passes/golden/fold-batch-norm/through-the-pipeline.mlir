// RUN: nitic opt --passes=fold-batch-norm,canonicalise,infer-shapes,insert-loss,insert-backward,insert-update,insert-calibration,insert-rounding,track-exponents,eliminate-dead-code,check-range
// No later pass looks into @initial_values: its parameters are floats to the end.
// CHECK:       func.func @train_step(
// CHECK:       %{{.*}}, %{{.*}} = nn.update_momentum %w
// CHECK:       builtin.module @initial_values {
// CHECK-NEXT:  func.func @fold_batch_norm(
// CHECK:       nn.mul %{{.*}} : (tensor<2x3xf32>, tensor<2x1xf32>) -> tensor<2x3xf32>
func.func @predict(%input: tensor<4x3xf32> {nn.name = "input", nn.role = "input"}, %w: tensor<2x3xf32> {nn.name = "w", nn.role = "weight"}, %n.gamma: tensor<2xf32> {nn.name = "n.gamma", nn.role = "weight"}, %n.beta: tensor<2xf32> {nn.name = "n.beta", nn.role = "weight"}, %n.mean: tensor<2xf32> {nn.name = "n.mean", nn.role = "statistic"}, %n.var: tensor<2xf32> {nn.name = "n.var", nn.role = "statistic"}) -> (tensor<4x2xf32> {nn.name = "logits", nn.role = "output"}) {
  %a = nn.gemm %input, %w : (tensor<4x3xf32>, tensor<2x3xf32>) -> tensor<4x2xf32>
  %nm, %nv = nn.batch_norm_recall %n.mean, %n.var, %a epsilon = 1.0e-05 momentum = 0.9 : (tensor<2xf32>, tensor<2xf32>, tensor<4x2xf32>) -> (tensor<2xf32>, tensor<2xf32>)
  %ni = nn.batch_norm_inverse %nv epsilon = 0.001 : (tensor<2xf32>) -> tensor<2xf32>
  %nn = nn.normalise %a, %nm, %ni : (tensor<4x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
  %y = nn.batch_norm_scale %nn, %n.gamma, %n.beta : (tensor<4x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
  func.return %y : tensor<4x2xf32>
}
