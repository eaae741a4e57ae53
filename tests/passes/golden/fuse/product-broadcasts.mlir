// RUN: nitic opt --passes=fuse{speculate=1}
// A product with a tensor of its own shape joins a convolution whose rounding needs no range; one that broadcasts does not.
// CHECK:       nn.fused %x, %w, %s, %g :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.conv
// CHECK-NEXT:  bfp.round_shift
// CHECK-NEXT:  nn.mul
// CHECK-NEXT:  bfp.round_shift
// CHECK-NEXT:  nn.yield
// CHECK:       nn.fused %{{.*}}, %c :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.mul
// CHECK-NEXT:  nn.yield
func.func @predict(%x: tensor<1x4x4x2xi8>, %w: tensor<2x3x3x2xi8>, %g: tensor<1x4x4x2xi8>, %c: tensor<2xi8>, %s: !bfp.exp) -> tensor<1x4x4x2xi32> {
  %acc = nn.conv %x, %w dilations = [1, 1] groups = 1 pads = [1, 1, 1, 1] strides = [1, 1] : (tensor<1x4x4x2xi8>, tensor<2x3x3x2xi8>) -> tensor<1x4x4x2xi32>
  %y = bfp.round_shift %acc, %s round = nearest to = i8 : (tensor<1x4x4x2xi32>, !bfp.exp) -> tensor<1x4x4x2xi8>
  %p = nn.mul %y, %g : (tensor<1x4x4x2xi8>, tensor<1x4x4x2xi8>) -> tensor<1x4x4x2xi32>
  %z = bfp.round_shift %p, %s round = nearest to = i8 : (tensor<1x4x4x2xi32>, !bfp.exp) -> tensor<1x4x4x2xi8>
  %q = nn.mul %z, %c : (tensor<1x4x4x2xi8>, tensor<2xi8>) -> tensor<1x4x4x2xi32>
  func.return %q : tensor<1x4x4x2xi32>
}
