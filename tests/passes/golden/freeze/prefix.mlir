// RUN: nitic opt --passes=freeze{parameters=features.*}
// The role changes and nothing else.
// CHECK:       %features.0.weight: tensor<2x3xf32> {nn.name = "features.0.weight", nn.role = "frozen"}
// CHECK-SAME:  %features.0.bias: tensor<2xf32> {nn.name = "features.0.bias", nn.role = "frozen"}
// CHECK-SAME:  %fc.weight: tensor<2x2xf32> {nn.name = "fc.weight", nn.role = "weight"}
// CHECK-NEXT:  nn.gemm %input, %features.0.weight
// CHECK-NEXT:  nn.bias
// CHECK-NEXT:  nn.gemm
// CHECK-NEXT:  func.return
func.func @predict(%input: tensor<4x3xf32> {nn.name = "input", nn.role = "input"}, %features.0.weight: tensor<2x3xf32> {nn.name = "features.0.weight", nn.role = "weight"}, %features.0.bias: tensor<2xf32> {nn.name = "features.0.bias", nn.role = "weight"}, %fc.weight: tensor<2x2xf32> {nn.name = "fc.weight", nn.role = "weight"}) -> (tensor<4x2xf32> {nn.name = "logits", nn.role = "output"}) {
  %a = nn.gemm %input, %features.0.weight : (tensor<4x3xf32>, tensor<2x3xf32>) -> tensor<4x2xf32>
  %b = nn.bias %a, %features.0.bias : (tensor<4x2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
  %y = nn.gemm %b, %fc.weight : (tensor<4x2xf32>, tensor<2x2xf32>) -> tensor<4x2xf32>
  func.return %y : tensor<4x2xf32>
}
