// RUN: nitic opt --passes=insert-loss{loss=hinge}
// ERROR: unknown loss 'hinge'; the losses are cross-entropy, mse
func.func @predict(%input: tensor<2x3xf32> {nn.name = "input", nn.role = "input"}) -> (tensor<2x3xf32> {nn.name = "output", nn.role = "output"}) {
  func.return %input : tensor<2x3xf32>
}
