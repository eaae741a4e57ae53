// RUN: nitic opt --passes=insert-backward
// Errors run from the loss to the first parameter, each node's rule in turn; nobody needs the error of the input.
// CHECK:       tensor<4x3xf32> {nn.name = "w1.gradient", nn.role = "gradient"}
// CHECK-SAME:  tensor<4xf32> {nn.name = "b1.gradient", nn.role = "gradient"}
// CHECK-SAME:  tensor<2x4xf32> {nn.name = "w2.gradient", nn.role = "gradient"}
// CHECK:       %[[A1:.*]] = nn.relu
// CHECK:       %[[DY:.*]], %{{.*}}, %{{.*}} = nn.cross_entropy
// CHECK-NEXT:  %[[DA1:.*]] = nn.gemm_dgrad %[[DY]], %w2
// CHECK-NEXT:  %[[DW2:.*]] = nn.gemm_wgrad %[[A1]], %[[DY]]
// CHECK-NEXT:  %[[DACC1:.*]] = nn.relu_dgrad %[[DA1]], %[[A1]]
// CHECK-NEXT:  %[[DB1:.*]] = nn.bias_grad %[[DACC1]]
// CHECK-NEXT:  %[[DW1:.*]] = nn.gemm_wgrad %input, %[[DACC1]]
// CHECK-NEXT:  func.return %{{.*}}, %[[DW1]], %[[DB1]], %[[DW2]] :
func.func @train_step(%input: tensor<2x3xf32> {nn.name = "input", nn.role = "input"}, %w1: tensor<4x3xf32> {nn.name = "w1", nn.role = "weight"}, %b1: tensor<4xf32> {nn.name = "b1", nn.role = "weight"}, %w2: tensor<2x4xf32> {nn.name = "w2", nn.role = "weight"}, %label: tensor<2xi32> {nn.name = "label", nn.role = "label"}) -> (tensor<f32> {nn.name = "loss", nn.role = "metric"}) {
  %acc1 = nn.gemm %input, %w1 : (tensor<2x3xf32>, tensor<4x3xf32>) -> tensor<2x4xf32>
  %bias1 = nn.bias %acc1, %b1 : (tensor<2x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  %a1 = nn.relu %bias1 : (tensor<2x4xf32>) -> tensor<2x4xf32>
  %acc2 = nn.gemm %a1, %w2 : (tensor<2x4xf32>, tensor<2x4xf32>) -> tensor<2x2xf32>
  %dlogits, %loss, %correct = nn.cross_entropy %acc2, %label : (tensor<2x2xf32>, tensor<2xi32>) -> (tensor<2x2xf32>, tensor<f32>, tensor<i32>)
  func.return %loss : tensor<f32>
}
