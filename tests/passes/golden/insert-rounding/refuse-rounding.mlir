// RUN: nitic opt --passes=insert-rounding{errors=up}
// A rounding that does not exist.
// ERROR: insert-rounding: unknown rounding 'up'; the roundings are auto, nearest, pseudo_stochastic, stochastic, dithered
func.func @train_step(%input: tensor<2x3xf32> {nn.name = "input", nn.role = "input"}, %w1: tensor<4x3xf32> {nn.name = "w1", nn.role = "weight"}, %w2: tensor<2x4xf32> {nn.name = "w2", nn.role = "weight"}, %label: tensor<2xi32> {nn.name = "label", nn.role = "label"}) -> (tensor<f32> {nn.name = "loss", nn.role = "metric"}, tensor<4x3xf32> {nn.name = "w1.gradient", nn.role = "gradient"}) {
  %acc1 = nn.gemm %input, %w1 : (tensor<2x3xf32>, tensor<4x3xf32>) -> tensor<2x4xf32>
  %y = nn.gemm %acc1, %w2 : (tensor<2x4xf32>, tensor<2x4xf32>) -> tensor<2x2xf32>
  %dlogits, %loss, %correct = nn.cross_entropy %y, %label : (tensor<2x2xf32>, tensor<2xi32>) -> (tensor<2x2xf32>, tensor<f32>, tensor<i32>)
  %da = nn.gemm_dgrad %dlogits, %w2 : (tensor<2x2xf32>, tensor<2x4xf32>) -> tensor<2x4xf32>
  %dw1 = nn.gemm_wgrad %input, %da : (tensor<2x3xf32>, tensor<2x4xf32>) -> tensor<4x3xf32>
  func.return %loss, %dw1 : tensor<f32>, tensor<4x3xf32>
}
