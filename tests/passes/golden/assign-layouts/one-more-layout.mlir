// RUN: nitic opt --passes=fuse{speculate=1},select-kernels{variant=cuda},assign-layouts{variant=cuda}
// A kernel writes one packed copy; another that its results need is a kernel of its own.
// CHECK:       %[[R:.*]], %[[G:.*]], %[[P:.*]] = nn.fused %dy, %{{.*}}, %m template = tensor_cores_dgrad :
// CHECK:       nn.pack
// CHECK-NEXT:  nn.yield
// CHECK:       %[[Q:[^,]*]] = nn.fused %[[G]] template = pack : {{.*}} -> tensor<16x16xi8, "batchlast()">
func.func @predict(%dy: tensor<16x8xi8>, %w: tensor<8x16xi8>, %m: tensor<16x16xi8>, %x: tensor<16x4xi8>) -> (tensor<16x4xi32>, tensor<16x4xi32>) {
  %acc = nn.gemm_dgrad %dy, %w : (tensor<16x8xi8>, tensor<8x16xi8>) -> tensor<16x16xi32>
  %r = bfp.range %acc : (tensor<16x16xi32>) -> !bfp.range
  %s = bfp.shift %r bits = 7 : (!bfp.range) -> !bfp.exp
  %y = bfp.round_shift %acc, %s round = nearest to = i8 : (tensor<16x16xi32>, !bfp.exp) -> tensor<16x16xi8>
  %g = nn.relu_dgrad %y, %m : (tensor<16x16xi8>, tensor<16x16xi8>) -> tensor<16x16xi8>
  %dw1 = nn.gemm_wgrad %x, %y : (tensor<16x4xi8>, tensor<16x16xi8>) -> tensor<16x4xi32>
  %dw2 = nn.gemm_wgrad %x, %g : (tensor<16x4xi8>, tensor<16x16xi8>) -> tensor<16x4xi32>
  func.return %dw1, %dw2 : tensor<16x4xi32>, tensor<16x4xi32>
}
