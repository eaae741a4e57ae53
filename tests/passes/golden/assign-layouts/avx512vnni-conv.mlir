// RUN: nitic opt --passes=fuse,select-kernels{variant=avx512vnni},assign-layouts{variant=avx512vnni}
// The convolution reads framed activations and weights in panels, each packed by a kernel before it. What comes from a relu
// is the unsigned operand as it is: not biased.
// CHECK:       %[[Y:.*]] = nn.fused {{.*}} -> tensor<1x4x4x4xi8> {
// CHECK:       %[[X:.*]] = nn.fused %[[Y]] template = pack : (tensor<1x4x4x4xi8>) -> tensor<1x4x4x4xi8, "padded(1, 1, 1, 1, 1, 1, False)">
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.pack %{{.*}} layout = "padded(1, 1, 1, 1, 1, 1, False)"
// CHECK:       %[[W:.*]] = nn.fused %w template = pack : (tensor<2x3x3x4xi8>) -> tensor<2x3x3x4xi8, "panels(False, False, False)">
// CHECK:       nn.fused %[[X]], %[[W]] template = vnni_conv :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.conv {{.*}} -> tensor<1x4x4x2xi32>
func.func @predict(%x: tensor<1x4x4x4xi32>, %s: !bfp.exp, %w: tensor<2x3x3x4xi8>) -> tensor<1x4x4x2xi32> {
  %a1 = nn.relu %x : (tensor<1x4x4x4xi32>) -> tensor<1x4x4x4xi32>
  %y1 = bfp.round_shift %a1, %s round = nearest to = i8 : (tensor<1x4x4x4xi32>, !bfp.exp) -> tensor<1x4x4x4xi8>
  %acc1 = nn.conv %y1, %w dilations = [1, 1] groups = 1 pads = [1, 1, 1, 1] strides = [1, 1] : (tensor<1x4x4x4xi8>, tensor<2x3x3x4xi8>) -> tensor<1x4x4x2xi32>
  func.return %acc1 : tensor<1x4x4x2xi32>
}
