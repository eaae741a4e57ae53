// RUN: nitic opt --passes=schedule-calls
// Two chains, one after the other in the program, run side by side: there are as many phases as the longer one has. The
// view stays behind what it is a view of.
// CHECK:       %a1 = nn.fused %x phase = 0
// CHECK:       %b1 = nn.fused %y phase = 0
// CHECK:       %a2 = nn.fused %a1 phase = 1
// CHECK:       %view = nn.reshape %a2
// CHECK-NEXT:  %b2 = nn.fused %b1 phase = 1
// CHECK:       %a3 = nn.fused %view phase = 2
func.func @predict(%x: tensor<2x3xi8>, %y: tensor<2x3xi8>) -> (tensor<6xi8>, tensor<2x3xi8>) {
  %a1 = nn.fused %x : (tensor<2x3xi8>) -> tensor<2x3xi8> {
  ^bb0(%in: tensor<2x3xi8>):
    %out = nn.relu %in : (tensor<2x3xi8>) -> tensor<2x3xi8>
    nn.yield %out : tensor<2x3xi8>
  }
  %a2 = nn.fused %a1 : (tensor<2x3xi8>) -> tensor<2x3xi8> {
  ^bb0(%in: tensor<2x3xi8>):
    %out = nn.relu %in : (tensor<2x3xi8>) -> tensor<2x3xi8>
    nn.yield %out : tensor<2x3xi8>
  }
  %view = nn.reshape %a2 shape = [6] : (tensor<2x3xi8>) -> tensor<6xi8>
  %a3 = nn.fused %view : (tensor<6xi8>) -> tensor<6xi8> {
  ^bb0(%in: tensor<6xi8>):
    %out = nn.relu %in : (tensor<6xi8>) -> tensor<6xi8>
    nn.yield %out : tensor<6xi8>
  }
  %b1 = nn.fused %y : (tensor<2x3xi8>) -> tensor<2x3xi8> {
  ^bb0(%in: tensor<2x3xi8>):
    %out = nn.relu %in : (tensor<2x3xi8>) -> tensor<2x3xi8>
    nn.yield %out : tensor<2x3xi8>
  }
  %b2 = nn.fused %b1 : (tensor<2x3xi8>) -> tensor<2x3xi8> {
  ^bb0(%in: tensor<2x3xi8>):
    %out = nn.relu %in : (tensor<2x3xi8>) -> tensor<2x3xi8>
    nn.yield %out : tensor<2x3xi8>
  }
  func.return %a3, %b2 : tensor<6xi8>, tensor<2x3xi8>
}
