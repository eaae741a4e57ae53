// RUN: nitic opt --passes=recompute-pointwise,fuse
// What is normalised is never stored in 16 bits: it is scaled for the range and rounded for the backward pass in one
// kernel, and computed again, with its own aligned beta, where it is scaled and rounded.
// CHECK:       nn.fused
// CHECK:       nn.normalise
// CHECK:       nn.batch_norm_scale
// CHECK:       bfp.range
// CHECK-NEXT:  bfp.exp_const
// CHECK-NEXT:  bfp.round_shift
// CHECK-NEXT:  nn.yield {{.*}} : !bfp.range, tensor<4x2xi8>
// CHECK:       nn.fused
// CHECK:       nn.normalise
// CHECK-NEXT:  bfp.align
// CHECK-NEXT:  nn.batch_norm_scale
// CHECK-NEXT:  bfp.round_shift
// CHECK-NEXT:  nn.yield {{.*}} : tensor<4x2xi8>
func.func @f(%x: tensor<4x2xi16>, %m: tensor<2xi32>, %i: tensor<2xi32>, %g: tensor<2xi8>, %b: tensor<2xi8>, %e: !bfp.exp) -> (tensor<4x2xi8>, tensor<4x2xi8>) {
  %n = nn.normalise %x, %m, %i, %e, %e : (tensor<4x2xi16>, tensor<2xi32>, tensor<2xi32>, !bfp.exp, !bfp.exp) -> tensor<4x2xi16>
  %a = bfp.align %b, %e, %e : (tensor<2xi8>, !bfp.exp, !bfp.exp) -> tensor<2xi32>
  %y = nn.batch_norm_scale %n, %g, %a, %e, %e : (tensor<4x2xi16>, tensor<2xi8>, tensor<2xi32>, !bfp.exp, !bfp.exp) -> tensor<4x2xi32>
  %r = bfp.range %y : (tensor<4x2xi32>) -> !bfp.range
  %s = bfp.shift %r bits = 7 : (!bfp.range) -> !bfp.exp
  %z = bfp.round_shift %y, %s round = nearest to = i8 : (tensor<4x2xi32>, !bfp.exp) -> tensor<4x2xi8>
  %four = bfp.exp_const value = 4 : () -> !bfp.exp
  %h = bfp.round_shift %n, %four round = nearest to = i8 : (tensor<4x2xi16>, !bfp.exp) -> tensor<4x2xi8>
  func.return %z, %h : tensor<4x2xi8>, tensor<4x2xi8>
}
