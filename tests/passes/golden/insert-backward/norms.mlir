// RUN: nitic opt --passes=insert-backward
// The scale sends dy and gamma back apart. Where statistics are those of channels, as in batch norm, gamma joins the inverse
// behind the sums, which are the errors of beta and gamma; where they are those of rows, it is multiplied before.
// CHECK:       %[[DY:.*]], %loss, %correct = nn.mean_squared_error
// CHECK:       %[[DROWS:.*]] = nn.mul %[[DY]], %g2
// CHECK-NEXT:  %[[B:.*]] = nn.mul_sum %[[DROWS]], %xhat2 shape = [4, 1]
// CHECK-NEXT:  %[[A:.*]] = nn.reduce_sum %[[DROWS]] shape = [4, 1]
// CHECK-NEXT:  %[[MEAN:.*]] = nn.channel_mean %[[A]] count = 3
// CHECK-NEXT:  %[[SLOPE:.*]] = nn.channel_mean %[[B]] count = 3
// CHECK-NEXT:  %[[DX:.*]] = nn.batch_norm_dgrad %[[DROWS]], %xhat2, %inverse2, %[[SLOPE]], %[[MEAN]]
// CHECK-NEXT:  %[[DBETA:.*]] = nn.bias_grad %[[DX]]
// CHECK-NEXT:  %[[DGAMMA:.*]] = nn.scale_grad %[[DX]], %xhat1
// CHECK-NEXT:  %[[MEAN1:.*]] = nn.channel_mean %[[DBETA]] count = 4
// CHECK-NEXT:  %[[SLOPE1:.*]] = nn.channel_mean %[[DGAMMA]] count = 4
// CHECK-NEXT:  %[[FACTOR:.*]] = nn.channel_product %inverse1, %g1
// CHECK-NEXT:  %[[DACC:.*]] = nn.batch_norm_dgrad %[[DX]], %xhat1, %[[FACTOR]], %[[SLOPE1]], %[[MEAN1]]
// CHECK-NEXT:  nn.gemm_wgrad %input, %[[DACC]]
func.func @train_step(%input: tensor<4x3xf32> {nn.name = "input", nn.role = "input"}, %w: tensor<3x3xf32> {nn.name = "w", nn.role = "weight"}, %g1: tensor<3xf32> {nn.name = "g1", nn.role = "weight"}, %b1: tensor<3xf32> {nn.name = "b1", nn.role = "weight"}, %g2: tensor<3xf32> {nn.name = "g2", nn.role = "weight"}, %b2: tensor<3xf32> {nn.name = "b2", nn.role = "weight"}, %label: tensor<4xi32> {nn.name = "label", nn.role = "label"}) -> (tensor<f32> {nn.name = "loss", nn.role = "metric"}) {
  %acc = nn.gemm %input, %w : (tensor<4x3xf32>, tensor<3x3xf32>) -> tensor<4x3xf32>
  %mean1, %variance1 = nn.batch_norm_statistics %acc : (tensor<4x3xf32>) -> (tensor<3xf32>, tensor<3xf32>)
  %inverse1 = nn.batch_norm_inverse %variance1 epsilon = 0.001 : (tensor<3xf32>) -> tensor<3xf32>
  %xhat1 = nn.normalise %acc, %mean1, %inverse1 : (tensor<4x3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<4x3xf32>
  %y1 = nn.batch_norm_scale %xhat1, %g1, %b1 : (tensor<4x3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<4x3xf32>
  %mean2, %variance2 = nn.batch_norm_statistics %y1 shape = [4, 1] : (tensor<4x3xf32>) -> (tensor<4x1xf32>, tensor<4x1xf32>)
  %inverse2 = nn.batch_norm_inverse %variance2 epsilon = 0.001 : (tensor<4x1xf32>) -> tensor<4x1xf32>
  %xhat2 = nn.normalise %y1, %mean2, %inverse2 : (tensor<4x3xf32>, tensor<4x1xf32>, tensor<4x1xf32>) -> tensor<4x3xf32>
  %y2 = nn.batch_norm_scale %xhat2, %g2, %b2 : (tensor<4x3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<4x3xf32>
  %dlogits, %loss, %correct = nn.mean_squared_error %y2, %label : (tensor<4x3xf32>, tensor<4xi32>) -> (tensor<4x3xf32>, tensor<f32>, tensor<i32>)
  func.return %loss : tensor<f32>
}
