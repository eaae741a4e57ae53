// RUN: nitic opt --passes=canonicalise
// A transpose that moves only an axis of size one is a reshape, and merges with the reshape after it; another one stays.
// CHECK-LABEL: @one_channel
// CHECK:         nn.reshape %x shape = [2, 9] : (tensor<2x1x3x3xf32>) -> tensor<2x9xf32>
// CHECK-NEXT:    func.return
func.func @one_channel(%x: tensor<2x1x3x3xf32>) -> tensor<2x9xf32> {
  %t = nn.transpose %x perm = [0, 2, 3, 1] : (tensor<2x1x3x3xf32>) -> tensor<2x3x3x1xf32>
  %r = nn.reshape %t shape = [2, 9] : (tensor<2x3x3x1xf32>) -> tensor<2x9xf32>
  func.return %r : tensor<2x9xf32>
}
// CHECK-LABEL: @two_channels
// CHECK:         nn.transpose %x perm = [0, 2, 3, 1]
// CHECK-NEXT:    nn.reshape
func.func @two_channels(%x: tensor<2x2x3x3xf32>) -> tensor<2x18xf32> {
  %t = nn.transpose %x perm = [0, 2, 3, 1] : (tensor<2x2x3x3xf32>) -> tensor<2x3x3x2xf32>
  %r = nn.reshape %t shape = [2, 18] : (tensor<2x3x3x2xf32>) -> tensor<2x18xf32>
  func.return %r : tensor<2x18xf32>
}
