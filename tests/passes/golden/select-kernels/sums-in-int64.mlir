// RUN: nitic opt --passes=fuse,select-kernels{variant=avx512vnni}
// Sums that check-range has widened are no vector template's, but those of weight gradients are.
// CHECK:       nn.fused %x, %w template = by_element :
// CHECK:       nn.fused %x, %dy template = vnni_wgrad :
func.func @predict(%x: tensor<4x8xi8>, %w: tensor<4x8xi8>, %dy: tensor<4x4xi8>) -> (tensor<4x4xi64>, tensor<4x8xi64>) {
  %acc = nn.gemm %x, %w : (tensor<4x8xi8>, tensor<4x8xi8>) -> tensor<4x4xi64>
  %dw = nn.gemm_wgrad %x, %dy : (tensor<4x8xi8>, tensor<4x4xi8>) -> tensor<4x8xi64>
  func.return %acc, %dw : tensor<4x4xi64>, tensor<4x8xi64>
}
