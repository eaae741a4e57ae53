// RUN: nitic opt --passes=freeze{parameters=features.*},insert-loss,insert-backward
// What is frozen has no gradient, and no error is computed for what lies before it.
// CHECK:       func.func @train_step
// CHECK:       nn.gemm_wgrad
// CHECK-NOT:   nn.gemm_dgrad
// CHECK-NOT:   nn.bias_grad
// CHECK:       func.func @eval_step
func.func @predict(%input: tensor<4x3xf32> {nn.name = "input", nn.role = "input"}, %features.0.weight: tensor<2x3xf32> {nn.name = "features.0.weight", nn.role = "weight"}, %features.0.bias: tensor<2xf32> {nn.name = "features.0.bias", nn.role = "weight"}, %fc.weight: tensor<2x2xf32> {nn.name = "fc.weight", nn.role = "weight"}) -> (tensor<4x2xf32> {nn.name = "logits", nn.role = "output"}) {
  %a = nn.gemm %input, %features.0.weight : (tensor<4x3xf32>, tensor<2x3xf32>) -> tensor<4x2xf32>
  %b = nn.bias %a, %features.0.bias : (tensor<4x2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
  %y = nn.gemm %b, %fc.weight : (tensor<4x2xf32>, tensor<2x2xf32>) -> tensor<4x2xf32>
  func.return %y : tensor<4x2xf32>
}
