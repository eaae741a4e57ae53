// RUN: nitic opt --passes=insert-rounding{bits=6,activations=pseudo_stochastic,errors=stochastic}
// Activations and errors have roundings of their own; a stochastic one takes seed and step, and a stream beyond dropout's.
// An int8 weight is no accumulator: it is not rounded. A gradient stays an accumulator, and comes with its exponent.
// CHECK:       %seed: tensor<i64> {nn.name = "seed", nn.role = "hyper"}
// CHECK-SAME:  %step: tensor<i32> {nn.name = "step", nn.role = "hyper"}
// CHECK-SAME:  !bfp.exp {nn.name = "w1.gradient.exponent", nn.role = "gradient"}
// CHECK:       %[[ACC1:.*]] = nn.gemm %{{.*}}, %w1
// CHECK:       bfp.shift %{{.*}} bits = 6
// CHECK:       bfp.round_shift %[[ACC1]], %{{.*}} round = pseudo_stochastic to = i8
// CHECK:       bfp.round_shift %{{.*}}, %{{.*}} round = pseudo_stochastic to = i8
// CHECK:       %[[DA:.*]] = nn.gemm_dgrad
// CHECK-NEXT:  %[[R:.*]] = bfp.range %[[DA]]
// CHECK-NEXT:  %[[S:.*]] = bfp.shift %[[R]] bits = 6
// CHECK-NEXT:  %[[DA8:.*]] = bfp.round_shift %[[DA]], %[[S]], %seed, %step round = stochastic stream = 65536 to = i8
// CHECK-NEXT:  %[[DW:.*]] = nn.gemm_wgrad %{{.*}}, %[[DA8]] {{.*}} -> tensor<4x3xi32>
// CHECK-NEXT:  %[[E:.*]] = bfp.exponent_of %[[DW]]
// CHECK-NEXT:  func.return %{{.*}}, %[[DW]], %[[E]] :
func.func @train_step(%input: tensor<2x3xf32> {nn.name = "input", nn.role = "input"}, %w1: tensor<4x3xf32> {nn.name = "w1", nn.role = "weight"}, %w2: tensor<2x4xf32> {nn.name = "w2", nn.role = "weight"}, %label: tensor<2xi32> {nn.name = "label", nn.role = "label"}) -> (tensor<f32> {nn.name = "loss", nn.role = "metric"}, tensor<4x3xf32> {nn.name = "w1.gradient", nn.role = "gradient"}) {
  %acc1 = nn.gemm %input, %w1 : (tensor<2x3xf32>, tensor<4x3xf32>) -> tensor<2x4xf32>
  %y = nn.gemm %acc1, %w2 : (tensor<2x4xf32>, tensor<2x4xf32>) -> tensor<2x2xf32>
  %dlogits, %loss, %correct = nn.cross_entropy %y, %label : (tensor<2x2xf32>, tensor<2xi32>) -> (tensor<2x2xf32>, tensor<f32>, tensor<i32>)
  %da = nn.gemm_dgrad %dlogits, %w2 : (tensor<2x2xf32>, tensor<2x4xf32>) -> tensor<2x4xf32>
  %dw1 = nn.gemm_wgrad %input, %da : (tensor<2x3xf32>, tensor<2x4xf32>) -> tensor<4x3xf32>
  func.return %loss, %dw1 : tensor<f32>, tensor<4x3xf32>
}
