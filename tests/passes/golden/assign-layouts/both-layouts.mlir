// RUN: nitic opt --passes=fuse{speculate=1},select-kernels{variant=cuda},assign-layouts{variant=cuda}
// The kernel of a contraction writes what it rounds in both layouts, or in the one that is read; 16 images are side by side.
// CHECK:       %[[R:.*]], %[[Y:.*]], %[[P:.*]] = nn.fused %x, %w template = tensor_cores : {{.*}} -> (!bfp.range, tensor<16x4x4x4xi8>, tensor<16x4x4x4xi8, "batchlast()">) {
// CHECK:       nn.pack
// CHECK:       %{{[^,]*}}, %[[Q:[^,]*]] = nn.fused %x, %v template = tensor_cores : {{.*}} -> (!bfp.range, tensor<16x4x4x2xi8, "batchlast()">) {
// CHECK:       nn.pack
// CHECK:       %[[X:.*]] = nn.fused %x template = pack : {{.*}} -> tensor<16x4x4x16xi8, "batchlast()">
// CHECK:       nn.fused %[[X]], %[[P]] template = tensor_cores_wgrad :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.conv_wgrad
// CHECK:       nn.fused %[[X]], %[[Q]] template = tensor_cores_wgrad :
// CHECK:       func.return %[[Y]]
func.func @predict(%x: tensor<16x4x4x16xi8>, %w: tensor<4x3x3x16xi8>, %v: tensor<2x3x3x16xi8>) -> (tensor<16x4x4x4xi8>, tensor<4x3x3x16xi32>, tensor<2x3x3x16xi32>) {
  %acc = nn.conv %x, %w dilations = [1, 1] groups = 1 pads = [1, 1, 1, 1] strides = [1, 1] : (tensor<16x4x4x16xi8>, tensor<4x3x3x16xi8>) -> tensor<16x4x4x4xi32>
  %r = bfp.range %acc : (tensor<16x4x4x4xi32>) -> !bfp.range
  %s = bfp.shift %r bits = 7 : (!bfp.range) -> !bfp.exp
  %y = bfp.round_shift %acc, %s round = nearest to = i8 : (tensor<16x4x4x4xi32>, !bfp.exp) -> tensor<16x4x4x4xi8>
  %acc2 = nn.conv %x, %v dilations = [1, 1] groups = 1 pads = [1, 1, 1, 1] strides = [1, 1] : (tensor<16x4x4x16xi8>, tensor<2x3x3x16xi8>) -> tensor<16x4x4x2xi32>
  %r2 = bfp.range %acc2 : (tensor<16x4x4x2xi32>) -> !bfp.range
  %s2 = bfp.shift %r2 bits = 7 : (!bfp.range) -> !bfp.exp
  %y2 = bfp.round_shift %acc2, %s2 round = nearest to = i8 : (tensor<16x4x4x2xi32>, !bfp.exp) -> tensor<16x4x4x2xi8>
  %dw = nn.conv_wgrad %x, %y dilations = [1, 1] groups = 1 kernel = [3, 3] pads = [1, 1, 1, 1] strides = [1, 1] : (tensor<16x4x4x16xi8>, tensor<16x4x4x4xi8>) -> tensor<4x3x3x16xi32>
  %dw2 = nn.conv_wgrad %x, %y2 dilations = [1, 1] groups = 1 kernel = [3, 3] pads = [1, 1, 1, 1] strides = [1, 1] : (tensor<16x4x4x16xi8>, tensor<16x4x4x2xi8>) -> tensor<2x3x3x16xi32>
  func.return %y, %dw, %dw2 : tensor<16x4x4x4xi8>, tensor<4x3x3x16xi32>, tensor<2x3x3x16xi32>
}
