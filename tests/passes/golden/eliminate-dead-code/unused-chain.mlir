// RUN: nitic opt --passes=eliminate-dead-code
// A chain whose end nobody uses goes as a whole, inside a group too; one used result keeps an operator.
// CHECK:       nn.fused
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.relu
// CHECK-NEXT:  nn.yield
// CHECK-NEXT:  }
// CHECK-NEXT:  %[[P:.*]], %{{.*}} = nn.max_pool
// CHECK-NEXT:  func.return %[[P]]
func.func @predict(%x: tensor<1x2x2x1xi8>) -> tensor<1x1x1x1xi8> {
  %a = nn.fused %x : (tensor<1x2x2x1xi8>) -> tensor<1x2x2x1xi8> {
  ^bb0(%in: tensor<1x2x2x1xi8>):
    %y = nn.relu %in : (tensor<1x2x2x1xi8>) -> tensor<1x2x2x1xi8>
    %unused = bfp.range %y : (tensor<1x2x2x1xi8>) -> !bfp.range
    nn.yield %y : tensor<1x2x2x1xi8>
  }
  %p, %index = nn.max_pool %a kernel = [2, 2] pads = [0, 0, 0, 0] strides = [2, 2] : (tensor<1x2x2x1xi8>) -> (tensor<1x1x1x1xi8>, tensor<1x1x1x1xi8>)
  %r = bfp.range %p : (tensor<1x1x1x1xi8>) -> !bfp.range
  %s = bfp.shift %r bits = 7 : (!bfp.range) -> !bfp.exp
  func.return %p : tensor<1x1x1x1xi8>
}
