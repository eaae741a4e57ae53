// RUN: nitic opt --passes=fuse,select-kernels,name-kernels
// A kernel over tensors of one shape serves every shape; where one broadcasts, the sizes are part of it.
// CHECK:       nn.fused %x kernel = relu_1 template = flat
// CHECK:       nn.fused %y kernel = relu_1 template = flat
// CHECK:       nn.fused %x, %b, %e kernel = bias_1 template = pointwise
// CHECK:       nn.fused %y, %c, %e kernel = bias_2 template = pointwise
func.func @predict(%x: tensor<2x3xi32>, %y: tensor<4x2x5xi32>, %b: tensor<3xi8>, %c: tensor<5xi8>, %e: !bfp.exp) -> (tensor<2x3xi32>, tensor<4x2x5xi32>, tensor<2x3xi32>, tensor<4x2x5xi32>) {
  %0 = nn.relu %x : (tensor<2x3xi32>) -> tensor<2x3xi32>
  %1 = nn.relu %y : (tensor<4x2x5xi32>) -> tensor<4x2x5xi32>
  %2 = nn.bias %x, %b, %e, %e : (tensor<2x3xi32>, tensor<3xi8>, !bfp.exp, !bfp.exp) -> tensor<2x3xi32>
  %3 = nn.bias %y, %c, %e, %e : (tensor<4x2x5xi32>, tensor<5xi8>, !bfp.exp, !bfp.exp) -> tensor<4x2x5xi32>
  func.return %0, %1, %2, %3 : tensor<2x3xi32>, tensor<4x2x5xi32>, tensor<2x3xi32>, tensor<4x2x5xi32>
}
