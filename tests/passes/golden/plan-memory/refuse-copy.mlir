// RUN: nitic opt --passes=schedule-calls,plan-memory
// A result that is an argument of another name would have to be copied.
// ERROR: @predict: result 'output' would need a copy
func.func @predict(%x: tensor<2xi8> {nn.name = "input", nn.role = "input"}) -> (tensor<2xi8> {nn.name = "output", nn.role = "output"}) {
  func.return %x : tensor<2xi8>
}
