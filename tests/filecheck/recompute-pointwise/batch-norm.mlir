// RUN: nitic opt --passes=recompute-pointwise,fuse
// The first scaling, for the range, stays with the normalisation; the second one, with its own aligned beta, is rounded.
// CHECK:       %[[XHAT:.*]], %[[R:.*]] = nn.fused
// CHECK:       nn.normalise
// CHECK:       nn.batch_norm_scale
// CHECK:       bfp.range
// CHECK-NEXT:  nn.yield {{.*}} : tensor<4x2xi8>, !bfp.range
// CHECK:       nn.fused
// CHECK:       bfp.align
// CHECK-NEXT:  nn.batch_norm_scale
// CHECK-NEXT:  bfp.round_shift
// CHECK-NEXT:  nn.yield {{.*}} : tensor<4x2xi8>
func.func @f(%x: tensor<4x2xi16>, %m: tensor<2xi32>, %i: tensor<2xi32>, %g: tensor<2xi8>, %b: tensor<2xi8>, %e: !bfp.exp) -> (tensor<4x2xi8>, tensor<4x2xi8>) {
  %n = nn.normalise %x, %m, %i, %e, %e : (tensor<4x2xi16>, tensor<2xi32>, tensor<2xi32>, !bfp.exp, !bfp.exp) -> tensor<4x2xi8>
  %a = bfp.align %b, %e, %e : (tensor<2xi8>, !bfp.exp, !bfp.exp) -> tensor<2xi32>
  %y = nn.batch_norm_scale %n, %g, %a : (tensor<4x2xi8>, tensor<2xi8>, tensor<2xi32>) -> tensor<4x2xi32>
  %r = bfp.range %y : (tensor<4x2xi32>) -> !bfp.range
  %s = bfp.shift %r bits = 7 : (!bfp.range) -> !bfp.exp
  %z = bfp.round_shift %y, %s round = nearest to = i8 : (tensor<4x2xi32>, !bfp.exp) -> tensor<4x2xi8>
  func.return %z, %n : tensor<4x2xi8>, tensor<4x2xi8>
}
