// RUN: nitic opt --passes=insert-rounding
// In training: a master is requantised, bias and relu come before the rounding and pooling after it, the shift follows the
// range of the batch, and the statistic that inference will use learns from that range.
// CHECK-LABEL: @train_step
// CHECK-SAME:    %input: tensor<2x4x4x1xui8>
// CHECK-SAME:    %w1: tensor<2x3x3x1xi16>
// CHECK-SAME:    %w1.exponent: !bfp.exp {nn.name = "w1.exponent", nn.role = "exponent"}
// CHECK-SAME:    %relu1.top: tensor<i32> {nn.name = "relu1.top", nn.role = "statistic"}
// CHECK-SAME:    -> (tensor<i64> {nn.name = "loss", nn.role = "metric"}, tensor<i32> {nn.name = "relu1.top", nn.role = "statistic"})
// CHECK-NOT:     f32
// CHECK:         %[[X:.*]] = nn.input_map %input, %input.multiplier, %input.offset
// CHECK-NEXT:    %[[RW:.*]] = bfp.range %w1
// CHECK-NEXT:    %[[SW:.*]] = bfp.shift %[[RW]] bits = 7
// CHECK-NEXT:    %[[W1:.*]] = bfp.round_shift %w1, %[[SW]] round = nearest to = i8
// CHECK-NEXT:    %[[RB:.*]] = bfp.range %b1
// CHECK-NEXT:    %[[SB:.*]] = bfp.shift %[[RB]] bits = 7
// CHECK-NEXT:    %[[B1:.*]] = bfp.round_shift %b1, %[[SB]] round = nearest to = i8
// CHECK-NEXT:    %[[ACC:.*]] = nn.conv %[[X]], %[[W1]] {{.*}} -> tensor<2x4x4x2xi32>
// CHECK-NEXT:    %[[EACC:.*]] = bfp.exponent_of %[[ACC]]
// CHECK-NEXT:    %[[EB:.*]] = bfp.exponent_of %[[B1]]
// CHECK-NEXT:    %[[ESUM:.*]] = bfp.exp_parameter_sum %[[EACC]], %[[EB]], %[[RB]]
// CHECK-NEXT:    %[[ALIGNED:.*]] = bfp.align %[[B1]], %[[EB]], %[[ESUM]]
// CHECK-NEXT:    %[[BIAS:.*]] = nn.bias %[[ACC]], %[[ALIGNED]], %[[EACC]], %[[ESUM]]
// CHECK-NEXT:    %[[RELU:.*]] = nn.relu %[[BIAS]]
// CHECK-NEXT:    %[[R:.*]] = bfp.range %[[RELU]]
// CHECK-NEXT:    %[[E:.*]] = bfp.exponent_of %[[RELU]]
// CHECK-NEXT:    %[[TOP:.*]] = bfp.top %relu1.top, %[[R]], %[[E]]
// CHECK-NEXT:    %[[S:.*]] = bfp.shift %[[R]] bits = 7
// CHECK-NEXT:    %[[Y:.*]] = bfp.round_shift %[[RELU]], %[[S]] round = nearest to = i8
// CHECK-NEXT:    %[[P:.*]], %{{.*}} = nn.max_pool %[[Y]]
// CHECK-NEXT:    %[[O:.*]] = nn.reshape %[[P]]
// CHECK-NEXT:    %[[EO:.*]] = bfp.exponent_of %[[O]]
// CHECK-NEXT:    %{{.*}}, %[[LOSS:.*]], %{{.*}} = nn.cross_entropy %[[O]], %label, %[[EO]]
// CHECK-NEXT:    func.return %[[LOSS]], %[[TOP]]
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
