// RUN: nitic opt --passes=insert-loss
// @predict gets two siblings with labels, loss and count; dropout draws its mask in @train_step and is gone elsewhere.
// CHECK-LABEL: @train_step
// CHECK-SAME:    %label: tensor<2xi32> {nn.name = "label", nn.role = "label"}
// CHECK-SAME:    %seed: tensor<i64>
// CHECK-SAME:    %step: tensor<i32>
// CHECK-SAME:    -> (tensor<f32> {nn.name = "loss", nn.role = "metric"}, tensor<i32> {nn.name = "correct", nn.role = "metric"})
// CHECK:         %[[D1:.*]] = nn.dropout %input, %seed, %step p = 0.5 stream = 1
// CHECK-NEXT:    %[[D2:.*]] = nn.dropout %[[D1]], %seed, %step p = 0.25 stream = 2
// CHECK-NEXT:    %[[Y:.*]] = nn.gemm %[[D2]], %w
// CHECK-NEXT:    %{{.*}}, %[[LOSS:.*]], %[[CORRECT:.*]] = nn.cross_entropy %[[Y]], %label
// CHECK-NEXT:    func.return %[[LOSS]], %[[CORRECT]]
// CHECK-LABEL: @eval_step
// CHECK-NOT:     nn.dropout
// CHECK:         nn.cross_entropy
// CHECK-LABEL: @predict
// CHECK-NOT:     nn.dropout
// CHECK-NOT:     nn.cross_entropy
// CHECK:         %[[Y:.*]] = nn.gemm %input, %w
// CHECK-NEXT:    func.return %[[Y]]
func.func @predict(%input: tensor<2x3xf32> {nn.name = "input", nn.role = "input"}, %w: tensor<4x3xf32> {nn.name = "w", nn.role = "weight"}) -> (tensor<2x4xf32> {nn.name = "output", nn.role = "output"}) {
  %d1 = nn.dropout %input p = 0.5 : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %d2 = nn.dropout %d1 p = 0.25 : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %y = nn.gemm %d2, %w : (tensor<2x3xf32>, tensor<4x3xf32>) -> tensor<2x4xf32>
  func.return %y : tensor<2x4xf32>
}
