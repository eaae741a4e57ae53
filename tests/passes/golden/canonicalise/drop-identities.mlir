// RUN: nitic opt --passes=canonicalise
// What moves nothing is dropped, alone or in a chain.
// CHECK-LABEL: @reshape
// CHECK-NOT:     nn.
// CHECK:         func.return %x
func.func @reshape(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %r1 = nn.reshape %x shape = [6] : (tensor<2x3xf32>) -> tensor<6xf32>
  %r2 = nn.reshape %r1 shape = [2, 3] : (tensor<6xf32>) -> tensor<2x3xf32>
  func.return %r2 : tensor<2x3xf32>
}
// CHECK-LABEL: @transpose
// CHECK-NOT:     nn.
// CHECK:         func.return %x
func.func @transpose(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %t1 = nn.transpose %x perm = [1, 0] : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %t2 = nn.transpose %t1 perm = [1, 0] : (tensor<3x2xf32>) -> tensor<2x3xf32>
  func.return %t2 : tensor<2x3xf32>
}
