// RUN: nitic opt --passes=insert-loss,insert-rounding
// A batch norm takes int16 mantissas of what was moved, too: the accumulator is rounded once, to 15 bits, and moved as that.
// CHECK-LABEL: @train_step
// CHECK:       %[[ACC:.*]] = nn.gemm
// CHECK-NEXT:  %[[R:.*]] = bfp.range %[[ACC]]
// CHECK:       %[[S:.*]] = bfp.shift %[[R]] bits = 15
// CHECK-NEXT:  %[[X:.*]] = bfp.round_shift %[[ACC]], %[[S]] round = nearest to = i16
// CHECK-NEXT:  %[[V:.*]] = nn.reshape %[[X]] {{.*}} -> tensor<2x2x3xi16>
// CHECK-NEXT:  %[[T:.*]] = nn.transpose %[[V]] {{.*}} -> tensor<2x3x2xi16>
// CHECK-NEXT:  nn.batch_norm_statistics %[[T]]
// CHECK-NOT:   nn.transpose
// CHECK:       nn.normalise %[[T]]
// CHECK:       func.func @eval_step
// CHECK:       %[[ACC:.*]] = nn.gemm
// CHECK:       bfp.static_shift %fc.top, %{{.*}} bits = 15
// CHECK-NEXT:  bfp.round_shift %[[ACC]], %{{.*}} round = nearest to = i16
// CHECK-NEXT:  nn.reshape {{.*}} -> tensor<2x2x3xi16>
// CHECK-NEXT:  nn.transpose {{.*}} -> tensor<2x3x2xi16>
func.func @predict(%input: tensor<2x3xf32> {nn.name = "input", nn.role = "input"}, %mean: tensor<2xf32> {nn.name = "mean", nn.role = "statistic"}, %var: tensor<2xf32> {nn.name = "var", nn.role = "statistic"}, %w1: tensor<6x3xf32> {nn.name = "w1", nn.role = "weight"}, %g: tensor<2xf32> {nn.name = "g", nn.role = "weight"}, %b: tensor<2xf32> {nn.name = "b", nn.role = "weight"}, %w2: tensor<3x6xf32> {nn.name = "w2", nn.role = "weight"}) -> (tensor<2x3xf32> {nn.name = "logits", nn.role = "output"}) {
  %acc = nn.gemm %input, %w1 : (tensor<2x3xf32>, tensor<6x3xf32>) -> tensor<2x6xf32> loc("fc")
  %r = nn.reshape %acc shape = [2, 2, 3] : (tensor<2x6xf32>) -> tensor<2x2x3xf32>
  %a = nn.transpose %r perm = [0, 2, 1] : (tensor<2x2x3xf32>) -> tensor<2x3x2xf32>
  %m, %v = nn.batch_norm_recall %mean, %var, %a epsilon = 1.0e-05 momentum = 0.9 : (tensor<2xf32>, tensor<2xf32>, tensor<2x3x2xf32>) -> (tensor<2xf32>, tensor<2xf32>)
  %i = nn.batch_norm_inverse %v epsilon = 0.001 : (tensor<2xf32>) -> tensor<2xf32>
  %x = nn.normalise %a, %m, %i : (tensor<2x3x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<2x3x2xf32>
  %y = nn.batch_norm_scale %x, %g, %b : (tensor<2x3x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<2x3x2xf32>
  %f = nn.reshape %y shape = [2, 6] : (tensor<2x3x2xf32>) -> tensor<2x6xf32>
  %z = nn.gemm %f, %w2 : (tensor<2x6xf32>, tensor<3x6xf32>) -> tensor<2x3xf32>
  func.return %z : tensor<2x3xf32>
}
