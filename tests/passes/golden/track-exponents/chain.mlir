// RUN: nitic opt --passes=track-exponents
// Exponents become arithmetic from the parameters' own: a product adds two, a rounding its shift, a pool a constant.
// CHECK:       %[[C:.*]] = bfp.exp_const value = -17
// CHECK:       %[[ACC:.*]] = nn.conv %x, %w
// CHECK-NEXT:  %[[EACC:.*]] = bfp.exp_add %x.exponent, %w.exponent
// CHECK:       %[[S:.*]] = bfp.shift
// CHECK-NEXT:  bfp.round_shift %[[ACC]], %[[S]]
// CHECK-NEXT:  %[[EY:.*]] = bfp.exp_add %[[EACC]], %[[S]]
// CHECK:       nn.avg_pool
// CHECK-NEXT:  %[[E:.*]] = bfp.exp_add %[[EY]], %[[C]]
// CHECK-NEXT:  func.return %{{.*}}, %[[E]] :
func.func @predict(%x: tensor<1x2x2x1xi8> {nn.name = "x", nn.role = "weight"}, %w: tensor<1x1x1x1xi8> {nn.name = "w", nn.role = "weight"}, %x.exponent: !bfp.exp {nn.name = "x.exponent", nn.role = "exponent"}, %w.exponent: !bfp.exp {nn.name = "w.exponent", nn.role = "exponent"}) -> (tensor<1x1x1x1xi32> {nn.name = "output", nn.role = "output"}, !bfp.exp {nn.name = "output.exponent", nn.role = "output"}) {
  %acc = nn.conv %x, %w dilations = [1, 1] groups = 1 pads = [0, 0, 0, 0] strides = [1, 1] : (tensor<1x2x2x1xi8>, tensor<1x1x1x1xi8>) -> tensor<1x2x2x1xi32>
  %r = bfp.range %acc : (tensor<1x2x2x1xi32>) -> !bfp.range
  %s = bfp.shift %r bits = 7 : (!bfp.range) -> !bfp.exp
  %y = bfp.round_shift %acc, %s round = nearest to = i8 : (tensor<1x2x2x1xi32>, !bfp.exp) -> tensor<1x2x2x1xi8>
  %p = nn.avg_pool %y kernel = [2, 2] pads = [0, 0, 0, 0] strides = [2, 2] : (tensor<1x2x2x1xi8>) -> tensor<1x1x1x1xi32>
  %e = bfp.exponent_of %p : (tensor<1x1x1x1xi32>) -> !bfp.exp
  func.return %p, %e : tensor<1x1x1x1xi32>, !bfp.exp
}
