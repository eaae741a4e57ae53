// RUN: nitic opt --passes=insert-update{rule=niti}
// Pure int8: the weight itself is updated by gb bits; a parameter with one axis keeps a master and the plain rule.
// CHECK:       %w: tensor<2x3xf32> {nn.name = "w", nn.role = "weight"}
// CHECK-SAME:  %b: tensor<2xf32> {nn.name = "b", nn.role = "master"}
// CHECK-SAME:  %gb: tensor<i32> {nn.name = "gb", nn.role = "hyper"}
// CHECK-SAME:  -> (tensor<2x3xf32> {nn.name = "w", nn.role = "weight"}, tensor<2xf32> {nn.name = "b", nn.role = "master"})
// CHECK:       %[[W:.*]] = nn.update_niti %w, %dw, %gb round = pseudo_stochastic
// CHECK-NEXT:  %[[B:.*]] = nn.update_plain %b, %db, %rate_m, %rate_k round = pseudo_stochastic
// CHECK-NEXT:  func.return %[[W]], %[[B]] :
func.func @train_step(%w: tensor<2x3xf32> {nn.name = "w", nn.role = "weight"}, %b: tensor<2xf32> {nn.name = "b", nn.role = "weight"}, %dw: tensor<2x3xf32> {nn.name = "dw", nn.role = "input"}, %db: tensor<2xf32> {nn.name = "db", nn.role = "input"}) -> (tensor<2x3xf32> {nn.name = "w.gradient", nn.role = "gradient"}, tensor<2xf32> {nn.name = "b.gradient", nn.role = "gradient"}) {
  func.return %dw, %db : tensor<2x3xf32>, tensor<2xf32>
}
