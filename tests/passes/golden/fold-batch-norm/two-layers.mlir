// RUN: nitic opt --passes=fold-batch-norm,fold-batch-norm
// One function has the values of all layers, and there is nothing to do the second time.
// CHECK-NOT:   nn.normalise
// CHECK:       func.func @fold_batch_norm(
// CHECK-SAME:  nn.name = "w2", nn.role = "weight"}, tensor<2xf32> {nn.name = "p.beta", nn.role = "weight"}) {
// CHECK-NOT:   func.func
func.func @predict(%input: tensor<4x3xf32> {nn.name = "input", nn.role = "input"}, %w: tensor<2x3xf32> {nn.name = "w", nn.role = "weight"}, %n.gamma: tensor<2xf32> {nn.name = "n.gamma", nn.role = "weight"}, %n.beta: tensor<2xf32> {nn.name = "n.beta", nn.role = "weight"}, %n.mean: tensor<2xf32> {nn.name = "n.mean", nn.role = "statistic"}, %n.var: tensor<2xf32> {nn.name = "n.var", nn.role = "statistic"}, %w2: tensor<2x2xf32> {nn.name = "w2", nn.role = "weight"}, %p.gamma: tensor<2xf32> {nn.name = "p.gamma", nn.role = "weight"}, %p.beta: tensor<2xf32> {nn.name = "p.beta", nn.role = "weight"}, %p.mean: tensor<2xf32> {nn.name = "p.mean", nn.role = "statistic"}, %p.var: tensor<2xf32> {nn.name = "p.var", nn.role = "statistic"}) -> (tensor<4x2xf32> {nn.name = "logits", nn.role = "output"}) {
  %a = nn.gemm %input, %w : (tensor<4x3xf32>, tensor<2x3xf32>) -> tensor<4x2xf32>
  %nm, %nv = nn.batch_norm_recall %n.mean, %n.var, %a epsilon = 1.0e-05 momentum = 0.9 : (tensor<2xf32>, tensor<2xf32>, tensor<4x2xf32>) -> (tensor<2xf32>, tensor<2xf32>)
  %ni = nn.batch_norm_inverse %nv epsilon = 0.001 : (tensor<2xf32>) -> tensor<2xf32>
  %nn = nn.normalise %a, %nm, %ni : (tensor<4x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
  %y = nn.batch_norm_scale %nn, %n.gamma, %n.beta : (tensor<4x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
  %d = nn.gemm %y, %w2 : (tensor<4x2xf32>, tensor<2x2xf32>) -> tensor<4x2xf32>
  %pm, %pv = nn.batch_norm_recall %p.mean, %p.var, %d epsilon = 1.0e-05 momentum = 0.9 : (tensor<2xf32>, tensor<2xf32>, tensor<4x2xf32>) -> (tensor<2xf32>, tensor<2xf32>)
  %pi = nn.batch_norm_inverse %pv epsilon = 0.001 : (tensor<2xf32>) -> tensor<2xf32>
  %pn = nn.normalise %d, %pm, %pi : (tensor<4x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
  %z = nn.batch_norm_scale %pn, %p.gamma, %p.beta : (tensor<4x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
  func.return %z : tensor<4x2xf32>
}
