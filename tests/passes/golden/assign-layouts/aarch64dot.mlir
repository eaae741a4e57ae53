// RUN: nitic opt --passes=fuse,select-kernels{variant=aarch64dot},assign-layouts{variant=aarch64dot}
// Products are of signed bytes with signed ones: nothing is biased, whatever its sign.
// CHECK:       nn.pack %{{.*}} layout = "padded(1, 1, 1, 1, 1, 1, False)"
// CHECK:       nn.pack %{{.*}} layout = "panels(False, False, False)"
// CHECK:       nn.pack %{{.*}} layout = "panels(False, True, False)"
// CHECK:       nn.pack %{{.*}} layout = "quads(1, 1, 1, 1, False)"
// CHECK-NOT:   True)"
func.func @predict(%x: tensor<16x8x8x16xi8>, %w: tensor<16x3x3x16xi8>, %dy: tensor<16x8x8x16xi8>) -> (tensor<16x8x8x16xi32>, tensor<16x8x8x16xi32>, tensor<16x3x3x16xi32>) {
  %acc = nn.conv %x, %w dilations = [1, 1] groups = 1 pads = [1, 1, 1, 1] strides = [1, 1] : (tensor<16x8x8x16xi8>, tensor<16x3x3x16xi8>) -> tensor<16x8x8x16xi32>
  %dx = nn.conv_dgrad %dy, %w dilations = [1, 1] groups = 1 pads = [1, 1, 1, 1] size = [8, 8] strides = [1, 1] : (tensor<16x8x8x16xi8>, tensor<16x3x3x16xi8>) -> tensor<16x8x8x16xi32>
  %dw = nn.conv_wgrad %x, %dy dilations = [1, 1] groups = 1 kernel = [3, 3] pads = [1, 1, 1, 1] strides = [1, 1] : (tensor<16x8x8x16xi8>, tensor<16x8x8x16xi8>) -> tensor<16x3x3x16xi32>
  func.return %acc, %dx, %dw : tensor<16x8x8x16xi32>, tensor<16x8x8x16xi32>, tensor<16x3x3x16xi32>
}
