// RUN: nitic opt --passes=fuse{speculate=1}
// A sum is in the kernel of an operand that is rounded by a guess, and the rounding of the sum guesses once more. Exponents that
// follow from the first shift are computed there.
// CHECK:       nn.fused %x, %w, %e, %es, %rs, %skip :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.conv
// CHECK-NEXT:  bfp.range
// CHECK-NEXT:  bfp.shift
// CHECK-NEXT:  bfp.round_shift
// CHECK-NEXT:  bfp.exp_add
// CHECK-NEXT:  bfp.exp_common
// CHECK-NEXT:  nn.add
// CHECK-NEXT:  bfp.range
// CHECK-NEXT:  bfp.shift
// CHECK-NEXT:  bfp.round_shift
// CHECK-NEXT:  nn.yield {{.*}} : !bfp.range, !bfp.range, tensor<1x4x4x2xi8>
func.func @predict(%x: tensor<1x4x4x1xi8>, %w: tensor<2x3x3x1xi8>, %skip: tensor<1x4x4x2xi8>, %e: !bfp.exp, %es: !bfp.exp, %rs: !bfp.range) -> tensor<1x4x4x2xi8> {
  %acc = nn.conv %x, %w dilations = [1, 1] groups = 1 pads = [1, 1, 1, 1] strides = [1, 1] : (tensor<1x4x4x1xi8>, tensor<2x3x3x1xi8>) -> tensor<1x4x4x2xi32>
  %r = bfp.range %acc : (tensor<1x4x4x2xi32>) -> !bfp.range
  %s = bfp.shift %r bits = 7 : (!bfp.range) -> !bfp.exp
  %y = bfp.round_shift %acc, %s round = nearest to = i8 : (tensor<1x4x4x2xi32>, !bfp.exp) -> tensor<1x4x4x2xi8>
  %ey = bfp.exp_add %e, %s : (!bfp.exp, !bfp.exp) -> !bfp.exp
  %ec = bfp.exp_common %ey, %es, %r, %rs : (!bfp.exp, !bfp.exp, !bfp.range, !bfp.range) -> !bfp.exp
  %sum = nn.add %y, %skip, %ey, %es, %ec : (tensor<1x4x4x2xi8>, tensor<1x4x4x2xi8>, !bfp.exp, !bfp.exp, !bfp.exp) -> tensor<1x4x4x2xi32>
  %r2 = bfp.range %sum : (tensor<1x4x4x2xi32>) -> !bfp.range
  %s2 = bfp.shift %r2 bits = 7 : (!bfp.range) -> !bfp.exp
  %z = bfp.round_shift %sum, %s2 round = nearest to = i8 : (tensor<1x4x4x2xi32>, !bfp.exp) -> tensor<1x4x4x2xi8>
  func.return %z : tensor<1x4x4x2xi8>
}
