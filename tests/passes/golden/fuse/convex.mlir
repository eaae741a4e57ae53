// RUN: nitic opt --passes=fuse
// The bias needs what is computed from the product: a kernel of both would wait for itself, so they stay apart.
// CHECK:       %[[ACC:.*]] = nn.fused %x, %w :
// CHECK:       %[[B:.*]] = nn.fused %[[ACC]] :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.max_pool
// CHECK:       nn.reshape %[[B]]
// CHECK:       nn.fused %[[ACC]], %{{.*}} :
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:  nn.bias
func.func @predict(%base: !bfp.exp, %x: tensor<1x1x1x3xi8>, %w: tensor<2x1x1x3xi8>) -> tensor<1x1x1x2xi32> {
  %acc1 = nn.conv %x, %w dilations = [1, 1] groups = 1 pads = [0, 0, 0, 0] strides = [1, 1] : (tensor<1x1x1x3xi8>, tensor<2x1x1x3xi8>) -> tensor<1x1x1x2xi32>
  %p, %index = nn.max_pool %acc1 kernel = [1, 1] pads = [0, 0, 0, 0] strides = [1, 1] : (tensor<1x1x1x2xi32>) -> (tensor<1x1x1x2xi32>, tensor<1x1x1x2xi8>)
  %b = nn.reshape %p shape = [2] : (tensor<1x1x1x2xi32>) -> tensor<2xi32>
  %bias1 = nn.bias %acc1, %b, %base, %base : (tensor<1x1x1x2xi32>, tensor<2xi32>, !bfp.exp, !bfp.exp) -> tensor<1x1x1x2xi32>
  func.return %bias1 : tensor<1x1x1x2xi32>
}
