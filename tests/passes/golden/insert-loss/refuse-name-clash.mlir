// RUN: nitic opt --passes=insert-loss
// A network may have a parameter that is called as what the step adds.
// ERROR: two tensors of the program are called 'label': rename the parameter
func.func @predict(%input: tensor<2x3xf32> {nn.name = "input", nn.role = "input"}, %w: tensor<4x3xf32> {nn.name = "label", nn.role = "weight"}) -> (tensor<2x4xf32> {nn.name = "output", nn.role = "output"}) {
  %y = nn.gemm %input, %w : (tensor<2x3xf32>, tensor<4x3xf32>) -> tensor<2x4xf32>
  func.return %y : tensor<2x4xf32>
}
