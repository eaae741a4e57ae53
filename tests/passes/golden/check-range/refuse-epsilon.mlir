// RUN: nitic opt --passes=check-range
// An epsilon is an integer at exponent -48: 2^62 is 16384.
// ERROR: batch_norm_inverse: an int64 on the way to its result can reach 28147497671065600000, above the proved limit of 4611686018427387904
func.func @train_step(%v: tensor<2xi64>, %e: !bfp.exp) -> tensor<2xi64> {
  %i = nn.batch_norm_inverse %v, %e epsilon = 100000.0 : (tensor<2xi64>, !bfp.exp) -> tensor<2xi64>
  func.return %i : tensor<2xi64>
}
