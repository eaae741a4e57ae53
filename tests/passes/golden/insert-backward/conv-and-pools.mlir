// RUN: nitic opt --passes=insert-backward
// Convolution, both pools, dropout and reshape: each gradient carries the window of its operator, and dropout its stream.
// CHECK:       %[[POOL:.*]], %[[INDEX:.*]] = nn.max_pool
// CHECK:       %[[DY:.*]], %{{.*}}, %{{.*}} = nn.cross_entropy
// CHECK-NEXT:  %[[DR:.*]] = nn.reshape %[[DY]] shape = [2, 1, 1, 2]
// CHECK-NEXT:  %[[DD:.*]] = nn.dropout %[[DR]], %seed, %step p = 0.5 stream = 3
// CHECK-NEXT:  %[[DAVG:.*]] = nn.avg_pool_dgrad %[[DD]] kernel = [2, 2] pads = [0, 0, 0, 0] size = [2, 2] strides = [2, 2]
// CHECK-NEXT:  %[[DMAX:.*]] = nn.max_pool_dgrad %[[DAVG]], %[[INDEX]] kernel = [2, 2] pads = [0, 0, 0, 0] size = [4, 4] strides = [2, 2]
// CHECK-NEXT:  %[[DX2:.*]] = nn.conv_dgrad %[[DMAX]], %w2 dilations = [2, 2] groups = 2 pads = [2, 2, 2, 2] size = [4, 4] strides = [1, 1]
// CHECK-NEXT:  %[[DW2:.*]] = nn.conv_wgrad %{{.*}}, %[[DMAX]] dilations = [2, 2] groups = 2 kernel = [3, 3] pads = [2, 2, 2, 2] strides = [1, 1]
// CHECK-NEXT:  %[[DW1:.*]] = nn.conv_wgrad %input, %[[DX2]] dilations = [1, 1] groups = 1 kernel = [1, 1] pads = [0, 0, 0, 0] strides = [1, 1]
// CHECK-NEXT:  func.return %{{.*}}, %[[DW1]], %[[DW2]] :
func.func @train_step(%input: tensor<2x4x4x1xf32> {nn.name = "input", nn.role = "input"}, %w1: tensor<2x1x1x1xf32> {nn.name = "w1", nn.role = "weight"}, %w2: tensor<2x3x3x1xf32> {nn.name = "w2", nn.role = "weight"}, %label: tensor<2xi32> {nn.name = "label", nn.role = "label"}, %seed: tensor<i64> {nn.name = "seed", nn.role = "hyper"}, %step: tensor<i32> {nn.name = "step", nn.role = "hyper"}) -> (tensor<f32> {nn.name = "loss", nn.role = "metric"}) {
  %acc1 = nn.conv %input, %w1 dilations = [1, 1] groups = 1 pads = [0, 0, 0, 0] strides = [1, 1] : (tensor<2x4x4x1xf32>, tensor<2x1x1x1xf32>) -> tensor<2x4x4x2xf32>
  %acc2 = nn.conv %acc1, %w2 dilations = [2, 2] groups = 2 pads = [2, 2, 2, 2] strides = [1, 1] : (tensor<2x4x4x2xf32>, tensor<2x3x3x1xf32>) -> tensor<2x4x4x2xf32>
  %p, %index = nn.max_pool %acc2 kernel = [2, 2] pads = [0, 0, 0, 0] strides = [2, 2] : (tensor<2x4x4x2xf32>) -> (tensor<2x2x2x2xf32>, tensor<2x2x2x2xi8>)
  %q = nn.avg_pool %p kernel = [2, 2] pads = [0, 0, 0, 0] strides = [2, 2] : (tensor<2x2x2x2xf32>) -> tensor<2x1x1x2xf32>
  %d = nn.dropout %q, %seed, %step p = 0.5 stream = 3 : (tensor<2x1x1x2xf32>, tensor<i64>, tensor<i32>) -> tensor<2x1x1x2xf32>
  %r = nn.reshape %d shape = [2, 2] : (tensor<2x1x1x2xf32>) -> tensor<2x2xf32>
  %dlogits, %loss, %correct = nn.cross_entropy %r, %label : (tensor<2x2xf32>, tensor<2xi32>) -> (tensor<2x2xf32>, tensor<f32>, tensor<i32>)
  func.return %loss : tensor<f32>
}
