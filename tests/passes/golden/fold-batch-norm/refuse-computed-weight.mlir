// RUN: nitic opt --passes=fold-batch-norm
// The value of what the network computes cannot follow.
// ERROR: a weight, a factor or a statistic of it is computed by other nodes
func.func @predict(%input: tensor<4x3xf32> {nn.name = "input", nn.role = "input"}, %v: tensor<3x2xf32> {nn.name = "v", nn.role = "weight"}, %n.gamma: tensor<2xf32> {nn.name = "n.gamma", nn.role = "weight"}, %n.beta: tensor<2xf32> {nn.name = "n.beta", nn.role = "weight"}, %n.mean: tensor<2xf32> {nn.name = "n.mean", nn.role = "statistic"}, %n.var: tensor<2xf32> {nn.name = "n.var", nn.role = "statistic"}) -> (tensor<4x2xf32> {nn.name = "logits", nn.role = "output"}) {
  %w = nn.transpose %v perm = [1, 0] : (tensor<3x2xf32>) -> tensor<2x3xf32>
  %a = nn.gemm %input, %w : (tensor<4x3xf32>, tensor<2x3xf32>) -> tensor<4x2xf32>
  %nm, %nv = nn.batch_norm_recall %n.mean, %n.var, %a epsilon = 1.0e-05 momentum = 0.9 : (tensor<2xf32>, tensor<2xf32>, tensor<4x2xf32>) -> (tensor<2xf32>, tensor<2xf32>)
  %ni = nn.batch_norm_inverse %nv epsilon = 0.001 : (tensor<2xf32>) -> tensor<2xf32>
  %nn = nn.normalise %a, %nm, %ni : (tensor<4x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
  %y = nn.batch_norm_scale %nn, %n.gamma, %n.beta : (tensor<4x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
  func.return %y : tensor<4x2xf32>
}
