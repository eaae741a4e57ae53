// RUN: nitic opt --passes=insert-backward,join-slices
// The errors of slices that make up the whole are joined, in the order of the slices; those of others are padded and added.
// CHECK:       %[[B:.*]] = nn.neg %dlogits
// CHECK-NEXT:  %[[WHOLE:.*]] = nn.concat %dlogits, %[[B]] axis = 1
// CHECK-NEXT:  %[[P:.*]] = nn.pad %[[WHOLE]] after = [0, 0] before = [0, 2]
// CHECK-NEXT:  %[[Q:.*]] = nn.pad %[[WHOLE]] after = [0, 1] before = [0, 1]
// CHECK-NEXT:  %[[SUM:.*]] = nn.add %[[P]], %[[Q]]
// CHECK-NEXT:  nn.gemm_wgrad %input, %[[SUM]]
func.func @train_step(%input: tensor<2x3xf32> {nn.name = "input", nn.role = "input"}, %w: tensor<6x3xf32> {nn.name = "w", nn.role = "weight"}, %label: tensor<2xi32> {nn.name = "label", nn.role = "label"}) -> (tensor<f32> {nn.name = "loss", nn.role = "metric"}) {
  %acc = nn.gemm %input, %w : (tensor<2x3xf32>, tensor<6x3xf32>) -> tensor<2x6xf32>
  %x = nn.slice %acc starts = [0, 1] stops = [2, 5] steps = [1, 1] : (tensor<2x6xf32>) -> tensor<2x4xf32>
  %y = nn.slice %acc starts = [0, 2] stops = [2, 6] steps = [1, 1] : (tensor<2x6xf32>) -> tensor<2x4xf32>
  %z = nn.add %x, %y : (tensor<2x4xf32>, tensor<2x4xf32>) -> tensor<2x4xf32>
  %b = nn.slice %z starts = [0, 2] stops = [2, 4] steps = [1, 1] : (tensor<2x4xf32>) -> tensor<2x2xf32>
  %a = nn.slice %z starts = [0, 0] stops = [2, 2] steps = [1, 1] : (tensor<2x4xf32>) -> tensor<2x2xf32>
  %n = nn.neg %b : (tensor<2x2xf32>) -> tensor<2x2xf32>
  %logits = nn.add %a, %n : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
  %dlogits, %loss, %correct = nn.cross_entropy %logits, %label : (tensor<2x2xf32>, tensor<2xi32>) -> (tensor<2x2xf32>, tensor<f32>, tensor<i32>)
  func.return %loss : tensor<f32>
}
