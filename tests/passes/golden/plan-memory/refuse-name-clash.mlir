// RUN: nitic opt --passes=fuse,schedule-calls,plan-memory
// An argument and a result that are not the same tensor share a name: they would share memory.
// ERROR: two tensors of the program are called 'loss': rename the parameter
func.func @predict(%w: tensor<2xi8> {nn.name = "loss", nn.role = "weight"}) -> (tensor<2xi8> {nn.name = "loss", nn.role = "metric"}) {
  %y = nn.relu %w : (tensor<2xi8>) -> tensor<2xi8>
  func.return %y : tensor<2xi8>
}
