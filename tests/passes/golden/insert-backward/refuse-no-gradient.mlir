// RUN: nitic opt --passes=insert-backward
// A dropout that draws no mask has no gradient rule.
// ERROR: node 'drop' (dropout): has no gradient, but a parameter lies before it
func.func @train_step(%input: tensor<2x2xf32> {nn.name = "input", nn.role = "input"}, %w1: tensor<2x2xf32> {nn.name = "w1", nn.role = "weight"}, %label: tensor<2xi32> {nn.name = "label", nn.role = "label"}) -> (tensor<f32> {nn.name = "loss", nn.role = "metric"}) {
  %acc1 = nn.gemm %input, %w1 : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
  %d1 = nn.dropout %acc1 p = 0.5 : (tensor<2x2xf32>) -> tensor<2x2xf32> loc("drop")
  %dlogits, %loss, %correct = nn.cross_entropy %d1, %label : (tensor<2x2xf32>, tensor<2xi32>) -> (tensor<2x2xf32>, tensor<f32>, tensor<i32>)
  func.return %loss : tensor<f32>
}
