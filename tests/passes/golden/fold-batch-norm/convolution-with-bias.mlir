// RUN: nitic opt --passes=fold-batch-norm
// The bias of the layer stays the bias, and beta goes; what others read of the network is left alone.
// CHECK:       func.func @predict(%input
// CHECK-NOT:   statistic
// CHECK-SAME:  %b: tensor<3xf32> {nn.name = "b", nn.role = "weight"}) -> (
// CHECK-NEXT:  %[[A:.*]] = nn.conv %input, %w
// CHECK-NEXT:  %[[C:.*]] = nn.bias %[[A]], %b
// CHECK-NEXT:  nn.relu %[[C]]
// CHECK:       func.func @fold_batch_norm(
// CHECK-SAME:  -> (tensor<3x3x3x2xf32> {nn.name = "w", nn.role = "weight"}, tensor<3xf32> {nn.name = "b", nn.role = "weight"}) {
// CHECK:       nn.reshape %{{.*}} shape = [3, 1, 1, 1]
// CHECK:       %[[M:.*]] = nn.neg %n.mean
// CHECK-NEXT:  %[[C:.*]] = nn.add %b, %[[M]]
// CHECK-NEXT:  %[[S:.*]] = nn.mul %[[C]], %{{.*}}
// CHECK-NEXT:  nn.add %[[S]], %n.beta
func.func @predict(%input: tensor<1x4x4x2xf32> {nn.name = "input", nn.role = "input"}, %w: tensor<3x3x3x2xf32> {nn.name = "w", nn.role = "weight"}, %b: tensor<3xf32> {nn.name = "b", nn.role = "weight"}, %n.gamma: tensor<3xf32> {nn.name = "n.gamma", nn.role = "weight"}, %n.beta: tensor<3xf32> {nn.name = "n.beta", nn.role = "weight"}, %n.mean: tensor<3xf32> {nn.name = "n.mean", nn.role = "statistic"}, %n.var: tensor<3xf32> {nn.name = "n.var", nn.role = "statistic"}) -> (tensor<1x48xf32> {nn.name = "logits", nn.role = "output"}) {
  %a = nn.conv %input, %w dilations = [1, 1] groups = 1 pads = [1, 1, 1, 1] strides = [1, 1] : (tensor<1x4x4x2xf32>, tensor<3x3x3x2xf32>) -> tensor<1x4x4x3xf32>
  %c = nn.bias %a, %b : (tensor<1x4x4x3xf32>, tensor<3xf32>) -> tensor<1x4x4x3xf32>
  %nm, %nv = nn.batch_norm_recall %n.mean, %n.var, %c epsilon = 1.0e-05 momentum = 0.9 : (tensor<3xf32>, tensor<3xf32>, tensor<1x4x4x3xf32>) -> (tensor<3xf32>, tensor<3xf32>)
  %ni = nn.batch_norm_inverse %nv epsilon = 0.001 : (tensor<3xf32>) -> tensor<3xf32>
  %nn = nn.normalise %c, %nm, %ni : (tensor<1x4x4x3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<1x4x4x3xf32>
  %y = nn.batch_norm_scale %nn, %n.gamma, %n.beta : (tensor<1x4x4x3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<1x4x4x3xf32>
  %r = nn.relu %y : (tensor<1x4x4x3xf32>) -> tensor<1x4x4x3xf32>
  %f = nn.reshape %r shape = [1, 48] : (tensor<1x4x4x3xf32>) -> tensor<1x48xf32>
  func.return %f : tensor<1x48xf32>
}
