// RUN: nitic opt --passes=fuse,select-kernels{variant=aarch64dot}
// The templates of avx512vnni, with other dot products.
// CHECK:       nn.fused %x, %w template = neon_conv :
// CHECK:       nn.fused %x, %d template = depthwise :
// CHECK:       nn.fused %dy, %w template = neon_dgrad :
// CHECK:       nn.fused %x, %dy template = neon_wgrad :
// CHECK:       nn.fused %dy template = bias_grad :
// CHECK:       nn.fused %x template = flat :
func.func @predict(%x: tensor<16x8x8x16xi8>, %w: tensor<16x3x3x16xi8>, %d: tensor<16x3x3x1xi8>, %dy: tensor<16x8x8x16xi8>) -> (tensor<16x8x8x16xi32>, tensor<16x8x8x16xi32>, tensor<16x8x8x16xi32>, tensor<16x3x3x16xi32>, tensor<16xi32>, tensor<16x8x8x16xi8>) {
  %acc = nn.conv %x, %w dilations = [1, 1] groups = 1 pads = [1, 1, 1, 1] strides = [1, 1] : (tensor<16x8x8x16xi8>, tensor<16x3x3x16xi8>) -> tensor<16x8x8x16xi32>
  %deep = nn.conv %x, %d dilations = [1, 1] groups = 16 pads = [1, 1, 1, 1] strides = [1, 1] : (tensor<16x8x8x16xi8>, tensor<16x3x3x1xi8>) -> tensor<16x8x8x16xi32>
  %dx = nn.conv_dgrad %dy, %w dilations = [1, 1] groups = 1 pads = [1, 1, 1, 1] size = [8, 8] strides = [1, 1] : (tensor<16x8x8x16xi8>, tensor<16x3x3x16xi8>) -> tensor<16x8x8x16xi32>
  %dw = nn.conv_wgrad %x, %dy dilations = [1, 1] groups = 1 kernel = [3, 3] pads = [1, 1, 1, 1] strides = [1, 1] : (tensor<16x8x8x16xi8>, tensor<16x8x8x16xi8>) -> tensor<16x3x3x16xi32>
  %db = nn.bias_grad %dy : (tensor<16x8x8x16xi8>) -> tensor<16xi32>
  %y = nn.relu %x : (tensor<16x8x8x16xi8>) -> tensor<16x8x8x16xi8>
  func.return %acc, %deep, %dx, %dw, %db, %y : tensor<16x8x8x16xi32>, tensor<16x8x8x16xi32>, tensor<16x8x8x16xi32>, tensor<16x3x3x16xi32>, tensor<16xi32>, tensor<16x8x8x16xi8>
}
