// RUN: nitic opt --passes=schedule-calls
// Two calls could be in one of several phases. The one that only makes something large comes right before what reads it.
// The one that reads something large, and makes something small of it, comes with the other reader.
// CHECK:       %large = nn.fused %x phase = 0
// CHECK:       %c1 = nn.fused %large, %w phase = 1
// CHECK:       %small = nn.fused %large, %w phase = 1
// CHECK:       %c2 = nn.fused %c1 phase = 2
// CHECK:       %wide = nn.fused %a, %b phase = 3
// CHECK:       %c3 = nn.fused %c2 phase = 3
// CHECK:       nn.fused %c3, %small, %wide phase = 4
func.func @predict(%x: tensor<2x1000xi8>, %w: tensor<8x1000xi8>, %a: tensor<2x8xi8>, %b: tensor<1000x8xi8>) -> (tensor<2x8xi32>, tensor<2x8xi32>, tensor<2x1000xi32>) {
  %wide = nn.fused %a, %b : (tensor<2x8xi8>, tensor<1000x8xi8>) -> tensor<2x1000xi32> {
  ^bb0(%in: tensor<2x8xi8>, %weight: tensor<1000x8xi8>):
    %out = nn.gemm %in, %weight : (tensor<2x8xi8>, tensor<1000x8xi8>) -> tensor<2x1000xi32>
    nn.yield %out : tensor<2x1000xi32>
  }
  %large = nn.fused %x : (tensor<2x1000xi8>) -> tensor<2x1000xi8> {
  ^bb0(%in: tensor<2x1000xi8>):
    %out = nn.relu %in : (tensor<2x1000xi8>) -> tensor<2x1000xi8>
    nn.yield %out : tensor<2x1000xi8>
  }
  %c1 = nn.fused %large, %w : (tensor<2x1000xi8>, tensor<8x1000xi8>) -> tensor<2x8xi32> {
  ^bb0(%in: tensor<2x1000xi8>, %weight: tensor<8x1000xi8>):
    %out = nn.gemm %in, %weight : (tensor<2x1000xi8>, tensor<8x1000xi8>) -> tensor<2x8xi32>
    nn.yield %out : tensor<2x8xi32>
  }
  %c2 = nn.fused %c1 : (tensor<2x8xi32>) -> tensor<2x8xi32> {
  ^bb0(%in: tensor<2x8xi32>):
    %out = nn.relu %in : (tensor<2x8xi32>) -> tensor<2x8xi32>
    nn.yield %out : tensor<2x8xi32>
  }
  %c3 = nn.fused %c2 : (tensor<2x8xi32>) -> tensor<2x8xi32> {
  ^bb0(%in: tensor<2x8xi32>):
    %out = nn.relu %in : (tensor<2x8xi32>) -> tensor<2x8xi32>
    nn.yield %out : tensor<2x8xi32>
  }
  %small = nn.fused %large, %w : (tensor<2x1000xi8>, tensor<8x1000xi8>) -> tensor<2x8xi32> {
  ^bb0(%in: tensor<2x1000xi8>, %weight: tensor<8x1000xi8>):
    %out = nn.gemm %in, %weight : (tensor<2x1000xi8>, tensor<8x1000xi8>) -> tensor<2x8xi32>
    nn.yield %out : tensor<2x8xi32>
  }
  %r1, %r2, %r3 = nn.fused %c3, %small, %wide : (tensor<2x8xi32>, tensor<2x8xi32>, tensor<2x1000xi32>) -> (tensor<2x8xi32>, tensor<2x8xi32>, tensor<2x1000xi32>) {
  ^bb0(%in1: tensor<2x8xi32>, %in2: tensor<2x8xi32>, %in3: tensor<2x1000xi32>):
    %out1 = nn.relu %in1 : (tensor<2x8xi32>) -> tensor<2x8xi32>
    %out2 = nn.relu %in2 : (tensor<2x8xi32>) -> tensor<2x8xi32>
    %out3 = nn.relu %in3 : (tensor<2x1000xi32>) -> tensor<2x1000xi32>
    nn.yield %out1, %out2, %out3 : tensor<2x8xi32>, tensor<2x8xi32>, tensor<2x1000xi32>
  }
  func.return %r1, %r2, %r3 : tensor<2x8xi32>, tensor<2x8xi32>, tensor<2x1000xi32>
}
