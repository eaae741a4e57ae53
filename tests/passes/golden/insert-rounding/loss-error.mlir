// RUN: nitic opt --passes=insert-rounding
// The error of a cross-entropy is rounded already: where a pool multiplies it, it is rounded by chance, others to nearest.
// CHECK:       nn.cross_entropy
// CHECK:       %[[P:.*]] = nn.avg_pool_dgrad
// CHECK:       %[[R:.*]] = bfp.round_shift %[[P]], %{{.*}}, %seed, %step round = stochastic stream = 65536 to = i8
// CHECK-NEXT:  nn.relu_dgrad %[[R]]
// CHECK-NEXT:  %[[D:.*]] = nn.conv_dgrad
// CHECK:       bfp.round_shift %[[D]], %{{.*}} round = nearest to = i8
func.func @train_step(%input: tensor<64x3x3x2xf32> {nn.name = "input", nn.role = "input"}, %a.weight: tensor<2x1x1x2xf32> {nn.name = "a.weight", nn.role = "weight"}, %fc.weight: tensor<3x1x1x2xf32> {nn.name = "fc.weight", nn.role = "weight"}, %label: tensor<64xi32> {nn.name = "label", nn.role = "label"}, %seed: tensor<i64> {nn.name = "seed", nn.role = "hyper"}, %step: tensor<i32> {nn.name = "step", nn.role = "hyper"}) -> (tensor<f32> {nn.name = "loss", nn.role = "metric"}, tensor<i32> {nn.name = "correct", nn.role = "metric"}, tensor<2x1x1x2xf32> {nn.name = "a.weight.gradient", nn.role = "gradient"}, tensor<3x1x1x2xf32> {nn.name = "fc.weight.gradient", nn.role = "gradient"}) {
  %a.conv = nn.conv %input, %a.weight dilations = [1, 1] groups = 1 pads = [0, 0, 0, 0] strides = [1, 1] : (tensor<64x3x3x2xf32>, tensor<2x1x1x2xf32>) -> tensor<64x3x3x2xf32>
  %fc.conv = nn.conv %a.conv, %fc.weight dilations = [1, 1] groups = 1 pads = [0, 0, 0, 0] strides = [1, 1] : (tensor<64x3x3x2xf32>, tensor<3x1x1x2xf32>) -> tensor<64x3x3x3xf32>
  %relu2.relu = nn.relu %fc.conv : (tensor<64x3x3x3xf32>) -> tensor<64x3x3x3xf32>
  %pool3.avg_pool = nn.avg_pool %relu2.relu kernel = [3, 3] pads = [0, 0, 0, 0] strides = [1, 1] : (tensor<64x3x3x3xf32>) -> tensor<64x1x1x3xf32>
  %reshape = nn.reshape %pool3.avg_pool shape = [64, 3] : (tensor<64x1x1x3xf32>) -> tensor<64x3xf32>
  %cross_entropy, %loss, %correct = nn.cross_entropy %reshape, %label, %seed, %step : (tensor<64x3xf32>, tensor<64xi32>, tensor<i64>, tensor<i32>) -> (tensor<64x3xf32>, tensor<f32>, tensor<i32>)
  %reshape_1 = nn.reshape %cross_entropy shape = [64, 1, 1, 3] : (tensor<64x3xf32>) -> tensor<64x1x1x3xf32>
  %pool3.avg_pool_dgrad = nn.avg_pool_dgrad %reshape_1 kernel = [3, 3] pads = [0, 0, 0, 0] size = [3, 3] strides = [1, 1] : (tensor<64x1x1x3xf32>) -> tensor<64x3x3x3xf32>
  %relu2.relu_dgrad = nn.relu_dgrad %pool3.avg_pool_dgrad, %relu2.relu : (tensor<64x3x3x3xf32>, tensor<64x3x3x3xf32>) -> tensor<64x3x3x3xf32>
  %fc.conv_dgrad = nn.conv_dgrad %relu2.relu_dgrad, %fc.weight dilations = [1, 1] groups = 1 pads = [0, 0, 0, 0] size = [3, 3] strides = [1, 1] : (tensor<64x3x3x3xf32>, tensor<3x1x1x2xf32>) -> tensor<64x3x3x2xf32>
  %fc.conv_wgrad = nn.conv_wgrad %a.conv, %relu2.relu_dgrad dilations = [1, 1] groups = 1 kernel = [1, 1] pads = [0, 0, 0, 0] strides = [1, 1] : (tensor<64x3x3x2xf32>, tensor<64x3x3x3xf32>) -> tensor<3x1x1x2xf32>
  %a.conv_wgrad = nn.conv_wgrad %input, %fc.conv_dgrad dilations = [1, 1] groups = 1 kernel = [1, 1] pads = [0, 0, 0, 0] strides = [1, 1] : (tensor<64x3x3x2xf32>, tensor<64x3x3x2xf32>) -> tensor<2x1x1x2xf32>
  func.return %loss, %correct, %a.conv_wgrad, %fc.conv_wgrad : tensor<f32>, tensor<i32>, tensor<2x1x1x2xf32>, tensor<3x1x1x2xf32>
}
