// RUN: nitic opt --passes=check-range
// Only an update takes an int64 accumulator: a product of that length that is rounded is refused.
// ERROR: node 'fc1' (gemm): its accumulator can reach 1129030000, above the proved limit of 1073741824
func.func @predict(%x: tensor<1x70000xi8>, %w: tensor<2x70000xi8>, %s: !bfp.exp) -> tensor<1x2xi8> {
  %acc1 = nn.gemm %x, %w : (tensor<1x70000xi8>, tensor<2x70000xi8>) -> tensor<1x2xi32> loc("fc1")
  %y = bfp.round_shift %acc1, %s round = nearest to = i8 : (tensor<1x2xi32>, !bfp.exp) -> tensor<1x2xi8>
  func.return %y : tensor<1x2xi8>
}
