// RUN: nitic opt --passes=infer-shapes
// The types of results, and the function's, follow the arguments: here a batch of 1 has become 5.
// CHECK:       func.func @predict({{.*}}) -> tensor<5x2xf32>
// CHECK:       nn.gemm {{.*}} -> tensor<5x4xf32>
// CHECK-NEXT:  nn.relu {{.*}} : (tensor<5x4xf32>) -> tensor<5x4xf32>
// CHECK-NEXT:  nn.gemm {{.*}} -> tensor<5x2xf32>
func.func @predict(%x: tensor<5x3xf32>, %w1: tensor<4x3xf32>, %w2: tensor<2x4xf32>) -> tensor<1x2xf32> {
  %acc1 = nn.gemm %x, %w1 : (tensor<5x3xf32>, tensor<4x3xf32>) -> tensor<1x4xf32>
  %a1 = nn.relu %acc1 : (tensor<1x4xf32>) -> tensor<1x4xf32>
  %y = nn.gemm %a1, %w2 : (tensor<1x4xf32>, tensor<2x4xf32>) -> tensor<1x2xf32>
  func.return %y : tensor<1x2xf32>
}
