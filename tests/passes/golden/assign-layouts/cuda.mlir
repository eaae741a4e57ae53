// RUN: nitic opt --passes=fuse,select-kernels{variant=cuda},assign-layouts{variant=cuda}
// Sixteen neighbours in memory are neighbours of the sum: weights whose runs are 48 bytes are so already, those of the data
// gradient are not, and a weight gradient sums over the batch.
// CHECK:       nn.fused %x, %w template = tensor_cores :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.conv {{.*}} -> tensor<3x4x4x2xi32>
// CHECK:       %[[W:.*]] = nn.fused %w template = pack : (tensor<2x3x3x16xi8>) -> tensor<2x3x3x16xi8, "runs(False, True, 1, 1)">
// CHECK:       nn.fused %dy, %[[W]] template = tensor_cores_dgrad :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.conv_dgrad
// CHECK:       %[[X:.*]] = nn.fused %x template = pack : {{.*}} -> tensor<3x4x4x16xi8, "batchlast()">
// CHECK:       %[[DY:.*]] = nn.fused %dy template = pack : {{.*}} -> tensor<3x4x4x2xi8, "batchlast()">
// CHECK:       nn.fused %[[X]], %[[DY]] template = tensor_cores_wgrad :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.conv_wgrad
func.func @predict(%x: tensor<3x4x4x16xi8>, %w: tensor<2x3x3x16xi8>, %dy: tensor<3x4x4x2xi8>) -> (tensor<3x4x4x2xi32>, tensor<3x4x4x16xi32>, tensor<2x3x3x16xi32>) {
  %acc = nn.conv %x, %w dilations = [1, 1] groups = 1 pads = [1, 1, 1, 1] strides = [1, 1] : (tensor<3x4x4x16xi8>, tensor<2x3x3x16xi8>) -> tensor<3x4x4x2xi32>
  %dx = nn.conv_dgrad %dy, %w dilations = [1, 1] groups = 1 pads = [1, 1, 1, 1] size = [4, 4] strides = [1, 1] : (tensor<3x4x4x2xi8>, tensor<2x3x3x16xi8>) -> tensor<3x4x4x16xi32>
  %dw = nn.conv_wgrad %x, %dy dilations = [1, 1] groups = 1 kernel = [3, 3] pads = [1, 1, 1, 1] strides = [1, 1] : (tensor<3x4x4x16xi8>, tensor<3x4x4x2xi8>) -> tensor<2x3x3x16xi32>
  func.return %acc, %dx, %dw : tensor<3x4x4x2xi32>, tensor<3x4x4x16xi32>, tensor<2x3x3x16xi32>
}
