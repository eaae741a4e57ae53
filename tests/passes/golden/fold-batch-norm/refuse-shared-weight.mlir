// RUN: nitic opt --passes=fold-batch-norm
// A weight that another node reads must keep its values.
// ERROR: the weight or bias that it would change serves several nodes
func.func @predict(%input: tensor<4x2xf32> {nn.name = "input", nn.role = "input"}, %w: tensor<2x2xf32> {nn.name = "w", nn.role = "weight"}, %n.gamma: tensor<2xf32> {nn.name = "n.gamma", nn.role = "weight"}, %n.beta: tensor<2xf32> {nn.name = "n.beta", nn.role = "weight"}, %n.mean: tensor<2xf32> {nn.name = "n.mean", nn.role = "statistic"}, %n.var: tensor<2xf32> {nn.name = "n.var", nn.role = "statistic"}) -> (tensor<4x2xf32> {nn.name = "logits", nn.role = "output"}) {
  %a = nn.gemm %input, %w : (tensor<4x2xf32>, tensor<2x2xf32>) -> tensor<4x2xf32>
  %nm, %nv = nn.batch_norm_recall %n.mean, %n.var, %a epsilon = 1.0e-05 momentum = 0.9 : (tensor<2xf32>, tensor<2xf32>, tensor<4x2xf32>) -> (tensor<2xf32>, tensor<2xf32>)
  %ni = nn.batch_norm_inverse %nv epsilon = 0.001 : (tensor<2xf32>) -> tensor<2xf32>
  %nn = nn.normalise %a, %nm, %ni : (tensor<4x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
  %y = nn.batch_norm_scale %nn, %n.gamma, %n.beta : (tensor<4x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
  %z = nn.gemm %y, %w : (tensor<4x2xf32>, tensor<2x2xf32>) -> tensor<4x2xf32>
  func.return %z : tensor<4x2xf32>
}
