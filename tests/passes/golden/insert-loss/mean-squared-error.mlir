// RUN: nitic opt --passes=insert-loss{loss=mse},insert-rounding
// Another loss. In integers its error is an accumulator, which is requantised as any other. Where all logits are zero, their
// exponent does not count: the target keeps its bits.
// CHECK-LABEL: @train_step
// CHECK:         %[[E:.*]] = bfp.exponent_of %[[Y:.*]] : (tensor<2x4xi8>)
// CHECK-NEXT:    %[[ONE:.*]] = bfp.exp_const value = 0
// CHECK-NEXT:    %[[COMMON:.*]] = bfp.exp_common %[[ONE]], %[[E]], %[[LR:.*]], %[[LR]]
// CHECK-NEXT:    %{{.*}}, %[[LOSS:.*]], %[[CORRECT:.*]] = nn.mean_squared_error %[[Y]], %label, %[[E]], %[[COMMON]] {{.*}} -> (tensor<2x4xi32>, tensor<i64>, tensor<i32>)
// CHECK:         func.return %[[LOSS]], %[[CORRECT]]
// CHECK-LABEL: @predict
// CHECK-NOT:     nn.mean_squared_error
func.func @predict(%input: tensor<2x3xf32> {nn.name = "input", nn.role = "input"}, %w: tensor<4x3xf32> {nn.name = "w", nn.role = "weight"}) -> (tensor<2x4xf32> {nn.name = "output", nn.role = "output"}) {
  %y = nn.gemm %input, %w : (tensor<2x3xf32>, tensor<4x3xf32>) -> tensor<2x4xf32>
  func.return %y : tensor<2x4xf32>
}
