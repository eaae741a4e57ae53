// RUN: nitic opt --passes=check-range
// The aligned bias counts: 60,000 products alone would fit, with 127 * 2^20 they do not.
// ERROR: node 'fc1' (bias): its accumulator can reach 1100909152, above the proved limit of 1073741824
func.func @predict(%base: !bfp.exp, %x: tensor<1x60000xi8>, %w: tensor<2x60000xi8>, %b: tensor<2xi32>) -> tensor<1x2xi32> {
  %acc1 = nn.gemm %x, %w : (tensor<1x60000xi8>, tensor<2x60000xi8>) -> tensor<1x2xi32>
  %bias1 = nn.bias %acc1, %b, %base, %base : (tensor<1x2xi32>, tensor<2xi32>, !bfp.exp, !bfp.exp) -> tensor<1x2xi32> loc("fc1")
  func.return %bias1 : tensor<1x2xi32>
}
