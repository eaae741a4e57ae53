// RUN: nitic opt --passes=insert-rounding{activations=pseudo_stochastic}
// Inference shifts by the statistic, not by the range of the batch, always rounds to nearest, and gives mantissas with
// their exponent.
// CHECK-LABEL: @predict
// CHECK-SAME:    -> (tensor<2x2xi8> {nn.name = "output", nn.role = "output"}, !bfp.exp {nn.name = "output.exponent", nn.role = "output"})
// CHECK:         %[[RELU:.*]] = nn.relu
// CHECK-NEXT:    %[[E:.*]] = bfp.exponent_of %[[RELU]]
// CHECK-NEXT:    %[[S:.*]] = bfp.static_shift %relu1.top, %[[E]] bits = 7
// CHECK-NEXT:    %[[Y:.*]] = bfp.round_shift %[[RELU]], %[[S]] round = nearest to = i8
// CHECK-NEXT:    %[[P:.*]], %{{.*}} = nn.max_pool %[[Y]]
// CHECK-NEXT:    %[[O:.*]] = nn.reshape %[[P]]
// CHECK-NEXT:    %[[EO:.*]] = bfp.exponent_of %[[O]]
// CHECK-NEXT:    func.return %[[O]], %[[EO]]
func.func @train_step(%input: tensor<2x4x4x1xf32> {nn.name = "input", nn.role = "input"}, %w1: tensor<2x3x3x1xf32> {nn.name = "w1", nn.role = "master"}, %b1: tensor<2xf32> {nn.name = "b1", nn.role = "master"}, %label: tensor<2xi32> {nn.name = "label", nn.role = "label"}) -> (tensor<f32> {nn.name = "loss", nn.role = "metric"}) {
  %acc1 = nn.conv %input, %w1 dilations = [1, 1] groups = 1 pads = [1, 1, 1, 1] strides = [1, 1] : (tensor<2x4x4x1xf32>, tensor<2x3x3x1xf32>) -> tensor<2x4x4x2xf32> loc("conv1")
  %bias1 = nn.bias %acc1, %b1 : (tensor<2x4x4x2xf32>, tensor<2xf32>) -> tensor<2x4x4x2xf32> loc("conv1")
  %a1 = nn.relu %bias1 : (tensor<2x4x4x2xf32>) -> tensor<2x4x4x2xf32> loc("relu1")
  %p1, %i1 = nn.max_pool %a1 kernel = [4, 4] pads = [0, 0, 0, 0] strides = [4, 4] : (tensor<2x4x4x2xf32>) -> (tensor<2x1x1x2xf32>, tensor<2x1x1x2xi8>)
  %y = nn.reshape %p1 shape = [2, 2] : (tensor<2x1x1x2xf32>) -> tensor<2x2xf32>
  %dlogits, %loss, %correct = nn.cross_entropy %y, %label : (tensor<2x2xf32>, tensor<2xi32>) -> (tensor<2x2xf32>, tensor<f32>, tensor<i32>)
  func.return %loss : tensor<f32>
}
func.func @predict(%input: tensor<2x4x4x1xf32> {nn.name = "input", nn.role = "input"}, %w1: tensor<2x3x3x1xf32> {nn.name = "w1", nn.role = "master"}, %b1: tensor<2xf32> {nn.name = "b1", nn.role = "master"}) -> (tensor<2x2xf32> {nn.name = "output", nn.role = "output"}) {
  %acc1 = nn.conv %input, %w1 dilations = [1, 1] groups = 1 pads = [1, 1, 1, 1] strides = [1, 1] : (tensor<2x4x4x1xf32>, tensor<2x3x3x1xf32>) -> tensor<2x4x4x2xf32> loc("conv1")
  %bias1 = nn.bias %acc1, %b1 : (tensor<2x4x4x2xf32>, tensor<2xf32>) -> tensor<2x4x4x2xf32> loc("conv1")
  %a1 = nn.relu %bias1 : (tensor<2x4x4x2xf32>) -> tensor<2x4x4x2xf32> loc("relu1")
  %p1, %i1 = nn.max_pool %a1 kernel = [4, 4] pads = [0, 0, 0, 0] strides = [4, 4] : (tensor<2x4x4x2xf32>) -> (tensor<2x1x1x2xf32>, tensor<2x1x1x2xi8>)
  %y = nn.reshape %p1 shape = [2, 2] : (tensor<2x1x1x2xf32>) -> tensor<2x2xf32>
  func.return %y : tensor<2x2xf32>
}
