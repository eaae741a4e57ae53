// RUN: nitic opt --passes=insert-rounding
// An update reads state and gradient as they are, unrounded: niti wants the gradient's range, the others the exponents of
// both. An exponent grows at the end of the step: of a weight by its largest row, of a master by its range.
// CHECK:       %[[SQUARES:.*]] = nn.mul_sum %w, %w shape = [2, 1]
// CHECK-NEXT:  %[[RW:.*]] = bfp.range %[[SQUARES]]
// CHECK:       %[[RB:.*]] = bfp.range %b
// CHECK:       %[[DW:.*]] = nn.gemm_wgrad
// CHECK-NEXT:  %[[DB:.*]] = nn.bias_grad
// CHECK-NEXT:  %[[R:.*]] = bfp.range %[[DW]]
// CHECK-NEXT:  nn.update_niti %w, %[[DW]], %gb, %[[RW]], %[[R]] round = pseudo_stochastic : (tensor<2x3xi8>, tensor<2x3xi32>, tensor<i32>, !bfp.range, !bfp.range) -> tensor<2x3xi8>
// CHECK-NEXT:  %[[EM:.*]] = bfp.exponent_of %b
// CHECK-NEXT:  %[[E:.*]] = bfp.exponent_of %[[DB]]
// CHECK-NEXT:  nn.update_plain %b, %[[DB]], %rate_m, %rate_k, %[[EM]], %[[RB]], %[[E]] round = pseudo_stochastic{{.*}}
// CHECK-NEXT:  bfp.grow %w.exponent, %[[RW]] full = 37632
// CHECK-NEXT:  bfp.grow %b.exponent, %[[RB]] full = 24576
func.func @train_step(%w: tensor<2x3xf32> {nn.name = "w", nn.role = "weight"}, %b: tensor<2xf32> {nn.name = "b", nn.role = "master"}, %x: tensor<2x3xf32> {nn.name = "input", nn.role = "input"}, %y: tensor<2x3xf32> {nn.name = "dy", nn.role = "weight"}, %rate_m: tensor<i32> {nn.name = "rate_m", nn.role = "hyper"}, %rate_k: tensor<i32> {nn.name = "rate_k", nn.role = "hyper"}, %gb: tensor<i32> {nn.name = "gb", nn.role = "hyper"}) -> (tensor<2x3xf32> {nn.name = "w", nn.role = "weight"}, tensor<2xf32> {nn.name = "b", nn.role = "master"}) {
  %acc1 = nn.gemm %x, %y : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x2xf32>
  %dw = nn.gemm_wgrad %x, %acc1 : (tensor<2x3xf32>, tensor<2x2xf32>) -> tensor<2x3xf32>
  %db = nn.bias_grad %acc1 : (tensor<2x2xf32>) -> tensor<2xf32>
  %new_w = nn.update_niti %w, %dw, %gb round = pseudo_stochastic : (tensor<2x3xf32>, tensor<2x3xf32>, tensor<i32>) -> tensor<2x3xf32>
  %new_b = nn.update_plain %b, %db, %rate_m, %rate_k round = pseudo_stochastic : (tensor<2xf32>, tensor<2xf32>, tensor<i32>, tensor<i32>) -> tensor<2xf32>
  func.return %new_w, %new_b : tensor<2x3xf32>, tensor<2xf32>
}
