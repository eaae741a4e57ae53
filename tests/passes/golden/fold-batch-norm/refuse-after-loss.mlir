// RUN: nitic opt --passes=insert-loss,fold-batch-norm
// @train_step would keep what @predict has no longer.
// ERROR: @train_step is of a later stage: this pass works on @predict alone
// ERROR: raised around fold-batch-norm
func.func @predict(%input: tensor<4x3xf32> {nn.name = "input", nn.role = "input"}, %w: tensor<2x3xf32> {nn.name = "w", nn.role = "weight"}) -> (tensor<4x2xf32> {nn.name = "logits", nn.role = "output"}) {
  %a = nn.gemm %input, %w : (tensor<4x3xf32>, tensor<2x3xf32>) -> tensor<4x2xf32>
  func.return %a : tensor<4x2xf32>
}
