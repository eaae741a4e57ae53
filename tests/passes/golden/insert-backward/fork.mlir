// RUN: nitic opt --passes=insert-backward
// Two errors meet at the output of the first layer: their sum goes on.
// CHECK:       %[[A:.*]] = nn.gemm_dgrad %dlogits, %acc1
// CHECK-NEXT:  %[[B:.*]] = nn.gemm_wgrad %acc1, %dlogits
// CHECK-NEXT:  %[[SUM:.*]] = nn.add %[[A]], %[[B]]
// CHECK-NEXT:  nn.gemm_wgrad %input, %[[SUM]]
func.func @train_step(%input: tensor<2x2xf32> {nn.name = "input", nn.role = "input"}, %w1: tensor<2x2xf32> {nn.name = "w1", nn.role = "weight"}, %label: tensor<2xi32> {nn.name = "label", nn.role = "label"}) -> (tensor<f32> {nn.name = "loss", nn.role = "metric"}) {
  %acc1 = nn.gemm %input, %w1 : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
  %acc2 = nn.gemm %acc1, %acc1 : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32> loc("skip")
  %dlogits, %loss, %correct = nn.cross_entropy %acc2, %label : (tensor<2x2xf32>, tensor<2xi32>) -> (tensor<2x2xf32>, tensor<f32>, tensor<i32>)
  func.return %loss : tensor<f32>
}
