// RUN: nitic opt --passes=insert-update{round=stochastic}
// An update draws no random numbers.
// ERROR: insert-update: unknown rounding 'stochastic'; the roundings are nearest, pseudo_stochastic
func.func @train_step(%w: tensor<2x3xf32> {nn.name = "w", nn.role = "weight"}, %b: tensor<2xf32> {nn.name = "b", nn.role = "weight"}, %dw: tensor<2x3xf32> {nn.name = "dw", nn.role = "input"}, %db: tensor<2xf32> {nn.name = "db", nn.role = "input"}) -> (tensor<2x3xf32> {nn.name = "w.gradient", nn.role = "gradient"}, tensor<2xf32> {nn.name = "b.gradient", nn.role = "gradient"}) {
  func.return %dw, %db : tensor<2x3xf32>, tensor<2xf32>
}
