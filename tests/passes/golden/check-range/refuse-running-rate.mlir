// RUN: nitic opt --passes=check-range
// A running statistic and a new one are 2^62 apart at most, and a momentum of 0 adds all of it. One of -1 adds twice as much.
// ERROR: node 'norm' (batch_norm_running): an int64 on the way to its result can reach 9223372036854775808, above the proved limit of 4611686018427387904
func.func @train_step(%running: tensor<2xi64>, %new: tensor<2xi64>, %e: !bfp.exp) -> tensor<2xi64> {
  %updated = nn.batch_norm_running %running, %new, %e momentum = -1.0 : (tensor<2xi64>, tensor<2xi64>, !bfp.exp) -> tensor<2xi64> loc("norm")
  func.return %updated : tensor<2xi64>
}
