// RUN: nitic opt --passes=insert-update{rule=plain,round=nearest}
// Without momentum there is no velocity; the rounding is the option's.
// CHECK-NOT:   velocity
// CHECK:       %[[W:.*]] = nn.update_plain %w, %dw, %rate_m, %rate_k round = nearest
// CHECK-NEXT:  %[[B:.*]] = nn.update_plain %b, %db, %rate_m, %rate_k round = nearest
// CHECK-NEXT:  func.return %[[W]], %[[B]] :
func.func @train_step(%w: tensor<2x3xf32> {nn.name = "w", nn.role = "weight"}, %b: tensor<2xf32> {nn.name = "b", nn.role = "weight"}, %dw: tensor<2x3xf32> {nn.name = "dw", nn.role = "input"}, %db: tensor<2xf32> {nn.name = "db", nn.role = "input"}) -> (tensor<2x3xf32> {nn.name = "w.gradient", nn.role = "gradient"}, tensor<2xf32> {nn.name = "b.gradient", nn.role = "gradient"}) {
  func.return %dw, %db : tensor<2x3xf32>, tensor<2xf32>
}
