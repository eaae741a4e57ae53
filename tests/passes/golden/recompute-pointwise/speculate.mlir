// RUN: nitic opt --passes=recompute-pointwise{speculate=1},fuse{speculate=1}
// A sum is computed once where its rounding is guessed in the same kernel.
// CHECK:       nn.fused %a, %b, %ea, %eb, %e :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.add
// CHECK-NEXT:  bfp.range
// CHECK-NEXT:  bfp.shift
// CHECK-NEXT:  bfp.round_shift
// CHECK-NEXT:  nn.yield {{.*}} : !bfp.range, tensor<4x2xi8>
// CHECK-NOT:   nn.fused
func.func @predict(%a: tensor<4x2xi8>, %b: tensor<4x2xi8>, %ea: !bfp.exp, %eb: !bfp.exp, %e: !bfp.exp) -> tensor<4x2xi8> {
  %s = nn.add %a, %b, %ea, %eb, %e : (tensor<4x2xi8>, tensor<4x2xi8>, !bfp.exp, !bfp.exp, !bfp.exp) -> tensor<4x2xi32>
  %r = bfp.range %s : (tensor<4x2xi32>) -> !bfp.range
  %h = bfp.shift %r bits = 7 : (!bfp.range) -> !bfp.exp
  %y = bfp.round_shift %s, %h round = nearest to = i8 : (tensor<4x2xi32>, !bfp.exp) -> tensor<4x2xi8>
  func.return %y : tensor<4x2xi8>
}
