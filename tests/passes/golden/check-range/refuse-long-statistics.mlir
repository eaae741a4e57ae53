// RUN: nitic opt --passes=check-range
// The squares off a mean are at most 2^38 each: of 20 million, more than 2^24, the sum may pass 2^62.
// ERROR: node 'norm' (batch_norm_statistics): an int64 on the way to its result can reach 5497264541520000000, above the proved limit of 4611686018427387904
func.func @train_step(%x: tensor<100x200000x1xi16>) -> (tensor<1xi32>, tensor<1xi64>) {
  %mean, %variance = nn.batch_norm_statistics %x : (tensor<100x200000x1xi16>) -> (tensor<1xi32>, tensor<1xi64>) loc("norm")
  func.return %mean, %variance : tensor<1xi32>, tensor<1xi64>
}
