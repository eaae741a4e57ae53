// RUN: nitic opt --passes=insert-calibration,insert-rounding,track-exponents,eliminate-dead-code
// @calibrate computes what @predict does, by the ranges of the batch, and gives the statistics that @predict goes by.
// CHECK-LABEL: @predict
// CHECK:         %[[ACC:.*]] = nn.gemm
// CHECK:         bfp.static_shift %[[TOP:.*]], %{{.*}} bits = 7
// CHECK-LABEL: @calibrate
// CHECK-SAME:    -> (tensor<i32> {nn.name = "gemm.top", nn.role = "statistic"})
// CHECK:         %[[ACC:.*]] = nn.gemm
// CHECK:         %[[R:.*]] = bfp.range %[[ACC]]
// CHECK:         %[[TOP:.*]] = bfp.top %gemm.top, %[[R]]
// CHECK-NEXT:    func.return %[[TOP]]
func.func @predict(%x: tensor<2x3xf32> {nn.name = "x", nn.role = "weight"}, %w: tensor<4x3xf32> {nn.name = "w", nn.role = "weight"}) -> (tensor<2x4xf32> {nn.name = "y", nn.role = "output"}) {
  %y = nn.gemm %x, %w : (tensor<2x3xf32>, tensor<4x3xf32>) -> tensor<2x4xf32>
  func.return %y : tensor<2x4xf32>
}
