// RUN: nitic opt --passes=fuse{frugal=1}
// In inference no range is taken: on a machine with little memory the rounding joins the kernel of its accumulator.
// CHECK:       nn.fused
// CHECK:       nn.gemm
// CHECK-NEXT:  bfp.round_shift
// CHECK-NEXT:  nn.yield {{.*}} : tensor<4x2xi8>
// CHECK-NOT:   nn.fused
func.func @f(%x: tensor<4x3xi8>, %w: tensor<2x3xi8>, %s: !bfp.exp) -> tensor<4x2xi8> {
  %a = nn.gemm %x, %w : (tensor<4x3xi8>, tensor<2x3xi8>) -> tensor<4x2xi32>
  %z = bfp.round_shift %a, %s round = nearest to = i8 : (tensor<4x2xi32>, !bfp.exp) -> tensor<4x2xi8>
  func.return %z : tensor<4x2xi8>
}
