// RUN: nitic opt --passes=insert-backward
// What is broadcast, to a product or to a sum, gets the sum over the axes along which it is; a square gets both its errors.
// CHECK:       nn.cross_entropy
// CHECK-NEXT:  %[[DG:.*]] = nn.reduce_sum %[[DY:.*]] shape = [2] : (tensor<4x2xf32>) -> tensor<2xf32>
// CHECK-NEXT:  %[[DP:.*]] = nn.mul %[[DY]], %w : (tensor<4x2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
// CHECK-NEXT:  %[[DW:.*]] = nn.mul_sum %[[DY]], %{{.*}} shape = [2] : (tensor<4x2xf32>, tensor<4x2xf32>) -> tensor<2xf32>
// CHECK-NEXT:  %[[L:.*]] = nn.mul %[[DP]], %a
// CHECK-NEXT:  %[[R:.*]] = nn.mul %[[DP]], %a
// CHECK-NEXT:  nn.add %[[L]], %[[R]]
func.func @train_step(%x: tensor<4x2xf32> {nn.name = "input", nn.role = "input"}, %v: tensor<2xf32> {nn.name = "v", nn.role = "weight"}, %w: tensor<2xf32> {nn.name = "w", nn.role = "weight"}, %g: tensor<2xf32> {nn.name = "g", nn.role = "weight"}, %label: tensor<4xi32> {nn.name = "label", nn.role = "label"}) -> (tensor<f32> {nn.name = "loss", nn.role = "metric"}) {
  %a = nn.mul %x, %v : (tensor<4x2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
  %s = nn.mul %a, %a : (tensor<4x2xf32>, tensor<4x2xf32>) -> tensor<4x2xf32>
  %p = nn.mul %s, %w : (tensor<4x2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
  %e = nn.expand %g shape = [4, 2] : (tensor<2xf32>) -> tensor<4x2xf32>
  %y = nn.add %p, %e : (tensor<4x2xf32>, tensor<4x2xf32>) -> tensor<4x2xf32>
  %dlogits, %loss, %correct = nn.cross_entropy %y, %label : (tensor<4x2xf32>, tensor<4xi32>) -> (tensor<4x2xf32>, tensor<f32>, tensor<i32>)
  func.return %loss : tensor<f32>
}
