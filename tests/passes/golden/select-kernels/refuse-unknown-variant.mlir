// RUN: nitic opt --passes=fuse,select-kernels{variant=avx1024}
// A variant that does not exist.
// ERROR: select-kernels: unknown variant 'avx1024'; the variants are portable
func.func @predict(%x: tensor<1x4x4x4xi32>, %s: !bfp.exp, %w: tensor<2x3x3x4xi8>) -> tensor<1x4x4x2xi32> {
  %a1 = nn.relu %x : (tensor<1x4x4x4xi32>) -> tensor<1x4x4x4xi32>
  %y1 = bfp.round_shift %a1, %s round = nearest to = i8 : (tensor<1x4x4x4xi32>, !bfp.exp) -> tensor<1x4x4x4xi8>
  %acc1 = nn.conv %y1, %w dilations = [1, 1] groups = 1 pads = [1, 1, 1, 1] strides = [1, 1] : (tensor<1x4x4x4xi8>, tensor<2x3x3x4xi8>) -> tensor<1x4x4x2xi32>
  func.return %acc1 : tensor<1x4x4x2xi32>
}
