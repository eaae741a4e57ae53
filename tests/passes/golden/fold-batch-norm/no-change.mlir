// RUN: nitic opt --passes=fold-batch-norm
// Without batch normalisation nothing changes, not even a parameter that nothing reads.
// CHECK:       func.func @predict(%input
// CHECK-SAME:  nn.name = "idle"
// CHECK-NEXT:  %[[A:.*]] = nn.gemm %input, %w
// CHECK-NEXT:  func.return %[[A]]
// CHECK-NOT:   initial_values
func.func @predict(%input: tensor<4x3xf32> {nn.name = "input", nn.role = "input"}, %w: tensor<2x3xf32> {nn.name = "w", nn.role = "weight"}, %idle: tensor<2xf32> {nn.name = "idle", nn.role = "weight"}) -> (tensor<4x2xf32> {nn.name = "logits", nn.role = "output"}) {
  %a = nn.gemm %input, %w : (tensor<4x3xf32>, tensor<2x3xf32>) -> tensor<4x2xf32>
  func.return %a : tensor<4x2xf32>
}
