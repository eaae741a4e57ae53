// RUN: nitic opt --passes=track-exponents
// What inference gives for a sample must not depend on the others of its batch. A range of parameters is no such range.
// ERROR: bfp.range in @predict of node 'fc' is of samples: inference shifts by statistics, not by its batch
// ERROR:   note: raised around track-exponents
func.func @train_step(%input: tensor<2x3xi8> {nn.name = "input", nn.role = "input"}) -> (!bfp.range {nn.name = "r", nn.role = "metric"}) {
  %r = bfp.range %input : (tensor<2x3xi8>) -> !bfp.range loc("train")
  func.return %r : !bfp.range
}
func.func @predict(%input: tensor<2x3xi8> {nn.name = "input", nn.role = "input"}, %w: tensor<4x3xi8> {nn.name = "w", nn.role = "weight"}) -> (!bfp.range {nn.name = "r", nn.role = "metric"}) {
  %of_w = bfp.range %w : (tensor<4x3xi8>) -> !bfp.range loc("weight")
  %acc = nn.gemm %input, %w : (tensor<2x3xi8>, tensor<4x3xi8>) -> tensor<2x4xi32>
  %relu = nn.relu %acc : (tensor<2x4xi32>) -> tensor<2x4xi32>
  %r = bfp.range %relu : (tensor<2x4xi32>) -> !bfp.range loc("fc")
  func.return %r : !bfp.range
}
