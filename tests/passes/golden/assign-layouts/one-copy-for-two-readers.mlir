// RUN: nitic opt --passes=fuse,select-kernels{variant=avx512vnni},assign-layouts{variant=avx512vnni}
// Two products that want the same layout of the weights share the copy.
// CHECK:       %[[X1:.*]] = nn.fused %x1 template = pack : {{.*}} "padded(0, 0, 0, 0, 1, 1, True)">
// CHECK:       %[[W:.*]] = nn.fused %w template = pack : {{.*}} "panels(False, False, True)">
// CHECK:       nn.fused %[[X1]], %[[W]] template = vnni_conv :
// CHECK:       %[[X2:.*]] = nn.fused %x2 template = pack : {{.*}} "padded(0, 0, 0, 0, 1, 1, True)">
// CHECK-NOT:   panels
// CHECK:       nn.fused %[[X2]], %[[W]] template = vnni_conv :
func.func @predict(%x1: tensor<2x8xi8>, %x2: tensor<4x8xi8>, %w: tensor<16x8xi8>) -> (tensor<2x16xi32>, tensor<4x16xi32>) {
  %acc1 = nn.gemm %x1, %w : (tensor<2x8xi8>, tensor<16x8xi8>) -> tensor<2x16xi32>
  %acc2 = nn.gemm %x2, %w : (tensor<4x8xi8>, tensor<16x8xi8>) -> tensor<4x16xi32>
  func.return %acc1, %acc2 : tensor<2x16xi32>, tensor<4x16xi32>
}
