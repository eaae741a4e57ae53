// RUN: nitic opt --passes=track-exponents
// Nobody asks for the exponent of %acc, so it is never made; two who ask for that of %x share the parameter's.
// CHECK:       nn.gemm
// CHECK-NEXT:  func.return %{{.*}}, %x.exponent, %x.exponent :
func.func @predict(%x: tensor<2x3xi8> {nn.name = "x", nn.role = "weight"}, %x.exponent: !bfp.exp {nn.name = "x.exponent", nn.role = "exponent"}) -> (tensor<2x2xi32> {nn.name = "output", nn.role = "output"}, !bfp.exp {nn.name = "e1", nn.role = "output"}, !bfp.exp {nn.name = "e2", nn.role = "output"}) {
  %acc = nn.gemm %x, %x : (tensor<2x3xi8>, tensor<2x3xi8>) -> tensor<2x2xi32>
  %e1 = bfp.exponent_of %x : (tensor<2x3xi8>) -> !bfp.exp
  %e2 = bfp.exponent_of %x : (tensor<2x3xi8>) -> !bfp.exp
  func.return %acc, %e1, %e2 : tensor<2x2xi32>, !bfp.exp, !bfp.exp
}
