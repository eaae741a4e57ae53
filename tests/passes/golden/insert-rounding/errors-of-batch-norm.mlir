// RUN: nitic opt --passes=insert-loss,insert-backward,insert-rounding
// Where a batch norm takes the statistics of its batch, errors are dithered, each with a stream of its own; what they begin
// with comes first. Activations, masters and what belongs to a channel are still rounded to nearest, and all of inference.
// CHECK:       func.func @train_step
// CHECK-NEXT:  %[[A:.*]] = bfp.dither %seed, %step stream = 65536 : (tensor<i64>, tensor<i32>) -> !bfp.exp
// CHECK-NEXT:  %[[B:.*]] = bfp.dither %seed, %step stream = 65537
// CHECK-NOT:   round = dithered
// CHECK:       nn.cross_entropy
// CHECK:       %[[Y:.*]] = nn.gemm_dgrad
// CHECK:       bfp.round_shift %[[Y]], %{{.*}}, %[[A]] round = dithered to = i8
// CHECK:       nn.channel_product
// CHECK:       bfp.round_shift {{.*}} round = nearest to = i32
// CHECK:       %[[X:.*]] = nn.batch_norm_dgrad
// CHECK:       bfp.round_shift %[[X]], %{{.*}}, %[[B]] round = dithered to = i8
// CHECK:       func.func @eval_step
// CHECK-NOT:   bfp.dither
func.func @predict(%input: tensor<4x3xf32> {nn.name = "input", nn.role = "input"}, %mean: tensor<2xf32> {nn.name = "mean", nn.role = "statistic"}, %var: tensor<2xf32> {nn.name = "var", nn.role = "statistic"}, %w1: tensor<2x3xf32> {nn.name = "w1", nn.role = "weight"}, %g: tensor<2xf32> {nn.name = "g", nn.role = "weight"}, %b: tensor<2xf32> {nn.name = "b", nn.role = "weight"}, %w2: tensor<3x2xf32> {nn.name = "w2", nn.role = "weight"}) -> (tensor<4x3xf32> {nn.name = "logits", nn.role = "output"}) {
  %a = nn.gemm %input, %w1 : (tensor<4x3xf32>, tensor<2x3xf32>) -> tensor<4x2xf32>
  %m, %v = nn.batch_norm_recall %mean, %var, %a epsilon = 1.0e-05 momentum = 0.9 : (tensor<2xf32>, tensor<2xf32>, tensor<4x2xf32>) -> (tensor<2xf32>, tensor<2xf32>)
  %i = nn.batch_norm_inverse %v epsilon = 0.001 : (tensor<2xf32>) -> tensor<2xf32>
  %x = nn.normalise %a, %m, %i : (tensor<4x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
  %y = nn.batch_norm_scale %x, %g, %b : (tensor<4x2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
  %z = nn.gemm %y, %w2 : (tensor<4x2xf32>, tensor<3x2xf32>) -> tensor<4x3xf32>
  func.return %z : tensor<4x3xf32>
}
