// RUN: nitic opt --passes=fold-batch-norm
// A layer without a bias takes beta for one; the values of weight and bias follow by a function beside the program.
// CHECK:       func.func @predict(%input{{.*}}, %w{{.*}}, %n.beta: tensor<2xf32> {nn.name = "n.beta", nn.role = "weight"}) -> (
// CHECK-NEXT:  %[[A:.*]] = nn.gemm %input, %w
// CHECK-NEXT:  %[[Y:.*]] = nn.bias %[[A]], %n.beta
// CHECK-NEXT:  func.return %[[Y]]
// CHECK:       builtin.module @initial_values {
// CHECK-NEXT:  func.func @fold_batch_norm(
// CHECK-SAME:  -> (tensor<2x3xf32> {nn.name = "w", nn.role = "weight"}, tensor<2xf32> {nn.name = "n.beta", nn.role = "weight"}) {
// CHECK-NEXT:  %[[I:.*]] = nn.batch_norm_inverse %n.var epsilon = 0.001
// CHECK-NEXT:  %[[F:.*]] = nn.mul %n.gamma, %[[I]]
// CHECK-NEXT:  %[[P:.*]] = nn.reshape %[[F]] shape = [2, 1]
// CHECK-NEXT:  %[[C:.*]] = nn.neg %n.mean
// CHECK-NEXT:  %[[S:.*]] = nn.mul %[[C]], %[[F]]
// CHECK-NEXT:  %[[B:.*]] = nn.add %[[S]], %n.beta
// CHECK-NEXT:  %[[W:.*]] = nn.mul %w, %[[P]]
// CHECK-NEXT:  func.return %[[W]], %[[B]]
func.func @predict(%input: tensor<4x3xf32> {nn.name = "input", nn.role = "input"}, %w: tensor<2x3xf32> {nn.name = "w", nn.role = "weight"}, %n.gamma: tensor<2xf32> {nn.name = "n.gamma", nn.role = "weight"}, %n.beta: tensor<2xf32> {nn.name = "n.beta", nn.role = "weight"}, %n.mean: tensor<2xf32> {nn.name = "n.mean", nn.role = "statistic"}, %n.var: tensor<2xf32> {nn.name = "n.var", nn.role = "statistic"}) -> (tensor<4x2xf32> {nn.name = "logits", nn.role = "output"}) {
  %a = nn.gemm %input, %w : (tensor<4x3xf32>, tensor<2x3xf32>) -> tensor<4x2xf32>
  %nm, %nv = nn.batch_norm_recall %n.mean, %n.var, %a epsilon = 1.0e-05 momentum = 0.9 : (tensor<2xf32>, tensor<2xf32>, tensor<4x2xf32>) -> (tensor<2xf32>, tensor<2xf32>)
  %ni = nn.batch_norm_inverse %nv epsilon = 0.001 : (tensor<2xf32>) -> tensor<2xf32>
  %nn = nn.normalise %a, %nm, %ni : (tensor<4x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
  %y = nn.batch_norm_scale %nn, %n.gamma, %n.beta : (tensor<4x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
  func.return %y : tensor<4x2xf32>
}
