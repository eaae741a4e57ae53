// RUN: nitic opt --passes=insert-backward
// A frozen prefix costs its forward part only: no error goes past the first layer that trains.
// CHECK:       nn.gemm %input, %w1
// CHECK-NEXT:  %[[ACC:.*]] = nn.gemm %{{.*}}, %w2
// CHECK-NEXT:  %[[DY:.*]], %loss, %correct = nn.cross_entropy %[[ACC]]
// CHECK-NEXT:  %[[DW:.*]] = nn.gemm_wgrad %{{.*}}, %[[DY]]
// CHECK-NEXT:  func.return %loss, %[[DW]]
func.func @train_step(%input: tensor<2x2xf32> {nn.name = "input", nn.role = "input"}, %w1: tensor<2x2xf32> {nn.name = "w1", nn.role = "frozen"}, %w2: tensor<2x2xf32> {nn.name = "w2", nn.role = "weight"}, %label: tensor<2xi32> {nn.name = "label", nn.role = "label"}) -> (tensor<f32> {nn.name = "loss", nn.role = "metric"}) {
  %acc1 = nn.gemm %input, %w1 : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
  %acc2 = nn.gemm %acc1, %w2 : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
  %dlogits, %loss, %correct = nn.cross_entropy %acc2, %label : (tensor<2x2xf32>, tensor<2xi32>) -> (tensor<2x2xf32>, tensor<f32>, tensor<i32>)
  func.return %loss : tensor<f32>
}
