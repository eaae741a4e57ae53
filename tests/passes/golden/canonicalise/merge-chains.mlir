// RUN: nitic opt --passes=canonicalise
// A chain of reshapes is one reshape, a chain of transposes one transpose.
// CHECK-LABEL: @reshapes
// CHECK:         nn.reshape %x shape = [24] : (tensor<2x3x4xf32>) -> tensor<24xf32>
// CHECK-NEXT:    func.return
func.func @reshapes(%x: tensor<2x3x4xf32>) -> tensor<24xf32> {
  %r1 = nn.reshape %x shape = [6, 4] : (tensor<2x3x4xf32>) -> tensor<6x4xf32>
  %r2 = nn.reshape %r1 shape = [24] : (tensor<6x4xf32>) -> tensor<24xf32>
  func.return %r2 : tensor<24xf32>
}
// CHECK-LABEL: @transposes
// CHECK:         nn.transpose %x perm = [2, 1, 0] : (tensor<2x3x4xf32>) -> tensor<4x3x2xf32>
// CHECK-NEXT:    func.return
func.func @transposes(%x: tensor<2x3x4xf32>) -> tensor<4x3x2xf32> {
  %t1 = nn.transpose %x perm = [1, 2, 0] : (tensor<2x3x4xf32>) -> tensor<3x4x2xf32>
  %t2 = nn.transpose %t1 perm = [1, 0, 2] : (tensor<3x4x2xf32>) -> tensor<4x3x2xf32>
  func.return %t2 : tensor<4x3x2xf32>
}
