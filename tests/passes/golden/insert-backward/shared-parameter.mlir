// RUN: nitic opt --passes=insert-backward,insert-rounding
// Gradients of one parameter stay accumulators: the one that is transposed back, and their sum.
// CHECK:       nn.transpose %w perm = [1, 0] : (tensor<2x2xi8>) -> tensor<2x2xi8>
// CHECK:       %[[B:.*]] = nn.gemm_wgrad {{.*}} -> tensor<2x2xi32>
// CHECK:       %[[A:.*]] = nn.transpose %[[B]] perm = [1, 0] : (tensor<2x2xi32>) -> tensor<2x2xi32>
// CHECK:       %[[C:.*]] = nn.gemm_wgrad {{.*}} -> tensor<2x2xi32>
// CHECK:       %[[E:.*]] = bfp.exp_sum
// CHECK-NEXT:  nn.accumulate %[[A]], %[[C]], {{.*}}, %[[E]]
func.func @train_step(%input: tensor<2x2xf32> {nn.name = "input", nn.role = "input"}, %w: tensor<2x2xf32> {nn.name = "w", nn.role = "weight"}, %label: tensor<2xi32> {nn.name = "label", nn.role = "label"}) -> (tensor<f32> {nn.name = "loss", nn.role = "metric"}) {
  %acc1 = nn.gemm %input, %w : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
  %wt = nn.transpose %w perm = [1, 0] : (tensor<2x2xf32>) -> tensor<2x2xf32>
  %acc2 = nn.gemm %acc1, %wt : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
  %dlogits, %loss, %correct = nn.cross_entropy %acc2, %label : (tensor<2x2xf32>, tensor<2xi32>) -> (tensor<2x2xf32>, tensor<f32>, tensor<i32>)
  func.return %loss : tensor<f32>
}
