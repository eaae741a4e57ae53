// RUN: nitic opt --passes=track-exponents
// A bounded function's result has the exponent of its operand, but at most 0, less 15.
// CHECK-DAG:   %[[C:.*]] = bfp.exp_const value = -15
// CHECK:       nn.activation %x, %{{.*}} function = tanh
// CHECK-NEXT:  %[[B:.*]] = bfp.exp_clamp %{{.*}} high = 0 low = -2147483648 : (!bfp.exp) -> !bfp.exp
// CHECK-NEXT:  %[[E:.*]] = bfp.exp_add %[[B]], %[[C]]
// CHECK-NEXT:  func.return %[[E]]
func.func @predict(%x: tensor<4xi8> {nn.name = "x", nn.role = "weight"}, %x_exp: !bfp.exp {nn.name = "x.exponent", nn.role = "exponent"}) -> (!bfp.exp {nn.name = "y", nn.role = "output"}) {
  %y = nn.activation %x, %x_exp function = tanh : (tensor<4xi8>, !bfp.exp) -> tensor<4xi32>
  %e = bfp.exponent_of %y : (tensor<4xi32>) -> !bfp.exp
  func.return %e : !bfp.exp
}
