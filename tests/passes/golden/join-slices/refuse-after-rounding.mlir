// RUN: nitic opt --passes=fuse,join-slices
// The pass works on floats, one operator at a time.
// ERROR: nn.fused in @train_step is of a later stage: this pass works on floats
// ERROR:   note: raised around join-slices
func.func @train_step(%input: tensor<2x2xf32> {nn.name = "input", nn.role = "input"}, %w1: tensor<2x2xf32> {nn.name = "w1", nn.role = "weight"}, %w2: tensor<2x2xf32> {nn.name = "w2", nn.role = "weight"}, %label: tensor<2xi32> {nn.name = "label", nn.role = "label"}) -> (tensor<f32> {nn.name = "loss", nn.role = "metric"}) {
  %acc1 = nn.gemm %input, %w1 : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
  %dlogits, %loss, %correct = nn.cross_entropy %acc1, %label : (tensor<2x2xf32>, tensor<2xi32>) -> (tensor<2x2xf32>, tensor<f32>, tensor<i32>)
  func.return %loss : tensor<f32>
}
