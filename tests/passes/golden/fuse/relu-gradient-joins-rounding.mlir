// RUN: nitic opt --passes=fuse
// The mask of a relu joins the rounding of the error before it; behind a reshape, which is a view, it stands alone.
// CHECK:       %[[DX:.*]] = nn.fused %da, %s, %y :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  bfp.round_shift
// CHECK-NEXT:  nn.relu_dgrad
// CHECK-NEXT:  nn.yield
// CHECK-NEXT:  }
// CHECK-NEXT:  %[[VIEW:.*]] = nn.reshape %[[DX]]
// CHECK-NEXT:  nn.fused %[[VIEW]], %y2 :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.relu_dgrad
func.func @train_step(%da: tensor<2x4xi32>, %s: !bfp.exp, %y: tensor<2x4xi8>, %y2: tensor<8xi8>) -> tensor<8xi8> {
  %dy = bfp.round_shift %da, %s round = nearest to = i8 : (tensor<2x4xi32>, !bfp.exp) -> tensor<2x4xi8>
  %dx = nn.relu_dgrad %dy, %y : (tensor<2x4xi8>, tensor<2x4xi8>) -> tensor<2x4xi8>
  %view = nn.reshape %dx shape = [8] : (tensor<2x4xi8>) -> tensor<8xi8>
  %dx2 = nn.relu_dgrad %view, %y2 : (tensor<8xi8>, tensor<8xi8>) -> tensor<8xi8>
  func.return %dx2 : tensor<8xi8>
}
