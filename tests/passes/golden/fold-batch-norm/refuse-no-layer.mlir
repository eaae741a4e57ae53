// RUN: nitic opt --passes=fold-batch-norm
// Each normalisation that is left is named with its reason.
// ERROR: fold-batch-norm: cannot fold 2 of the batch normalisations
// ERROR: note: node 'first': no convolution and no linear layer comes before it
// ERROR: note: node 'second': other nodes, too, read the result of the layer before it
func.func @predict(%input: tensor<4x2xf32> {nn.name = "input", nn.role = "input"}, %n.gamma: tensor<2xf32> {nn.name = "n.gamma", nn.role = "weight"}, %n.beta: tensor<2xf32> {nn.name = "n.beta", nn.role = "weight"}, %n.mean: tensor<2xf32> {nn.name = "n.mean", nn.role = "statistic"}, %n.var: tensor<2xf32> {nn.name = "n.var", nn.role = "statistic"}, %w: tensor<2x2xf32> {nn.name = "w", nn.role = "weight"}, %p.gamma: tensor<2xf32> {nn.name = "p.gamma", nn.role = "weight"}, %p.beta: tensor<2xf32> {nn.name = "p.beta", nn.role = "weight"}, %p.mean: tensor<2xf32> {nn.name = "p.mean", nn.role = "statistic"}, %p.var: tensor<2xf32> {nn.name = "p.var", nn.role = "statistic"}) -> (tensor<4x2xf32> {nn.name = "logits", nn.role = "output"}) {
  %nm, %nv = nn.batch_norm_recall %n.mean, %n.var, %input epsilon = 1.0e-05 momentum = 0.9 : (tensor<2xf32>, tensor<2xf32>, tensor<4x2xf32>) -> (tensor<2xf32>, tensor<2xf32>)
  %ni = nn.batch_norm_inverse %nv epsilon = 0.001 : (tensor<2xf32>) -> tensor<2xf32>
  %nn = nn.normalise %input, %nm, %ni : (tensor<4x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
  %y = nn.batch_norm_scale %nn, %n.gamma, %n.beta : (tensor<4x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<4x2xf32> loc("first")
  %a = nn.gemm %y, %w : (tensor<4x2xf32>, tensor<2x2xf32>) -> tensor<4x2xf32>
  %pm, %pv = nn.batch_norm_recall %p.mean, %p.var, %a epsilon = 1.0e-05 momentum = 0.9 : (tensor<2xf32>, tensor<2xf32>, tensor<4x2xf32>) -> (tensor<2xf32>, tensor<2xf32>)
  %pi = nn.batch_norm_inverse %pv epsilon = 0.001 : (tensor<2xf32>) -> tensor<2xf32>
  %pn = nn.normalise %a, %pm, %pi : (tensor<4x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
  %z = nn.batch_norm_scale %pn, %p.gamma, %p.beta : (tensor<4x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<4x2xf32> loc("second")
  %s = nn.add %z, %a : (tensor<4x2xf32>, tensor<4x2xf32>) -> tensor<4x2xf32>
  func.return %s : tensor<4x2xf32>
}
