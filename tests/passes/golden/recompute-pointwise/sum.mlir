// RUN: nitic opt --passes=recompute-pointwise,fuse
// A sum of two int8 is computed twice, for its range and for its rounding, and never stored in int32.
// CHECK:       %[[R:.*]] = nn.fused %a, %b, %ea, %eb, %e :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.add
// CHECK-NEXT:  nn.relu
// CHECK-NEXT:  bfp.range
// CHECK-NEXT:  nn.yield {{.*}} : !bfp.range
// CHECK:       %[[Y:.*]] = nn.fused %[[R]], %a, %b, %ea, %eb, %e :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  bfp.shift
// CHECK-NEXT:  nn.add
// CHECK-NEXT:  nn.relu
// CHECK-NEXT:  bfp.round_shift
// CHECK-NEXT:  nn.yield
// CHECK:       func.return %[[Y]]
func.func @predict(%a: tensor<2x3xi8>, %b: tensor<2x3xi8>, %ea: !bfp.exp, %eb: !bfp.exp, %e: !bfp.exp) -> tensor<2x3xi8> {
  %sum = nn.add %a, %b, %ea, %eb, %e : (tensor<2x3xi8>, tensor<2x3xi8>, !bfp.exp, !bfp.exp, !bfp.exp) -> tensor<2x3xi32>
  %y = nn.relu %sum : (tensor<2x3xi32>) -> tensor<2x3xi32>
  %r = bfp.range %y : (tensor<2x3xi32>) -> !bfp.range
  %s = bfp.shift %r bits = 7 : (!bfp.range) -> !bfp.exp
  %z = bfp.round_shift %y, %s round = nearest to = i8 : (tensor<2x3xi32>, !bfp.exp) -> tensor<2x3xi8>
  func.return %z : tensor<2x3xi8>
}
