// RUN: nitic opt --passes=insert-update
// By default every parameter is a master with a velocity, in every function, and takes its run-time scalars from the step.
// CHECK-LABEL: @train_step
// CHECK-SAME:    %w: tensor<2x3xf32> {nn.name = "w", nn.role = "master"}
// CHECK-SAME:    %w.velocity: tensor<2x3xf32> {nn.name = "w.velocity", nn.role = "velocity"}
// CHECK-SAME:    %rate_m: tensor<i32> {nn.name = "rate_m", nn.role = "hyper"}
// CHECK-SAME:    -> (tensor<2x3xf32> {nn.name = "w", nn.role = "master"}, tensor<2x3xf32> {nn.name = "w.velocity", nn.role = "velocity"}
// CHECK:         %[[W:.*]], %[[VW:.*]] = nn.update_momentum %w, %w.velocity, %dw, %rate_m, %rate_k, %momentum, %decay round = pseudo_stochastic
// CHECK-NEXT:    %[[B:.*]], %[[VB:.*]] = nn.update_momentum %b, %b.velocity, %db, %rate_m, %rate_k, %momentum, %decay round = pseudo_stochastic
// CHECK-NEXT:    func.return %[[W]], %[[VW]], %[[B]], %[[VB]] :
// CHECK-LABEL: @predict
// CHECK-SAME:    %w: tensor<2x3xf32> {nn.name = "w", nn.role = "master"}
func.func @train_step(%w: tensor<2x3xf32> {nn.name = "w", nn.role = "weight"}, %b: tensor<2xf32> {nn.name = "b", nn.role = "weight"}, %dw: tensor<2x3xf32> {nn.name = "dw", nn.role = "input"}, %db: tensor<2xf32> {nn.name = "db", nn.role = "input"}) -> (tensor<2x3xf32> {nn.name = "w.gradient", nn.role = "gradient"}, tensor<2xf32> {nn.name = "b.gradient", nn.role = "gradient"}) {
  func.return %dw, %db : tensor<2x3xf32>, tensor<2xf32>
}
func.func @predict(%w: tensor<2x3xf32> {nn.name = "w", nn.role = "weight"}) -> (tensor<2x3xf32> {nn.name = "output", nn.role = "output"}) {
  %y = nn.relu %w : (tensor<2x3xf32>) -> tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}
