// RUN: nitic opt --passes=check-range
// 300 * 300 products are more than int32 holds for certain, 300 are not.
// CHECK:       nn.mul_sum {{.*}} -> tensor<1xi64>
// CHECK:       bfp.round_shift {{.*}} (tensor<1xi64>, !bfp.exp) -> tensor<1xi8>
// CHECK:       nn.mul_sum {{.*}} -> tensor<300x1xi32>
func.func @train_step(%dy: tensor<300x300xi8>, %a: tensor<300x300xi8>, %s: !bfp.exp) -> (tensor<1xi8>, tensor<300x1xi32>) {
  %all = nn.mul_sum %dy, %a shape = [1] : (tensor<300x300xi8>, tensor<300x300xi8>) -> tensor<1xi32>
  %y = bfp.round_shift %all, %s round = nearest to = i8 : (tensor<1xi32>, !bfp.exp) -> tensor<1xi8>
  %rows = nn.mul_sum %dy, %a shape = [300, 1] : (tensor<300x300xi8>, tensor<300x300xi8>) -> tensor<300x1xi32>
  func.return %y, %rows : tensor<1xi8>, tensor<300x1xi32>
}
