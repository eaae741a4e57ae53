// RUN: nitic opt --passes=fuse,plan-memory
// How long a buffer lives is counted in phases.
// ERROR: an nn.fused has no phase: schedule-calls comes before
// ERROR:   note: raised around plan-memory
func.func @predict(%x: tensor<2xi8>) -> tensor<2xi8> {
  %y = nn.relu %x : (tensor<2xi8>) -> tensor<2xi8>
  func.return %y : tensor<2xi8>
}
