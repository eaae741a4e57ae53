// RUN: nitic opt --passes=insert-loss
// Classification needs one row of logits for each sample.
// ERROR: the network's output is [1, 4, 4, 2] but cross-entropy needs (batch, classes)
func.func @predict(%input: tensor<1x4x4x2xf32> {nn.name = "input", nn.role = "input"}) -> (tensor<1x4x4x2xf32> {nn.name = "output", nn.role = "output"}) {
  %y = nn.relu %input : (tensor<1x4x4x2xf32>) -> tensor<1x4x4x2xf32>
  func.return %y : tensor<1x4x4x2xf32>
}
