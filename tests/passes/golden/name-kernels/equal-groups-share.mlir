// RUN: nitic opt --passes=fuse,select-kernels,name-kernels
// Two groups that differ only in what their values are called are one kernel; another shape of a contraction, or another property, is another one.
// CHECK:       nn.fused %x, %w1 kernel = gemm_relu_range_1
// CHECK:       nn.fused %x, %w2 kernel = gemm_relu_range_1
// CHECK:       nn.fused %x, %w3 kernel = gemm_relu_range_2
// CHECK:       nn.fused %{{.*}}, %z kernel = round_shift_1
// CHECK:       nn.fused %{{.*}}, %z kernel = round_shift_2
func.func @predict(%x: tensor<2x3xi8>, %w1: tensor<4x3xi8>, %w2: tensor<4x3xi8>, %w3: tensor<5x3xi8>, %z: tensor<4xi32>) -> (tensor<4xi8>, tensor<4xi8>, !bfp.range, tensor<2x4xi32>, tensor<2x4xi32>, tensor<2x5xi32>) {
  %acc1 = nn.gemm %x, %w1 : (tensor<2x3xi8>, tensor<4x3xi8>) -> tensor<2x4xi32>
  %a1 = nn.relu %acc1 : (tensor<2x4xi32>) -> tensor<2x4xi32>
  %r1 = bfp.range %a1 : (tensor<2x4xi32>) -> !bfp.range
  %acc2 = nn.gemm %x, %w2 : (tensor<2x3xi8>, tensor<4x3xi8>) -> tensor<2x4xi32>
  %a2 = nn.relu %acc2 : (tensor<2x4xi32>) -> tensor<2x4xi32>
  %r2 = bfp.range %a2 : (tensor<2x4xi32>) -> !bfp.range
  %acc3 = nn.gemm %x, %w3 : (tensor<2x3xi8>, tensor<5x3xi8>) -> tensor<2x5xi32>
  %a3 = nn.relu %acc3 : (tensor<2x5xi32>) -> tensor<2x5xi32>
  %r3 = bfp.range %a3 : (tensor<2x5xi32>) -> !bfp.range
  %s1 = bfp.shift %r1 bits = 7 : (!bfp.range) -> !bfp.exp
  %y1 = bfp.round_shift %z, %s1 round = nearest to = i8 : (tensor<4xi32>, !bfp.exp) -> tensor<4xi8>
  %s2 = bfp.shift %r2 bits = 6 : (!bfp.range) -> !bfp.exp
  %y2 = bfp.round_shift %z, %s2 round = nearest to = i8 : (tensor<4xi32>, !bfp.exp) -> tensor<4xi8>
  func.return %y1, %y2, %r3, %a1, %a2, %a3 : tensor<4xi8>, tensor<4xi8>, !bfp.range, tensor<2x4xi32>, tensor<2x4xi32>, tensor<2x5xi32>
}
