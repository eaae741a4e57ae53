// RUN: nitic opt --passes=insert-loss,insert-backward,insert-rounding
// In a function with a norm of rows sums take int16 mantissas, forward and backward, and errors that become int8 are dithered.
// CHECK-LABEL: @train_step
// CHECK:       %[[A:.*]] = bfp.round_shift %first.gemm, %{{.*}} round = nearest to = i16
// CHECK:       nn.row_statistics %[[A]]
// CHECK:       nn.row_scale
// CHECK:       %[[Z:.*]] = bfp.round_shift %second.gemm, %{{.*}} round = nearest to = i16
// CHECK:       %[[S:.*]] = nn.wide_add %[[A]], %[[Z]]
// CHECK:       bfp.round_shift %[[S]], %{{.*}} round = nearest to = i8
// CHECK:       bfp.round_shift %second.gemm_dgrad, %{{.*}} round = dithered to = i8
// CHECK:       %[[E:.*]] = nn.row_norm_error
// CHECK:       %[[T:.*]] = bfp.row_tops %[[E]]
// CHECK-NEXT:  %[[R:.*]] = bfp.range %[[T]]
// CHECK-NEXT:  %[[M:.*]] = bfp.row_shift %[[R]] bits = 15
// CHECK-NEXT:  %[[D:.*]] = bfp.row_round_shift %[[E]], %{{.*}}, %[[M]]
// CHECK:       %[[F:.*]] = nn.wide_add %cross_entropy, %[[D]]
// CHECK:       bfp.round_shift %[[F]], %{{.*}} round = dithered to = i8
func.func @predict(%input: tensor<2x3xf32> {nn.name = "input", nn.role = "input"}, %w1: tensor<3x3xf32> {nn.name = "w1", nn.role = "weight"}, %g: tensor<3xf32> {nn.name = "g", nn.role = "weight"}, %w2: tensor<3x3xf32> {nn.name = "w2", nn.role = "weight"}) -> (tensor<2x3xf32> {nn.name = "logits", nn.role = "output"}) {
  %a = nn.gemm %input, %w1 : (tensor<2x3xf32>, tensor<3x3xf32>) -> tensor<2x3xf32> loc("first")
  %t, %i, %h = nn.row_statistics %a centred = 1 epsilon = 1.0e-05 : (tensor<2x3xf32>) -> (tensor<2x1xf32>, tensor<2x1xf32>, tensor<2x1xf32>)
  %x = nn.row_normalise %a, %t, %i, %h centred = 1 : (tensor<2x3xf32>, tensor<2x1xf32>, tensor<2x1xf32>, tensor<2x1xf32>) -> tensor<2x3xf32>
  %y = nn.row_scale %x, %g : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  %z = nn.gemm %y, %w2 : (tensor<2x3xf32>, tensor<3x3xf32>) -> tensor<2x3xf32> loc("second")
  %s = nn.add %a, %z : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32> loc("sum")
  func.return %s : tensor<2x3xf32>
}
