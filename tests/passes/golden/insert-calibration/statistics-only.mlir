// RUN: nitic opt --passes=insert-calibration
// @calibrate is @train_step as far as its statistics: what else it computes and takes is gone, but for the exponents.
// CHECK-LABEL: @calibrate
// CHECK-SAME:    (%x: tensor<2x3xi8> {{.*}}, %w: tensor<4x3xi8> {{.*}}, %w.exponent: !bfp.exp {{.*}}, %acc.top: tensor<i32> {nn.name = "acc.top", nn.role = "statistic"})
// CHECK-SAME:    -> (tensor<i32> {nn.name = "acc.top", nn.role = "statistic"})
// CHECK-NEXT:    %[[ACC:.*]] = nn.gemm %x, %w
// CHECK-NEXT:    %[[R:.*]] = bfp.range %[[ACC]]
// CHECK-NEXT:    %[[TOP:.*]] = bfp.top %acc.top, %[[R]], %w.exponent
// CHECK-NEXT:    func.return %[[TOP]]
func.func @train_step(%x: tensor<2x3xi8> {nn.name = "x", nn.role = "weight"}, %w: tensor<4x3xi8> {nn.name = "w", nn.role = "weight"}, %gb: tensor<i32> {nn.name = "gb", nn.role = "hyper"}, %w.exponent: !bfp.exp {nn.name = "w.exponent", nn.role = "exponent"}, %acc.top: tensor<i32> {nn.name = "acc.top", nn.role = "statistic"}) -> (tensor<4x3xi8> {nn.name = "w", nn.role = "weight"}, tensor<i32> {nn.name = "acc.top", nn.role = "statistic"}) {
  %acc = nn.gemm %x, %w : (tensor<2x3xi8>, tensor<4x3xi8>) -> tensor<2x4xi32>
  %r = bfp.range %acc : (tensor<2x4xi32>) -> !bfp.range
  %top = bfp.top %acc.top, %r, %w.exponent : (tensor<i32>, !bfp.range, !bfp.exp) -> tensor<i32>
  %s = bfp.shift %r bits = 7 : (!bfp.range) -> !bfp.exp
  %dy = bfp.round_shift %acc, %s round = nearest to = i8 : (tensor<2x4xi32>, !bfp.exp) -> tensor<2x4xi8>
  %dw = nn.gemm_wgrad %x, %dy : (tensor<2x3xi8>, tensor<2x4xi8>) -> tensor<4x3xi32>
  %rw = bfp.range %dw : (tensor<4x3xi32>) -> !bfp.range
  %new = nn.update_niti %w, %dw, %gb, %rw round = pseudo_stochastic : (tensor<4x3xi8>, tensor<4x3xi32>, tensor<i32>, !bfp.range) -> tensor<4x3xi8>
  func.return %new, %top : tensor<4x3xi8>, tensor<i32>
}
