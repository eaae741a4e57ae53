// RUN: nitic opt --passes=fuse,select-kernels{variant=cortexm4},name-kernels,schedule-calls,plan-memory{variant=cortexm4}
// For a microcontroller buffers follow each other at multiples of 8 bytes, a range has the slot of one thread, and a
// frozen parameter lies in the constants: its offset has bit 62.
// CHECK:       nn.arena = 64
// CHECK-SAME:  nn.state = 0
// CHECK:       buffers = [0, 4611686018427387904, 32, 24]
// CHECK:       buffers = [24, 32, 16]
func.func @predict(%x: tensor<4x3xi8> {nn.name = "input", nn.role = "input"}, %w: tensor<2x3xi8> {nn.name = "w", nn.role = "frozen"}) -> (tensor<4x2xi8> {nn.name = "logits", nn.role = "output"}) {
  %a = nn.gemm %x, %w : (tensor<4x3xi8>, tensor<2x3xi8>) -> tensor<4x2xi32>
  %r = bfp.range %a : (tensor<4x2xi32>) -> !bfp.range
  %s = bfp.shift %r bits = 7 : (!bfp.range) -> !bfp.exp
  %z = bfp.round_shift %a, %s round = nearest to = i8 : (tensor<4x2xi32>, !bfp.exp) -> tensor<4x2xi8>
  func.return %z : tensor<4x2xi8>
}
