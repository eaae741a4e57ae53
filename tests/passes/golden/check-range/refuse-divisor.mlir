// RUN: nitic opt --passes=check-range
// What is no variance of a batch norm may be -epsilon, whose root would be divided by.
// ERROR: batch_norm_inverse: it divides by an integer that can be 0, but must be at least 1
func.func @train_step(%v: tensor<2xi64>, %e: !bfp.exp) -> tensor<2xi64> {
  %i = nn.batch_norm_inverse %v, %e epsilon = 0.00001 : (tensor<2xi64>, !bfp.exp) -> tensor<2xi64>
  func.return %i : tensor<2xi64>
}
