// RUN: nitic opt --passes=insert-loss{statistics=running},insert-backward
// A training step recalls the running statistics, returns none, and its errors pass them as a factor per channel.
// CHECK:       func.func @train_step
// CHECK:       %[[M:.*]], %[[V:.*]] = nn.batch_norm_recall %mean, %var, %{{.*}} momentum = 0.9
// CHECK-NOT:   nn.batch_norm_running
// CHECK:       %[[F:.*]] = nn.channel_product %{{.*}}, %g
// CHECK-NEXT:  %[[DX:.*]] = nn.scale_dgrad %{{.*}}, %[[F]]
// CHECK-NEXT:  nn.gemm_wgrad %input, %[[DX]]
// CHECK:       func.func @eval_step
func.func @predict(%input: tensor<4x3xf32> {nn.name = "input", nn.role = "input"}, %w: tensor<3x3xf32> {nn.name = "w", nn.role = "weight"}, %mean: tensor<3xf32> {nn.name = "mean", nn.role = "statistic"}, %var: tensor<3xf32> {nn.name = "var", nn.role = "statistic"}, %g: tensor<3xf32> {nn.name = "g", nn.role = "weight"}, %b: tensor<3xf32> {nn.name = "b", nn.role = "weight"}) -> (tensor<4x3xf32> {nn.name = "logits", nn.role = "output"}) {
  %a = nn.gemm %input, %w : (tensor<4x3xf32>, tensor<3x3xf32>) -> tensor<4x3xf32>
  %m, %v = nn.batch_norm_recall %mean, %var, %a epsilon = 1.0e-05 momentum = 0.9 : (tensor<3xf32>, tensor<3xf32>, tensor<4x3xf32>) -> (tensor<3xf32>, tensor<3xf32>)
  %i = nn.batch_norm_inverse %v epsilon = 0.001 : (tensor<3xf32>) -> tensor<3xf32>
  %x = nn.normalise %a, %m, %i : (tensor<4x3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<4x3xf32>
  %y = nn.batch_norm_scale %x, %g, %b : (tensor<4x3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<4x3xf32>
  func.return %y : tensor<4x3xf32>
}
