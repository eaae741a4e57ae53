// RUN: nitic opt --passes=insert-loss{statistics=running},insert-backward,insert-rounding
// What is normalised by running statistics has no error that sums to zero: errors are rounded to nearest.
// CHECK:       func.func @train_step
// CHECK-NOT:   bfp.dither
// CHECK:       nn.scale_dgrad
// CHECK-NOT:   bfp.dither
// CHECK:       func.func @eval_step
func.func @predict(%input: tensor<4x3xf32> {nn.name = "input", nn.role = "input"}, %mean: tensor<2xf32> {nn.name = "mean", nn.role = "statistic"}, %var: tensor<2xf32> {nn.name = "var", nn.role = "statistic"}, %w1: tensor<2x3xf32> {nn.name = "w1", nn.role = "weight"}, %g: tensor<2xf32> {nn.name = "g", nn.role = "weight"}, %b: tensor<2xf32> {nn.name = "b", nn.role = "weight"}, %w2: tensor<3x2xf32> {nn.name = "w2", nn.role = "weight"}) -> (tensor<4x3xf32> {nn.name = "logits", nn.role = "output"}) {
  %a = nn.gemm %input, %w1 : (tensor<4x3xf32>, tensor<2x3xf32>) -> tensor<4x2xf32>
  %m, %v = nn.batch_norm_recall %mean, %var, %a epsilon = 1.0e-05 momentum = 0.9 : (tensor<2xf32>, tensor<2xf32>, tensor<4x2xf32>) -> (tensor<2xf32>, tensor<2xf32>)
  %i = nn.batch_norm_inverse %v epsilon = 0.001 : (tensor<2xf32>) -> tensor<2xf32>
  %x = nn.normalise %a, %m, %i : (tensor<4x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
  %y = nn.batch_norm_scale %x, %g, %b : (tensor<4x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
  %z = nn.gemm %y, %w2 : (tensor<4x2xf32>, tensor<3x2xf32>) -> tensor<4x3xf32>
  func.return %z : tensor<4x3xf32>
}
