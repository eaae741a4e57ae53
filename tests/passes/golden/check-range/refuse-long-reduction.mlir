// RUN: nitic opt --passes=check-range
// What takes no int64 accumulator, here a view of it, is refused.
// ERROR: node 'fc1' (gemm): its accumulator can reach 1129030000, above the proved limit of 1073741824
func.func @predict(%x: tensor<1x70000xi8>, %w: tensor<2x70000xi8>) -> tensor<2x1xi32> {
  %acc1 = nn.gemm %x, %w : (tensor<1x70000xi8>, tensor<2x70000xi8>) -> tensor<1x2xi32> loc("fc1")
  %y = nn.reshape %acc1 shape = [2, 1] : (tensor<1x2xi32>) -> tensor<2x1xi32>
  func.return %y : tensor<2x1xi32>
}
