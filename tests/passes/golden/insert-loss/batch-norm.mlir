// RUN: nitic opt --passes=insert-loss
// A training step takes the statistics of its batch, and the running ones follow; inference recalls those.
// CHECK:       func.func @train_step
// CHECK-NOT:   nn.batch_norm_recall
// CHECK:       %[[M:.*]], %[[V:.*]] = nn.batch_norm_statistics %input
// CHECK-NEXT:  %[[RM:.*]] = nn.batch_norm_running %mean, %[[M]] momentum = 0.9
// CHECK-NEXT:  %[[RV:.*]] = nn.batch_norm_running %var, %[[V]] momentum = 0.9
// CHECK-NEXT:  %[[I:.*]] = nn.batch_norm_inverse %[[V]]
// CHECK-NEXT:  nn.normalise %input, %[[M]], %[[I]]
// CHECK:       func.return %loss, %correct, %[[RM]], %[[RV]]
// CHECK:       func.func @eval_step
// CHECK:       nn.batch_norm_recall %mean, %var, %input
// CHECK-NOT:   nn.batch_norm_running
func.func @predict(%input: tensor<4x3xf32> {nn.name = "input", nn.role = "input"}, %mean: tensor<3xf32> {nn.name = "mean", nn.role = "statistic"}, %var: tensor<3xf32> {nn.name = "var", nn.role = "statistic"}, %g: tensor<3xf32> {nn.name = "g", nn.role = "weight"}, %b: tensor<3xf32> {nn.name = "b", nn.role = "weight"}) -> (tensor<4x3xf32> {nn.name = "logits", nn.role = "output"}) {
  %m, %v = nn.batch_norm_recall %mean, %var, %input epsilon = 1.0e-05 momentum = 0.9 : (tensor<3xf32>, tensor<3xf32>, tensor<4x3xf32>) -> (tensor<3xf32>, tensor<3xf32>)
  %i = nn.batch_norm_inverse %v epsilon = 0.001 : (tensor<3xf32>) -> tensor<3xf32>
  %x = nn.normalise %input, %m, %i : (tensor<4x3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<4x3xf32>
  %y = nn.batch_norm_scale %x, %g, %b : (tensor<4x3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<4x3xf32>
  func.return %y : tensor<4x3xf32>
}
