// RUN: nitic opt --passes=insert-loss,insert-rounding
// What a residual connection reads as int8 mantissas is moved as those, and for the batch norm again as int16 ones.
// CHECK-LABEL: @train_step
// CHECK:       %[[ACC:.*]] = nn.gemm
// CHECK:       %[[M8:.*]] = bfp.round_shift %[[ACC]], %{{.*}} to = i8
// CHECK-NEXT:  %[[V8:.*]] = nn.reshape %[[M8]]
// CHECK-NEXT:  %[[T8:.*]] = nn.transpose %[[V8]]
// CHECK:       %[[M16:.*]] = bfp.round_shift %[[ACC]], %{{.*}} to = i16
// CHECK-NEXT:  %[[V16:.*]] = nn.reshape %[[M16]]
// CHECK-NEXT:  %[[T16:.*]] = nn.transpose %[[V16]]
// CHECK-NEXT:  nn.batch_norm_statistics %[[T16]]
// CHECK:       nn.normalise %[[T16]]
// CHECK:       nn.add %{{.*}}, %[[T8]]
func.func @predict(%input: tensor<2x3xf32> {nn.name = "input", nn.role = "input"}, %mean: tensor<2xf32> {nn.name = "mean", nn.role = "statistic"}, %var: tensor<2xf32> {nn.name = "var", nn.role = "statistic"}, %w1: tensor<6x3xf32> {nn.name = "w1", nn.role = "weight"}, %g: tensor<2xf32> {nn.name = "g", nn.role = "weight"}, %b: tensor<2xf32> {nn.name = "b", nn.role = "weight"}, %w2: tensor<3x6xf32> {nn.name = "w2", nn.role = "weight"}) -> (tensor<2x3xf32> {nn.name = "logits", nn.role = "output"}) {
  %acc = nn.gemm %input, %w1 : (tensor<2x3xf32>, tensor<6x3xf32>) -> tensor<2x6xf32> loc("fc")
  %r = nn.reshape %acc shape = [2, 2, 3] : (tensor<2x6xf32>) -> tensor<2x2x3xf32>
  %a = nn.transpose %r perm = [0, 2, 1] : (tensor<2x2x3xf32>) -> tensor<2x3x2xf32>
  %m, %v = nn.batch_norm_recall %mean, %var, %a epsilon = 1.0e-05 momentum = 0.9 : (tensor<2xf32>, tensor<2xf32>, tensor<2x3x2xf32>) -> (tensor<2xf32>, tensor<2xf32>)
  %i = nn.batch_norm_inverse %v epsilon = 0.001 : (tensor<2xf32>) -> tensor<2xf32>
  %x = nn.normalise %a, %m, %i : (tensor<2x3x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<2x3x2xf32>
  %y = nn.batch_norm_scale %x, %g, %b : (tensor<2x3x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<2x3x2xf32>
  %c = nn.add %y, %a : (tensor<2x3x2xf32>, tensor<2x3x2xf32>) -> tensor<2x3x2xf32>
  %f = nn.reshape %c shape = [2, 6] : (tensor<2x3x2xf32>) -> tensor<2x6xf32>
  %z = nn.gemm %f, %w2 : (tensor<2x6xf32>, tensor<3x6xf32>) -> tensor<2x3xf32>
  func.return %z : tensor<2x3xf32>
}
