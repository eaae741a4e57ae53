// RUN: nitic opt --passes=schedule-calls,plan-memory
// Four buffers of 1,088 bytes in a chain, of which two live at a time: the third takes the first one's place. The result
// is a named tensor, and the view of it no buffer at all.
// CHECK:       nn.arena = 4352 : i64, nn.state = 0 : i64
// CHECK:       nn.fused %x buffers = [0, [[#FIRST:]]]
// CHECK:       nn.fused %{{.*}} buffers = [[[#FIRST]], [[#SECOND:]]]
// CHECK:       nn.fused %{{.*}} buffers = [[[#SECOND]], [[#FIRST]]]
// CHECK:       nn.fused %{{.*}} buffers = [[[#FIRST]], 1088]
func.func @predict(%x: tensor<1000xi8> {nn.name = "input", nn.role = "input"}) -> (tensor<10x100xi8> {nn.name = "output", nn.role = "output"}) {
  %a = nn.fused %x : (tensor<1000xi8>) -> tensor<1000xi8> {
  ^bb0(%in: tensor<1000xi8>):
    %out = nn.relu %in : (tensor<1000xi8>) -> tensor<1000xi8>
    nn.yield %out : tensor<1000xi8>
  }
  %b = nn.fused %a : (tensor<1000xi8>) -> tensor<1000xi8> {
  ^bb0(%in: tensor<1000xi8>):
    %out = nn.relu %in : (tensor<1000xi8>) -> tensor<1000xi8>
    nn.yield %out : tensor<1000xi8>
  }
  %c = nn.fused %b : (tensor<1000xi8>) -> tensor<1000xi8> {
  ^bb0(%in: tensor<1000xi8>):
    %out = nn.relu %in : (tensor<1000xi8>) -> tensor<1000xi8>
    nn.yield %out : tensor<1000xi8>
  }
  %d = nn.fused %c : (tensor<1000xi8>) -> tensor<1000xi8> {
  ^bb0(%in: tensor<1000xi8>):
    %out = nn.relu %in : (tensor<1000xi8>) -> tensor<1000xi8>
    nn.yield %out : tensor<1000xi8>
  }
  %view = nn.reshape %d shape = [10, 100] : (tensor<1000xi8>) -> tensor<10x100xi8>
  func.return %view : tensor<10x100xi8>
}
