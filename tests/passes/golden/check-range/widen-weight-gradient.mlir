// RUN: nitic opt --passes=check-range
// 70,000 products of 127 * 127 pass 2^30: the weight gradient becomes int64, the range and the update read it as it is. A
// gradient of 66,572 products, the longest that fits, and a bias gradient stay int32.
// CHECK:       nn.gemm_wgrad %x, %dy {{.*}} -> tensor<1x2xi64>
// CHECK-NEXT:  bfp.range %{{.*}} : (tensor<1x2xi64>)
// CHECK-NEXT:  nn.update_niti {{.*}} : (tensor<1x2xi8>, tensor<1x2xi64>, tensor<i32>, !bfp.range, !bfp.range) -> tensor<1x2xi8>
// CHECK-NEXT:  nn.bias_grad {{.*}} -> tensor<1xi32>
// CHECK-NEXT:  nn.gemm_wgrad %x2, %dy2 {{.*}} -> tensor<1x2xi32>
func.func @train_step(%w: tensor<1x2xi8>, %x: tensor<70000x2xi8>, %dy: tensor<70000x1xi8>, %x2: tensor<66572x2xi8>, %dy2: tensor<66572x1xi8>, %gb: tensor<i32>) -> (tensor<1x2xi8>, tensor<1xi32>, tensor<1x2xi32>) {
  %dw = nn.gemm_wgrad %x, %dy : (tensor<70000x2xi8>, tensor<70000x1xi8>) -> tensor<1x2xi32>
  %r = bfp.range %dw : (tensor<1x2xi32>) -> !bfp.range
  %new = nn.update_niti %w, %dw, %gb, %r, %r round = pseudo_stochastic : (tensor<1x2xi8>, tensor<1x2xi32>, tensor<i32>, !bfp.range, !bfp.range) -> tensor<1x2xi8>
  %db = nn.bias_grad %dy : (tensor<70000x1xi8>) -> tensor<1xi32>
  %dw2 = nn.gemm_wgrad %x2, %dy2 : (tensor<66572x2xi8>, tensor<66572x1xi8>) -> tensor<1x2xi32>
  func.return %new, %db, %dw2 : tensor<1x2xi8>, tensor<1xi32>, tensor<1x2xi32>
}
